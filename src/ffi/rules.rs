//! Rules of topics across the border.

use std::mem::offset_of;
use std::time::Duration;

use super::answer;
use super::choices::{policy, FanfarePolicy, FanfarePolicyCode};
use super::fields::{init, over_defaults, tell_problem, Field};
use super::hub::{live, FanfareHub};
use super::lent::{with_copies, Lent};
use super::options::{Number as _, Refused};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::filter::{Filter, Subscription};
use crate::options::{Rule, RuleError, TopicOptions};
use crate::policy::Policy;

/// What a rule says of its topics. `fanfare_topic_options_defaults` makes one that says nothing; set what
/// the rule is about. An option that is `FANFARE_UNSET`, or for the policy 0, is that of the next rule
/// which matches all of the same topics, or else the hub's.
///
/// The struct grows at its end only, by options of which zero says nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareTopicOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The most events of a topic that are kept for clients that come back; 0 keeps none. In a hub whose
    /// own history_events_max is 0 it has to be `FANFARE_UNSET` or 0.
    /// Bounds: any. Default: none.
    pub history_events_max: u64,
    /// The most bytes of a topic's events that are kept, each event with 256 bytes more.
    /// Bounds: any. Default: none.
    pub history_bytes_max: u64,
    /// How long an event is kept.
    /// Bounds: at most 7 days. Default: none.
    pub history_age_max_ms: u64,
    /// How long a topic that was finished is known.
    /// Bounds: at most 7 days. Default: none.
    pub finished_age_max_ms: u64,
    /// What happens to a connection that lags too far, if its client chose no policy and all of its
    /// subscriptions have the same one by their rules: one of the constants of `fanfare_policy_code`.
    /// Bounds: disconnect, drop-oldest or conflate. Default: none.
    pub policy: FanfarePolicy,
    /// 0; keeps the struct's end where it is on every system.
    pub reserved: u32,
}

/// The size that the struct had in the ABI's first version.
const OPTIONS_SIZE_MIN: usize = offset_of!(FanfareTopicOptions, reserved) + size_of::<u32>();

const RESERVED: Field = Field { name: "reserved", bounds: "0" };

/// What a number of `fanfare_topic_options` is that says nothing. The header has it in `header.in`, as
/// a number that cffi reads too.
///
/// cbindgen:ignore
pub const FANFARE_UNSET: u64 = u64::MAX;

/// A rule of a hub, and what its topics hold at the moment: those of which no rule is more specific.
/// `fanfare_rule_empty` makes one to be filled.
///
/// The struct grows at its end only. What the library does not know of it is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareRule {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Its topic, or the filter that its topics match. It is in the memory of the `fanfare_rules`.
    pub subscription: FanfareText,
    /// As in `fanfare_topic_options`.
    pub history_events_max: u64,
    /// As in `fanfare_topic_options`.
    pub history_bytes_max: u64,
    /// As in `fanfare_topic_options`.
    pub history_age_max_ms: u64,
    /// As in `fanfare_topic_options`.
    pub finished_age_max_ms: u64,
    /// As in `fanfare_topic_options`.
    pub policy: FanfarePolicy,
    /// Topics that have a subscriber, or events that are kept, or are finished.
    pub topics: u64,
    /// Topics that are finished.
    pub finished_topics: u64,
    /// Events that are kept.
    pub kept_events: u64,
    /// What they take: their bytes, 256 more for each of them, and 512 for each topic that has such or is
    /// finished.
    pub kept_bytes: u64,
}

/// The size that the struct had in the ABI's first version.
const RULE_SIZE_MIN: usize = offset_of!(FanfareRule, kept_bytes) + size_of::<u64>();

/// The rules of a hub as they were at one moment. Opaque, and always used by pointer. `fanfare_hub_rules`
/// makes it and `fanfare_rules_free` frees it. It does not change, and outlives the hub.
#[derive(Debug)]
pub struct FanfareRules {
    rules: Vec<Rule>,
}

/// Fills in that the rule says nothing. `options->size` has to be set before, and stays as it is. What
/// the library does not know, of a struct that is larger than the library's own, is set to zero.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when `options`
/// is NULL or its size is that of no version.
///
/// # Safety
///
/// `options` has to be NULL, or to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_topic_options_init(
    options: *mut FanfareTopicOptions,
) -> FanfareStatus {
    let blank = FanfareTopicOptions::of(&TopicOptions::default());
    // SAFETY: as the caller promises.
    answer(|| unsafe { init(options, OPTIONS_SIZE_MIN, blank) })
}

/// Finds the first option that `fanfare_hub_set_rule` would refuse in a hub that keeps events, as
/// `fanfare_options_problem` does.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` when a pointer is NULL or the size is that of no version.
///
/// # Safety
///
/// `options` has to be NULL or to point to `options->size` readable bytes, and the others to be NULL or
/// writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_topic_options_problem(
    options: *const FanfareTopicOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareTopicOptions::read(options), name_out, bounds_out) }
    })
}

/// Sets the rule of a topic, or of all topics that match a filter ('+' for one level, '#' at the end for
/// all that follow): how much of each is kept, for how long, and the policy of its streams. Options that
/// were set before for the same topic or filter are replaced, all of them. The topics need not exist;
/// where they do, what the rule allows no longer is forgotten before the call returns. A policy holds for
/// streams that are opened later.
///
/// The most specific rule that matches a topic applies to it: the topic's own before those of filters; of
/// filters, compared level by level, one with a name before one with '+', and that before one with '#'.
/// The hub's bounds over all topics hold beside those of the rules.
///
/// Threads: any, several at once. It takes time for the topics that there are whose names begin as the
/// filter does; publishers are held up for a moment at most. Ownership: the text and the options stay the
/// caller's. Errors, after each of which nothing has changed: `FANFARE_ERR_SUBSCRIPTION`;
/// `FANFARE_ERR_OPTIONS`, and `fanfare_topic_options_problem` says which option, unless the hub keeps no
/// events and the rule would; `FANFARE_ERR_LIMIT` when the hub has 1,024 other rules;
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub, `subscription` as many readable bytes as it says, and `options`
/// NULL or `options->size` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_set_rule(
    hub: *const FanfareHub,
    subscription: FanfareText,
    options: *const FanfareTopicOptions,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let (hub, options) = unsafe { (&live(hub)?.hub, FanfareTopicOptions::read(options)?) };
        // SAFETY: as the caller promises.
        let subscription = unsafe { subscription_of(subscription) }?;
        hub.set_rule(&subscription, options).map_err(|error| match error {
            RuleError::Options(_) => Status::FANFARE_ERR_OPTIONS,
            RuleError::TooMany => Status::FANFARE_ERR_LIMIT,
        })
    })
}

/// Removes the rule of a topic or filter. Its topics have the next rule that matches them from then on,
/// or the hub's options. On success `*removed_out`, unless `removed_out` is NULL, is 1 if there was such a
/// rule, and 0 if there was none.
///
/// Threads: any, several at once; as `fanfare_hub_set_rule`. Ownership: the text stays the caller's.
/// Errors: `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub, `subscription` as many readable bytes as it says, and
/// `removed_out` NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_remove_rule(
    hub: *const FanfareHub,
    subscription: FanfareText,
    removed_out: *mut u32,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, subscription) = unsafe { (&live(hub)?.hub, subscription_of(subscription)?) };
        let removed = hub.remove_rule(&subscription);
        if !removed_out.is_null() {
            // SAFETY: writable as the caller promises.
            unsafe { *removed_out = removed.into() };
        }
        Ok(())
    })
}

/// Lists the rules of a hub, in no order, and what the topics of each hold at the moment. On success
/// `*list_out` is the list.
///
/// Threads: any, several at once. Ownership: the list is the caller's, to be freed with
/// `fanfare_rules_free`. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub, and `list_out` NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_rules(
    hub: *const FanfareHub,
    list_out: *mut *mut FanfareRules,
) -> FanfareStatus {
    answer(|| {
        if list_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let rules = unsafe { live(hub) }?.hub.rules();
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *list_out = Box::into_raw(Box::new(FanfareRules { rules })) };
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
pub unsafe extern "C" fn fanfare_rules_count(list: *const FanfareRules) -> usize {
    // SAFETY: as the caller promises.
    unsafe { list.as_ref() }.map_or(0, |list| list.rules.len())
}

/// Reads one rule of a list. `rule_out->size` has to be set before, as `fanfare_rule_empty` does, and
/// stays as it is.
///
/// Threads: any, several at once. Ownership: the struct stays the caller's; its text is the list's, and
/// valid until that is freed. Errors: `FANFARE_ERR_ARGUMENT` when a pointer is NULL, the list has no rule
/// at `index`, or the size is that of no version.
///
/// # Safety
///
/// `list` has to be NULL or a list that was not freed, and `rule_out` NULL or `rule_out->size` writable
/// bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_rules_get(
    list: *const FanfareRules,
    index: usize,
    rule_out: *mut FanfareRule,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let rule = unsafe { list.as_ref() }.and_then(|list| list.rules.get(index));
        let rule = rule.ok_or(Status::FANFARE_ERR_ARGUMENT)?;
        // SAFETY: as the caller promises.
        unsafe { init(rule_out, RULE_SIZE_MIN, FanfareRule::of(rule)) }
    })
}

/// Frees a list of rules, and the texts that were read of it. NULL does nothing.
///
/// Threads: any one, while no other call with this list is under way, and none comes afterwards.
/// Ownership: the list is gone. Errors: none.
///
/// # Safety
///
/// `list` has to be NULL, or a list that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_rules_free(list: *mut FanfareRules) {
    answer(|| {
        if !list.is_null() {
            // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(list) });
        }
        Ok(())
    });
}

/// The topic or filter that the caller names.
///
/// # Safety
///
/// It has to be as many readable bytes as it says.
unsafe fn subscription_of(given: FanfareText) -> Result<Subscription, Status> {
    let text = Lent::new(given, Filter::BYTES_MAX, Status::FANFARE_ERR_SUBSCRIPTION)?;
    let mut subscription = None;
    let read = |[text]: [Option<&[u8]>; 1]| {
        let text = text.ok_or(Status::FANFARE_ERR_SUBSCRIPTION)?;
        let read = Subscription::from_utf8(text);
        subscription = Some(read.map_err(|_| Status::FANFARE_ERR_SUBSCRIPTION)?);
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { with_copies([text], read) }?;
    subscription.ok_or(Status::FANFARE_ERR_SUBSCRIPTION)
}

impl FanfareTopicOptions {
    fn of(options: &TopicOptions) -> FanfareTopicOptions {
        FanfareTopicOptions {
            size: size_of::<FanfareTopicOptions>(),
            history_events_max: options.history_events_max.map_or(FANFARE_UNSET, usize::to_number),
            history_bytes_max: options.history_bytes_max.map_or(FANFARE_UNSET, usize::to_number),
            history_age_max_ms: options.history_age_max.map_or(FANFARE_UNSET, Duration::to_number),
            finished_age_max_ms: options
                .finished_age_max
                .map_or(FANFARE_UNSET, Duration::to_number),
            policy: options.policy.map_or(0, |policy| number_of(policy) as FanfarePolicy),
            reserved: 0,
        }
    }

    /// The caller's options, within their bounds.
    ///
    /// # Safety
    ///
    /// `options` has to point to `options->size` readable bytes.
    unsafe fn read(options: *const FanfareTopicOptions) -> Result<TopicOptions, Refused> {
        let blank = FanfareTopicOptions::of(&TopicOptions::default());
        // SAFETY: as the caller promises.
        let read = unsafe { over_defaults(options, OPTIONS_SIZE_MIN, blank) }?;
        if read.reserved != 0 {
            return Err(RESERVED.refused());
        }
        let number = |number| (number != FANFARE_UNSET).then(|| usize::of_number(number));
        let time = |ms| (ms != FANFARE_UNSET).then(|| Duration::from_millis(ms));
        let options = TopicOptions {
            history_events_max: number(read.history_events_max),
            history_bytes_max: number(read.history_bytes_max),
            history_age_max: time(read.history_age_max_ms),
            finished_age_max: time(read.finished_age_max_ms),
            policy: policy(read.policy)?,
        };
        let times = ["history_age_max_ms", "finished_age_max_ms"];
        options.check().map_err(|error| Field::of(error, &times, &[]))?;
        Ok(options)
    }
}

fn number_of(policy: Policy) -> FanfarePolicyCode {
    match policy {
        Policy::Disconnect => FanfarePolicyCode::FANFARE_POLICY_DISCONNECT,
        Policy::DropOldest => FanfarePolicyCode::FANFARE_POLICY_DROP_OLDEST,
        Policy::Conflate => FanfarePolicyCode::FANFARE_POLICY_CONFLATE,
    }
}

impl FanfareRule {
    fn of(rule: &Rule) -> FanfareRule {
        let options = FanfareTopicOptions::of(&rule.options);
        let text = rule.subscription.as_str();
        FanfareRule {
            size: size_of::<FanfareRule>(),
            subscription: FanfareText { data: text.as_ptr().cast(), length: text.len() },
            history_events_max: options.history_events_max,
            history_bytes_max: options.history_bytes_max,
            history_age_max_ms: options.history_age_max_ms,
            finished_age_max_ms: options.finished_age_max_ms,
            policy: options.policy,
            topics: rule.topics,
            finished_topics: rule.finished_topics,
            kept_events: rule.kept_events,
            kept_bytes: rule.kept_bytes,
        }
    }
}
