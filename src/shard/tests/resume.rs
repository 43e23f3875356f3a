//! Clients that come back, against the rules: everything since, in order, once; and what is gone
//! is told before what comes after it.

use super::*;
use crate::id::EventId;
use crate::shard::replay::state::Stage;

/// What a client that came back is to get.
struct Returned {
    number: u32,
    /// The number of the event that it has, if it said a known one.
    after: u64,
    /// Up to here it is to get of these events alone, and need not get any.
    only: Option<(u64, Vec<u64>)>,
    /// Why it is told of a gap first, if it is for another reason than what is not kept, or has a
    /// wish where its stream begins then.
    reason: Option<&'static str>,
    /// Whether it is known where its stream begins.
    is_searched: bool,
}

/// What a client has that gives an id: the event up to which it had everything, and why it is told
/// of a gap if that is not known.
type Had = (u64, Option<&'static str>);

/// What a client is to get: `after`, `only` and `reason` of [`Returned`].
type Rules = (u64, Option<(u64, Vec<u64>)>, Option<&'static str>);

/// An event or a gap, as a client reads it.
#[derive(Debug)]
enum Got {
    Event(u64),
    Gap { to: u64, reason: String, missed: Option<u64> },
}

impl World {
    /// The numbers of the events of topics that are kept, by the rules, oldest first.
    fn kept(&self, topics: &[usize]) -> Vec<u64> {
        let options = &self.shared.options;
        let mut kept = Vec::new();
        let mut topics = topics.to_vec();
        topics.dedup();
        for topic in topics {
            let mut bytes = 0;
            let of_topic = self.published.iter().rev().filter(|(_, of, _)| of.contains(&topic));
            let within = of_topic.take(options.history_events_max).take_while(|(_, _, text)| {
                bytes += text.len() + 256;
                bytes <= options.history_bytes_max
            });
            kept.extend(within.map(|(number, ..)| *number));
        }
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    /// Has a client come back from somewhere.
    fn come_back(
        &mut self,
        random: &mut fastrand::Rng,
        topics: Vec<usize>,
        capacity: usize,
    ) -> Returned {
        let (resume, (after, only, reason)) = self.draw_resume(random, &topics);
        let wire = if random.bool() { Wire::Chunked } else { Wire::Plain };
        let (now, wanted) = (self.shared.order.sequence(), self.wanted(&topics));
        let may_begin_elsewhere = only.is_some() || resume.gap_start().is_some();
        self.join_from(topics, wire, capacity, resume);
        let number = self.joined;
        // A client of finished topics may have its end already.
        let connection = self.shard.connections.get_mut(self.clients[&number].key);
        let is_searched = match connection.map(|connection| &connection.state) {
            Some(State::Replaying(replaying)) => matches!(replaying.stage, Stage::At(_)),
            _ => true,
        };
        if is_searched || !may_begin_elsewhere {
            return Returned { number, after, only, reason, is_searched: true };
        }
        // What is forgotten before its cursor is found decides where its stream begins.
        Returned { number, after: now, only: Some((now, wanted)), reason, is_searched }
    }

    /// Where a client of some topics asks its stream to go on, and what it is to get.
    fn draw_resume(&self, random: &mut fastrand::Rng, topics: &[usize]) -> (Resume, Rules) {
        let (now, kept) = (self.shared.order.sequence(), self.kept(topics));
        let start = |start, to, only| (Resume::Start(start), (to, Some((to, only)), None));
        let (id, had): (Box<str>, Had) = match random.u32(..11) {
            0 => return start(StartAt::Latest, now, self.newest(topics, &kept)),
            1 => {
                let count = random.u32(..12);
                let last = kept.iter().rev().take(count as usize).copied().collect();
                return start(StartAt::Last(count), now, last);
            }
            2 => {
                // It is told of what is forgotten from now on.
                let wanted = self.wanted(topics);
                let gone = wanted.iter().rev().find(|&number| !kept.contains(number)).copied();
                return start(StartAt::Earliest, gone.unwrap_or(0), wanted);
            }
            3 => ("unknown".into(), (now, Some("unknown_id"))),
            4 => ("00000000-7".into(), (0, Some("restarted"))),
            5 => {
                let id = self.shared.order.id_of(now + random.u64(1..10)).to_string();
                (id.into(), (now, Some("unknown_id")))
            }
            _ => {
                let after = now - random.u64(..=now.min(80));
                (self.shared.order.id_of(after).to_string().into(), (after, None))
            }
        };
        let gap_start = match random.u32(..8) {
            0 => Some(StartAt::Now),
            1 => Some(StartAt::Latest),
            2 => Some(StartAt::Last(random.u32(..12))),
            3 => Some(StartAt::Earliest),
            _ => None,
        };
        let rules = match gap_start {
            Some(start) => self.after_gap(topics, kept, had, start),
            None => (had.0, None, had.1),
        };
        (Resume::after(id, gap_start), rules)
    }

    /// What a client with an id is to get, that has a wish where its stream begins after a gap.
    fn after_gap(
        &self,
        topics: &[usize],
        kept: Vec<u64>,
        (had, reason): Had,
        start: StartAt,
    ) -> Rules {
        // Of an id that is not known it is not known either what it had.
        let had = if reason.is_some() { 0 } else { had };
        let mut wanted = self.wanted(topics);
        wanted.retain(|&number| number > had);
        let kept: Vec<u64> = kept.into_iter().filter(|&number| number > had).collect();
        if reason.is_none() && wanted == kept {
            return (had, None, None);
        }
        let sent = match start {
            StartAt::Now => vec![],
            StartAt::Latest => self.newest(topics, &kept),
            StartAt::Last(count) => kept[kept.len().saturating_sub(count as usize)..].to_vec(),
            StartAt::Earliest => kept,
        };
        let to = wanted.iter().rev().find(|&number| !sent.contains(number)).copied().unwrap_or(had);
        let only = match start {
            StartAt::Now | StartAt::Latest => sent,
            // A part may be shared that was gathered when more of some topics was kept.
            StartAt::Last(_) | StartAt::Earliest => wanted,
        };
        (to, Some((to, only)), reason.or(Some("expired")))
    }

    /// The numbers of all events of topics.
    fn wanted(&self, topics: &[usize]) -> Vec<u64> {
        self.published.iter().filter(|event| is_for(&event.1, topics)).map(|e| e.0).collect()
    }

    /// The newest kept event of each topic, as far as these are some events.
    fn newest(&self, topics: &[usize], numbers: &[u64]) -> Vec<u64> {
        let newest = |&topic: &usize| self.kept(&[topic]).pop();
        let mut newest: Vec<u64> = topics.iter().filter_map(newest).collect();
        newest.retain(|number| numbers.contains(number));
        newest.sort_unstable();
        newest.dedup();
        newest
    }

    /// Checks what a client that came back has received, all of it or, if it was cut or has not
    /// taken all, its beginning.
    fn check_returned(&self, returned: &Returned, client: &TestClient, is_whole: bool) {
        let received = body(&client.received(), client.wire);
        let text = String::from_utf8(received).unwrap();
        let Some(text) = text.strip_prefix("head\n") else {
            assert!(!is_whole && "head\n".starts_with(&text));
            return;
        };
        let got = self.read(text, client, is_whole);
        let wanted: Vec<u64> =
            self.published.iter().filter(|e| is_for(&e.1, &client.topics)).map(|e| e.0).collect();
        let (gap_told_to, only) = match &returned.only {
            Some((to, only)) => (*to, &only[..]),
            None => (returned.after, &[][..]),
        };
        let kept = self.kept(&client.topics);
        let mut at = returned.after;
        let mut gap_to = returned.after;
        let mut first = true;
        for got in &got {
            match got {
                Got::Event(number) if *number <= gap_told_to => {
                    assert!(only.contains(number), "{number} is not among {only:?}");
                }
                Got::Event(number) => {
                    assert!(
                        wanted.binary_search(number).is_ok() && *number > at,
                        "{number} after {at}"
                    );
                    // What is missing before it is told, and is not kept.
                    let next = wanted.partition_point(|&n| n <= at);
                    for missing in wanted[next..].iter().take_while(|&&n| n < *number) {
                        assert!(*missing <= gap_to, "{missing} is missing silently");
                        assert!(
                            kept.binary_search(missing).is_err(),
                            "{missing} is kept, and missing"
                        );
                    }
                    at = *number;
                }
                Got::Gap { to, reason, missed } if first && returned.reason.is_some() => {
                    assert_eq!(Some(&**reason), returned.reason);
                    let is_covered = *to >= returned.after || !returned.is_searched;
                    assert!(is_covered, "{to} is before {}", returned.after);
                    assert!(missed.is_none_or(|missed| missed > 0 && reason == "expired"));
                    gap_to = gap_to.max(*to);
                }
                Got::Gap { to, reason, .. } if !returned.is_searched && *to <= returned.after => {
                    assert_eq!(reason, "expired");
                }
                Got::Gap { to, reason, missed } => {
                    assert_eq!(reason, "expired");
                    // The newest that is missing is one that it wanted.
                    let gone = |&&n: &&u64| {
                        n > at.max(gap_to) && n <= *to && kept.binary_search(&n).is_err()
                    };
                    let gone = wanted.iter().filter(gone).count() as u64;
                    assert!(
                        gone > 0 && kept.binary_search(to).is_err(),
                        "nothing is missing up to {to}"
                    );
                    if let (Some(missed), true) = (missed, is_whole) {
                        // More may have been forgotten since.
                        assert!(*missed > 0 && *missed <= gone, "{missed} of {gone}");
                    }
                    gap_to = *to;
                }
            }
            first = false;
        }
        if let (Some(_), true) = (returned.reason, is_whole) {
            assert!(matches!(got.first(), Some(Got::Gap { .. })), "it is told first: {got:?}");
        }
        if is_whole {
            // What comes when all of its topics are finished is of others of these names.
            let end = client.complete_at.unwrap_or(u64::MAX);
            let after = at.max(gap_told_to);
            for missing in wanted.iter().filter(|&&number| number > after && number <= end) {
                assert!(*missing <= gap_to, "{missing} is missing at the end");
            }
        }
    }

    /// Checks what clients have received whose streams have ended.
    fn check_ended_returned(&mut self, returned: &mut Vec<Returned>) {
        for (number, client) in std::mem::take(&mut self.ended) {
            let nth = returned.iter().position(|returned| returned.number == number);
            self.check_returned(&returned.swap_remove(nth.unwrap()), &client, true);
        }
    }

    /// Reads blocks, and compares events with what was published.
    fn read(&self, text: &str, client: &TestClient, is_whole: bool) -> Vec<Got> {
        let mut got = Vec::new();
        let (blocks, rest) = text.rsplit_once("\n\n").unwrap_or(("", text));
        assert!(!is_whole || rest.is_empty(), "the end is torn: {rest:?}");
        for block in blocks.split("\n\n").filter(|block| !block.is_empty()) {
            let id = block.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
            let id = EventId::parse(id).expect("an id of the hub");
            if let Some((_, json)) = block.split_once("event: fanfare-gap\ndata: ") {
                let field = |name: &str| {
                    let (_, rest) = json.split_once(&format!("\"{name}\":")).expect("a field");
                    rest.split([',', '}']).next().unwrap().trim_matches('"').to_owned()
                };
                let to = EventId::parse(&field("to")).expect("an id").sequence;
                assert!(id.sequence <= to);
                let missed = field("missed").parse().ok();
                got.push(Got::Gap { to, reason: field("reason"), missed });
            } else if block.contains("\ndata: ") {
                let nth = self.published.binary_search_by_key(&id.sequence, |event| event.0);
                let (_, topics, text) = &self.published[nth.expect("it was published")];
                assert_eq!(client.shown(topics, text.trim_end_matches('\n')), block);
                got.push(Got::Event(id.sequence));
            }
        }
        got
    }
}

/// One run of random steps: clients come and go, come back and go again, with sinks that
/// take a little at a time.
fn run_returns(seed: u64, steps: usize, options: Options) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::of_seed(seed, options);
    let mut returned: Vec<Returned> = Vec::new();
    for step in 0..steps {
        let nth = random.usize(..world.clients.len().max(1));
        let picked = world.clients.keys().nth(nth).copied();
        match (random.u32(..100), picked) {
            (0..12, _) if world.clients.len() < 60 => {
                let topics = (0..TOPICS.len()).filter(|_| random.bool()).collect::<Vec<_>>();
                let topics = if topics.is_empty() { vec![0] } else { topics };
                let capacity = if random.bool() { usize::MAX / 2 } else { random.usize(..300) };
                returned.push(world.come_back(&mut random, topics, capacity));
            }
            (12..22, Some(number)) => {
                let client = world.clients.remove(&number).unwrap();
                assert!(client.has(world.shard.sent_to(client.key.index)));
                drop(world.shard.remove(client.key.index));
                let nth = returned.iter().position(|returned| returned.number == number);
                world.check_returned(&returned.swap_remove(nth.unwrap()), &client, false);
            }
            (22, _) => world.end_or_begin(&mut random),
            (23..50, Some(number)) => world.give_capacity(number, random.usize(..600)),
            (50..80, _) => {
                let data = step.to_string().repeat(random.usize(1..30));
                // Some topics have far more events than others, so theirs are forgotten sooner.
                let count = 1 + random.usize(..TOPICS.len());
                let topics = random_topics(&mut random, count);
                world.publish_over(&topics, &data, some_window(&mut random));
            }
            _ => drop(world.shard.turn().unwrap()),
        }
        world.note_ended();
        assert!(world.left.is_empty(), "no client is cut");
        world.check_ended_returned(&mut returned);
    }
    world.settle();
    world.check_ended_returned(&mut returned);
    for returned in &returned {
        let client = &world.clients[&returned.number];
        world.check_returned(returned, client, true);
        assert!(client.has(world.shard.sent_to(client.key.index)));
    }
    world.check_empty();
}

#[test]
fn a_client_that_comes_back_gets_everything_since_once_and_in_order() {
    let seeds = 20;
    for seed in 0..seeds {
        let options = Options {
            batch_bytes_max: 700,
            topic_backlog_bytes_max: 2_000,
            ..without_lag_bounds()
        };
        run_returns(seed, steps() / 4 / seeds as usize, options);
    }
}

#[test]
fn what_is_not_kept_any_more_is_told_before_what_comes_after_it() {
    let seeds = 20;
    for seed in 0..seeds {
        // Less than a walk along the log passes at once, and more.
        let (history_events_max, history_bytes_max) =
            [(12, 5_000), (60, 25_000), (200, 1 << 20)][seed as usize % 3];
        let options = Options {
            batch_bytes_max: 700,
            topic_backlog_bytes_max: 2_000,
            history_events_max,
            history_bytes_max,
            ..without_lag_bounds()
        };
        run_returns(3000 + seed, steps() / 4 / seeds as usize, options);
    }
}

fn bodies(world: &World) -> Vec<String> {
    world
        .clients
        .values()
        .map(|c| String::from_utf8(body(&c.received(), c.wire)).unwrap())
        .collect()
}

#[test]
fn many_clients_that_want_the_latest_cost_one_gathering() {
    let mut world = World::new(Options { history_events_max: 5, ..Options::default() });
    (0..20).for_each(|n| assert!(world.publish(0, &n.to_string().repeat(1000))));
    (0..100).for_each(|_| world.join_from(vec![0], Wire::Plain, 0, Resume::Start(StartAt::Latest)));
    for number in 1..=100 {
        world.give_capacity(number, 10);
    }
    let gathered = world.shard.link().counters.gathered_parts.value();
    assert!(gathered < 10, "{gathered} gathered");
}

#[test]
fn many_clients_with_an_expired_cursor_cost_one_gathering_and_its_memory_is_known() {
    let mut world = World::new(Options { history_events_max: 20, ..Options::default() });
    (0..40).for_each(|n| assert!(world.publish(0, &"x".repeat(2000 + n))));
    let id: Box<str> = world.shared.order.id_of(3).to_string().into();
    (0..100).for_each(|_| world.join_from(vec![0], Wire::Plain, 0, Resume::After(id.clone())));
    for number in 1..=100 {
        // The head and the gap, and a little of the part.
        world.give_capacity(number, 400);
    }
    let gathered = world.shard.link().counters.gathered_parts.value();
    let held: usize = world
        .clients
        .values()
        .filter_map(|c| {
            match &world.shard.connections[c.key.index].state {
                State::Replaying(replaying) => replaying.pending.as_ref(),
                State::Lagging(lagging) => lagging.pending(),
                _ => None,
            }
            .map(|pending| pending.bytes.as_ptr() as usize)
        })
        .collect::<std::collections::HashSet<_>>()
        .len();
    assert!(
        gathered < 10,
        "{gathered} gathered, {held} parts held, {} bytes known of",
        world.shard.parts.alive_bytes()
    );
}

#[test]
fn what_is_told_to_be_missing_is_not_sent_afterwards() {
    let mut world = World::new(Options { history_events_max: 300, ..Options::default() });
    for n in 0..400 {
        assert!(world.publish(0, &n.to_string()));
    }
    let id: Box<str> = world.shared.order.id_of(100).to_string().into();
    let capacity = usize::MAX / 2;
    world.join_from(vec![0], Wire::Plain, capacity, Resume::After(id.clone()));
    world.joined = 3;
    for n in 0..50 {
        assert!(world.publish(0, &n.to_string()));
        while world.shard.turn().unwrap() == Next::Now {}
    }
    world.join_from(vec![0], Wire::Plain, capacity, Resume::After(id));
    let text = bodies(&world).pop().unwrap();
    let gap = text.find("fanfare-gap").expect("it is told");
    let first: String = text[gap..].chars().take(300).collect();
    let old = format!("id: {}\n", world.shared.order.id_of(120));
    assert!(!text.contains(&old), "{first}");
}

#[test]
fn parts_are_forgotten_when_no_client_is_left() {
    let mut world = World::with_manual_clock(Options::default());
    for _ in 0..5 {
        assert!(world.publish(0, &"x".repeat(50_000)));
    }
    for after in 0..4 {
        let id: Box<str> = world.shared.order.id_of(after).to_string().into();
        world.join_from(vec![0], Wire::Plain, usize::MAX / 2, Resume::After(id));
    }
    for client in std::mem::take(&mut world.clients).into_values() {
        drop(world.shard.remove(client.key.index));
    }
    let mut next = world.shard.turn().unwrap();
    // As a driver does: it sleeps as long as it is told to.
    while !world.shard.parts.is_empty() {
        let Next::Wait(Some(time)) = next else { panic!("it sleeps for ever: {next:?}") };
        world.clock.advance(time);
        next = world.shard.turn().unwrap();
        assert!(world.clock.now_ns() < 5_000_000_000);
    }
}

#[test]
fn a_shard_that_ends_leaves_no_interest_behind() {
    let mut world = World::new(Options::default());
    assert!(world.publish(0, "so the topic is known"));
    let request = StreamRequest {
        wanted: vec![Subscription::new("#").unwrap()],
        ..StreamRequest::new(b"head\n".to_vec(), vec![], Wire::Plain)
    };
    let sink = Sink::Scripted(Box::new(|bytes| Ok(bytes.len())));
    world.shard.join_sink(sink, &request).expect("there is space for it");
    let World { shard, shared, .. } = world;
    drop(shard);
    for _ in 0..10_000 {
        let draft = Draft::encode(&Event::new("x".repeat(100)), 1 << 20).unwrap();
        let published = shared.order.publish(&Topic::new(TOPICS[0]).unwrap(), draft);
        assert!(published.is_ok(), "full, with no client here");
    }
}
