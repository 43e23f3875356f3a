//! What a host asks of its connections, and ends: across the border.

use std::mem::{offset_of, MaybeUninit};

use super::answer;
use super::choices::{number_of_policy, FanfarePolicy};
use super::disconnect::tag_of;
use super::hub::{live, FanfareHub};
use super::kept::{Kept, List};
use super::lent::{copy_struct, with_copies, Lent};
use super::notice::FanfareConnectionId;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use super::watch::{ms, unix_ms};
use crate::cluster::ClusterConnection;
use crate::filter::Subscription;
use crate::lifecycle::{
    ConnectionFilter, ConnectionId, ConnectionInfo, ConnectionState, SubscriptionCount,
};
use crate::stream_options::StreamOptions;
use crate::topic::Topic;

/// How a connection is doing: one of the constants of `fanfare_connection_state_code`.
pub type FanfareConnectionState = i32;

/// The values of a `fanfare_connection_state`.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareConnectionStateCode {
    /// It takes what it is sent.
    FANFARE_CONNECTION_LIVE = 1,
    /// Its socket did not take all there was for it.
    FANFARE_CONNECTION_LAGGING = 2,
    /// It is sent what it has missed.
    FANFARE_CONNECTION_REPLAYING = 3,
}

/// Which connections are listed, and how many at most. `fanfare_connection_filter_of_all` makes one
/// that lists any; set what should differ. Without that helper set all of it to zero, and `size` to
/// `sizeof(fanfare_connection_filter)`. The struct grows at its end only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareConnectionFilter {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Only connections with this subscription: a connection that gets a topic by a filter is found
    /// by the filter. {NULL, 0}: all.
    pub subscription: FanfareText,
    /// Only connections with this tag. {NULL, 0}: all.
    pub tag: FanfareText,
    /// The most that are listed, at most 1,000,000; 0 is 1,000.
    pub limit: u64,
    /// 1: only connections that lag or replay. 0: all.
    pub lagging: u32,
    /// 1: those that lag most are listed, and first, by age and then by events. 0: any, in no order.
    pub slowest_first: u32,
}

/// A connection, as it was at one moment. The struct grows at its end only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareConnection {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Its id.
    pub id: FanfareConnectionId,
    /// What it is subscribed to, each once, in no order.
    pub subscriptions: *const FanfareText,
    /// The number of these.
    pub subscriptions_count: usize,
    /// The client's address and port; no text if it has none, as at a Unix domain socket.
    pub addr: FanfareText,
    /// What the client calls itself. A label that any client can claim; no text if it has none.
    pub tag: FanfareText,
    /// Since when it is an event stream, in milliseconds since 1970-01-01 00:00 UTC.
    pub since_unix_ms: u64,
    /// The number of events that its socket took whole.
    pub events: u64,
    /// Bytes of events that its socket took, without what HTTP adds, and without heartbeats.
    pub bytes: u64,
    /// The number of events that it has yet to be sent, with the one that was begun.
    pub lag_events: u64,
    /// Their bytes that it has yet to be sent.
    pub lag_bytes: u64,
    /// How long ago the oldest event was published that it has not taken whole; 0 when there is none.
    pub lag_age_ms: u64,
    /// How it is doing.
    pub state: FanfareConnectionState,
    /// What happens to it when it lags too far: 1 it is disconnected, 2 the oldest events are
    /// dropped, 3 events are conflated by key.
    pub policy: FanfarePolicy,
    /// The name of its node, in a list of `fanfare_hub_cluster_connections`, to whose hub the id belongs;
    /// no text in other lists.
    pub node: FanfareText,
}

/// A topic or filter that has subscribers. The struct grows at its end only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareSubscriptionCount {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The topic, or the filter.
    pub subscription: FanfareText,
    /// The number of connections that asked for it by this name.
    pub subscribers: u64,
}

/// A list of connections, as they were when it was made. Opaque, and always used by pointer.
/// `fanfare_hub_connections` and `fanfare_hub_cluster_connections` make it and `fanfare_connections_free`
/// frees it.
#[derive(Debug)]
pub struct FanfareConnections(pub(super) List<FanfareConnection>);

/// A list of topics and filters with their numbers of subscribers. Opaque, and always used by
/// pointer. `fanfare_hub_subscription_counts` makes it and `fanfare_subscription_counts_free` frees
/// it.
#[derive(Debug)]
pub struct FanfareSubscriptionCounts(List<FanfareSubscriptionCount>);

const FILTER_BYTES_MIN: usize =
    offset_of!(FanfareConnectionFilter, slowest_first) + size_of::<u32>();
const CONNECTION_BYTES_MIN: usize =
    offset_of!(FanfareConnection, policy) + size_of::<FanfarePolicy>();
const COUNT_BYTES_MIN: usize = offset_of!(FanfareSubscriptionCount, subscribers) + size_of::<u64>();
/// The connections that are listed where the host does not say how many.
const LIMIT: u64 = 1_000;

/// Returns the short name of a connection's state, such as "lagging"; "unknown" for a number that is
/// none.
///
/// Threads: any. Ownership: the text is static. Errors: none.
#[no_mangle]
pub extern "C" fn fanfare_connection_state_name(state: FanfareConnectionState) -> FanfareText {
    let states = [ConnectionState::Live, ConnectionState::Lagging, ConnectionState::Replaying];
    let known = states.into_iter().find(|known| number_of_state(*known) == state);
    FanfareText::of_static(known.map_or("unknown", ConnectionState::as_str))
}

/// Lists connections. `filter` may be NULL for any 1,000. Each is described as it is at that moment;
/// connections that come and go meanwhile are listed or not. On success `*list_out` is the list.
///
/// Threads: any, several at once; blocks for about a millisecond per 10,000 connections, and at most
/// 10 seconds. Ownership: the filter stays the caller's; the list is the caller's, to be freed with
/// `fanfare_connections_free`. It needs no hub. Errors: `FANFARE_ERR_SUBSCRIPTION`;
/// `FANFARE_ERR_OPTIONS` when a flag is neither 0 nor 1, or something is set that only a newer
/// library knows; `FANFARE_ERR_BUSY` when 64 such questions wait already; `FANFARE_ERR_TIMEOUT`;
/// `FANFARE_ERR_UTF8` for a tag that is not; `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED`,
/// `FANFARE_ERR_CLOSED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, `filter` NULL or `filter->size` readable bytes whose texts are as they
/// say, and `list_out` a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_connections(
    hub: *const FanfareHub,
    filter: *const FanfareConnectionFilter,
    list_out: *mut *mut FanfareConnections,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        if list_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let filter = unsafe { FanfareConnectionFilter::read(filter) }?;
        let infos = hub.connections(&filter)?;
        let list = FanfareConnections(List::of(infos, FanfareConnection::of));
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *list_out = Box::into_raw(Box::new(list)) };
        Ok(())
    })
}

/// Describes one connection, as a list of one.
///
/// Threads: any, several at once; blocks for a moment, and at most 10 seconds. Ownership: the list is
/// the caller's, to be freed with `fanfare_connections_free`. Errors: `FANFARE_ERR_STALE` when the
/// connection has ended; `FANFARE_ERR_BUSY`, `FANFARE_ERR_TIMEOUT`, `FANFARE_ERR_ARGUMENT`,
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, and `list_out` a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_connection(
    hub: *const FanfareHub,
    id: FanfareConnectionId,
    list_out: *mut *mut FanfareConnections,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        if list_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let info = hub.connection(ConnectionId::from_u64(id))?.ok_or(Status::FANFARE_ERR_STALE)?;
        let list = FanfareConnections(List::of(vec![info], FanfareConnection::of));
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *list_out = Box::into_raw(Box::new(list)) };
        Ok(())
    })
}

/// Returns the length of a list; 0 for NULL.
///
/// Threads: any, several at once. Errors: none.
///
/// # Safety
///
/// `list` has to be NULL or a list that was not freed.
#[no_mangle]
pub unsafe extern "C" fn fanfare_connections_count(list: *const FanfareConnections) -> usize {
    // SAFETY: as the caller promises.
    unsafe { list.as_ref() }.map_or(0, |list| list.0.items.len())
}

/// Reads the connection at an index of a list. `connection_out->size` has to be set before, and
/// stays as it is.
///
/// Threads: any, several at once. Ownership: the struct stays the caller's; the texts in it are the
/// list's, until that is freed. Errors: `FANFARE_ERR_ARGUMENT` when a pointer is NULL, the size is
/// that of no version, or the index is beyond the list.
///
/// # Safety
///
/// `list` has to be a list that was not freed, and `connection_out` to point to
/// `connection_out->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_connections_get(
    list: *const FanfareConnections,
    index: usize,
    connection_out: *mut FanfareConnection,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        unsafe {
            let list = list.as_ref().ok_or(Status::FANFARE_ERR_ARGUMENT)?;
            list.0.get(index, connection_out, CONNECTION_BYTES_MIN)
        }
    })
}

/// Frees a list with its texts. NULL does nothing.
///
/// Threads: any one, while no other call with this list is under way, and none comes afterwards.
/// Ownership: the list is gone. Errors: none.
///
/// # Safety
///
/// `list` has to be NULL, or a list that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_connections_free(list: *mut FanfareConnections) {
    answer(|| {
        if !list.is_null() {
            // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(list) });
        }
        Ok(())
    });
}

/// Counts the connections that get a topic's events, by its name or by filters, each once. On success
/// `*count_out` is their number.
///
/// Threads: any, several at once; blocks for a moment, and at most 10 seconds. Ownership: `topic`
/// stays the caller's. Errors: `FANFARE_ERR_TOPIC`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_TIMEOUT`,
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, `topic` as many readable bytes as it says, and `count_out` a writable
/// number.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_subscribers(
    hub: *const FanfareHub,
    topic: FanfareText,
    count_out: *mut u64,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        if count_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let topic = Lent::new(topic, Topic::BYTES_MAX, Status::FANFARE_ERR_TOPIC)?;
        let count = |[topic]: [Option<&[u8]>; 1]| {
            let topic = Topic::from_utf8(topic.ok_or(Status::FANFARE_ERR_TOPIC)?)?;
            let count = hub.subscribers(&topic)?;
            // SAFETY: not NULL, and writable as the caller promises.
            unsafe { *count_out = count };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([topic], count) }
    })
}

/// Lists the topics and filters with the most subscribers, most first, at most `limit`. On success
/// `*list_out` is the list.
///
/// Threads: any, several at once; blocks as `fanfare_hub_connections` does. Ownership: the list is
/// the caller's, to be freed with `fanfare_subscription_counts_free`. Errors: `FANFARE_ERR_BUSY`,
/// `FANFARE_ERR_TIMEOUT`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, and `list_out` a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_subscription_counts(
    hub: *const FanfareHub,
    limit: usize,
    list_out: *mut *mut FanfareSubscriptionCounts,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        if list_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let counts = hub.subscription_counts(limit)?;
        let list = FanfareSubscriptionCounts(List::of(counts, FanfareSubscriptionCount::of));
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *list_out = Box::into_raw(Box::new(list)) };
        Ok(())
    })
}

/// Returns the length of a list; 0 for NULL.
///
/// Threads: any, several at once. Errors: none.
///
/// # Safety
///
/// `list` has to be NULL or a list that was not freed.
#[no_mangle]
pub unsafe extern "C" fn fanfare_subscription_counts_count(
    list: *const FanfareSubscriptionCounts,
) -> usize {
    // SAFETY: as the caller promises.
    unsafe { list.as_ref() }.map_or(0, |list| list.0.items.len())
}

/// Reads the topic or filter at an index of a list. `count->size` has to be set before, and stays as
/// it is.
///
/// Threads: any, several at once. Ownership: the struct stays the caller's; the text in it is the
/// list's, until that is freed. Errors: `FANFARE_ERR_ARGUMENT` when a pointer is NULL, the size is
/// that of no version, or the index is beyond the list.
///
/// # Safety
///
/// `list` has to be a list that was not freed, and `count` to point to `count->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_subscription_counts_get(
    list: *const FanfareSubscriptionCounts,
    index: usize,
    count: *mut FanfareSubscriptionCount,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        unsafe {
            let list = list.as_ref().ok_or(Status::FANFARE_ERR_ARGUMENT)?;
            list.0.get(index, count, COUNT_BYTES_MIN)
        }
    })
}

/// Frees a list with its texts. NULL does nothing.
///
/// Threads: any one, while no other call with this list is under way, and none comes afterwards.
/// Ownership: the list is gone. Errors: none.
///
/// # Safety
///
/// `list` has to be NULL, or a list that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_subscription_counts_free(list: *mut FanfareSubscriptionCounts) {
    answer(|| {
        if !list.is_null() {
            // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(list) });
        }
        Ok(())
    });
}

impl FanfareConnectionFilter {
    /// The caller's filter.
    ///
    /// # Safety
    ///
    /// `filter` has to be NULL, or to point to `filter->size` readable bytes whose texts are as they
    /// say.
    pub(super) unsafe fn read(
        filter: *const FanfareConnectionFilter,
    ) -> Result<ConnectionFilter, Status> {
        if filter.is_null() {
            return Ok(ConnectionFilter::default());
        }
        // SAFETY: zero is a valid value of every field.
        let mut given = unsafe { MaybeUninit::<FanfareConnectionFilter>::zeroed().assume_init() };
        let unknown = Status::FANFARE_ERR_OPTIONS;
        // SAFETY: as the caller promises; any bytes are valid numbers and pointers.
        unsafe { copy_struct(filter, FILTER_BYTES_MIN, &mut given, unknown) }?;
        let flag = |flag| match flag {
            0 | 1 => Ok(flag == 1),
            _ => Err(Status::FANFARE_ERR_OPTIONS),
        };
        let limit = if given.limit == 0 { LIMIT } else { given.limit };
        let mut read = ConnectionFilter {
            subscription: None,
            tag: None,
            lagging: flag(given.lagging)?,
            slowest_first: flag(given.slowest_first)?,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let topic_bytes_max = Topic::BYTES_MAX;
        let texts = [
            Lent::new(given.subscription, topic_bytes_max, Status::FANFARE_ERR_SUBSCRIPTION)?,
            Lent::new(given.tag, StreamOptions::TAG_BYTES_MAX, Status::FANFARE_ERR_ARGUMENT)?,
        ];
        let fill = |[subscription, tag]: [Option<&[u8]>; 2]| {
            let subscription = subscription.map(Subscription::from_utf8).transpose();
            read.subscription = subscription.map_err(|_| Status::FANFARE_ERR_SUBSCRIPTION)?;
            read.tag = tag.map(tag_of).transpose()?;
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies(texts, fill) }?;
        Ok(read)
    }
}

impl FanfareConnection {
    /// One of a node of a cluster.
    pub(super) fn of_node(one: &ClusterConnection, kept: &mut Kept) -> FanfareConnection {
        FanfareConnection {
            node: kept.text(&one.node),
            ..FanfareConnection::of(&one.connection, kept)
        }
    }

    fn of(info: &ConnectionInfo, kept: &mut Kept) -> FanfareConnection {
        let texts = info.subscriptions.iter().map(Subscription::as_str);
        let (subscriptions, subscriptions_count) = kept.texts(texts);
        FanfareConnection {
            size: size_of::<FanfareConnection>(),
            id: info.id.to_u64(),
            subscriptions,
            subscriptions_count,
            addr: kept.shown(info.addr),
            tag: kept.optional(info.tag.as_deref()),
            since_unix_ms: unix_ms(info.since),
            events: info.events,
            bytes: info.bytes,
            lag_events: info.lag_events,
            lag_bytes: info.lag_bytes,
            lag_age_ms: ms(info.lag_age),
            state: number_of_state(info.state),
            policy: number_of_policy(info.policy),
            node: FanfareText::NONE,
        }
    }
}

fn number_of_state(state: ConnectionState) -> FanfareConnectionState {
    use FanfareConnectionStateCode as Code;

    let code = match state {
        ConnectionState::Live => Code::FANFARE_CONNECTION_LIVE,
        ConnectionState::Lagging => Code::FANFARE_CONNECTION_LAGGING,
        ConnectionState::Replaying => Code::FANFARE_CONNECTION_REPLAYING,
    };
    code as FanfareConnectionState
}

impl FanfareSubscriptionCount {
    fn of(count: &SubscriptionCount, kept: &mut Kept) -> FanfareSubscriptionCount {
        FanfareSubscriptionCount {
            size: size_of::<FanfareSubscriptionCount>(),
            subscription: kept.text(count.subscription.as_str()),
            subscribers: count.subscribers,
        }
    }
}
