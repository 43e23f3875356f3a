//! The order of service: rounds, slices and turns, and the backlogs and windows that go with them.

use super::*;
use crate::shard::fanout::routes::Routes;

#[test]
fn a_message_for_one_overtakes_a_broadcast_to_many() {
    let mut world = World::new(Options::default());
    for _ in 0..2_000 {
        world.join(vec![0], Wire::Plain, usize::MAX / 2);
    }
    world.join(vec![1], Wire::Plain, usize::MAX / 2);
    // Also one client that is to get the broadcast as well, and so is an audience of its own.
    world.join(vec![0, 1], Wire::Plain, usize::MAX / 2);
    world.publish(0, "broadcast");
    world.shard.turn().unwrap();
    world.publish(1, "for one");
    world.shard.turn().unwrap();
    let delivered = world.shard.link().counters.delivered_events.value() as usize;
    assert!(delivered <= 2 * TURN + 2 * SLICE, "{delivered}");
    for number in [2_001, 2_002] {
        let client = &world.clients[&number];
        assert_eq!(client.far.lock().unwrap().received, client.expected, "{number}");
    }
    world.settle();
    world.check();
}

#[test]
fn a_turn_sends_fewer_large_batches_than_small_ones() {
    let mut world = World::new(Options::default());
    for _ in 0..2_000 {
        world.join(vec![0], Wire::Plain, usize::MAX / 2);
    }
    world.publish(0, &"x".repeat(32 << 10));
    world.shard.turn().unwrap();
    let delivered = world.shard.link().counters.delivered_events.value() as usize;
    assert!((SLICE / 5..=TURN / 5 + SLICE / 5).contains(&delivered), "{delivered}");
    world.settle();
    world.check();
}

#[test]
fn a_topics_backlog_is_released_when_every_member_was_sent_the_event() {
    let mut world = World::new(Options { topic_backlog_bytes_max: 1_000, ..Options::default() });
    for _ in 0..2_000 {
        world.join(vec![0], Wire::Plain, usize::MAX / 2);
    }
    assert!(world.publish(0, &"x".repeat(1_000)));
    let mut turns = 0;
    while !world.publish(0, "next") {
        world.shard.turn().unwrap();
        turns += 1;
        assert!(turns <= 2_000 / TURN + 1, "it does not come back");
    }
    let delivered = world.shard.link().counters.delivered_events.value() as usize;
    assert!((2_000..2_000 + TURN).contains(&delivered), "{delivered}");
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn an_event_is_sent_to_the_next_member_wherever_the_round_is() {
    let mut world = World::new(Options::default());
    for _ in 0..3 * TURN {
        world.join(vec![0], Wire::Plain, usize::MAX / 2);
    }
    world.publish(0, "first");
    world.shard.turn().unwrap();
    world.publish(0, "second");
    world.shard.turn().unwrap();
    let counters = &world.shard.link().counters;
    assert_eq!(counters.delivered_events.value() as usize, TURN + 2 * TURN);
    world.shard.turn().unwrap();
    world.shard.turn().unwrap();
    assert_eq!(world.shard.link().counters.delivered_events.value() as usize, 2 * 3 * TURN);
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn a_window_is_filled_anew_when_the_members_furthest_ahead_are_gone() {
    let mut world = World::new(Options { batch_bytes_max: 700, ..Options::default() });
    (0..70).for_each(|_| world.join(vec![0], Wire::Plain, usize::MAX / 2));
    assert!((0..5).all(|n: u32| world.publish(0, &n.to_string().repeat(300))));
    // The client is behind all five, which are more than one batch: the next is sent them all.
    world.join(vec![0], Wire::Plain, usize::MAX / 2);
    (1..=64).for_each(|number| world.clients[&number].far.lock().unwrap().capacity = 0);
    let (index, _) = world.shard.next_audience().unwrap();
    world.shard.send_slice(index);
    assert_eq!(world.shard.link().counters.lagging_connections.value(), 64);
    // When the client that came last has left, and enough others that the ring is compacted, the
    // batch is a small one again.
    for number in [71, 66, 67, 68, 69] {
        let client = world.clients.remove(&number).unwrap();
        drop(world.shard.remove(client.key.index));
    }
    world.shard.turn().unwrap();
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn windows_of_many_audiences_take_bounded_memory() {
    let mut world = World::new(Options::default());
    // Each is an audience that needs several slices.
    for topics in [[0, 1], [0, 2], [0, 3]] {
        for wire in [Wire::Plain, Wire::Chunked] {
            (0..30).for_each(|_| world.join(topics.to_vec(), wire, usize::MAX / 2));
        }
    }
    let mut most = 0;
    for _ in 0..60 {
        while world.publish(0, &"x".repeat(1_000)) {}
        world.shard.turn().unwrap();
        most = most.max(world.shard.audiences.window_bytes());
    }
    // The last one is closed only when it was used.
    assert!(most < world.shared.tuning.windows_bytes_max + (128 << 10), "{most}");
    world.settle();
    world.check();
    world.check_empty();
    assert_eq!(world.shard.audiences.window_bytes(), 0);
}

#[test]
fn an_audience_of_many_is_not_starved_by_messages_for_one() {
    let mut world = World::new(Options::default());
    for _ in 0..1_000 {
        world.join(vec![0], Wire::Plain, usize::MAX / 2);
    }
    world.join(vec![1], Wire::Plain, usize::MAX / 2);
    world.publish(0, "broadcast");
    let mut turns = 0;
    let broadcast = world.clients[&1_000].expected.clone();
    while world.clients[&1_000].far.lock().unwrap().received != broadcast {
        world.publish(1, "flood");
        world.shard.turn().unwrap();
        turns += 1;
        assert!(turns < 20, "the broadcast does not get on");
    }
    world.settle();
    world.check();
}

#[test]
fn an_audience_of_many_is_not_starved_by_a_flood_for_one() {
    let mut world = World::new(Options::default());
    for _ in 0..1_000 {
        world.join(vec![0], Wire::Plain, usize::MAX / 2);
    }
    world.join(vec![1], Wire::Plain, usize::MAX / 2);
    // As soon as its client has taken an event the next one is published: the express queue is
    // never empty.
    let key = world.clients[&1_001].key;
    let shared = world.shared.clone();
    world.shard.connections[key.index].sink = Sink::Scripted(Box::new(move |bytes| {
        let draft = Draft::encode(&Event::new("flood"), 1 << 20).unwrap();
        assert!(shared.order.publish(&Topic::new(TOPICS[1]).unwrap(), draft).is_ok());
        Ok(bytes.len())
    }));
    world.publish(1, "first");
    world.publish(0, "broadcast");
    let broadcast = world.clients[&1_000].expected.clone();
    for _ in 0..20 {
        world.shard.turn().unwrap();
    }
    assert_eq!(world.clients[&1_000].far.lock().unwrap().received, broadcast);
}

#[test]
fn a_route_is_kept_for_events_that_came_after_it_was_found_to_be_unneeded() {
    let options = Options { history_age_max: Duration::ZERO, ..Options::default() };
    let world = World::new(options);
    let order = &world.shared.order;
    let mut routes = Routes::new(0);
    let mut keys = Vec::new();
    for what in ["other", "a/+"] {
        routes.begin(order, vec![Subscription::new(what).unwrap()], &mut keys);
    }
    let take = || {
        let mut taken = Vec::new();
        world.shard.link().inbox.take(&mut taken);
        taken.pop().expect("it is put for a filter")
    };
    let publish = || {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        assert!(order.publish(&Topic::new("a/x").unwrap(), draft).is_ok());
    };
    publish();
    assert!(routes.find_route(order, &take().topic).is_some());
    routes.end(order, keys[1]);
    routes.begin(order, vec![Subscription::new("a/#").unwrap()], &mut keys);
    let unneeded = routes.find_unneeded();
    // The inbox has been emptied, and its topic has another event, and goes.
    publish();
    while order.counts().known_topics > 1 {
        order.forget_old();
    }
    routes.close(order, unneeded);
    let published = take();
    assert!(published.topic.is_gone());
    assert!(routes.find_route(order, &published.topic).is_some(), "the event is lost");
    let unneeded = routes.find_unneeded();
    routes.close(order, unneeded);
    assert!(routes.find_unneeded().is_empty());
}
