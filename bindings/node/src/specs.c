/* The fields of the ABI's structs by the names that they have here: history_age_max_ms is
 * historyAgeMaxMs. */

#include "addon.h"

const choice POLICY_CHOICES[] = {{"disconnect", FANFARE_POLICY_DISCONNECT},
                                 {"drop-oldest", FANFARE_POLICY_DROP_OLDEST},
                                 {"conflate", FANFARE_POLICY_CONFLATE},
                                 {NULL, 0}};
static const choice DURABILITY_CHOICES[] = {{"os", FANFARE_DURABILITY_OS},
                                            {"interval", FANFARE_DURABILITY_INTERVAL},
                                            {"always", FANFARE_DURABILITY_ALWAYS},
                                            {NULL, 0}};
const choice HEARTBEAT_CHOICES[] = {{"id", FANFARE_HEARTBEAT_ID},
                                    {"comment", FANFARE_HEARTBEAT_COMMENT},
                                    {"event", FANFARE_HEARTBEAT_EVENT},
                                    {NULL, 0}};
const choice ENVELOPE_CHOICES[] = {
    {"none", FANFARE_ENVELOPE_NONE}, {"json", FANFARE_ENVELOPE_JSON}, {NULL, 0}};
static const choice FORWARDED_CHOICES[] = {
    {"x-forwarded-for", FANFARE_FORWARDED_X_FORWARDED_FOR},
    {"forwarded", FANFARE_FORWARDED_FORWARDED},
    {NULL, 0}};
static const choice OVERLOAD_CHOICES[] = {{"come-again", FANFARE_OVERLOAD_COME_AGAIN},
                                          {"unavailable", FANFARE_OVERLOAD_UNAVAILABLE},
                                          {NULL, 0}};
static const choice QUERY_TOPICS_CHOICES[] = {
    {"none", FANFARE_QUERY_TOPICS_NONE}, {"any", FANFARE_QUERY_TOPICS_ANY}, {NULL, 0}};

/* A field of one value, a list with its count beside it, and a name among choices. */
#define ONE(kind, name, struct, member) {name, kind, offsetof(struct, member), 0, NULL}
#define LIST(kind, name, struct, member)                                                           \
    {name, kind, offsetof(struct, member), offsetof(struct, member##_count), NULL}
#define START(name, struct, member)                                                                \
    {name, FIELD_START, offsetof(struct, member), offsetof(struct, member##_last), NULL}
#define CHOICE(name, struct, member, choices)                                                      \
    {name, FIELD_CHOICE, offsetof(struct, member), 0, choices}

static const field HUB_FIELDS[] = {
#define U64(name, member) ONE(FIELD_U64, name, fanfare_options, member)
    U64("shards", shards),
    U64("heartbeatMs", heartbeat_ms),
    U64("retryMs", retry_ms),
    U64("eventBytesMax", event_bytes_max),
    U64("batchBytesMax", batch_bytes_max),
    U64("topicBacklogBytesMax", topic_backlog_bytes_max),
    U64("backlogBytesMax", backlog_bytes_max),
    U64("historyEventsMax", history_events_max),
    U64("historyBytesMax", history_bytes_max),
    U64("historyAgeMaxMs", history_age_max_ms),
    U64("historyTotalBytesMax", history_total_bytes_max),
    U64("lagBytesMax", lag_bytes_max),
    U64("lagAgeMaxMs", lag_age_max_ms),
    U64("lagGraceMs", lag_grace_ms),
    U64("lagGracePercent", lag_grace_percent),
    U64("lagTotalBytesMax", lag_total_bytes_max),
    U64("stallTimeMaxMs", stall_time_max_ms),
    U64("connectionsMax", connections_max),
    U64("connectionsPerAddressMax", connections_per_address_max),
    U64("subscriptionsMax", subscriptions_max),
    U64("subscriptionsPerAddressMax", subscriptions_per_address_max),
    U64("connectionAgeMaxMs", connection_age_max_ms),
    ONE(FIELD_FLAG, "anyHost", fanfare_options, any_host),
    U64("finishedAgeMaxMs", finished_age_max_ms),
    CHOICE("heartbeatForm", fanfare_options, heartbeat_form, HEARTBEAT_CHOICES),
    CHOICE("policy", fanfare_options, policy, POLICY_CHOICES),
    ONE(FIELD_TEXT, "gapEvent", fanfare_options, gap_event),
    ONE(FIELD_TEXT, "dataDir", fanfare_options, data_dir),
    CHOICE("durability", fanfare_options, durability, DURABILITY_CHOICES),
    U64("syncIntervalMs", sync_interval_ms),
    U64("journalBacklogBytesMax", journal_backlog_bytes_max),
    ONE(FIELD_TEXT, "clusterUrl", fanfare_options, cluster_url),
    ONE(FIELD_TEXT, "clusterPrefix", fanfare_options, cluster_prefix),
    ONE(FIELD_TEXT, "clusterCaFile", fanfare_options, cluster_ca_file),
    U64("clusterStreamEventsMax", cluster_stream_events_max),
    U64("clusterStreamBytesMax", cluster_stream_bytes_max),
    U64("clusterBacklogBytesMax", cluster_backlog_bytes_max),
#undef U64
};

static const field LISTEN_FIELDS[] = {
#define U64(name, member) ONE(FIELD_U64, name, fanfare_listen_options, member)
#define TEXTS(name, member) LIST(FIELD_TEXTS, name, fanfare_listen_options, member)
    ONE(FIELD_TEXT, "path", fanfare_listen_options, path),
    ONE(FIELD_TEXT, "healthPath", fanfare_listen_options, health_path),
    LIST(FIELD_ROUTES, "routes", fanfare_listen_options, routes),
    LIST(FIELD_HEADERS, "headers", fanfare_listen_options, headers),
    TEXTS("corsOrigins", cors_origins),
    TEXTS("corsRequestHeaders", cors_request_headers),
    TEXTS("corsExposedHeaders", cors_exposed_headers),
    TEXTS("hosts", hosts),
    TEXTS("proxyProtocolFrom", proxy_protocol_from),
    TEXTS("trustedProxies", trusted_proxies),
    ONE(FIELD_AUTHORIZER, "authorizer", fanfare_listen_options, authorizer),
    ONE(FIELD_FALLBACK, "fallback", fanfare_listen_options, fallback),
    ONE(FIELD_FLAG, "corsCredentials", fanfare_listen_options, cors_credentials),
    CHOICE("forwardedHeader", fanfare_listen_options, forwarded_header, FORWARDED_CHOICES),
    ONE(FIELD_U32, "socketMode", fanfare_listen_options, socket_mode),
    CHOICE("overload", fanfare_listen_options, overload, OVERLOAD_CHOICES),
    START("start", fanfare_listen_options, start),
    START("gapStart", fanfare_listen_options, gap_start),
    {"policies", FIELD_CHOICES, offsetof(fanfare_listen_options, policies), 0, POLICY_CHOICES},
    CHOICE("envelope", fanfare_listen_options, envelope, ENVELOPE_CHOICES),
    U64("corsMaxAgeMs", cors_max_age_ms),
    U64("headBytesMax", head_bytes_max),
    U64("headFieldsMax", head_fields_max),
    U64("bodyBytesMax", body_bytes_max),
    U64("headTimeMaxMs", head_time_max_ms),
    U64("subscriptionsPerConnectionMax", subscriptions_per_connection_max),
    U64("wideFiltersMax", wide_filters_max),
    U64("notsentLowatBytes", notsent_lowat_bytes),
    U64("sendBufferBytes", send_buffer_bytes),
    U64("keepaliveMs", keepalive_ms),
    U64("userTimeoutMs", user_timeout_ms),
#undef U64
#undef TEXTS
};

static const field ROUTE_FIELDS[] = {
    ONE(FIELD_TEXT, "path", fanfare_route, path),
    LIST(FIELD_TEXTS, "subscriptions", fanfare_route, subscriptions),
    LIST(FIELD_HEADERS, "headers", fanfare_route, headers),
    ONE(FIELD_FLAG, "post", fanfare_route, post),
    CHOICE("queryTopics", fanfare_route, query_topics, QUERY_TOPICS_CHOICES),
};

/* The options of a stream, and those of a request in which they are a part. */
#define STREAM_OPTIONS(struct, at)                                                                 \
    ONE(FIELD_TEXT, "lastEventId", struct, at last_event_id),                                      \
        ONE(FIELD_TEXT, "tag", struct, at tag), ONE(FIELD_TEXT, "addr", struct, at addr),          \
        START("start", struct, at start), START("gapStart", struct, at gap_start),                 \
        CHOICE("policy", struct, at policy, POLICY_CHOICES),                                       \
        CHOICE("heartbeatForm", struct, at heartbeat_form, HEARTBEAT_CHOICES),                     \
        CHOICE("envelope", struct, at envelope, ENVELOPE_CHOICES),                                 \
        ONE(FIELD_MOMENT, "expiresAt", struct, at expires_at_unix_ms)

static const field STREAM_FIELDS[] = {
    STREAM_OPTIONS(fanfare_stream_options, ),
    ONE(FIELD_U64, "queueBytesMax", fanfare_stream_options, queue_bytes_max),
};

static const field ADOPT_FIELDS[] = {
    STREAM_OPTIONS(adopt_call, options.),
    ONE(FIELD_TEXT, "method", adopt_call, request.method),
    ONE(FIELD_TEXT, "version", adopt_call, request.version),
    LIST(FIELD_HEADERS, "headers", adopt_call, request.headers),
    ONE(FIELD_U64, "readAheadBytes", adopt_call, request.read_ahead_bytes),
    ONE(FIELD_FLAG, "isTls", adopt_call, request.is_tls),
    ONE(FIELD_FLAG, "hasUnreadContent", adopt_call, request.has_unread_content),
};

static const field TOPIC_OPTIONS_FIELDS[] = {
    ONE(FIELD_U64, "historyEventsMax", fanfare_topic_options, history_events_max),
    ONE(FIELD_U64, "historyBytesMax", fanfare_topic_options, history_bytes_max),
    ONE(FIELD_U64, "historyAgeMaxMs", fanfare_topic_options, history_age_max_ms),
    ONE(FIELD_U64, "finishedAgeMaxMs", fanfare_topic_options, finished_age_max_ms),
    CHOICE("policy", fanfare_topic_options, policy, POLICY_CHOICES),
};

static const field DRAIN_FIELDS[] = {
    ONE(FIELD_U64, "windowMs", fanfare_drain_options, window_ms),
    ONE(FIELD_U64, "graceMs", fanfare_drain_options, grace_ms),
    ONE(FIELD_U64, "retryMs", fanfare_drain_options, retry_ms),
};

static const field GRANT_FIELDS[] = {
    LIST(FIELD_TEXTS, "topics", fanfare_grant, topics),
    LIST(FIELD_HEADERS, "headers", fanfare_grant, headers),
    ONE(FIELD_TEXT, "tag", fanfare_grant, tag),
    ONE(FIELD_MOMENT, "expiresAt", fanfare_grant, expires_at_unix_ms),
    ONE(FIELD_FLAG, "anyTopics", fanfare_grant, any_topics),
    CHOICE("policy", fanfare_grant, policy, POLICY_CHOICES),
    START("start", fanfare_grant, start),
};

static const field REFUSAL_FIELDS[] = {
    ONE(FIELD_U32, "status", fanfare_refusal, status),
    ONE(FIELD_TEXT, "text", fanfare_refusal, text),
    LIST(FIELD_HEADERS, "headers", fanfare_refusal, headers),
};

static const field ASK_FIELDS[] = {
    ONE(FIELD_U64, "waitingMax", fanfare_ask_options, waiting_max),
    ONE(FIELD_U64, "timeoutMs", fanfare_ask_options, timeout_ms),
};

static const field TOKEN_FIELDS[] = {
    LIST(FIELD_TEXTS, "audiences", fanfare_token_options, audiences),
    LIST(FIELD_TEXTS, "issuers", fanfare_token_options, issuers),
    ONE(FIELD_TEXT, "claim", fanfare_token_options, claim),
    ONE(FIELD_U64, "leewayMs", fanfare_token_options, leeway_ms),
};

static const field TICKET_FIELDS[] = {
    ONE(FIELD_U64, "ticketsMax", fanfare_ticket_options, tickets_max),
    ONE(FIELD_U64, "firstUseTimeMaxMs", fanfare_ticket_options, first_use_time_max_ms),
};

static const field ACCESS_FIELDS[] = {
    ONE(FIELD_TEXT, "cookie", fanfare_access_options, cookie),
    LIST(FIELD_TEXTS, "cookieOrigins", fanfare_access_options, cookie_origins),
    ONE(FIELD_TEXT, "exchangePath", fanfare_access_options, exchange_path),
};

static const field CLAIMS_FIELDS[] = {
    ONE(FIELD_TEXT, "audience", fanfare_token_claims, audience),
    ONE(FIELD_TEXT, "issuer", fanfare_token_claims, issuer),
    ONE(FIELD_TEXT, "subject", fanfare_token_claims, subject),
    ONE(FIELD_TEXT, "kid", fanfare_token_claims, kid),
    ONE(FIELD_TEXT, "claim", fanfare_token_claims, claim),
    ONE(FIELD_MOMENT, "notBefore", fanfare_token_claims, not_before_unix_ms),
};

static const field CONNECTION_FILTER_FIELDS[] = {
    ONE(FIELD_TEXT, "subscription", fanfare_connection_filter, subscription),
    ONE(FIELD_TEXT, "tag", fanfare_connection_filter, tag),
    ONE(FIELD_U64, "limit", fanfare_connection_filter, limit),
    ONE(FIELD_FLAG, "lagging", fanfare_connection_filter, lagging),
    ONE(FIELD_FLAG, "slowestFirst", fanfare_connection_filter, slowest_first),
};

#define SPEC(what, code, fields) {what, code, fields, COUNT_OF(fields)}

const spec HUB_SPEC = SPEC("Hub", FANFARE_ERR_OPTIONS, HUB_FIELDS);
const spec LISTEN_SPEC = SPEC("listen", FANFARE_ERR_OPTIONS, LISTEN_FIELDS);
const spec ROUTE_SPEC = SPEC("a route", FANFARE_ERR_OPTIONS, ROUTE_FIELDS);
const spec STREAM_SPEC = SPEC("a stream", FANFARE_ERR_OPTIONS, STREAM_FIELDS);
const spec ADOPT_SPEC = SPEC("adopt", FANFARE_ERR_OPTIONS, ADOPT_FIELDS);
const spec TOPIC_OPTIONS_SPEC = SPEC("setRule", FANFARE_ERR_OPTIONS, TOPIC_OPTIONS_FIELDS);
const spec DRAIN_SPEC = SPEC("drain", FANFARE_ERR_OPTIONS, DRAIN_FIELDS);
const spec GRANT_SPEC = SPEC("a grant", FANFARE_ERR_GRANT, GRANT_FIELDS);
const spec REFUSAL_SPEC = SPEC("a refusal", FANFARE_ERR_GRANT, REFUSAL_FIELDS);
const spec ASK_SPEC = SPEC("authorize", FANFARE_ERR_OPTIONS, ASK_FIELDS);
const spec TOKEN_SPEC = SPEC("Tokens", FANFARE_ERR_OPTIONS, TOKEN_FIELDS);
const spec TICKET_SPEC = SPEC("Tickets", FANFARE_ERR_OPTIONS, TICKET_FIELDS);
const spec ACCESS_SPEC = SPEC("TicketAuthorizer", FANFARE_ERR_OPTIONS, ACCESS_FIELDS);
const spec CLAIMS_SPEC = SPEC("sign", FANFARE_ERR_OPTIONS, CLAIMS_FIELDS);
const spec CONNECTION_FILTER_SPEC =
    SPEC("connections", FANFARE_ERR_OPTIONS, CONNECTION_FILTER_FIELDS);
