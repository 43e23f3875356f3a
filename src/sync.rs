//! The synchronisation that [loom](https://docs.rs/loom) takes over when it explores a part's
//! interleavings (`tests/loom.rs`), and the standard library's otherwise.

#[cfg(not(fanfare_loom))]
pub(crate) use std::sync::{
    atomic::{AtomicBool, Ordering},
    Mutex,
};

#[cfg(fanfare_loom)]
pub(crate) use loom::sync::{
    atomic::{AtomicBool, Ordering},
    Mutex,
};
