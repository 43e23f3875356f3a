//! The C ABI: converts, calls, converts. `include/fanfare.h` is made from here: `header.in` is its
//! outline, and cbindgen makes each section's declarations of the file that has them.
//!
//! Rules that hold for every function: nothing unwinds across the border; texts are pointer and
//! length, are copied once, and only the copy is looked at (`lent.rs`); outputs come last and are
//! written on success only; and a hub of another process is refused in a child, however that was
//! forked, since its threads are not there.

#![allow(unsafe_code)]

mod admit;
mod adopt;
mod ask;
mod authorizer;
mod choices;
mod cluster_connections;
mod connections;
mod disconnect;
mod doorbell;
mod drain;
mod event;
mod fallback;
mod fields;
mod finish;
mod flush;
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
mod log_record;
mod log_watch;
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
mod space;
mod status;
mod stream;
mod stream_options;
mod subscription;
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

pub use admit::{
    fanfare_listener_admit, fanfare_listener_has_streams_at, fanfare_listener_is_named,
    FanfareAdmitRequest,
};
pub use adopt::{fanfare_hub_adopt, FanfareAdoptRequest};
pub use ask::{
    fanfare_ask_options_init, fanfare_ask_options_problem, fanfare_authorizer_allow,
    fanfare_authorizer_give_up, fanfare_authorizer_new_ask, fanfare_authorizer_refuse,
    FanfareAskOptions,
};
pub use authorizer::{fanfare_authorizer_free, FanfareAuthorizer};
pub use choices::{
    FanfareDurability, FanfareDurabilityCode, FanfareEnvelope, FanfareEnvelopeCode,
    FanfareHeartbeat, FanfareHeartbeatCode, FanfarePolicy, FanfarePolicyCode, FanfareStart,
    FanfareStartCode, FANFARE_POLICIES_THESE,
};
pub use cluster_connections::{
    fanfare_hub_cluster_connections, fanfare_hub_cluster_subscribers, FanfareClusterCount,
};
pub use connections::{
    fanfare_connection_state_name, fanfare_connections_count, fanfare_connections_free,
    fanfare_connections_get, fanfare_hub_connection, fanfare_hub_connections,
    fanfare_hub_subscribers, fanfare_hub_subscription_counts, fanfare_subscription_counts_count,
    fanfare_subscription_counts_free, fanfare_subscription_counts_get, FanfareConnection,
    FanfareConnectionFilter, FanfareConnectionState, FanfareConnectionStateCode,
    FanfareConnections, FanfareSubscriptionCount, FanfareSubscriptionCounts,
};
pub use disconnect::{
    fanfare_hub_disconnect, fanfare_hub_disconnect_all, fanfare_hub_disconnect_subscription,
    fanfare_hub_disconnect_tag, fanfare_hub_set_subscriptions,
};
pub use drain::{
    fanfare_drain_options_init, fanfare_drain_options_problem, fanfare_hub_drain,
    FanfareDrainOptions, FanfareDrained,
};
pub use event::{FanfareEvent, FanfareEventId, FANFARE_EVENT_ID_BYTES_MAX};
pub use fallback::{
    fanfare_fallback_free, fanfare_fallback_new, fanfare_fallback_take, FanfareFallback,
};
pub use finish::{fanfare_hub_finish, fanfare_hub_finish_topic};
pub use flush::fanfare_hub_flush;
pub use grant::{fanfare_grant_problem, fanfare_refusal_problem, FanfareGrant, FanfareRefusal};
#[cfg(feature = "tickets")]
pub use granted::{
    fanfare_granted_free, fanfare_granted_grant, fanfare_granted_is_current, FanfareGranted,
};
pub use header_field::FanfareHeader;
pub use hub::{fanfare_hub_close, fanfare_hub_free, fanfare_hub_new, FanfareHub};
pub use listen_options::{
    fanfare_listen_options_init, fanfare_listen_options_problem, FanfareListenOptions,
    FanfareRoute, FANFARE_FORWARDED_FORWARDED, FANFARE_FORWARDED_X_FORWARDED_FOR,
    FANFARE_OVERLOAD_COME_AGAIN, FANFARE_OVERLOAD_UNAVAILABLE, FANFARE_QUERY_TOPICS_ANY,
    FANFARE_QUERY_TOPICS_NONE,
};
pub use listener::{
    fanfare_hub_listen, fanfare_hub_listen_on, fanfare_listener_address, fanfare_listener_close,
    FanfareListener,
};
pub use log::{fanfare_log_set, FanfareLogCallback, FanfareLogDestructor};
pub use log_record::{
    FanfareLogLevel, FanfareLogLevelCode, FanfareLogRecord, FANFARE_LOG_BYTES_MAX,
};
pub use log_watch::fanfare_log_watch;
pub use metrics::{
    fanfare_hub_metrics, fanfare_hub_prometheus, FanfareMetrics, FANFARE_METRICS_REASONS_MAX,
};
pub use notice::{
    FanfareConnectionId, FanfareNotice, FanfareNoticeKind, FanfareNoticeKindCode, FanfareRequest,
};
pub use notices::{
    fanfare_notices_doorbell, fanfare_notices_drain, fanfare_notices_free, fanfare_notices_new,
    fanfare_notices_remove, FanfareNotices,
};
pub use options::{fanfare_options_init, fanfare_options_problem, FanfareOptions};
pub use publish::{
    fanfare_hub_publish, fanfare_hub_publish_many, fanfare_hub_publish_to,
    fanfare_hub_publish_wait, FanfarePublication,
};
pub use reason::{
    fanfare_disconnect_reason_name, fanfare_gap_reason_name, FanfareDisconnectReason,
    FanfareDisconnectReasonCode, FanfareGapReason, FanfareGapReasonCode,
};
pub use rules::{
    fanfare_hub_remove_rule, fanfare_hub_rules, fanfare_hub_set_rule, fanfare_rules_count,
    fanfare_rules_free, fanfare_rules_get, fanfare_topic_options_init,
    fanfare_topic_options_problem, FanfareRule, FanfareRules, FanfareTopicOptions, FANFARE_UNSET,
};
#[cfg(feature = "tickets")]
pub use signing::{
    fanfare_signing_key_free, fanfare_signing_key_new, fanfare_signing_key_sign, FanfareSigningKey,
    FanfareTokenClaims,
};
pub use space::fanfare_hub_notify_space;
pub use status::{fanfare_strerror, FanfareStatus, FanfareStatusCode};
pub use stream::{
    fanfare_hub_subscribe, fanfare_stream_end, fanfare_stream_free, fanfare_stream_headers,
    fanfare_stream_id, fanfare_stream_is_complete, fanfare_stream_next, fanfare_stream_notify,
    FanfareStream,
};
pub use stream_options::{
    fanfare_stream_options_init, fanfare_stream_options_problem, FanfareStreamOptions,
};
pub use subscription::fanfare_subscription_covers;
#[cfg(feature = "capi-testing")]
pub use testing::fanfare_testing_panic_next;
pub use text::FanfareText;
#[cfg(feature = "tickets")]
pub use tickets::{
    fanfare_access_options_problem, fanfare_authorizer_new_tickets, fanfare_ticket_options_init,
    fanfare_ticket_options_problem, fanfare_tickets_free, fanfare_tickets_issue,
    fanfare_tickets_look_up, fanfare_tickets_new, fanfare_tickets_redeem, FanfareAccessOptions,
    FanfareTicket, FanfareTicketOptions, FanfareTickets, FANFARE_TICKET_BYTES_MAX,
};
#[cfg(feature = "tickets")]
pub use tokens::{
    fanfare_keys_problem, fanfare_token_options_init, fanfare_token_options_problem,
    fanfare_tokens_free, fanfare_tokens_new, fanfare_tokens_set_keys, fanfare_tokens_verify,
    FanfareKey, FanfareTokenOptions, FanfareTokens, FANFARE_KEY_FILE, FANFARE_KEY_JWKS,
};
pub use topic::{fanfare_topic_free, fanfare_topic_new, FanfareTopic};
pub use version::{fanfare_abi_version, FANFARE_ABI_VERSION};
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
