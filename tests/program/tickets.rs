//! `fanfare serve` with tokens and tickets, and `fanfare ticket`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use crate::http::{exchange, Answer};
use crate::process::{fanfare, run, Server};
use crate::support::{wait_until, Client, DEADLINE};

/// A folder with keys, which goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("fanfare-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file that its owner alone can read, and says where.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let (path, new) = (self.0.join(name), self.0.join("new"));
        fs::write(&new, content).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, &path).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One of the keys for tests.
fn key(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/keys").join(name);
    path.display().to_string()
}

/// What `fanfare ticket` prints.
fn token(arguments: &[&str]) -> String {
    let output = run(fanfare(&["ticket", "--log=off"]).args(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn ask(addr: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    exchange(addr, &format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n"))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn stream(addr: SocketAddr, path: &str, fields: &str) -> Client {
    Client::send(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n"))
}

const SECRET: &str = "this secret is for tests, and has more than 32 bytes\n";

#[test]
fn a_token_of_fanfare_ticket_opens_a_stream_and_gets_a_ticket() {
    let folder = Folder::new("secret");
    let secret = folder.write("secret", SECRET);
    let server = Server::start(&["--ticket-key-file", &secret, "--cors=https://a.example"]);
    let token = token(&["--topic=news", "--topic=user/7/#", "--key-file", &secret, "--tag=seven"]);
    assert_eq!(ask(server.addr, "GET", "/events?topic=news", "").status, 401);
    assert_eq!(ask(server.addr, "GET", "/events?topic=other", &bearer(&token)).status, 403);
    let mut by_token = stream(server.addr, "/events?topic=news", &bearer(&token));

    // Both listeners exchange it, the control listener on a connection that it had before.
    for addr in [server.addr, server.control] {
        let fields = format!("{}Origin: https://a.example\r\n", bearer(&token));
        let answer = ask(addr, "POST", "/tickets", &fields);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("https://a.example"));
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        let content: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let ticket = content["ticket"].as_str().unwrap();
        let path = format!("/events?topic=news&ticket={ticket}");
        let mut by_ticket = stream(server.addr, &path, "");
        crate::http::publish(server.control, "?topic=news", "hello");
        assert_eq!((&*by_ticket.data(), &*by_token.data()), ("hello", "hello"));
        assert_eq!(ask(server.addr, "GET", &path, "").status, 409);
    }
    let listed = ask(server.control, "GET", "/connections", "").body;
    assert!(listed.contains("\"seven\""), "{listed}");
    assert_eq!(server.metric("fanfare_denied_authorizations_total"), 4.0);
}

#[test]
fn curl_reads_a_stream_with_a_token_as_the_manual_says() {
    let server = Server::start(&["--ticket-key-file", &key("p256.pub.pem")]);
    let token = token(&["--topic=news", "--key-file", &key("p256.pem"), "--expires=3s"]);
    let url = format!("http://{}/events", server.addr);
    let curl = std::thread::spawn(move || {
        let authorization = format!("Authorization: Bearer {token}");
        run(Command::new("curl").args(["-sN", "--max-time", "60", "-H", &authorization, &url]))
    });
    server.wait_for_metric("fanfare_connections", 1.0);
    crate::http::publish(server.control, "?topic=news", "hello");
    // It ends by itself, when the token expires.
    let output = curl.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("hello\n\n"), "{text}");
}

#[test]
fn keys_are_those_of_both_files_and_are_read_again_when_they_change() {
    let folder = Folder::new("jwks");
    let jwk = |kid: &str| {
        format!(
            r#"{{"kty": "EC", "crv": "P-256", "kid": "{kid}", "x": "rQgzJhu-t24LL-rnJC0Z6od2QRfN9uAC4glBd5oROA0",
                "y": "qy-hA3to3OCZ-rwVauKYmMR1gKmeyIVMBZDoaywTyBE"}}"#
        )
    };
    let jwks = folder.write("jwks", format!(r#"{{"keys": [{}]}}"#, jwk("old")));
    let server = Server::start(&[
        "--ticket-key-file",
        &key("ed25519.pub.pem"),
        "--jwks-file",
        &jwks,
        "--ticket-audience=events,other",
        "--ticket-issuer=us",
    ]);
    let sign = |file: &str, more: &[&str]| {
        let mut line = vec!["--topic=news", "--key-file"];
        let file = key(file);
        line.push(&file);
        line.extend(more);
        token(&line)
    };
    let of_p256 = |kid: &str| sign("p256.pem", &["--audience=events", "--issuer=us", "--kid", kid]);
    let status = |token: &str| {
        let head = stream(server.addr, "/events?topic=news", &bearer(token));
        head.status()
    };
    assert_eq!(status(&sign("ed25519.pem", &["--audience=other", "--issuer=us"])), 200);
    assert_eq!(status(&sign("ed25519.pem", &["--audience=others", "--issuer=us"])), 401);
    assert_eq!(status(&sign("ed25519.pem", &["--audience=other"])), 401);
    assert_eq!(status(&sign("rsa.pem", &["--audience=other", "--issuer=us"])), 401);
    let (old, new) = (of_p256("old"), of_p256("new"));
    assert_eq!((status(&old), status(&new)), (200, 401));
    folder.write("jwks", format!(r#"{{"keys": [{}]}}"#, jwk("new")));
    wait_until("the new key is taken", || status(&new) == 200);
    assert_eq!(status(&old), 401);
}

#[test]
fn a_file_that_is_wrong_leaves_the_keys_as_they_are_and_is_logged() {
    let folder = Folder::new("broken");
    let secret = folder.write("secret", SECRET);
    let mut command = fanfare(&["serve", "--listen=127.0.0.1:0", "--log=info"]);
    command.args(["--ticket-key-file", &secret]);
    let (reader, log) = std::io::pipe().unwrap();
    let mut server = Server::of(command.stderr(log));
    drop(command);
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        lines.try_for_each(|line| sender.send(line))
    });
    let mut log = Vec::new();
    let mut wait_for = |text: &str| loop {
        let line = lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{text}: {log:?}"));
        log.push(line);
        if log.last().is_some_and(|line| line.contains(text)) {
            break;
        }
    };
    let token = token(&["--topic=news", "--key-file", &secret]);
    let status = |token: &str| stream(server.addr, "/events?topic=news", &bearer(token)).status();
    assert_eq!(status(&token), 200);
    folder.write("secret", "too short");
    wait_for("the keys for tokens stay as they were");
    assert_eq!(status(&token), 200);
    folder.write("secret", "another secret that has 32 bytes or more");
    wait_for("tokens are checked with other keys from now on");
    assert_eq!(status(&token), 401);
    wait_for("a request's token is refused");
    server.process.kill();
    log.extend(lines.iter());
    let is_secret = |line: &&String| line.contains("secret that") || line.contains(&token);
    assert_eq!(log.iter().find(is_secret), None);
}

#[test]
fn without_the_cookies_name_a_cookie_is_nothing_and_with_it_pages_of_the_origin_have_streams() {
    let folder = Folder::new("cookie");
    let secret = folder.write("secret", SECRET);
    let token = token(&["--topic=news", "--key-file", &secret]);
    let with = format!("Cookie: session={token}\r\n");
    let other = format!("{with}Origin: https://a.example\r\n");
    let without = Server::start(&["--ticket-key-file", &secret]);
    assert_eq!(ask(without.addr, "GET", "/events?topic=news", &with).status, 401);
    let server = Server::start(&["--ticket-key-file", &secret, "--ticket-cookie=session"]);
    assert_eq!(stream(server.addr, "/events?topic=news", &with).status(), 200);
    assert_eq!(ask(server.addr, "GET", "/events?topic=news", &other).status, 403);
    let cors = ["--cors=https://a.example", "--cors-credentials"];
    let line = ["--ticket-key-file", &secret, "--ticket-cookie=session"];
    let server = Server::start(&[&line[..], &cors].concat());
    assert_eq!(stream(server.addr, "/events?topic=news", &other).status(), 200);
}

#[test]
fn what_cannot_be_is_an_error_that_says_what_to_do() {
    let folder = Folder::new("usage");
    let (secret, short) = (folder.write("secret", SECRET), folder.write("short", "hunter2"));
    let json = folder.write("json", "{\"keys\": []}");
    let public = key("rsa.pub.pem");
    for (line, expected) in [
        (&["serve", "--ticket-key-file", &short][..], "openssl rand -base64 48"),
        (&["serve", "--ticket-key-file", "/nonexistent/key"], "/nonexistent/key: "),
        (&["serve", "--ticket-key-file", &json], "give a JWK set as such"),
        (&["serve", "--jwks-file", &secret], "is not a JWK set"),
        (&["serve", "--jwks-file", &json], "has no key to check tokens with"),
        (&["serve", "--ticket-audience=a"], "give the keys too"),
        (&["serve", "--ticket-key-file", &secret, "--ticket-cookie=a b"], "the option cookie"),
        (&["serve", "--ticket-key-file", &secret, "--route=/tickets:topic=a"], "exchange_path"),
        (&["ticket", "--topic=a", "--key-file", &short], "openssl rand -base64 48"),
        (&["ticket", "--topic=a", "--key-file", &public], "no private key"),
        (&["ticket", "--topic=a", "--key-file", &secret, "--expires=0"], "1s to 366d"),
        (&["ticket", "--topic=a/#/b", "--key-file", &secret], "--topic"),
        (&["ticket", "--topic=a", "--key-file", &secret, "--tag="], "tag"),
        (&["ticket", "--key-file", &secret], "--topic"),
    ] {
        let output = run(fanfare(line).arg("--log=off"));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains(expected), "{line:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
