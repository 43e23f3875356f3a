//! A shard takes what it is told of its connections, and has each part of it done where that
//! belongs.

use crate::metrics::DisconnectReason;
use crate::shard::connection::slots::Key;
use crate::shard::entry::told::Told;
use crate::shard::Shard;

/// What is looked at in one turn, at most.
const TOLD_MAX: usize = 128;

impl Shard {
    /// Takes what it is told, a bounded number: the rest keeps the shard from sleeping.
    pub(in crate::shard) fn handle_told(&mut self) {
        for _ in 0..TOLD_MAX {
            let Ok(told) = self.link().told.try_recv() else { return };
            match told {
                Told::HasNews(id) => {
                    self.look_at_reader(Key { index: id.index(), generation: id.generation() });
                }
                Told::Answered(key, verdict) => self.take_verdict(key, &verdict),
                Told::Recalled(key, recalled) => self.take_recalled(key, *recalled),
                Told::Ends(key) => self.end_by_lease(key),
                begins if self.shutdown.draining().is_some() => self.refuse_told(begins),
                // A closed hub still sends what was published before to those that asked before.
                Told::Begins(request) => _ = self.begin_pull(*request),
            }
        }
    }

    /// Does away with what came too late.
    pub(in crate::shard) fn refuse_told(&self, told: Told) {
        let reason = match (self.shared.is_ending(), self.shutdown.draining()) {
            (true, Some(_)) => DisconnectReason::Drained,
            (true, None) => DisconnectReason::Closed,
            (false, _) => DisconnectReason::Error,
        };
        match told {
            Told::Begins(request) => request.refuse(self.shared.limits(), reason),
            Told::HasNews(_) | Told::Answered(..) | Told::Recalled(..) | Told::Ends(_) => {}
        }
    }
}
