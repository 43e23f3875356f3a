//! What publishers and shards share, without a lock, of an event on its way and of its topic.
//!
//! The backlog is counted by reference. A [`Published`] event adds its bytes to its topic's backlog
//! and to the hub's until every audience has sent it to its members that keep up: each audience
//! holds a reference until then, and dropping the last reference removes the bytes. So a flood on
//! one topic fills that topic's backlog, and neither refuses nor delays the publisher of another.
//!
//! A topic's *interest* tells, for each shard, which of the shard's routes its events take:
//!
//! ```text
//!   shard       0           1          2
//!   "a/b"    route 17    matched     none
//! ```

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::backlog::Backlog;
use crate::envelope::Envelope;
use crate::frame::Frame;
use crate::topic::Topic;

/// About what the engine keeps with an event besides its bytes. It counts for the hub's backlog,
/// for lag and for history, so that many small events do not take more memory than few large ones.
pub(crate) const EVENT_BYTES: usize = 256;

/// A frame on its way to the audiences of its topic.
pub(crate) struct Published {
    pub(crate) frame: Frame,
    /// The event in a JSON envelope, from when the first audience needs it. It goes with the last
    /// reference: history does not keep it.
    json: OnceLock<Frame>,
    pub(crate) topic: Arc<TopicState>,
    hub_backlog: Arc<Backlog>,
    /// What the last reference removes from the topic's backlog.
    backlog_bytes: usize,
    /// How often the last reference removes [`EVENT_BYTES`] from the hub's backlog: once for an
    /// event, and more for one whose topics have long names ([`units_of`]).
    units: usize,
    /// What few events have.
    pub(crate) extra: Option<Box<Extra>>,
}

/// What is special about an event, or about a mark, which is no event.
#[derive(Default)]
pub(crate) struct Extra {
    /// The event's other topics. Each has the event's bytes in its backlog.
    pub(crate) others: Box<[Arc<TopicState>]>,
    /// Whether this is a mark that says that the topic is complete: it has no bytes, and a number
    /// of its own.
    pub(crate) finishes: bool,
    /// Where the topic was complete and is open again: the number that this has taken in the order.
    /// It is with the first event, or mark, that came to shards since.
    pub(crate) reopens: Option<u64>,
    /// For an event that its clients are sent spread over a time.
    pub(crate) spread: Option<Spread>,
}

/// Over which time an event is spread, and its bytes in the backlogs of such events: it waits on
/// purpose, so that it must not fill the backlogs of the others. Dropping this removes the bytes.
pub(crate) struct Spread {
    pub(crate) window_ns: u64,
    /// The topics of the event.
    topics: Box<[Arc<TopicState>]>,
    hub_backlog: Arc<Backlog>,
    /// What is counted for each of these topics, and for the hub.
    bytes: usize,
    hub_bytes: usize,
}

/// What publishers, shards and history share of a topic.
pub(crate) struct TopicState {
    pub(crate) name: Topic,
    /// For each shard the key of its route for the topic, or [`NO_INTEREST`], or [`MATCHED`].
    /// Written under the hub's lock: by the shard itself, and when a filter is found to match.
    interest: Box<[AtomicU32]>,
    /// Whether any of its events had an id that the publisher gave.
    custom_ids: AtomicBool,
    /// Whether the hub has removed it; another topic may have its name by then.
    gone: AtomicBool,
    /// The number of the mark that says that it is complete; zero while it is not. Written under
    /// the hub's lock, before the mark's number is the hub's newest.
    finished_at: AtomicU64,
    pub(super) backlog: Backlog,
    /// For events that are spread over a time; most topics never have one.
    spread_backlog: OnceLock<Box<Backlog>>,
}

/// What a shard does with the events of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    None,
    /// A filter of the shard matches the topic. The shard has yet to find out which, and has no
    /// route for the topic.
    Matched,
    /// The shard's own key of its route for the topic.
    Key(u32),
}

const NO_INTEREST: u32 = u32::MAX;
const MATCHED: u32 = u32::MAX - 1;

impl Published {
    /// Adds the bytes of an event to its topic's backlog, and to the hub's.
    pub(super) fn new(
        frame: Frame,
        topic: Arc<TopicState>,
        hub_backlog: Arc<Backlog>,
        backlog_bytes: usize,
    ) -> Published {
        topic.backlog.add(backlog_bytes);
        hub_backlog.add(backlog_bytes + EVENT_BYTES);
        let json = OnceLock::new();
        Published { frame, json, topic, hub_backlog, backlog_bytes, units: 1, extra: None }
    }

    /// Adds the bytes of an event to the backlog of each of its topics, of which there is at least
    /// one, and once to the hub's.
    pub(super) fn of_several(
        frame: Frame,
        topics: Box<[Arc<TopicState>]>,
        hub_backlog: Arc<Backlog>,
        backlog_bytes: usize,
    ) -> Published {
        let (first, others) = split_topics(&topics);
        others.iter().for_each(|topic| topic.backlog.add(backlog_bytes));
        let units = units_of(&frame);
        let mut published = Published::new(frame, first, hub_backlog, backlog_bytes);
        published.hub_backlog.add((units - 1) * EVENT_BYTES);
        published.units = units;
        if !others.is_empty() {
            published.extra = Some(Box::new(Extra { others, ..Extra::default() }));
        }
        published
    }

    /// A mark that says that a topic is complete.
    pub(super) fn end_of(
        topic: Arc<TopicState>,
        hub_backlog: Arc<Backlog>,
        sequence: u64,
        at_ns: u64,
    ) -> Published {
        let (frame, extra) =
            (Frame::mark(sequence, at_ns), Extra { finishes: true, ..Extra::default() });
        let extra = Some(Box::new(extra));
        let json = OnceLock::new();
        Published { frame, json, topic, hub_backlog, backlog_bytes: 0, units: 0, extra }
    }

    /// Notes that the topic was complete before, and is open again since a number; zero if not.
    pub(super) fn reopens(&mut self, sequence: u64) {
        if sequence > 0 {
            let extra = self.extra.get_or_insert_default();
            extra.reopens = extra.reopens.max(Some(sequence));
        }
    }

    /// An event that is spread over a time, of topics of which there is at least one: its bytes are
    /// in the backlogs of such events alone.
    pub(super) fn spread(
        frame: Frame,
        topics: Box<[Arc<TopicState>]>,
        hub_backlogs: (Arc<Backlog>, Arc<Backlog>),
        window_ns: u64,
        bytes: usize,
    ) -> Published {
        let (hub_backlog, spread_backlog) = hub_backlogs;
        topics.iter().for_each(|topic| topic.spread_backlog().add(bytes));
        let hub_bytes = bytes + units_of(&frame) * EVENT_BYTES;
        spread_backlog.add(hub_bytes);
        let (topic, others) = split_topics(&topics);
        let spread =
            Some(Spread { window_ns, topics, hub_backlog: spread_backlog, bytes, hub_bytes });
        let extra = Some(Box::new(Extra { others, spread, ..Extra::default() }));
        let json = OnceLock::new();
        Published { frame, json, topic, hub_backlog, backlog_bytes: 0, units: 0, extra }
    }

    /// Its topics that a shard may want.
    pub(super) fn topics(&self) -> impl Iterator<Item = &Arc<TopicState>> {
        let others = self.extra.iter().flat_map(|extra| extra.others.iter());
        std::iter::once(&self.topic).chain(others)
    }

    /// Its sequence number.
    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        self.frame.sequence()
    }

    /// The event in an envelope: all audiences that need it, of all shards, share it.
    #[inline]
    pub(crate) fn frame_in(&self, envelope: Envelope) -> &Frame {
        match envelope {
            Envelope::None => &self.frame,
            Envelope::Json => self.in_json(),
        }
    }

    /// Out of the way of those that need no envelope.
    #[inline(never)]
    fn in_json(&self) -> &Frame {
        self.json.get_or_init(|| self.frame.in_json(&self.topic.name))
    }

    /// Drops the references to events that an audience has sent, or never will. The bytes of
    /// successive events of the same topics are removed from the backlog at once: a publisher that
    /// were notified after the first of them would find little space, fill it, and wait through the
    /// others.
    pub(crate) fn release(events: impl Iterator<Item = Arc<Published>>) {
        let mut run: Option<Published> = None;
        // An event that has other references is released by the last of them.
        for mut event in events.filter_map(Arc::into_inner) {
            match &mut run {
                Some(run) if run.has_topics_of(&event) => {
                    run.backlog_bytes += std::mem::take(&mut event.backlog_bytes);
                    run.units += std::mem::take(&mut event.units);
                }
                _ => run = Some(event),
            }
        }
    }
}

impl Published {
    #[inline]
    fn has_topics_of(&self, other: &Published) -> bool {
        let same_others = match (&self.extra, &other.extra) {
            (None, None) => true,
            (Some(extra), Some(others)) => {
                let (these, those) = (&extra.others, &others.others);
                these.len() == those.len()
                    && these.iter().zip(those).all(|(this, that)| Arc::ptr_eq(this, that))
            }
            _ => false,
        };
        same_others && Arc::ptr_eq(&self.topic, &other.topic)
    }
}

/// How often [`EVENT_BYTES`] counts for an event: the names of its topics, if these are several,
/// are kept with it, and are in its envelope.
fn units_of(frame: &Frame) -> usize {
    let topics = frame.topics().into_iter().flat_map(|topics| topics.iter());
    1 + topics.map(|topic| topic.as_str().len()).sum::<usize>() / EVENT_BYTES
}

/// The first of an event's topics, and the others.
fn split_topics(topics: &[Arc<TopicState>]) -> (Arc<TopicState>, Box<[Arc<TopicState>]>) {
    let (first, others) = topics.split_first().expect("an event that is put has a topic");
    (first.clone(), others.into())
}

impl Drop for Published {
    fn drop(&mut self) {
        if self.units > 0 {
            self.topic.backlog.remove(self.backlog_bytes);
            if let Some(extra) = &self.extra {
                extra.others.iter().for_each(|topic| topic.backlog.remove(self.backlog_bytes));
            }
            self.hub_backlog.remove(self.backlog_bytes + self.units * EVENT_BYTES);
        }
    }
}

impl Drop for Spread {
    fn drop(&mut self) {
        self.topics.iter().for_each(|topic| topic.spread_backlog().remove(self.bytes));
        self.hub_backlog.remove(self.hub_bytes);
    }
}

impl TopicState {
    /// A topic in which no shard is known to be interested.
    pub(super) fn new(name: Topic, shards: usize, backlog_bytes_max: usize) -> TopicState {
        let none = || AtomicU32::new(NO_INTEREST);
        TopicState {
            name,
            interest: std::iter::repeat_with(none).take(shards).collect(),
            custom_ids: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            finished_at: AtomicU64::new(0),
            backlog: Backlog::new(backlog_bytes_max),
            spread_backlog: OnceLock::new(),
        }
    }

    /// What of its events waits to be sent spread over a time; it has the bound of the other
    /// backlog.
    pub(super) fn spread_backlog(&self) -> &Backlog {
        self.spread_backlog.get_or_init(|| Box::new(Backlog::new(self.backlog.bytes_max())))
    }

    /// Wakes the publishers that wait for space.
    pub(super) fn notify_all(&self) {
        self.backlog.notify_all();
        self.spread_backlog.get().inspect(|backlog| backlog.notify_all());
    }

    #[inline]
    pub(crate) fn interest_of(&self, shard: usize) -> Interest {
        match self.interest[shard].load(Ordering::Relaxed) {
            NO_INTEREST => Interest::None,
            MATCHED => Interest::Matched,
            route => Interest::Key(route),
        }
    }

    pub(super) fn set_interest(&self, shard: usize, interest: Interest) {
        let interest = match interest {
            Interest::None => NO_INTEREST,
            Interest::Matched => MATCHED,
            Interest::Key(route) => route,
        };
        self.interest[shard].store(interest, Ordering::Relaxed);
    }

    /// Notes for each shard that has no route for the topic whether a filter of it matches.
    ///
    /// A shard reads its interest without the lock when it takes an event that was put into its
    /// inbox because of that interest: so an interest that stays the same is not written.
    pub(super) fn set_matched(&self, matched: impl IntoIterator<Item = bool>) {
        for (interest, matched) in self.interest.iter().zip(matched) {
            let (from, to) = match matched {
                true => (NO_INTEREST, MATCHED),
                false => (MATCHED, NO_INTEREST),
            };
            let _ = interest.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// For each shard, in their order, whether it is known to want the topic.
    pub(super) fn wanted_by(&self) -> impl Iterator<Item = bool> + '_ {
        self.interest.iter().map(|interest| interest.load(Ordering::Relaxed) != NO_INTEREST)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted_by().any(|wanted| wanted)
    }

    /// Notes that the hub has removed the topic.
    pub(super) fn note_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether the hub has removed the topic. Everything that was published to it is in the inboxes
    /// by then.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Notes that the topic is complete with the mark of a number, or with zero, that it is not.
    pub(super) fn set_finished_at(&self, sequence: u64) {
        self.finished_at.store(sequence, Ordering::Release);
    }

    /// The number of the mark that says that the topic is complete. A shard that has read the hub's
    /// newest number before knows each mark up to that number.
    pub(crate) fn finished_at(&self) -> Option<u64> {
        Some(self.finished_at.load(Ordering::Acquire)).filter(|&sequence| sequence > 0)
    }

    /// Notes that an event has an id that its publisher gave.
    pub(super) fn note_custom_id(&self) {
        self.custom_ids.store(true, Ordering::Relaxed);
    }

    /// Whether any of its events had an id that the publisher gave.
    pub(crate) fn has_custom_ids(&self) -> bool {
        self.custom_ids.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::frame::Draft;
    use crate::id::Epoch;

    #[test]
    fn an_envelope_is_made_when_it_is_needed_and_once() {
        let topic = Arc::new(TopicState::new(Topic::new("a").unwrap(), 1, 1_000));
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let (bytes, frame) = (draft.len(), draft.stamp(Epoch::random(), 1, 0));
        let published = Published::new(frame, topic, Arc::new(Backlog::new(1_000)), bytes);
        let without = published.frame_in(Envelope::None).address();
        assert!(published.json.get().is_none(), "nobody needs it");
        assert_eq!(without, published.frame.address());
        let within = published.frame_in(Envelope::Json).address();
        assert_ne!(within, without);
        assert_eq!(published.frame_in(Envelope::Json).address(), within);
    }
}
