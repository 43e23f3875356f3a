//! What a hub is asked of its connections, and told to do with them.

use std::mem::offset_of;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;
use fanfare::Topic as Name;

use crate::expect::Expected;
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::streams::{is_subscription, subscriptions};
use crate::world::{Hub, World};

/// What a question to the shards may be answered with.
fn asked(expected: Expected) -> Expected {
    expected.chance_if(true, FANFARE_ERR_BUSY).chance_if(true, FANFARE_ERR_TIMEOUT)
}

pub(crate) fn hub_connections(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    // SAFETY: zero is a valid value.
    let mut filter: FanfareConnectionFilter = unsafe { std::mem::zeroed() };
    filter.size = size_of::<FanfareConnectionFilter>();
    let choices = input.byte();
    if choices & 1 != 0 {
        let text = input.topic();
        filter.subscription = memory.any_text(input, &text);
    }
    if choices & 2 != 0 {
        let text = input.text();
        filter.tag = memory.any_text(input, &text);
    }
    filter.limit = u64::from(choices >> 6);
    filter.lagging = u32::from(choices >> 2 & 3);
    filter.slowest_first = u32::from(choices >> 4 & 3);
    let minimum = offset_of!(FanfareConnectionFilter, slowest_first) + size_of::<u32>();
    let lent = memory.sized(input, &filter, minimum, FANFARE_ERR_OPTIONS);
    let (is_null, is_out_null) = (input.is_odd(), input.rarely());
    let (hub, met) = world.hub(input);
    let mut met = asked(met).fault_if(is_out_null, FANFARE_ERR_ARGUMENT);
    if !is_null {
        let FanfareConnectionFilter { subscription, tag, lagging, slowest_first, .. } =
            lent.effective;
        let (subscription, tag) = (understood(subscription), understood(tag));
        met = met
            .fault(lent.fault)
            .fault(subscription.as_ref().err().copied())
            .fault(tag.as_ref().err().copied())
            .fault_if(lagging > 1 || slowest_first > 1, FANFARE_ERR_OPTIONS);
        let subscription = subscription.ok().flatten();
        let is_none = subscription.is_some_and(|text| !is_subscription(Some(text)));
        met = met.fault_if(is_none, FANFARE_ERR_SUBSCRIPTION);
        let tag = tag.ok().flatten().unwrap_or_default();
        let is_tag = std::str::from_utf8(&tag).is_ok();
        met = met.fault_if(!is_tag, FANFARE_ERR_UTF8);
        // A tag that no client can have is found with none, or refused.
        met = met.chance_if(true, FANFARE_ERR_ARGUMENT);
    }
    let mut list = ptr::null_mut();
    let out = if is_out_null { ptr::null_mut() } else { &raw mut list };
    let filter = if is_null { ptr::null() } else { lent.as_ptr() };
    // SAFETY: NULL or live, and what is lent is as it says.
    let status = unsafe { fanfare_hub_connections(Hub::pointer(&hub), filter, out) };
    let is_ok = met.check("fanfare_hub_connections", status);
    assert_eq!(!list.is_null(), is_ok);
    // It is in no cluster.
    let place = memory.writable::<FanfareClusterCount>(input, size_of::<FanfareClusterCount>());
    let expected = met.fault(place.fault_of_output()).fault(Some(FANFARE_ERR_CLUSTER));
    let status = {
        let (hub, count) = (Hub::pointer(&hub), place.as_mut_ptr());
        // SAFETY: NULL or live, and what is lent is as it says.
        unsafe { fanfare_hub_cluster_connections(hub, filter, 0, count, ptr::null_mut()) }
    };
    expected.check("fanfare_hub_cluster_connections", status);
    let id = read_connections(list, input, &mut memory);
    let mut one = ptr::null_mut();
    let id = id.unwrap_or(input.number());
    let (hub, met) = world.hub(input);
    let met = asked(met).chance_if(true, FANFARE_ERR_STALE);
    let pointer = Hub::pointer(&hub);
    // SAFETY: NULL or live, and writable.
    let status = unsafe { fanfare_hub_connection(pointer, id, &mut one) };
    met.check("fanfare_hub_connection", status);
    read_connections(one, input, &mut memory);
    change_connection(hub, id, input);
}

/// Reads a list, also beyond its end, frees it, and gives the id of one of its connections.
fn read_connections(
    list: *mut FanfareConnections,
    input: &mut Input<'_>,
    memory: &mut Memory,
) -> Option<u64> {
    // SAFETY: NULL or a list.
    let count = unsafe { fanfare_connections_count(list) };
    let minimum = offset_of!(FanfareConnection, policy) + size_of::<i32>();
    let lent = memory.writable::<FanfareConnection>(input, minimum);
    let index = input.below(count + 2);
    let expected = Expected::default()
        .fault_if(list.is_null() || index >= count, FANFARE_ERR_ARGUMENT)
        .fault(lent.fault_of_output());
    // SAFETY: NULL or a list, and writable as far as it says.
    let status = unsafe { fanfare_connections_get(list, index, lent.as_mut_ptr()) };
    let mut id = None;
    if expected.check("fanfare_connections_get", status) {
        // SAFETY: the struct has at least what the first version had; it is written.
        let connection = unsafe { ptr::read(lent.as_ptr()) };
        assert!(understood(connection.tag).is_ok() && understood(connection.addr).is_ok());
        // SAFETY: the list has as many.
        let wanted = unsafe {
            std::slice::from_raw_parts(connection.subscriptions, connection.subscriptions_count)
        };
        assert!(wanted.iter().all(|text| understood(*text).is_ok_and(is_subscription)));
        id = Some(connection.id);
    }
    // SAFETY: NULL, or a list that nothing uses any more.
    unsafe { fanfare_connections_free(list) };
    id
}

/// Disconnects connections, or gives one other subscriptions.
fn change_connection(hub: Option<&mut Hub>, id: u64, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let met = Expected::default()
        .fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT)
        .fault_if(hub.as_ref().is_some_and(|hub| hub.is_closed), FANFARE_ERR_CLOSED);
    let met = asked(met);
    let (pointer, retry, mut count) = (Hub::pointer(&hub), input.number(), u64::MAX);
    // What ends connections ends streams.
    if let Some(hub) = hub {
        hub.is_exact = false;
    }
    // A time that is too long is refused.
    let met = met.chance_if(retry > 0, FANFARE_ERR_ARGUMENT);
    let out = if input.rarely() { ptr::null_mut() } else { &raw mut count };
    let text = input.topic();
    let text = memory.any_text(input, &text);
    let fault = understood(text).err();
    match input.byte() % 8 {
        0 => {
            // SAFETY: NULL or live.
            let status = unsafe { fanfare_hub_disconnect(pointer, id, retry) };
            met.chance_if(true, FANFARE_ERR_STALE).check("fanfare_hub_disconnect", status);
        }
        1 => {
            let met = met.fault(fault).chance_if(true, FANFARE_ERR_ARGUMENT);
            let met = met.chance_if(true, FANFARE_ERR_UTF8);
            // SAFETY: NULL or live, NULL or writable, and the text is as it says.
            let status = unsafe { fanfare_hub_disconnect_tag(pointer, text, retry, out) };
            met.check("fanfare_hub_disconnect_tag", status);
        }
        2 => {
            let is_subscription = understood(text).is_ok_and(is_subscription);
            let met = met.fault(fault).fault_if(!is_subscription, FANFARE_ERR_SUBSCRIPTION);
            let met = met.chance_if(out.is_null(), FANFARE_ERR_ARGUMENT);
            // SAFETY: as above.
            let status = unsafe { fanfare_hub_disconnect_subscription(pointer, text, retry, out) };
            met.check("fanfare_hub_disconnect_subscription", status);
        }
        3 => {
            let met = met.chance_if(out.is_null(), FANFARE_ERR_ARGUMENT);
            // SAFETY: as above.
            let status = unsafe { fanfare_hub_disconnect_all(pointer, retry, out) };
            met.check("fanfare_hub_disconnect_all", status);
        }
        _ => {
            let (texts, faults) = subscriptions(input, &mut memory);
            let met = met.and(faults).chance_if(true, FANFARE_ERR_STALE);
            let list = memory.list(&texts);
            // SAFETY: NULL or live, and the list is as long as it says.
            let status = unsafe { fanfare_hub_set_subscriptions(pointer, id, list, texts.len()) };
            met.check("fanfare_hub_set_subscriptions", status);
        }
    }
}

pub(crate) fn hub_subscribers(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let text = input.topic();
    let text = memory.any_text(input, &text);
    let is_topic =
        understood(text).is_ok_and(|name| name.is_some_and(|name| Name::from_utf8(&name).is_ok()));
    let (hub, met) = world.hub(input);
    let (pointer, mut count, mut list) = (Hub::pointer(&hub), u64::MAX, ptr::null_mut());
    let met = asked(met);
    let faults =
        Expected::default().fault(understood(text).err()).fault_if(!is_topic, FANFARE_ERR_TOPIC);
    if input.is_odd() {
        // SAFETY: NULL or live, the text is as it says, and writable.
        let status = unsafe { fanfare_hub_subscribers(pointer, text, &mut count) };
        let expected = met.and(faults);
        let is_ok = expected.check("fanfare_hub_subscribers", status);
        assert_eq!(count != u64::MAX, is_ok);
        let place = memory.writable::<FanfareClusterCount>(input, size_of::<FanfareClusterCount>());
        let expected = expected.fault(place.fault_of_output()).fault(Some(FANFARE_ERR_CLUSTER));
        // SAFETY: NULL or live, the text is as it is, and writable as far as it says.
        let status =
            unsafe { fanfare_hub_cluster_subscribers(pointer, text, 0, place.as_mut_ptr()) };
        expected.check("fanfare_hub_cluster_subscribers", status);
        return;
    }
    let limit = input.number() as usize;
    // SAFETY: NULL or live, and writable.
    let status = unsafe { fanfare_hub_subscription_counts(pointer, limit, &mut list) };
    let is_ok = met.check("fanfare_hub_subscription_counts", status);
    assert_eq!(!list.is_null(), is_ok);
    // SAFETY: NULL or a list.
    let count = unsafe { fanfare_subscription_counts_count(list) };
    let index = input.below(count + 2);
    let lent =
        memory.writable::<FanfareSubscriptionCount>(input, size_of::<FanfareSubscriptionCount>());
    let expected = Expected::default()
        .fault_if(list.is_null() || index >= count, FANFARE_ERR_ARGUMENT)
        .fault(lent.fault_of_output());
    // SAFETY: NULL or a list, and writable as far as it says; then the list is freed.
    unsafe {
        let status = fanfare_subscription_counts_get(list, index, lent.as_mut_ptr());
        if expected.check("fanfare_subscription_counts_get", status) {
            let counted = ptr::read(lent.as_ptr());
            assert!(counted.subscribers > 0);
            assert!(understood(counted.subscription).is_ok_and(is_subscription));
        }
        fanfare_subscription_counts_free(list);
    }
}
