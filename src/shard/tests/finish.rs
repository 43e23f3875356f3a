//! Topics that are finished, forgotten, and begun anew: what the model knows of them, and single
//! cases.

use super::*;
use crate::frame::LAST_CHUNK;

/// What has become of a topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Life {
    Open,
    Finished,
    /// It was finished, and that is forgotten; nothing was published since.
    Forgotten,
}

impl TestClient {
    /// Whether it may have been sent something of other topics that have the names of its finished
    /// ones, as a client may that was sent something of the past until then.
    pub(super) fn may_have_more(&self) -> bool {
        self.has_more || self.returned && self.complete_at.is_some()
    }

    /// Whether all that it is to get is there, in its order, among what it may have besides.
    pub(super) fn has_all(&self, received: &[u8]) -> bool {
        let texts = [received, &self.expected].map(|bytes| String::from_utf8_lossy(bytes));
        let [mut received, mut expected] =
            texts.each_ref().map(|text| text.trim_start_matches("head\n").split_inclusive("\n\n"));
        expected.all(|block| received.any(|other| other == block))
    }

    /// A stream ends when all of its topics are finished, with the end of its body.
    pub(super) fn check_end(&self) {
        assert!(self.complete_at.is_some(), "not all of its topics are finished: {:?}", self.open);
        let far = self.far.lock().unwrap();
        let ends = far.received.ends_with(LAST_CHUNK);
        assert_eq!(ends, self.wire == Wire::Chunked, "the end of its body");
    }
}

impl World {
    /// A client has other topics from now on.
    pub(super) fn begin_topics(&self, client: &mut TestClient, wanted: &[Subscription]) {
        client.has_more = client.may_have_more();
        client.has_filters = wanted.iter().any(|what| matches!(what, Subscription::Filter(_)));
        let is_open = |&&topic: &&usize| !matches!(self.topics[topic], Life::Finished);
        client.open = client.topics.iter().filter(is_open).copied().collect();
        let is_complete = client.open.is_empty() && !client.has_filters;
        client.complete_at = is_complete.then(|| self.shared.order.sequence());
    }

    /// Notes which clients are to get an event.
    pub(super) fn note_published(&mut self, id: EventId, topics: &[usize], data: &str) {
        let text = format!("id: {id}\ndata: {data}\n\n");
        let wants = |client: &&mut TestClient| {
            is_for(topics, &client.topics) && client.complete_at.is_none()
        };
        for client in self.clients.values_mut().filter(wants) {
            client.expected.extend_from_slice(client.shown(topics, &text).as_bytes());
        }
        self.published.push((id.sequence, topics.to_vec(), text));
    }

    /// Something comes of a topic, so that it is one that is not finished.
    pub(super) fn note_open(&mut self, topic: usize) {
        if let Life::Forgotten = std::mem::replace(&mut self.topics[topic], Life::Open) {
            for client in self.clients.values_mut() {
                let counts = client.topics.contains(&topic) && !client.open.contains(&topic);
                if counts && client.complete_at.is_none() {
                    client.open.push(topic);
                }
            }
        }
    }

    /// Finishes a topic; false if there is no space for the last event.
    pub(super) fn finish(&mut self, topic: usize, last: Option<&str>) -> bool {
        let name = Topic::new(TOPICS[topic]).unwrap();
        let draft = last.map(|data| Draft::encode(&Event::new(data), 1 << 20).unwrap());
        let order = &self.shared.order;
        let finished = order.finish(&name, draft);
        match finished {
            Ok(id) => {
                self.note_open(topic);
                if let Some(data) = last {
                    self.note_published(id, &[topic], data);
                }
            }
            Err(Refused::Full(..)) => return false,
            Err(Refused::Finished(_)) => panic!("it is finished once"),
            Err(Refused::Unwritable | Refused::Unreachable | Refused::Closed) => {
                unreachable!("the hub is not closed")
            }
        }
        self.topics[topic] = Life::Finished;
        let number = self.shared.order.sequence();
        for client in self.clients.values_mut().filter(|client| client.complete_at.is_none()) {
            client.open.retain(|&open| open != topic);
            if client.open.is_empty() && !client.has_filters {
                client.complete_at = Some(number);
            }
        }
        true
    }

    /// The time of a finished topic is over, which is longer than the mark waits in an inbox.
    pub(super) fn forget(&mut self, topic: usize) {
        self.shard.take_inbox();
        self.shared.order.forget_finished(&Topic::new(TOPICS[topic]).unwrap());
        self.topics[topic] = Life::Forgotten;
    }

    /// Finishes some topic, or forgets one that is finished.
    pub(super) fn end_or_begin(&mut self, random: &mut fastrand::Rng) {
        let topic = random.usize(..TOPICS.len());
        let last = random.bool().then(|| "last".repeat(random.usize(1..20)));
        match self.topics[topic] {
            Life::Finished => self.forget(topic),
            Life::Open | Life::Forgotten => drop(self.finish(topic, last.as_deref())),
        }
    }

    pub(super) fn end_or_begin_without_event(&mut self, topic: usize) {
        match self.topics[topic] {
            Life::Finished => self.forget(topic),
            Life::Open | Life::Forgotten => drop(self.finish(topic, None)),
        }
    }

    /// Checks what clients have received whose streams have ended, and forgets them.
    pub(super) fn check_ended(&mut self) {
        for (_, client) in std::mem::take(&mut self.ended) {
            let received = body(&client.received(), client.wire);
            let is_right = match client.may_have_more() {
                true => client.has_all(&received),
                false => received == client.expected,
            };
            let texts = [&received, &client.expected].map(|bytes| String::from_utf8_lossy(bytes));
            assert!(is_right, "{:?}: {} is not {}", client.topics, texts[0], texts[1]);
        }
    }
}

fn ended(world: &World) -> u64 {
    let nth = DisconnectReason::all().position(|reason| reason == DisconnectReason::Finished);
    world.shard.link().counters.disconnects[nth.unwrap()].value()
}

const ALL: usize = usize::MAX / 2;

#[test]
fn the_random_runs_end_streams_in_all_states() {
    let mut world = World::new(without_lag_bounds());
    let mut random = fastrand::Rng::with_seed(3);
    for step in 0..4_000 {
        match random.u32(..10) {
            0 if world.clients.len() < 50 => {
                let topics = if random.bool() { vec![0] } else { vec![0, 2] };
                let capacity = if random.bool() { ALL } else { random.usize(..100) };
                world.join(topics, Wire::Chunked, capacity);
            }
            1..3 => {
                let topics = random_topics(&mut random, 3);
                world.publish_over(&topics, &step.to_string(), Duration::ZERO);
            }
            3 => world.end_or_begin(&mut random),
            4..7 => {
                let nth = random.usize(..world.clients.len().max(1));
                if let Some(&number) = world.clients.keys().nth(nth) {
                    world.give_capacity(number, random.usize(..60));
                }
            }
            _ => drop(world.shard.turn().unwrap()),
        }
        world.note_ended();
        world.check_ended();
    }
    world.settle();
    world.check_ended();
    world.check();
    assert!(ended(&world) > 100, "{}", ended(&world));
    world.check_empty();
}

#[test]
fn the_end_comes_byte_by_byte_where_a_socket_takes_no_more_and_but_once() {
    for capacity in 0..=LAST_CHUNK.len() {
        let mut world = World::new(without_lag_bounds());
        world.join(vec![0], Wire::Chunked, ALL);
        while world.shard.turn().unwrap() == Next::Now {}
        let far = world.clients[&1].far.clone();
        let before = far.lock().unwrap().received.len();
        far.lock().unwrap().capacity = capacity;
        assert!(world.finish(0, None));
        while world.shard.turn().unwrap() == Next::Now {}
        assert_eq!(far.lock().unwrap().received[before..], LAST_CHUNK[..capacity]);
        let is_whole = capacity == LAST_CHUNK.len();
        assert_eq!(world.shard.connections.is_empty(), is_whole);
        // It has ended but for some bytes, or not begun to.
        if !is_whole {
            let key = world.clients[&1].key;
            let other = [Topic::new(TOPICS[1]).unwrap().into()];
            let changed = world.shard.resubscribe(key, &other);
            assert_eq!(matches!(changed, Resubscribed::Gone), capacity > 0);
            if capacity == 0 {
                assert!(matches!(
                    world.shard.resubscribe(key, &[Topic::new(TOPICS[0]).unwrap().into()]),
                    Resubscribed::Done { .. }
                ));
            }
        }
        for _ in capacity..LAST_CHUNK.len() {
            world.give_capacity(1, 1);
        }
        assert_eq!(far.lock().unwrap().received[before..], *LAST_CHUNK);
        world.note_ended();
        assert_eq!((world.ended.len(), ended(&world)), (1, 1));
        world.check_ended();
        world.check_empty();
    }
}

#[test]
fn many_members_are_ended_some_each_turn_and_other_work_goes_on_between() {
    const MEMBERS: usize = 2_000;
    let mut world = World::new(without_lag_bounds());
    (0..MEMBERS).for_each(|_| world.join(vec![0], Wire::Chunked, ALL));
    world.join(vec![1], Wire::Chunked, ALL);
    while world.shard.turn().unwrap() == Next::Now {}
    assert!(world.finish(0, Some("last")));
    let (mut turns, mut most, mut before) = (0, 0, 0);
    while ended(&world) < MEMBERS as u64 {
        assert!(world.publish(1, &turns.to_string()));
        world.shard.turn().unwrap();
        let far = world.clients[&(MEMBERS as u32 + 1)].far.lock().unwrap();
        let data = format!("data: {turns}\n\n\r\n");
        assert!(far.received.ends_with(data.as_bytes()), "it waits for the others' ends");
        drop(far);
        let now = ended(&world);
        (most, before, turns) = (most.max(now - before), now, turns + 1);
        assert!(turns < 1_000, "they do not end");
    }
    assert!(most <= 256, "{most} at once");
    world.settle();
    assert_eq!(world.ended.len(), MEMBERS);
    world.check_ended();
    world.check();
    world.check_empty();
}

#[test]
fn a_stream_of_several_topics_goes_on_until_the_last_is_finished_and_one_with_a_filter_for_ever() {
    let mut world = World::new(without_lag_bounds());
    world.joined = 1;
    world.join(vec![0, 1, 2], Wire::Plain, ALL);
    world.join(vec![0], Wire::Plain, ALL);
    // This one has filters.
    world.join(vec![0, 1], Wire::Plain, ALL);
    let of = |world: &World| world.clients.keys().copied().collect::<Vec<_>>();
    for (topic, left) in [(1, vec![2, 3, 4]), (0, vec![2, 4]), (2, vec![4])] {
        assert!(world.publish(2, "to the first"));
        assert!(world.finish(topic, Some("last")));
        world.settle();
        assert_eq!(of(&world), left);
        world.check_ended();
        world.check();
    }
    world.check_empty();
}

#[test]
fn a_client_of_a_finished_topic_is_told_an_id_and_the_end_even_if_others_are_still_ending() {
    let mut world = World::new(without_lag_bounds());
    world.join(vec![0], Wire::Chunked, 60);
    assert!(world.publish(0, &"x".repeat(100)));
    assert!(world.finish(0, None));
    while world.shard.turn().unwrap() == Next::Now {}
    assert_eq!(world.clients.len(), 1, "it has something to take");
    let audience = world.shard.connections[world.clients[&1].key.index].audience();
    world.join(vec![0], Wire::Chunked, ALL);
    let joined = &world.clients[&2];
    assert_eq!(world.shard.connections[joined.key.index].audience(), audience);
    while world.shard.turn().unwrap() == Next::Now {}
    world.note_ended();
    assert_eq!(world.ended.len(), 1);
    world.check_ended();
    // One that comes back gets what it has missed.
    let id = world.shared.order.id_of(0).to_string();
    world.join_from(vec![0], Wire::Chunked, ALL, Resume::After(id.into()));
    world.note_ended();
    let (_, back) = world.ended.pop().unwrap();
    let received = body(&back.received(), Wire::Chunked);
    assert!(received.ends_with("x\n\n".as_bytes()));
    world.settle();
    world.check_ended();
    world.check_empty();
}

#[test]
fn a_name_that_is_used_again_is_of_clients_that_had_not_ended_and_of_those_that_come() {
    for first in [None, Some("first")] {
        let mut world = World::new(without_lag_bounds());
        // None of them has filters.
        world.joined = 1;
        world.join(vec![0, 2], Wire::Chunked, ALL);
        // It is complete, and is not ended for now.
        world.join(vec![0], Wire::Chunked, 0);
        assert!(world.publish(0, "1"));
        assert!(world.finish(0, None));
        while world.shard.turn().unwrap() == Next::Now {}
        world.forget(0);
        // Between the two lives.
        world.join(vec![0], Wire::Chunked, ALL);
        world.join(vec![2, 0], Wire::Chunked, ALL);
        assert_eq!(world.shard.audiences.indices().len(), 4);
        match first {
            Some(data) => assert!(world.publish(0, data)),
            None => assert!(world.finish(0, None)),
        }
        world.join(vec![0], Wire::Chunked, ALL);
        if first.is_some() {
            assert!(world.publish(0, "2"));
            assert!(world.finish(0, Some("3")));
        }
        world.shard.turn().unwrap();
        world.note_ended();
        assert_eq!(world.clients.keys().copied().collect::<Vec<_>>(), [2, 3, 5]);
        assert!(world.publish(2, "4"));
        assert!(world.finish(2, None));
        world.settle();
        assert!(world.clients.is_empty());
        assert_eq!(world.ended.len(), 5);
        world.check_ended();
        world.check_empty();
    }
}

#[test]
fn streams_change_from_finished_topics_and_to_them() {
    let mut world = World::new(without_lag_bounds());
    for _ in 0..3 {
        world.join(vec![0], Wire::Chunked, 40);
    }
    world.join(vec![1], Wire::Chunked, ALL);
    assert!(world.publish(0, &"x".repeat(100)));
    assert!(world.finish(0, Some("last")));
    while world.shard.turn().unwrap() == Next::Now {}
    // What waits goes with it.
    assert!(world.change_topics(1, vec![1], false));
    assert!(world.change_topics(2, vec![0, 1], false));
    assert!(world.change_topics(4, vec![0], false));
    world.note_ended();
    assert_eq!(world.ended.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [4]);
    assert!(world.publish(1, "more"));
    world.settle();
    assert_eq!(world.clients.keys().copied().collect::<Vec<_>>(), [1, 2]);
    world.check_ended();
    world.check();
    assert!(world.finish(1, None));
    world.settle();
    assert!(world.clients.is_empty());
    world.check_ended();
    world.check_empty();
}

#[test]
fn a_hub_that_is_drained_or_closed_ends_finished_streams_as_such() {
    for is_drained in [true, false] {
        let mut world = World::new(without_lag_bounds());
        for _ in 0..600 {
            world.join(vec![0], Wire::Chunked, ALL);
        }
        world.join(vec![1], Wire::Chunked, ALL);
        assert!(world.finish(0, Some("last")));
        let retry = Duration::from_secs(7);
        match is_drained {
            true => {
                let from_ns = world.shared.order.now_ns();
                let drain = Drain { from_ns, window_ns: 0, retry };
                assert!(world.shared.drain.set(drain).is_ok());
            }
            false => {
                world.shared.order.close();
                world.shared.closing.store(true, Ordering::SeqCst);
            }
        }
        let mut turns = 0;
        while !world.shard.connections.is_empty() {
            world.shard.turn().unwrap();
            turns += 1;
            assert!(turns < 1_000, "they do not end");
        }
        world.note_ended();
        assert_eq!((world.ended.len(), world.left.len()), (600, 1), "drained: {is_drained}");
        // None of them is told to come back.
        world.check_ended();
        let left = String::from_utf8(world.left[0].far.lock().unwrap().received.clone()).unwrap();
        assert_eq!(left.contains("retry: "), is_drained, "{left}");
        world.check_empty();
    }
}

#[test]
fn an_end_from_before_a_client_came_is_not_that_of_the_topic_that_has_the_name_since() {
    let mut world = World::new(without_lag_bounds());
    world.joined = 1;
    world.join(vec![0, 2], Wire::Chunked, ALL);
    assert!(world.finish(0, None));
    // The mark waits in the inbox.
    let name = Topic::new(TOPICS[0]).unwrap();
    world.shared.order.forget_finished(&name);
    world.topics[0] = Life::Forgotten;
    world.join(vec![0], Wire::Chunked, ALL);
    while world.shard.turn().unwrap() == Next::Now {}
    world.note_ended();
    assert_eq!(world.clients.len(), 2);
    assert!(world.publish(0, "of the new one"));
    assert!(world.finish(2, None));
    assert!(world.finish(0, None));
    world.settle();
    assert_eq!(world.ended.len(), 2);
    world.check_ended();
    world.check_empty();
}

#[test]
fn streams_end_at_once_behind_many_complete_audiences_that_have_no_member() {
    let mut world = World::with_manual_clock(without_lag_bounds());
    let start = || (Resume::Start(StartAt::Now), Policy::default());
    for nth in 0..600 {
        let own = Topic::new(&format!("own/{nth}")).unwrap();
        assert!(world.shared.order.finish(&own, None).is_ok());
        let wanted = vec![Topic::new(TOPICS[0]).unwrap().into(), own.into()];
        // It takes its head, and then nothing.
        world.join_wanting(vec![0], wanted, (Wire::Plain, 5), start());
    }
    world.joined = 1_000;
    world.join(vec![0], Wire::Chunked, ALL);
    assert!(world.publish(0, "x"));
    while world.shard.turn().unwrap() == Next::Now {}
    assert!(world.finish(0, None));
    while world.shard.turn().unwrap() == Next::Now {}
    assert_eq!(ended(&world), 1, "it waits for the next tick");
    world.note_ended();
    world.check_ended();
    world.check_empty();
}

#[test]
fn streams_that_are_too_old_end_as_finished_ones_if_their_topics_are() {
    let second = Duration::from_secs(1);
    for ticks in (1..40).step_by(6) {
        let options = Options { connection_age_max: 100 * second, ..without_lag_bounds() };
        let mut world = World::with_manual_clock(options);
        (0..1_000).for_each(|_| world.join(vec![0], Wire::Chunked, ALL));
        while world.shard.turn().unwrap() == Next::Now {}
        // So the sweep goes on somewhere behind the first ones.
        for _ in 0..ticks {
            world.clock.advance(second / 10);
            while world.shard.turn().unwrap() == Next::Now {}
        }
        world.clock.advance(200 * second);
        assert!(world.finish(0, None));
        while world.shard.turn().unwrap() == Next::Now {}
        assert_eq!(ended(&world), 1_000);
        world.note_ended();
        world.check_ended();
        world.check_empty();
    }
}
