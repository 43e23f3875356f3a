//! Listeners at Unix domain sockets, on sockets that others have bound, and several at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use fanfare::{
    ClientStream, ConnectionFilter, Event, Hub, ListenAddr, ListenError, ListenOptions, Topic,
    UnhandledRequest,
};

use crate::support::{close, one_shard, serve, shards, start, wait_until, Client, DEADLINE};

const REQUEST: &str = "GET /events?topic=a HTTP/1.1\r\nHost: any.example\r\n\r\n";

/// A path of a test's own.
fn path_of(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("fanfare-listen-{test}-{}.sock", std::process::id()))
}

/// Sends a request to a Unix domain socket.
fn send(path: &Path, request: &str) -> TcpStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    any(stream)
}

/// A client's socket as [`Client`] takes it, which only reads and writes it.
fn any(stream: UnixStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    TcpStream::from(OwnedFd::from(stream))
}

fn rest(mut stream: TcpStream) -> String {
    let mut received = String::new();
    stream.read_to_string(&mut received).expect("an answer, and then the end");
    received
}

fn publish(hub: &Hub, data: &str) {
    hub.publish_wait(&Topic::new("a").unwrap(), Event::new(data), DEADLINE).unwrap();
}

#[test]
fn a_unix_socket_serves_streams_to_whatever_host_without_an_address_or_a_limit_by_it() {
    let hub = start(shards(2).connections_per_address_max(1));
    let path = path_of("streams");
    let listener = hub.listen_unix(&path, ListenOptions::default().socket_mode(0o660)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(listener.addr().to_string(), format!("unix:{}", path.display()));
    assert!(listener.is_named("any.example"));
    let mut clients: Vec<Client> = (0..20).map(|_| Client::of(send(&path, REQUEST))).collect();
    publish(&hub, "x");
    assert!(clients.iter_mut().all(|client| client.data() == "x"));
    let all = hub.connections(&ConnectionFilter::default()).unwrap();
    assert!(all.len() == 20 && all.iter().all(|one| one.addr.is_none()));
    let answer = rest(send(&path, "GET /x HTTP/1.0\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    drop(listener);
    assert!(!path.exists());
    publish(&hub, "y");
    assert!(clients.iter_mut().all(|client| client.data() == "y"));
}

#[test]
fn a_unix_socket_checks_the_host_where_names_are_given() {
    let hub = start(one_shard());
    let path = path_of("hosts");
    let options = ListenOptions::default().hosts(["a.example"]);
    let _listener = hub.listen_unix(&path, options).unwrap();
    assert!(rest(send(&path, REQUEST)).starts_with("HTTP/1.1 421 "));
    let named = REQUEST.replace("any.example", "a.example");
    assert_eq!(Client::of(send(&path, &named)).status(), 200);
}

#[test]
fn the_file_of_a_socket_goes_with_the_hub_too_and_a_live_servers_is_left_alone() {
    let hub = start(one_shard());
    let path = path_of("file");
    let listener = hub.listen_unix(&path, ListenOptions::default()).unwrap();
    let other = start(one_shard());
    match other.listen_unix(&path, ListenOptions::default()) {
        Err(ListenError::Bind(error)) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        opened => panic!("{opened:?}"),
    }
    close(&hub);
    assert!(!path.exists());
    // As a server leaves it that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let _replaced = other.listen_unix(&path, ListenOptions::default()).unwrap();
    assert_eq!(Client::of(send(&path, REQUEST)).status(), 200);
    drop(listener);
    assert!(path.exists(), "it is the other server's");
}

#[test]
fn a_slow_client_at_a_unix_socket_is_sent_everything_in_order() {
    const EVENTS: usize = 300;
    let bounds = one_shard().lag_bytes_max(64 << 20).lag_total_bytes_max(64 << 20);
    for send_buffer_bytes in [None, Some(4 << 10)] {
        let hub = start(bounds.clone());
        let path = path_of("slow");
        let mut options = ListenOptions::default();
        options.send_buffer_bytes = send_buffer_bytes;
        let _listener = hub.listen_unix(&path, options).unwrap();
        let mut client = Client::of(send(&path, REQUEST));
        let text = "x".repeat(8 << 10);
        for number in 0..EVENTS {
            publish(&hub, &format!("{number} {text}"));
        }
        wait_until("it lags", || hub.metrics().lagging_connections == 1);
        for number in 0..EVENTS {
            assert_eq!(client.data(), format!("{number} {text}"));
        }
        assert_eq!(hub.metrics().connections, 1);
    }
}

#[test]
fn a_client_that_leaves_a_unix_socket_is_noticed() {
    let hub = start(one_shard());
    let path = path_of("leaves");
    let _listener = hub.listen_unix(&path, ListenOptions::default()).unwrap();
    let silent = UnixStream::connect(&path).unwrap();
    let client = Client::of(send(&path, REQUEST));
    wait_until("they are here", || hub.metrics().pending_connections == 1);
    drop((silent, client));
    wait_until("they have left", || {
        hub.metrics().connections + hub.metrics().pending_connections == 0
    });
}

#[test]
fn a_request_at_a_unix_socket_goes_to_the_fallback_and_back() {
    let (fallback, requests) = fanfare::fallback(4);
    let hub = start(one_shard());
    let path = path_of("fallback");
    let options = ListenOptions::default().fallback(fallback);
    let listener = hub.listen_unix(&path, options).unwrap();
    let asking = send(&path, "GET /x HTTP/1.0\r\n\r\n");
    let mut unhandled = requests.wait(DEADLINE).unwrap();
    assert!(matches!(unhandled.stream, ClientStream::Unix(_)));
    assert_eq!((unhandled.addr, unhandled.peer), (None, None));
    unhandled.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    unhandled.read = REQUEST.into();
    listener.admit(unhandled).unwrap();
    let answered = Client::of(asking);
    assert!(answered.head.contains("Content-Length: 0"));
    wait_until("it is a stream", || hub.metrics().connections == 1);

    // A TCP listener takes a connection of a Unix domain, and a Unix one a TCP connection.
    let tcp = hub.listen("127.0.0.1:0", ListenOptions::default().hosts(["*"])).unwrap();
    let (client, stream) = UnixStream::pair().unwrap();
    tcp.admit(UnhandledRequest::new(stream, None, REQUEST.into())).unwrap();
    assert_eq!(Client::of(any(client)).status(), 200);
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(own.local_addr().unwrap()).unwrap();
    let (stream, addr) = own.accept().unwrap();
    listener.admit(UnhandledRequest::new(stream, addr, REQUEST.into())).unwrap();
    assert_eq!(Client::of(client).status(), 200);
}

#[test]
fn a_proxy_at_a_unix_socket_says_who_its_clients_are() {
    let hub = start(one_shard().connections_per_address_max(1));
    let (header, field) = (path_of("header"), path_of("field"));
    let options = ListenOptions::default();
    let _headers = hub.listen_unix(&header, options.clone().proxy_protocol_from(["unix"])).unwrap();
    let _fields = hub.listen_unix(&field, options.trusted_proxies(["unix"])).unwrap();
    let in_front = format!("PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n{REQUEST}");
    let _one = Client::of(send(&header, &in_front));
    let client = "\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n";
    let _two = Client::of(send(&field, &REQUEST.replace("\r\n\r\n", client)));
    let all = hub.connections(&ConnectionFilter::default()).unwrap();
    let mut addrs: Vec<_> = all.iter().map(|one| one.addr.unwrap().to_string()).collect();
    addrs.sort();
    assert_eq!(addrs, ["192.0.2.1:1", "192.0.2.2:0"]);
    assert!(rest(send(&header, REQUEST)).starts_with("HTTP/1.1 400 "));
    // The limit is now that of the clients.
    assert!(rest(send(&header, &in_front)).contains("retry: "));
}

#[test]
fn several_listeners_serve_the_same_streams() {
    let hub = start(shards(2));
    let path = path_of("several");
    let options = || ListenOptions::default().hosts(["*"]);
    let mut listeners = vec![
        hub.listen("127.0.0.1:0", options()).unwrap(),
        hub.listen_unix(&path, options()).unwrap(),
    ];
    listeners.extend(hub.listen("[::1]:0", options()).ok());
    #[cfg(target_os = "linux")]
    listeners.push({
        let name = format!("\0fanfare-several-{}", std::process::id());
        hub.listen_unix(name, options()).unwrap()
    });
    let mut clients: Vec<Client> = listeners
        .iter()
        .map(|listener| match listener.addr() {
            ListenAddr::Tcp(addr) => Client::get(*addr, "/events?topic=a"),
            ListenAddr::Unix(addr) => {
                let mut stream = UnixStream::connect_addr(addr).unwrap();
                stream.write_all(REQUEST.as_bytes()).unwrap();
                Client::of(any(stream))
            }
            other => panic!("{other}"),
        })
        .collect();
    publish(&hub, "x");
    assert!(clients.iter_mut().all(|client| client.data() == "x"));
    // The end of one is not the end of another.
    drop(listeners.remove(0));
    assert_eq!(Client::of(send(&path, REQUEST)).status(), 200);
}

#[test]
fn a_socket_that_others_have_too_is_listened_on_until_then_and_not_shut_down() {
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = bound.local_addr().unwrap();
    let hub = start(shards(2));
    let given = bound.try_clone().unwrap();
    let listener = hub.listen_on(given, ListenOptions::default()).unwrap();
    assert_eq!(listener.local_addr(), addr);
    let mut client = Client::get(addr, "/events?topic=a");
    drop(listener);
    publish(&hub, "x");
    assert_eq!(client.data(), "x");
    // The next client is the owner's, whether a shard still polls the socket or not.
    let waiting = TcpStream::connect(addr).unwrap();
    let mut accepted = None;
    wait_until("the owner accepts", || {
        accepted = bound.accept().ok();
        accepted.is_some()
    });
    assert_eq!(accepted.unwrap().1, waiting.local_addr().unwrap());
    // And another hub listens on it.
    let again = start(one_shard());
    let _listener = again.listen_on(bound, ListenOptions::default()).unwrap();
    assert_eq!(Client::get(addr, "/events?topic=a").status(), 200);
    close(&hub);
    assert_eq!(Client::get(addr, "/events?topic=a").status(), 200);
}

/// Multipath TCP is what Go's listeners have by default; a system may not have it.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_of_multipath_tcp_is_listened_on_with_the_options_that_it_knows() {
    use rustix::net::{ipproto, sockopt, AddressFamily, SocketType};
    let Ok(bound) =
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP))
    else {
        return println!("this system has no Multipath TCP");
    };
    rustix::net::bind(&bound, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&bound, 8).unwrap();
    let bound = TcpListener::from(bound);
    let addr = bound.local_addr().unwrap();
    let hub = start(one_shard());
    let _listener = hub.listen_on(bound.try_clone().unwrap(), ListenOptions::default()).unwrap();
    // What comes behind an option that it does not know is set as well.
    assert!(sockopt::socket_keepalive(&bound).unwrap());
    let mut client = Client::get(addr, "/events?topic=a");
    publish(&hub, "x");
    assert_eq!(client.data(), "x");
    close(&hub);
    assert!(client.ends_cleanly());
}

#[test]
fn a_unix_socket_that_was_bound_elsewhere_keeps_its_file() {
    let path = path_of("given");
    let hub = start(one_shard());
    let bound = UnixListener::bind(&path).unwrap();
    let listener = hub.listen_on(bound, ListenOptions::default()).unwrap();
    assert_eq!(Client::of(send(&path, REQUEST)).status(), 200);
    drop(listener);
    close(&hub);
    assert!(path.exists());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_cannot_be_listened_on_is_given_back() {
    let (hub, _listener) = serve(one_shard());
    let (path, datagrams) = (path_of("datagrams"), UdpSocket::bind("127.0.0.1:0").unwrap());
    let connected = TcpStream::connect(_listener.local_addr()).unwrap();
    let unbound: OwnedFd = {
        use rustix::net::{AddressFamily, SocketType};
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap()
    };
    let file = std::fs::File::open("/dev/null").unwrap();
    let unix_datagrams = UnixDatagram::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let sockets: [(OwnedFd, &str); 5] = [
        (datagrams.into(), "not a stream socket"),
        (unix_datagrams.into(), "not a stream socket"),
        (connected.into(), "does not listen"),
        (unbound, "does not listen"),
        (file.into(), "not a socket"),
    ];
    for (socket, why) in sockets {
        let fd = socket.as_raw_fd();
        let error = hub.listen_on(socket, ListenOptions::default()).unwrap_err();
        assert_eq!(error.socket.as_raw_fd(), fd);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(why), "{source}");
    }
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = bound.local_addr().unwrap();
    let error = hub.listen_on(bound, ListenOptions::default().path("x")).unwrap_err();
    assert!(matches!(error.error, ListenError::Options(_)), "{error:?}");
    close(&hub);
    let error = hub.listen_on(error.socket, ListenOptions::default()).unwrap_err();
    assert!(matches!(error.error, ListenError::Closed), "{error:?}");
    let bound = TcpListener::from(error.socket);
    assert_eq!(bound.local_addr().unwrap(), addr);
    let _client = TcpStream::connect(addr).unwrap();
    let none = SocketAddr::from(([0, 0, 0, 0], 0));
    assert_ne!(bound.accept().map_or(none, |(_, addr)| addr), none);
}
