//! Every kind of socket that can be adopted, what is set on it, and its duplicates elsewhere.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use fanfare::{AdoptErrorKind, ConnectionFilter, ConnectionSelector};
use rustix::fs::{fcntl_getfl, OFlags};
use rustix::net::sockopt;

use super::{ask, asked, connected_at, refused, topic, wants, GET};
use crate::support::{close, one_shard, start, wait_until, Client, DEADLINE};

/// A client's end as one that the test's client reads: what it calls is the same for all sockets.
fn as_tcp(socket: impl Into<OwnedFd>) -> TcpStream {
    let socket = TcpStream::from(socket.into());
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

#[test]
fn connections_of_both_families_of_ip_and_of_unix_domain_sockets_become_streams() {
    let hub = start(one_shard());
    let mut clients = Vec::new();
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let (client, server) = connected_at(addr);
        ask(&client, &server, GET);
        hub.adopt(server, wants("a")).unwrap();
        let addr = client.local_addr().ok();
        clients.push(Client::of(client));
        let listed = hub.connections(&ConnectionFilter::default()).unwrap();
        assert!(listed.iter().any(|one| one.addr == addr), "{listed:?}");
    }
    let (client, server) = UnixStream::pair().unwrap();
    ask(&client, &server, GET);
    hub.adopt(server, wants("a")).unwrap();
    clients.push(Client::of(as_tcp(client)));

    let folder = std::env::temp_dir().join(format!("fanfare-adopt-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let listener = UnixListener::bind(folder.join("socket")).unwrap();
    let client = UnixStream::connect(folder.join("socket")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (server, _) = listener.accept().unwrap();
    ask(&client, &server, GET);
    hub.adopt(server, wants("a")).unwrap();
    clients.push(Client::of(as_tcp(client)));

    let listed = hub.connections(&ConnectionFilter::default()).unwrap();
    assert_eq!(listed.iter().filter(|one| one.addr.is_none()).count(), 2);
    hub.publish(&topic("a"), "x").unwrap();
    assert!(clients.iter_mut().all(|client| client.data() == "x"));
    close(&hub);
    assert!(clients.iter_mut().all(Client::ends_cleanly));
}

/// Multipath TCP is what Go's listeners have by default; a system may not have it.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_of_multipath_tcp_becomes_a_stream() {
    use rustix::net::{ipproto, AddressFamily, SocketType};
    let socket =
        || rustix::net::socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP)).ok();
    let (Some(server), Some(client)) = (socket(), socket()) else {
        return println!("this system has no Multipath TCP");
    };
    rustix::net::bind(&server, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&server, 8).unwrap();
    let server = std::net::TcpListener::from(server);
    rustix::net::connect(&client, &server.local_addr().unwrap()).unwrap();
    let (client, server) = (as_tcp(client), server.accept().unwrap().0);
    ask(&client, &server, GET);
    let hub = start(one_shard());
    let duplicate = server.try_clone().unwrap();
    hub.adopt(server, wants("a")).unwrap();
    // What comes behind an option that it does not know is set as well.
    assert!(sockopt::socket_keepalive(&duplicate).unwrap());
    let mut client = Client::of(client);
    hub.publish(&topic("a"), "x").unwrap();
    assert_eq!(client.data(), "x");
    close(&hub);
    assert!(client.ends_cleanly());
}

#[test]
fn a_tcp_socket_gets_a_listeners_options_and_keeps_whether_it_blocks() {
    let hub = start(one_shard());
    for blocks in [true, false] {
        let (client, server) = asked();
        server.set_nonblocking(!blocks).unwrap();
        // What would have the end of the stream wait, or cut it.
        sockopt::set_socket_linger(&server, Some(Duration::from_secs(60))).unwrap();
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_cork(&server, true).unwrap();
        let duplicate = server.try_clone().unwrap();
        hub.adopt(server, wants("a")).unwrap();
        let mut client = Client::of(client);
        assert!(sockopt::tcp_nodelay(&duplicate).unwrap());
        assert!(sockopt::socket_keepalive(&duplicate).unwrap());
        assert_eq!(sockopt::socket_linger(&duplicate).unwrap(), None);
        #[cfg(target_os = "linux")]
        {
            assert!(!sockopt::tcp_cork(&duplicate).unwrap());
            assert_eq!(sockopt::tcp_keepidle(&duplicate).unwrap(), Duration::from_secs(15));
            assert_eq!(sockopt::tcp_user_timeout(&duplicate).unwrap(), 30_000);
        }
        let is_blocking = !fcntl_getfl(&duplicate).unwrap().contains(OFlags::NONBLOCK);
        assert_eq!(is_blocking, blocks);
        hub.publish(&topic("a"), "x").unwrap();
        assert_eq!(client.data(), "x");
    }
}

#[test]
fn a_client_sees_the_end_while_a_duplicate_is_open_elsewhere() {
    let hub = start(one_shard());
    let (tcp, (unix, unix_server)) = (asked(), UnixStream::pair().unwrap());
    ask(&unix, &unix_server, GET);
    let sockets = [(tcp.0, OwnedFd::from(tcp.1)), (as_tcp(unix), OwnedFd::from(unix_server))];
    for (client, server) in sockets {
        let duplicate = server.try_clone().unwrap();
        hub.adopt(server, wants("a")).unwrap();
        let mut client = Client::of(client);
        hub.publish(&topic("a"), "x").unwrap();
        assert_eq!(client.data(), "x");
        hub.disconnect(&ConnectionSelector::All, Duration::ZERO).unwrap();
        assert!(client.ends_cleanly());
        assert_eq!(client.into_socket().read(&mut [0]).unwrap(), 0);
        // The engine has let go of it: what happens to the duplicate concerns nobody.
        let mut duplicate = TcpStream::from(duplicate);
        assert_eq!(duplicate.read(&mut [0]).unwrap(), 0);
        assert!(duplicate.write(b"x").is_err());
    }
    wait_until("both have ended", || hub.metrics().connections == 0);
}

#[test]
fn a_client_sees_the_end_while_another_process_has_a_duplicate() {
    let hub = start(one_shard());
    let (client, server) = asked();
    let duplicate = OwnedFd::from(server.try_clone().unwrap());
    let mut process =
        Command::new("sleep").arg("600").stdin(Stdio::from(duplicate)).spawn().unwrap();
    hub.adopt(server, wants("a")).unwrap();
    let mut client = Client::of(client);
    hub.disconnect(&ConnectionSelector::All, Duration::ZERO).unwrap();
    let is_whole = client.ends_cleanly();
    let ends = client.into_socket().read(&mut [0]).ok() == Some(0);
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(is_whole && ends);
}

#[test]
fn a_connection_whose_stream_has_ended_cannot_be_adopted_again() {
    let hub = start(one_shard());
    let (client, server) = asked();
    let duplicate = server.try_clone().unwrap();
    hub.adopt(server, wants("a")).unwrap();
    let mut client = Client::of(client);
    hub.disconnect(&ConnectionSelector::All, Duration::ZERO).unwrap();
    assert!(client.ends_cleanly());
    wait_until("it has ended", || hub.metrics().connections == 0);
    let error = refused(&hub, duplicate, wants("a"));
    assert!(matches!(error.kind(), AdoptErrorKind::ShutDown), "{error}");
}
