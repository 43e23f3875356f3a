//! How a shard sends its connections away when the hub is drained: nobody is let in any more, and
//! those who are here are closed evenly over a window, each when it has been sent everything, and
//! with a reconnection time of its own. What is published meanwhile still goes to those who are
//! left. A connection that lags has the window and some grace to catch up.

use std::time::Duration;

use crate::metrics::DisconnectReason;
use crate::shard::connection::State;
use crate::shard::Shard;

/// Connections that one turn closes, and entries of the slab that it looks at for that.
const FAREWELLS_MAX: u32 = 256;
const VISITS_MAX: u32 = 64 << 10;

/// A hub's draining: times in nanoseconds since its start.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) from_ns: u64,
    pub(crate) window_ns: u64,
    pub(crate) retry: Duration,
}

/// How far a shard is with it.
pub(in crate::shard) struct Draining {
    /// Streams when it began.
    crowd: u64,
    /// Connections that were sent away since.
    done: u64,
    /// Where in the slab it goes on.
    at: u32,
}

impl Shard {
    /// Whether the shard has to be told that the hub is drained.
    pub(in crate::shard) fn has_news_of_a_drain(&self) -> bool {
        self.draining.is_none() && self.shared.drain.get().is_some()
    }

    pub(in crate::shard) fn begin_to_drain(&mut self) {
        let crowd = self.link().counters.connections.value();
        self.draining = Some(Draining { crowd, done: 0, at: 0 });
        self.close_acceptors();
    }

    /// Sends those away whose time has come, a bounded number; true when there may be more.
    pub(in crate::shard) fn send_away(&mut self) -> bool {
        let (Some(drain), Some(mut draining)) = (self.shared.drain.get(), self.draining.take())
        else {
            return false;
        };
        let elapsed_ns = self.now_ns.saturating_sub(drain.from_ns);
        let is_over = elapsed_ns >= drain.window_ns;
        let due = match is_over {
            true => u64::MAX,
            // Rounded up: the first goes at once.
            false => draining.crowd.saturating_mul(elapsed_ns) / drain.window_ns + 1,
        };
        let (retry, end) = (drain.retry, self.connections.end());
        let (mut farewells, mut visits) = (0, 0);
        while draining.done < due && farewells < FAREWELLS_MAX && visits < end.min(VISITS_MAX) {
            draining.at = if draining.at < end { draining.at } else { 0 };
            let gone = self.drain_one(draining.at, retry);
            farewells += u32::from(gone);
            draining.done += u64::from(gone);
            draining.at += 1;
            visits += 1;
        }
        self.draining = Some(draining);
        farewells == FAREWELLS_MAX
    }

    /// Closes a connection that has been sent everything; false if this is none.
    fn drain_one(&mut self, index: u32, retry: Duration) -> bool {
        let Some(connection) = self.connections.at(index) else { return false };
        let State::Live(membership) = &connection.state else { return false };
        if self.audiences[membership.audience].has_work() {
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
