//! Events that are spread over a time: how evenly they are delivered, and that streams are as they
//! would be without.

use super::*;
use crate::shard::fanout::audience::Audience;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

impl World {
    /// Has a client join that wants the first topic and one of its own, and so is an audience of
    /// its own if no other client has that number.
    fn join_with_own(&mut self, own: usize) {
        let wanted = [TOPICS[0].to_owned(), format!("own/{own}")];
        let wanted = wanted.iter().map(|text| Subscription::new(text).unwrap()).collect();
        let number = self.shared.order.sequence();
        let start = (Resume::Start(StartAt::Now), Policy::default());
        self.join_wanting(vec![0], wanted, (Wire::Plain, usize::MAX / 2), start);
        let id = self.shared.order.id_of(number);
        let client = self.clients.get_mut(&self.joined).expect("it has just joined");
        client.expected.extend_from_slice(format!("id: {id}\n\n").as_bytes());
    }

    fn delivered(&self) -> u64 {
        self.shard.link().counters.delivered_events.value()
    }

    /// Turns until there is nothing to do at this time.
    fn rest(&mut self) {
        let mut turns = 0;
        while self.shard.turn().unwrap() == Next::Now {
            turns += 1;
            assert!(turns < 10_000, "the shard does not come to rest");
        }
    }

    /// Lets a time pass as the shard sees it that sleeps as long as it says.
    fn pass(&mut self, time: Duration) {
        let end = self.shared.order.now_ns() + time.as_nanos() as u64;
        loop {
            self.rest();
            let left = Duration::from_nanos(end.saturating_sub(self.shared.order.now_ns()));
            if left.is_zero() {
                return;
            }
            let Next::Wait(sleep) = self.shard.turn().unwrap() else { continue };
            // As the poller does, which has no finer clock.
            let sleep =
                sleep.map_or(left, |sleep| sleep.as_nanos().div_ceil(1_000_000) as u32 * MS);
            self.clock.advance(sleep.min(left));
        }
    }

    /// Lets a number of tenths of a second pass, and returns how many events each had.
    fn tenths(&mut self, count: usize) -> Vec<u64> {
        let mut delivered = self.delivered();
        let mut counts = Vec::new();
        for _ in 0..count {
            self.pass(100 * MS);
            counts.push(self.delivered() - delivered);
            delivered = self.delivered();
        }
        counts
    }

    fn lagging(&self) -> u64 {
        self.shard.link().counters.lagging_connections.value()
    }

    fn waiting(&self) -> u64 {
        self.shard.link().counters.spread_deliveries.value()
    }

    /// How many clients have everything.
    fn complete(&self) -> usize {
        let is_complete =
            |client: &&TestClient| body(&client.received(), client.wire) == client.expected;
        self.clients.values().filter(is_complete).count()
    }

    fn audience_of(&self, number: u32) -> &Audience {
        let index = self.clients[&number].key.index;
        &self.shard.audiences[self.shard.connections[index].audience().unwrap()]
    }

    fn remove_client(&mut self, number: u32) {
        let client = self.clients.remove(&number).unwrap();
        assert!(client.has(self.shard.sent_to(client.key.index)));
        drop(self.shard.remove(client.key.index));
        self.left.push(client);
    }

    /// How many deliveries were counted with their time.
    fn latencies(&self) -> u64 {
        let mut metrics = crate::metrics::Metrics::default();
        self.shard.link().counters.add_to(&mut metrics);
        metrics.latency.buckets().map(|(_, count)| count).sum()
    }

    /// Has a client of the first audience come back that has everything up to a number, and is to
    /// be sent the rest.
    fn return_to_own(&mut self, after: u64) {
        let wanted = [TOPICS[0], "own/0"].map(|text| Subscription::new(text).unwrap());
        let id = self.shared.order.id_of(after - 1).to_string();
        let resume = (Resume::After(id.into()), Policy::default());
        self.join_wanting(vec![0], wanted.into(), (Wire::Plain, usize::MAX / 2), resume);
        let missed = self.published.iter().filter(|event| event.0 >= after);
        let missed: String = missed.map(|(.., text)| &**text).collect();
        let client = self.clients.get_mut(&self.joined).expect("it has just joined");
        client.expected.extend_from_slice(missed.as_bytes());
    }

    fn check_over(mut self) {
        self.settle();
        self.check_ended();
        self.check();
        // What was sent with a later event is remembered until its turn would have come.
        if !self.shard.audiences.spread.is_idle() {
            self.pass(100 * SECOND);
        }
        assert_eq!(self.waiting(), 0);
        self.check_empty();
        assert!(self.shard.audiences.spread.is_idle());
    }
}

/// Members of one audience, audiences of one member, and both.
fn crowds() -> Vec<World> {
    let sizes: [fn(usize) -> usize; 3] =
        [|_| 0, |nth| nth, |nth| if nth.is_multiple_of(2) { 0 } else { nth % 125 }];
    let mut crowds = Vec::new();
    for own in sizes {
        let mut world = World::with_manual_clock(Options::default());
        (0..1_000).for_each(|nth| world.join_with_own(own(nth)));
        crowds.push(world);
    }
    crowds
}

/// Checks that the streams of a crowd have ended, with everything that each was to receive.
fn check_all_were_sent_everything(mut world: World) {
    assert_eq!((world.clients.len(), world.left.len()), (0, 1_000));
    for client in &world.left {
        assert_eq!(client.far.lock().unwrap().received, client.expected);
    }
    world.check_empty();
}

#[test]
fn a_crowd_is_sent_an_event_evenly_however_it_is_divided_into_audiences() {
    for (nth, mut world) in crowds().into_iter().enumerate() {
        assert_eq!(world.shard.audiences.indices().len(), [1, 1_000, 125][nth]);
        assert!(world.publish_over(&[0], "x", 10 * SECOND));
        let counts = world.tenths(99);
        assert!(counts.iter().all(|count| (9..=11).contains(count)), "{counts:?}");
        assert!(world.shared.order.backlog_bytes() > 0 && world.waiting() > 0);
        assert_eq!(world.waiting(), 1_000 - counts.iter().sum::<u64>());
        world.pass(100 * MS);
        assert_eq!((world.complete(), world.waiting()), (1_000, 0));
        assert_eq!(world.shared.order.backlog_bytes(), 0);
        assert_eq!(world.latencies(), 0, "its time says nothing of the engine");
        world.check_over();
    }
}

#[test]
fn events_for_one_client_each_do_not_begin_at_once() {
    let mut world = World::with_manual_clock(Options::default());
    fastrand::seed(5);
    (0..1_000).for_each(|nth| world.join_with_own(nth));
    for nth in 0..1_000 {
        let topic = Topic::new(&format!("own/{nth}")).unwrap();
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let window_ns = SECOND.as_nanos() as u64;
        assert!(world.shared.order.publish_spread(&topic, draft, window_ns).is_ok());
    }
    let counts = world.tenths(10);
    assert_eq!(counts.iter().sum::<u64>(), 1_000);
    assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
    world.check_empty();
}

#[test]
fn a_later_event_takes_the_waiting_one_along_and_no_other_client_is_hurried() {
    for mut world in crowds() {
        // One that wants another topic as well, which has the later event.
        world.join(vec![0, 1], Wire::Chunked, usize::MAX / 2);
        assert!(world.publish_over(&[0], "spread", 10 * SECOND));
        world.pass(SECOND);
        assert!((99..=102).contains(&world.complete()), "{}", world.complete());
        assert!(world.publish(1, "later"));
        world.rest();
        assert!((100..=103).contains(&world.complete()), "{}", world.complete());
        let newest = world.clients.values().next_back().unwrap();
        assert_eq!(body(&newest.received(), Wire::Chunked), newest.expected);
        assert!(world.publish(0, "for all"));
        world.rest();
        assert_eq!(world.complete(), 1_001);
        assert_eq!(world.shared.order.backlog_bytes(), 0);
        world.check_over();
    }
}

#[test]
fn two_spread_events_keep_their_windows_and_their_order() {
    for mut world in crowds() {
        assert!(world.publish_over(&[0], "first", 2 * SECOND));
        world.pass(SECOND);
        assert!(world.publish_over(&[0], "second", 4 * SECOND));
        let counts = world.tenths(10);
        // Each gets both, at the first one's pace; those that wait for the second alone come after
        // them.
        assert!(counts.iter().all(|count| (98..=118).contains(count)), "{counts:?}");
        let has_first = |client: &TestClient| {
            let received = client.far.lock().unwrap().received.clone();
            String::from_utf8(received).unwrap().contains("first")
        };
        assert!(world.clients.values().all(has_first), "its window is over");
        assert!((495..=640).contains(&world.complete()), "{}", world.complete());
        let counts = world.tenths(30);
        assert!(counts.iter().all(|count| (11..=18).contains(count)), "{counts:?}");
        assert_eq!(world.complete(), 1_000);
        world.check_over();
    }
}

#[test]
fn several_spread_events_come_at_the_pace_of_the_one_that_is_over_first() {
    for mut world in crowds() {
        for seconds in [10, 10, 5, 20] {
            assert!(world.publish_over(&[0], &seconds.to_string(), seconds * SECOND));
        }
        let counts = world.tenths(50);
        assert!(counts.iter().all(|count| (76..=84).contains(count)), "{counts:?}");
        assert_eq!(world.complete(), 1_000);
        world.check_over();
    }
}

#[test]
fn members_that_are_sent_something_else_first_wait_at_the_gate_and_newcomers_beside_it() {
    let mut world = World::with_manual_clock(Options::default());
    (0..1_000).for_each(|_| world.join_with_own(0));
    world.join_with_own(0);
    world.clients[&1_001].far.lock().unwrap().capacity = 0;
    assert!(world.publish(0, "before"));
    assert!(world.publish_over(&[0], "spread", SECOND));
    world.shard.turn().unwrap();
    assert!(world.audience_of(1).is_gathering(), "one turn serves a few hundred");
    let served = world.delivered();
    // A client that joins, and one that comes back without the event, both while others are behind.
    world.join_with_own(0);
    world.return_to_own(2);
    let parked = |world: &World, number: u32| {
        matches!(world.shard.connections[world.clients[&number].key.index].state, State::Lagging(_))
    };
    assert!(parked(&world, 1_002) && parked(&world, 1_003));
    assert_eq!(world.complete(), 2, "they have what was for them at once");
    world.rest();
    assert!(!world.audience_of(1).is_gathering());
    assert!(!parked(&world, 1_002) && !parked(&world, 1_003));
    // The laggard never took anything, and has everything at once when it does.
    world.give_capacity(1_001, usize::MAX / 2);
    assert_eq!((world.lagging(), world.complete()), (0, 3));
    assert!(served > 0 && world.delivered() <= 1_000 + 5);
    let counts = world.tenths(10);
    assert!(counts.iter().all(|count| (95..=105).contains(count)), "{counts:?}");
    assert_eq!(world.complete(), 1_003);
    assert!(world.publish(0, "after"));
    world.check_over();
}

#[test]
fn a_laggard_has_the_event_without_waiting_and_is_not_too_old_because_the_event_is() {
    let (lag_age_max, heartbeat) = (15 * SECOND, Duration::ZERO);
    let mut world =
        World::with_manual_clock(Options { lag_age_max, heartbeat, ..Options::default() });
    (0..10).for_each(|_| world.join_with_own(0));
    assert!(world.publish_over(&[0], "spread", 100 * SECOND));
    world.pass(SECOND / 2);
    // The first client's turn is somewhere in the first ten seconds.
    let served_at_once = world.complete();
    world.clients.values().for_each(|client| client.far.lock().unwrap().capacity = 3);
    world.pass(52 * SECOND);
    // Those whose turn was a while ago are cut.
    world.note_ended();
    assert!((1..=3).contains(&world.lagging()), "{}", world.lagging());
    let unserved = world.clients.len() - served_at_once;
    assert_eq!(unserved as u64 - world.lagging(), world.waiting());
    for number in world.clients.keys().copied().collect::<Vec<_>>() {
        world.give_capacity(number, usize::MAX / 2);
    }
    assert_eq!(world.lagging(), 0);
    world.pass(48 * SECOND);
    assert_eq!(world.complete(), world.clients.len());
    world.check_over();
}

#[test]
fn a_client_that_waits_has_heartbeats_with_an_id_from_before_the_event() {
    let options = Options { heartbeat: SECOND, ..Options::default() };
    for own in [0, 1] {
        let mut world = World::with_manual_clock(options.clone());
        (0..20).for_each(|nth| world.join_with_own(own * nth));
        assert!(world.publish(0, "before") && world.publish(3, "for others"));
        world.rest();
        assert!(world.publish_over(&[0], "spread", 20 * SECOND));
        assert!(world.publish(3, "for others, later"));
        world.pass(30 * SECOND);
        let mut heartbeats_before = 0;
        for client in world.clients.values() {
            let text = String::from_utf8(client.far.lock().unwrap().received.clone()).unwrap();
            let id = |n| format!("id: {}\n", world.shared.order.id_of(n));
            let (before, after) = text.split_once(&format!("{}data: spread", id(3))).unwrap();
            assert!(!before.contains(&id(3)) && !before.contains(&id(4)), "{text}");
            assert!(!after.contains(&id(2)) && after.contains(&id(4)), "{text}");
            assert_eq!(text.matches("data: spread").count(), 1);
            heartbeats_before += before.matches(&format!("{}\n", id(2))).count();
        }
        assert!(heartbeats_before > 100, "{heartbeats_before}");
        world.check_empty();
    }
}

#[test]
fn a_drain_sends_what_waits_before_it_closes_each_connection() {
    for mut world in crowds() {
        assert!(world.publish_over(&[0], "spread", 100 * SECOND));
        world.pass(SECOND);
        let drain = Drain {
            from_ns: world.shared.order.now_ns(),
            window_ns: SECOND.as_nanos() as u64,
            retry: Duration::ZERO,
        };
        assert!(world.shared.drain.set(drain).is_ok());
        let counts = world.tenths(9);
        assert!(counts.iter().all(|&count| (90..=110).contains(&count)), "{counts:?}");
        world.pass(SECOND);
        world.note_ended();
        check_all_were_sent_everything(world);
    }
}

#[test]
fn a_hub_that_is_closed_sends_what_waits_and_what_was_to_be_spread() {
    for mut world in crowds() {
        assert!(world.publish_over(&[0], "spread", 100 * SECOND));
        world.pass(SECOND);
        assert!(world.publish_over(&[0], "spread as well", 100 * SECOND));
        world.shared.closing.store(true, Ordering::SeqCst);
        let mut turns = 0;
        while world.shard.turn().unwrap() != Next::Never {
            turns += 1;
            assert!(turns < 1_000);
        }
        world.note_ended();
        check_all_were_sent_everything(world);
    }
}

#[test]
fn clients_that_have_their_topics_changed_are_sent_what_waits_first() {
    for mut world in crowds() {
        assert!(world.publish_over(&[0], "spread", 100 * SECOND));
        world.pass(SECOND);
        for number in 1..=500 {
            assert!(world.change_topics(number, vec![1], number.is_multiple_of(2)));
        }
        let complete = world.complete();
        assert!((500..=520).contains(&complete), "{complete}");
        assert!(world.publish(1, "for them") && world.publish(0, "for the others"));
        world.rest();
        assert_eq!(world.complete(), 1_000);
        world.check_over();
    }
}

#[test]
fn the_others_are_not_hurried_when_members_leave() {
    for mut world in crowds() {
        assert!(world.publish_over(&[0], "spread", 10 * SECOND));
        world.pass(SECOND);
        (1..=1_000)
            .filter(|nth: &u32| nth.is_multiple_of(2))
            .for_each(|number| world.remove_client(number));
        let counts = world.tenths(90);
        assert!(counts.iter().all(|&count| count <= 11), "{counts:?}");
        assert_eq!(world.complete(), 500);
        (1..=1_000)
            .filter(|nth: &u32| !nth.is_multiple_of(2))
            .for_each(|number| world.remove_client(number));
        assert_eq!(world.shard.turn().unwrap(), Next::Wait(world.shard.next_timer()));
        world.check_over();
    }
}

#[test]
fn nothing_is_left_of_an_event_when_all_its_clients_have_left() {
    for mut world in crowds() {
        assert!(world.publish_over(&[0], "spread", 10 * SECOND));
        world.pass(SECOND);
        (1..=1_000).for_each(|number| world.remove_client(number));
        assert_eq!((world.waiting(), world.shared.order.backlog_bytes()), (0, 0));
        assert!(world.shard.audiences.spread.is_idle());
        // Others may be at the same indices soon.
        (0..1_000).for_each(|nth| world.join_with_own(nth));
        assert!(world.publish(0, "for them"));
        world.pass(10 * SECOND);
        assert_eq!(world.complete(), 1_000);
        world.check_over();
    }
}

#[test]
fn spread_events_have_backlogs_of_their_own() {
    let options = Options { topic_backlog_bytes_max: 1_000, ..Options::default() };
    let mut world = World::with_manual_clock(options);
    (0..10).for_each(|nth| world.join_with_own(nth));
    assert!(world.publish_over(&[0], &"x".repeat(2_000), SECOND));
    assert!(!world.publish_over(&[0], "another one", SECOND), "its backlog is full");
    assert!(world.publish_over(&[1], "of another topic", SECOND));
    world.pass(SECOND / 2);
    assert!(world.publish(0, &"x".repeat(2_000)), "the other backlog is not");
    world.rest();
    assert_eq!(world.complete(), 10, "it took the first along");
    assert!(world.publish_over(&[0], "another one", SECOND));
    world.check_over();
}

#[test]
fn more_events_than_can_wait_at_a_gate_are_sent_at_once_but_for_the_last() {
    let mut world =
        World::with_manual_clock(Options { batch_bytes_max: 10_000, ..Options::default() });
    (0..100).for_each(|_| world.join_with_own(0));
    for nth in 0..17 {
        assert!(world.publish_over(&[0], &nth.to_string(), 10 * SECOND));
    }
    world.rest();
    assert_eq!(world.delivered(), 16 * 100);
    (0..3).for_each(|_| assert!(world.publish_over(&[0], &"x".repeat(4_000), 10 * SECOND)));
    world.rest();
    assert_eq!(world.delivered(), 19 * 100, "more than a batch");
    world.pass(10 * SECOND);
    assert_eq!((world.complete(), world.delivered()), (100, 20 * 100));
    world.check_over();
}

#[test]
fn what_is_remembered_of_many_events_for_many_audiences_is_bounded() {
    let mut world = World::with_manual_clock(Options::default());
    (0..300).for_each(|nth| world.join_with_own(nth));
    for nth in 0..200 {
        assert!(world.publish_over(&[0], &nth.to_string(), 100 * SECOND));
        assert!(world.publish(0, "opens the gates"));
        world.shard.turn().unwrap();
        assert!(!world.shard.audiences.spread.has_too_many(300));
        assert!(world.waiting() <= 1024 + 16 * 300);
    }
    world.rest();
    assert_eq!(world.complete(), 300);
    world.check_over();
}

#[test]
fn a_client_that_is_too_old_or_is_sent_away_by_the_host_has_what_waits_first() {
    let age_max = 2 * SECOND;
    let options = Options { connection_age_max: age_max, heartbeat: SECOND, ..Options::default() };
    let mut world = World::with_manual_clock(Options { retry: MS, ..options });
    (0..50).for_each(|_| world.join_with_own(0));
    assert!(world.publish_over(&[0], "spread", 100 * SECOND));
    world.pass(6 * SECOND);
    let far: Vec<_> = world.clients.values().map(|client| client.far.clone()).collect();
    assert_eq!(world.shard.link().counters.connections.value(), 0);
    for far in far {
        let text = String::from_utf8(far.lock().unwrap().received.clone()).unwrap();
        assert_eq!(text.matches("data: spread\n").count(), 1, "{text}");
        assert!(text.contains("retry: "), "{text}");
    }
}

/// Invariants of gates, at any moment.
fn check_gates(world: &World) {
    for index in world.shard.audiences.indices() {
        let audience = &world.shard.audiences[index];
        let Audience { queue, ring, .. } = audience;
        assert!(queue.gate() <= queue.end());
        let waits = !audience.has_work() && ring.front().is_some_and(|front| front < queue.end());
        if waits || audience.parked_from.is_some() {
            assert!(!world.shard.audiences.spread.is_idle(), "no turn would ever come");
        }
    }
}

/// Random steps with everything that may happen to streams, a third of the events spread.
fn run(seed: u64, steps: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let options =
        Options { batch_bytes_max: 700, topic_backlog_bytes_max: 2_000, ..without_lag_bounds() };
    let mut world = World::with_manual_clock(options);
    for step in 0..steps {
        let nth = random.usize(..world.clients.len().max(1));
        let picked = world.clients.keys().nth(nth).copied();
        let topics: Vec<_> = (0..TOPICS.len()).filter(|_| random.u32(..3) == 0).collect();
        let topics = if topics.is_empty() { vec![0] } else { topics };
        match (random.u32(..100), picked) {
            (0..10, _) if world.clients.len() < 120 => {
                let wire = if random.bool() { Wire::Chunked } else { Wire::Plain };
                let capacity =
                    if random.u32(..4) > 0 { usize::MAX / 2 } else { random.usize(..300) };
                world.join(topics, wire, capacity);
            }
            (10..13, Some(number)) => world.remove_client(number),
            (13, Some(number)) => world.clients[&number].far.lock().unwrap().broken = true,
            (14..18, Some(number)) => drop(world.change_topics(number, topics, random.bool())),
            (18..30, Some(number)) => world.give_capacity(number, random.usize(..400)),
            (30..32, Some(number)) => {
                world.shard.send_waiting(world.clients[&number].key.index);
            }
            (32..50, _) => {
                let window = random.u32(1..50) * MS;
                let data = step.to_string().repeat(random.usize(1..30));
                world.publish_over(&random_topics(&mut random, TOPICS.len()), &data, window);
            }
            (50..62, _) => {
                let data = step.to_string().repeat(random.usize(1..30));
                let topics = random_topics(&mut random, TOPICS.len());
                world.publish_over(&topics, &data, Duration::ZERO);
            }
            (62..74, _) => world.clock.advance(Duration::from_micros(random.u64(..2_000))),
            (74, _) => world.end_or_begin(&mut random),
            _ => drop(world.shard.turn().unwrap()),
        }
        world.note_ended();
        world.check_ended();
        world.left.truncate(300);
        check_gates(&world);
        if step % 64 == 0 {
            world.check_indices();
        }
    }
    world.check_over();
}

#[test]
fn each_client_gets_exactly_what_was_published_with_spread_events_among_it() {
    let seeds = 20;
    for seed in 0..seeds {
        run(9_000 + seed, steps() / seeds as usize);
    }
}
