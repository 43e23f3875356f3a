//! Options of topics and of filters, as clients see them.

use std::time::Duration;

use fanfare::{
    ConnectionFilter, Event, Hub, ListenOptions, Policy, PublishError, Subscription, Topic,
    TopicOptions,
};

use crate::support::{one_shard, serve, serve_with, wait_until, Client, DEADLINE};

fn publish(hub: &Hub, name: &str, data: &str) -> String {
    let topic = Topic::new(name).unwrap();
    hub.publish_wait(&topic, data, DEADLINE).unwrap().id().unwrap().to_string()
}

fn set(hub: &Hub, text: &str, options: TopicOptions) {
    hub.set_rule(&Subscription::new(text).unwrap(), options).unwrap();
}

/// The policy of the only stream of a tag.
fn policy_of(hub: &Hub, tag: &str) -> Policy {
    let mut found = hub.connections(&ConnectionFilter::default().tag(tag)).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).policy
}

#[test]
fn a_stream_has_the_policy_of_the_rules_of_its_topics_unless_its_client_chose_one() {
    let (hub, listener) = serve(one_shard().policy(Policy::DropOldest));
    set(&hub, "quotes/#", TopicOptions::default().policy(Policy::Conflate));
    set(&hub, "quotes/log", TopicOptions::default().policy(Policy::Disconnect));
    let addr = listener.local_addr();
    let mut clients = Vec::new();
    for (tag, query, policy) in [
        ("1", "topic=quotes/a", Policy::Conflate),
        ("2", "topic=quotes/%2B&topic=quotes/b", Policy::Conflate),
        ("3", "topic=quotes/log", Policy::Disconnect),
        ("4", "topic=quotes/a&topic=quotes/log", Policy::DropOldest),
        ("5", "topic=news", Policy::DropOldest),
        ("6", "topic=quotes/a&policy=drop-oldest", Policy::DropOldest),
        // Where a stream is disconnected otherwise, its client may choose that as well.
        ("7", "topic=quotes/log&policy=disconnect", Policy::Disconnect),
    ] {
        let client = Client::get(addr, &format!("/events?tag={tag}&{query}"));
        assert_eq!((client.status(), policy_of(&hub, tag)), (200, policy), "{query}");
        clients.push(client);
    }
    assert_eq!(Client::get(addr, "/events?topic=quotes/a&policy=disconnect").status(), 403);
    // A rule that is removed holds for the streams that it has held for.
    assert!(hub.remove_rule(&Subscription::new("quotes/#").unwrap()));
    assert_eq!(policy_of(&hub, "1"), Policy::Conflate);
    clients.push(Client::get(addr, "/events?tag=8&topic=quotes/a"));
    assert_eq!(policy_of(&hub, "8"), Policy::DropOldest);
}

#[test]
fn a_slow_client_is_served_by_the_policy_of_its_rule() {
    let options = one_shard().policy(Policy::Disconnect).lag_bytes_max(1 << 20);
    let (hub, listener) = serve_with(options, ListenOptions::default().send_buffer_bytes(16 << 10));
    set(&hub, "quotes/#", TopicOptions::default().policy(Policy::Conflate));
    let mut slow = Client::get(listener.local_addr(), "/events?topic=quotes/a");
    let topic = Topic::new("quotes/a").unwrap();
    let mut published = 0;
    wait_until("events are conflated", || {
        let event = Event::new("x".repeat(100_000)).with_key("ACME");
        published += u64::from(hub.publish_wait(&topic, event, DEADLINE).is_ok());
        hub.metrics().conflated_events > 0
    });
    hub.publish_wait(&topic, Event::new("last").with_key("ACME"), DEADLINE).unwrap();
    let mut received = 0;
    while slow.data() != "last" {
        received += 1;
    }
    assert!(received < published, "it got all {published}");
}

#[test]
fn a_client_that_comes_back_is_sent_what_the_rule_keeps_and_told_of_the_rest() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    set(&hub, "run/#", TopicOptions::default().history_events_max(2));
    let first = publish(&hub, "run/7", "1");
    publish(&hub, "other", "1");
    (2..=5).for_each(|n| _ = publish(&hub, "run/7", &n.to_string()));
    publish(&hub, "other", "2");
    let mut back = Client::get(addr, &format!("/events?topic=run/7&last-event-id={first}"));
    let gap = back.next();
    assert_eq!(gap.name, "fanfare-gap");
    assert!(gap.data.contains("\"expired\""), "{gap:?}");
    assert_eq!([back.data(), back.data()], ["4", "5"]);
    let mut other = Client::get(addr, "/events?topic=other&last=10");
    assert_eq!([other.data(), other.data()], ["1", "2"]);
    // With a rule that allows more, more is kept from then on.
    set(&hub, "run/7", TopicOptions::default().history_events_max(3));
    publish(&hub, "run/7", "6");
    let mut all = Client::get(addr, "/events?topic=run/%23&last=10");
    assert_eq!([all.data(), all.data(), all.data()], ["4", "5", "6"]);
    assert_eq!(back.data(), "6");
}

#[test]
fn events_are_too_old_at_the_age_of_their_rule() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let age = Duration::from_millis(20);
    set(&hub, "short/#", TopicOptions::default().history_age_max(age));
    let first = publish(&hub, "short/a", "1");
    publish(&hub, "short/a", "2");
    publish(&hub, "long", "3");
    // A shard with connections looks for old events ten times in a second.
    let _other = Client::get(addr, "/events?topic=other");
    wait_until("they are forgotten", || hub.rules()[0].kept_events == 0);
    let path = format!("/events?topic=short/a&topic=long&last-event-id={first}");
    let mut back = Client::get(addr, &path);
    let gap = back.next();
    assert_eq!(gap.name, "fanfare-gap");
    assert!(gap.data.contains("\"expired\""), "{gap:?}");
    assert_eq!(back.data(), "3");
}

#[test]
fn the_name_of_a_finished_topic_is_free_after_the_time_of_its_rule() {
    let (hub, listener) = serve(one_shard());
    let age = Duration::from_millis(20);
    set(&hub, "run/#", TopicOptions::default().finished_age_max(age));
    let topics = ["run/7", "other"].map(|name| Topic::new(name).unwrap());
    for topic in &topics {
        hub.publish(topic, "old").unwrap();
        hub.finish(topic, None).unwrap();
    }
    assert_eq!(hub.rules()[0].finished_topics, 1);
    wait_until("the name is free", || hub.publish(&topics[0], "new").is_ok());
    let topic = topics[1].clone();
    assert_eq!(hub.publish(&topic, "new").unwrap_err(), PublishError::Finished { topic });
    let mut client = Client::get(listener.local_addr(), "/events?topic=run/7&last=10");
    assert_eq!(client.data(), "new");
}
