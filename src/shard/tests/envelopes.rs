//! Clients that want each event's topic, beside others that do not: what they are sent, and that it
//! is encoded once.

use super::*;
use crate::order::EVENT_BYTES;

const JSON: &[Envelope] = &[Envelope::Json];

impl World {
    fn texts(&self, number: u32) -> String {
        let client = &self.clients[&number];
        let received = body(&client.received(), client.wire);
        String::from_utf8(received).unwrap()
    }

    /// The address of the frame that a client's audience has of the last event.
    fn frame_for(&self, number: u32) -> usize {
        let audience = self.shard.connections[self.clients[&number].key.index].audience();
        let queue = &self.shard.audiences[audience.expect("it is in one")].queue;
        queue.frames(queue.end() - 1..queue.end()).next().expect("it is kept").address()
    }

    fn id(&self, number: u64) -> EventId {
        self.shared.order.id_of(number)
    }

    /// The events from a number on, as a client is to get them.
    fn shown_from(&self, client: u32, number: u64) -> String {
        let events = self.published.iter().filter(|event| event.0 >= number);
        events.map(|(_, topic, text)| self.clients[&client].shown(topic, text)).collect()
    }
}

#[test]
fn audiences_in_one_envelope_share_one_encoding_and_those_without_have_the_event_itself() {
    let mut world = World { envelopes: EACH_ENVELOPE, ..World::new(Options::default()) };
    let all = || vec![0, 1, 2, 3];
    for (topics, wire) in
        [(vec![0], Wire::Plain), (all(), Wire::Chunked), (vec![0, 1], Wire::Plain)]
    {
        // One without an envelope, and one in it.
        world.join(topics.clone(), wire, 5);
        world.join(topics, wire, 5);
    }
    assert!(world.publish(0, "once"));
    world.shard.take_inbox();
    let (without, within) = (world.frame_for(1), world.frame_for(2));
    assert_ne!(without, within);
    assert_eq!([3, 5].map(|number| world.frame_for(number)), [without; 2]);
    assert_eq!([4, 6].map(|number| world.frame_for(number)), [within; 2]);
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn a_client_that_comes_back_is_told_the_topic_of_each_event_that_it_missed() {
    let mut world = World::new(Options::default());
    for nth in 0..700 {
        assert!(world.publish(nth % TOPICS.len(), &format!("{nth} \"quoted\"")));
    }
    for envelope in [JSON, &[Envelope::None], JSON] {
        world.envelopes = envelope;
        let after = Resume::After(world.id(100).to_string().into());
        world.join_from(vec![0, 1, 2, 3], Wire::Plain, usize::MAX / 2, after);
    }
    world.settle();
    for number in 1..=3 {
        let expected = format!("head\n{}", world.shown_from(number, 101));
        assert_eq!(world.texts(number), expected);
    }
    let counters = &world.shard.link().counters;
    assert_eq!(counters.replayed_events.value(), 3 * 600);
    let bytes: usize = (1..=3).map(|number| world.shown_from(number, 101).len()).sum();
    assert_eq!(counters.delivered_bytes.value(), bytes as u64);
    assert!(world.shown_from(1, 101).len() > world.shown_from(2, 101).len());
    world.check_empty();
}

#[test]
fn a_gap_is_told_without_an_envelope_before_events_in_it() {
    let mut world = World::new(Options { history_events_max: 2, ..Options::default() });
    world.envelopes = JSON;
    (0..6).for_each(|nth| assert!(world.publish(nth % 2, &nth.to_string())));
    let after = Resume::After(world.id(1).to_string().into());
    world.join_from(vec![0, 1], Wire::Plain, usize::MAX / 2, after);
    world.settle();
    let (from, to) = (world.id(1), world.id(2));
    let gap = format!(
        "event: fanfare-gap\ndata: {{\"from\":\"{from}\",\"to\":\"{to}\",\"reason\":\"expired\",\
         \"missed\":1}}\n\n"
    );
    let text = world.texts(1);
    let (before, events) = text.split_once(&gap).expect("it is told of the gap");
    assert_eq!(before, format!("head\nid: {to}\n"));
    assert_eq!(events, world.shown_from(1, 3));
    world.check_empty();
}

#[test]
fn a_laggard_with_an_envelope_skips_or_is_conflated_as_any_other() {
    for policy in [Policy::DropOldest, Policy::Conflate] {
        let options =
            Options { batch_bytes_max: 500, lag_bytes_max: 5_000, ..without_lag_bounds() };
        let mut world = World { envelopes: EACH_ENVELOPE, ..World::new(options) };
        let all = || (vec![0, 1], Wire::Chunked);
        for capacity in [50, 50, usize::MAX / 2, usize::MAX / 2] {
            let (topics, wire) = all();
            world.join_with(topics, wire, capacity, Resume::Start(StartAt::Now), policy);
        }
        for nth in 0..200 {
            let (topic, data) = (nth % 2, nth.to_string().repeat(20));
            let key = format!("key-{}", nth % 6);
            let event = Event::new(&*data).with_key(key);
            let id = world
                .publish_event(&[topic], &event, Duration::ZERO)
                .expect("there is space for it");
            let text = format!("id: {id}\ndata: {data}\n\n");
            world.published.push((id.sequence, vec![topic], text));
            world.shard.turn().unwrap();
        }
        // For each form a batch, what is unsent and what is spilled.
        let kept = world.shard.lag_bytes();
        assert!(kept < 2 * (5_000 + 1_000 + 40 * EVENT_BYTES), "{kept}");
        world.settle();
        for (slow, fast) in [(1, 3), (2, 4)] {
            assert!(world.texts(fast).ends_with(&world.shown_from(fast, 1)), "it keeps up");
            let newest = world.shown_from(slow, 195);
            let text = world.texts(slow);
            assert!(text.ends_with(&newest), "the newest of each key: {text}");
            assert!(text.len() < world.texts(fast).len() / 2, "it missed most");
            let gaps = text.matches("\nevent: fanfare-gap\ndata: {\"from\":").count();
            assert_eq!(gaps, usize::from(policy == Policy::DropOldest), "{text}");
        }
        world.check_empty();
        assert_eq!(world.shard.spill.bytes(), 0);
    }
}

#[test]
fn a_stream_that_gets_other_topics_stays_in_its_envelope() {
    let mut world = World { envelopes: EACH_ENVELOPE, ..World::new(Options::default()) };
    for _ in 0..2 {
        world.join(vec![0], Wire::Chunked, 50);
    }
    assert!(world.publish(0, "of the old topic"));
    world.shard.turn().unwrap();
    for number in [1, 2] {
        assert!(world.change_topics(number, vec![2, 3], number == 2));
    }
    assert!(world.publish(0, "for nobody") && world.publish(2, "of the new ones"));
    world.settle();
    world.check();
    assert!(world.texts(2).contains("{\"topic\":\"b/y\","));
    world.check_empty();
}
