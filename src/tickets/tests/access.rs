//! What a request may show, and what it gets for that.

use std::borrow::Cow;
use std::sync::Arc;

use super::*;
use crate::authorizer::{Decide, Refusal, StreamAsk};
use crate::tickets::access::Access;
use crate::tickets::{AccessOptions, TicketOptions, Tickets};

const CLAIMS: &str = r#"{"exp": 1900000100, "fanfare": {"subscribe": ["news"]}}"#;

fn access(options: AccessOptions) -> Access {
    let verifier = Arc::new(verifier(KeySet::from_key_file(SECRET).unwrap()));
    Access { verifier, tickets: Tickets::new(TicketOptions::default()).unwrap(), options }
}

fn token() -> String {
    sign(SECRET, r#"{"alg":"HS256"}"#, CLAIMS)
}

/// A request with these header fields, one a line, and these fields of its query.
fn with_ask<T>(fields: &str, query: &str, look: impl FnOnce(StreamAsk<'_>) -> T) -> T {
    let fields: Vec<(&str, &[u8])> = fields
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name, value.as_bytes()))
        .collect();
    let pairs = query.split('&').filter_map(|field| field.split_once('='));
    let query_fields: Vec<_> =
        pairs.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect();
    let ask = StreamAsk {
        method: "GET",
        path: "/events",
        path_values: Vec::new(),
        query,
        query_fields: &query_fields,
        fields: &fields,
        addr: None,
        content: b"",
        subscriptions: &[],
        last_event_id: None,
    };
    look(ask)
}

/// 200, or the status of the refusal, which has to be a right one.
fn status<T>(result: Result<T, Refusal>) -> u16 {
    let Err(refusal) = result else { return 200 };
    assert_eq!(refusal.check(), Ok(()), "{refusal:?}");
    let challenges =
        refusal.headers.iter().any(|(name, value)| name == "WWW-Authenticate" && !value.is_empty());
    assert_eq!(refusal.status == 401, challenges, "{refusal:?}");
    assert!(!refusal.text.contains("ey"), "{refusal:?}");
    refusal.status
}

#[test]
fn a_request_shows_one_token_or_one_ticket_once() {
    let access = access(AccessOptions::default());
    let (token, other) = (token(), sign(&[b'x'; 32], r#"{"alg":"HS256"}"#, CLAIMS));
    let bearer = format!("Authorization: Bearer {token}");
    let ticket =
        || access.tickets.issue(Grant::new([]).expires_at(at(NOW + 100)), at(NOW)).unwrap();
    let of_ticket = || format!("ticket={}", ticket().as_str());
    #[rustfmt::skip]
    let table = [
        (bearer.clone(), String::new(), 200),
        (format!("authorization: bearer  {token} "), String::new(), 200),
        (String::new(), of_ticket(), 200),
        (String::new(), format!("topic=news&{}", of_ticket()), 200),
        (String::new(), String::new(), 401),
        ("Authorization: Bearer".to_owned(), String::new(), 401),
        ("Authorization: Bearer ".to_owned(), String::new(), 401),
        (format!("Authorization: Basic {token}"), String::new(), 401),
        (format!("Authorization: {token}"), String::new(), 401),
        (format!("Authorization: Bearer {other}"), String::new(), 401),
        (format!("Cookie: session={token}"), String::new(), 401),
        (String::new(), "ticket=".to_owned(), 401),
        (String::new(), format!("ticket={token}"), 401),
        (String::new(), format!("token={token}"), 401),
        (String::new(), format!("access_token={token}"), 400),
        (bearer.clone(), format!("access_token={token}"), 400),
        (format!("{bearer}\n{bearer}"), String::new(), 400),
        (bearer.clone(), of_ticket(), 400),
        (String::new(), format!("{}&{}", of_ticket(), of_ticket()), 400),
    ];
    for (fields, query, expected) in table {
        let got = with_ask(&fields, &query, |ask| access.decide(&ask, at(NOW)).map(drop));
        assert_eq!(status(got), expected, "{fields} {query}");
    }
}

#[test]
fn a_cookie_is_for_pages_of_the_servers_own_origin_and_of_those_that_are_listed() {
    let options = AccessOptions::default().cookie("session").cookie_origins(["https://a.example"]);
    let access = access(options);
    let cookie = format!("Host: events.example\nCookie: a=b; session={}", token());
    for (fields, expected) in [
        // What a proxy makes of the Host does not matter where the browser says it.
        ("Origin: https://events.example:8443\nSec-Fetch-Site: same-origin", 200),
        ("Origin: https://b.example\nSec-Fetch-Site: same-site", 403),
        ("Origin: https://b.example\nSec-Fetch-Site: same-origin\nSec-Fetch-Site: none", 403),
        ("", 200),
        ("Sec-Fetch-Site: same-origin", 200),
        ("Sec-Fetch-Site: none", 200),
        ("Origin: https://events.example", 200),
        ("Origin: https://EVENTS.example", 200),
        ("Origin: https://a.example\nSec-Fetch-Site: cross-site", 200),
        ("Origin: https://b.example", 403),
        ("Origin: https://events.example.b.example", 403),
        ("Origin: https://events.example:8443", 403),
        ("Origin: null", 403),
        ("Origin: https://a.example\nOrigin: https://a.example", 403),
        ("Sec-Fetch-Site: cross-site", 403),
        ("Sec-Fetch-Site: same-site", 403),
    ] {
        let fields = format!("{cookie}\n{fields}");
        let decided = with_ask(&fields, "", |ask| access.decide(&ask, at(NOW)).map(drop));
        assert_eq!(status(decided), expected, "{fields}");
        let exchanged = with_ask(&fields, "", |ask| access.exchange(&ask, at(NOW)));
        assert_eq!(status(exchanged), expected, "{fields}");
    }
    // What is shown outright goes before a cookie, which any page can have sent along.
    let fields = format!("{cookie}\nOrigin: https://b.example\nAuthorization: Bearer {}", token());
    assert_eq!(status(with_ask(&fields, "", |ask| access.decide(&ask, at(NOW)).map(drop))), 200);
    let wrong = "Cookie: session=x";
    assert_eq!(status(with_ask(wrong, "", |ask| access.decide(&ask, at(NOW)).map(drop))), 401);
    let other = format!("Cookie: Session={}", token());
    assert_eq!(status(with_ask(&other, "", |ask| access.decide(&ask, at(NOW)).map(drop))), 401);
}

#[test]
fn a_token_gets_a_ticket_and_a_ticket_gets_none() {
    let access = access(AccessOptions::default());
    let fields = format!("Authorization: Bearer {}", token());
    let json = with_ask(&fields, "", |ask| access.exchange(&ask, at(NOW))).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["expires_at"], 1_900_000_100);
    let query = format!("ticket={}", json["ticket"].as_str().unwrap());
    assert_eq!(status(with_ask("", &query, |ask| access.exchange(&ask, at(NOW)))), 400);
    assert_eq!(status(with_ask("", "", |ask| access.exchange(&ask, at(NOW)))), 401);

    // `HEAD` opens no stream, and leaves the ticket as it is.
    let head = with_ask("", &query, |ask| {
        access.decide(&StreamAsk { method: "HEAD", ..ask }, at(NOW + 1)).map(drop)
    });
    assert_eq!(status(head), 400);
    let grant = Grant::new([crate::Subscription::new("news").unwrap()]).expires_at(at(NOW + 100));
    let admission = with_ask("", &query, |ask| access.decide(&ask, at(NOW + 59))).ok().unwrap();
    assert_eq!(admission.grant, grant);
    let again = || with_ask("", &query, |ask| access.decide(&ask, at(NOW + 59)).map(drop));
    assert_eq!(status(again()), 200, "no stream has begun with it");
    admission.lease.as_ref().unwrap().take(at(NOW + 59)).unwrap();
    assert_eq!(status(again()), 409);
    drop(admission);
    assert_eq!(status(again()), 200);
}

#[test]
fn of_two_streams_that_begin_with_one_ticket_the_later_is_refused() {
    let access = access(AccessOptions::default());
    let grant = Grant::new([]).expires_at(at(NOW + 100));
    let ticket = access.tickets.issue(grant, at(NOW)).unwrap();
    let query = format!("ticket={}", ticket.as_str());
    let decide = || with_ask("", &query, |ask| access.decide(&ask, at(NOW + 1))).ok().unwrap();
    let [first, second, late] =
        [decide(), decide(), decide()].map(|decided| decided.lease.unwrap());
    assert_eq!(status(first.take(at(NOW + 1))), 200);
    assert_eq!(status(second.take(at(NOW + 1))), 409);
    drop((first, second));
    assert_eq!(status(late.take(at(NOW + 100))), 401, "it is over meanwhile");
}

#[test]
fn when_there_are_too_many_tickets_clients_are_told_to_come_again() {
    let mut access = access(AccessOptions::default());
    access.tickets = Tickets::new(TicketOptions::default().tickets_max(1)).unwrap();
    let fields = format!("Authorization: Bearer {}", token());
    let exchange = || with_ask(&fields, "", |ask| access.exchange(&ask, at(NOW)));
    assert_eq!((status(exchange()), status(exchange())), (200, 503));
}

#[test]
fn options_of_access_have_bounds() {
    let wrong = [
        (AccessOptions::default().cookie(""), "cookie"),
        (AccessOptions::default().cookie("a=b"), "cookie"),
        (AccessOptions::default().cookie("x".repeat(257)), "cookie"),
        (AccessOptions::default().cookie_origins(vec!["https://a.example"; 65]), "cookie_origins"),
        (AccessOptions::default().exchange_path("tickets"), "exchange_path"),
        (AccessOptions::default().exchange_path("/tickets?a"), "exchange_path"),
        (AccessOptions::default().exchange_path("/größe"), "exchange_path"),
    ];
    for (options, name) in wrong {
        assert_eq!(options.check().unwrap_err().option, name);
    }
    assert_eq!(access(AccessOptions::default().exchange_path("")).exchange_path(), None);
}
