//! What the lock-light parts synchronise with. `tests/loom` puts [loom](https://docs.rs/loom) in its
//! place, and so explores their interleavings.

pub(crate) use std::sync::{
    atomic::{AtomicBool, AtomicUsize, Ordering},
    Mutex, MutexGuard,
};

pub(crate) use event_listener::{Event, EventListener};
