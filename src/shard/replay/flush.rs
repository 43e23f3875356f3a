//! How a client is sent what it has missed, part by part, and becomes a laggard with the last.

use crate::frame::StreamId;
use crate::order::Order;
use crate::resume::Resume;
use crate::shard::connection::membership::Membership;
use crate::shard::connection::pending::{Pending, Progress, FLUSH_BYTES_MAX};
use crate::shard::connection::record::Record;
use crate::shard::connection::{Outlet, State};
use crate::shard::lagging::state::{Begun, Lagging};
use crate::shard::replay::gather::Gatherer;
use crate::shard::replay::state::{Recalling, Replaying, Stage};
use crate::shard::{Shard, Shared};

/// A client that replays, with all that its steps need of the shard.
struct Replay<'a> {
    shared: &'a Shared,
    state: &'a mut Replaying,
    sink: Outlet<'a>,
    record: &'a mut Record,
    gatherer: Gatherer<'a>,
}

/// What a step has come to.
enum Step {
    /// This number of bytes was sent, perhaps none; the replay goes on.
    Sent(usize),
    /// The replay goes on in another turn.
    Stopped(Progress),
    /// Nothing is missed any more but these bytes, up to a number.
    End { pending: Option<Pending>, number: u64 },
    /// The cluster is to be asked for what it lacks.
    Ask,
}

impl Shard {
    /// Sends a client more of what it has missed. With the last of it the client is a laggard, and
    /// goes on as such.
    pub(in crate::shard) fn flush_replay(&mut self, index: u32) -> Progress {
        let (mut budget, now_ms) = (FLUSH_BYTES_MAX, self.now_ms());
        while budget > 0 {
            let State::Replaying(replaying) = &self.connections[index].state else {
                return Progress::Blocked;
            };
            // Only what is found next depends on it.
            let number = match replaying.pending {
                Some(_) => self.taken_to,
                None => self.take_all(),
            };
            let Some(mut replay) = self.replay(index) else { return Progress::Blocked };
            match replay.step(number, now_ms) {
                Step::Sent(bytes) => budget = budget.saturating_sub(bytes),
                Step::Stopped(progress) => return progress,
                Step::Ask => return self.ask_stream(index),
                Step::End { pending, number } => {
                    // What was published while the part was gathered is in the queue, behind its
                    // end.
                    self.take_inbox();
                    self.end_replay(index, pending, number);
                    return self.flush_laggard(index);
                }
            }
        }
        Progress::Unfinished
    }

    /// The client at an index, if it replays, with what it needs of the shard.
    fn replay(&mut self, index: u32) -> Option<Replay<'_>> {
        let (sink, state, record) = self.connections.parts_mut(index);
        let State::Replaying(state) = state else { return None };
        let gatherer = Gatherer::new(
            state.audience,
            &self.audiences,
            &mut self.parts,
            (&self.shared, self.id),
            &mut self.scratch.gathered,
        );
        Some(Replay { shared: &self.shared, state, sink, record, gatherer })
    }

    /// The seam: makes a laggard of a client that has missed nothing any more but what it is sent
    /// next, at the position of its audience's queue behind a number.
    fn end_replay(&mut self, index: u32, pending: Option<Pending>, number: u64) {
        let State::Replaying(replaying) = &self.connections[index].state else {
            return debug_assert!(false, "only a replay ends");
        };
        let (audience, since_ms) = (replaying.audience, replaying.since_ms);
        let sent = self.sent_to(index);
        // A stream that begins with no event begins with an id.
        let pending = pending.or_else(|| {
            let form = self.record(index).heartbeat_form;
            let first = self.first_block(audience, form, number);
            first.map(|block| Pending::new(&block, 0))
        });
        let position = self.audiences[audience].queue.position_after(number);
        let last = self.last_id_before(index, audience, position);
        self.leave_replaying(audience);
        let membership = Membership { audience, slot: 0, quiet_since_ms: self.now_ms() };
        let begun = pending.map_or(Begun::Nothing, Begun::Pending);
        let last = last.or(Some(StreamId::Hub(number)));
        self.add_laggard(index, Lagging::new(membership, position, begun, last, since_ms));
        self.begin_count(index, sent);
    }

    /// An audience has one replaying connection less.
    pub(in crate::shard) fn leave_replaying(&mut self, audience: u32) {
        self.audiences[audience].replaying -= 1;
        self.link().counters.replaying_connections.sub(1);
    }
}

/// The search of a client that has all up to a number.
fn search_anew(order: &Order, number: u64) -> Stage {
    let resume = Resume::After(order.id_of(number).to_string().into());
    Stage::Searching(order.begin_search(resume, order.moment()))
}

impl Replay<'_> {
    /// Sends what was found, or else finds more. The shard has taken everything up to `number`.
    fn step(&mut self, number: u64, now_ms: u32) -> Step {
        if let Some(pending) = &mut self.state.pending {
            let sent = match self.sink.send(pending.rest()) {
                Ok(sent) => sent,
                Err(error) => return Step::Stopped(Progress::of(error)),
            };
            self.state.since_ms = now_ms;
            let Some(events) = pending.advance(sent) else {
                return Step::Stopped(Progress::Blocked);
            };
            self.state.pending = None;
            self.record.count_sent(events);
            return Step::Sent(sent);
        }
        match &mut self.state.stage {
            Stage::Searching(search) => {
                let Some(found) = self.gatherer.search(search) else {
                    return Step::Stopped(Progress::Unfinished);
                };
                let may_lack = self.state.rounds_left > 0 && self.shared.can_recall();
                if let Some(recalling) = may_lack.then(|| Recalling::of(search, &found)).flatten() {
                    self.state.stage = Stage::Recalling(recalling);
                    return Step::Sent(0);
                }
                let (cursor, gap) = found;
                let gap = gap.map(|gap| Pending::new(&self.gatherer.gap_block(gap), 0));
                (self.state.stage, self.state.pending) = (Stage::At(cursor), gap);
                Step::Sent(0)
            }
            Stage::Recalling(recalling) if recalling.is_asked => Step::Stopped(Progress::Blocked),
            Stage::Recalling(_) => Step::Ask,
            Stage::At(cursor) if cursor.until > 0 && cursor.after >= cursor.until => {
                self.state.stage = search_anew(&self.shared.order, cursor.after);
                Step::Sent(0)
            }
            Stage::At(cursor) => {
                let may_lack = self.state.rounds_left > 0 && self.shared.can_recall();
                let gathered = self.gatherer.next_part(*cursor, number, may_lack);
                let Some(gathered) = gathered else {
                    return Step::Stopped(Progress::Unfinished);
                };
                if gathered.lacks {
                    self.state.rounds_left -= 1;
                    self.state.stage = search_anew(&self.shared.order, cursor.after);
                    return Step::Sent(0);
                }
                if gathered.is_all {
                    return Step::End { pending: gathered.pending, number: gathered.cursor.after };
                }
                *cursor = gathered.cursor;
                self.state.pending = gathered.pending;
                match self.state.pending {
                    Some(_) => Step::Sent(0),
                    None => Step::Stopped(Progress::Unfinished),
                }
            }
        }
    }
}
