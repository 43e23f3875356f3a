//! The command line, signals and exit codes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::http::{post, Connection};
use crate::process::{fanfare, run, Server};
use crate::support::{wait_until, Client};

#[test]
fn help_says_what_there_is_and_which_variables() {
    let help = |arguments: &[&str]| {
        let output = run(&mut fanfare(arguments));
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&["--help"]);
    for word in ["serve", "demo", "publish", "curl -N"] {
        assert!(all.contains(word), "{word} in {all}");
    }
    let serve = help(&["serve", "--help"]);
    for word in [
        "FANFARE_LISTEN",
        "FANFARE_PUBLISH_TOKEN",
        "--heartbeat",
        "[default: 15s]",
        "--cors",
        "come-again",
        "FANFARE_CONTROL_LISTEN",
        "programs of this machine",
    ] {
        assert!(serve.contains(word), "{word} in {serve}");
    }
    assert!(!serve.contains("--publish-token "), "{serve}");
    assert!(help(&["publish", "--help"]).contains("at least once"));
}

#[test]
fn what_cannot_be_is_a_usage_error() {
    for (arguments, variable, word) in [
        (&["serve", "--heartbeat", "15"][..], None, "500ms, 15s"),
        (&["serve", "--shards", "0"], None, "shards"),
        (&["serve", "--cors", "example.com"], None, "cors"),
        (&["serve", "--publish-token", "s3cret"], None, "FANFARE_PUBLISH_TOKEN"),
        (&["serve", "--publish-token-file", "/nonexistent"], None, "/nonexistent"),
        (&["serve"], Some(("FANFARE_PUBLISH_TOKEN", " ")), "empty"),
        (&["serve"], Some(("FANFARE_HEARTBEAT", "soon")), "500ms, 15s"),
        (&["publish", "https://localhost", "--topic", "a"], None, "HTTPS"),
        (&["publish", "http://localhost", "--topic", "a#"], None, "topic"),
        (&["serve", "--control-listen", "8081"], None, "HOST:PORT, unix:/PATH or off"),
        (&["serve", "--control-listen", "0.0.0.0:0"], None, "needs a publish token"),
        (&["serve", "--control-connections-max", "0"], None, "1..=65536"),
        (
            &["serve", "--drain-window", "61m"],
            None,
            "--drain-window is out of bounds: it may be at most 1 hour",
        ),
        (&["serve", "--drain-grace", "2h"], None, "--drain-grace is out of bounds"),
        (&["serve", "--log", "wran"], None, "'wran' is no level"),
        (&["serve", "--log", "warn,fanfare=loud"], None, "'fanfare=loud' is no level"),
        (&["serve", "--retry", "2d"], None, "--retry is out of bounds"),
        (&["serve"], Some(("FANFARE_DRAIN_WINDOW", "10d")), "--drain-window"),
        (&["serve", "--gap-event", "message"], None, "none of message, open, error"),
        (&["serve", "--gap-event", "error"], None, "none of message, open, error"),
        (&["serve", "--host", "a.example:80"], None, "without a port"),
        (&["nonsense"], None, "nonsense"),
    ] {
        let mut command = fanfare(arguments);
        let output = run(command.args(["--log", "off"]).envs(variable));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {said}");
        assert!(said.contains(word) && !said.contains("s3cret"), "{arguments:?} {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_token_file_that_other_users_can_read_is_warned_of_with_its_mode() {
    let path = std::env::temp_dir().join(format!("fanfare-token-mode-{}", std::process::id()));
    std::fs::write(&path, "s3cret\n").unwrap();
    let file = path.to_str().unwrap();
    for (mode, warned) in [
        (0o644, Some("0644")),
        (0o640, Some("0640")),
        (0o602, Some("0602")),
        (0o600, None),
        (0o400, None),
    ] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        for arguments in [
            // Both end once they have read the token.
            &["serve", "--shards", "0", "--publish-token-file", file][..],
            &["publish", "http://127.0.0.1:1", "--topic", "a", "--token-file", file],
        ] {
            let output = run(fanfare(arguments).args(["--log", "warn"]));
            let said = String::from_utf8(output.stderr).unwrap();
            let warning = said.lines().find(|line| line.contains("WARN") && line.contains(file));
            assert_eq!(warning.is_some(), warned.is_some(), "{mode:o} {arguments:?} {said}");
            assert!(warned.is_none_or(|mode| warning.unwrap().contains(mode)), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn an_address_that_is_in_use_ends_it_with_code_1() {
    let server = Server::start(&[]);
    let addr = server.addr.to_string();
    for subcommand in ["serve", "demo"] {
        let output = run(&mut fanfare(&[subcommand, "--listen", &addr]));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(&format!("cannot listen on {addr}")), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn options_come_from_the_environment() {
    let mut command = fanfare(&["serve"]);
    command.envs([
        ("FANFARE_LISTEN", "127.0.0.1:0"),
        ("FANFARE_LOG", "off"),
        ("FANFARE_CORS", "https://a.example,https://b.example"),
        ("FANFARE_HEARTBEAT", "100ms"),
    ]);
    let server = Server::of(&mut command);
    let request = format!(
        "GET /events?topic=a HTTP/1.1\r\nHost: {}\r\nOrigin: https://b.example\r\n\r\n",
        server.addr
    );
    let mut client = Client::send(server.addr, &request);
    assert!(client.head.contains("Access-Control-Allow-Origin: https://b.example"));
    client.wait_for_heartbeat();
}

#[test]
fn a_signal_ends_it_cleanly_and_its_streams_with_it() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&[]);
        let mut client = Client::get(server.addr, "/events?topic=a");
        let mut idle = Connection::open(server.control);
        idle.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(idle.answer().status, 200);
        assert_eq!(crate::http::publish(server.control, "?topic=a", "last").status, 200);
        server.process.signal(signal);
        assert_eq!(client.data(), "last");
        assert!(client.ends_cleanly());
        assert!(idle.is_closed());
        assert_eq!(server.process.end().code(), Some(0), "{signal}");
    }
}

#[test]
fn told_to_end_it_sends_its_clients_away_over_the_window() {
    let mut server = Server::start(&["--drain-window", "1s", "--retry", "1s"]);
    let mut clients: Vec<Client> =
        (0..50).map(|_| Client::get(server.addr, "/events?topic=a")).collect();
    let begun = Instant::now();
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(begun.elapsed() > Duration::from_millis(700), "{:?}", begun.elapsed());
    for client in &mut clients {
        assert!(client.ends_cleanly());
        assert!(client.retry().is_some_and(|retry_ms| (1_000..=2_000).contains(&retry_ms)));
    }
}

#[test]
fn a_second_signal_ends_the_draining_at_once() {
    let mut server = Server::start(&["--drain-window", "1h"]);
    let clients: Vec<Client> =
        (0..20).map(|_| Client::get(server.addr, "/events?topic=a")).collect();
    server.process.signal("TERM");
    // Once it does not listen any more, it drains.
    wait_until("no client is accepted", || std::net::TcpStream::connect(server.addr).is_err());
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(143));
    drop(clients);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&[]);
    // A request that goes on for which it would wait.
    let mut connection = Connection::open(server.control);
    let request = post(server.control, "?topic=a", "Expect: 100-continue\r\n", "x");
    connection.send(&request[..request.len() - 1]);
    assert!(connection.head().starts_with("HTTP/1.1 100"));
    server.process.signal("TERM");
    server.process.signal("INT");
    // Signals that wait at the same time are delivered by their number.
    let code = server.process.end().code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
}

#[test]
fn the_demo_publishes_readings_and_says_where() {
    let demo = &mut fanfare(&["demo", "--listen", "127.0.0.1:0", "--log", "off"]);
    let mut server = Server::of(demo);
    let hints = [server.line(), server.line(), server.line()];
    let Server { addr, control, mut process, .. } = server;
    assert_eq!(hints[0], format!("open http://{control}/ in a browser"));
    assert!(hints[1].contains("curl") && hints[2].contains("Ctrl-C"), "{hints:?}");
    assert_eq!(crate::http::get(control, "/").status, 200);
    for (topic, name, field) in [
        ("load", "message", "\"fifteen\":"),
        ("cpu", "cpu", "\"busy\":"),
        ("memory", "message", "\"total_bytes\":"),
        ("network", "network", "\"received_bytes_per_s\":"),
    ] {
        let message = Client::get(addr, &format!("/events?topic={topic}")).next();
        assert_eq!(message.name, name, "{topic}");
        assert!(message.data.contains("\"at\":") && message.data.contains(field), "{message:?}");
    }
    process.signal("INT");
    assert_eq!(process.end().code(), Some(0));
}
