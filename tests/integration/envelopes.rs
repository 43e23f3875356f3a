//! Clients that ask for an envelope, and so learn the topic of each event that they get.

use std::io::{Read, Write};
use std::net::TcpStream;

use fanfare::{Envelope, Event, Hub, ListenOptions, Topic};
use serde_json::{json, Value};

use crate::support::{one_shard, serve, serve_with, Client, DEADLINE};

fn publish(hub: &Hub, topic: &str, event: Event<'_>) -> String {
    let published = hub.publish(&Topic::new(topic).unwrap(), event).unwrap();
    published.id().expect("the hub makes its ids").to_string()
}

/// The object of the next message, which has no name of its own and the object's id.
fn object(client: &mut Client) -> Value {
    let message = client.next();
    assert_eq!(message.name, "message");
    let object: Value = serde_json::from_str(&message.data).expect("its data is JSON");
    assert_eq!(object["id"], *message.last_id);
    object
}

#[test]
fn a_client_of_a_filter_learns_the_topic_of_each_event() {
    let (hub, listener) = serve(one_shard());
    let mut within = Client::get(listener.local_addr(), "/events?topic=sensors/%23&envelope=json");
    let mut without = Client::get(listener.local_addr(), "/events?topic=sensors/%23");
    let first = publish(&hub, "sensors/1", Event::new("20.5").with_name("temperature"));
    let second = publish(&hub, "sensors/größe", Event::new("two\nlines \"of\" it"));
    publish(&hub, "other", Event::new("not for them"));
    let third = publish(&hub, "sensors", Event::new("{\"json\":1}").with_comment("c"));
    let expected = [
        json!({"topic": "sensors/1", "event": "temperature", "id": first, "data": "20.5"}),
        json!({"topic": "sensors/größe", "id": second, "data": "two\nlines \"of\" it"}),
        json!({"topic": "sensors", "id": third, "data": "{\"json\":1}"}),
    ];
    for expected in &expected {
        assert_eq!(object(&mut within), *expected);
        let message = without.next();
        assert_eq!(message.name, expected["event"].as_str().unwrap_or("message"));
        assert_eq!(
            (&*message.data, &*message.last_id),
            (expected["data"].as_str().unwrap(), expected["id"].as_str().unwrap(),)
        );
    }
    assert_eq!((within.comments(), without.comments()), (1, 1));
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed_and_what_comes_in_its_envelope() {
    for version in ["1.0", "1.1"] {
        let (hub, listener) = serve(one_shard().history_events_max(4));
        let addr = listener.local_addr();
        let get = |fields: &str| {
            let path = "/events?topic=run/%2B&envelope=json";
            let head = format!("GET {path} HTTP/{version}\r\nHost: {addr}\r\n{fields}\r\n");
            Client::send(addr, &head)
        };
        let mut client = get("");
        publish(&hub, "run/1", Event::new("1").with_id("custom \"id\""));
        assert_eq!(
            object(&mut client),
            json!({"topic": "run/1", "id": "custom \"id\"", "data": "1"})
        );
        drop(client);
        let missed = publish(&hub, "run/2", Event::new("2").with_name("token"));
        let mut client = get("Last-Event-ID: custom \"id\"\r\n");
        let later = publish(&hub, "run/1", Event::new("3"));
        for (topic, id, data) in [("run/2", &missed, "2"), ("run/1", &later, "3")] {
            let object = object(&mut client);
            assert_eq!((&object["topic"], &object["data"]), (&json!(topic), &json!(data)));
            assert_eq!(object["id"], **id);
        }
        drop(client);
        // What is gone is told by an event of its own, without an envelope.
        for nth in 0..6 {
            publish(&hub, "run/3", Event::new(nth.to_string()));
        }
        let mut client = get(&format!("Last-Event-ID: {later}\r\n"));
        let gap = client.next();
        assert_eq!(gap.name, "fanfare-gap");
        let gap: Value = serde_json::from_str(&gap.data).unwrap();
        assert_eq!((&gap["reason"], &gap["missed"]), (&json!("expired"), &json!(2)));
        for nth in 2..6 {
            let object = object(&mut client);
            assert_eq!(object["topic"], "run/3");
            assert_eq!(object["data"], nth.to_string());
        }
    }
}

#[test]
fn an_event_without_data_and_heartbeats_are_as_without_an_envelope() {
    let options = one_shard().heartbeat(std::time::Duration::from_millis(100));
    let (hub, listener) = serve(options);
    let mut client = Client::get(listener.local_addr(), "/events?topic=a&envelope=json");
    client.wait_for_heartbeat();
    publish(&hub, "a", Event::empty().with_retry(std::time::Duration::from_millis(4_321)));
    let id = publish(&hub, "a", Event::new("x"));
    assert_eq!(object(&mut client), json!({"topic": "a", "id": id, "data": "x"}));
    assert_eq!(client.retry(), Some(4_321));
}

#[test]
fn a_listener_has_an_envelope_for_those_that_ask_for_none() {
    let options = ListenOptions::default().envelope(Envelope::Json);
    let (hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    let mut of_listener = Client::get(addr, "/events?topic=a");
    let mut without = Client::get(addr, "/events?topic=a&envelope=none");
    publish(&hub, "a", Event::new("x"));
    assert_eq!(object(&mut of_listener)["topic"], "a");
    assert_eq!(without.data(), "x");
}

#[test]
fn an_unknown_envelope_and_two_of_them_are_refused() {
    let (_hub, listener) = serve(one_shard());
    for (query, why) in [
        ("envelope=xml", "there is no envelope \"xml\"; there are none, json"),
        ("envelope=", "there is no envelope \"\"; there are none, json"),
        ("envelope=json&envelope=json", "a stream has one envelope; send one alone, or leave it"),
    ] {
        let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("GET /events?topic=a&{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, and then the end");
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(why), "{answer}");
    }
}
