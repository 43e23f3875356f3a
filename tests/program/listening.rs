//! Where the public listeners are: several at once, Unix domain sockets, sockets that the program
//! was started with; and the clients of proxies in front of them.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::http::{get, Connection};
use crate::process::{fanfare, publish_all, run, Server};
use crate::support::{wait_until, Client};

/// A path for a test's Unix socket.
fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("fanfare-{}-{name}.sock", std::process::id()))
}

/// What curl says of a URL's status, at a Unix socket.
fn curl(path: &Path, url: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket"]);
    String::from_utf8(run(command.arg(path).arg(url)).stdout).unwrap()
}

/// A client of a stream at a Unix socket.
fn stream_at(path: &Path, fields: &str) -> Client {
    let mut stream = UnixStream::connect(path).unwrap();
    let request = format!("GET /events?topic=a HTTP/1.1\r\nHost: any.example\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    Client::of(TcpStream::from(OwnedFd::from(stream)))
}

/// The program as systemd starts it: with these sockets from descriptor 3 on, two at most, and
/// variables that tell of them.
fn activated(sockets: Vec<OwnedFd>, names: &str, arguments: &[&str]) -> Command {
    let count = sockets.len();
    let serve = fanfare(&["serve", "--log", "off"]);
    // A shell moves the sockets to their place, and becomes the program, with the same process id.
    let script = format!(
        "exec 3<&0; [ {count} -eq 1 ] || exec 4<&2; exec </dev/null 2>/dev/null
         export LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names}
         exec \"$0\" \"$@\""
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]).arg(serve.get_program());
    command.args(serve.get_args()).args(arguments);
    for (name, value) in serve.get_envs().filter(|(_, value)| value.is_none()) {
        assert!(value.is_none());
        command.env_remove(name);
    }
    let mut sockets = sockets.into_iter();
    command.stdin(Stdio::from(sockets.next().unwrap()));
    command.stderr(sockets.next().map_or_else(Stdio::null, Stdio::from));
    command
}

fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

#[test]
fn several_listeners_are_announced_and_serve_the_same() {
    let path = socket_path("several");
    let unix = format!("unix:{}", path.display());
    let mut command = fanfare(&["serve", "--log", "off", "--listen", "127.0.0.1:0"]);
    command.args(["--listen", &unix, "--listen", "127.0.0.1:0", "--socket-mode", "660"]);
    command.env("FANFARE_PUBLISH_TOKEN", "s3cret");
    let mut server = Server::without_control(&mut command);
    assert_eq!(server.line(), format!("listening on {unix}"));
    let second = server.line();
    let second: SocketAddr = second.strip_prefix("listening on http://").unwrap().parse().unwrap();
    let control = server.line();
    server.control = control.strip_prefix("control on http://").unwrap().parse().unwrap();

    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut clients = [
        Client::get(server.addr, "/events?topic=a"),
        Client::get(second, "/events?topic=a"),
        stream_at(&path, ""),
    ];
    let file = socket_path("several-token");
    std::fs::write(&file, "s3cret").unwrap();
    // What is not for events is served at each of them too, and with the token events are
    // published.
    let token = ["--topic", "a", "--token-file", file.to_str().unwrap()];
    for (url, text) in [(&*unix, "unix"), (&format!("http://{second}"), "tcp")] {
        let output = publish_all(url, &token, text.as_bytes());
        assert!(output.status.success(), "{output:?}");
        for client in &mut clients {
            assert_eq!(client.data(), text);
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(curl(&path, "http://any.example/healthz"), "200");
    assert_eq!(curl(&path, "http://any.example/publish"), "405");
    assert_eq!(curl(&path, "http://any.example/nothing"), "404");
    // A Host is checked where a browser can be made to get.
    let mut connection = Connection::open(second);
    connection.send("GET /nothing HTTP/1.1\r\nHost: any.example\r\n\r\n");
    assert_eq!(connection.answer().status, 421);
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(!path.exists());
}

/// A browser, and a client's connection pool, asks for events on a connection that it has.
#[test]
fn a_connection_of_a_unix_socket_that_is_kept_alive_becomes_a_stream() {
    let path = socket_path("kept-alive");
    let unix = format!("unix:{}", path.display());
    let mut command = fanfare(&["serve", "--log", "off", "--listen", "127.0.0.1:0"]);
    let server = Server::without_control(command.args(["--listen", &unix]));
    let mut stream = UnixStream::connect(&path).unwrap();
    let nothing = "GET /nothing HTTP/1.1\r\nHost: any.example\r\n\r\n";
    let events = nothing.replace("/nothing", "/events?topic=a");
    stream.write_all(format!("{nothing}{events}").as_bytes()).unwrap();
    let stream = TcpStream::from(OwnedFd::from(stream));
    let mut connection = Connection::of(stream);
    assert_eq!(connection.exact_answer().status, 404);
    assert_eq!(Client::of(connection.into_stream()).status(), 200);
    drop(server);
}

#[test]
fn without_a_tcp_listener_control_is_on_a_free_port() {
    let path = socket_path("alone");
    let unix = format!("unix:{}", path.display());
    let mut command = fanfare(&["serve", "--log", "off", "--listen", &unix]);
    let mut server = Server::at_no_address(&mut command);
    let control = server.line();
    server.control = control.strip_prefix("control on http://127.0.0.1:").map_or_else(
        || panic!("{control:?}"),
        |port| SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())),
    );
    let mut client = stream_at(&path, "");
    assert!(publish_all(&server.url(), &["--topic", "a"], b"x").status.success());
    assert_eq!(client.data(), "x");
    // Killed, it leaves its file behind, which the next one replaces.
    server.process.kill();
    assert!(path.exists());
    let mut command = fanfare(&["serve", "--log", "off", "--listen", &unix]);
    let mut server = Server::at_no_address(&mut command);
    assert_eq!(stream_at(&path, "").status(), 200);
    let second = run(&mut fanfare(&["serve", "--listen", &unix]));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another server listens there"), "{said}");
    server.process.signal("TERM");
    server.process.end();
}

#[test]
fn systemd_passes_sockets_that_outlive_the_server() {
    let path = socket_path("systemd");
    let (tcp, addr) = bound();
    let unix = UnixListener::bind(&path).unwrap();
    let start = |arguments: &[&str]| {
        let sockets = vec![tcp.try_clone().unwrap().into(), unix.try_clone().unwrap().into()];
        activated(sockets, "public:admin", arguments)
    };
    let mut server = Server::without_control(&mut start(&["--listen", "systemd"]));
    assert_eq!(server.addr, addr);
    assert_eq!(server.line(), format!("listening on unix:{}", path.display()));
    let control = server.line();
    server.control = control.strip_prefix("control on http://").unwrap().parse().unwrap();
    let mut clients = [Client::get(addr, "/events?topic=a"), stream_at(&path, "")];
    assert!(publish_all(&server.url(), &["--topic", "a"], b"x").status.success());
    assert!(clients.iter_mut().all(|client| client.data() == "x"));
    assert_eq!(curl(&path, "http://any.example/healthz"), "200");
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(path.exists(), "it is systemd's");

    // Who comes in between waits, and the next server serves it. It takes the socket of one name.
    let mut waiting = Connection::open(addr);
    waiting.send("GET /healthz HTTP/1.0\r\n\r\n");
    let mut command = start(&["--listen", "systemd:public"]);
    let server = Server::without_control(&mut command);
    assert_eq!(server.addr, addr);
    assert_eq!(waiting.answer().status, 200);
    drop(server);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_descriptor_by_its_number_is_listened_on() {
    let (tcp, addr) = bound();
    let mut command = activated(vec![tcp.into()], "", &["--listen", "fd:3"]);
    let server = Server::without_control(&mut command);
    assert_eq!(server.addr, addr);
    assert_eq!(Client::get(addr, "/events?topic=a").status(), 200);
}

#[test]
fn what_the_program_was_not_started_with_is_an_error_that_says_so() {
    let said = |command: &mut Command| {
        let output = run(command);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let serve = |listen: &str| fanfare(&["serve", "--log", "off", "--listen", listen]);
    let text = said(&mut serve("systemd"));
    assert!(text.contains("systemd has passed no socket"), "{text}");
    let text = said(serve("systemd").env("LISTEN_PID", "1").env("LISTEN_FDS", "1"));
    assert!(text.contains("systemd has passed no socket"), "{text}");
    let text = said(&mut serve("fd:77"));
    assert!(text.contains("--listen fd:77: the process was not started with"), "{text}");
    let text = said(&mut serve("8080"));
    assert!(text.contains("HOST:PORT, unix:/PATH"), "{text}");
    for (flag, value) in [("--trusted-proxy", "10.0.0.1/8"), ("--proxy-protocol-from", "x.example")]
    {
        let text = said(serve("127.0.0.1:0").args([flag, value]));
        assert!(text.contains("10.0.0.0/8"), "{text}");
    }
}

#[test]
fn behind_a_trusted_proxy_the_bounds_and_lists_see_its_clients() {
    let server = Server::start(&[
        "--connections-per-address-max=1",
        "--trusted-proxy=127.0.0.1",
        "--overload=unavailable",
    ]);
    let send = |path: &str, client: &str| {
        let mut connection = Connection::open(server.addr);
        connection.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n"
        ));
        connection
    };
    // Requests that are not for events, of as many clients, on connections that are kept alive.
    let mut kept: Vec<_> = (1..9).map(|n| send("/nothing", &format!("192.0.2.{n}"))).collect();
    for connection in &mut kept {
        assert_eq!(connection.answer().status, 404);
        connection.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(connection.answer().status, 404);
    }
    // One more of the same client takes the place of its first one.
    assert_eq!(send("/nothing", "192.0.2.1").answer().status, 404);
    assert!(kept[0].is_closed());
    let _streams: Vec<_> = (1..9)
        .map(|n| Client::of(send("/events?topic=a", &format!("192.0.2.{n}")).into_stream()))
        .collect();
    assert_eq!(send("/events?topic=a", "192.0.2.1").answer().status, 503);
    let listed = get(server.control, "/connections").body;
    assert!((1..9).all(|n| listed.contains(&format!("192.0.2.{n}"))), "{listed}");
    // A kept-alive connection of the proxy's that asks for events now does so for another client.
    kept[1].send(
        "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.77\r\n\r\n",
    );
    wait_until("it is a stream", || {
        get(server.control, "/connections").body.contains("192.0.2.77")
    });
}

#[test]
fn a_proxy_header_comes_before_every_kind_of_request() {
    let server = Server::start(&["--proxy-protocol-from", "127.0.0.0/8"]);
    let send = |path: &str| {
        let mut connection = Connection::open(server.addr);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.send(format!("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n{request}"));
        connection
    };
    assert_eq!(send("/healthz").answer().status, 200);
    let mut kept = send("/nothing");
    assert_eq!(kept.answer().status, 404);
    kept.send("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _stream = Client::of(kept.into_stream());
    wait_until("it is listed", || {
        get(server.control, "/connections").body.contains("192.0.2.7:4711")
    });
    assert_eq!(get(server.addr, "/healthz").status, 400);
}
