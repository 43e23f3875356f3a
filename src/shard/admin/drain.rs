//! How far a shard is when the hub is drained: no client is accepted any more, and the connections
//! are closed evenly over a window, each when it has been sent everything, and with a reconnection
//! time of its own. Events that are published meanwhile still go to the connections that remain. A
//! connection that lags has the window and some grace to catch up.

use std::time::Duration;

/// A hub's draining: times in nanoseconds since its start.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) from_ns: u64,
    pub(crate) window_ns: u64,
    pub(crate) retry: Duration,
}

/// How far a shard is with it.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Draining {
    /// Streams when it began.
    streams: u64,
    /// Connections that were closed since.
    pub(in crate::shard) closed: u64,
    /// Where in the slab it goes on.
    pub(in crate::shard) at: u32,
}

impl Draining {
    pub(in crate::shard) fn new(streams: u64) -> Draining {
        Draining { streams, closed: 0, at: 0 }
    }

    /// How many connections are to be closed by now.
    pub(in crate::shard) fn due(&self, drain: &Drain, now_ns: u64) -> u64 {
        let elapsed_ns = now_ns.saturating_sub(drain.from_ns);
        match elapsed_ns >= drain.window_ns {
            true => u64::MAX,
            // Rounded up: the first goes at once.
            false => self.streams.saturating_mul(elapsed_ns) / drain.window_ns + 1,
        }
    }
}
