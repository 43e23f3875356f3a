//! What a host asks of all nodes of its hub's cluster: across the border.

use std::mem::offset_of;
use std::time::Duration;

use super::answer;
use super::connections::{FanfareConnection, FanfareConnectionFilter, FanfareConnections};
use super::hub::{live, FanfareHub};
use super::kept::{Kept, List};
use super::lent::{struct_size, with_copies, Lent};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::cluster::ClusterConnections;
use crate::topic::Topic;

/// How many connections the nodes of a cluster have, and how many nodes have said so. The struct grows at
/// its end only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareClusterCount {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// How many nodes the cluster has, with the hub that was asked: those that have shown in the last 10
    /// seconds that they are there, and have not ended in order since.
    pub nodes: u64,
    /// How many of them have answered in time. The others are missing in `count`.
    pub answered: u64,
    /// The number of connections at those that have answered, listed or not.
    pub count: u64,
}

const BYTES_MIN: usize = offset_of!(FanfareClusterCount, count) + size_of::<u64>();

/// Counts the connections at all nodes of the hub's cluster, and lists some: at most 10,000, and of each
/// node what fits into 2 MiB; `filter->limit` 0 is 1,000. `filter` may be NULL for any. The nodes are
/// waited for until `timeout_ms` is over, from 50 ms to 10 s, whatever it says; nodes that have not
/// answered by then are no error, but `answered` is less than `nodes`. On success `*count_out` says how
/// many there are, and `*list_out` is the list; with NULL for `list_out` there is none.
///
/// Threads: any, several at once; blocks for `timeout_ms`, and a quarter of a second more at most.
/// Ownership: the filter and `*count_out` stay the caller's; the list is the caller's, to be freed with
/// `fanfare_connections_free`. Errors: `FANFARE_ERR_CLUSTER` when the hub is in no cluster, or the
/// cluster's server does not pass the question on; `FANFARE_ERR_BUSY` when 16 questions of the hub are on
/// their way; `FANFARE_ERR_SUBSCRIPTION`; `FANFARE_ERR_OPTIONS` as for `fanfare_hub_connections`;
/// `FANFARE_ERR_UTF8` for a tag that is not; `FANFARE_ERR_ARGUMENT`, also when the size of `*count_out` is
/// that of no version; `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, `filter` NULL or `filter->size` readable bytes whose texts are as they say,
/// `count_out` to point to `count_out->size` writable bytes, and `list_out` NULL or a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_cluster_connections(
    hub: *const FanfareHub,
    filter: *const FanfareConnectionFilter,
    timeout_ms: u64,
    count_out: *mut FanfareClusterCount,
    list_out: *mut *mut FanfareConnections,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        // SAFETY: as the caller promises.
        unsafe { check(count_out) }?;
        // SAFETY: as the caller promises.
        let mut filter = unsafe { FanfareConnectionFilter::read(filter) }?;
        if list_out.is_null() {
            filter.limit = 0;
        }
        let found = hub.cluster_connections(&filter, Duration::from_millis(timeout_ms))?;
        // SAFETY: as the caller promises.
        unsafe { put(&found, count_out) }?;
        if !list_out.is_null() {
            let list = List::of(found.connections, FanfareConnection::of_node);
            // SAFETY: not NULL, and writable as the caller promises.
            unsafe { *list_out = Box::into_raw(Box::new(FanfareConnections(list))) };
        }
        Ok(())
    })
}

/// Counts the connections at all nodes of the hub's cluster that get a topic's events, by its name or by
/// filters, each once. Waits for the nodes, and says how many have answered, as
/// `fanfare_hub_cluster_connections`.
///
/// Threads: any, several at once; blocks for `timeout_ms`, and a quarter of a second more at most.
/// Ownership: `topic` and `*count_out` stay the caller's. Errors: `FANFARE_ERR_TOPIC`,
/// `FANFARE_ERR_CLUSTER`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
/// `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, `topic` as many readable bytes as it says, and `count_out` to point to
/// `count_out->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_cluster_subscribers(
    hub: *const FanfareHub,
    topic: FanfareText,
    timeout_ms: u64,
    count_out: *mut FanfareClusterCount,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        // SAFETY: as the caller promises.
        unsafe { check(count_out) }?;
        let topic = Lent::new(topic, Topic::BYTES_MAX, Status::FANFARE_ERR_TOPIC)?;
        let count = |[topic]: [Option<&[u8]>; 1]| {
            let topic = Topic::from_utf8(topic.ok_or(Status::FANFARE_ERR_TOPIC)?)?;
            let found = hub.cluster_subscribers(&topic, Duration::from_millis(timeout_ms))?;
            // SAFETY: as the caller promises.
            unsafe { put(&found, count_out) }
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([topic], count) }
    })
}

/// Refuses a place for a count that is none, before anything is asked.
///
/// # Safety
///
/// `count_out` has to be NULL, or to point to a struct that begins with its size.
unsafe fn check(count_out: *const FanfareClusterCount) -> Result<(), Status> {
    if count_out.is_null() {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    // SAFETY: not NULL, and as the caller promises.
    unsafe { struct_size(count_out, BYTES_MIN) }.map(drop)
}

/// Writes what was found into a caller's struct.
///
/// # Safety
///
/// `count_out` has to point to as many writable bytes as it says at its beginning.
unsafe fn put(
    found: &ClusterConnections,
    count_out: *mut FanfareClusterCount,
) -> Result<(), Status> {
    let count = |found: &ClusterConnections, _: &mut Kept| FanfareClusterCount {
        size: size_of::<FanfareClusterCount>(),
        nodes: found.nodes as u64,
        answered: found.answered as u64,
        count: found.count,
    };
    // SAFETY: as the caller promises; the struct begins with its size and has no padding.
    unsafe { List::of(vec![found], |found, kept| count(found, kept)).get(0, count_out, BYTES_MIN) }
}
