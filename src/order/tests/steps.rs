//! Searches and replays that go on over several steps, while events are published and forgotten,
//! and topics come and go.

use super::*;
use crate::gap::Gap;
use crate::options::TopicOptions;

/// A client that is sent the events that it has missed, step by step.
struct Client {
    wanted: Vec<Subscription>,
    resume: Resume,
    /// The sequence number of the last event when the client came, and of the last that it had;
    /// `None` if that is not known.
    joined_at: u64,
    had: Option<u64>,
    /// Where the stream of a client whose id is gone is to begin, if that does not depend on the
    /// reason.
    gap_start: Option<StartAt>,
    /// Of a client that had nothing: up to here it need not be told what is missing.
    untold_to: u64,
    search: Option<Search>,
    /// The events from before it came that it is to be sent, and that it may have lost since only
    /// if they are not kept; `None` if they were not found in one step.
    expected: Option<Vec<u64>>,
    is_searched: bool,
    cursor: Option<Cursor>,
    numbers: Vec<u64>,
    gaps: Vec<Told>,
    reason: Option<crate::gap::GapReason>,
}

/// A gap that a client was told of.
#[derive(Debug)]
struct Told {
    to: u64,
    missed: Option<u64>,
    /// How many events the client had been sent before.
    sent: usize,
    /// Whether more was forgotten while the client's gap was looked for than is remembered, or
    /// lists of topics were dropped: then it is told that anything forgotten may be missing.
    is_unsure: bool,
}

struct Steps {
    order: Order,
    random: fastrand::Rng,
    published: PublishedTopics,
    /// Until when topics are finished, and whether they have to be for so long.
    finished: BTreeMap<String, (u64, bool)>,
}

const FINISHED_AGE: Duration = Duration::from_millis(300);

fn subscription(text: &str) -> Subscription {
    Subscription::new(text).unwrap()
}

impl Client {
    fn wants(&self, topic: &str) -> bool {
        let topic = Topic::new(topic).unwrap();
        self.wanted.iter().any(|wanted| wanted.matches(&topic))
    }

    fn wants_any(&self, topics: &[String]) -> bool {
        topics.iter().any(|topic| self.wants(topic))
    }
}

impl Steps {
    /// The topic of an event, or the topics: some of these come again and again.
    fn topics(&mut self) -> Vec<String> {
        let random = &mut self.random;
        let topic = |random: &mut fastrand::Rng| match random.u32(..3) {
            0 => format!("busy/{}", random.u32(..4)),
            1 => format!("quiet/{}", random.u32(..60)),
            _ => format!("deep/{}/{}", random.u32(..6), random.u32(..6)),
        };
        let mut topics = match random.u32(..10) {
            0..=5 => vec![topic(random)],
            6 => vec!["busy/1".to_owned(), format!("quiet/{}", random.u32(..3))],
            7 => (0..4).map(|n| format!("busy/{n}")).collect(),
            8 => vec![topic(random), topic(random)],
            _ => (0..random.usize(3..9)).map(|_| topic(random)).collect(),
        };
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    fn publish(&mut self, finishes: bool) {
        let mut topics = self.topics();
        let random = &mut self.random;
        let data = "x".repeat(random.usize(..100));
        let event = match random.u32(..4) {
            0 => Event::new(data).with_id(format!("custom-{}", random.u32(..50))),
            _ => Event::new(data),
        };
        let result = match finishes {
            true => {
                topics.truncate(1);
                let draft = Draft::encode(&event, 1 << 20).unwrap();
                self.order.finish(&Topic::new(&topics[0]).unwrap(), Some(draft))
            }
            false => try_publish(&self.order, &topics, &event),
        };
        let now_ns = self.order.now_ns();
        let known = |topic: &String| self.finished.get(topic).filter(|(to_ns, _)| *to_ns >= now_ns);
        match result {
            Ok(id) => {
                let is_sure = |topic: &&String| known(topic).is_some_and(|(_, is_sure)| *is_sure);
                assert_eq!(topics.iter().find(is_sure), None, "it is finished");
                topics.iter().for_each(|topic| _ = self.finished.remove(topic));
                if finishes {
                    let to_ns = now_ns + FINISHED_AGE.as_nanos() as u64;
                    self.finished.insert(topics[0].clone(), (to_ns, true));
                }
                self.published.insert(id.sequence, topics);
            }
            Err(Refused::Finished(_)) => {
                assert!(topics.iter().any(|topic| known(topic).is_some()), "{topics:?}");
            }
            Err(_) => unreachable!("a topic without subscribers has no backlog"),
        }
    }

    /// Changes how much is kept of some topics: of some nothing.
    fn change_rules(&mut self) {
        let random = &mut self.random;
        let texts = ["busy/1", "busy/+", "quiet/#", "quiet/1", "deep/1/#", "deep/+/2"];
        let rule = subscription(texts[random.usize(..texts.len())]);
        match random.u32(..3) {
            0 => _ = self.order.remove_rule(&rule),
            _ => {
                let events_max = [0, 0, 1, 5][random.usize(..4)];
                let options = TopicOptions::default().history_events_max(events_max);
                self.order.set_rule(&rule, options).unwrap();
            }
        }
        self.doubt_finished();
    }

    /// Forgets all that is kept, in a number of steps.
    fn forget_all(&mut self, steps_max: usize) {
        let mut locked = self.order.lock();
        locked.topics.forget_old(u64::MAX, steps_max);
        self.order.number_reopened(&mut locked);
        drop(locked);
        self.doubt_finished();
    }

    /// Notes that topics which are finished may be forgotten already.
    fn doubt_finished(&mut self) {
        self.finished.values_mut().for_each(|(_, is_sure)| *is_sure = false);
    }

    fn join(&mut self) -> Client {
        let random = &mut self.random;
        let some = format!("quiet/{}", random.u32(..60));
        let texts = match random.u32(..9) {
            0 => vec!["#"],
            1 => vec!["quiet/+", "busy/1"],
            2 => vec!["+/1", "quiet/#", &*some],
            3 => vec!["busy/+"],
            4 => vec![&*some, "busy/2", "none"],
            5 => vec!["deep/#", "deep/1/1", "deep/+/2"],
            6 => vec!["deep/1/#"],
            7 => vec!["+/+/3", "+/3", "deep/3/+", "nothing"],
            _ => vec!["quiet/1/#", "deep/2/+", &*some],
        };
        let joined_at = self.order.sequence();
        let gap_start = match random.u32(..8) {
            0 => Some(StartAt::Now),
            1 => Some(StartAt::Latest),
            2 => Some(StartAt::Earliest),
            3 => Some(StartAt::Last(random.u32(..40))),
            _ => None,
        };
        let (resume, had) = match random.u32(..9) {
            0 => (Resume::Start(StartAt::Latest), None),
            1 => (Resume::Start(StartAt::Last(random.u32(..40))), None),
            2 => (Resume::Start(StartAt::Earliest), None),
            3 => (Resume::after("00000000-3", gap_start), Some(0)),
            4 => {
                let had = gap_start.map_or(joined_at, |_| 0);
                (Resume::after("unknown", gap_start), Some(had))
            }
            5 => {
                // The cursor of these says which event has the id.
                let starts = [StartAt::Latest, StartAt::Earliest];
                let gap_start = gap_start.filter(|start| starts.contains(start));
                (Resume::after(format!("custom-{}", random.u32(..50)), gap_start), None)
            }
            _ => {
                let had = random.u64(..=joined_at);
                (Resume::after(self.order.id_of(had).to_string(), gap_start), Some(had))
            }
        };
        let search = Some(self.order.begin_search(resume.clone(), self.order.moment()));
        Client {
            wanted: texts.into_iter().map(subscription).collect(),
            gap_start: resume.gap_start(),
            resume,
            joined_at,
            had,
            untold_to: joined_at,
            search,
            expected: None,
            is_searched: false,
            cursor: None,
            numbers: Vec::new(),
            gaps: Vec::new(),
            reason: None,
        }
    }

    /// Takes one step for a client; true when the client has everything.
    fn advance(&mut self, client: &mut Client) -> bool {
        if let Some(search) = &mut client.search {
            let is_first = !std::mem::replace(&mut client.is_searched, true);
            let Some((cursor, gap)) = self.order.locate(&client.wanted, search) else {
                return false;
            };
            client.search = None;
            if let Resume::Start(StartAt::Earliest) = client.resume {
                assert!(cursor.gap_told_to <= client.joined_at, "it is told of what came since");
                client.untold_to = cursor.gap_told_to;
            }
            if is_first {
                self.expect(client, &gap);
            }
            if let Some((gap, id)) = gap {
                client.reason = Some(gap.reason);
                assert!(id.sequence <= gap.to.sequence);
                let Gap { to, missed, .. } = gap;
                let (to, sent) = (to.sequence, 0);
                let is_unsure = missed.is_none() && to <= dropped_to(&self.order);
                client.gaps.push(Told { to, missed, sent, is_unsure });
            }
            if client.had.is_none() && client.resume.id().is_some() {
                client.had = Some(cursor.after);
            }
            assert!(
                cursor.after <= client.joined_at,
                "the client would miss what was published since it came"
            );
            client.cursor = Some(cursor);
            return false;
        }
        let cursor = client.cursor.as_mut().unwrap();
        let is_unsure = cursor.looked_to.is_some() && {
            let locked = self.order.lock();
            let since = locked.topics.forgets.since(cursor.forgets_seen);
            since.is_none()
        };
        // Every other client's envelope names the topics.
        let envelope = match client.joined_at % 2 {
            0 => Envelope::None,
            _ => Envelope::Json,
        };
        let part = self.order.replay(&client.wanted, *cursor, 700, envelope);
        match envelope {
            Envelope::None => assert!(part.topics.is_empty()),
            Envelope::Json => {
                assert_eq!(part.topics.len(), part.frames.len());
                for (frame, topic) in part.frames.iter().zip(&part.topics) {
                    let topics = &self.published[&frame.sequence()];
                    assert!(topics.iter().any(|name| name == topic.as_str()));
                    let several = frame.topics().map(|all| all.iter().map(Topic::to_string));
                    let several = several.map(Iterator::collect::<Vec<_>>);
                    assert_eq!(several, Some(topics.clone()).filter(|topics| topics.len() > 1));
                }
            }
        }
        if let Some((gap, id)) = part.gap {
            assert!(gap.to.sequence > cursor.gap_told_to);
            assert!(part.frames.first().is_none_or(|first| id.sequence < first.sequence()));
            let (to, missed, sent) = (gap.to.sequence, gap.missed, client.numbers.len());
            let may_be_dropped = missed.is_none() && to <= dropped_to(&self.order);
            let is_unsure = is_unsure || may_be_dropped;
            client.gaps.push(Told { to, missed, sent, is_unsure });
        }
        client.numbers.extend(part.frames.iter().map(|frame| frame.sequence()));
        assert!(part.is_all || part.cursor != *cursor, "the cursor moves on");
        *cursor = part.cursor;
        part.is_all
    }

    /// The events that a client wants and that are kept, by their sequence numbers.
    fn kept(&self, client: &Client) -> Vec<u64> {
        let locked = self.order.lock();
        let mut kept = Vec::new();
        for (_, entry) in &locked.topics.entries {
            if client.wants(entry.state.name.as_str()) {
                let events = (0..entry.history.len()).filter_map(|nth| entry.history.event(nth));
                kept.extend(events.map(|event| event.sequence()));
            }
        }
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    /// Notes what a client is to be sent whose search took one step, and checks what it is told.
    fn expect(&self, client: &mut Client, gap: &Option<(Gap, EventId)>) {
        let start = match (&client.resume, client.gap_start) {
            (Resume::Start(start), _) => *start,
            (_, Some(start)) if gap.is_some() => start,
            _ => StartAt::Earliest,
        };
        // Of the others it is not known which event has the id.
        let had = if client.resume.id().is_none() { Some(0) } else { client.had };
        let Some(had) = had else { return };
        let (mut kept, mut since) = (self.kept(client), Vec::new());
        kept.retain(|&number| number > had);
        if let Some(end) = kept.iter().position(|&number| number > client.joined_at) {
            since = kept.split_off(end);
        }
        match start {
            StartAt::Now => kept.clear(),
            StartAt::Latest => kept.retain(|&number| self.is_latest(client, number)),
            StartAt::Last(count) => drop(kept.drain(..kept.len().saturating_sub(count as usize))),
            StartAt::Earliest => {}
        }
        let sent: Vec<u64> = kept.iter().chain(&since).copied().collect();
        let all = self.published.range(had + 1..).filter(|(_, topics)| client.wants_any(topics));
        let missing = all.map(|(&number, _)| number).filter(|number| !sent.contains(number));
        let missing: Vec<u64> = missing.collect();
        if let Resume::Start(StartAt::Earliest) = client.resume {
            client.untold_to = missing.last().copied().unwrap_or(0).min(client.joined_at);
        }
        if let Some((gap, id)) = gap {
            let what = || format!("{:?} {:?} {gap:?} {kept:?}", client.wanted, client.resume);
            let first = sent.first().copied().unwrap_or(u64::MAX);
            assert!(id.sequence < first && id.sequence <= gap.to.sequence, "{}", what());
            if gap.reason == crate::gap::GapReason::Expired {
                let (to, last) = (Some(gap.to.sequence), missing.last().copied());
                // Events may be missing of lists that were dropped.
                let is_unsure = gap.missed.is_none() && to <= Some(dropped_to(&self.order));
                assert!(to == last || is_unsure && to > last, "{to:?} {last:?} {}", what());
                let is_right = gap.missed.is_none_or(|missed| missed == missing.len() as u64);
                assert!(is_right, "{missing:?} {}", what());
            } else {
                assert!(missing.last().is_none_or(|&to| to <= gap.to.sequence), "{}", what());
            }
        }
        client.expected = Some(kept);
    }

    /// Whether an event is the newest, from when a client came, of a topic that keeps it.
    fn is_latest(&self, client: &Client, number: u64) -> bool {
        let keepers = keepers(&self.order, &self.published, &client.wanted, number);
        keepers.into_iter().any(|topic| self.is_newest(topic, number, client.joined_at))
    }

    /// Whether an event is the newest of a topic of it up to a sequence number.
    fn is_newest(&self, topic: &String, number: u64, to: u64) -> bool {
        !self.published.range(number..=to).skip(1).any(|(_, topics)| topics.contains(topic))
    }

    /// Whether a client was sent what it is to begin with, and nothing else from before it came.
    fn check_beginning(&self, client: &Client) {
        let what = || format!("{:?} {:?} {:?}", client.wanted, client.resume, client.gaps);
        let old = client.numbers.iter().filter(|&&number| number <= client.joined_at);
        let old: Vec<u64> = old.copied().collect();
        let start = match client.resume {
            Resume::Start(start) => Some(start),
            _ => client.gap_start.filter(|_| client.reason.is_some()),
        };
        match start {
            Some(StartAt::Now) => assert_eq!(old, Vec::<u64>::new(), "{}", what()),
            Some(StartAt::Latest) => {
                let is_newest = |&number: &u64| {
                    let mut topics = self.published[&number].iter();
                    topics.any(|topic| self.is_newest(topic, number, client.joined_at))
                };
                let wrong = old.iter().find(|number| !is_newest(number));
                let of = |number: &u64| self.published.range(number..=&client.joined_at);
                assert_eq!(wrong.map(|n| of(n).collect::<Vec<_>>()), None, "{}", what());
            }
            Some(StartAt::Last(count)) => assert!(old.len() <= count as usize, "{}", what()),
            Some(StartAt::Earliest) | None => {}
        }
        if let Some(expected) = &client.expected {
            assert!(old.iter().all(|number| expected.contains(number)), "{old:?} {}", what());
            // Of several topics, the one of which it is the newest may have forgotten it.
            let is_to_be_sent = |number: &u64| match start {
                Some(StartAt::Latest) => self.is_latest(client, *number),
                _ => true,
            };
            let kept = self.kept(client);
            let mut lost = expected.iter().filter(|number| !old.contains(number));
            let is_right = lost.all(|number| !kept.contains(number) || !is_to_be_sent(number));
            assert!(is_right, "{expected:?} {}", what());
        }
    }

    fn check(&self, client: &Client) {
        self.check_beginning(client);
        let wants = |topic: &str| client.wants(topic);
        let what = || format!("{:?} {:?} {:?}", client.wanted, client.resume, client.gaps);
        let all = |after: u64| {
            let of = self.published.range(after + 1..);
            let of = of.filter(|(_, topics)| topics.iter().any(|topic| wants(topic)));
            of.map(|(&number, _)| number).collect::<Vec<u64>>()
        };
        assert!(client.numbers.is_sorted_by(|a, b| a < b), "{}", what());
        let Some(had) = client.had else {
            // It has to get every event since it came, or be told of it.
            let old = all(0);
            assert!(client.numbers.iter().all(|number| old.binary_search(number).is_ok()));
            return self.check_covered(client, &all(client.untold_to), &what);
        };
        self.check_covered(client, &all(had), &what);
        assert!(client.numbers.iter().all(|&number| number > had));
        let all = all(had);
        assert!(client.numbers.iter().all(|number| all.binary_search(number).is_ok()));
        let mut told_to = had;
        for (nth, &Told { to, missed, is_unsure, .. }) in client.gaps.iter().enumerate() {
            if nth == 0 && client.reason.is_some_and(|r| r != crate::gap::GapReason::Expired) {
                told_to = told_to.max(to);
                continue;
            }
            if is_unsure {
                assert_eq!(missed, None);
                told_to = told_to.max(to);
                continue;
            }
            assert!(all.binary_search(&to).is_ok(), "nothing is missing at {to}: {}", what());
            assert!(client.numbers.binary_search(&to).is_err(), "{to} was sent: {}", what());
            let gone = all
                .iter()
                .filter(|&&n| n > told_to && n <= to && client.numbers.binary_search(&n).is_err())
                .count() as u64;
            if let Some(missed) = missed {
                assert!((1..=gone).contains(&missed), "{missed} of {gone} to {to}: {}", what());
            }
            told_to = told_to.max(to);
        }
    }

    /// Whether a client that begins with the newest events may go without an event of several
    /// topics: the topic of which it was the newest has forgotten it meanwhile, and another one
    /// keeps it.
    fn is_of_a_beginning_with_the_latest(&self, client: &Client, number: u64) -> bool {
        let start = match client.resume {
            Resume::Start(start) => Some(start),
            _ => client.gap_start,
        };
        start == Some(StartAt::Latest)
            && number <= client.joined_at
            && self.published[&number].len() > 1
            && !self.is_latest(client, number)
    }

    fn check_covered(&self, client: &Client, all: &[u64], what: &dyn Fn() -> String) {
        let end = client.cursor.unwrap().after;
        for number in all.iter().filter(|&&number| number <= end) {
            // What is missing is told before the next event that is sent.
            let Err(before) = client.numbers.binary_search(number) else { continue };
            if self.is_of_a_beginning_with_the_latest(client, *number) {
                continue;
            }
            let told = client.gaps.iter().filter(|gap| gap.sent <= before).map(|gap| gap.to);
            assert!(told.max() >= Some(*number), "{number} is lost: {}", what());
        }
    }
}

#[test]
fn searches_and_replays_are_right_although_topics_and_events_come_and_go_between_their_steps() {
    let runs: u64 = std::env::var("FANFARE_RUNS").ok().map_or(12, |runs| runs.parse().unwrap());
    let from: u64 = std::env::var("FANFARE_SEED").ok().map_or(0, |seed| seed.parse().unwrap());
    for seed in from..from + runs {
        let mut random = fastrand::Rng::with_seed(seed);
        let options = Options {
            history_events_max: [3, 12, 1000][random.usize(..3)],
            history_total_bytes_max: [60_000, 300_000, 4_000_000][random.usize(..3)],
            history_age_max: Duration::from_millis([100, 1_000, 600_000][random.usize(..3)]),
            finished_age_max: FINISHED_AGE,
            shards: 1,
            ..Options::default()
        };
        let order = model_order(&options, seed);
        let finished = BTreeMap::new();
        let mut steps = Steps { order, random, published: PublishedTopics::new(), finished };
        let mut clients: Vec<Client> = Vec::new();
        let mut named: Vec<Subscription> = Vec::new();
        for _ in 0..3_000 {
            if options.history_total_bytes_max < 4_000_000 {
                steps.doubt_finished();
            }
            steps.order.clock.advance(Duration::from_micros(steps.random.u64(..2_000)));
            match steps.random.u32(..100) {
                0..52 => steps.publish(false),
                52..55 => steps.publish(true),
                55..60 if clients.len() < 20 => clients.push(steps.join()),
                60..62 => {
                    let name = subscription(&format!("quiet/{}", steps.random.u32(..60)));
                    if !named.contains(&name) {
                        steps.order.register(0, std::slice::from_ref(&name), |_, _| 0);
                        named.push(name);
                    }
                }
                62..64 if !named.is_empty() => {
                    let name = named.swap_remove(steps.random.usize(..named.len()));
                    steps.order.unregister(0, &name, None);
                }
                64..65 if steps.random.u32(..6) == 0 => {
                    let steps_max = steps.random.usize(..300);
                    steps.forget_all(steps_max);
                }
                65..67 => {
                    let steps_max = steps.random.usize(..20);
                    steps.forget_all(steps_max);
                }
                67..70 => {
                    steps.order.forget_old();
                    check_all(&steps.order, &steps.published);
                }
                70 => steps.change_rules(),
                _ if !clients.is_empty() => {
                    let nth = steps.random.usize(..clients.len());
                    let mut client = clients.swap_remove(nth);
                    match steps.advance(&mut client) {
                        true => steps.check(&client),
                        false => clients.push(client),
                    }
                }
                _ => {}
            }
        }
        for mut client in clients {
            while !steps.advance(&mut client) {}
            steps.check(&client);
        }
        check_all(&steps.order, &steps.published);
    }
}
