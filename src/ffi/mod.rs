//! The C ABI: converts, calls, converts. `include/fanfare.h` is made from here: `header.in` is its
//! outline, and cbindgen makes each section's declarations of the file that has them.
//!
//! Rules that hold for every function: nothing unwinds across the border; texts are pointer and
//! length, are copied once, and only the copy is looked at (`lent.rs`); outputs come last and are
//! written on success only; and a hub of another process is refused in a child, however that was
//! forked, since its threads are not there.

#![allow(unsafe_code)]

mod adopt;
mod authorizer;
mod choices;
mod doorbell;
mod event;
mod fields;
mod finish;
mod header_field;
mod hub;
mod kept;
mod lent;
mod listen_options;
mod listener;
mod notice;
mod notices;
mod options;
mod origin;
mod patience;
mod publish;
mod queue;
mod ready;
mod reason;
mod status;
mod stream;
mod stream_options;
mod text;
mod topic;
mod version;
mod watch;

pub use adopt::{FanfareAdoptRequest, fanfare_hub_adopt};
pub use authorizer::{FanfareAuthorizer, fanfare_authorizer_free};
pub use choices::{FANFARE_POLICIES_THESE, FanfareEnvelope, FanfareEnvelopeCode, FanfareHeartbeat, FanfareHeartbeatCode, FanfarePolicy, FanfarePolicyCode, FanfareStart, FanfareStartCode};
pub use event::{FANFARE_EVENT_ID_BYTES_MAX, FanfareEvent, FanfareEventId};
pub use finish::{fanfare_hub_finish, fanfare_hub_finish_topic};
pub use header_field::{FanfareHeader};
pub use hub::{FanfareHub, fanfare_hub_close, fanfare_hub_free, fanfare_hub_new};
pub use listen_options::{FANFARE_FORWARDED_FORWARDED, FANFARE_FORWARDED_X_FORWARDED_FOR, FANFARE_OVERLOAD_COME_AGAIN, FANFARE_OVERLOAD_UNAVAILABLE, FANFARE_QUERY_TOPICS_ANY, FANFARE_QUERY_TOPICS_NONE, FanfareListenOptions, FanfareRoute, fanfare_listen_options_init, fanfare_listen_options_problem};
pub use listener::{FanfareListener, fanfare_hub_listen, fanfare_hub_listen_on, fanfare_listener_address, fanfare_listener_close};
pub use notice::{FanfareConnectionId, FanfareNotice, FanfareNoticeKind, FanfareNoticeKindCode};
pub use notices::{FanfareNotices, fanfare_notices_doorbell, fanfare_notices_drain, fanfare_notices_free, fanfare_notices_new, fanfare_notices_remove};
pub use options::{FanfareOptions, fanfare_options_init, fanfare_options_problem};
pub use publish::{FanfarePublication, fanfare_hub_publish, fanfare_hub_publish_many, fanfare_hub_publish_to, fanfare_hub_publish_wait};
pub use reason::{
    fanfare_disconnect_reason_name, FanfareDisconnectReason, FanfareDisconnectReasonCode,
};
pub use status::{fanfare_strerror, FanfareStatus, FanfareStatusCode};
pub use stream::{
    fanfare_hub_subscribe, fanfare_stream_end, fanfare_stream_free, fanfare_stream_headers,
    fanfare_stream_is_complete, fanfare_stream_next, FanfareStream,
};
pub use stream_options::{
    fanfare_stream_options_init, fanfare_stream_options_problem, FanfareStreamOptions,
};
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
