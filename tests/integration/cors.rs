//! Pages of other origins: what preflights are told, and what every answer says that it depends on
//! (WHATWG Fetch, section "CORS protocol").

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fanfare::{
    AskOptions, Authorizer, Cors, Grant, Hub, ListenOptions, Listener, Refusal, Route, Subscription,
};

use crate::support::{answer, one_shard, serve_with, wait_until, Client, DEADLINE};

const ORIGIN: &str = "https://a.example";

/// What an answer's head has of a field; an answer never has one of these twice.
fn field(answer: &str, name: &str) -> Option<String> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    let found = named.next().map(|(_, value)| value.to_owned());
    assert!(named.next().is_none(), "{name} is there twice: {answer}");
    found
}

fn serve_cors(cors: Cors) -> (Hub, Listener) {
    let run = Route::new("/runs/{id}/events").subscriptions(["run/{id}"]).post(true);
    let options = ListenOptions::default().cors(cors).routes([run.header("X-Run", "1")]);
    serve_with(one_shard(), options.health_path("/well"))
}

/// A preflight as a browser sends it.
fn preflight(addr: SocketAddr, path: &str, method: &str, names: &str) -> String {
    let names = match names {
        "" => String::new(),
        names => format!("Access-Control-Request-Headers: {names}\r\n"),
    };
    answer(
        addr,
        &format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\n\
             Access-Control-Request-Method: {method}\r\n{names}\r\n"
        ),
    )
}

#[test]
fn a_preflight_is_told_the_methods_of_its_path_and_the_header_fields_that_are_allowed() {
    let (_hub, listener) = serve_cors(Cors::default().origins([ORIGIN]));
    let addr = listener.local_addr();
    for (path, methods) in [("/events", "GET, HEAD"), ("/runs/1/events", "GET, HEAD, POST")] {
        let told = preflight(addr, path, "POST", "content-type,traceparent");
        assert!(told.starts_with("HTTP/1.1 204 "), "{told}");
        let field = |name| field(&told, name);
        assert_eq!(field("access-control-allow-origin").as_deref(), Some(ORIGIN));
        assert_eq!(field("access-control-allow-methods").as_deref(), Some(methods));
        assert_eq!(
            field("access-control-allow-headers").as_deref(),
            Some("Last-Event-ID, Authorization, Cache-Control, Content-Type")
        );
        assert_eq!(field("access-control-max-age").as_deref(), Some("600"));
        assert_eq!(field("access-control-allow-credentials"), None);
        assert_eq!(field("vary").as_deref(), Some("Origin"));
    }
    let tracing = ["traceparent", "tracestate", "baggage", "sentry-trace"];
    let cors = Cors::default().origins(["*"]).request_headers(tracing);
    let (_hub, listener) = serve_cors(cors.max_age(Duration::from_secs(5)));
    let told = preflight(listener.local_addr(), "/events", "GET", "traceparent");
    let field = |name| field(&told, name);
    assert_eq!(field("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(field("access-control-allow-headers").as_deref(), Some(&*tracing.join(", ")));
    assert_eq!(field("access-control-max-age").as_deref(), Some("5"));
    assert_eq!(field("vary"), None, "it is the same for all");
}

#[test]
fn all_header_fields_are_named_where_browsers_take_the_asterisk_for_a_name() {
    let cors = Cors::default().origins([ORIGIN]).request_headers(["*"]);
    let (_hub, listener) = serve_cors(cors.clone());
    let told = preflight(listener.local_addr(), "/events", "GET", "x-anything");
    assert_eq!(field(&told, "access-control-allow-headers").as_deref(), Some("*, Authorization"));
    assert_eq!(field(&told, "vary").as_deref(), Some("Origin"));
    let (_hub, listener) = serve_cors(cors.credentials(true));
    let addr = listener.local_addr();
    let told = preflight(addr, "/runs/1/events", "POST", "authorization,x-anything");
    let allowed = field(&told, "access-control-allow-headers");
    assert_eq!(allowed.as_deref(), Some("authorization, x-anything"));
    assert_eq!(field(&told, "access-control-allow-credentials").as_deref(), Some("true"));
    let depends_on = Some("Origin, Access-Control-Request-Headers".to_owned());
    assert_eq!(field(&told, "vary"), depends_on);
    let told = preflight(addr, "/events", "GET", "");
    assert_eq!(field(&told, "access-control-allow-headers"), None);
    assert_eq!(field(&told, "vary"), depends_on);
    // Nothing is repeated that is no name.
    let told = preflight(addr, "/events", "GET", "x-a, <b>, \"c\",,d e,x-f");
    let allowed = field(&told, "access-control-allow-headers");
    assert_eq!(allowed.as_deref(), Some("x-a, x-f"));
}

#[test]
fn every_answer_says_that_it_depends_on_the_origin_where_origins_are_listed() {
    let requests = [
        ("GET /events?topic=a HTTP/1.1", "", 200),
        ("HEAD /events?topic=a HTTP/1.1", "", 200),
        ("OPTIONS /events HTTP/1.1", "", 204),
        ("GET /events HTTP/1.1", "", 400),
        ("GET /runs/1/events?topic=a HTTP/1.1", "", 403),
        ("GET /other HTTP/1.1", "", 404),
        ("PUT /events?topic=a HTTP/1.1", "", 405),
        ("GET /events?topic=a HTTP/1.1", "Accept: text/html\r\n", 406),
        ("GET /events?topic=a HTTP/1.1", "Content-Length: 1\r\n", 413),
        ("POST /runs/1/events HTTP/1.1", "Content-Length: 99999\r\n", 413),
        ("GET http://evil.example/events HTTP/1.1", "", 421),
        ("GET /well HTTP/1.1", "", 200),
        ("PUT /well HTTP/1.1", "", 405),
        ("GET /events HTTP/2.0", "", 400),
    ];
    let large = format!("X: {}\r\n", "x".repeat(20_000));
    let requests = requests.iter().copied().chain([("GET /events HTTP/1.1", &*large, 431)]);
    for (origins, vary) in [(vec![ORIGIN], Some("Origin")), (vec!["*"], None), (vec![], None)] {
        let (_hub, listener) = serve_cors(Cors::default().origins(origins));
        for (line, fields, status) in requests.clone() {
            for origin in [ORIGIN, "https://b.example", ""] {
                let origin = match origin {
                    "" => String::new(),
                    origin => format!("Origin: {origin}\r\n"),
                };
                let request = format!("{line}\r\nHost: localhost\r\n{origin}{fields}\r\n");
                let head = Client::send(listener.local_addr(), &request).head;
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {head}");
                assert_eq!(field(&head, "vary").as_deref(), vary, "{line} {origin}: {head}");
            }
        }
    }
}

#[test]
fn answers_that_come_late_or_beyond_bounds_say_so_too() {
    let (fallback, requests) = fanfare::fallback(1);
    let options = ListenOptions::default()
        .cors(Cors::default().origins([ORIGIN]))
        .head_time_max(Duration::from_millis(100))
        .fallback(fallback);
    let (_hub, listener) = serve_with(one_shard().connections_max(1), options);
    let addr = listener.local_addr();
    let late = answer(addr, "GET /ev");
    let mut first = TcpStream::connect(addr).unwrap();
    first.write_all(b"GET /x HTTP/1.0\r\n\r\n").unwrap();
    wait_until("it waits", || requests.waiting() == 1);
    let full = answer(addr, "GET /x HTTP/1.0\r\n\r\n");
    let _here = Client::get(addr, "/events?topic=a");
    let request =
        format!("GET /events?topic=a HTTP/1.1\r\nHost: h.localhost\r\nOrigin: {ORIGIN}\r\n\r\n");
    let again = answer(addr, &request);
    for (answer, status) in [(&late, 408), (&full, 503), (&again, 200)] {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(field(answer, "vary").as_deref(), Some("Origin"), "{answer}");
    }
    assert_eq!(field(&again, "access-control-allow-origin").as_deref(), Some(ORIGIN));
}

#[test]
fn an_allowed_page_reads_refusals_and_the_header_fields_that_are_exposed() {
    let cors = Cors::default().origins([ORIGIN]).credentials(true).exposed_headers(["*", "x-more"]);
    let (_hub, listener) = serve_cors(cors);
    let addr = listener.local_addr();
    for (line, exposed) in [
        ("GET /runs/1/events HTTP/1.1", Some("x-more, X-Run")),
        ("POST /runs/1/events HTTP/1.1", Some("x-more, X-Run")),
        ("GET /events?topic=a HTTP/1.1", Some("x-more")),
        ("PUT /runs/1/events HTTP/1.1", Some("x-more, X-Run, Allow")),
        ("GET /other HTTP/1.1", None),
    ] {
        let request = format!("{line}\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\n\r\n");
        let head = Client::send(addr, &request).head;
        assert_eq!(field(&head, "access-control-allow-origin").as_deref(), Some(ORIGIN), "{head}");
        assert_eq!(field(&head, "access-control-allow-credentials").as_deref(), Some("true"));
        assert_eq!(field(&head, "access-control-expose-headers").as_deref(), exposed, "{head}");
        let other = request.replace(ORIGIN, "https://b.example");
        let head = Client::send(addr, &other).head;
        assert_eq!(field(&head, "access-control-allow-origin"), None, "{head}");
        assert_eq!(field(&head, "access-control-expose-headers"), None, "{head}");
    }
    // A page that got here by another name learns nothing.
    let wrong = format!("GET /events HTTP/1.1\r\nHost: evil.example\r\nOrigin: {ORIGIN}\r\n\r\n");
    assert_eq!(field(&answer(addr, &wrong), "access-control-allow-origin"), None);
}

#[test]
fn an_allowed_page_reads_the_header_fields_of_a_grant_and_of_a_refusal() {
    let exposing = |credentials: bool, names: &[&str]| {
        let cors = Cors::default().origins([ORIGIN]).credentials(credentials);
        cors.exposed_headers(names.iter().copied())
    };
    for (cors, granted, refused) in [
        // Browsers take it for all names.
        (exposing(false, &["*"]), Some("*"), Some("*")),
        // With credentials browsers take it for a name, so that each is named.
        (exposing(true, &["*"]), Some("X-Plan, X-Run"), Some("X-Run, X-Why, Retry-After")),
        (exposing(true, &["*", "x-plan"]), Some("x-plan, X-Run"), None),
        // What is not listed is not read.
        (exposing(false, &["X-Plan"]), Some("X-Plan"), Some("X-Plan")),
        (exposing(true, &["X-Other"]), Some("X-Other"), Some("X-Other")),
        (exposing(false, &[]), None, None),
    ] {
        let (authorizer, requests) = Authorizer::ask(AskOptions::default()).unwrap();
        let route = Route::new("/events").subscriptions(["a"]).header("X-Run", "1");
        let options = ListenOptions::default().path("").routes([route]).cors(cors.clone());
        let (_hub, listener) = serve_with(one_shard(), options.authorizer(authorizer));
        let request =
            format!("GET /events HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\n\r\n");
        let ask = || {
            let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            (stream, requests.wait(DEADLINE).expect("the host is asked"))
        };
        let (stream, asked) = ask();
        let grant = Grant::new([Subscription::new("a").unwrap()]).header("X-Plan", "free");
        asked.allow(grant).unwrap();
        let head = Client::of(stream).head;
        assert!(head.contains("\r\nX-Plan: free\r\n"), "{head}");
        assert_eq!(field(&head, "access-control-expose-headers").as_deref(), granted, "{cors:?}");
        let Some(refused) = refused else { continue };
        let (stream, asked) = ask();
        let refusal = Refusal::new(429).header("X-Why", "too often").header("Retry-After", "9");
        asked.refuse(refusal).unwrap();
        let head = Client::of(stream).head;
        assert_eq!(field(&head, "access-control-expose-headers").as_deref(), Some(refused));
    }
}
