//! Searches and replays that go on over several steps, while events are published and forgotten,
//! and topics come and go.

use super::*;
use crate::gap::Gap;

/// A client that is sent the events that it has missed, step by step.
struct Client {
    wanted: Vec<Subscription>,
    resume: Resume,
    /// The sequence number of the last event when the client came, and of the last that it had;
    /// `None` if that is not known.
    joined_at: u64,
    had: Option<u64>,
    search: Option<Search>,
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
    /// Whether more was forgotten while the client's gap was looked for than is remembered: then it
    /// is told that anything forgotten may be missing.
    is_unsure: bool,
}

struct Steps {
    order: Order,
    random: fastrand::Rng,
    published: BTreeMap<u64, String>,
    /// Until when topics are finished, and whether they have to be for so long.
    finished: BTreeMap<String, (u64, bool)>,
}

const FINISHED_AGE: Duration = Duration::from_millis(300);

fn subscription(text: &str) -> Subscription {
    Subscription::new(text).unwrap()
}

impl Steps {
    fn publish(&mut self, finishes: bool) {
        let random = &mut self.random;
        let topic = match random.u32(..3) {
            0 => format!("busy/{}", random.u32(..4)),
            1 => format!("quiet/{}", random.u32(..60)),
            _ => format!("deep/{}/{}", random.u32(..6), random.u32(..6)),
        };
        let data = "x".repeat(random.usize(..100));
        let event = match random.u32(..4) {
            0 => Event::new(data).with_id(format!("custom-{}", random.u32(..50))),
            _ => Event::new(data),
        };
        let draft = Draft::encode(&event, 1 << 20).unwrap();
        let name = Topic::new(&topic).unwrap();
        let result = match finishes {
            true => self.order.finish(&name, Some(draft)),
            false => self.order.publish(&name, draft),
        };
        let known = self.finished.get(&topic).filter(|(to_ns, _)| *to_ns >= self.order.now_ns());
        match result {
            Ok(id) => {
                assert!(known.is_none_or(|(_, is_sure)| !is_sure), "{topic} is finished");
                self.finished.remove(&topic);
                if finishes {
                    let to_ns = self.order.now_ns() + FINISHED_AGE.as_nanos() as u64;
                    self.finished.insert(topic.clone(), (to_ns, true));
                }
                self.published.insert(id.sequence, topic);
            }
            Err(Refused::Finished) => assert!(known.is_some(), "{topic} is not finished"),
            Err(_) => unreachable!("a topic without subscribers has no backlog"),
        }
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
        let (resume, had) = match random.u32(..8) {
            0 => (Resume::Start(StartAt::Latest), None),
            1 => (Resume::Start(StartAt::Last(random.u32(..40))), None),
            2 => (Resume::After("00000000-3".into()), Some(0)),
            3 => (Resume::After("unknown".into()), Some(joined_at)),
            4 => (Resume::After(format!("custom-{}", random.u32(..50)).into()), None),
            _ => {
                let had = random.u64(..=joined_at);
                (Resume::After(self.order.id_of(had).to_string().into()), Some(had))
            }
        };
        let search = Some(self.order.begin_search(resume.clone()));
        Client {
            wanted: texts.into_iter().map(subscription).collect(),
            resume,
            joined_at,
            had,
            search,
            cursor: None,
            numbers: Vec::new(),
            gaps: Vec::new(),
            reason: None,
        }
    }

    /// Takes one step for a client; true when the client has everything.
    fn advance(&mut self, client: &mut Client) -> bool {
        if let Some(search) = &mut client.search {
            let Some((cursor, gap)) = self.order.locate(&client.wanted, search) else {
                return false;
            };
            client.search = None;
            if let Some((gap, id)) = gap {
                client.reason = Some(gap.reason);
                assert!(id.sequence <= gap.to.sequence);
                let Gap { to, missed, .. } = gap;
                client.gaps.push(Told { to: to.sequence, missed, sent: 0, is_unsure: false });
            }
            if client.had.is_none() && matches!(client.resume, Resume::After(_)) {
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
        let topics = part.frames.iter().map(|frame| &*self.published[&frame.sequence()]);
        match envelope {
            Envelope::None => assert!(part.topics.is_empty()),
            Envelope::Json => assert!(part.topics.iter().map(Topic::as_str).eq(topics)),
        }
        if let Some((gap, id)) = part.gap {
            assert!(gap.to.sequence > cursor.gap_told_to);
            assert!(part.frames.first().is_none_or(|first| id.sequence < first.sequence()));
            let (to, missed, sent) = (gap.to.sequence, gap.missed, client.numbers.len());
            client.gaps.push(Told { to, missed, sent, is_unsure });
        }
        client.numbers.extend(part.frames.iter().map(|frame| frame.sequence()));
        assert!(part.is_all || part.cursor != *cursor, "the cursor moves on");
        *cursor = part.cursor;
        part.is_all
    }

    fn check(&self, client: &Client) {
        let wants = |topic: &str| {
            let topic = Topic::new(topic).unwrap();
            client.wanted.iter().any(|wanted| wanted.matches(&topic))
        };
        let what = || format!("{:?} {:?} {:?}", client.wanted, client.resume, client.gaps);
        let all = |after: u64| {
            let of = self.published.range(after + 1..).filter(|(_, topic)| wants(topic));
            of.map(|(&number, _)| number).collect::<Vec<u64>>()
        };
        assert!(client.numbers.is_sorted_by(|a, b| a < b), "{}", what());
        let Some(had) = client.had else {
            // It has to get every event since it came, or be told of it.
            let old = all(0);
            assert!(client.numbers.iter().all(|number| old.binary_search(number).is_ok()));
            return self.check_covered(client, &all(client.joined_at), &what);
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

    fn check_covered(&self, client: &Client, all: &[u64], what: &dyn Fn() -> String) {
        let end = client.cursor.unwrap().after;
        for number in all.iter().filter(|&&number| number <= end) {
            // What is missing is told before the next event that is sent.
            let Err(before) = client.numbers.binary_search(number) else { continue };
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
        let mut steps = Steps { order, random, published: BTreeMap::new(), finished };
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
                    check_totals(&steps.order);
                }
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
        check_totals(&steps.order);
    }
}
