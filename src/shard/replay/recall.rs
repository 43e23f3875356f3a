//! What a client lacks that the node's memory does not keep, but its cluster's stream has: the cluster is asked for
//! it, part by part, until memory has what follows. Meanwhile the client replays, and waits.
//!
//! ```text
//!   had  |  the stream's  |  the stream's  | kept here | the audience's queue
//!        `- asked          `- asked again   `- searched anew, as if the client had come with this id
//! ```
//!
//! What the stream does not have either is told, as it would be without a cluster. Where that ends, and something
//! that is kept here is from before, this is sent first.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::cluster::{Asker, Recalled, RecalledEvents};
use crate::gap::{Gap, GapReason};
use crate::id::EventId;
use crate::order::{Cursor, Lack};
use crate::resume::{Resume, StartAt};
use crate::shard::connection::pending::{Pending, Progress};
use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::replay::state::{Recalling, Stage};
use crate::shard::{Shard, Shared, Told};

/// After which time without an answer none will come: the cluster's thread says much earlier that the server has not
/// answered.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(300);

/// The way of the cluster's answers to a shard.
struct ToShard {
    shared: Weak<Shared>,
    id: usize,
}

impl Asker for ToShard {
    fn answer(&self, key: u64, recalled: Recalled) {
        if let (Some(shared), Some(key)) = (self.shared.upgrade(), Key::from_u64(key)) {
            // Without a shard there is no connection.
            _ = shared.links[self.id].tell(Told::Recalled(key, Box::new(recalled)));
        }
    }
}

impl Shared {
    /// Whether the cluster's stream may be asked for what is not kept here.
    pub(in crate::shard) fn can_recall(&self) -> bool {
        self.options.history_events_max > 0
            && self.cluster.as_ref().is_some_and(|cluster| !cluster.is_given_up())
    }
}

impl Shard {
    /// Asks for what a client lacks.
    pub(in crate::shard) fn ask_stream(&mut self, index: u32) -> Progress {
        let now_ms = self.now_ms();
        let (key, shared) = (self.connections.key_at(index), self.shared.clone());
        let State::Replaying(replaying) = &mut self.connections[index].state else {
            return Progress::Blocked;
        };
        let Stage::Recalling(recalling) = &mut replaying.stage else { return Progress::Blocked };
        (recalling.is_asked, replaying.since_ms) = (true, now_ms);
        let (audience, after) = (replaying.audience, recalling.lack.after);
        let recall = self.gatherer(audience).recall(after);
        let asker = Arc::new(ToShard { shared: Arc::downgrade(&shared), id: self.id });
        let cluster = shared.cluster.as_ref();
        match cluster.is_some_and(|cluster| cluster.recall(recall, asker, key.to_u64())) {
            true => Progress::Blocked,
            false => Progress::TooMany,
        }
    }

    /// Goes on with a client that has waited for the cluster, if it is still there.
    pub(in crate::shard) fn take_recalled(&mut self, key: Key, recalled: Recalled) {
        let now_ms = self.now_ms();
        let Some(connection) = self.connections.get_mut(key) else { return };
        let State::Replaying(replaying) = &mut connection.state else { return };
        let Stage::Recalling(recalling) = &mut replaying.stage else { return };
        if !recalling.is_asked {
            return;
        }
        replaying.since_ms = now_ms;
        let (audience, gap_start) = (replaying.audience, recalling.gap_start);
        let Lack { after, to: lacks_to } = recalling.lack;
        let found = recalling.found.take();
        let (stage, pending) = match recalled {
            Recalled::Events(events) => {
                let to = events.to;
                if events.is_end {
                    replaying.rounds_left = replaying.rounds_left.saturating_sub(1);
                }
                let stage = match to < lacks_to && !events.is_end {
                    true => {
                        let lack = Lack { after: to, to: lacks_to };
                        let (found, is_asked) = (None, false);
                        Stage::Recalling(Box::new(Recalling { lack, found, gap_start, is_asked }))
                    }
                    false => self.search_from(to, gap_start),
                };
                (stage, self.recalled_block(key, audience, after, events))
            }
            Recalled::Gone { to } if to < lacks_to && gap_start.is_none() => {
                let (id, to_id) = (self.shared.order.id_of(after), self.shared.order.id_of(to));
                let from = found.and_then(|(_, gap)| gap?.0.from).unwrap_or_else(|| id.to_string());
                let (from, reason) = (Some(from), GapReason::Expired);
                let gap = Gap { from, to: to_id, reason, missed: None };
                // What is kept up to there comes first, and nothing more is told of what is not.
                let gap_told_to = u64::MAX;
                let begins = Cursor { after, until: to, gap_told_to, ..Cursor::default() };
                (Stage::At(begins), Some(self.told_gap(audience, (gap, id))))
            }
            Recalled::Unanswered if self.shared.can_recall() => {
                return self.have_come_again(key.index)
            }
            Recalled::Gone { .. } | Recalled::Unanswered | Recalled::Refused => match found {
                Some((cursor, gap)) => {
                    (Stage::At(cursor), gap.map(|gap| self.told_gap(audience, gap)))
                }
                None => {
                    replaying.rounds_left = 0;
                    (self.search_from(after, gap_start), None)
                }
            },
        };
        if let State::Replaying(replaying) = &mut self.connections[key.index].state {
            (replaying.stage, replaying.pending) = (stage, pending);
        }
        self.resume(key);
    }

    /// Tells a client to come again, since what it lacks cannot be found now.
    pub(in crate::shard) fn have_come_again(&mut self, index: u32) {
        _ = self.say_farewell(index, self.shared.options.retry / 2);
        self.disconnect(index, crate::metrics::DisconnectReason::Kicked);
    }

    /// Whether a client has waited for an answer that will not come.
    pub(in crate::shard) fn is_unanswered(&self, since_ms: u32) -> bool {
        u128::from(self.now_ms().wrapping_sub(since_ms)) > ANSWER_TIME_MAX.as_millis()
    }

    /// How the replay of a client goes on that has all up to a number.
    fn search_from(&self, number: u64, gap_start: Option<StartAt>) -> Stage {
        let order = &self.shared.order;
        let id: Box<str> = order.id_of(number).to_string().into();
        let resume = match gap_start {
            Some(start) => Resume::AfterOr(id, start),
            None => Resume::After(id),
        };
        Stage::Searching(order.begin_search(resume, order.moment()))
    }

    fn told_gap(&mut self, audience: u32, gap: (Gap, EventId)) -> Pending {
        Pending::new(&self.gatherer(audience).gap_block(gap), 0)
    }

    /// Events of the stream, behind a gap if some are not to be sent. Where there are none the client is
    /// told the id up to which there are none, as by a heartbeat.
    fn recalled_block(
        &mut self,
        key: Key,
        audience: u32,
        after: u64,
        events: RecalledEvents,
    ) -> Option<Pending> {
        let RecalledEvents { bytes, count, to, withheld, .. } = events;
        let order = &self.shared.order;
        let had = order.id_of(after);
        let gap = withheld.map(|(missed, last)| {
            let (from, to) = (Some(had.to_string()), order.id_of(last));
            (Gap { from, to, reason: GapReason::Expired, missed: Some(missed) }, had)
        });
        if gap.is_none() && count == 0 {
            let form = self.record(key.index).heartbeat_form;
            let block = self.first_block(audience, form, to)?;
            return Some(Pending::new(&block, 0));
        }
        Some(self.gatherer(audience).recalled(gap, bytes, count))
    }
}
