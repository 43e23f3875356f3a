//! An order that is restored from its journal answers clients as it did before.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::filter::Subscription;
use crate::gap::{Gap, GapReason};
use crate::options::TopicOptions;

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-restored-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn options(&self) -> Options {
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        Options::default().data_dir(&self.0).history_age_max(week).finished_age_max(week)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(options: &Options) -> Order {
    let folder = options.data_dir.clone().unwrap();
    Order::restored(Box::new([]), options, Tuning::small().order, &folder).unwrap()
}

fn close(order: &Order) {
    assert!(order.journal().unwrap().close(Duration::from_secs(60)), "it is written to its end");
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn subscription(text: &str) -> Subscription {
    Subscription::new(text).unwrap()
}

/// What a client is told and sent, by numbers: these are the same in each life.
type Answer = (Vec<u64>, Option<(u64, GapReason, Option<u64>)>);

fn answer(order: &Order, wanted: &[Subscription], resume: &Resume) -> Answer {
    let (numbers, gap) = replayed_with_gap(order, wanted, resume);
    (numbers, gap.map(|Gap { to, reason, missed, .. }| (to.sequence, reason, missed)))
}

/// The rules and what their topics keep. Idle topics, of which nothing is kept, may be forgotten.
fn rules(order: &Order) -> Vec<crate::options::Rule> {
    order.rules().into_iter().map(|rule| crate::options::Rule { topics: 0, ..rule }).collect()
}

struct Model {
    order: Order,
    random: fastrand::Rng,
}

impl Model {
    fn topic(&mut self) -> String {
        match self.random.u32(..3) {
            0 => format!("busy/{}", self.random.u32(..4)),
            1 => format!("quiet/{}", self.random.u32(..60)),
            _ => format!("deep/{}/{}", self.random.u32(..6), self.random.u32(..6)),
        }
    }

    fn step(&mut self) {
        match self.random.u32(..60) {
            0 => {
                let text = ["busy/1", "busy/+", "quiet/#", "deep/+/2"][self.random.usize(..4)];
                let most = [0, 1, 5, 30][self.random.usize(..4)];
                let options = TopicOptions::default().history_events_max(most);
                self.order.set_rule(&subscription(text), options).unwrap();
            }
            1 => _ = self.order.remove_rule(&subscription("busy/+")),
            2 => {
                let name = self.topic();
                let last = Draft::encode(&Event::new("the end"), 100).unwrap();
                _ = self.order.finish(&topic(&name), Some(last).filter(|_| self.random.bool()));
            }
            n => {
                let names: Vec<String> =
                    (0..if n < 15 { 3 } else { 1 }).map(|_| self.topic()).collect();
                let event = Event::new("x".repeat(self.random.usize(..80)));
                let event = match n {
                    20..25 => event.with_id(format!("custom-{}", self.random.u32(..50))),
                    25..30 => event.with_key("key"),
                    _ => event,
                };
                _ = try_publish(&self.order, &names, &event);
            }
        }
    }

    /// Clients of each kind, with ids of the life that `order` has.
    fn clients(&mut self, count: usize) -> Vec<(Vec<Subscription>, Resume)> {
        (0..count).map(|_| self.client()).collect()
    }

    fn client(&mut self) -> (Vec<Subscription>, Resume) {
        let texts = ["busy/1", "busy/+", "quiet/7", "quiet/#", "deep/+/2", "#", "never/seen"];
        let wanted = (0..self.random.usize(1..4))
            .map(|_| match self.random.bool() {
                true => subscription(texts[self.random.usize(..texts.len())]),
                false => Subscription::Topic(topic(&self.topic())),
            })
            .collect();
        let resume = match self.random.u32(..8) {
            0 => Resume::Start(StartAt::Earliest),
            1 => Resume::Start(StartAt::Last(5)),
            2 => Resume::After(format!("custom-{}", self.random.u32(..50)).into()),
            _ => {
                let number = self.random.u64(0..=self.order.sequence());
                Resume::After(self.order.id_of(number).to_string().into())
            }
        };
        (wanted, resume)
    }
}

#[test]
fn clients_are_answered_after_a_restart_as_they_were_before() {
    for seed in 0..12 {
        let folder = Folder::new();
        let options = folder.options().history_events_max(8).history_total_bytes_max(100_000);
        let mut model = Model { order: open(&options), random: fastrand::Rng::with_seed(seed) };
        for _ in 0..4 {
            (0..600).for_each(|_| model.step());
            let clients = model.clients(60);
            let rules = rules(&model.order);
            let before: Vec<Answer> = clients
                .iter()
                .map(|(wanted, resume)| answer(&model.order, wanted, resume))
                .collect();
            close(&model.order);
            let counts = model.order.counts();

            model.order = open(&options);
            let restored = model.order.counts();
            assert_eq!(restored.kept_events, counts.kept_events);
            assert_eq!(restored.kept_bytes, counts.kept_bytes);
            assert_eq!(restored.finished_topics, counts.finished_topics);
            assert_eq!(restored.published_events, 0, "of this life");
            assert_eq!(self::rules(&model.order), rules);
            for ((wanted, resume), before) in clients.iter().zip(before) {
                let mut after = answer(&model.order, wanted, resume);
                if let (Some(after), Some(before)) = (&mut after.1, &before.1) {
                    // It is to this moment, and the new life has begun with a number of its own.
                    let is_unknown = before.1 == GapReason::UnknownId;
                    after.0 = if is_unknown { before.0 } else { after.0 };
                }
                assert_eq!(after, before, "seed {seed}: {wanted:?} with {resume:?}");
            }
        }
    }
}

/// The order that is restored when the journal has dropped all records that an order does not need.
fn without_what_is_not_needed(order: &Order, options: &Options) -> Order {
    let tuning = Tuning::small().order;
    let folder = options.data_dir.clone().unwrap();
    let mut opened = Journal::open(&folder, restore::journal_options(options)).unwrap();
    let mut records: Vec<(u64, Vec<u8>)> = Vec::new();
    opened
        .read(|number, payload| {
            records.push((number, payload.to_vec()));
        })
        .unwrap();
    let mut needed = Vec::new();
    order.sift(&mut records.iter().map(|(number, payload)| (*number, &**payload)), &mut needed);
    assert!(needed.iter().filter(|needed| !**needed).count() > records.len() / 4);
    let summary = summary::Summary::read(&order.summary()).unwrap();
    let mut restoring = restore::Restoring::new(options, &tuning, summary);
    for ((number, payload), _) in records.iter().zip(needed).filter(|(_, needed)| *needed) {
        restoring.read(*number, payload).unwrap();
    }
    restoring.end(Box::new([]), options, tuning, opened.lives(), opened.next())
}

#[test]
fn what_the_journal_drops_is_known_from_the_summary() {
    for seed in 0..6 {
        let folder = Folder::new();
        let options = folder.options().history_events_max(6);
        let mut model = Model { order: open(&options), random: fastrand::Rng::with_seed(seed) };
        (0..1_500).for_each(|_| model.step());
        // What the journal's writer does, at a moment at which everything is written.
        let clients = model.clients(80);
        let before: Vec<Answer> =
            clients.iter().map(|(wanted, resume)| answer(&model.order, wanted, resume)).collect();
        close(&model.order);
        let restored = without_what_is_not_needed(&model.order, &options);
        for ((wanted, resume), before) in clients.iter().zip(before) {
            let after = answer(&restored, wanted, resume);
            assert_eq!(after.0, before.0, "seed {seed}: {wanted:?} with {resume:?}");
            match (after.1, before.1) {
                (Some((_, after, _)), Some((_, GapReason::UnknownId, _))) => {
                    assert_eq!(after, GapReason::UnknownId);
                }
                (after, before) => assert_eq!(after, before, "seed {seed}: {wanted:?}, {resume:?}"),
            }
        }
    }
}
