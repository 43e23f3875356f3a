//! The path on which the shards say themselves whether all is well.

use std::net::SocketAddr;

use fanfare::{Hub, ListenError, ListenOptions, Options};

use crate::support;

fn options(health_path: &str) -> ListenOptions {
    ListenOptions::default().health_path(health_path)
}

fn ask_at(addr: SocketAddr, request: &str) -> String {
    support::answer(addr, &format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

#[test]
fn the_shards_say_that_they_are_well_at_a_path_of_the_hosts_choice() {
    let hub = support::start(Options::default().shards(2));
    let listener = hub.listen("127.0.0.1:0", options("/up")).unwrap();
    let ask = |request| ask_at(listener.local_addr(), request);
    let up = ask("GET /up");
    assert!(up.starts_with("HTTP/1.1 200 OK\r\n") && up.ends_with("\r\n\r\nok\n"), "{up}");
    let head = ask("HEAD /up?verbose");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let other = ask("DELETE /up");
    assert!(other.starts_with("HTTP/1.1 405 ") && other.contains("Allow: GET, HEAD"), "{other}");
    assert!(ask("GET /healthz").starts_with("HTTP/1.1 404 "));
    assert!(ask("GET /up/").starts_with("HTTP/1.1 404 "));
}

#[test]
fn without_one_of_the_shards_it_is_not_well() {
    let (hub, mut drivers) = Hub::with_drivers(Options::default().shards(2)).unwrap();
    let listener = hub.listen("127.0.0.1:0", options("/up")).unwrap();
    let left = drivers.pop().unwrap();
    let driving = std::thread::spawn(move || smol::block_on(left.drive()));
    let addr = listener.local_addr();
    // The shard that was not driven yet ends; the other one answers.
    drop(drivers);
    let down = ask_at(addr, "GET /up");
    assert!(down.starts_with("HTTP/1.1 503 "), "{down}");
    support::close(&hub);
    driving.join().unwrap().unwrap();
}

#[test]
fn a_health_path_is_a_path_and_not_that_of_the_streams() {
    let hub = support::start(Options::default().shards(1));
    for path in ["", "up", "/a?b", "/events", "/a b"] {
        let refused = hub.listen("127.0.0.1:0", options(path));
        let is_refused =
            matches!(refused, Err(ListenError::Options(e)) if e.option == "health_path");
        assert!(is_refused, "{path}");
    }
}
