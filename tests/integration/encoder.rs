//! For any event that is accepted, a parser written from the standard gives back exactly that
//! event, and in an envelope a JSON parser does; for any that would not survive the way, the
//! publisher gets an error.

use fanfare::{Event, PublishError, Topic};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::given::Given;
use crate::support::sse::Message;
use crate::support::{one_shard, serve, Client, DEADLINE};

/// Texts of what means something to a parser, of anything at all, and of anything long.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[\r\n:\0 a\u{FEFF}é🎺]{0,12}",
        2 => "(data|id|event|retry|)(: ?|)[\r\n]{0,2}[a-z]{0,3}",
        2 => any::<String>(),
        1 => "[a-z\n]{200,400}",
    ]
}

/// Fields that are mostly right, so that most events are accepted.
fn fields() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        6 => Just(None),
        6 => "[a-zé🎺:-][ a-zé🎺:,-]{0,10}[a-z]".prop_map(Some),
        1 => texts().prop_map(Some),
    ]
}

fn events() -> impl Strategy<Value = Given> {
    let data = proptest::option::weighted(0.9, texts());
    let retry = proptest::option::weighted(0.2, 0..=u64::from(u32::MAX) + 1);
    let comment = proptest::option::weighted(0.2, texts());
    let all = (data, fields(), fields(), retry, fields(), comment);
    all.prop_map(|(data, name, id, retry, key, comment)| Given {
        data,
        name,
        id,
        retry,
        key,
        comment,
    })
}

/// The topic of all events, and how it is written in a query.
const TOPIC: &str = "a/\"\\é\u{2028}";
const QUERY: &str = "/events?topic=a/%22%5C%C3%A9%E2%80%A8";

/// What a client with an envelope makes of a message: the same without it.
fn unwrapped(message: Message) -> Message {
    let Message { name, data, last_id } = message;
    assert_eq!(name, "message", "the envelope has the name");
    assert!(data.starts_with(r#"{"topic":"a/"#), "{data}");
    let object: serde_json::Value = serde_json::from_str(&data).expect("it is JSON");
    let text = |field: &str| object.get(field).map(|text| text.as_str().expect("text").to_owned());
    let name = text("event");
    let mut all = json!({"topic": TOPIC, "id": last_id, "data": text("data").expect("data")});
    if let Some(name) = &name {
        all["event"] = json!(name);
    }
    assert_eq!(object, all, "nothing else is in it");
    let name = name.unwrap_or_else(|| "message".to_owned());
    Message { name, data: text("data").expect("data"), last_id }
}

#[test]
fn what_is_accepted_arrives_exactly_and_what_would_not_is_an_error() {
    let (hub, listener) = serve(one_shard());
    let topic = Topic::new(TOPIC).unwrap();
    // Both wire forms, without and with an envelope.
    let mut clients = ["", "&envelope=json"].map(|envelope| {
        let plain = format!("GET {QUERY}{envelope} HTTP/1.0\r\n\r\n");
        [
            Client::get(listener.local_addr(), &format!("{QUERY}{envelope}")),
            Client::send(listener.local_addr(), &plain),
        ]
    });
    // What comes first moves the id as well.
    for client in clients.iter_mut().flatten() {
        while client.take_ids().iter().all(String::is_empty) {
            assert!(client.receive());
        }
    }
    let clients = std::cell::RefCell::new(clients);
    let accepted = std::cell::Cell::new(0);
    let cases = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
    let mut runner = TestRunner::new(Config {
        cases,
        // The connection is one for all cases: what follows a failure means nothing.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    });
    let several = proptest::collection::vec(events(), 1..6);
    let result = runner.run(&several, |several| {
        let mut expected = Vec::new();
        for given in &several {
            match hub.publish_wait(&topic, given.event(), DEADLINE) {
                Ok(published) => {
                    let id = published.id().unwrap();
                    prop_assert!(given.survives(), "accepted: {given:?}");
                    expected.push((given.clone(), given.id.clone().unwrap_or(id.to_string())));
                }
                Err(PublishError::Invalid(error)) => {
                    prop_assert!(!given.survives(), "refused: {given:?}: {error}");
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
        accepted.set(accepted.get() + expected.len());
        hub.publish_wait(&topic, Event::new("mark").with_name("mark").with_id("mark"), DEADLINE)
            .unwrap();
        let [without, within] = &mut *clients.borrow_mut();
        let without = without.iter_mut().map(|client| (client, false));
        for (client, is_within) in without.chain(within.iter_mut().map(|client| (client, true))) {
            let next = |client: &mut Client| match is_within {
                true => unwrapped(client.next()),
                false => client.next(),
            };
            for (given, id) in &expected {
                if let Some(message) = given.message(id) {
                    prop_assert_eq!(next(client), message);
                }
            }
            prop_assert_eq!(next(client).name, "mark");
            // Blocks that fire nothing move the id as well.
            let moved = expected.iter().map(|(_, id)| &**id).chain(["mark"]);
            let moved: Vec<&str> = moved.collect();
            prop_assert_eq!(client.take_ids(), moved);
            let last_retry = expected.iter().filter_map(|(given, _)| given.retry).next_back();
            if last_retry.is_some() {
                prop_assert_eq!(client.retry(), last_retry);
            }
        }
        Ok(())
    });
    result.unwrap();
    assert!(accepted.get() > cases as usize, "too few were accepted: {}", accepted.get());
}
