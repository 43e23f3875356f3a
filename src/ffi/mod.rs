//! The C ABI: converts, calls, converts. `include/fanfare.h` is made from here by cbindgen.
//!
//! Rules that hold for every function: nothing unwinds across the border; texts are pointer and
//! length, are copied once, and only the copy is looked at (`lent.rs`); outputs come last and are
//! written on success only; and a hub of another process is refused in a child, however that was
//! forked, since its threads are not there.

#![allow(unsafe_code)]

mod event;
mod hub;
mod lent;
mod options;
mod origin;
mod status;

pub use event::FanfareEvent;
pub use hub::{
    fanfare_hub_free, fanfare_hub_listen, fanfare_hub_new, fanfare_hub_publish, FanfareHub,
};
pub use options::{fanfare_options_init, FanfareOptions};
pub use status::{
    fanfare_abi_version, fanfare_strerror, FANFARE_ABI_VERSION, FANFARE_ERR_ADDRESS,
    FANFARE_ERR_ARGUMENT, FANFARE_ERR_CLOSED, FANFARE_ERR_EVENT, FANFARE_ERR_FORKED,
    FANFARE_ERR_FULL, FANFARE_ERR_OPTIONS, FANFARE_ERR_PANIC, FANFARE_ERR_SYSTEM,
    FANFARE_ERR_TOO_LARGE, FANFARE_ERR_TOPIC, FANFARE_ERR_UTF8, FANFARE_OK,
};

use std::panic::{catch_unwind, AssertUnwindSafe};

use status::Status;

/// Runs a function's body, and turns its outcome into the code that the caller gets.
fn answer(body: impl FnOnce() -> Result<(), Status>) -> i32 {
    // What a panic leaves behind is the hub's, whose locks stay right (`order/`).
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => status::FANFARE_OK,
        Ok(Err(status)) => status.0,
        Err(_) => status::FANFARE_ERR_PANIC,
    }
}
