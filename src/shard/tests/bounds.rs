//! How long laggards are waited for, and what is kept for them.

use super::*;

#[test]
fn an_audience_is_held_for_a_young_laggard_and_goes_on_when_it_has_caught_up() {
    let options = Options {
        lag_bytes_max: 1_000,
        lag_grace: Duration::from_secs(1_000),
        lag_age_max: Duration::from_secs(1_000),
        ..Options::default()
    };
    let mut world = World::new(options);
    world.join(vec![0], Wire::Plain, 10);
    world.join(vec![0], Wire::Plain, usize::MAX / 2);
    let mut published = 0;
    // The first events make a laggard; the next are within the bound; then the backlog is full.
    while world.publish(0, &"x".repeat(400)) {
        world.shard.turn().unwrap();
        published += 1;
        assert!(published < 1_000, "the publisher is never made to wait");
    }
    assert_eq!(world.shard.link().counters.lagging_connections.value(), 1);
    assert!(world.publish(1, "another topic has a backlog of its own"));
    world.give_capacity(1, 1_000_000);
    world.settle();
    world.check();
    assert_eq!(world.clients.len(), 2);
    world.check_empty();
}

#[test]
fn one_batch_is_no_lag_however_small_the_bound() {
    let options = Options { lag_bytes_max: 4_000, lag_grace: Duration::ZERO, ..Options::default() };
    let mut world = World::new(options);
    world.join(vec![0], Wire::Plain, 100);
    (0..20).for_each(|_| assert!(world.publish(0, &"x".repeat(500))));
    world.shard.turn().unwrap();
    world.publish(0, "next");
    world.shard.turn().unwrap();
    world.settle();
    world.check();
    assert_eq!(world.clients.len(), 1, "it has nothing to take but what it is being sent");
    world.check_empty();
}

#[test]
fn what_is_kept_for_laggards_counts_more_than_the_bytes_of_tiny_events() {
    let mut world = World::new(Options::default());
    world.join(vec![0], Wire::Plain, 10);
    for _ in 0..100 {
        assert!(world.publish(0, "x"));
        world.shard.turn().unwrap();
    }
    assert!(world.shard.lag_bytes() > 100 * 256, "{}", world.shard.lag_bytes());
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn an_audience_is_not_held_for_a_laggard_that_takes_nothing() {
    let options = Options { lag_bytes_max: 1_000, ..Options::default() };
    let mut world = World::with_manual_clock(options);
    world.join(vec![0], Wire::Plain, 10);
    world.join(vec![0], Wire::Plain, usize::MAX / 2);
    while world.clients.len() == 2 {
        world.clock.advance(Duration::from_millis(5));
        world.publish(0, &"x".repeat(400));
        world.shard.turn().unwrap();
        world.note_ended();
        assert!(world.clock.now_ns() < 900_000_000, "it is waited for like a live one");
    }
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn a_client_that_takes_nothing_for_too_long_is_disconnected_and_one_that_takes_a_little_is_not() {
    let options = Options { stall_time_max: Duration::from_millis(800), ..Options::default() };
    let mut world = World::with_manual_clock(options);
    for capacity in [usize::MAX / 2, 20, 20] {
        world.join(vec![0], Wire::Plain, capacity);
    }
    world.publish(0, &"x".repeat(4_000));
    while world.clients.len() == 3 || world.clock.now_ns() < 2_000_000_000 {
        world.give_capacity(2, 1);
        world.clock.advance(Duration::from_millis(5));
        world.shard.turn().unwrap();
        world.note_ended();
        assert!(world.clock.now_ns() < 10_000_000_000, "no client is disconnected");
    }
    assert_eq!(world.clients.keys().collect::<Vec<_>>(), [&1, &2]);
    let stalled = DisconnectReason::ALL
        .iter()
        .position(|&reason| reason == DisconnectReason::Stalled)
        .unwrap();
    assert_eq!(world.shard.link().counters.disconnects[stalled].value(), 1);
    world.settle();
    world.check();
    world.check_empty();
}

#[test]
fn waiting_for_clients_that_leave_while_they_are_waited_for_takes_of_the_budget_too() {
    let options = Options {
        lag_bytes_max: 1_000,
        lag_grace: Duration::from_secs(1),
        lag_age_max: Duration::from_secs(1_000),
        ..Options::default()
    };
    let mut world = World::with_manual_clock(options);
    let held = |world: &World| world.shard.link().counters.held_batches.value();
    let wait = Duration::from_millis(40);
    // The hub has run for a while, and saved up all it may.
    world.clock.advance(Duration::from_secs(10));
    let start_ns = world.clock.now_ns();
    for _ in 0..30 {
        let before = held(&world);
        world.join(vec![0], Wire::Plain, 10);
        while held(&world) == before && !world.clients.is_empty() {
            world.publish(0, &"x".repeat(400));
            world.shard.turn().unwrap();
            world.note_ended();
        }
        if held(&world) > before {
            world.clock.advance(wait);
            world.shard.now_ns = world.shared.order.now_ns();
        }
        for client in std::mem::take(&mut world.clients).into_values() {
            drop(world.shard.remove(client.key.index));
        }
    }
    // A burst that was saved up, the share of the time, and a wait that took longer.
    let most = Duration::from_millis(200)
        + Duration::from_nanos(world.clock.now_ns() - start_ns) / 20
        + wait;
    let waits = held(&world);
    assert!(waits > 0 && wait * waits as u32 <= most, "{waits} waits, {most:?}");
}
