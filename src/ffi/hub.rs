//! The hub across the border.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer;
use super::listeners::Listeners;
use super::options::FanfareOptions;
use super::origin::Origin;
use super::status::{FanfareStatus, Status};
use crate::drain::{DrainOptions, Drained};
use crate::hub::{Hub, StartError};
use crate::listener::ListenOptions;
use crate::sys::fork;

/// The engine: one order of events, the threads that serve its connections, and its listeners.
/// Opaque, and always used by pointer. `fanfare_hub_new` makes it and `fanfare_hub_free` frees it;
/// in between every other function may be called with it from any thread at once.
#[derive(Debug)]
pub struct FanfareHub {
    pub(super) hub: Hub,
    pub(super) listen_options: ListenOptions,
    listeners: Mutex<Listeners>,
    /// How many asks to be told of space wait.
    pub(super) waiting_for_space: Arc<AtomicUsize>,
    /// The process that has its threads.
    origin: Origin,
}

/// Makes a hub and starts its threads. `options` may be NULL for the defaults. On success
/// `*hub_out` is the hub. With the option data_dir it reads what is there before; with cluster_url it waits
/// for at most 10 s for the cluster's server, and then until it has read what the cluster's stream has.
///
/// Threads: any. Ownership: the options stay the caller's; the hub is the caller's, to be freed with
/// `fanfare_hub_free`. Errors: `FANFARE_ERR_ARGUMENT`; `FANFARE_ERR_OPTIONS`, and
/// `fanfare_options_problem` says which option; `FANFARE_ERR_SYSTEM`; `FANFARE_ERR_JOURNAL` and
/// `FANFARE_ERR_CLUSTER`, and the log says why.
///
/// # Safety
///
/// `options` has to be NULL or to point to `options->size` readable bytes whose text is as it says, and
/// `hub_out` to point to a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_new(
    options: *const FanfareOptions,
    hub_out: *mut *mut FanfareHub,
) -> FanfareStatus {
    answer(|| {
        if hub_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let (options, listen_options) = unsafe { FanfareOptions::read(options) }?;
        fork::watch().map_err(|_| Status::FANFARE_ERR_SYSTEM)?;
        let (origin, listeners) = (Origin::here(), Mutex::default());
        let hub = Hub::start(options).inspect_err(log_refusal)?;
        let waiting_for_space = Arc::default();
        let hub = FanfareHub { hub, listen_options, listeners, waiting_for_space, origin };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *hub_out = Box::into_raw(Box::new(hub)) };
        Ok(())
    })
}

/// Says in the log what a code alone does not.
fn log_refusal(error: &StartError) {
    match error {
        StartError::Journal(_) | StartError::Cluster(_) => log::error!("no hub is made: {error}"),
        StartError::Options(_) | StartError::System(_) => {}
    }
}

/// Closes a hub: nothing more is published or accepted, what was published is sent for at most 2
/// seconds more, and then every connection is closed. The threads have ended when this returns. From
/// then on what publishes, finishes and listens returns `FANFARE_ERR_CLOSED`, also calls that wait for
/// space at the time; what was counted can still be read. To close a hub once more does nothing, but may
/// return before the first call has. The hub has to be freed all the same.
///
/// Threads: any, several at once, and while others use the hub. Ownership: the hub stays the caller's.
/// Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_close(hub: *const FanfareHub) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?;
        hub.hub.close();
        hub.drop_listeners();
        Ok(())
    })
}

/// Closes a hub as `fanfare_hub_close` does, if that was not done before, and frees it. NULL does
/// nothing.
///
/// Threads: any one, while no other call with this hub is under way, and none comes afterwards.
/// Ownership: the hub is gone. Errors: none.
///
/// In a child of the process, whether `fork`, `_Fork` or the system call has made it, a hub of the
/// parent's is left as it is. The child has the connections' sockets as well, until it ends or
/// executes another program. After a `fork` the parent's disconnections reach clients even so;
/// after the others, of which the library is not told, only once the child has closed the sockets.
///
/// # Safety
///
/// `hub` has to be NULL, or a hub that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_free(hub: *mut FanfareHub) {
    answer(|| {
        // SAFETY: NULL, or a live hub as the caller promises.
        match unsafe { hub.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(hub) });
            }
            _ => {}
        }
        Ok(())
    });
}

impl FanfareHub {
    /// Drains the hub, which is closed then.
    pub(super) fn drain(&self, options: DrainOptions) -> Drained {
        // The system would take connections for a lent socket as long as it is open, to which nobody
        // answers.
        let lent = self.listeners().take_lent();
        drop(lent);
        let drained = self.hub.drain(options);
        self.drop_listeners();
        drained
    }

    /// The sockets of a closed hub's listeners are closed; this removes what else they have.
    fn drop_listeners(&self) {
        let listeners = std::mem::take(&mut *self.listeners());
        drop(listeners);
    }

    pub(super) fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub, if a shard of it has not ended yet.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_CLOSED`.
    pub(super) fn open(&self) -> Result<&Hub, Status> {
        match self.hub.shared().notices.has_shards() {
            true => Ok(&self.hub),
            false => Err(Status::FANFARE_ERR_CLOSED),
        }
    }
}

/// The hub behind a pointer.
///
/// # Safety
///
/// `hub` has to be NULL, or to be live for as long as `'a`.
pub(super) unsafe fn live<'a>(hub: *const FanfareHub) -> Result<&'a FanfareHub, Status> {
    // SAFETY: as the caller promises.
    match unsafe { hub.as_ref() } {
        None => Err(Status::FANFARE_ERR_ARGUMENT),
        Some(hub) if !hub.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
        Some(hub) => Ok(hub),
    }
}
