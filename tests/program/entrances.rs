//! The two listeners: what the public listener and the control listener serve, and on which
//! addresses.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use crate::http::{exchange, get, post, Answer, Connection};
use crate::process::{fanfare, publish_all, run, Server};
use crate::support::Client;

/// What concerns publishing, connections and topics.
const REQUESTS: [&str; 7] = [
    "POST /publish?topic=a",
    "GET /publish?topic=a",
    "GET /connections",
    "PUT /connections?id=1&topic=b",
    "DELETE /connections?all=1",
    "GET /topics",
    "GET /metrics",
];

fn ask(server: &Server, request: &str, fields: &str) -> Answer {
    let host = server.addr;
    let length = if request.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
    exchange(server.addr, &format!("{request} HTTP/1.1\r\nHost: {host}\r\n{length}{fields}\r\n"))
}

/// A path for a test's Unix socket.
fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("fanfare-{}-{name}.sock", std::process::id()))
}

/// Has a shell do what the server says that publishes.
fn publish_as_told(server: &Server) {
    let told = &server.publish;
    let fails = if told.starts_with("curl") { " --silent --show-error --fail" } else { "" };
    let told = format!("{told}{fails}");
    let mut shell = Command::new("bash");
    let output = run(shell.args(["-c", &told]).env("FANFARE_PUBLISH_TOKEN", "s3cret"));
    assert!(output.status.success(), "{told}: {output:?}");
}

/// nginx's plain `proxy_pass http://127.0.0.1:PORT` sends requests that cannot be told from those
/// of a program of this machine: from a loopback address, with the server's own address as `Host`,
/// and without any field of a proxy's.
#[test]
fn without_a_token_the_public_listener_refuses_to_publish() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=a");
    for request in REQUESTS.iter().chain(&["GET /"]) {
        let answer = ask(&server, request, "");
        assert_eq!(answer.status, 404, "{request} {answer:?}");
        assert_eq!(ask(&server, request, "Authorization: Bearer x\r\n").status, 404, "{request}");
        let from_name = format!("{request} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert_eq!(exchange(server.addr, &from_name).status, 404, "{request}");
    }
    assert_eq!(get(server.addr, "/healthz").status, 200);
    assert_eq!(server.metric("fanfare_published_events_total"), 0.0);
    assert_eq!(server.metric("fanfare_connections"), 1.0);
    assert_eq!(crate::http::publish(server.control, "?topic=a", "x").status, 200);
    assert_eq!(client.data(), "x");
}

#[test]
fn with_a_token_the_public_listener_serves_clients_that_show_it() {
    let server = Server::with_token("s3cret");
    for request in REQUESTS.iter().filter(|request| !request.starts_with("GET /publish")) {
        assert_eq!(ask(&server, request, "").status, 401, "{request}");
        assert_eq!(ask(&server, request, "Authorization: Bearer s3cre\r\n").status, 401);
        let shown = ask(&server, request, "Authorization: Bearer s3cret\r\n");
        assert_eq!(shown.status, 200, "{request} {shown:?}");
    }
    assert_eq!(server.metric("fanfare_published_events_total"), 1.0);
    // The page reads what is counted, and a browser would not show the token for it.
    assert_eq!(ask(&server, "GET /", "Authorization: Bearer s3cret\r\n").status, 404);
    assert_eq!(get(server.control, "/").status, 200);
    // At the control listener as well, what changes anything needs it.
    assert_eq!(crate::http::publish(server.control, "?topic=a", "x").status, 401);
}

#[test]
fn what_the_server_prints_publishes_when_it_is_copied() {
    let path = socket_path("it's");
    let unix = format!("unix:{}", path.display());
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log", "off"];
    for (arguments, token) in [
        (&[][..], false),
        (&[], true),
        (&["--control-listen", &unix], false),
        (&["--control-listen", &unix], true),
        (&["--control-listen", "127.0.0.1:0"], false),
        (&["--control-listen", "localhost:0"], false),
    ] {
        let mut command = fanfare(&serve);
        let token = token.then_some(("FANFARE_PUBLISH_TOKEN", "s3cret"));
        let server = Server::of(command.args(arguments).envs(token));
        let mut client = Client::get(server.addr, "/events?topic=news");
        publish_as_told(&server);
        assert_eq!(client.data(), "hello", "{}", server.publish);
        assert!(!server.publish.contains("s3cret"));
    }
    // With the token in a file.
    let file = socket_path("token's file");
    std::fs::write(&file, "s3cret").unwrap();
    let server = Server::start(&["--publish-token-file", file.to_str().unwrap()]);
    let mut client = Client::get(server.addr, "/events?topic=news");
    publish_as_told(&server);
    assert_eq!(client.data(), "hello", "{}", server.publish);
    std::fs::remove_file(&file).unwrap();
    // Without a control listener, with a token.
    let mut command = fanfare(&serve);
    command.args(["--control-listen", "off"]).env("FANFARE_PUBLISH_TOKEN", "s3cret");
    let mut server = Server::without_control(&mut command);
    server.publish = server.line().strip_prefix("publish: ").unwrap().to_owned();
    let mut client = Client::get(server.addr, "/events?topic=news");
    publish_as_told(&server);
    assert_eq!(client.data(), "hello");
}

#[test]
fn without_control_listener_and_token_nothing_can_be_published() {
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    let server = Server::without_control(command.args(["--control-listen", "off"]));
    assert_eq!(ask(&server, "POST /publish?topic=a", "").status, 404);
    assert_eq!(Client::get(server.addr, "/events?topic=a").status(), 200);
}

#[test]
fn the_control_listener_is_on_the_next_port_or_on_a_free_one_if_that_is_taken() {
    // Two ports in a row, which another process may take before the server does.
    let free = || loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let Some(Ok(second)) =
            port.checked_add(1).map(|next| TcpListener::bind(("127.0.0.1", next)))
        {
            return (first, second);
        }
    };
    let started = |addr: std::net::SocketAddr| {
        let mut command = fanfare(&["serve", "--listen", &addr.to_string(), "--log", "off"]);
        Server::of(&mut command)
    };
    let is_next = (0..20).any(|_| {
        let (first, second) = free();
        let [addr, next] = [&first, &second].map(|listener| listener.local_addr().unwrap());
        drop((first, second));
        started(addr).control == next
    });
    assert!(is_next);

    let (first, second) = free();
    let [addr, next] = [&first, &second].map(|listener| listener.local_addr().unwrap());
    drop(first);
    let server = started(addr);
    assert_ne!(server.control, next);
    assert!(server.control.ip().is_loopback());
    assert_eq!(crate::http::publish(server.control, "?topic=a", "x").status, 200);
    drop(second);
}

#[test]
fn a_control_address_that_is_in_use_is_said_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--control-listen", &addr]);
    let output = run(&mut command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&addr) && said.contains("--control-listen"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_control_listener_that_others_reach_asks_every_client_for_the_token() {
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    command.args(["--control-listen", "0.0.0.0:0"]).env("FANFARE_PUBLISH_TOKEN", "s3cret");
    let server = Server::of(&mut command);
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], server.control.port()));
    assert_eq!(get(addr, "/metrics").status, 401);
    assert_eq!(get(addr, "/").status, 404);
    assert_eq!(get(addr, "/healthz").status, 200);
    let shown = "Authorization: Bearer s3cret\r\n";
    assert_eq!(exchange(addr, &post(addr, "?topic=a", "", "x")).status, 401);
    assert_eq!(exchange(addr, &post(addr, "?topic=a", shown, "x")).status, 200);
}

#[test]
fn a_unix_socket_is_its_users_alone_and_is_published_to_by_its_path() {
    let path = socket_path("users");
    let unix = format!("unix:{}", path.display());
    let mut server = Server::start(&["--control-listen", &unix]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::get(server.addr, "/events?topic=log");
    let output = publish_all(&unix, &["--topic", "log"], b"one\ntwo\n");
    assert!(output.status.success(), "{output:?}");
    assert_eq!([client.data(), client.data()], ["one", "two"]);
    let curl = |target: &str| {
        let mut command = Command::new("curl");
        let url = format!("http://localhost{target}");
        run(command
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket"])
            .arg(&path)
            .arg(url))
        .stdout
    };
    assert_eq!(curl("/metrics"), b"200");
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /events?topic=log HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut here = Client::of(TcpStream::from(OwnedFd::from(stream)));
    assert!(publish_all(&unix, &["--topic", "log"], b"three\n").status.success());
    assert_eq!([client.data(), here.data()], ["three", "three"]);

    // A live server's is not taken from it.
    let second = ["serve", "--listen", "127.0.0.1:0", "--control-listen", &unix];
    let output = run(&mut fanfare(&second));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another server listens there"), "{said}");
    assert_eq!(curl("/healthz"), b"200");

    // A dead server's is.
    server.process.kill();
    assert!(path.exists());
    let mut server = Server::start(&["--control-listen", &unix]);
    assert_eq!(curl("/healthz"), b"200");
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(!path.exists(), "it is removed with its server");
}

/// A page of `evil.example`, which now names this machine, is to the browser of the same origin.
#[test]
fn a_rebound_name_reads_nothing_and_changes_nothing() {
    let server = Server::start(&[]);
    let ask = |addr, request: &str, host: &str| {
        let length = if request.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
        exchange(addr, &format!("{request} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n"))
    };
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.x"] {
        for request in REQUESTS.iter().chain(&["GET /", "GET /healthz", "GET /events?topic=a"]) {
            let answer = ask(server.control, request, host);
            assert_eq!(answer.status, 421, "{host} {request} {answer:?}");
            assert!(answer.body.contains("--host"), "{answer:?}");
        }
        for request in REQUESTS.iter().chain(&["GET /", "GET /healthz", "GET /events?topic=a"]) {
            assert_eq!(ask(server.addr, request, host).status, 421, "{host} {request}");
        }
    }
    assert_eq!(server.metric("fanfare_published_events_total"), 0.0);
    assert_eq!(server.metric("fanfare_connections"), 0.0);

    let server = Server::start(&["--host", "Intra.Example,other.example"]);
    for host in ["intra.example", "INTRA.example:8080", "other.example", "localhost", "[::1]"] {
        assert_eq!(ask(server.control, "GET /metrics", host).status, 200, "{host}");
    }
    assert_eq!(ask(server.control, "GET /metrics", "third.example").status, 421);
}

/// Behind a proxy that passes on names which cannot be listed.
#[test]
fn any_host_is_for_the_public_listener_and_control_stays_as_strict_as_it_was() {
    let server = Server::start(&["--host", "*,intra.example"]);
    let ask = |addr, request: &str, fields: &str| {
        let length = if request.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
        exchange(addr, &format!("{request} HTTP/1.1\r\n{fields}{length}\r\n"))
    };
    let evil = "Host: evil.example\r\n";
    let stream = |host: &str| {
        let request = format!("GET /events?topic=a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Client::send(server.addr, &request).status()
    };
    for host in ["evil.example", "intra.example:80", "localhost", "*"] {
        assert_eq!(stream(host), 200, "{host}");
    }
    assert_eq!(ask(server.addr, "GET /healthz", evil).status, 200);
    for request in REQUESTS.iter().chain(&["GET /"]) {
        assert_eq!(ask(server.addr, request, evil).status, 404, "{request}");
        for fields in [evil, "Host: *\r\n"] {
            assert_eq!(ask(server.control, request, fields).status, 421, "{request} {fields}");
        }
    }
    assert_eq!(ask(server.control, "GET /metrics", "Host: intra.example\r\n").status, 200);

    // What comes over a connection that the engine has handed on, too, a stream in the end.
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off", "--host", "*"]);
    let server = Server::of(command.env("FANFARE_PUBLISH_TOKEN", "s3cret"));
    let mut connection = Connection::open(server.addr);
    let shown = format!("{evil}Authorization: Bearer s3cret\r\nContent-Length: 1\r\n");
    for (request, content, status) in [
        ("GET /nothing", "", 404),
        ("POST /publish?topic=a", "x", 200),
        ("POST /publish?topic=a", "x", 200),
    ] {
        let fields = if content.is_empty() { evil } else { &shown };
        connection.send(format!("{request} HTTP/1.1\r\n{fields}\r\n{content}"));
        let answer = connection.answer();
        assert_eq!(answer.status, status, "{request} {answer:?}");
    }
    connection.send(format!("GET /events?topic=a HTTP/1.1\r\n{evil}\r\n"));
    assert!(connection.head().starts_with("HTTP/1.1 200 "));
    assert_eq!(ask(server.control, "GET /metrics", &shown).status, 421);
}

#[test]
fn wrong_tokens_are_counted_and_missing_ones_are_not() {
    let server = Server::with_token("s3cret");
    let wrong = ["Bearer s3cre", "Basic s3cret", "Bearer"];
    for token in wrong {
        let shown = format!("Authorization: {token}\r\n");
        assert_eq!(ask(&server, "GET /metrics", &shown).status, 401, "{token}");
        assert_eq!(ask(&server, "POST /publish?topic=a", &shown).status, 401, "{token}");
    }
    assert_eq!(ask(&server, "GET /metrics", "").status, 401);
    assert_eq!(ask(&server, "GET /metrics", "Authorization: Bearer s3cret\r\n").status, 200);
    assert_eq!(server.metric("fanfare_wrong_tokens_total"), 2.0 * wrong.len() as f64);
}

#[test]
fn a_bare_number_sign_in_a_target_is_refused_in_public_and_cut_off_with_what_follows_by_control() {
    let server = Server::start(&[]);
    let ask = |addr, target: &str| {
        exchange(
            addr,
            &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
    };
    for target in ["/healthz#x", "/events?topic=a/#", "/#", "/events#?topic=a"] {
        let refused = ask(server.addr, target);
        assert_eq!(refused.status, 400, "{target}");
        assert!(refused.body.contains("%23"), "{refused:?}");
    }
    assert_eq!(ask(server.control, "/healthz#x").status, 200);
    assert_eq!(
        ask(server.control, "/topics?topic=a#b").body,
        "{\"topics\":[{\"subscribers\":0,\"topic\":\"a\"}]}\n"
    );
}
