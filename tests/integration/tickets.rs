//! Tokens and tickets, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fanfare::tickets::{
    AccessOptions, KeySet, SigningKey, TicketError, TicketOptions, Tickets, TokenClaims,
    TokenOptions, TokenVerifier,
};
use fanfare::{
    Authorizer, Cors, DisconnectReason, Event, Grant, Hub, ListenOptions, Listener, Options,
    Overload, Subscription, Topic,
};

use crate::support::{answer, one_shard, serve_with, shards, start, wait_until, Client};

const SECRET: &[u8] = b"this secret is for tests, and has more than 32 bytes";

struct Server {
    hub: Hub,
    listener: Listener,
    verifier: Arc<TokenVerifier>,
    tickets: Tickets,
}

impl Server {
    fn start() -> Server {
        Server::with(ListenOptions::default())
    }

    fn with(options: ListenOptions) -> Server {
        Server::of(shards(2), options)
    }

    fn of(hub_options: Options, options: ListenOptions) -> Server {
        let keys = KeySet::from_key_file(SECRET).unwrap();
        let verifier = Arc::new(TokenVerifier::new(keys, TokenOptions::default()).unwrap());
        let tickets = Tickets::new(TicketOptions::default()).unwrap();
        let access = AccessOptions::default().cookie("session");
        let authorizer = Authorizer::tickets(verifier.clone(), tickets.clone(), access).unwrap();
        let (hub, listener) = serve_with(hub_options, options.authorizer(authorizer));
        Server { hub, listener, verifier, tickets }
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn publish(&self, topic: &str, data: &str) {
        self.hub.publish(&Topic::new(topic).unwrap(), Event::new(data)).unwrap();
    }

    /// The status of the answer to a request for a path that gets no stream, and the answer.
    fn refused(&self, path: &str, fields: &str) -> (u16, String) {
        let addr = self.addr();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n");
        let answer = answer(addr, &request);
        (answer[9..12].parse().unwrap(), answer)
    }

    fn open(&self, path: &str, fields: &str) -> Client {
        let addr = self.addr();
        Client::send(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n"))
    }

    /// What a client gets for a token.
    fn exchange(&self, fields: &str) -> String {
        let addr = self.addr();
        let request = format!("POST /tickets HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n");
        answer(addr, &request)
    }

    /// A ticket for `news`.
    fn ticket(&self) -> String {
        let answer = self.exchange(&bearer(&token("news", 60)));
        let (head, content) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
        let content: serde_json::Value = serde_json::from_str(content).unwrap();
        content["ticket"].as_str().unwrap().to_owned()
    }
}

fn token(filter: &str, seconds: u64) -> String {
    let grant = Grant::new([Subscription::new(filter).unwrap()])
        .expires_at(SystemTime::now() + Duration::from_secs(seconds));
    SigningKey::from_key_file(SECRET).unwrap().sign(&grant, &TokenClaims::default()).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn a_token_opens_streams_of_what_it_grants_and_of_nothing_else() {
    let server = Server::start();
    let token = token("user/7/#", 60);
    // One that asks for nothing gets all that it may have.
    let paths = ["/events?topic=user/7/mail", "/events?topic=user/7/%2B", "/events"];
    let mut clients: Vec<_> = paths.iter().map(|path| server.open(path, &bearer(&token))).collect();
    let mut with_cookie = server.open("/events", &format!("Cookie: session={token}\r\n"));
    server.publish("user/8/mail", "not for them");
    server.publish("user/7/mail", "for them");
    for client in clients.iter_mut().chain([&mut with_cookie]) {
        assert_eq!((client.status(), &*client.data()), (200, "for them"));
    }
    for path in [
        "/events?topic=user/8/mail",
        "/events?topic=user/7/mail&topic=user/8/mail",
        "/events?topic=%23",
        "/events?topic=user/%2B/mail&last-event-id=0-1",
    ] {
        let (status, answer) = server.refused(path, &bearer(&token));
        assert_eq!(status, 403, "{answer}");
        assert!(!answer.contains("user") && !answer.contains("for them"), "{answer}");
    }
    assert_eq!(server.hub.metrics().denied_authorizations, 4);
}

#[test]
fn a_request_with_a_wrong_token_is_answered_401_and_all_answers_are_alike() {
    let server = Server::start();
    let right = token("news", 60);
    let signed = right.rsplit_once('.').unwrap().0;
    let other_key = SigningKey::from_key_file(&[b'x'; 32]).unwrap();
    let now = SystemTime::now();
    let news = |expires_at| Grant::new([Subscription::new("news").unwrap()]).expires_at(expires_at);
    let own_key = SigningKey::from_key_file(SECRET).unwrap();
    let sign = |grant: &Grant, claims: TokenClaims| own_key.sign(grant, &claims).unwrap();
    let later = now + Duration::from_secs(60);
    let mut answers = Vec::new();
    for token in [
        sign(&news(now - Duration::from_secs(1)), TokenClaims::default()),
        sign(&news(later), TokenClaims::default().not_before(now + Duration::from_secs(30))),
        sign(&news(later), TokenClaims::default().audience("other")),
        sign(&news(later), TokenClaims::default().claim("other")),
        other_key.sign(&news(later), &TokenClaims::default()).unwrap(),
        format!("eyJhbGciOiJub25lIn0.{}.", right.split('.').nth(1).unwrap()),
        format!("{signed}."),
        "x".repeat(9_000),
        "a.b.c".to_owned(),
    ] {
        for get in [
            server.refused("/events?topic=news", &bearer(&token)).1,
            server.exchange(&bearer(&token)),
        ] {
            assert!(
                get.contains("\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\n"),
                "{get}"
            );
            let date = get.lines().find(|line| line.starts_with("Date: ")).unwrap();
            answers.push(get.replace(date, ""));
        }
    }
    assert!(answers[0].starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let (status, answer) = server.refused("/events?topic=news", "");
    assert_eq!(status, 401);
    assert!(answer.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{answer}");
    let (status, answer) = server.refused(&format!("/events?access_token={right}"), "");
    assert!(status == 400 && !answer.contains(&right), "{answer}");
}

#[test]
fn a_ticket_is_for_one_stream_and_for_its_reconnects() {
    let server = Server::start();
    let path = format!("/events?topic=news&ticket={}", server.ticket());
    let mut first = server.open(&path, "");
    server.publish("news", "1");
    let one = first.next();
    assert_eq!(one.data, "1");
    // Another one that has copied it.
    let (status, answer) = server.refused(&path, "");
    assert!(status == 409 && !answer.contains("1-"), "{answer}");

    // The client has another network, and its connection is still open to the server.
    let mut second = server.open(&path, &format!("Last-Event-ID: {}\r\n", one.last_id));
    server.publish("news", "2");
    assert_eq!((second.status(), &*second.data()), (200, "2"));
    while first.receive() {}
    let kicked = || server.hub.metrics().disconnects(DisconnectReason::Kicked);
    wait_until("the older connection has ended", || kicked() == 1);

    // Its connection breaks, and the server knows.
    drop(second);
    wait_until("no stream is connected", || server.hub.metrics().connections == 0);
    let mut third = server.open(&path, "");
    server.publish("news", "3");
    assert_eq!((third.status(), &*third.data()), (200, "3"));
    assert_eq!(server.refused("/events?topic=news&ticket=x", "").0, 401);
}

#[test]
fn a_ticket_that_two_clients_use_in_turn_is_revoked() {
    let server = Server::start();
    let path = format!("/events?topic=news&ticket={}", server.ticket());
    let mut clients = vec![server.open(&path, "")];
    let mut open = || {
        let client = server.open(&path, "Last-Event-ID: 0-1\r\n");
        let status = client.status();
        clients.push(client);
        status
    };
    let mut statuses: Vec<_> = (0..9).map(|_| open()).collect();
    assert_eq!(statuses.pop(), Some(401));
    assert_eq!(statuses, [200; 8]);
    assert_eq!(server.tickets.len(), 0);
}

#[test]
fn a_request_that_gets_no_stream_leaves_the_ticket_as_it_was() {
    let options = shards(2).subscriptions_max(1);
    let server = Server::of(options, ListenOptions::default().overload(Overload::Unavailable));
    let grant = Grant::new([Subscription::new("news").unwrap()]);
    let now = SystemTime::now();
    let grant = grant.expires_at(now + Duration::from_secs(600));
    let ticket = server.tickets.issue(grant, now).unwrap().as_str().to_owned();
    let refused = |query: &str| server.refused(&format!("/events?{query}&ticket={ticket}"), "").0;
    assert_eq!(refused("topic=other"), 403);
    assert_eq!(refused("topic=%23&topic=news"), 403);
    assert_eq!(refused("topic=news&policy=x"), 400);
    let other = server.open("/events", &bearer(&token("other", 60)));
    assert_eq!(refused("topic=news"), 503);
    drop(other);
    wait_until("it has left", || server.hub.metrics().subscriptions == 0);
    // Its first use is still to come, for which it has its minute and no longer.
    let later = SystemTime::now() + Duration::from_secs(61);
    assert_eq!(server.tickets.look_up(&ticket, false, later), Err(TicketError::Unknown));
    let path = format!("/events?ticket={ticket}");
    let stream = server.open(&path, "");
    assert_eq!(stream.status(), 200);
    assert!(server.tickets.look_up(&ticket, true, later).is_ok());
    drop(stream);
    wait_until("it has left", || server.hub.metrics().subscriptions == 0);
    server.hub.finish(&Topic::new("news").unwrap(), None).unwrap();
    let (status, answer) = server.refused(&path, "");
    assert_eq!(status, 204, "{answer}");
    assert!(server.tickets.look_up(&ticket, false, SystemTime::now()).is_ok());
}

#[test]
fn a_request_that_gets_no_stream_takes_none_over() {
    let server = Server::start();
    let ticket = server.ticket();
    let mut stream = server.open(&format!("/events?ticket={ticket}"), "");
    assert_eq!(stream.status(), 200);
    // More than the takeovers that revoke a ticket.
    for _ in 0..20 {
        let path = format!("/events?topic=other&ticket={ticket}");
        assert_eq!(server.refused(&path, "Last-Event-ID: 0-1\r\n").0, 403);
    }
    server.publish("news", "1");
    assert_eq!(stream.data(), "1");
    let metrics = server.hub.metrics();
    assert_eq!((metrics.connections, metrics.disconnects(DisconnectReason::Kicked)), (1, 0));
    let going_on = server.open(&format!("/events?ticket={ticket}"), "Last-Event-ID: 0-1\r\n");
    assert_eq!(going_on.status(), 200);
}

#[test]
fn a_stream_ends_when_its_token_does_and_its_ticket_is_over() {
    let server = Server::start();
    let started = Instant::now();
    let with = bearer(&token("news", 4));
    let answer = server.exchange(&with);
    let ticket = answer.split('"').nth(3).unwrap();
    let path = format!("/events?topic=news&ticket={ticket}");
    let (mut by_ticket, mut by_token) =
        (server.open(&path, ""), server.open("/events?topic=news", &with));
    assert!(by_ticket.ends_cleanly() && by_token.ends_cleanly());
    // The token's time is in whole seconds.
    let took = started.elapsed();
    assert!(took > Duration::from_millis(2_900), "{took:?}");
    let expired = || server.hub.metrics().disconnects(DisconnectReason::Expired);
    wait_until("both are counted", || expired() == 2);
    for fields in ["", "Last-Event-ID: 0-1\r\n"] {
        assert_eq!(server.refused(&path, fields).0, 401);
    }
}

#[test]
fn pages_of_other_origins_get_tickets_as_cors_says() {
    let cors = Cors::default().origins(["https://a.example"]);
    let server = Server::with(ListenOptions::default().cors(cors));
    let addr = server.addr();
    let ask = |method: &str, fields: &str| {
        answer(addr, &format!("{method} /tickets HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n"))
    };
    let preflight = ask("OPTIONS", "Origin: https://a.example\r\n");
    for line in [
        "Access-Control-Allow-Origin: https://a.example",
        "Access-Control-Allow-Methods: POST, OPTIONS",
        "Access-Control-Allow-Headers: Last-Event-ID, Authorization, ",
        "Allow: POST, OPTIONS",
    ] {
        assert!(preflight.contains(&format!("\r\n{line}")), "{preflight}");
    }
    let token = bearer(&token("news", 60));
    let got = ask("POST", &format!("{token}Origin: https://a.example\r\nContent-Length: 2\r\n"));
    for line in [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "Access-Control-Allow-Origin: https://a.example",
    ] {
        assert!(got.contains(line), "{got}");
    }
    let other = ask("POST", &format!("{token}Origin: https://b.example\r\n"));
    assert!(!other.contains("Access-Control"), "{other}");
    for method in ["GET", "PUT", "DELETE"] {
        let answer = ask(method, &token);
        assert!(
            answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nAllow: POST, OPTIONS\r\n")
        );
    }
    assert_eq!(server.tickets.len(), 2);
    assert!(server.listener.has_streams_at("/tickets"));
}

#[test]
fn keys_are_replaced_under_a_running_listener_and_open_streams_stay() {
    let server = Server::start();
    let token = token("news", 60);
    let mut stream = server.open("/events?topic=news", &bearer(&token));
    server.verifier.set_keys(KeySet::from_key_file(&[b'n'; 32]).unwrap());
    assert_eq!(server.refused("/events?topic=news", &bearer(&token)).0, 401);
    server.publish("news", "1");
    assert_eq!(stream.data(), "1");
}

#[test]
fn the_host_issues_tickets_itself() {
    let server = Server::start();
    let now = SystemTime::now();
    let grant = Grant::new([Subscription::new("a").unwrap(), Subscription::new("b").unwrap()])
        .expires_at(now + Duration::from_secs(60))
        .header("X-Plan", "free");
    let ticket = server.tickets.issue(grant, now).unwrap();
    let mut client = server.open(&format!("/events?ticket={}", ticket.as_str()), "");
    assert!(client.head.contains("\r\nX-Plan: free\r\n"), "{}", client.head);
    server.publish("b", "1");
    assert_eq!(client.data(), "1");
}

#[test]
fn a_path_for_tickets_is_no_other_path_of_the_listener() {
    let hub = start(one_shard());
    for (options, path) in [
        (ListenOptions::default(), "/events"),
        (ListenOptions::default().health_path("/health"), "/health"),
    ] {
        let keys = KeySet::from_key_file(SECRET).unwrap();
        let verifier = Arc::new(TokenVerifier::new(keys, TokenOptions::default()).unwrap());
        let tickets = Tickets::new(TicketOptions::default()).unwrap();
        let access = AccessOptions::default().exchange_path(path);
        let authorizer = Authorizer::tickets(verifier, tickets, access).unwrap();
        let error = hub.listen("127.0.0.1:0", options.authorizer(authorizer)).unwrap_err();
        assert!(error.to_string().contains("is a path of the listener"), "{error}");
    }
}
