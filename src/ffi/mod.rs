//! The C ABI: converts, calls, converts. `include/fanfare.h` is made from here: `header.in` is its
//! outline, and cbindgen makes each section's declarations of the file that has them.
//!
//! Rules that hold for every function: nothing unwinds across the border; texts are pointer and
//! length, are copied once, and only the copy is looked at (`lent.rs`); outputs come last and are
//! written on success only; and a hub of another process is refused in a child, however that was
//! forked, since its threads are not there.

#![allow(unsafe_code)]

mod adopt;
mod ask;
mod authorizer;
mod choices;
mod connections;
mod disconnect;
mod doorbell;
mod drain;
mod event;
mod fields;
mod finish;
mod grant;
#[cfg(feature = "tickets")]
mod granted;
mod header_field;
mod hub;
mod kept;
mod lent;
mod listen_options;
mod listener;
mod listeners;
mod log;
mod metrics;
mod notice;
mod notices;
mod options;
mod origin;
mod patience;
mod pending;
mod publish;
mod queue;
mod ready;
mod reason;
mod rules;
#[cfg(feature = "tickets")]
mod signing;
mod status;
mod stream;
mod stream_options;
#[cfg(feature = "capi-testing")]
mod testing;
mod text;
#[cfg(feature = "tickets")]
mod tickets;
#[cfg(feature = "tickets")]
mod tokens;
mod topic;
mod version;
mod watch;

pub use adopt::{FanfareAdoptRequest, fanfare_hub_adopt};
pub use ask::{FanfareAskOptions, fanfare_ask_options_init, fanfare_ask_options_problem, fanfare_authorizer_allow, fanfare_authorizer_new_ask, fanfare_authorizer_refuse};
pub use authorizer::{FanfareAuthorizer, fanfare_authorizer_free};
pub use choices::{FANFARE_POLICIES_THESE, FanfareEnvelope, FanfareEnvelopeCode, FanfareHeartbeat, FanfareHeartbeatCode, FanfarePolicy, FanfarePolicyCode, FanfareStart, FanfareStartCode};
pub use connections::{FanfareConnection, FanfareConnectionFilter, FanfareConnectionState, FanfareConnectionStateCode, FanfareConnections, FanfareSubscriptionCount, FanfareSubscriptionCounts, fanfare_connections_count, fanfare_connections_free, fanfare_connections_get, fanfare_hub_connection, fanfare_hub_connections, fanfare_hub_subscribers, fanfare_hub_subscription_counts, fanfare_subscription_counts_count, fanfare_subscription_counts_free, fanfare_subscription_counts_get};
pub use disconnect::{fanfare_hub_disconnect, fanfare_hub_disconnect_all, fanfare_hub_disconnect_subscription, fanfare_hub_disconnect_tag, fanfare_hub_set_subscriptions};
pub use drain::{FanfareDrainOptions, FanfareDrained, fanfare_drain_options_init, fanfare_drain_options_problem, fanfare_hub_drain};
pub use event::{FANFARE_EVENT_ID_BYTES_MAX, FanfareEvent, FanfareEventId};
pub use finish::{fanfare_hub_finish, fanfare_hub_finish_topic};
pub use grant::{FanfareGrant, FanfareRefusal, fanfare_grant_problem, fanfare_refusal_problem};
#[cfg(feature = "tickets")]
pub use granted::{FanfareGranted, fanfare_granted_free, fanfare_granted_grant, fanfare_granted_is_current};
pub use header_field::{FanfareHeader};
pub use hub::{FanfareHub, fanfare_hub_close, fanfare_hub_free, fanfare_hub_new};
pub use listen_options::{FANFARE_FORWARDED_FORWARDED, FANFARE_FORWARDED_X_FORWARDED_FOR, FANFARE_OVERLOAD_COME_AGAIN, FANFARE_OVERLOAD_UNAVAILABLE, FANFARE_QUERY_TOPICS_ANY, FANFARE_QUERY_TOPICS_NONE, FanfareListenOptions, FanfareRoute, fanfare_listen_options_init, fanfare_listen_options_problem};
pub use listener::{FanfareListener, fanfare_hub_listen, fanfare_hub_listen_on, fanfare_listener_address, fanfare_listener_close};
pub use log::{FANFARE_LOG_BYTES_MAX, FanfareLogCallback, FanfareLogDestructor, FanfareLogLevel, FanfareLogLevelCode, FanfareLogRecord, fanfare_log_set};
pub use metrics::{FANFARE_METRICS_REASONS_MAX, FanfareGapReasonCode, FanfareMetrics, fanfare_hub_metrics, fanfare_hub_prometheus};
pub use notice::{FanfareConnectionId, FanfareNotice, FanfareNoticeKind, FanfareNoticeKindCode, FanfareRequest};
pub use notices::{FanfareNotices, fanfare_notices_doorbell, fanfare_notices_drain, fanfare_notices_free, fanfare_notices_new, fanfare_notices_remove};
pub use options::{FanfareOptions, fanfare_options_init, fanfare_options_problem};
pub use publish::{FanfarePublication, fanfare_hub_publish, fanfare_hub_publish_many, fanfare_hub_publish_to, fanfare_hub_publish_wait};
pub use reason::{FanfareDisconnectReason, FanfareDisconnectReasonCode, fanfare_disconnect_reason_name};
pub use rules::{FanfareRule, FanfareRules, FanfareTopicOptions, fanfare_hub_remove_rule, fanfare_hub_rules, fanfare_hub_set_rule, fanfare_rules_at, fanfare_rules_free, fanfare_topic_options_init, fanfare_topic_options_problem};
#[cfg(feature = "tickets")]
pub use signing::{FanfareSigningKey, FanfareTokenClaims, fanfare_signing_key_free, fanfare_signing_key_new, fanfare_signing_key_sign};
pub use status::{FanfareStatus, FanfareStatusCode, fanfare_strerror};
pub use stream::{FanfareStream, fanfare_hub_subscribe, fanfare_stream_end, fanfare_stream_free, fanfare_stream_headers, fanfare_stream_id, fanfare_stream_is_complete, fanfare_stream_next, fanfare_stream_notify};
pub use stream_options::{FanfareStreamOptions, fanfare_stream_options_init, fanfare_stream_options_problem};
#[cfg(feature = "capi-testing")]
pub use testing::{fanfare_testing_panic_next};
pub use text::{FanfareText};
#[cfg(feature = "tickets")]
pub use tickets::{FANFARE_TICKET_BYTES_MAX, FanfareAccessOptions, FanfareTicket, FanfareTicketOptions, FanfareTickets, fanfare_access_options_problem, fanfare_authorizer_new_tickets, fanfare_ticket_options_init, fanfare_ticket_options_problem, fanfare_tickets_free, fanfare_tickets_issue, fanfare_tickets_new, fanfare_tickets_redeem};
#[cfg(feature = "tickets")]
pub use tokens::{FANFARE_KEY_FILE, FANFARE_KEY_JWKS, FanfareKey, FanfareTokenOptions, FanfareTokens, fanfare_keys_problem, fanfare_token_options_init, fanfare_token_options_problem, fanfare_tokens_free, fanfare_tokens_new, fanfare_tokens_set_keys, fanfare_tokens_verify};
pub use topic::{FanfareTopic, fanfare_topic_free, fanfare_topic_new};
pub use version::{FANFARE_ABI_VERSION, fanfare_abi_version};
pub use watch::{fanfare_hub_watch_connections, fanfare_hub_watch_interest};

use std::panic::{catch_unwind, AssertUnwindSafe};

use status::Status;

/// Runs a function's body, and turns its outcome into the code that the caller gets.
fn answer(body: impl FnOnce() -> Result<(), Status>) -> FanfareStatus {
    #[cfg(feature = "capi-testing")]
    let body = || {
        testing::panic_if_due();
        body()
    };
    // What a panic leaves behind is the hub's, whose locks stay right (`order/`).
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::FANFARE_OK as FanfareStatus,
        Ok(Err(status)) => status as FanfareStatus,
        Err(_) => Status::FANFARE_ERR_PANIC as FanfareStatus,
    }
}
