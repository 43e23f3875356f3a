//! Every interleaving of the threads that meet in the engine's lock-light parts, and everything
//! that the memory model lets them see: [loom](https://docs.rs/loom) runs each test many times
//! over. It fails, with `deadlock`, when a thread sleeps and no other is left that wakes it.
//!
//! The files under test are the library's own. They use `crate::sync` alone, which here has loom's
//! types instead of the standard library's; `event-listener` has loom inside as well.
//!
//! `tests/run loom` runs this.

#![cfg(test)]

#[cfg(not(loom))]
compile_error!("compile this with RUSTFLAGS=\"--cfg loom\", as `tests/run loom` does");

/// What `src/sync.rs` is to the library.
mod sync {
    pub(crate) use loom::sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Mutex, MutexGuard,
    };

    pub(crate) use event_listener::{Event, EventListener};
}

#[path = "../../src/order/backlog.rs"]
mod backlog;
#[path = "../../src/inbox.rs"]
mod inbox;
#[allow(dead_code, reason = "what needs no other thread is tested in the library")]
#[path = "../../src/pull.rs"]
mod pull;
#[path = "../../src/interest/queue.rs"]
mod queue;
#[path = "../../src/ffi/ready.rs"]
mod ready;
#[path = "../../src/waker.rs"]
mod waker;

mod draining;
mod future;
mod interest;
mod parking;
mod pulling;
mod waiting;

/// How often at most the threads of a test are switched where they could go on. All interleavings
/// of more than two threads would take hours, and what is wrong shows with few switches.
const PREEMPTIONS_MAX: usize = 3;

fn bounded() -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model
}
