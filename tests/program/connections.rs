//! `/connections` and `/topics`: lists of all and of slow connections, and ending streams.

use serde_json::{json, Value};

use crate::http::{exchange, get, publish, Answer};
use crate::process::Server;
use crate::support::{wait_until, Client};

fn json_of(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    serde_json::from_str(&answer.body).unwrap()
}

fn list(server: &Server, query: &str) -> Vec<Value> {
    let answer = json_of(&get(server.control, &format!("/connections{query}")));
    answer["connections"].as_array().unwrap().clone()
}

fn delete(server: &Server, query: &str) -> Answer {
    let request =
        format!("DELETE /connections{query} HTTP/1.1\r\nHost: {}\r\n\r\n", server.control);
    exchange(server.control, &request)
}

fn put(server: &Server, query: &str) -> Answer {
    let request = format!("PUT /connections{query} HTTP/1.1\r\nHost: {}\r\n\r\n", server.control);
    exchange(server.control, &request)
}

fn disconnected(server: &Server, query: &str) -> u64 {
    json_of(&delete(server, query))["disconnected"].as_u64().unwrap()
}

#[test]
fn connections_are_listed_and_ended_by_id_topic_and_tag() {
    let server = Server::start(&["--shards", "2"]);
    let mut first = Client::get(server.addr, "/events?topic=a&tag=x%22y");
    let mut others: Vec<Client> = ["/events?topic=a", "/events?topic=b&tag=z", "/events?topic=c"]
        .map(|path| Client::get(server.addr, path))
        .into();
    publish(server.control, "?topic=a", "hello");
    assert_eq!((first.data(), others[0].data()), ("hello".to_owned(), "hello".to_owned()));

    assert_eq!(list(&server, "").len(), 4);
    assert_eq!(list(&server, "?limit=3").len(), 3);
    assert_eq!(list(&server, "?topic=a").len(), 2);
    assert_eq!(list(&server, "?lagging=1"), Vec::<Value>::new());
    let tagged = list(&server, "?tag=x%22y");
    let [one] = &tagged[..] else { panic!("{tagged:?}") };
    assert_eq!((&one["topics"], &one["tag"]), (&json!(["a"]), &json!("x\"y")));
    assert_eq!(one["addr"], first.socket().local_addr().unwrap().to_string());
    assert_eq!((&one["events"], &one["state"]), (&json!(1), &json!("live")));
    assert_eq!((&one["lag_events"], &one["lag_age_ms"]), (&json!(0), &json!(0)));
    assert_eq!(one["policy"], "disconnect");
    assert!(one["since"].as_str().unwrap().ends_with('Z'), "{one}");

    let topics = json!({ "topics": [
        { "topic": "a", "subscribers": 2 },
        { "topic": "b", "subscribers": 1 },
        { "topic": "c", "subscribers": 1 },
    ] });
    assert_eq!(json_of(&get(server.control, "/topics")), topics);
    let a = json_of(&get(server.control, "/topics?topic=a"));
    assert_eq!(a, json!({ "topics": [{ "topic": "a", "subscribers": 2 }] }));

    let by_id = format!("?id={}&retry=60000", one["id"].as_str().unwrap());
    assert_eq!([disconnected(&server, &by_id), disconnected(&server, &by_id)], [1, 0]);
    assert!(first.ends_cleanly());
    assert!((60_000..=120_000).contains(&first.retry().unwrap()));
    assert_eq!(disconnected(&server, "?topic=a"), 1);
    assert_eq!(disconnected(&server, "?tag=z"), 1);
    assert_eq!(disconnected(&server, "?all=1"), 1);
    assert!(others.iter_mut().all(Client::ends_cleanly));
    server.wait_for_metric("fanfare_disconnects_total{reason=\"kicked\"}", 4.0);
}

#[test]
fn topics_of_a_live_stream_are_changed_by_its_id() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=a&topic=b");
    let id = list(&server, "")[0]["id"].as_str().unwrap().to_owned();
    let changed =
        |query: &str| json_of(&put(&server, &format!("?id={id}{query}")))["changed"].clone();
    assert_eq!(changed("&topic=b&topic=c/%23"), json!(1));
    for topic in ["a", "b", "c/d"] {
        publish(server.control, &format!("?topic={topic}"), topic);
    }
    assert_eq!([client.data(), client.data()], ["b", "c/d"]);
    assert_eq!(list(&server, "?topic=a"), Vec::<Value>::new());
    assert_eq!(list(&server, "?topic=c/%23").len(), 1);
    for query in ["", "&topic=", "&topic=a%2B"] {
        assert_eq!(put(&server, &format!("?id={id}{query}")).status, 400, "{query}");
    }
    for query in ["", "?topic=a", "?id=x&topic=a"] {
        assert_eq!(put(&server, query).status, 400, "{query}");
    }
    drop(client);
    server.wait_for_metric("fanfare_connections", 0.0);
    assert_eq!(changed("&topic=a"), json!(0));
}

#[test]
fn the_slow_client_is_listed_first_among_those_that_lag() {
    let server = Server::start(&["--lag-bytes-max", "100MiB"]);
    let mut reader = Client::get(server.addr, "/events?topic=a");
    let slow = Client::get(server.addr, "/events?topic=a&tag=slow");
    let data = "x".repeat(1 << 20);
    wait_until("it lags", || {
        assert_eq!(publish(server.control, "?topic=a", &data).status, 200);
        assert_eq!(reader.data().len(), data.len());
        !list(&server, "?lagging=1").is_empty()
    });
    let slowest = list(&server, "?lagging=1&limit=1");
    assert_eq!((&slowest[0]["tag"], &slowest[0]["state"]), (&json!("slow"), &json!("lagging")));
    assert!(slowest[0]["lag_events"].as_u64().unwrap() >= 1, "{slowest:?}");
    assert!(slowest[0]["lag_bytes"].as_u64().unwrap() > 0, "{slowest:?}");
    drop(slow);
}

#[test]
fn nonsense_is_refused_with_the_reason_and_ends_no_connection() {
    let server = Server::start(&[]);
    let _client = Client::get(server.addr, "/events?topic=a");
    for query in [
        "",
        "?topic=a&all=1",
        "?topic=a&topic=b",
        "?tag=a&tag=b",
        "?id=x",
        "?all=yes",
        "?topic=",
        "?all=0",
        "?all=1&retry=x",
        "?all=1&retry=86400001",
    ] {
        let answer = delete(&server, query);
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.starts_with("{\"error\":\""), "{answer:?}");
    }
    for path in [
        "/connections?limit=10001",
        "/connections?lagging=x",
        "/connections?cluster=x",
        "/topics?limit=-1",
        "/topics?cluster=1",
    ] {
        assert_eq!(get(server.control, path).status, 400, "{path}");
    }
    // It is a node of no cluster.
    for path in ["/connections?cluster=1", "/topics?topic=a&cluster=1"] {
        let answer = get(server.control, path);
        assert!(answer.status == 400 && answer.body.contains("in no cluster"), "{answer:?}");
    }
    for (request, allow) in [
        ("POST /connections?all=1", "GET, HEAD, PUT, DELETE"),
        ("PUT /topics", "GET, HEAD"),
        ("DELETE /topics", "GET, HEAD"),
        ("POST /topics", "GET, HEAD"),
    ] {
        let answer =
            exchange(server.control, &format!("{request} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        assert_eq!((answer.status, answer.field("allow")), (405, Some(allow)), "{request}");
    }
    assert_eq!(server.metric("fanfare_connections"), 1.0);
}

#[test]
fn a_client_that_may_not_publish_may_neither_see_nor_end_connections() {
    let with_token = Server::with_token("s3cret");
    let without = Server::start(&[]);
    let _clients =
        [&with_token, &without].map(|server| Client::get(server.addr, "/events?topic=a"));
    let requests = [
        "GET /connections",
        "GET /topics",
        "PUT /connections?id=1&topic=b",
        "DELETE /connections?all=1",
    ];
    for request in requests {
        let ask = |server: &Server, fields: &str| {
            let host = format!("Host: {}\r\n", server.control);
            exchange(server.control, &format!("{request} HTTP/1.1\r\n{host}{fields}\r\n")).status
        };
        assert_eq!(ask(&with_token, ""), 401, "{request}");
        assert_eq!(ask(&with_token, "Authorization: Bearer x\r\n"), 401, "{request}");
        assert_eq!(ask(&without, "Sec-Fetch-Site: cross-site\r\n"), 403, "{request}");
        assert_eq!(ask(&without, "X-Forwarded-For: 192.0.2.1\r\n"), 403, "{request}");
        assert_eq!(with_token.metric("fanfare_connections"), 1.0);
        assert_eq!(without.metric("fanfare_connections"), 1.0);
        assert_eq!(ask(&with_token, "Authorization: Bearer s3cret\r\n"), 200, "{request}");
    }
}

#[test]
fn a_server_sends_clients_away_that_are_too_old() {
    let server = Server::start(&["--connection-age-max", "1s", "--retry", "10s"]);
    let mut client = Client::get(server.addr, "/events?topic=a");
    assert!(client.ends_cleanly());
    assert!((10_000..=20_000).contains(&client.retry().unwrap()));
    server.wait_for_metric("fanfare_disconnects_total{reason=\"aged\"}", 1.0);
}
