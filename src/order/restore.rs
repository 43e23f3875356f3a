//! An order as its journal has it: what was kept when the hub's last life ended, under the bounds of this one.
//!
//! The items are gone through in the order of their numbers, as if they were published once more, with
//! their times. What the summary says of a topic comes first: its events up to that number are
//! forgotten, whether the journal still has them or not, and all else of it comes behind.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::history::{Forgotten, ForgottenOfTopic, Kept};
use super::item::{Malformed, ReadEvent, ReadItem, Times};
use super::journaling::unix_ns;
use super::lives::{Life, Lives};
use super::rules::Rules;
use super::summary::Summary;
use super::topics::Topics;
use super::{Order, ShardInbox};
use crate::clock::Clock;
use crate::filter::Subscription;
use crate::journal::{self, Ended, Journal, JournalError, JournalOptions};
use crate::options::{Options, TopicOptions};
use crate::topic::Topic;
use crate::tuning::OrderTuning;

/// Events and topics that are forgotten at a time.
const AGE_STEPS: usize = 4096;

impl Order {
    /// Opens the journal in a folder, and begins a new life with what it has.
    pub(crate) fn restored(
        inboxes: Box<[Arc<ShardInbox>]>,
        options: &Options,
        tuning: OrderTuning,
        folder: &Path,
    ) -> Result<Order, JournalError> {
        let mut opened = Journal::open(folder, journal_options(options))?;
        let summary = match opened.summary()? {
            Some(bytes) => Summary::read(&bytes).map_err(|error| opened.malformed(error.0))?,
            None => Summary::default(),
        };
        let mut restoring = Restoring::new(options, &tuning, summary);
        let mut malformed = None;
        opened.read(|number, payload| {
            if malformed.is_none() {
                malformed = restoring.read(number, payload).err();
            }
        })?;
        if let Some(Malformed(what)) = malformed {
            return Err(opened.malformed(what));
        }
        let mut order = restoring.end(inboxes, options, tuning, opened.lives(), opened.next());
        order.journal = Some(opened.begin(order.epoch())?);
        order.write_times();
        Ok(order)
    }

    /// Begins a life whose first number this is.
    pub(super) fn begin_life(&mut self, lives: Lives, first: u64) {
        *self.sequence.get_mut() = first - 1;
        let locked = self.locked.get_mut().unwrap_or_else(PoisonError::into_inner);
        locked.lives = lives;
        // What earlier lives have published is not counted.
        locked.marks = first - 1;
        locked.newest_ns = self.clock.now_ns();
        self.has_history.store(locked.topics.has_history(), Ordering::Relaxed);
        let finished = locked.topics.finished.len() as u64;
        *self.finished_topics.get_mut() = finished;
    }
}

/// The options of a hub's journal.
pub(super) fn journal_options(options: &Options) -> JournalOptions {
    JournalOptions {
        durability: options.durability,
        interval: options.sync_interval,
        queue_bytes_max: options.journal_backlog_bytes_max,
        ..JournalOptions::default()
    }
}

/// The time of the new life's beginning on the hub's clock.
fn now_ns(times: Option<Times>, newest_ns: u64) -> u64 {
    // The time of day may have been set back.
    let passed = |times: Times| times.at_ns.saturating_add(unix_ns().saturating_sub(times.unix_ns));
    times.map_or(newest_ns, passed).max(newest_ns)
}

/// What an order has to know of a life that the journal has records of.
fn earlier(life: &journal::Life) -> Life {
    let lost_to = match life.ended {
        Ended::Clean => None,
        Ended::Killed { head } => Some(head).filter(|&head| head > life.last),
        Ended::Unknown => Some(life.last),
    };
    Life { epoch: life.epoch, last: life.last, lost_to }
}

/// What is known of forgotten events.
enum Known {
    Topic(Topic, ForgottenOfTopic),
    List(Arc<[Topic]>, Forgotten),
}

/// An order on the way.
pub(super) struct Restoring {
    topics: Topics,
    rules: Arc<Rules>,
    /// Up to which number the rules are those of the summary.
    rules_to: u64,
    times: Option<Times>,
    /// What the summary says was forgotten, with the number of the newest event of that: the oldest of these
    /// last.
    forgotten: Vec<(u64, Known)>,
    /// Up to which number their events are forgotten.
    forgotten_to: HashMap<Topic, u64>,
    /// The topics that are tracked because the summary names them.
    held: Vec<u32>,
    newest_ns: u64,
}

impl Restoring {
    pub(super) fn new(options: &Options, tuning: &OrderTuning, summary: Summary) -> Restoring {
        let rules = Arc::new(Rules::new(options));
        let mut topics = Topics::new(options, rules.clone(), tuning, Clock::start());
        let Summary { times, rules: kept_rules, rules_to, others_to, lists_to, .. } = summary;
        topics.gone.restore_others(others_to);
        topics.lists.restore_dropped(lists_to);
        topics.totals.forget(0, others_to.max(lists_to));
        let to = summary.topics.iter().map(|(name, known)| (name.clone(), known.to()));
        let forgotten_to = to.collect();
        let of_topics = summary.topics.into_iter();
        let of_topics = of_topics.map(|(name, known)| (known.own.to, Known::Topic(name, known)));
        let of_lists = summary.lists.into_iter();
        let of_lists = of_lists.map(|(names, gone)| (gone.to, Known::List(names, gone)));
        let mut forgotten: Vec<(u64, Known)> = of_topics.chain(of_lists).collect();
        forgotten.sort_by_key(|(to, _)| std::cmp::Reverse(*to));
        let mut restoring = Restoring {
            topics,
            rules,
            rules_to,
            times,
            forgotten_to,
            forgotten,
            held: Vec::new(),
            newest_ns: 0,
        };
        for (subscription, options) in kept_rules {
            restoring.set_rule(&subscription, Some(options));
        }
        restoring
    }

    /// Goes on with the next item.
    pub(super) fn read(&mut self, number: u64, payload: &[u8]) -> Result<(), Malformed> {
        let item = ReadItem::read(payload)?;
        self.go_to(number);
        match item {
            ReadItem::Event(event) => self.keep(number, &event),
            ReadItem::Passed { topics, at_ns } => {
                let event = ReadEvent { at_ns, topics, custom_id: None, key: None, plain: &[] };
                self.keep(number, &event);
                self.forget(number, &event.topics);
            }
            ReadItem::Finished { topic, at_ns } => {
                self.newest_ns = self.newest_ns.max(at_ns);
                if number > self.forgotten_to(&topic) {
                    let index = self.open(&topic);
                    self.topics.finish(index, number, at_ns);
                }
            }
            ReadItem::Rule { subscription, options } => {
                if number > self.rules_to {
                    self.set_rule(&subscription, options);
                }
            }
            ReadItem::Time(times) => {
                self.newest_ns = self.newest_ns.max(times.at_ns);
                let newest = self.times.map_or(0, |known| known.at_ns);
                self.times = if times.at_ns >= newest { Some(times) } else { self.times };
            }
        }
        Ok(())
    }

    /// The order, in a new life, when all items were read.
    pub(super) fn end(
        self,
        inboxes: Box<[Arc<ShardInbox>]>,
        options: &Options,
        tuning: OrderTuning,
        lives: &[journal::Life],
        first: u64,
    ) -> Order {
        let now_ns = now_ns(self.times, self.newest_ns);
        let mut order = self.end_at(now_ns, inboxes, options, tuning);
        order.begin_life(Lives::new(lives.iter().map(earlier).collect()), first);
        order
    }

    /// The same in a life that is yet to begin, at a time of the hub's clock.
    pub(super) fn end_at(
        mut self,
        now_ns: u64,
        inboxes: Box<[Arc<ShardInbox>]>,
        options: &Options,
        tuning: OrderTuning,
    ) -> Order {
        self.go_to(u64::MAX);
        let clock = Clock::going_on(now_ns);
        let mut topics = self.topics;
        topics.watchers.set_clock(clock.clone());
        self.held.into_iter().for_each(|index| topics.release(index));
        while !topics.forget_old(clock.now_ns(), AGE_STEPS) {}
        topics.forgotten = None;
        Order::of(inboxes, options, tuning, clock, topics, self.rules)
    }

    /// Has the topics tracked of which events up to this number were forgotten.
    fn go_to(&mut self, number: u64) {
        while self.forgotten.last().is_some_and(|(to, _)| *to < number) {
            match self.forgotten.pop() {
                Some((_, Known::Topic(topic, known))) => {
                    let index = self.topics.find_or_create(&topic);
                    self.topics.restore_forgotten(index, known);
                    self.held.push(index);
                }
                Some((_, Known::List(topics, gone))) => self.topics.restore_list(&topics, gone),
                None => {}
            }
        }
    }

    fn forgotten_to(&self, topic: &Topic) -> u64 {
        self.forgotten_to.get(topic).copied().unwrap_or(0)
    }

    fn keep(&mut self, number: u64, event: &ReadEvent<'_>) {
        self.newest_ns = self.newest_ns.max(event.at_ns);
        match &event.topics[..] {
            [only] if number > self.forgotten_to(only) => {
                let index = self.open(only);
                self.topics.keep(index, Kept::new(event.frame(number, None)));
                self.forget_excess(index);
            }
            [_] => {}
            several => self.keep_shared(number, event, several),
        }
    }

    /// Keeps an event of several topics in those that did not forget it.
    #[cold]
    fn keep_shared(&mut self, number: u64, event: &ReadEvent<'_>, names: &[Topic]) {
        let keeps = |name: &Topic| number > self.forgotten_to(name);
        let keeping: Vec<bool> = names.iter().map(keeps).collect();
        if !keeping.contains(&true) || !self.topics.keeps_events() {
            return;
        }
        let found: Box<[u32]> = names.iter().map(|name| self.open(name)).collect();
        let indices = found.iter().zip(keeping).filter(|(_, keeps)| *keeps);
        let indices: Vec<u32> = indices.map(|(&index, _)| index).collect();
        let list = self.topics.lists.publish(&names.into(), found, number);
        let topics = self.topics.lists.get(list).map(|list| list.topics().clone());
        let frame = event.frame(number, topics.map(|topics| (list, topics)));
        self.topics.keep_shared(&indices, Some(list), &frame);
        self.forget_excess(indices[0]);
    }

    /// Forgets what these topics have up to a number.
    fn forget(&mut self, number: u64, names: &[Topic]) {
        for name in names {
            let Some(index) = self.topics.find(name) else { continue };
            while self.topics.entry(index).history.oldest().is_some_and(|oldest| oldest <= number) {
                self.topics.forget_oldest(index);
            }
            self.topics.await_expiry(index);
            self.topics.make_idle(index);
        }
    }

    /// The index of a topic that is open: one that was finished was forgotten before this.
    fn open(&mut self, topic: &Topic) -> u32 {
        while let Some(index) = self.topics.find_finished(topic) {
            _ = self.topics.forget_finished(index);
        }
        self.topics.find_or_create(topic)
    }

    fn forget_excess(&mut self, newest: u32) {
        self.topics.forget_excess(newest);
        self.topics.forgotten = None;
    }

    fn set_rule(&mut self, subscription: &Subscription, options: Option<TopicOptions>) {
        let changed = match options {
            Some(options) => self.rules.with(subscription, options).ok(),
            None => self.rules.without(subscription),
        };
        // One that the options of this life do not allow is left out.
        let Some(rules) = changed.map(Arc::new) else { return };
        self.rules = rules.clone();
        self.topics.set_rules(rules);
        let mut done = None;
        while !self.topics.apply_rules(subscription, &mut done) {}
    }
}
