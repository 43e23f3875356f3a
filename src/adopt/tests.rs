//! Where connections go that are handed over, with shards that nobody drives.

use std::os::unix::net::UnixStream;

use super::*;
use crate::filter::Subscription;
use crate::shard::Command;
use crate::{Driver, Options, StreamOptions};

fn hub(options: Options) -> (Hub, Vec<Driver>) {
    Hub::with_drivers(options.shards(3)).unwrap()
}

fn wants(names: &[&str]) -> AdoptRequest {
    AdoptRequest::new(names.iter().map(|name| Subscription::new(name).unwrap()))
}

fn waiting(hub: &Hub) -> Vec<u64> {
    hub.shared().links.iter().map(|link| link.load()).collect()
}

#[test]
fn connections_are_spread_over_the_shards_that_live() {
    let (hub, mut drivers) = hub(Options::default());
    let adopt = || {
        let (client, server) = UnixStream::pair().unwrap();
        hub.adopt(server, wants(&["a"])).unwrap();
        client
    };
    let mut clients: Vec<_> = (0..30).map(|_| adopt()).collect();
    assert_eq!(waiting(&hub), [10, 10, 10]);
    // The connections that wait for a shard are gone with it, and count no longer.
    drop(drivers.remove(1));
    assert_eq!(hub.shared().subscription_limits.taken(), 20);
    clients.extend((0..10).map(|_| adopt()));
    assert_eq!(waiting(&hub), [15, 0, 15]);
}

#[test]
fn shards_that_are_too_busy_give_the_connection_back_and_nothing_counts() {
    let (hub, mut drivers) = hub(Options::default().connections_per_address_max(1));
    for link in &hub.shared().links {
        while link.command(Command::RemoveClosed).is_ok() {}
    }
    let addr = "192.0.2.1:80".parse().unwrap();
    let request = || wants(&["a", "b"]).options(StreamOptions::default().addr(addr));
    let (_client, server) = UnixStream::pair().unwrap();
    let error = hub.adopt(server, request()).unwrap_err();
    assert!(matches!(error.kind(), AdoptErrorKind::Busy), "{error}");
    assert_eq!(hub.shared().subscription_limits.taken(), 0);
    // The only connection that this address may have is free.
    let mut shard = drivers.remove(0).into_shard();
    while waiting(&hub)[0] > 0 {
        shard.turn().unwrap();
    }
    hub.adopt(error.into_socket(), request()).unwrap();
    shard.turn().unwrap();
    assert_eq!(hub.metrics().connections, 1);
    let (_client, server) = UnixStream::pair().unwrap();
    let error = hub.adopt(server, request()).unwrap_err();
    let AdoptErrorKind::Limit { option, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(*option, "connections_per_address_max");
}

#[test]
fn an_answer_is_counted_when_a_shard_has_taken_it() {
    let (hub, _drivers) = hub(Options::default());
    hub.finish(&crate::Topic::new("a").unwrap(), None).unwrap();
    for link in &hub.shared().links[1..] {
        while link.command(Command::RemoveClosed).is_ok() {}
    }
    let (_client, server) = UnixStream::pair().unwrap();
    hub.adopt(server, wants(&["a"])).unwrap();
    assert_eq!(hub.metrics().finished_answers, 1);
    while hub.shared().links[0].command(Command::RemoveClosed).is_ok() {}
    let (_client, server) = UnixStream::pair().unwrap();
    let error = hub.adopt(server, wants(&["a"])).unwrap_err();
    assert!(matches!(error.kind(), AdoptErrorKind::Busy), "{error}");
    assert_eq!((hub.metrics().finished_answers, hub.metrics().subscriptions), (1, 0));
}

#[test]
fn what_the_system_says_is_the_source() {
    use std::error::Error as _;
    let error = io::Error::from_raw_os_error(libc::ENOBUFS);
    let text = error.to_string();
    let socket = UnixStream::pair().unwrap().0.into();
    let error = AdoptError::new(AdoptErrorKind::System(error), socket);
    assert_eq!(error.source().unwrap().to_string(), text);
    assert!(!error.to_string().contains(&text), "{error}");
}
