//! Draining a hub across the border.

use std::mem::offset_of;
use std::time::Duration;

use super::answer;
use super::fields::{init, over_defaults, tell_problem, Field};
use super::hub::{live, FanfareHub};
use super::lent::struct_size;
use super::options::{Number as _, Refused};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::drain::{DrainOptions, Drained};

/// How a hub is drained. `fanfare_drain_options_defaults` makes one with every default. With these
/// everything has ended after 6 s: the window, the grace, and the 2 s of a close.
///
/// The struct grows at its end only, by options of which zero is the default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareDrainOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The connections are closed evenly over this time; 0 closes all at once.
    /// Bounds: at most 1 hour. Default: 3 s.
    pub window_ms: u64,
    /// How much longer a connection that lags may take what waits for it, before it is cut.
    /// Bounds: at most 1 hour. Default: 1 s.
    pub grace_ms: u64,
    /// Each client is told to come back after a time drawn from this to twice this; 0 tells nothing.
    /// Bounds: at most 1 day. Default: 2 s.
    pub retry_ms: u64,
}

/// The size that the struct had in the ABI's first version.
const OPTIONS_SIZE_MIN: usize = offset_of!(FanfareDrainOptions, retry_ms) + size_of::<u64>();

/// What became of a hub's connections when it was drained. `fanfare_drained_empty` makes one to be filled.
///
/// The struct grows at its end only. What the library does not know of it is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareDrained {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Connections that were sent everything, told when to come back, and closed.
    pub told: u64,
    /// Connections that were closed without that, since they did not take what there was for them in
    /// time.
    pub cut: u64,
}

/// The size that the struct had in the ABI's first version.
const DRAINED_SIZE_MIN: usize = offset_of!(FanfareDrained, cut) + size_of::<u64>();

/// Fills in the defaults. `options->size` has to be set before, and stays as it is. What the library does
/// not know, of a struct that is larger than the library's own, is set to zero.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when `options`
/// is NULL or its size is that of no version.
///
/// # Safety
///
/// `options` has to be NULL, or to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_drain_options_init(
    options: *mut FanfareDrainOptions,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { init(options, OPTIONS_SIZE_MIN, FanfareDrainOptions::default()) })
}

/// Finds the first option that `fanfare_hub_drain` would refuse, as `fanfare_options_problem` does.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` when a pointer is NULL or the size is that of no version.
///
/// # Safety
///
/// `options` has to be NULL or to point to `options->size` readable bytes, and the others to be NULL or
/// writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_drain_options_problem(
    options: *const FanfareDrainOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareDrainOptions::read(options), name_out, bounds_out) }
    })
}

/// Ends a hub without a storm of reconnections: no client is accepted any more, and the connections are
/// closed evenly over a window. A listener of `fanfare_hub_listen_on` is closed at once, since the system
/// would go on to take connections for its socket. Each is first sent everything, and told a random time after which to come
/// back. What is published meanwhile goes to the connections that are left. Then the hub is closed, as by
/// `fanfare_hub_close`, and has to be freed all the same. `options` may be NULL for the defaults. On
/// success `*drained_out`, unless `drained_out` is NULL, says what became of the connections;
/// `drained_out->size` has to be set before, as `fanfare_drained_empty` does.
///
/// It takes at most the window and the grace of the options, and the 2 s of a close. The options of the
/// first call count; a second call waits for its own time at most.
///
/// Threads: any, several at once, and while others use the hub. Ownership: the hub and the structs stay
/// the caller's. Errors, after each of which nothing was begun: `FANFARE_ERR_OPTIONS`, and
/// `fanfare_drain_options_problem` says which option; `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub, `options` NULL or `options->size` readable bytes, and `drained_out`
/// NULL or `drained_out->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_drain(
    hub: *const FanfareHub,
    options: *const FanfareDrainOptions,
    drained_out: *mut FanfareDrained,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, options) = unsafe { (live(hub)?, FanfareDrainOptions::read(options)?) };
        let fill = |drained: &Drained| {
            let (size, told, cut) = (size_of::<FanfareDrained>(), drained.told, drained.cut);
            // SAFETY: as the caller promises.
            unsafe { init(drained_out, DRAINED_SIZE_MIN, FanfareDrained { size, told, cut }) }
        };
        if drained_out.is_null() {
            hub.drain(options);
            return Ok(());
        }
        // A struct of the wrong size is refused before anything is begun.
        // SAFETY: as the caller promises.
        unsafe { struct_size(drained_out, DRAINED_SIZE_MIN) }?;
        fill(&hub.drain(options))
    })
}

impl Default for FanfareDrainOptions {
    fn default() -> FanfareDrainOptions {
        let DrainOptions { window, grace, retry } = DrainOptions::default();
        let [window_ms, grace_ms, retry_ms] = [window, grace, retry].map(|time| time.to_number());
        FanfareDrainOptions { size: size_of::<Self>(), window_ms, grace_ms, retry_ms }
    }
}

impl FanfareDrainOptions {
    /// The caller's options, within their bounds.
    ///
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes.
    unsafe fn read(options: *const FanfareDrainOptions) -> Result<DrainOptions, Refused> {
        // SAFETY: as the caller promises.
        let read = unsafe { over_defaults(options, OPTIONS_SIZE_MIN, Self::default()) }?;
        let [window, grace, retry] =
            [read.window_ms, read.grace_ms, read.retry_ms].map(Duration::from_millis);
        let options = DrainOptions::default().window(window).grace(grace).retry(retry);
        let refused = |error| Field::of(error, &["window_ms", "grace_ms", "retry_ms"], &[]);
        options.check().map_err(refused)?;
        Ok(options)
    }
}
