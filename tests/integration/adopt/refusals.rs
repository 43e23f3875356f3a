//! What cannot be adopted, each with an error that says why and gives the socket back.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use fanfare::{AdoptErrorKind as Kind, AdoptRequest, Hub, StreamOptions};
use rustix::net::{sockopt, AddressFamily, SocketFlags, SocketType};

use super::{adopted, ask, asked, connected, refused, topic, wants, GET};
use crate::support::{one_shard, start, DEADLINE};

fn hub() -> Hub {
    start(one_shard())
}

/// The kind's name, for comparison.
fn name(kind: &Kind) -> String {
    let name = format!("{kind:?}");
    name.split([' ', '(', '{']).next().unwrap().to_owned()
}

#[test]
fn what_is_no_connected_stream_is_refused_and_given_back() {
    let hub = hub();
    let packets = || {
        rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
        .0
    };
    let unconnected = |family| rustix::net::socket(family, SocketType::STREAM, None).unwrap();
    let folder = std::env::temp_dir().join(format!("fanfare-refusals-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let unix_listener = UnixListener::bind(folder.join("socket")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let sockets: [(&str, OwnedFd); 10] = [
        ("NotASocket", File::open("/dev/null").unwrap().into()),
        ("NotASocket", std::io::pipe().unwrap().1.into()),
        ("NotAStream", UdpSocket::bind("127.0.0.1:0").unwrap().into()),
        ("NotAStream", UnixDatagram::unbound().unwrap().into()),
        ("NotAStream", packets()),
        ("Listening", TcpListener::bind("127.0.0.1:0").unwrap().into()),
        ("Listening", unix_listener.into()),
        ("NotConnected", unconnected(AddressFamily::INET)),
        ("NotConnected", unconnected(AddressFamily::INET6)),
        ("NotConnected", unconnected(AddressFamily::UNIX)),
    ];
    for (expected, socket) in sockets {
        let number = socket.as_raw_fd();
        let error = refused(&hub, socket, wants("a"));
        assert_eq!(name(error.kind()), expected);
        assert_eq!(error.into_socket().as_raw_fd(), number);
    }
    assert_eq!(hub.metrics().accepted_connections, 0);
}

/// A socket that was refused is as it was: the host answers on it.
fn assert_answerable(client: TcpStream, socket: OwnedFd) {
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    TcpStream::from(socket).write_all(answer).unwrap();
    let mut received = vec![0; answer.len()];
    (&client).read_exact(&mut received).unwrap();
    assert_eq!(received, answer);
}

#[test]
fn what_the_host_says_cannot_work_is_refused_and_can_be_answered() {
    let hub = hub();
    let requests: [(&str, AdoptRequest); 9] = [
        ("Tls", wants("a").tls(true)),
        ("ReadAhead", wants("a").read_ahead_bytes(1)),
        ("UnreadContent", wants("a").method("POST").has_unread_content(true)),
        ("Method", wants("a").method("HEAD")),
        ("Method", wants("a").method("get")),
        ("Method", wants("a").method("\r\n".repeat(1_000))),
        ("Request", wants("a").subscriptions([])),
        ("Request", wants("a").options(StreamOptions::default().tag("a\nb"))),
        ("Request", wants("a").header("Content-Type", "text/html")),
    ];
    for (expected, request) in requests {
        let (client, server) = asked();
        let error = refused(&hub, server, request);
        assert_eq!(name(error.kind()), expected);
        assert!(error.to_string().len() < 512, "{error}");
        assert_answerable(client, error.into_socket());
    }
}

#[test]
fn header_fields_cannot_inject_lines_or_contradict_the_engines_own() {
    let hub = hub();
    for (field, value) in [
        ("X", "a\r\nSet-Cookie: stolen=1"),
        ("X", "a\nb"),
        ("X\r\nY", "a"),
        ("X: a\r\nY", "a"),
        ("", "a"),
        ("X", "\0"),
        ("X", "gr\u{fc}n"),
        ("Transfer-Encoding", "identity"),
        ("content-length", "0"),
        ("Connection", "keep-alive"),
        ("Cache-Control", "max-age=60"),
        ("Content-Encoding", "gzip"),
    ] {
        let (client, server) = asked();
        let error = refused(&hub, server, wants("a").header(field, value));
        let Kind::Request(options) = error.kind() else { panic!("{error}") };
        assert_eq!(options.option, "headers");
        assert_answerable(client, error.into_socket());
    }
    let many = vec![("X", ""); 33];
    let error = refused(&hub, asked().1, wants("a").headers(many));
    assert!(matches!(error.kind(), Kind::Request(_)), "{error}");
}

#[test]
fn bytes_that_wait_are_refused_and_can_still_be_read() {
    let hub = hub();
    // The first record of a client of TLS, one of its data, content, and a second request.
    for (expected, waiting) in [
        ("Tls", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..]),
        ("Tls", b"\x17\x03\x03\x00\x13"),
        ("Waiting", b"prompt"),
        ("Waiting", b"\x16"),
        ("Waiting", b"\r\n\r\n\r\n"),
        ("Waiting", GET),
    ] {
        let (client, mut server) = asked();
        (&client).write_all(waiting).unwrap();
        assert!(server.peek(&mut [0]).unwrap() > 0);
        while server.peek(&mut vec![0; waiting.len()]).unwrap() < waiting.len() {}
        let error = refused(&hub, server, wants("a"));
        assert_eq!(name(error.kind()), expected, "{waiting:?}");
        server = error.into_socket().into();
        let mut received = vec![0; waiting.len()];
        server.read_exact(&mut received).unwrap();
        assert_eq!(received, waiting);
        // Now nothing waits.
        hub.adopt(server, wants("a")).unwrap();
    }
    let (client, server) = UnixStream::pair().unwrap();
    ask(&client, &server, GET);
    (&client).write_all(b"more").unwrap();
    assert_eq!(name(refused(&hub, server, wants("a")).kind()), "Waiting");
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_has_not_sent_all_of_an_earlier_answer_is_refused() {
    let hub = hub();
    let (mut client, server) = asked();
    server.set_nonblocking(true).unwrap();
    let mut written = 0;
    // The client reads nothing.
    let error = loop {
        match (&server).write(&[b'x'; 1 << 16]) {
            Ok(bytes) => written += bytes,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let error = refused(&hub, server, wants("a"));
    let &Kind::Unsent { bytes, .. } = error.kind() else { panic!("{error}") };
    assert!(bytes > 0 && bytes < written, "{bytes} of {written}");
    // When the client has read all, it is adopted, and its stream is behind that.
    let mut server = error.into_socket();
    client.read_exact(&mut vec![0; written]).unwrap();
    let start = std::time::Instant::now();
    while let Err(error) = hub.adopt(server, wants("a")) {
        assert!(start.elapsed() < DEADLINE, "{error}");
        server = error.into_socket();
    }
    let mut client = crate::support::Client::of(client);
    hub.publish(&topic("a"), "x").unwrap();
    assert_eq!(client.data(), "x");
}

#[test]
fn a_keep_alive_connection_is_adopted_right_behind_an_earlier_answer() {
    let hub = hub();
    let (mut client, server) = connected();
    for _ in 0..50 {
        ask(&client, &server, GET);
        let answer = [b'x'; 4_096];
        (&server).write_all(&answer).unwrap();
        client.read_exact(&mut [0; 4_096]).unwrap();
    }
    // The last answer may be without acknowledgement yet, but it was sent.
    ask(&client, &server, GET);
    hub.adopt(server, wants("a")).unwrap();
    assert_eq!(crate::support::Client::of(client).status(), 200);
}

#[test]
fn a_socket_that_was_shut_down_or_reset_is_refused() {
    let hub = hub();
    let (_client, server) = asked();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(name(refused(&hub, server, wants("a")).kind()), "ShutDown");
    let (_client, server) = UnixStream::pair().unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(name(refused(&hub, server, wants("a")).kind()), "ShutDown");

    let (client, server) = asked();
    sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    let reset = server.peek(&mut [0]).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    assert_eq!(name(refused(&hub, server, wants("a")).kind()), "NotConnected");
}

#[test]
fn a_hub_that_is_closed_or_drained_adopts_nothing() {
    let closed = hub();
    closed.close();
    let drained = hub();
    drained.drain(fanfare::DrainOptions::default());
    for hub in [closed, drained] {
        let (client, server) = asked();
        let error = refused(&hub, server, wants("a"));
        assert_eq!(name(error.kind()), "Closed");
        assert_answerable(client, error.into_socket());
    }
    let (hub, drivers) = Hub::with_drivers(one_shard()).unwrap();
    drop(drivers);
    assert_eq!(name(refused(&hub, asked().1, wants("a")).kind()), "Closed");
}

#[test]
fn a_refused_connection_costs_the_others_nothing() {
    let hub = hub();
    let mut client = adopted(&hub, wants("a"));
    for _ in 0..100 {
        refused(&hub, asked().1, wants("a").tls(true));
    }
    hub.publish(&topic("a"), "x").unwrap();
    assert_eq!(client.data(), "x");
    let metrics = hub.metrics();
    assert_eq!(
        (metrics.connections, metrics.subscriptions, metrics.pending_connections),
        (1, 1, 0)
    );
}
