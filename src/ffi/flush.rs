//! Waiting until what was published is durable, across the border.

use super::answer;
use super::hub::{live, FanfareHub};
use super::patience::Patience;
use super::status::{FanfareStatus, Status};
use crate::flush::FlushError;

/// Waits until everything that was published before, by any thread, is as safe as the option durability
/// promises, for at most `timeout_ms`; 0 does not wait, and `UINT64_MAX` has no bound. It is for a
/// program that publishes many events without waiting and then wants to know once;
/// `fanfare_hub_publish_wait` waits for its own event already, within its time. In a cluster it waits until
/// the cluster's server has everything that was published here.
///
/// Threads: any, several at once; it may wait for the disk, or the cluster's server. Ownership: the hub stays
/// the caller's. Errors, after each of which the events are published all the same: `FANFARE_ERR_TIMEOUT`
/// when they were not written within the time; `FANFARE_ERR_JOURNAL` when they cannot be written, or the hub
/// has neither a data_dir nor a cluster; `FANFARE_ERR_CLUSTER` when the cluster's server cannot be reached;
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_flush(
    hub: *const FanfareHub,
    timeout_ms: u64,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { &live(hub)?.hub };
        hub.flush(Patience::of(timeout_ms).left()).map_err(|error| match error {
            FlushError::TimedOut => Status::FANFARE_ERR_TIMEOUT,
            FlushError::Unwritable if hub.options().cluster.is_some() => {
                Status::FANFARE_ERR_CLUSTER
            }
            FlushError::NoJournal | FlushError::Unwritable => Status::FANFARE_ERR_JOURNAL,
        })
    })
}
