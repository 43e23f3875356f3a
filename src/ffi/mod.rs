//! The C ABI: converts, calls, converts. `include/fanfare.h` is made from here: `header.in` is its
//! outline, and cbindgen makes each section's declarations of the file that has them.
//!
//! Rules that hold for every function: nothing unwinds across the border; texts are pointer and
//! length, are copied once, and only the copy is looked at (`lent.rs`); outputs come last and are
//! written on success only; and a hub of another process is refused in a child, however that was
//! forked, since its threads are not there.

#![allow(unsafe_code)]

mod choices;
mod doorbell;
mod drain;
mod event;
mod fields;
mod finish;
mod hub;
mod kept;
mod lent;
mod notice;
mod notices;
mod metrics;
mod options;
mod origin;
mod patience;
mod publish;
mod queue;
mod ready;
mod reason;
mod rules;
mod status;
mod text;
mod topic;
mod version;
mod watch;

pub use choices::{FanfareHeartbeat, FanfareHeartbeatCode, FanfarePolicy, FanfarePolicyCode};
pub use drain::{
    fanfare_drain_options_init, fanfare_drain_options_problem, fanfare_hub_drain,
    FanfareDrainOptions, FanfareDrained,
};
pub use event::{FanfareEvent, FanfareEventId, FANFARE_EVENT_ID_BYTES_MAX};
pub use finish::{fanfare_hub_finish, fanfare_hub_finish_topic};
pub use hub::{
    fanfare_hub_close, fanfare_hub_free, fanfare_hub_listen, fanfare_hub_new, FanfareHub,
};
pub use notice::{FanfareConnectionId, FanfareNotice, FanfareNoticeKind, FanfareNoticeKindCode};
pub use notices::{
    fanfare_notices_doorbell, fanfare_notices_drain, fanfare_notices_free, fanfare_notices_new,
    fanfare_notices_remove, FanfareNotices,
pub use metrics::{
    fanfare_hub_metrics, fanfare_hub_prometheus, FanfareGapReasonCode, FanfareMetrics,
    FANFARE_METRICS_REASONS_MAX,
};
pub use options::{fanfare_options_init, fanfare_options_problem, FanfareOptions};
pub use publish::{
    fanfare_hub_publish, fanfare_hub_publish_many, fanfare_hub_publish_to,
    fanfare_hub_publish_wait, FanfarePublication,
};
pub use reason::{
    fanfare_disconnect_reason_name, FanfareDisconnectReason, FanfareDisconnectReasonCode,
};
pub use rules::{
    fanfare_hub_remove_rule, fanfare_hub_rules, fanfare_hub_set_rule, fanfare_rules_at,
    fanfare_rules_free, fanfare_topic_options_init, fanfare_topic_options_problem, FanfareRule,
    FanfareRules, FanfareTopicOptions,
};
pub use status::{fanfare_strerror, FanfareStatus, FanfareStatusCode};
pub use text::FanfareText;
pub use topic::{fanfare_topic_free, fanfare_topic_new, FanfareTopic};
pub use version::{fanfare_abi_version, FANFARE_ABI_VERSION};
pub use watch::{fanfare_hub_watch_connections, fanfare_hub_watch_interest};

use std::panic::{catch_unwind, AssertUnwindSafe};

use status::Status;

/// Runs a function's body, and turns its outcome into the code that the caller gets.
fn answer(body: impl FnOnce() -> Result<(), Status>) -> FanfareStatus {
    // What a panic leaves behind is the hub's, whose locks stay right (`order/`).
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::FANFARE_OK as FanfareStatus,
        Ok(Err(status)) => status as FanfareStatus,
        Err(_) => Status::FANFARE_ERR_PANIC as FanfareStatus,
    }
}
