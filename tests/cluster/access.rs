//! Who may be a node: logins, TLS, Sentinels, and what is wrong is told.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use fanfare::{AdminError, ClusterOptions, ConnectionFilter, Hub, Options, StartError};

use crate::follower::{cluster, node, options, topic, Follower};
use crate::server::{free_port, Folder, Server};
use crate::support::DEADLINE;

/// What a node's user may do, as docs/cluster.md has it.
const MAY: &str =
    "+info +time +ping +script|load +evalsha +eval +hmget +hgetall +hset +hdel +get +set +xadd \
                   +xread +xrange +xtrim +rpush +ltrim +lrange +expire";

fn refusal(options: ClusterOptions) -> String {
    let options = Options::default().cluster(options.connect_timeout(Duration::from_millis(500)));
    match Hub::start(options) {
        Err(StartError::Cluster(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Makes a user who may do this with the keys of the prefix that is called like it.
fn user(server: &Server, name: &str, commands: &[&str]) {
    let keys = format!("~{{{name}}}:*");
    let mut words = vec!["ACL", "SETUSER", name, "on", ">secret", &keys, "resetchannels"];
    words.extend(commands);
    server.ask::<String>(&words);
}

fn url_of(server: &Server, login: &str) -> String {
    format!("redis://{login}@127.0.0.1:{}", server.port)
}

/// What a cluster does in its life: its stream is begun, has rules, is trimmed, and read by a node that comes late.
fn work(server: &Server, name: &str) -> Result<(), String> {
    let within = Duration::from_secs(2);
    let join = || -> Result<Hub, String> {
        let cluster = cluster(url_of(server, &format!("{name}:secret"))).prefix(name);
        let cluster = cluster.stream_events_max(1_000).connect_timeout(within);
        Hub::start(options(cluster)).map_err(|error| error.to_string())
    };
    let publish = |hub: &Hub, data: &str| -> Result<(), String> {
        let published = hub.publish_wait(&topic("t"), data, within);
        published
            .map_err(|error| error.to_string())?
            .id()
            .map(drop)
            .ok_or("it has no id".to_owned())
    };
    let hub = join()?;
    let rule = fanfare::TopicOptions::default().history_events_max(7);
    hub.set_rule(&"a/#".parse().unwrap(), rule.clone()).unwrap();
    hub.remove_rule(&"a/#".parse().unwrap());
    hub.set_rule(&"b/#".parse().unwrap(), rule).unwrap();
    for _ in 0..8 {
        for number in 0..400 {
            hub.publish(&topic("t"), &*number.to_string()).map_err(|error| error.to_string())?;
        }
        publish(&hub, "x")?;
    }
    let late = join()?;
    publish(&late, "late")?;
    let all = ConnectionFilter::default();
    late.cluster_connections(&all, within).map_err(|error| error.to_string())?;
    // Long enough for an idle node to look whether its server is there.
    std::thread::sleep(within / 2);
    hub.cluster_trouble().or(late.cluster_trouble()).map_or(Ok(()), Err)
}

/// What the server has not let a user do.
fn denied(server: &Server, name: &str) -> Vec<String> {
    let all: Vec<HashMap<String, String>> = server.ask(&["ACL", "LOG", "10000"]);
    let of_it = all.into_iter().filter(|denied| denied["username"] == name);
    // What the client library is called, which it may say or not.
    of_it
        .map(|mut denied| denied.remove("object").unwrap())
        .filter(|what| what != "client|setinfo")
        .collect()
}

#[test]
fn a_user_that_may_do_what_a_node_does_is_enough_and_each_command_is_needed() {
    let server = Server::start();
    let commands: Vec<&str> = MAY.split_whitespace().collect();
    user(&server, "node", &commands);
    server.ask::<String>(&["CONFIG", "SET", "acllog-max-len", "10000"]);
    work(&server, "node").unwrap();
    assert_eq!(denied(&server, "node"), [] as [String; 0]);
    let works_without = std::thread::scope(|scope| {
        let tries: Vec<_> = commands
            .iter()
            .enumerate()
            .map(|(nth, &without)| {
                let (server, name) = (&server, format!("less{nth}"));
                let less: Vec<&str> =
                    commands.iter().copied().filter(|&command| command != without).collect();
                user(server, &name, &less);
                scope.spawn(move || {
                    let works = work(server, &name).is_ok() && denied(server, &name).is_empty();
                    works.then_some(without)
                })
            })
            .collect();
        tries.into_iter().filter_map(|tried| tried.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(works_without, [] as [&str; 0], "these are not needed");
    // And no other key.
    let other = cluster(url_of(&server, "node:secret")).prefix("other");
    let told = refusal(other);
    assert!(told.contains("NOPERM") || told.contains("permission"), "{told}");
}

#[test]
fn a_user_that_may_not_ask_fails_with_the_question_alone() {
    let server = Server::start();
    let less: Vec<&str> = MAY.split_whitespace().filter(|&command| command != "+expire").collect();
    user(&server, "node", &less);
    let of_user = || {
        let cluster = cluster(url_of(&server, "node:secret")).prefix("node");
        Hub::start(options(cluster)).unwrap()
    };
    let (a, b) = (of_user(), of_user());
    let mut client = Follower::of(&b, &["t"]);
    let asked = a.cluster_connections(&ConnectionFilter::default(), DEADLINE);
    let Err(error @ AdminError::Unreachable { .. }) = asked else { panic!("{asked:?}") };
    let told = error.to_string();
    assert!(told.contains("docs/cluster.md") && told.contains("can't run this command"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    a.publish_wait(&topic("t"), "1", DEADLINE).unwrap().id().unwrap();
    client.wait_for(&b, 1);
    // One that may ask hears that the others do not answer; they go on, and answer when they may.
    let other = Hub::start(options(cluster(server.url()).prefix("node"))).unwrap();
    let asked = |within| other.cluster_connections(&ConnectionFilter::default(), within).unwrap();
    let found = asked(Duration::from_millis(500));
    assert_eq!((found.nodes, found.answered, found.count), (3, 1, 0));
    assert_eq!(found.missing.len(), 2);
    assert_eq!(a.cluster_trouble().or(b.cluster_trouble()), None);
    user(&server, "node", &["+expire"]);
    let found = asked(DEADLINE);
    assert_eq!((found.nodes, found.answered, found.count), (3, 3, 1));
    let keys: Vec<String> = server.ask(&["KEYS", "*answers*"]);
    assert_eq!(keys, [] as [String; 0]);
}

#[test]
fn a_wrong_url_login_or_server_is_told_without_the_password() {
    let server = Server::start();
    server.ask::<String>(&["CONFIG", "SET", "requirepass", "geheim"]);
    let closed = free_port();
    for (options, expected) in [
        (ClusterOptions::new(format!("redis://127.0.0.1:{closed}")), "refused"),
        (ClusterOptions::new(url_of(&server, ":falsch")), "127.0.0.1"),
        (ClusterOptions::new(server.url()), "NOAUTH"),
    ] {
        let told = refusal(options);
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("falsch") && !told.contains("geheim"), "{told}");
    }
    let invalid = Hub::start(Options::default().cluster(ClusterOptions::new("http://127.0.0.1")));
    assert!(matches!(invalid, Err(StartError::Options(_))), "{invalid:?}");
    let hub = node(url_of(&server, ":geheim"));
    hub.publish_wait(&topic("t"), "x", DEADLINE).unwrap().id().unwrap();
}

/// Runs openssl in a folder.
fn openssl(folder: &Folder, arguments: &str) {
    let mut command = Command::new("openssl");
    command.current_dir(folder.path()).args(arguments.split_whitespace());
    let output = command.output().expect("openssl is installed: tests/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_server_with_tls_is_trusted_by_the_file_of_its_authority_alone() {
    let folder = Folder::new();
    for authority in ["ca", "stranger"] {
        openssl(&folder, &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={authority} \
             -addext basicConstraints=critical,CA:TRUE -keyout {authority}.key -out {authority}.pem"
        ));
    }
    openssl(
        &folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
                      -keyout server.key -out server.csr",
    );
    std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        .unwrap();
    openssl(
        &folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                      -extfile names -out server.pem",
    );
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let port = free_port();
    let server = Server::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{port}");
    let hub = Hub::start(options(cluster(&*url).ca_file(file("ca.pem")))).unwrap();
    let plain = node(server.url());
    let id = hub.publish_wait(&topic("t"), "x", DEADLINE).unwrap().id().unwrap().to_string();
    let mut client = Follower::of(&plain, &["t"]);
    client.wait_for(&plain, 1);
    assert_eq!(client.events[0].0, id);
    for options in
        [ClusterOptions::new(&*url), ClusterOptions::new(&*url).ca_file(file("stranger.pem"))]
    {
        let told = refusal(options).to_lowercase();
        assert!(told.contains("certificate"), "{told}");
    }
    let told = refusal(ClusterOptions::new(&*url).ca_file(file("missing.pem")));
    assert!(told.contains("missing.pem"), "{told}");
}
