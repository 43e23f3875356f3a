//! The three servers, asked by curl over HTTP/1.1, over HTTP/2 with prior knowledge, and over
//! HTTP/2 with TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;

const AXUM: &str = env!("CARGO_BIN_EXE_axum");
const ACTIX_WEB: &str = env!("CARGO_BIN_EXE_actix-web");
const HYPER: &str = env!("CARGO_BIN_EXE_hyper");

/// What a server is asked over.
#[derive(Clone, Copy, Debug)]
enum Over {
    Http1,
    Http2,
    Tls,
}

struct Server {
    child: Child,
    orders: ChildStdin,
    url: String,
    over: Over,
}

impl Server {
    fn start(program: &str, over: Over) -> Server {
        let mut command = Command::new(program);
        command.arg("127.0.0.1:0").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Over::Tls = over {
            command.args(certificate());
        }
        let mut child = command.spawn().expect("the server starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let orders = child.stdin.take().unwrap();
        Server { child, orders, url: url.trim().to_owned(), over }
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    /// A curl that gets a topic's events; it ends the test where that takes too long.
    fn curl(&self, topic: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--include", "--max-time", "60"]);
        match self.over {
            Over::Http1 => command.arg("--http1.1"),
            Over::Http2 => command.arg("--http2-prior-knowledge"),
            Over::Tls => command.args(["--http2", "--cacert"]).arg(&certificate()[0]),
        };
        command.args(arguments).arg(format!("{}/events/{topic}", self.url));
        command.stdout(Stdio::piped());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files of a certificate for this machine and of its key.
fn certificate() -> &'static [PathBuf; 2] {
    static FILES: OnceLock<[PathBuf; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        [certificate, key]
    })
}

/// Reads on until it has a text.
fn read_until(from: &mut impl Read, had: &mut String, text: &str) {
    let mut some = [0; 1024];
    while !had.contains(text) {
        let bytes = from.read(&mut some).expect("curl's output");
        assert!(bytes > 0, "it ended without {text:?}: {had}");
        had.push_str(std::str::from_utf8(&some[..bytes]).expect("it is ASCII"));
    }
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "curl: {}", output.status);
    String::from_utf8(output.stdout).expect("it is ASCII")
}

fn serves(program: &str) {
    for over in [Over::Http1, Over::Http2, Over::Tls] {
        serves_over(program, over);
    }
}

fn serves_over(program: &str, over: Over) {
    let mut server = Server::start(program, over);
    // A client that is there gets each event at once.
    let mut client = server.curl("news/local", &[]).spawn().expect("curl is there");
    let (mut body, mut had) = (client.stdout.take().unwrap(), String::new());
    read_until(&mut body, &mut had, "retry: ");
    let (status, protocol) = match over {
        Over::Http1 => ("HTTP/1.1 200", "transfer-encoding: chunked"),
        Over::Http2 | Over::Tls => ("HTTP/2 200", ""),
    };
    let head = had.to_ascii_lowercase();
    assert!(had.starts_with(status) && head.contains(protocol), "{over:?}: {had}");
    for field in ["content-type: text/event-stream\r\n", "x-accel-buffering: no\r\n"] {
        assert_eq!(head.matches(field).count(), 1, "{over:?}: {had}");
    }
    server.order("publish news/local one");
    read_until(&mut body, &mut had, "data: one\n\n");
    // A topic that is finished ends the response, and in order.
    server.order("finish news/local two");
    read_until(&mut body, &mut had, "data: two\n\n");
    assert!(client.wait().unwrap().success(), "{over:?}: the body ends in order");
    // One that comes back gets what it has missed, and one that has missed nothing no stream.
    let ids: Vec<&str> = had.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let [.., one, two] = ids[..] else { panic!("{had}") };
    let after = |id: &str| {
        let field = format!("Last-Event-ID: {id}");
        text(server.curl("news/local", &["--header", &field]).output().unwrap())
    };
    let missed = after(one);
    assert!(missed.contains("data: two\n\n") && !missed.contains("data: one"), "{missed}");
    assert!(after(two).contains(" 204"), "{over:?}");
    // What the hub refuses is no stream.
    let wrong = text(server.curl("a+b", &[]).output().unwrap());
    assert!(wrong.contains(" 400"), "{over:?}: {wrong}");
}

#[test]
fn the_handlers_are_those_of_the_documentation() {
    let page = include_str!("../../../docs/pull.md");
    for (source, begin) in [
        (include_str!("../src/bin/axum.rs"), "async fn events"),
        (include_str!("../src/bin/actix-web.rs"), "async fn events"),
        (include_str!("../src/bin/hyper.rs"), "fn events"),
    ] {
        let handler = &source[source.find(begin).expect("it has a handler")..];
        let handler = &handler[..handler.find("\n}\n").expect("the handler ends") + 3];
        assert!(page.contains(handler), "docs/pull.md has another handler than:\n{handler}");
    }
}

#[test]
fn axum_serves_event_streams_over_every_protocol() {
    serves(AXUM);
}

#[test]
fn actix_web_serves_event_streams_over_every_protocol() {
    serves(ACTIX_WEB);
}

#[test]
fn hyper_serves_event_streams_over_every_protocol() {
    serves(HYPER);
}
