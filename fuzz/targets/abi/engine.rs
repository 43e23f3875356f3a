//! The rules of a hub, and what it counts.

use std::mem::offset_of;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;

use crate::expect::{verdict, Expected};
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::streams::is_subscription;
use crate::world::{Hub, World};

pub(crate) fn hub_rules(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    // SAFETY: zero is a valid value.
    let mut options: FanfareTopicOptions = unsafe { std::mem::zeroed() };
    options.size = size_of::<FanfareTopicOptions>();
    // SAFETY: the struct says its own size.
    Expected::default()
        .check("fanfare_topic_options_init", unsafe { fanfare_topic_options_init(&mut options) });
    let value = input.number();
    match input.byte() % 8 {
        0 => options.history_events_max = value,
        1 => options.history_bytes_max = value,
        2 => options.history_age_max_ms = value,
        3 => options.finished_age_max_ms = value,
        4 => options.policy = value as u32,
        5 => options.reserved = u32::from(input.rarely()),
        _ => {}
    }
    let minimum = offset_of!(FanfareTopicOptions, reserved) + size_of::<u32>();
    let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
    let verdict = verdict("fanfare_topic_options_problem", fanfare_topic_options_problem, &lent);
    let text = input.topic();
    let text = memory.any_text(input, &text);
    let is_subscription = understood(text).is_ok_and(is_subscription);
    let faults = Expected::default()
        .fault(understood(text).err())
        .fault_if(!is_subscription, FANFARE_ERR_SUBSCRIPTION);
    let (mut hub, _) = world.hub(input);
    let met = Expected::default().fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT);
    if let Some(hub) = &mut hub {
        // A finished topic may be forgotten sooner, and a stream lose what it lags behind.
        hub.is_exact = false;
        if options.finished_age_max_ms != u64::MAX {
            hub.forgets_finished = true;
        }
    }
    let pointer = Hub::pointer(&hub);
    match input.byte() % 3 {
        0 => {
            let met = met
                .and(faults)
                .verdict(verdict, FANFARE_ERR_OPTIONS)
                .chance_if(true, FANFARE_ERR_OPTIONS)
                .chance_if(true, FANFARE_ERR_LIMIT);
            // SAFETY: NULL or live, and what is lent is as it says.
            let status = unsafe { fanfare_hub_set_rule(pointer, text, lent.as_ptr()) };
            met.check("fanfare_hub_set_rule", status);
        }
        1 => {
            let mut removed = 7;
            // SAFETY: as above.
            let status = unsafe { fanfare_hub_remove_rule(pointer, text, &mut removed) };
            let is_ok = met.and(faults).check("fanfare_hub_remove_rule", status);
            assert!(if is_ok { removed <= 1 } else { removed == 7 });
        }
        _ => {
            let mut rules = ptr::null_mut();
            // SAFETY: as above, and writable.
            let status = unsafe { fanfare_hub_rules(pointer, &mut rules) };
            assert_eq!(met.check("fanfare_hub_rules", status), !rules.is_null());
            // SAFETY: NULL or a list.
            let count = unsafe { fanfare_rules_count(rules) };
            let index = input.below(count + 2);
            let lent = memory.writable::<FanfareRule>(input, size_of::<FanfareRule>());
            let expected = Expected::default()
                .fault_if(index >= count, FANFARE_ERR_ARGUMENT)
                .fault(lent.fault_of_output());
            // SAFETY: NULL or a list, and writable as far as it says; then the list is freed.
            unsafe {
                let status = fanfare_rules_get(rules, index, lent.as_mut_ptr());
                if expected.check("fanfare_rules_get", status) {
                    let rule = ptr::read(lent.as_ptr());
                    assert!(understood(rule.subscription).is_ok_and(self::is_subscription));
                }
                fanfare_rules_free(rules);
            }
        }
    }
}

pub(crate) fn hub_counts(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (hub, _) = world.hub(input);
    let met = Expected::default().fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT);
    let pointer = Hub::pointer(&hub);
    if input.is_odd() {
        let minimum = offset_of!(FanfareMetrics, latency_sum_ns) + size_of::<u64>();
        let lent = memory.writable::<FanfareMetrics>(input, minimum);
        // SAFETY: NULL or live, and writable as far as it says.
        let status = unsafe { fanfare_hub_metrics(pointer, lent.as_mut_ptr()) };
        met.fault(lent.fault_of_output()).check("fanfare_hub_metrics", status);
        return;
    }
    let size = input.below(200) * 200;
    let (mut buffer, mut length) = (vec![0_u8; size + 1], usize::MAX);
    *buffer.last_mut().expect("a byte") = 0xa5;
    let met = met.chance_if(true, FANFARE_ERR_BUFFER);
    // SAFETY: NULL or live, and there are as many bytes.
    let status =
        unsafe { fanfare_hub_prometheus(pointer, buffer.as_mut_ptr().cast(), size, &mut length) };
    let is_ok = met.check("fanfare_hub_prometheus", status);
    assert_eq!(buffer[size], 0xa5);
    assert!(hub.is_none() || is_ok == (length <= size), "{length} bytes in {size}");
    assert!(!is_ok || std::str::from_utf8(&buffer[..length]).is_ok());
}
