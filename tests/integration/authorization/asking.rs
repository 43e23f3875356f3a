//! What the host is asked, and how requests wait for it: how many, for how long, and with whom they
//! end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fanfare::{
    AuthorizationRequest, Authorizer, DrainOptions, Hub, ListenOptions, Overload, Refusal, Route,
};

use super::{assert_status, granted, patient, rest, subscriptions, Asking};
use crate::support::{answer, close, one_shard, serve_with, shards, wait_until, Client};

#[test]
fn the_host_sees_the_whole_request() {
    let route = Route::new("/rooms/{room}/of/{house}").subscriptions(["{house}/{room}"]);
    let route = route.query_topics(true).post(true);
    let asking = Asking::new(one_shard(), patient(), ListenOptions::default().routes([route]));
    let target = "/rooms/caf%C3%A9/of/h?topic=x/%23&k=a+b&k=";
    let fields = "Host: localhost\r\nCookie: a=1; session=s%20\r\ncookie: b=2\r\n\
                  X-Raw: caf\u{e9}\r\nLast-Event-ID: 17\r\nTransfer-Encoding: chunked\r\n";
    let mut stream =
        asking.send(&format!("POST {target} HTTP/1.1\r\n{fields}\r\n3;x=y\r\n{{\"a\r\n2\r\n\":"));
    std::thread::sleep(Duration::from_millis(20));
    assert!(asking.requests.try_next().is_none(), "its content is not complete");
    stream.write_all(b"\r\n2\r\n1}\r\n0\r\nX-Trailer: 1\r\n\r\nbehind").unwrap();
    let request = asking.next();
    assert_eq!((request.method(), request.path()), ("POST", "/rooms/caf%C3%A9/of/h"));
    assert_eq!(request.path_value("room"), Some("café"));
    assert_eq!((request.path_value("house"), request.path_value("id")), (Some("h"), None));
    assert_eq!(request.query(), "topic=x/%23&k=a+b&k=");
    let fields: Vec<_> = request.query_fields().collect();
    assert_eq!(fields, [("topic", "x/#"), ("k", "a b"), ("k", "")]);
    assert_eq!((request.cookie("session"), request.cookie("b")), (Some("s%20"), Some("2")));
    assert_eq!((request.cookie("c"), request.header("x-raw")), (None, Some("café")));
    assert_eq!(request.headers().next(), Some(("Host", "localhost")));
    assert_eq!(request.headers().count(), 6);
    assert_eq!(request.addr(), Some(stream.local_addr().unwrap()));
    assert_eq!(request.content(), b"{\"a\":1}");
    assert_eq!(request.subscriptions(), subscriptions(["h/café", "x/#"]));
    assert_eq!(request.last_event_id(), Some("17"));
    let shown = format!("{request:?}");
    assert!(!shown.contains("session") && !shown.contains("k=a"), "{shown}");
    request.allow(granted(["h/+", "x/#"])).unwrap();
    let mut client = Client::of(stream);
    asking.publish("h/café", "1");
    asking.publish("x", "2");
    assert_eq!(client.next().name, "fanfare-gap", "its id is not known");
    assert_eq!((client.data(), client.data()), ("1".to_owned(), "2".to_owned()));
    // Content that comes with its head, in one piece.
    let stream = asking.send(
        "POST /rooms/a/of/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbodyGET / H",
    );
    let request = asking.next();
    assert_eq!(request.content(), b"body");
    request.refuse(Refusal::new(403)).unwrap();
    assert_status(&rest(stream), 403);
    drop(client);
    asking.check_counts(1, 0, 0);
}

#[test]
fn nobody_is_asked_about_a_request_that_is_wrong_or_beyond_the_bounds() {
    let route = Route::new("/post").post(true);
    let listen = ListenOptions::default().routes([route]).body_bytes_max(8);
    let options = one_shard().connections_max(2).subscriptions_max(4);
    let asking = Asking::new(options, patient(), listen.overload(Overload::Unavailable));
    let get = |path: &str| answer(asking.addr(), &format!("GET {path} HTTP/1.0\r\n\r\n"));
    for (path, status) in [
        ("/other", 404),
        ("/events?topic=a%2F%23%2Fb", 400),
        ("/events?tag=", 400),
        ("/events?start=first", 400),
        ("/events?heartbeat=x", 400),
        ("/events?envelope=x", 400),
        (&format!("/events?{}", "topic=a&".repeat(65)), 400),
        (&format!("/events?{}", "topic=%23&".repeat(5)), 400),
    ] {
        assert_status(&get(path), status);
    }
    let long = "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
    assert_status(&answer(asking.addr(), long), 413);
    assert!(asking.requests.try_next().is_none());
    let first = asking.allow("/events", granted(["a", "b", "c"]));
    // Allowed, but with more subscriptions than there may be.
    let stream = asking.get("/events");
    asking.next().allow(granted(["d", "e"])).unwrap();
    assert_status(&rest(stream), 503);
    wait_until("it is gone", || asking.hub.metrics().pending_connections == 0);
    let second = asking.allow("/events", granted(["d"]));
    assert_status(&get("/events?topic=a"), 503);
    let head = answer(asking.addr(), "HEAD /events HTTP/1.0\r\n\r\n");
    assert_status(&head, 503);
    assert!(asking.requests.try_next().is_none());
    drop((first, second));
    asking.check_counts(0, 0, 0);
    assert_eq!(asking.hub.metrics().refused_connections, 3);
}

#[test]
fn a_client_that_leaves_while_it_waits_is_gone_at_once() {
    let asking = Asking::plain();
    let stream = asking.get("/events?topic=a");
    let request = asking.next();
    assert_eq!(asking.hub.metrics().pending_authorizations, 1);
    assert!(request.is_waiting());
    drop(stream);
    wait_until("it is gone", || !request.is_waiting());
    request.allow(granted(["a"])).unwrap();
    asking.check_counts(0, 0, 1);
    assert_eq!(asking.hub.metrics().accepted_connections, 0);
}

#[test]
fn what_a_client_sends_while_it_waits_is_thrown_away_and_bounded() {
    let asking = Asking::plain();
    let mut pipelined = asking.send(
        "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n\
         GET /events?topic=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let request = asking.next();
    pipelined.write_all(b"GET /events?topic=c HTTP/1.1\r\n\r\n").unwrap();
    request.allow(granted(["#"])).unwrap();
    let mut client = Client::of(pipelined);
    for topic in ["b", "c", "a"] {
        asking.publish(topic, topic);
    }
    assert_eq!(client.data(), "a");
    let mut flood = asking.get("/events?topic=a");
    let request = asking.next();
    let bytes = vec![b'x'; 1 << 20];
    // It is closed before it has taken all.
    let _ = flood.write_all(&bytes);
    wait_until("it is closed", || !request.is_waiting());
    drop((request, client));
    asking.check_counts(0, 0, 0);
}

#[test]
fn no_more_requests_wait_than_may() {
    let asking = Asking::new(one_shard(), patient().waiting_max(2), ListenOptions::default());
    let first = asking.get("/events?topic=a");
    let second = asking.get("/events?topic=a");
    wait_until("both wait", || asking.hub.metrics().pending_authorizations == 2);
    for path in ["/events?topic=a", "/events"] {
        let refused = rest(asking.get(path));
        assert_status(&refused, 503);
        assert!(refused.contains("\r\nRetry-After: 5\r\n"), "{refused}");
    }
    // Also while the host has them.
    let (one, two) = (asking.next(), asking.next());
    assert_status(&rest(asking.get("/events?topic=a")), 503);
    one.allow(granted(["a"])).unwrap();
    let first = Client::of(first);
    let third = asking.get("/events?topic=a");
    asking.next().refuse(Refusal::new(403)).unwrap();
    assert_status(&rest(third), 403);
    two.allow(granted(["a"])).unwrap();
    drop((first, Client::of(second)));
    asking.check_counts(1, 3, 0);
}

#[test]
fn thousands_wait_and_each_gets_its_own_answer() {
    const CLIENTS: usize = 2_000;
    let asking = Asking::new(shards(2), patient(), ListenOptions::default());
    let streams: Vec<TcpStream> =
        (0..CLIENTS).map(|nth| asking.get(&format!("/events?nth={nth}"))).collect();
    wait_until("all wait", || asking.hub.metrics().pending_authorizations == CLIENTS as u64);
    let mut requests: Vec<_> = (0..CLIENTS).map(|_| asking.next()).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut requests);
    let others = requests.split_off(CLIENTS / 2);
    let hosts = [requests, others].map(|requests| {
        std::thread::spawn(move || {
            for request in requests {
                let (_, nth) = request.query_fields().next().unwrap();
                let nth: usize = nth.parse().unwrap();
                match nth % 3 {
                    0 => request.refuse(Refusal::new(403)).unwrap(),
                    1 => drop(request),
                    _ => request.allow(granted([&*format!("topic/{nth}")])).unwrap(),
                }
            }
        })
    });
    for host in hosts {
        host.join().unwrap();
    }
    let clients: Vec<Client> = streams.into_iter().map(Client::of).collect();
    for (nth, client) in clients.iter().enumerate() {
        assert_eq!(client.status(), [403, 503, 200][nth % 3], "{nth}");
    }
    let open = (0..CLIENTS).filter(|nth| nth % 3 == 2);
    open.clone().for_each(|nth| asking.publish(&format!("topic/{nth}"), &nth.to_string()));
    let mut clients: Vec<_> = clients.into_iter().map(Some).collect();
    for nth in open {
        assert_eq!(clients[nth].take().unwrap().data(), nth.to_string());
    }
    drop(clients);
    let each = |rest| (0..CLIENTS).filter(|nth| nth % 3 == rest).count() as u64;
    assert_eq!(asking.hub.metrics().accepted_connections, each(2));
    asking.check_counts(each(0), each(1), 0);
}

#[test]
fn an_authorizer_of_several_listeners_asks_one_host() {
    let (authorizer, requests) = Authorizer::ask(patient()).unwrap();
    let listen = || ListenOptions::default().authorizer(authorizer.clone());
    let (hub, first) = serve_with(shards(2), listen());
    let second = hub.listen("127.0.0.1:0", listen().path("/second")).unwrap();
    let asking = Asking { hub, listener: first, requests };
    let one = asking.get("/events?topic=a");
    let mut two = TcpStream::connect(second.local_addr()).unwrap();
    two.write_all(b"GET /second?topic=a HTTP/1.0\r\n\r\n").unwrap();
    let mut paths = [(); 2].map(|()| {
        let request = asking.next();
        let path = request.path().to_owned();
        request.allow(granted(["a"])).unwrap();
        path
    });
    paths.sort();
    assert_eq!(paths, ["/events", "/second"]);
    assert_eq!([Client::of(one), Client::of(two)].map(|client| client.status()), [200, 200]);
}

#[test]
fn when_the_hub_is_closed_or_drained_nobody_waits_and_answers_go_nowhere() {
    for drains in [false, true] {
        let asking = Asking::new(shards(2), patient(), ListenOptions::default());
        let streams: Vec<_> = (0..20).map(|_| asking.get("/events?topic=a")).collect();
        let mut requests: Vec<_> = (0..10).map(|_| asking.next()).collect();
        let held = requests.split_off(5);
        if drains {
            let options = DrainOptions::default().window(Duration::ZERO);
            let _ = asking.hub.drain(options.grace(Duration::ZERO));
        }
        close(&asking.hub);
        assert!(requests.iter().chain(&held).all(|request| !request.is_waiting()));
        for request in requests {
            request.allow(granted(["a"])).unwrap();
        }
        drop(held);
        for mut stream in streams {
            // Without an answer, since there is nobody any more who could give one.
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let metrics = asking.hub.metrics();
        let open = [metrics.connections, metrics.pending_connections, metrics.subscriptions];
        assert_eq!((open, metrics.pending_authorizations), ([0; 3], 0));
        let Asking { hub, listener, requests } = asking;
        drop((hub, listener));
        assert!(requests.clone().next().is_none(), "those in the queue wait no more");
        assert!(requests.is_ended());
    }
}

#[test]
fn when_a_shard_is_killed_its_clients_wait_no_more_and_the_other_shard_serves_on() {
    let (authorizer, requests) = Authorizer::ask(patient()).unwrap();
    let (hub, mut drivers) = Hub::with_drivers(shards(2)).unwrap();
    let listen = ListenOptions::default().authorizer(authorizer);
    let listener = hub.listen("127.0.0.1:0", listen).unwrap();
    let asking = Asking { hub, listener, requests };
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    let killed = drivers.pop().unwrap();
    let killed = std::thread::spawn(move || {
        smol::block_on(smol::future::or(async { killed.drive().await.map(drop) }, async {
            let _ = stopped.recv().await;
            Ok(())
        }))
    });
    let survivor = drivers.pop().unwrap();
    let survivor = std::thread::spawn(move || smol::block_on(survivor.drive()));
    let streams: Vec<_> = (0..100).map(|_| asking.get("/events?topic=a")).collect();
    let requests: Vec<_> = (0..100).map(|_| asking.next()).collect();
    drop(stop);
    killed.join().unwrap().unwrap();
    let (waiting, gone): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(AuthorizationRequest::is_waiting);
    assert!(!gone.is_empty(), "each shard had some");
    let (waits, late) = (waiting.len(), gone.len() as u64);
    for request in waiting.into_iter().chain(gone) {
        request.allow(granted(["a"])).unwrap();
    }
    wait_until("the others are streams", || asking.hub.metrics().connections == waits as u64);
    drop(streams);
    asking.check_counts(0, 0, late);
    // What comes now goes to the shard that is left.
    let mut client = asking.allow("/events?topic=a", granted(["a"]));
    asking.publish("a", "1");
    assert_eq!(client.data(), "1");
    asking.hub.close();
    survivor.join().unwrap().unwrap();
}

#[test]
fn requests_are_received_under_any_executor() {
    let asking = Asking::plain();
    let stream = asking.get("/events?topic=a");
    let request = smol::block_on(asking.requests.next_async()).unwrap();
    request.allow(granted(["a"])).unwrap();
    assert_eq!(Client::of(stream).status(), 200);
}
