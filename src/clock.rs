//! The time as the engine counts it: nanoseconds since the hub's start, which never go back.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(test)]
use std::sync::Arc;
use std::time::Instant;

/// Where a hub's order, and with it each of its shards, reads the time. Outside tests it is an
/// [`Instant`] and nothing else.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The system's monotonic clock, from the hub's start on, and the time that it said then: zero,
    /// unless the hub has had earlier lives.
    System(Instant, u64),
    /// A clock that only [`Clock::advance`] moves. Clones are the same clock.
    #[cfg(test)]
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Clock {
        Clock::going_on(0)
    }

    /// A clock that says this time now.
    pub(crate) fn going_on(now_ns: u64) -> Clock {
        Clock::System(Instant::now(), now_ns)
    }

    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        match self {
            Clock::System(started, from_ns) => {
                let passed = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                from_ns.saturating_add(passed)
            }
            #[cfg(test)]
            Clock::Manual(now_ns) => now_ns.load(Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
impl Clock {
    /// A clock for tests of ages and delays, which then need not sleep.
    pub(crate) fn manual() -> Clock {
        Clock::Manual(Arc::default())
    }

    /// Moves a manual clock on.
    pub(crate) fn advance(&self, by: std::time::Duration) {
        match self {
            Clock::System(..) => panic!("the system's clock cannot be moved"),
            Clock::Manual(now_ns) => {
                now_ns.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
            }
        }
    }
}
