//! Who may be a node: logins, TLS, Sentinels, and what is wrong is told.

use std::process::Command;
use std::time::Duration;

use fanfare::{ClusterOptions, Hub, Options, StartError};

use crate::follower::{cluster, node, options, topic, Follower};
use crate::server::{free_port, Folder, Server};
use crate::support::DEADLINE;

/// What a node's user may do, as docs/cluster.md has it.
const MAY: &str = "+info +time +ping +script|load +evalsha +eval +hmget +hget +hgetall +hset +hdel +get +set +xadd \
                   +xread +xrange +xtrim +rpush +ltrim +lrange";

fn refusal(options: ClusterOptions) -> String {
    let options = Options::default().cluster(options.connect_timeout(Duration::from_millis(500)));
    match Hub::start(options) {
        Err(StartError::Cluster(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn user(server: &Server, name: &str, commands: &str) {
    let mut words = vec!["ACL", "SETUSER", name, "on", ">secret", "~{shop}:*", "resetchannels"];
    words.extend(commands.split_whitespace());
    server.ask::<String>(&words);
}

fn url_of(server: &Server, login: &str) -> String {
    format!("redis://{login}@127.0.0.1:{}", server.port)
}

#[test]
fn a_user_that_may_do_what_a_node_does_is_enough_and_each_command_is_needed() {
    let server = Server::start();
    user(&server, "node", MAY);
    let shop = |name: &str| cluster(url_of(&server, &format!("{name}:secret"))).prefix("shop");
    let work = |name: &str| -> Result<(), String> {
        // A stream that is begun, has rules, is trimmed, and read by one that comes late.
        server.ask::<String>(&["FLUSHALL"]);
        let within = Duration::from_millis(1_500);
        let small = || shop(name).stream_events_max(1_000).connect_timeout(within);
        let hub = Hub::start(options(small())).map_err(|error| error.to_string())?;
        let rule = fanfare::TopicOptions::default().history_events_max(7);
        hub.set_rule(&"a/#".parse().unwrap(), rule.clone()).unwrap();
        hub.remove_rule(&"a/#".parse().unwrap());
        hub.set_rule(&"b/#".parse().unwrap(), rule).unwrap();
        for _ in 0..3 {
            for number in 0..400 {
                hub.publish(&topic("t"), &*number.to_string()).map_err(|error| error.to_string())?;
            }
            let published = hub.publish_wait(&topic("t"), "x", within);
            published.map_err(|error| error.to_string())?.id().ok_or("it has no id")?;
        }
        let late = Hub::start(options(small())).map_err(|error| error.to_string())?;
        let published = late.publish_wait(&topic("t"), "late", within);
        published.map_err(|error| error.to_string())?.id().ok_or("it has no id")?;
        let trouble = hub.cluster_trouble().or(late.cluster_trouble());
        trouble.map_or(Ok(()), Err)
    };
    work("node").unwrap();
    // Not a single command more than is needed.
    let enough: Vec<&str> = MAY.split_whitespace().filter(|&command| {
        let name = format!("less{}", command.replace('|', ""));
        user(&server, &name, &MAY.split_whitespace().filter(|&other| other != command).collect::<Vec<_>>().join(" "));
        work(&name).is_ok()
    }).collect();
    assert_eq!(enough, [] as [&str; 0], "without these it goes as well");
    // And no other key.
    let other = cluster(url_of(&server, "node:secret")).prefix("other");
    assert!(refusal(other).contains("No permissions"), "what the server says is told");
}

#[test]
fn a_wrong_url_login_or_server_is_told_without_the_password() {
    let server = Server::with(&["--requirepass", "geheim"]);
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
    openssl(&folder, "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
                      -keyout server.key -out server.csr");
    std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(&folder, "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                      -extfile names -out server.pem");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let port = free_port();
    let server = Server::with(&[
        "--tls-port", &port.to_string(), "--tls-cert-file", &file("server.pem"),
        "--tls-key-file", &file("server.key"), "--tls-ca-cert-file", &file("ca.pem"),
        "--tls-auth-clients", "no",
    ]);
    let url = format!("rediss://127.0.0.1:{port}");
    let hub = Hub::start(options(cluster(&*url).ca_file(file("ca.pem")))).unwrap();
    let plain = node(server.url());
    let id = hub.publish_wait(&topic("t"), "x", DEADLINE).unwrap().id().unwrap().to_string();
    let mut client = Follower::of(&plain, &["t"]);
    client.wait_for(&plain, 1);
    assert_eq!(client.events[0].0, id);
    for options in [
        ClusterOptions::new(&*url),
        ClusterOptions::new(&*url).ca_file(file("stranger.pem")),
    ] {
        let told = refusal(options).to_lowercase();
        assert!(told.contains("certificate"), "{told}");
    }
    let told = refusal(ClusterOptions::new(&*url).ca_file(file("missing.pem")));
    assert!(told.contains("missing.pem"), "{told}");
}
