//! How a shard disconnects its connections when the hub is drained.

use std::time::Duration;

use crate::metrics::DisconnectReason;
use crate::shard::admin::drain::Draining;
use crate::shard::connection::State;
use crate::shard::Shard;

/// The number of connections that one turn closes, and of slab entries that it looks at for that.
const FAREWELLS_MAX: u32 = 256;
const VISITS_MAX: u32 = 64 << 10;

impl Shard {
    /// Whether the shard has to be told that the hub is drained.
    pub(in crate::shard) fn has_news_of_a_drain(&self) -> bool {
        self.shutdown.draining().is_none() && self.shared.drain.get().is_some()
    }

    pub(in crate::shard) fn begin_to_drain(&mut self) {
        let streams = self.link().counters.connections.value();
        self.shutdown.set_draining(Draining::new(streams));
        self.close_acceptors();
    }

    /// Closes the connections whose time has come, a bounded number; true when there may be more.
    pub(in crate::shard) fn send_away(&mut self) -> bool {
        let (Some(drain), Some(mut draining)) = (self.shared.drain.get(), self.shutdown.draining())
        else {
            return false;
        };
        let due = draining.due(drain, self.now_ns);
        let (retry, end) = (drain.retry, self.connections.end());
        let (mut farewells, mut visits) = (0, 0);
        while draining.closed < due && farewells < FAREWELLS_MAX && visits < end.min(VISITS_MAX) {
            draining.at = if draining.at < end { draining.at } else { 0 };
            let gone = self.drain_one(draining.at, retry);
            farewells += u32::from(gone);
            draining.closed += u64::from(gone);
            draining.at += 1;
            visits += 1;
        }
        self.shutdown.set_draining(draining);
        farewells == FAREWELLS_MAX
    }

    /// Closes a connection that has been sent everything; false if this is none.
    fn drain_one(&mut self, index: u32, retry: Duration) -> bool {
        let Some(connection) = self.connections.at(index) else { return false };
        let State::Live(membership) = &connection.state else { return false };
        let audience = &self.audiences[membership.audience];
        // A finished stream ends by itself, and its client is not to come back.
        if audience.has_work() || audience.is_complete() {
            return false;
        }
        self.send_waiting(index);
        let state = self.connections.at(index).map(|connection| &connection.state);
        if !matches!(state, Some(State::Live(_))) {
            return false;
        }
        match self.say_farewell(index, retry) {
            Ok(true) => self.disconnect(index, DisconnectReason::Drained),
            // Not told, or only half.
            Ok(false) => self.disconnect(index, DisconnectReason::Error),
            Err(error) => self.lose(index, &error),
        }
        true
    }
}
