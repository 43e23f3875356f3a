//! Clients with changed topics, together with resuming, bounds and listing. The random
//! runs of the other files change topics as well.

use super::*;
use crate::lifecycle::{ConnectionFilter, ConnectionInfo, ConnectionState};
use crate::order::EVENT_BYTES;
use crate::shard::connection::pending::FLUSH_BYTES_MAX;

impl World {
    /// Has a client come back that has everything up to a number, and has missed something since.
    fn return_after(&mut self, topics: Vec<usize>, wire: Wire, capacity: usize, after: u64) {
        let id = self.shared.order.id_of(after).to_string();
        self.join_from(topics, wire, capacity, Resume::After(id.into()));
        let client = self.clients.get_mut(&self.joined).expect("it has just joined");
        let missed = self.published.iter();
        let missed = missed.filter(|e| e.0 > after && is_for(&e.1, &client.topics));
        let missed: String = missed.map(|(_, of, text)| client.shown(of, text)).collect();
        assert!(!missed.is_empty());
        client.expected.extend_from_slice(missed.as_bytes());
    }

    fn replays(&self, number: u32) -> bool {
        let index = self.clients[&number].key.index;
        matches!(self.shard.connections[index].state, State::Replaying(_))
    }

    /// All connections, as the host is told of them.
    fn list(&mut self) -> Vec<ConnectionInfo> {
        let (answer, answers) = async_channel::bounded(1);
        let query = Query::Connections(ConnectionFilter::default());
        assert!(self
            .shard
            .link()
            .command(Command::Query(Box::new(QueryRequest { query, answer })))
            .is_ok());
        loop {
            self.shard.turn().unwrap();
            if let Ok(answer) = answers.try_recv() {
                let Answer::Connections(list) = answer else { panic!("it is a list") };
                return list;
            }
        }
    }

    /// Publishes `count` events, each of which is sent before the next.
    fn publish_many(&mut self, topic: usize, count: usize) {
        for nth in 0..count {
            assert!(self.publish(topic, &nth.to_string().repeat(100)[..100]));
            self.shard.turn().unwrap();
        }
    }
}

/// One run of random steps: clients come back, and have their topics changed when they have
/// what they missed, or as soon after that as can be.
fn run_returns(seed: u64, steps: usize) -> (u64, u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let options =
        Options { batch_bytes_max: 700, topic_backlog_bytes_max: 2_000, ..Options::default() };
    let mut world = World { envelopes: EACH_ENVELOPE, ..World::new(options) };
    let (mut changes, mut refusals) = (0, 0);
    for step in 0..steps {
        let nth = random.usize(..world.clients.len().max(1));
        let picked = world.clients.keys().nth(nth).copied();
        let topics: Vec<_> = (0..TOPICS.len()).filter(|_| random.bool()).collect();
        let topics = if topics.is_empty() { vec![0] } else { topics };
        match (random.u32(..100), picked) {
            (0..10, _) if world.clients.len() < 60 => {
                // Not even the head, or a part of what it missed, or everything.
                let capacity = [random.usize(..5), random.usize(..300), usize::MAX / 2];
                let capacity = capacity[random.usize(..capacity.len())];
                let wire = if random.bool() { Wire::Chunked } else { Wire::Plain };
                let newest = world.published.iter().rev().find(|e| is_for(&e.1, &topics));
                match newest.map_or(0, |newest| newest.0) {
                    0 => world.join(topics, wire, capacity),
                    newest => {
                        let after = newest - random.u64(1..=newest.min(80));
                        world.return_after(topics, wire, capacity, after);
                    }
                }
            }
            (10..14, Some(number)) => {
                let client = world.clients.remove(&number).unwrap();
                assert!(client.has(world.shard.sent_to(client.key.index)));
                drop(world.shard.remove(client.key.index));
                world.left.push(client);
            }
            (14..24, Some(number)) if !world.clients[&number].may_have_more() => {
                let replays = world.replays(number);
                let is_done = world.change_topics(number, topics, random.bool());
                assert_eq!(is_done, !replays);
                changes += u64::from(is_done);
                refusals += u64::from(!is_done);
            }
            (24, _) => world.end_or_begin(&mut random),
            (25..50, Some(number)) => world.give_capacity(number, random.usize(..900)),
            (50..80, _) => {
                let data = step.to_string().repeat(random.usize(1..30));
                let topics = random_topics(&mut random, TOPICS.len());
                world.publish_over(&topics, &data, some_window(&mut random));
            }
            _ => drop(world.shard.turn().unwrap()),
        }
        world.note_ended();
        world.left.truncate(100);
        world.check_ended();
        if step % 64 == 0 {
            world.check_indices();
        }
    }
    world.settle();
    world.check_ended();
    world.check();
    world.check_empty();
    (changes, refusals)
}

#[test]
fn a_client_that_comes_back_has_what_it_missed_before_its_topics_are_changed() {
    let (seeds, mut all) = (20, (0, 0));
    for seed in 0..seeds {
        let (changes, refusals) = run_returns(5000 + seed, steps() / 4 / seeds as usize);
        all = (all.0 + changes, all.1 + refusals);
    }
    assert!(all.0 > 100 && all.1 > 5, "{all:?}");
}

#[test]
fn what_waits_for_a_laggard_goes_with_it_and_is_listed_and_counted() {
    let mut world = World::new(Options { batch_bytes_max: 500, ..Options::default() });
    world.join(vec![0, 1], Wire::Chunked, 50);
    world.publish_many(0, 10);
    world.publish_many(1, 10);
    assert!(world.change_topics(1, vec![1, 2], false));
    assert!(world.publish(0, "not for it"));
    assert_eq!(world.list()[0].lag_events, 20);
    world.publish_many(1, 3);
    world.publish_many(2, 2);
    let texts = world.published.iter().filter(|e| e.2.len() > 100).map(|e| e.2.len() as u64);
    let (all_bytes, mut taken) = (texts.sum::<u64>(), 0);
    while taken < 25 {
        world.give_capacity(1, 61);
        let info = world.list().pop().expect("it is here");
        assert_eq!(info.events + info.lag_events, 25);
        assert_eq!(info.bytes + info.lag_bytes, all_bytes);
        assert!(info.events >= taken);
        taken = info.events;
    }
    assert_eq!(world.list()[0].state, ConnectionState::Live);
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn a_client_that_is_to_miss_nothing_and_takes_nothing_has_a_bounded_spill() {
    let options = Options {
        batch_bytes_max: 500,
        lag_bytes_max: 8_000,
        lag_grace: Duration::ZERO,
        ..Options::default()
    };
    let mut world = World::new(options);
    world.join(vec![0], Wire::Plain, 20);
    let mut changes = 0;
    loop {
        // What waits in the queue is within the bound each time.
        world.publish_many(changes % 2, 15);
        let kept = world.shard.lag_bytes();
        assert!(kept < 2 * 8_000 + 3 * (500 + 8 * EVENT_BYTES), "{kept}");
        if !world.change_topics(1, vec![(changes + 1) % 2], false) {
            break;
        }
        changes += 1;
        assert!(changes < 10, "everything is spilled for it");
    }
    assert!(changes >= 1);
    world.check_indices();
    world.note_ended();
    assert_eq!(world.clients.len(), 1, "it is not within its rights to be sent other topics");
    world.give_capacity(1, 4_000);
    assert!(world.change_topics(1, vec![3], false), "it has taken something");
    world.publish_many(3, 3);
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn a_member_that_kept_up_is_a_member_again_whatever_waits_for_it() {
    let mut world = World::new(Options::default());
    world.join(vec![0, 1, 2, 3], Wire::Plain, usize::MAX / 2);
    // As much as the backlog takes, which is more than one flush.
    (0..4).for_each(|topic| while world.publish(topic, &"x".repeat(1_000)) {});
    assert!(world.shared.order.backlog_bytes() > 2 * FLUSH_BYTES_MAX);
    assert!(world.change_topics(1, vec![1], false));
    let counters = &world.shard.link().counters;
    assert_eq!((counters.lagging_connections.value(), counters.lag_bytes.value()), (0, 0));
    world.shard.close_routes();
    assert!(world.publish(0, "not for it") && world.publish(1, "for it"));
    let backlog = world.shared.order.backlog_bytes();
    assert!(
        backlog < 2 * EVENT_BYTES,
        "what it was sent has left the backlog, and no client wants the other: {backlog}"
    );
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn the_same_topics_however_written_are_no_change_and_a_client_that_is_gone_has_none() {
    let mut world = World::new(Options::default());
    world.join(vec![0, 1], Wire::Plain, usize::MAX / 2);
    world.join(vec![1, 0, 1], Wire::Plain, usize::MAX / 2);
    let audience = world.shard.connections[world.clients[&2].key.index].audience();
    assert!(world.change_topics(2, vec![0, 1, 1, 0], false));
    let client = &world.clients[&2];
    assert_eq!(world.shard.connections[client.key.index].audience(), audience);
    let key = client.key;
    world.check_empty();
    let wanted = [Topic::new("a").unwrap().into()];
    assert!(matches!(world.shard.resubscribe(key, &wanted), Resubscribed::Gone));
    assert!(world.shard.audiences.is_empty());
}
