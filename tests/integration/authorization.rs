//! The host is asked who gets which stream.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fanfare::{
    AskOptions, AuthorizationRequest, AuthorizationRequests, Authorizer, ConnectionFilter, Cors,
    DrainOptions, Grant, Hub, ListenOptions, Listener, Options, Overload, Policy, Refusal, Route,
    StartAt, Subscription, Topic,
};

#[allow(dead_code, reason = "the example's `main` serves without end")]
#[path = "../../examples/authorize.rs"]
mod authorize;

use crate::support::{
    answer, close, one_shard, serve_with, shards, start, wait_until, Client, DEADLINE,
};

/// A request's timeout in tests that are not about it.
fn patient() -> AskOptions {
    AskOptions::default().timeout(Duration::from_secs(600)).waiting_max(10_000)
}

/// A hub whose listener asks.
struct Asking {
    hub: Hub,
    listener: Listener,
    requests: AuthorizationRequests,
}

impl Asking {
    fn new(options: Options, ask: AskOptions, listen: ListenOptions) -> Asking {
        let (authorizer, requests) = Authorizer::ask(ask).unwrap();
        let (hub, listener) = serve_with(options, listen.authorizer(authorizer));
        Asking { hub, listener, requests }
    }

    fn plain() -> Asking {
        Asking::new(one_shard(), patient(), ListenOptions::default())
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn next(&self) -> AuthorizationRequest {
        self.requests.wait(DEADLINE).expect("the host is asked")
    }

    /// Sends a request, and does not read the answer.
    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Asks for a path with `GET`.
    fn get(&self, path: &str) -> TcpStream {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn allow(&self, path: &str, grant: Grant) -> Client {
        let stream = self.get(path);
        self.next().allow(grant).unwrap();
        Client::of(stream)
    }

    fn publish(&self, topic: &str, data: &str) {
        self.hub.publish_wait(&Topic::new(topic).unwrap(), data, DEADLINE).unwrap();
    }

    /// Waits until so many requests were refused, unanswered, and answered too late, and nothing is
    /// left of all connections.
    fn check_counts(&self, denied: u64, failed: u64, late: u64) {
        let counts = || {
            let metrics = self.hub.metrics();
            let all = [
                metrics.denied_authorizations,
                metrics.failed_authorizations,
                metrics.late_authorizations,
            ];
            (all, metrics)
        };
        wait_until("all is closed and given back", || {
            let (_, metrics) = counts();
            let open = [metrics.connections, metrics.pending_connections, metrics.subscriptions];
            open == [0; 3] && metrics.pending_authorizations == 0
        });
        assert_eq!(counts().0, [denied, failed, late]);
    }
}

fn subscriptions<const N: usize>(names: [&str; N]) -> [Subscription; N] {
    names.map(|name| Subscription::new(name).unwrap())
}

fn granted<const N: usize>(names: [&str; N]) -> Grant {
    Grant::new(subscriptions(names))
}

/// All there is until the server closes.
fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer, and then the end");
    text
}

fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

#[test]
fn a_client_gets_what_it_asks_for_within_its_grant_and_else_all_of_the_grant() {
    let asking = Asking::plain();
    let grant = || granted(["news/#", "mine"]).tag("user 7").header("X-Plan", "free");
    let mut named = asking.allow("/events?topic=news/a&tag=claimed", grant());
    let mut all = asking.allow("/events", grant().policy(Policy::Conflate));
    let mut any = asking.allow("/events?topic=other", Grant::default().any_topics(true));
    for topic in ["other", "mine", "news/b", "news/a"] {
        asking.publish(topic, topic);
    }
    assert_eq!(named.data(), "news/a");
    assert_eq!([(); 3].map(|()| all.data()), ["mine", "news/b", "news/a"]);
    assert_eq!(any.data(), "other");
    assert!(named.head.contains("\r\nX-Plan: free\r\n"), "{}", named.head);
    let infos = asking.hub.connections(&ConnectionFilter::default().tag("user 7")).unwrap();
    assert_eq!(infos.len(), 2);
    assert_eq!(infos.iter().filter(|info| info.policy == Policy::Conflate).count(), 1);
    drop((named, all, any));
    asking.check_counts(0, 0, 0);
}

#[test]
fn where_a_stream_begins_is_the_grants_to_say_unless_the_client_comes_back() {
    let asking = Asking::plain();
    (0..5).for_each(|nth| asking.publish("a", &nth.to_string()));
    let grant = || granted(["a"]).start(StartAt::Last(2));
    let mut client = asking.allow("/events?start=earliest", grant());
    let third = client.next();
    assert_eq!((&*third.data, &*client.data()), ("3", "4"));
    let stream = asking.send(&format!(
        "GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {}\r\n\r\n",
        third.last_id
    ));
    let request = asking.next();
    assert_eq!(request.last_event_id(), Some(&*third.last_id));
    request.allow(grant()).unwrap();
    assert_eq!(Client::of(stream).data(), "4");
}

#[test]
fn topics_that_are_not_granted_are_refused_as_a_whole_and_nothing_is_told_of_them() {
    let route = Route::new("/runs/{id}").subscriptions(["run/{id}"]);
    let listen = ListenOptions::default().routes([route]);
    let asking = Asking::new(one_shard(), patient(), listen);
    let done = Topic::new("done").unwrap();
    asking.hub.finish_wait(&done, Some("last".into()), DEADLINE).unwrap();
    for path in [
        "/events?topic=b",
        "/events?topic=a&topic=b",
        "/events?topic=%23",
        "/events?topic=a/x",
        "/events?topic=a/%2B",
        "/events?topic=done",
        "/runs/2",
        "/events?topic=b&policy=drop-oldest&last=10",
    ] {
        let stream = asking.get(path);
        asking.next().allow(granted(["a", "run/1"]).any_topics(false)).unwrap();
        let refused = rest(stream);
        assert_status(&refused, 403);
        assert!(refused.ends_with("are granted; ask for fewer\n"), "{refused}");
    }
    // Of a topic that is granted it is told that it is finished.
    let after = asking.hub.publish(&Topic::new("x").unwrap(), "x").unwrap().id().unwrap();
    let stream = asking.get(&format!("/events?topic=done&last-event-id={after}"));
    asking.next().allow(granted(["done"])).unwrap();
    assert_status(&rest(stream), 204);
    let mut run = asking.allow("/runs/1", granted(["a", "run/#"]));
    asking.publish("a", "not of this path");
    asking.publish("run/1", "run");
    assert_eq!(run.data(), "run");
    // A grant of nothing, and one of more than a stream may have.
    let stream = asking.get("/events");
    asking.next().allow(Grant::default()).unwrap();
    assert_status(&rest(stream), 400);
    let many = (0..65).map(|nth| Subscription::new(&nth.to_string()).unwrap());
    let stream = asking.get("/events");
    asking.next().allow(Grant::new(many)).unwrap();
    assert_status(&rest(stream), 400);
    drop(run);
    asking.check_counts(8, 0, 0);
}

#[test]
fn a_refusal_is_sent_as_the_host_says_it_with_the_lines_of_cors() {
    let cors = Cors::default().origins(["https://a.example"]);
    let asking = Asking::new(one_shard(), patient(), ListenOptions::default().cors(cors));
    let head = "HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n\r\n";
    let refusals = [
        Refusal::new(204),
        Refusal::new(302).header("Location", "/login"),
        Refusal::new(401).header("WWW-Authenticate", "Bearer realm=\"a\"").text("no token"),
        Refusal::new(403).text("not you"),
        Refusal::new(404),
        Refusal::new(429).header("retry-after", "60"),
        Refusal::new(599).text("größe"),
    ];
    for refusal in &refusals {
        for method in ["GET", "HEAD"] {
            let stream = asking.send(&format!("{method} /events?topic=a {head}"));
            let request = asking.next();
            assert_eq!(request.method(), method);
            request.refuse(refusal.clone()).unwrap();
            let answer = rest(stream);
            assert_status(&answer, refusal.status);
            assert!(answer.contains("\r\nAccess-Control-Allow-Origin: https://a.example\r\n"));
            assert!(answer.contains("\r\nVary: Origin\r\n"), "{answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
            for (name, value) in &refusal.headers {
                assert!(answer.contains(&format!("\r\n{name}: {value}\r\n")), "{answer}");
            }
            let (head, content) = answer.split_once("\r\n\r\n").unwrap();
            match (method, refusal.status) {
                ("HEAD", _) | (_, 204) => assert_eq!(content, ""),
                _ => assert_eq!(content, format!("{}\n", refusal.text)),
            }
            assert_eq!(refusal.status == 204, !head.contains("Content-Length"), "{head}");
        }
    }
    asking.check_counts(2 * refusals.len() as u64, 0, 0);
}

#[test]
fn a_head_request_that_is_allowed_gets_the_head_of_the_stream_alone() {
    let asking = Asking::plain();
    let stream = asking.send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    asking.next().allow(granted(["a"]).header("X-Plan", "free")).unwrap();
    let answer = rest(stream);
    assert_status(&answer, 200);
    assert!(answer.contains("\r\nX-Plan: free\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(asking.hub.metrics().accepted_connections, 0);
    asking.check_counts(0, 0, 0);
}

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
fn a_request_that_is_not_answered_in_time_is_refused_and_the_late_answer_goes_nowhere() {
    let timeout = Duration::from_millis(300);
    let asking =
        Asking::new(one_shard(), AskOptions::default().timeout(timeout), ListenOptions::default());
    let begun = Instant::now();
    let streams = [(); 3].map(|()| asking.get("/events?topic=a"));
    let requests = [(); 3].map(|()| asking.next());
    for stream in streams {
        let refused = rest(stream);
        assert_status(&refused, 503);
        assert!(refused.contains("\r\nRetry-After: 5\r\n"), "{refused}");
    }
    // A shard counts whole milliseconds.
    assert!(begun.elapsed() >= timeout - Duration::from_millis(1));
    let [first, second, third] = requests;
    assert!(!first.is_waiting());
    first.allow(granted(["a"])).unwrap();
    second.refuse(Refusal::new(403)).unwrap();
    drop(third);
    // One that the host never takes out of the queue.
    assert_status(&rest(asking.get("/events?topic=a")), 503);
    assert!(asking.requests.try_next().is_none());
    asking.check_counts(0, 4, 2);
}

#[test]
fn an_event_source_is_told_to_come_again_when_the_host_has_not_answered() {
    const ACCEPT: &str = "Accept: text/event-stream\r\n";
    let route = Route::new("/post").post(true).subscriptions(["a"]);
    let listen = || {
        let cors = Cors::default().origins(["https://a.example"]);
        ListenOptions::default().cors(cors).routes([route.clone()])
    };
    let options = || one_shard().retry(Duration::from_secs(2));
    let ask = |asking: &Asking, line: &str, accept: &str| {
        let fields = "Host: localhost\r\nOrigin: https://a.example\r\n";
        asking.send(&format!("{line} HTTP/1.1\r\n{fields}{accept}\r\n"))
    };
    // Dropped by the host, too many, and not in time.
    let short = AskOptions::default().timeout(Duration::from_millis(50));
    for ask_options in [patient(), patient().waiting_max(1), short] {
        let asking = Asking::new(options(), ask_options.clone(), listen());
        let failing = |line: &str, accept: &str| {
            let first = (ask_options.waiting_max == 1).then(|| {
                let first = asking.get("/events?topic=a");
                (asking.next(), first)
            });
            let stream = ask(&asking, line, accept);
            if ask_options == patient() {
                drop(asking.next());
            }
            let answer = rest(stream);
            drop(first);
            wait_until("none waits", || asking.hub.metrics().pending_authorizations == 0);
            answer
        };
        for query in ["", "&heartbeat=comment", "&heartbeat=event"] {
            let answer = failing(&format!("GET /events?topic=a{query}"), ACCEPT);
            assert_status(&answer, 200);
            let (head, content) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("\r\nContent-Type: text/event-stream\r\n"), "{head}");
            assert!(head.contains("\r\nAccess-Control-Allow-Origin: https://a.example\r\n"));
            assert!(head.contains("\r\nConnection: close"), "{head}");
            let retry = content.lines().find_map(|line| line.strip_prefix("retry: ")).unwrap();
            assert!((10_000..=20_000).contains(&retry.parse::<u64>().unwrap()), "{content}");
            assert!(content.ends_with("\n\n"), "{content:?}");
        }
        for (line, accept) in [
            ("GET /events?topic=a", ""),
            ("GET /events?topic=a", "Accept: */*\r\n"),
            ("HEAD /events?topic=a", ACCEPT),
            ("POST /post", ACCEPT),
        ] {
            let answer = failing(line, accept);
            assert_status(&answer, 503);
            assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
        }
        assert!(asking.hub.metrics().failed_authorizations >= 7);
    }
    let unavailable = listen().overload(Overload::Unavailable);
    let asking = Asking::new(options(), patient(), unavailable);
    let stream = ask(&asking, "GET /events?topic=a", ACCEPT);
    drop(asking.next());
    assert_status(&rest(stream), 503);
    // What the host says is sent as it is.
    let asking = Asking::new(options(), patient(), listen());
    let stream = ask(&asking, "GET /events?topic=a", ACCEPT);
    asking.next().refuse(Refusal::new(503)).unwrap();
    assert_status(&rest(stream), 503);
}

#[test]
fn a_request_that_the_host_drops_is_refused_at_once() {
    let asking = Asking::plain();
    let stream = asking.get("/events?topic=a");
    drop(asking.next());
    assert_status(&rest(stream), 503);
    // So are those in a queue whose receiver is dropped, and those that come later.
    let Asking { hub, listener, requests } = asking;
    let asking = Asking { hub, listener, requests: requests.clone() };
    let stream = asking.get("/events?topic=a");
    wait_until("it waits", || asking.hub.metrics().pending_authorizations == 1);
    let Asking { hub, listener, requests: second } = asking;
    drop((requests, second));
    assert_status(&rest(stream), 503);
    let later = answer(listener.local_addr(), "GET /events?topic=a HTTP/1.0\r\n\r\n");
    assert_status(&later, 503);
    assert!(later.contains("\r\nRetry-After: 5\r\n"), "{later}");
    assert_eq!(hub.metrics().failed_authorizations, 3);
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
fn what_does_not_fit_is_an_error_to_the_host_and_never_sent() {
    let asking = Asking::plain();
    let stream = asking.get("/events?topic=a");
    let mut request = asking.next();
    for (name, value) in [
        ("X-A", "a\r\nSet-Cookie: b=c"),
        ("X-A\r\nX-B", "a"),
        ("Transfer-Encoding", "gzip"),
        ("Access-Control-Allow-Origin", "*"),
    ] {
        let error = request.allow(granted(["a"]).header(name, value)).unwrap_err();
        assert_eq!(error.error().option, "headers");
        let error = error.into_request().refuse(Refusal::new(401).header(name, value)).unwrap_err();
        assert_eq!(error.error().option, "headers");
        request = error.into_request();
        assert!(request.is_waiting());
    }
    request.allow(granted(["a"]).header("X-A", "1")).unwrap();
    let client = Client::of(stream);
    assert!(client.head.contains("\r\nX-A: 1\r\n"), "{}", client.head);
    // Each fits, but not together with the listener's own.
    let headers: Vec<_> = (0..20).map(|nth| (format!("X-{nth}"), "1")).collect();
    let other = Asking::new(one_shard(), patient(), ListenOptions::default().headers(headers));
    let stream = other.get("/events");
    let headers = (0..20).map(|nth| (format!("Y-{nth}"), "1"));
    other.next().allow(granted(["a"]).headers(headers)).unwrap();
    assert_status(&rest(stream), 500);
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

#[test]
fn the_example_decides_by_a_cookie() {
    let hub = start(one_shard());
    let (listener, requests) = authorize::listen(&hub, "127.0.0.1:0").unwrap();
    let host = std::thread::spawn(move || {
        authorize::decide(requests, &[("a1", "ann"), ("b2", "bo")].into());
    });
    let addr = listener.local_addr();
    let ask = |cookie: &str, query: &str| {
        let head = format!("GET /events{query} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n");
        Client::send(addr, &head)
    };
    assert_eq!(ask("", "").status(), 403);
    assert_eq!(ask("Cookie: session=a2\r\n", "").status(), 403);
    assert_eq!(ask("Cookie: session=a1\r\n", "?topic=user/bo").status(), 403);
    let mut ann = ask("Cookie: session=a1\r\n", "");
    for topic in ["user/bo", "user/ann", "public/time"] {
        hub.publish(&Topic::new(topic).unwrap(), topic).unwrap();
    }
    assert_eq!((&*ann.data(), &*ann.data()), ("user/ann", "public/time"));
    let infos = hub.connections(&ConnectionFilter::default().tag("ann")).unwrap();
    assert_eq!(infos.len(), 1);
    drop(listener);
    close(&hub);
    host.join().unwrap();
}
