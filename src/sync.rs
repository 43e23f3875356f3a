//! What the lock-light parts synchronise with. `tests/loom` replaces it by
//! [loom](https://docs.rs/loom), and so explores their interleavings.

pub(crate) use std::sync::{
    atomic::{AtomicBool, AtomicUsize, Ordering},
    Mutex, MutexGuard,
};

pub(crate) use event_listener::{Event, EventListener};
