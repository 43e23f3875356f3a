//! Adopted connections count with all others, and those beyond a limit are given back.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use fanfare::{AdoptError, AdoptErrorKind, AdoptRequest, Hub, ListenOptions, StreamOptions};

use super::{adopted, ask, asked, refused, wants, GET};
use crate::support::{one_shard, shards, start, wait_until, Client};

fn limit(error: &AdoptError) -> &'static str {
    match error.kind() {
        AdoptErrorKind::Limit { option, .. } => option,
        other => panic!("{other:?}"),
    }
}

/// Adopts a connection that is within the limits as soon as others have ended, which takes a
/// moment.
fn adopt_when_there_is_room(hub: &Hub, socket: impl Into<OwnedFd>) {
    let mut socket = Some(socket.into());
    wait_until("there is room", || {
        let adopted = hub.adopt(socket.take().unwrap(), wants("a"));
        let Err(error) = adopted else { return true };
        limit(&error);
        socket = Some(error.into_socket());
        false
    });
}

fn from(addr: [u8; 4]) -> AdoptRequest {
    wants("a").options(StreamOptions::default().addr(SocketAddr::from((addr, 80))))
}

#[test]
fn connections_of_a_listener_and_adopted_ones_share_the_limit() {
    let hub = start(one_shard().connections_max(3));
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let first = adopted(&hub, wants("a"));
    let second = Client::get(listener.local_addr(), "/events?topic=a");
    let _third = adopted(&hub, wants("a"));
    let (client, server) = asked();
    let error = refused(&hub, server, wants("a"));
    assert_eq!(limit(&error), "connections_max");
    // The listener tells its own client to come again.
    let mut told = Client::get(listener.local_addr(), "/events?topic=a");
    assert!(told.ends_cleanly());
    drop((first, second, told));
    adopt_when_there_is_room(&hub, error.into_socket());
    assert_eq!(Client::of(client).status(), 200);
}

#[test]
fn the_limit_per_address_counts_by_the_peer_or_what_the_host_says() {
    let hub = start(shards(2).connections_per_address_max(2));
    let mut clients: Vec<_> = (0..2).map(|_| adopted(&hub, wants("a"))).collect();
    assert_eq!(limit(&refused(&hub, asked().1, wants("a"))), "connections_per_address_max");
    // Behind a proxy, the host knows the client's address.
    clients.extend((0..2).map(|_| adopted(&hub, from([192, 0, 2, 1]))));
    assert_eq!(
        limit(&refused(&hub, asked().1, from([192, 0, 2, 1]))),
        "connections_per_address_max"
    );
    clients.push(adopted(&hub, from([192, 0, 2, 2])));
    // A Unix domain socket's peer has no address, and so no limit of its own.
    for _ in 0..5 {
        let (client, server) = UnixStream::pair().unwrap();
        ask(&client, &server, GET);
        hub.adopt(server, wants("a")).unwrap();
        clients.push(Client::of(TcpStream::from(OwnedFd::from(client))));
    }
    assert_eq!(hub.metrics().connections, 10);
    drop(clients);
    adopt_when_there_is_room(&hub, asked().1);
}

#[test]
fn subscriptions_count_and_are_given_back() {
    let options = one_shard().subscriptions_max(5).subscriptions_per_address_max(3);
    let hub = start(options);
    let wants = |count: usize| {
        let names = (0..count).map(|n| fanfare::Subscription::new(&format!("a/{n}")).unwrap());
        from([192, 0, 2, 1]).subscriptions(names)
    };
    let other = |count| {
        let options = from([192, 0, 2, 2]).options;
        wants(count).options(options)
    };
    let first = adopted(&hub, wants(3));
    assert_eq!(limit(&refused(&hub, asked().1, wants(1))), "subscriptions_per_address_max");
    assert_eq!(limit(&refused(&hub, asked().1, other(3))), "subscriptions_max");
    let _second = adopted(&hub, other(2));
    drop(first);
    wait_until("it has ended", || hub.metrics().subscriptions == 2);
    let _third = adopted(&hub, wants(3));
    assert_eq!(hub.metrics().connections, 2);
}
