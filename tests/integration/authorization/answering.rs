//! What the host answers, and what the client gets for that: the stream, a refusal, or nothing in
//! time.

use std::time::{Duration, Instant};

use fanfare::{
    AskOptions, ConnectionFilter, Cors, Grant, ListenOptions, Overload, Policy, Refusal, Route,
    StartAt, Subscription, Topic,
};

use super::{assert_status, granted, patient, rest, Asking};
use crate::support::{answer, close, one_shard, start, wait_until, Client, DEADLINE};

#[allow(dead_code, reason = "the example's `main` serves without end")]
#[path = "../../../examples/authorize.rs"]
mod authorize;

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
