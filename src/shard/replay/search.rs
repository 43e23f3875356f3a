//! How a stream begins that wants something of the past: the cursor is searched at which it begins.

use crate::order::Moment;
use crate::resume::Resume;
use crate::shard::connection::member::welcome;
use crate::shard::connection::pending::Pending;
use crate::shard::connection::sent::Sent;
use crate::shard::connection::State;
use crate::shard::replay::gather::Gatherer;
use crate::shard::replay::state::{Recalling, Replaying, Stage, ROUNDS_MAX};
use crate::shard::{Shard, StreamRequest};

impl Shard {
    /// Begins the stream of a client that wants something of the past, or has to be told that it
    /// is gone. A client that has missed nothing is a member at once.
    pub(in crate::shard) fn begin_replay(
        &mut self,
        index: u32,
        audience: u32,
        request: &StreamRequest,
        (resume, asked_at): (&Resume, Moment),
    ) {
        let mut search = self.shared.order.begin_search(resume.clone(), asked_at);
        let may_recall = self.shared.can_recall();
        let mut gatherer = self.gatherer(audience);
        let found = gatherer.search(&mut search);
        let lacking = found.as_ref().filter(|_| may_recall);
        let recalling = lacking.and_then(|found| Recalling::of(&search, found));
        let (stage, first) = match (found, recalling) {
            (None, _) => (Stage::Searching(search), None),
            (Some(_), Some(recalling)) => (Stage::Recalling(recalling), None),
            (Some((cursor, gap)), None) => {
                let gap = gap.map(|gap| gatherer.gap_block(gap));
                if gap.is_none() || !gatherer.keeps_history() {
                    let number = self.take_all();
                    let end = self.gatherer(audience).end_of_nothing(cursor, number);
                    // What was published meanwhile.
                    self.take_inbox();
                    if let Some(number) = end {
                        let form = request.heartbeat_form;
                        let first = gap.or_else(|| self.first_block(audience, form, number));
                        self.join_ring(index, audience, number);
                        return self.begin(index, &welcome(request, first.as_deref()));
                    }
                }
                (Stage::At(cursor), gap)
            }
        };
        self.audiences[audience].replaying += 1;
        self.link().counters.replaying_connections.add(1);
        let pending = Some(Pending::new(&welcome(request, first.as_deref()), 0));
        let since_ms = self.now_ms();
        // One that gives no id wants what is kept here.
        let (queued, rounds_left) = (false, resume.id().map_or(0, |_| ROUNDS_MAX));
        let replaying = Replaying { audience, pending, stage, queued, since_ms, rounds_left };
        self.connections[index].state = State::Replaying(Box::new(replaying));
        self.begin_count(index, Sent::default());
        self.tell_of_beginning(index);
        let progress = self.flush_replay(index);
        self.after_flush(self.connections.key_at(index), progress);
    }

    /// An audience's history.
    pub(in crate::shard) fn gatherer(&mut self, audience: u32) -> Gatherer<'_> {
        Gatherer::new(
            audience,
            &self.audiences,
            &mut self.parts,
            (&self.shared, self.id),
            &mut self.scratch.gathered,
        )
    }
}
