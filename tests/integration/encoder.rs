//! For any event that is accepted, a parser written from the standard gives back exactly that
//! event; for any that would not survive the way, the publisher gets an error.

use fanfare::{Event, PublishError, Topic};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::given::Given;
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

#[test]
fn what_is_accepted_arrives_exactly_and_what_would_not_is_an_error() {
    let (hub, listener) = serve(one_shard());
    let topic = Topic::new("a").unwrap();
    let mut chunked = Client::get(listener.local_addr(), "/events?topic=a");
    let mut plain = Client::send(listener.local_addr(), "GET /events?topic=a HTTP/1.0\r\n\r\n");
    // What comes first moves the id as well.
    for client in [&mut chunked, &mut plain] {
        while client.take_ids().iter().all(String::is_empty) {
            assert!(client.receive());
        }
    }
    let clients = std::cell::RefCell::new([&mut chunked, &mut plain]);
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
        for client in clients.borrow_mut().iter_mut() {
            for (given, id) in &expected {
                if let Some(message) = given.message(id) {
                    prop_assert_eq!(client.next(), message);
                }
            }
            prop_assert_eq!(client.next().name, "mark");
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
