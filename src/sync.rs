//! What the lock-light parts synchronise with. `tests/loom.rs` puts [loom](https://docs.rs/loom)
//! in its place, and so explores their interleavings.

pub(crate) use std::sync::{
    atomic::{AtomicBool, Ordering},
    Mutex, MutexGuard,
};
