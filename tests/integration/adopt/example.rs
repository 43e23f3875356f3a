//! The example is a server whose clients are adopted.

#[allow(dead_code, reason = "its main function runs it alone")]
#[path = "../../../examples/adopt.rs"]
mod host;

use std::net::TcpListener;

use super::topic;
use crate::support::{answer, one_shard, start, Client};

#[test]
fn the_examples_clients_get_what_they_may() {
    let hub = start(one_shard());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    let serving = hub.clone();
    std::thread::spawn(move || host::serve(&server, &serving));
    let get = |user: &str, more: &str| {
        format!("GET /messages HTTP/1.1\r\nAuthorization: Bearer {user}\r\n{more}\r\n")
    };
    let mut alice = Client::send(addr, &get("alice", ""));
    let mut bob = Client::send(addr, &get("bob", ""));
    for (name, data) in [("user/alice", "for alice"), ("news", "for all"), ("user/bob", "for bob")]
    {
        hub.publish(&topic(name), data).unwrap();
    }
    let first = alice.next();
    assert_eq!((&*first.data, alice.data()), ("for alice", "for all".to_owned()));
    assert_eq!([bob.data(), bob.data()], ["for all", "for bob"]);
    let mut back =
        Client::send(addr, &get("alice", &format!("Last-Event-ID: {}\r\n", first.last_id)));
    assert_eq!(back.data(), "for all");
    for (request, status) in [
        (get("mallory", ""), "401"),
        (get("alice", "").replace("/messages", "/other"), "404"),
        (get("alice", "").replace("HTTP/1.1", "HTTP/2"), "505"),
        (get("alice", "").replace("GET", "HEAD"), "503"),
        (get("alice", "") + "GET / HTTP/1.1\r\n\r\n", "503"),
        ("\r\n".to_owned(), "400"),
    ] {
        let answer = answer(addr, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
    }
}
