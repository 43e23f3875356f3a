/* The declarations of version 1 of fanfare's ABI, as a program was built with them that
 * is older than the library. Made by tests/capi/frozen/freeze. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FANFARE_VERSION_MAJOR 0
#define FANFARE_VERSION_MINOR 1
#define FANFARE_VERSION_PATCH 0
#define FANFARE_ABI_VERSION 1
#define FANFARE_POLICIES_THESE 1
#define FANFARE_EVENT_ID_BYTES_MAX 64
#define FANFARE_UNSET 18446744073709551615u
#define FANFARE_LOG_BYTES_MAX 1024
#define FANFARE_QUERY_TOPICS_NONE 1
#define FANFARE_QUERY_TOPICS_ANY 2
#define FANFARE_OVERLOAD_COME_AGAIN 1
#define FANFARE_OVERLOAD_UNAVAILABLE 2
#define FANFARE_FORWARDED_X_FORWARDED_FOR 1
#define FANFARE_FORWARDED_FORWARDED 2
#define FANFARE_KEY_FILE 1
#define FANFARE_KEY_JWKS 2
#define FANFARE_TICKET_BYTES_MAX 63
#define FANFARE_METRICS_REASONS_MAX 32
#define FANFARE_TEXT(literal) fanfare_text_of("" literal, sizeof(literal) - 1)

uint32_t fanfare_abi_version(void);
typedef enum fanfare_status_code {
  FANFARE_OK = 0,
  FANFARE_ERR_PANIC = -1,
  FANFARE_ERR_ARGUMENT = -2,
  FANFARE_ERR_FORKED = -3,
  FANFARE_ERR_CLOSED = -4,
  FANFARE_ERR_FULL = -5,
  FANFARE_ERR_TOPIC = -6,
  FANFARE_ERR_EVENT = -7,
  FANFARE_ERR_UTF8 = -8,
  FANFARE_ERR_TOO_LARGE = -9,
  FANFARE_ERR_OPTIONS = -10,
  FANFARE_ERR_ADDRESS = -11,
  FANFARE_ERR_SYSTEM = -12,
  FANFARE_ERR_FINISHED = -13,
  FANFARE_ERR_TIMEOUT = -14,
  FANFARE_ERR_SUBSCRIPTION = -15,
  FANFARE_ERR_TOO_MANY = -16,
  FANFARE_ERR_BUFFER = -17,
  FANFARE_ERR_STALE = -18,
  FANFARE_ERR_LIMIT = -19,
  FANFARE_ERR_BUSY = -20,
  FANFARE_ERR_SOCKET = -21,
  FANFARE_ERR_SOCKET_TLS = -22,
  FANFARE_ERR_SOCKET_READ = -23,
  FANFARE_ERR_SOCKET_UNSENT = -24,
  FANFARE_ERR_REQUEST = -25,
  FANFARE_ERR_GRANT = -26,
  FANFARE_ERR_KEY = -27,
  FANFARE_ERR_ENDED = -28,
  FANFARE_ERR_LOGGER = -29,
  FANFARE_ERR_TOKEN = -30,
  FANFARE_ERR_JOURNAL = -31,
  FANFARE_ERR_CLUSTER = -32,
} fanfare_status_code;
typedef int32_t fanfare_status;
const char *fanfare_strerror(fanfare_status status);
typedef struct fanfare_text {
  const char *data;
  size_t length;
} fanfare_text;
static inline fanfare_text fanfare_text_of(const char *data, size_t length)
{
  fanfare_text text;
  text.data = data;
  text.length = length;
  return text;
}
static inline fanfare_text fanfare_text_of_string(const char *string)
{
  return fanfare_text_of(string, string == NULL ? 0 : strlen(string));
}
typedef enum fanfare_envelope_code {
  FANFARE_ENVELOPE_NONE = 1,
  FANFARE_ENVELOPE_JSON = 2,
} fanfare_envelope_code;
typedef enum fanfare_heartbeat_code {
  FANFARE_HEARTBEAT_ID = 1,
  FANFARE_HEARTBEAT_COMMENT = 2,
  FANFARE_HEARTBEAT_EVENT = 3,
} fanfare_heartbeat_code;
typedef enum fanfare_durability_code {
  FANFARE_DURABILITY_OS = 1,
  FANFARE_DURABILITY_INTERVAL = 2,
  FANFARE_DURABILITY_ALWAYS = 3,
} fanfare_durability_code;
typedef enum fanfare_policy_code {
  FANFARE_POLICY_DISCONNECT = 1,
  FANFARE_POLICY_DROP_OLDEST = 2,
  FANFARE_POLICY_CONFLATE = 3,
} fanfare_policy_code;
typedef enum fanfare_start_code {
  FANFARE_START_NOW = 1,
  FANFARE_START_LATEST = 2,
  FANFARE_START_LAST = 3,
  FANFARE_START_EARLIEST = 4,
} fanfare_start_code;
typedef uint32_t fanfare_envelope;
typedef uint32_t fanfare_heartbeat;
typedef uint32_t fanfare_durability;
typedef uint32_t fanfare_policy;
typedef uint32_t fanfare_start;
typedef struct fanfare_options {
  size_t size;
  uint64_t shards;
  uint64_t heartbeat_ms;
  uint64_t retry_ms;
  uint64_t event_bytes_max;
  uint64_t batch_bytes_max;
  uint64_t topic_backlog_bytes_max;
  uint64_t backlog_bytes_max;
  uint64_t history_events_max;
  uint64_t history_bytes_max;
  uint64_t history_age_max_ms;
  uint64_t history_total_bytes_max;
  uint64_t lag_bytes_max;
  uint64_t lag_age_max_ms;
  uint64_t lag_grace_ms;
  uint64_t lag_grace_percent;
  uint64_t lag_total_bytes_max;
  uint64_t stall_time_max_ms;
  uint64_t connections_max;
  uint64_t connections_per_address_max;
  uint64_t subscriptions_max;
  uint64_t subscriptions_per_address_max;
  uint64_t connection_age_max_ms;
  uint32_t any_host;
  uint32_t reserved;
  uint64_t finished_age_max_ms;
  fanfare_heartbeat heartbeat_form;
  fanfare_policy policy;
  fanfare_text gap_event;
  fanfare_text data_dir;
  fanfare_durability durability;
  uint32_t reserved_too;
  uint64_t sync_interval_ms;
  uint64_t journal_backlog_bytes_max;
  fanfare_text cluster_url;
  fanfare_text cluster_prefix;
  fanfare_text cluster_ca_file;
  uint64_t cluster_stream_events_max;
  uint64_t cluster_stream_bytes_max;
  uint64_t cluster_backlog_bytes_max;
} fanfare_options;
fanfare_status fanfare_options_init(fanfare_options *options);
fanfare_status fanfare_options_problem(const fanfare_options *options,
                                       fanfare_text *name_out,
                                       fanfare_text *bounds_out);
static inline fanfare_options fanfare_options_defaults(void)
{
  fanfare_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  (void)fanfare_options_init(&options);
  return options;
}
typedef struct fanfare_event {
  size_t size;
  fanfare_text data;
  fanfare_text name;
  fanfare_text id;
  fanfare_text key;
  uint32_t retry_ms;
  fanfare_text comment;
  uint64_t window_ms;
} fanfare_event;
typedef struct fanfare_event_id {
  uint8_t length;
  char text[64];
} fanfare_event_id;
static inline fanfare_event fanfare_event_of(fanfare_text data)
{
  fanfare_event event;
  memset(&event, 0, sizeof event);
  event.size = sizeof event;
  event.data = data;
  return event;
}
static inline fanfare_text fanfare_event_id_text(const fanfare_event_id *id)
{
  return fanfare_text_of(id->text, id->length);
}
typedef struct fanfare_topic fanfare_topic;
fanfare_status fanfare_topic_new(fanfare_text name,
                                 fanfare_topic **topic_out);
void fanfare_topic_free(fanfare_topic *topic);
fanfare_status fanfare_subscription_covers(fanfare_text subscription,
                                           fanfare_text other,
                                           uint32_t *covers_out);
typedef struct fanfare_hub fanfare_hub;
fanfare_status fanfare_hub_new(const fanfare_options *options,
                               fanfare_hub **hub_out);
fanfare_status fanfare_hub_close(const fanfare_hub *hub);
void fanfare_hub_free(fanfare_hub *hub);
typedef struct fanfare_publication {
  const fanfare_text *topics;
  size_t topics_count;
  const fanfare_topic *const *handles;
  size_t handles_count;
  const fanfare_event *event;
} fanfare_publication;
fanfare_status fanfare_hub_publish(const fanfare_hub *hub,
                                   fanfare_text topic,
                                   const fanfare_event *event,
                                   fanfare_event_id *id_out);
fanfare_status fanfare_hub_publish_to(const fanfare_hub *hub,
                                      const fanfare_topic *topic,
                                      const fanfare_event *event,
                                      fanfare_event_id *id_out);
fanfare_status fanfare_hub_publish_wait(const fanfare_hub *hub,
                                        const fanfare_publication *publication,
                                        uint64_t timeout_ms,
                                        fanfare_event_id *id_out);
fanfare_status fanfare_hub_publish_many(const fanfare_hub *hub,
                                        const fanfare_publication *publications,
                                        size_t publications_count,
                                        uint64_t timeout_ms,
                                        fanfare_event_id *ids_out,
                                        size_t *count_out);
static inline fanfare_publication fanfare_publication_of(const fanfare_text *topics,
                                                         size_t topics_count,
                                                         const fanfare_event *event)
{
  fanfare_publication publication;
  memset(&publication, 0, sizeof publication);
  publication.topics = topics;
  publication.topics_count = topics_count;
  publication.event = event;
  return publication;
}
static inline fanfare_publication fanfare_publication_to(const fanfare_topic *const *handles,
                                                         size_t handles_count,
                                                         const fanfare_event *event)
{
  fanfare_publication publication;
  memset(&publication, 0, sizeof publication);
  publication.handles = handles;
  publication.handles_count = handles_count;
  publication.event = event;
  return publication;
}
fanfare_status fanfare_hub_finish(const fanfare_hub *hub,
                                  fanfare_text topic,
                                  const fanfare_event *last,
                                  uint64_t timeout_ms,
                                  fanfare_event_id *id_out);
fanfare_status fanfare_hub_finish_topic(const fanfare_hub *hub,
                                        const fanfare_topic *topic,
                                        const fanfare_event *last,
                                        uint64_t timeout_ms,
                                        fanfare_event_id *id_out);
fanfare_status fanfare_hub_flush(const fanfare_hub *hub,
                                 uint64_t timeout_ms);
typedef struct fanfare_rules fanfare_rules;
typedef struct fanfare_topic_options {
  size_t size;
  uint64_t history_events_max;
  uint64_t history_bytes_max;
  uint64_t history_age_max_ms;
  uint64_t finished_age_max_ms;
  fanfare_policy policy;
  uint32_t reserved;
} fanfare_topic_options;
typedef struct fanfare_rule {
  size_t size;
  fanfare_text subscription;
  uint64_t history_events_max;
  uint64_t history_bytes_max;
  uint64_t history_age_max_ms;
  uint64_t finished_age_max_ms;
  fanfare_policy policy;
  uint64_t topics;
  uint64_t finished_topics;
  uint64_t kept_events;
  uint64_t kept_bytes;
} fanfare_rule;
fanfare_status fanfare_topic_options_init(fanfare_topic_options *options);
fanfare_status fanfare_topic_options_problem(const fanfare_topic_options *options,
                                             fanfare_text *name_out,
                                             fanfare_text *bounds_out);
fanfare_status fanfare_hub_set_rule(const fanfare_hub *hub,
                                    fanfare_text subscription,
                                    const fanfare_topic_options *options);
fanfare_status fanfare_hub_remove_rule(const fanfare_hub *hub,
                                       fanfare_text subscription,
                                       uint32_t *removed_out);
fanfare_status fanfare_hub_rules(const fanfare_hub *hub, fanfare_rules **list_out);
size_t fanfare_rules_count(const fanfare_rules *list);
fanfare_status fanfare_rules_get(const fanfare_rules *list,
                                 size_t index,
                                 fanfare_rule *rule_out);
void fanfare_rules_free(fanfare_rules *list);
static inline fanfare_topic_options fanfare_topic_options_defaults(void)
{
  fanfare_topic_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  (void)fanfare_topic_options_init(&options);
  return options;
}
static inline fanfare_rule fanfare_rule_empty(void)
{
  fanfare_rule rule;
  memset(&rule, 0, sizeof rule);
  rule.size = sizeof rule;
  return rule;
}
typedef struct fanfare_header {
  fanfare_text name;
  fanfare_text value;
} fanfare_header;
static inline fanfare_header fanfare_header_of(fanfare_text name, fanfare_text value)
{
  fanfare_header header;
  header.name = name;
  header.value = value;
  return header;
}
typedef enum fanfare_disconnect_reason_code {
  FANFARE_DISCONNECT_CLIENT_CLOSED = 1,
  FANFARE_DISCONNECT_ERROR = 2,
  FANFARE_DISCONNECT_LAGGING = 3,
  FANFARE_DISCONNECT_GARBAGE = 4,
  FANFARE_DISCONNECT_CLOSED = 5,
  FANFARE_DISCONNECT_DRAINED = 6,
  FANFARE_DISCONNECT_TIMED_OUT = 7,
  FANFARE_DISCONNECT_RESET = 8,
  FANFARE_DISCONNECT_STALLED = 9,
  FANFARE_DISCONNECT_KICKED = 10,
  FANFARE_DISCONNECT_AGED = 11,
  FANFARE_DISCONNECT_FINISHED = 12,
  FANFARE_DISCONNECT_EXPIRED = 13,
} fanfare_disconnect_reason_code;
typedef enum fanfare_gap_reason_code {
  FANFARE_GAP_EXPIRED = 1,
  FANFARE_GAP_RESTARTED = 2,
  FANFARE_GAP_UNKNOWN_ID = 3,
  FANFARE_GAP_SLOW = 4,
  FANFARE_GAP_LOST = 5,
} fanfare_gap_reason_code;
typedef int32_t fanfare_disconnect_reason;
typedef int32_t fanfare_gap_reason;
fanfare_text fanfare_disconnect_reason_name(fanfare_disconnect_reason reason);
fanfare_text fanfare_gap_reason_name(fanfare_gap_reason reason);
typedef enum fanfare_log_level_code {
  FANFARE_LOG_OFF = 0,
  FANFARE_LOG_ERROR = 1,
  FANFARE_LOG_WARN = 2,
  FANFARE_LOG_INFO = 3,
  FANFARE_LOG_DEBUG = 4,
  FANFARE_LOG_TRACE = 5,
} fanfare_log_level_code;
typedef int32_t fanfare_log_level;
typedef struct fanfare_log_record {
  size_t size;
  fanfare_text target;
  fanfare_text message;
  fanfare_log_level level;
  uint32_t is_cut;
} fanfare_log_record;
typedef enum fanfare_notice_kind_code {
  FANFARE_NOTICE_CONNECTED = 1,
  FANFARE_NOTICE_DISCONNECTED = 2,
  FANFARE_NOTICE_WANTED = 3,
  FANFARE_NOTICE_UNWANTED = 4,
  FANFARE_NOTICE_AUTHORIZATION = 5,
  FANFARE_NOTICE_READABLE = 6,
  FANFARE_NOTICE_ENDED = 7,
  FANFARE_NOTICE_UNHANDLED = 8,
  FANFARE_NOTICE_SPACE = 9,
  FANFARE_NOTICE_LOG = 10,
} fanfare_notice_kind_code;
typedef uint64_t fanfare_connection_id;
typedef int32_t fanfare_notice_kind;
typedef struct fanfare_request {
  size_t size;
  fanfare_text method;
  fanfare_text path;
  fanfare_text query;
  const fanfare_header *headers;
  size_t headers_count;
  fanfare_text content;
  fanfare_text last_event_id;
} fanfare_request;
typedef struct fanfare_notice {
  fanfare_notice_kind kind;
  fanfare_disconnect_reason reason;
  uint64_t token;
  uint64_t id;
  uint64_t at_unix_ms;
  uint64_t lost;
  fanfare_text tag;
  fanfare_text addr;
  const fanfare_text *subscriptions;
  size_t subscriptions_count;
  uint64_t lasted_ms;
  uint64_t events;
  uint64_t bytes;
  const fanfare_request *request;
  fanfare_text peer;
  uint32_t is_proxy;
  uint32_t reserved;
  const fanfare_log_record *log;
} fanfare_notice;
typedef struct fanfare_notices fanfare_notices;
fanfare_status fanfare_notices_new(fanfare_notices **notices_out);
void fanfare_notices_free(fanfare_notices *notices);
fanfare_status fanfare_notices_doorbell(const fanfare_notices *notices, int *fd_out);
fanfare_status fanfare_notices_drain(const fanfare_notices *notices,
                                     fanfare_notice *array,
                                     size_t notice_size,
                                     size_t capacity,
                                     size_t *count_out);
fanfare_status fanfare_notices_remove(const fanfare_notices *notices,
                                      uint64_t token);
fanfare_status fanfare_hub_watch_connections(const fanfare_hub *hub,
                                             const fanfare_notices *notices,
                                             uint64_t token,
                                             size_t capacity);
fanfare_status fanfare_hub_watch_interest(const fanfare_hub *hub,
                                          const fanfare_notices *notices,
                                          uint64_t token,
                                          fanfare_text subscription,
                                          uint64_t grace_ms);
fanfare_status fanfare_hub_notify_space(const fanfare_hub *hub,
                                        const fanfare_notices *notices,
                                        uint64_t token,
                                        const fanfare_publication *publication);
typedef struct fanfare_authorizer fanfare_authorizer;
void fanfare_authorizer_free(fanfare_authorizer *authorizer);
typedef struct fanfare_fallback fanfare_fallback;
fanfare_status fanfare_fallback_new(const fanfare_notices *notices,
                                    uint64_t token,
                                    size_t capacity,
                                    fanfare_fallback **fallback_out);
fanfare_status fanfare_fallback_take(const fanfare_fallback *fallback,
                                     uint64_t id,
                                     int *fd_out);
void fanfare_fallback_free(fanfare_fallback *fallback);
typedef struct fanfare_route {
  size_t size;
  fanfare_text path;
  const fanfare_text *subscriptions;
  size_t subscriptions_count;
  const fanfare_header *headers;
  size_t headers_count;
  uint32_t post;
  uint32_t query_topics;
} fanfare_route;
typedef struct fanfare_listen_options {
  size_t size;
  fanfare_text path;
  fanfare_text health_path;
  const fanfare_route *routes;
  size_t routes_count;
  const fanfare_header *headers;
  size_t headers_count;
  const fanfare_text *cors_origins;
  size_t cors_origins_count;
  const fanfare_text *cors_request_headers;
  size_t cors_request_headers_count;
  const fanfare_text *cors_exposed_headers;
  size_t cors_exposed_headers_count;
  const fanfare_text *hosts;
  size_t hosts_count;
  const fanfare_text *proxy_protocol_from;
  size_t proxy_protocol_from_count;
  const fanfare_text *trusted_proxies;
  size_t trusted_proxies_count;
  const fanfare_authorizer *authorizer;
  const fanfare_fallback *fallback;
  uint32_t cors_credentials;
  uint32_t forwarded_header;
  uint32_t socket_mode;
  uint32_t overload;
  fanfare_start start;
  uint32_t start_last;
  fanfare_start gap_start;
  uint32_t gap_start_last;
  uint32_t policies;
  fanfare_envelope envelope;
  uint64_t cors_max_age_ms;
  uint64_t head_bytes_max;
  uint64_t head_fields_max;
  uint64_t body_bytes_max;
  uint64_t head_time_max_ms;
  uint64_t subscriptions_per_connection_max;
  uint64_t wide_filters_max;
  uint64_t notsent_lowat_bytes;
  uint64_t send_buffer_bytes;
  uint64_t keepalive_ms;
  uint64_t user_timeout_ms;
} fanfare_listen_options;
fanfare_status fanfare_listen_options_init(fanfare_listen_options *options);
fanfare_status fanfare_listen_options_problem(const fanfare_listen_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);
static inline fanfare_listen_options fanfare_listen_options_defaults(void)
{
  fanfare_listen_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  (void)fanfare_listen_options_init(&options);
  return options;
}
static inline fanfare_route fanfare_route_of(fanfare_text path)
{
  fanfare_route route;
  memset(&route, 0, sizeof route);
  route.size = sizeof route;
  route.path = path;
  return route;
}
typedef struct fanfare_listener {
  uint64_t id;
} fanfare_listener;
fanfare_status fanfare_hub_listen(const fanfare_hub *hub,
                                  fanfare_text addr,
                                  const fanfare_listen_options *options,
                                  fanfare_listener *listener_out,
                                  uint16_t *port_out);
fanfare_status fanfare_hub_listen_on(const fanfare_hub *hub,
                                     int fd,
                                     const fanfare_listen_options *options,
                                     fanfare_listener *listener_out,
                                     uint16_t *port_out);
fanfare_status fanfare_listener_address(const fanfare_hub *hub,
                                        fanfare_listener listener,
                                        char *buffer,
                                        size_t size,
                                        size_t *length_out);
fanfare_status fanfare_listener_close(const fanfare_hub *hub,
                                      fanfare_listener listener);
typedef struct fanfare_grant {
  size_t size;
  const fanfare_text *topics;
  size_t topics_count;
  const fanfare_header *headers;
  size_t headers_count;
  fanfare_text tag;
  uint64_t expires_at_unix_ms;
  uint32_t any_topics;
  fanfare_policy policy;
  fanfare_start start;
  uint32_t start_last;
} fanfare_grant;
typedef struct fanfare_refusal {
  size_t size;
  const fanfare_header *headers;
  size_t headers_count;
  fanfare_text text;
  uint32_t status;
  uint32_t reserved;
} fanfare_refusal;
fanfare_status fanfare_grant_problem(const fanfare_grant *grant,
                                     fanfare_text *name_out,
                                     fanfare_text *bounds_out);
fanfare_status fanfare_refusal_problem(const fanfare_refusal *refusal,
                                       fanfare_text *name_out,
                                       fanfare_text *bounds_out);
static inline fanfare_grant fanfare_grant_of(const fanfare_text *topics, size_t count)
{
  fanfare_grant grant;
  memset(&grant, 0, sizeof grant);
  grant.size = sizeof grant;
  grant.topics = topics;
  grant.topics_count = count;
  return grant;
}
static inline fanfare_refusal fanfare_refusal_of(uint32_t status)
{
  fanfare_refusal refusal;
  memset(&refusal, 0, sizeof refusal);
  refusal.size = sizeof refusal;
  refusal.status = status;
  return refusal;
}
typedef struct fanfare_ask_options {
  size_t size;
  uint64_t waiting_max;
  uint64_t timeout_ms;
} fanfare_ask_options;
fanfare_status fanfare_ask_options_init(fanfare_ask_options *options);
fanfare_status fanfare_ask_options_problem(const fanfare_ask_options *options,
                                           fanfare_text *name_out,
                                           fanfare_text *bounds_out);
fanfare_status fanfare_authorizer_new_ask(const fanfare_notices *notices,
                                          uint64_t token,
                                          const fanfare_ask_options *options,
                                          fanfare_authorizer **authorizer_out);
fanfare_status fanfare_authorizer_allow(const fanfare_authorizer *authorizer,
                                        uint64_t id,
                                        const fanfare_grant *grant);
fanfare_status fanfare_authorizer_refuse(const fanfare_authorizer *authorizer,
                                         uint64_t id,
                                         const fanfare_refusal *refusal);
fanfare_status fanfare_authorizer_give_up(const fanfare_authorizer *authorizer,
                                          uint64_t id);
static inline fanfare_ask_options fanfare_ask_options_defaults(void)
{
  fanfare_ask_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  (void)fanfare_ask_options_init(&options);
  return options;
}
typedef struct fanfare_granted fanfare_granted;
fanfare_status fanfare_granted_grant(const fanfare_granted *granted,
                                     fanfare_grant *grant_out);
fanfare_status fanfare_granted_is_current(const fanfare_granted *granted,
                                          uint32_t *is_current_out);
void fanfare_granted_free(fanfare_granted *granted);
typedef struct fanfare_tokens fanfare_tokens;
typedef struct fanfare_token_options {
  size_t size;
  const fanfare_text *audiences;
  size_t audiences_count;
  const fanfare_text *issuers;
  size_t issuers_count;
  fanfare_text claim;
  uint64_t leeway_ms;
} fanfare_token_options;
typedef struct fanfare_key {
  fanfare_text bytes;
  uint32_t form;
  uint32_t reserved;
} fanfare_key;
fanfare_status fanfare_token_options_init(fanfare_token_options *options);
fanfare_status fanfare_token_options_problem(const fanfare_token_options *options,
                                             fanfare_text *name_out,
                                             fanfare_text *bounds_out);
fanfare_status fanfare_keys_problem(const fanfare_key *keys,
                                    size_t keys_count,
                                    char *buffer,
                                    size_t size,
                                    size_t *length_out);
fanfare_status fanfare_tokens_new(const fanfare_key *keys,
                                  size_t keys_count,
                                  const fanfare_token_options *options,
                                  fanfare_tokens **tokens_out);
fanfare_status fanfare_tokens_set_keys(const fanfare_tokens *tokens,
                                       const fanfare_key *keys,
                                       size_t keys_count);
fanfare_status fanfare_tokens_verify(const fanfare_tokens *tokens,
                                     fanfare_text token,
                                     fanfare_granted **granted_out);
void fanfare_tokens_free(fanfare_tokens *tokens);
static inline fanfare_key fanfare_key_of(uint32_t form, fanfare_text bytes)
{
  fanfare_key key;
  memset(&key, 0, sizeof key);
  key.bytes = bytes;
  key.form = form;
  return key;
}
static inline fanfare_token_options fanfare_token_options_defaults(void)
{
  fanfare_token_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  (void)fanfare_token_options_init(&options);
  return options;
}
typedef struct fanfare_tickets fanfare_tickets;
typedef struct fanfare_ticket_options {
  size_t size;
  uint64_t tickets_max;
  uint64_t first_use_time_max_ms;
} fanfare_ticket_options;
typedef struct fanfare_access_options {
  size_t size;
  fanfare_text cookie;
  const fanfare_text *cookie_origins;
  size_t cookie_origins_count;
  fanfare_text exchange_path;
} fanfare_access_options;
typedef struct fanfare_ticket {
  uint8_t length;
  char text[63];
} fanfare_ticket;
fanfare_status fanfare_ticket_options_init(fanfare_ticket_options *options);
fanfare_status fanfare_ticket_options_problem(const fanfare_ticket_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);
fanfare_status fanfare_access_options_problem(const fanfare_access_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);
fanfare_status fanfare_tickets_new(const fanfare_ticket_options *options,
                                   fanfare_tickets **tickets_out);
fanfare_status fanfare_tickets_issue(const fanfare_tickets *tickets,
                                     const fanfare_grant *grant,
                                     fanfare_ticket *ticket_out);
fanfare_status fanfare_tickets_look_up(const fanfare_tickets *tickets,
                                       fanfare_text ticket,
                                       uint32_t goes_on,
                                       fanfare_granted **granted_out);
fanfare_status fanfare_tickets_redeem(const fanfare_tickets *tickets,
                                      fanfare_text ticket,
                                      uint32_t goes_on,
                                      fanfare_granted **granted_out);
void fanfare_tickets_free(fanfare_tickets *tickets);
fanfare_status fanfare_authorizer_new_tickets(const fanfare_tokens *tokens,
                                              const fanfare_tickets *tickets,
                                              const fanfare_access_options *options,
                                              fanfare_authorizer **authorizer_out);
static inline fanfare_text fanfare_ticket_text(const fanfare_ticket *ticket)
{
  return fanfare_text_of(ticket->text, ticket->length);
}
static inline fanfare_ticket_options fanfare_ticket_options_defaults(void)
{
  fanfare_ticket_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  (void)fanfare_ticket_options_init(&options);
  return options;
}
static inline fanfare_access_options fanfare_access_options_defaults(void)
{
  fanfare_access_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  return options;
}
typedef struct fanfare_signing_key fanfare_signing_key;
typedef struct fanfare_token_claims {
  size_t size;
  fanfare_text audience;
  fanfare_text issuer;
  fanfare_text subject;
  fanfare_text kid;
  fanfare_text claim;
  uint64_t not_before_unix_ms;
} fanfare_token_claims;
fanfare_status fanfare_signing_key_new(fanfare_text bytes,
                                       fanfare_signing_key **key_out);
fanfare_status fanfare_signing_key_sign(const fanfare_signing_key *key,
                                        const fanfare_grant *grant,
                                        const fanfare_token_claims *claims,
                                        char *buffer,
                                        size_t size,
                                        size_t *length_out);
void fanfare_signing_key_free(fanfare_signing_key *key);
static inline fanfare_token_claims fanfare_token_claims_none(void)
{
  fanfare_token_claims claims;
  memset(&claims, 0, sizeof claims);
  claims.size = sizeof claims;
  return claims;
}
typedef struct fanfare_stream_options {
  size_t size;
  fanfare_text last_event_id;
  fanfare_text tag;
  fanfare_text addr;
  fanfare_start start;
  uint32_t start_last;
  fanfare_start gap_start;
  uint32_t gap_start_last;
  fanfare_policy policy;
  fanfare_heartbeat heartbeat_form;
  fanfare_envelope envelope;
  uint32_t reserved;
  uint64_t expires_at_unix_ms;
  uint64_t queue_bytes_max;
} fanfare_stream_options;
fanfare_status fanfare_stream_options_init(fanfare_stream_options *options);
fanfare_status fanfare_stream_options_problem(const fanfare_stream_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);
static inline fanfare_stream_options fanfare_stream_options_defaults(void)
{
  fanfare_stream_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  return options;
}
typedef struct fanfare_stream fanfare_stream;
fanfare_status fanfare_hub_subscribe(const fanfare_hub *hub,
                                     const fanfare_text *topics,
                                     size_t topics_count,
                                     const fanfare_stream_options *options,
                                     fanfare_stream **stream_out);
fanfare_status fanfare_stream_next(const fanfare_stream *stream,
                                   uint64_t timeout_ms,
                                   fanfare_text *batch_out);
fanfare_status fanfare_stream_notify(const fanfare_stream *stream,
                                     const fanfare_notices *notices,
                                     uint64_t token);
fanfare_status fanfare_stream_id(const fanfare_stream *stream,
                                 fanfare_connection_id *id_out);
fanfare_status fanfare_stream_end(const fanfare_stream *stream,
                                  fanfare_disconnect_reason *reason_out,
                                  uint32_t *is_cut_out);
fanfare_status fanfare_stream_is_complete(const fanfare_stream *stream,
                                          uint32_t *is_complete_out);
fanfare_status fanfare_stream_headers(const fanfare_header **headers_out,
                                      size_t *count_out);
void fanfare_stream_free(fanfare_stream *stream);
typedef struct fanfare_admit_request {
  size_t size;
  fanfare_text read;
  fanfare_text addr;
  fanfare_text peer;
  uint32_t is_proxy;
  uint32_t reserved;
} fanfare_admit_request;
fanfare_status fanfare_listener_admit(const fanfare_hub *hub,
                                      fanfare_listener listener,
                                      int fd,
                                      const fanfare_admit_request *request);
fanfare_status fanfare_listener_has_streams_at(const fanfare_hub *hub,
                                               fanfare_listener listener,
                                               fanfare_text path,
                                               uint32_t *has_out);
fanfare_status fanfare_listener_is_named(const fanfare_hub *hub,
                                         fanfare_listener listener,
                                         fanfare_text host,
                                         uint32_t *is_out);
static inline fanfare_admit_request fanfare_admit_request_of(fanfare_text read)
{
  fanfare_admit_request request;
  memset(&request, 0, sizeof request);
  request.size = sizeof request;
  request.read = read;
  return request;
}
typedef struct fanfare_adopt_request {
  size_t size;
  const fanfare_text *topics;
  size_t topics_count;
  const fanfare_stream_options *options;
  fanfare_text method;
  fanfare_text version;
  const fanfare_header *headers;
  size_t headers_count;
  uint64_t read_ahead_bytes;
  uint32_t is_tls;
  uint32_t has_unread_content;
} fanfare_adopt_request;
fanfare_status fanfare_hub_adopt(const fanfare_hub *hub,
                                 int fd,
                                 const fanfare_adopt_request *request);
static inline fanfare_adopt_request fanfare_adopt_request_of(const fanfare_text *topics, size_t count)
{
  fanfare_adopt_request request;
  memset(&request, 0, sizeof request);
  request.size = sizeof request;
  request.topics = topics;
  request.topics_count = count;
  return request;
}
typedef enum fanfare_connection_state_code {
  FANFARE_CONNECTION_LIVE = 1,
  FANFARE_CONNECTION_LAGGING = 2,
  FANFARE_CONNECTION_REPLAYING = 3,
} fanfare_connection_state_code;
typedef struct fanfare_connections fanfare_connections;
typedef struct fanfare_subscription_counts fanfare_subscription_counts;
typedef int32_t fanfare_connection_state;
typedef struct fanfare_connection_filter {
  size_t size;
  fanfare_text subscription;
  fanfare_text tag;
  uint64_t limit;
  uint32_t lagging;
  uint32_t slowest_first;
} fanfare_connection_filter;
typedef struct fanfare_connection {
  size_t size;
  fanfare_connection_id id;
  const fanfare_text *subscriptions;
  size_t subscriptions_count;
  fanfare_text addr;
  fanfare_text tag;
  uint64_t since_unix_ms;
  uint64_t events;
  uint64_t bytes;
  uint64_t lag_events;
  uint64_t lag_bytes;
  uint64_t lag_age_ms;
  fanfare_connection_state state;
  fanfare_policy policy;
  fanfare_text node;
} fanfare_connection;
typedef struct fanfare_subscription_count {
  size_t size;
  fanfare_text subscription;
  uint64_t subscribers;
} fanfare_subscription_count;
fanfare_text fanfare_connection_state_name(fanfare_connection_state state);
fanfare_status fanfare_hub_connections(const fanfare_hub *hub,
                                       const fanfare_connection_filter *filter,
                                       fanfare_connections **list_out);
fanfare_status fanfare_hub_connection(const fanfare_hub *hub,
                                      fanfare_connection_id id,
                                      fanfare_connections **list_out);
size_t fanfare_connections_count(const fanfare_connections *list);
fanfare_status fanfare_connections_get(const fanfare_connections *list,
                                       size_t index,
                                       fanfare_connection *connection_out);
void fanfare_connections_free(fanfare_connections *list);
fanfare_status fanfare_hub_subscribers(const fanfare_hub *hub,
                                       fanfare_text topic,
                                       uint64_t *count_out);
fanfare_status fanfare_hub_subscription_counts(const fanfare_hub *hub,
                                               size_t limit,
                                               fanfare_subscription_counts **list_out);
size_t fanfare_subscription_counts_count(const fanfare_subscription_counts *list);
fanfare_status fanfare_subscription_counts_get(const fanfare_subscription_counts *list,
                                               size_t index,
                                               fanfare_subscription_count *count);
void fanfare_subscription_counts_free(fanfare_subscription_counts *list);
static inline fanfare_connection_filter fanfare_connection_filter_of_all(void)
{
  fanfare_connection_filter filter;
  memset(&filter, 0, sizeof filter);
  filter.size = sizeof filter;
  return filter;
}
typedef struct fanfare_cluster_count {
  size_t size;
  uint64_t nodes;
  uint64_t answered;
  uint64_t count;
} fanfare_cluster_count;
fanfare_status fanfare_hub_cluster_connections(const fanfare_hub *hub,
                                               const fanfare_connection_filter *filter,
                                               uint64_t timeout_ms,
                                               fanfare_cluster_count *count_out,
                                               fanfare_connections **list_out);
fanfare_status fanfare_hub_cluster_subscribers(const fanfare_hub *hub,
                                               fanfare_text topic,
                                               uint64_t timeout_ms,
                                               fanfare_cluster_count *count_out);
static inline fanfare_cluster_count fanfare_cluster_count_empty(void)
{
  fanfare_cluster_count count;
  memset(&count, 0, sizeof count);
  count.size = sizeof count;
  return count;
}
fanfare_status fanfare_hub_disconnect(const fanfare_hub *hub,
                                      fanfare_connection_id id,
                                      uint64_t retry_ms);
fanfare_status fanfare_hub_disconnect_tag(const fanfare_hub *hub,
                                          fanfare_text tag,
                                          uint64_t retry_ms,
                                          uint64_t *count_out);
fanfare_status fanfare_hub_disconnect_subscription(const fanfare_hub *hub,
                                                   fanfare_text subscription,
                                                   uint64_t retry_ms,
                                                   uint64_t *count_out);
fanfare_status fanfare_hub_disconnect_all(const fanfare_hub *hub,
                                          uint64_t retry_ms,
                                          uint64_t *count_out);
fanfare_status fanfare_hub_set_subscriptions(const fanfare_hub *hub,
                                             fanfare_connection_id id,
                                             const fanfare_text *subscriptions,
                                             size_t subscriptions_count);
typedef struct fanfare_drain_options {
  size_t size;
  uint64_t window_ms;
  uint64_t grace_ms;
  uint64_t retry_ms;
} fanfare_drain_options;
typedef struct fanfare_drained {
  size_t size;
  uint64_t told;
  uint64_t cut;
} fanfare_drained;
fanfare_status fanfare_drain_options_init(fanfare_drain_options *options);
fanfare_status fanfare_drain_options_problem(const fanfare_drain_options *options,
                                             fanfare_text *name_out,
                                             fanfare_text *bounds_out);
fanfare_status fanfare_hub_drain(const fanfare_hub *hub,
                                 const fanfare_drain_options *options,
                                 fanfare_drained *drained_out);
static inline fanfare_drain_options fanfare_drain_options_defaults(void)
{
  fanfare_drain_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  (void)fanfare_drain_options_init(&options);
  return options;
}
static inline fanfare_drained fanfare_drained_empty(void)
{
  fanfare_drained drained;
  memset(&drained, 0, sizeof drained);
  drained.size = sizeof drained;
  return drained;
}
typedef struct fanfare_metrics {
  size_t size;
  uint64_t living_shards;
  uint64_t connections_max;
  uint64_t connections;
  uint64_t pending_connections;
  uint64_t lagging_connections;
  uint64_t replaying_connections;
  uint64_t spread_deliveries;
  uint64_t topics;
  uint64_t known_topics;
  uint64_t filters;
  uint64_t finished_topics;
  uint64_t subscriptions;
  uint64_t published_events;
  uint64_t full_events;
  uint64_t delivered_events;
  uint64_t delivered_bytes;
  uint64_t replayed_events;
  uint64_t gathered_parts;
  uint64_t kept_events;
  uint64_t kept_bytes;
  uint64_t heartbeats;
  uint64_t batches;
  uint64_t held_batches;
  uint64_t backlog_bytes;
  uint64_t lag_bytes;
  uint64_t dropped_events;
  uint64_t conflated_events;
  uint64_t accepted_connections;
  uint64_t refused_connections;
  uint64_t finished_answers;
  uint64_t pending_authorizations;
  uint64_t denied_authorizations;
  uint64_t failed_authorizations;
  uint64_t late_authorizations;
  uint64_t lost_notices;
  uint64_t interest_watchers;
  uint64_t owed_interest_notices;
  uint64_t cut_graces;
  uint64_t disconnects[32];
  uint64_t gap_events[32];
  uint64_t latency_buckets;
  uint64_t latency_bounds_us[32];
  uint64_t latency_counts[32];
  uint64_t latency_sum_ns;
  uint64_t journal_failing;
  uint64_t journal_disk_bytes;
  uint64_t journal_waiting_bytes;
  uint64_t journal_records;
  uint64_t journal_syncs;
  uint64_t journal_errors;
  uint64_t cluster_failing;
  uint64_t cluster_backlog_bytes;
  uint64_t cluster_batches;
  uint64_t cluster_items;
  uint64_t cluster_refused_items;
  uint64_t cluster_connects;
  uint64_t cluster_losses;
} fanfare_metrics;
fanfare_status fanfare_hub_metrics(const fanfare_hub *hub,
                                   fanfare_metrics *metrics_out);
fanfare_status fanfare_hub_prometheus(const fanfare_hub *hub,
                                      char *buffer,
                                      size_t buffer_size,
                                      size_t *length_out);
static inline fanfare_metrics fanfare_metrics_empty(void)
{
  fanfare_metrics metrics;
  memset(&metrics, 0, sizeof metrics);
  metrics.size = sizeof metrics;
  return metrics;
}
typedef void (*fanfare_log_callback)(void *user_data, const fanfare_log_record *record);
typedef void (*fanfare_log_destructor)(void *user_data);
fanfare_status fanfare_log_set(fanfare_log_level level,
                               fanfare_log_callback callback,
                               void *user_data,
                               fanfare_log_destructor destructor);
fanfare_status fanfare_log_watch(const fanfare_notices *notices,
                                 uint64_t token,
                                 fanfare_log_level level,
                                 size_t capacity);

/* What tests/capi/layout/abi-1.txt said. */
typedef char frozen_0[((long long)FANFARE_ABI_VERSION == 1) ? 1 : -1];
typedef char frozen_1[((long long)FANFARE_POLICIES_THESE == 1) ? 1 : -1];
typedef char frozen_2[((long long)FANFARE_EVENT_ID_BYTES_MAX == 64) ? 1 : -1];
typedef char frozen_3[((unsigned long long)FANFARE_UNSET == 18446744073709551615u) ? 1 : -1];
typedef char frozen_4[((long long)FANFARE_LOG_BYTES_MAX == 1024) ? 1 : -1];
typedef char frozen_5[((long long)FANFARE_QUERY_TOPICS_NONE == 1) ? 1 : -1];
typedef char frozen_6[((long long)FANFARE_QUERY_TOPICS_ANY == 2) ? 1 : -1];
typedef char frozen_7[((long long)FANFARE_OVERLOAD_COME_AGAIN == 1) ? 1 : -1];
typedef char frozen_8[((long long)FANFARE_OVERLOAD_UNAVAILABLE == 2) ? 1 : -1];
typedef char frozen_9[((long long)FANFARE_FORWARDED_X_FORWARDED_FOR == 1) ? 1 : -1];
typedef char frozen_10[((long long)FANFARE_FORWARDED_FORWARDED == 2) ? 1 : -1];
typedef char frozen_11[((long long)FANFARE_KEY_FILE == 1) ? 1 : -1];
typedef char frozen_12[((long long)FANFARE_KEY_JWKS == 2) ? 1 : -1];
typedef char frozen_13[((long long)FANFARE_TICKET_BYTES_MAX == 63) ? 1 : -1];
typedef char frozen_14[((long long)FANFARE_METRICS_REASONS_MAX == 32) ? 1 : -1];
typedef char frozen_15[((long long)FANFARE_OK == 0) ? 1 : -1];
typedef char frozen_16[((long long)FANFARE_ERR_PANIC == -1) ? 1 : -1];
typedef char frozen_17[((long long)FANFARE_ERR_ARGUMENT == -2) ? 1 : -1];
typedef char frozen_18[((long long)FANFARE_ERR_FORKED == -3) ? 1 : -1];
typedef char frozen_19[((long long)FANFARE_ERR_CLOSED == -4) ? 1 : -1];
typedef char frozen_20[((long long)FANFARE_ERR_FULL == -5) ? 1 : -1];
typedef char frozen_21[((long long)FANFARE_ERR_TOPIC == -6) ? 1 : -1];
typedef char frozen_22[((long long)FANFARE_ERR_EVENT == -7) ? 1 : -1];
typedef char frozen_23[((long long)FANFARE_ERR_UTF8 == -8) ? 1 : -1];
typedef char frozen_24[((long long)FANFARE_ERR_TOO_LARGE == -9) ? 1 : -1];
typedef char frozen_25[((long long)FANFARE_ERR_OPTIONS == -10) ? 1 : -1];
typedef char frozen_26[((long long)FANFARE_ERR_ADDRESS == -11) ? 1 : -1];
typedef char frozen_27[((long long)FANFARE_ERR_SYSTEM == -12) ? 1 : -1];
typedef char frozen_28[((long long)FANFARE_ERR_FINISHED == -13) ? 1 : -1];
typedef char frozen_29[((long long)FANFARE_ERR_TIMEOUT == -14) ? 1 : -1];
typedef char frozen_30[((long long)FANFARE_ERR_SUBSCRIPTION == -15) ? 1 : -1];
typedef char frozen_31[((long long)FANFARE_ERR_TOO_MANY == -16) ? 1 : -1];
typedef char frozen_32[((long long)FANFARE_ERR_BUFFER == -17) ? 1 : -1];
typedef char frozen_33[((long long)FANFARE_ERR_STALE == -18) ? 1 : -1];
typedef char frozen_34[((long long)FANFARE_ERR_LIMIT == -19) ? 1 : -1];
typedef char frozen_35[((long long)FANFARE_ERR_BUSY == -20) ? 1 : -1];
typedef char frozen_36[((long long)FANFARE_ERR_SOCKET == -21) ? 1 : -1];
typedef char frozen_37[((long long)FANFARE_ERR_SOCKET_TLS == -22) ? 1 : -1];
typedef char frozen_38[((long long)FANFARE_ERR_SOCKET_READ == -23) ? 1 : -1];
typedef char frozen_39[((long long)FANFARE_ERR_SOCKET_UNSENT == -24) ? 1 : -1];
typedef char frozen_40[((long long)FANFARE_ERR_REQUEST == -25) ? 1 : -1];
typedef char frozen_41[((long long)FANFARE_ERR_GRANT == -26) ? 1 : -1];
typedef char frozen_42[((long long)FANFARE_ERR_KEY == -27) ? 1 : -1];
typedef char frozen_43[((long long)FANFARE_ERR_ENDED == -28) ? 1 : -1];
typedef char frozen_44[((long long)FANFARE_ERR_LOGGER == -29) ? 1 : -1];
typedef char frozen_45[((long long)FANFARE_ERR_TOKEN == -30) ? 1 : -1];
typedef char frozen_46[((long long)FANFARE_ERR_JOURNAL == -31) ? 1 : -1];
typedef char frozen_47[((long long)FANFARE_ERR_CLUSTER == -32) ? 1 : -1];
typedef char frozen_48[((long long)FANFARE_ENVELOPE_NONE == 1) ? 1 : -1];
typedef char frozen_49[((long long)FANFARE_ENVELOPE_JSON == 2) ? 1 : -1];
typedef char frozen_50[((long long)FANFARE_HEARTBEAT_ID == 1) ? 1 : -1];
typedef char frozen_51[((long long)FANFARE_HEARTBEAT_COMMENT == 2) ? 1 : -1];
typedef char frozen_52[((long long)FANFARE_HEARTBEAT_EVENT == 3) ? 1 : -1];
typedef char frozen_53[((long long)FANFARE_DURABILITY_OS == 1) ? 1 : -1];
typedef char frozen_54[((long long)FANFARE_DURABILITY_INTERVAL == 2) ? 1 : -1];
typedef char frozen_55[((long long)FANFARE_DURABILITY_ALWAYS == 3) ? 1 : -1];
typedef char frozen_56[((long long)FANFARE_POLICY_DISCONNECT == 1) ? 1 : -1];
typedef char frozen_57[((long long)FANFARE_POLICY_DROP_OLDEST == 2) ? 1 : -1];
typedef char frozen_58[((long long)FANFARE_POLICY_CONFLATE == 3) ? 1 : -1];
typedef char frozen_59[((long long)FANFARE_START_NOW == 1) ? 1 : -1];
typedef char frozen_60[((long long)FANFARE_START_LATEST == 2) ? 1 : -1];
typedef char frozen_61[((long long)FANFARE_START_LAST == 3) ? 1 : -1];
typedef char frozen_62[((long long)FANFARE_START_EARLIEST == 4) ? 1 : -1];
typedef char frozen_63[((long long)FANFARE_DISCONNECT_CLIENT_CLOSED == 1) ? 1 : -1];
typedef char frozen_64[((long long)FANFARE_DISCONNECT_ERROR == 2) ? 1 : -1];
typedef char frozen_65[((long long)FANFARE_DISCONNECT_LAGGING == 3) ? 1 : -1];
typedef char frozen_66[((long long)FANFARE_DISCONNECT_GARBAGE == 4) ? 1 : -1];
typedef char frozen_67[((long long)FANFARE_DISCONNECT_CLOSED == 5) ? 1 : -1];
typedef char frozen_68[((long long)FANFARE_DISCONNECT_DRAINED == 6) ? 1 : -1];
typedef char frozen_69[((long long)FANFARE_DISCONNECT_TIMED_OUT == 7) ? 1 : -1];
typedef char frozen_70[((long long)FANFARE_DISCONNECT_RESET == 8) ? 1 : -1];
typedef char frozen_71[((long long)FANFARE_DISCONNECT_STALLED == 9) ? 1 : -1];
typedef char frozen_72[((long long)FANFARE_DISCONNECT_KICKED == 10) ? 1 : -1];
typedef char frozen_73[((long long)FANFARE_DISCONNECT_AGED == 11) ? 1 : -1];
typedef char frozen_74[((long long)FANFARE_DISCONNECT_FINISHED == 12) ? 1 : -1];
typedef char frozen_75[((long long)FANFARE_DISCONNECT_EXPIRED == 13) ? 1 : -1];
typedef char frozen_76[((long long)FANFARE_GAP_EXPIRED == 1) ? 1 : -1];
typedef char frozen_77[((long long)FANFARE_GAP_RESTARTED == 2) ? 1 : -1];
typedef char frozen_78[((long long)FANFARE_GAP_UNKNOWN_ID == 3) ? 1 : -1];
typedef char frozen_79[((long long)FANFARE_GAP_SLOW == 4) ? 1 : -1];
typedef char frozen_80[((long long)FANFARE_GAP_LOST == 5) ? 1 : -1];
typedef char frozen_81[((long long)FANFARE_LOG_OFF == 0) ? 1 : -1];
typedef char frozen_82[((long long)FANFARE_LOG_ERROR == 1) ? 1 : -1];
typedef char frozen_83[((long long)FANFARE_LOG_WARN == 2) ? 1 : -1];
typedef char frozen_84[((long long)FANFARE_LOG_INFO == 3) ? 1 : -1];
typedef char frozen_85[((long long)FANFARE_LOG_DEBUG == 4) ? 1 : -1];
typedef char frozen_86[((long long)FANFARE_LOG_TRACE == 5) ? 1 : -1];
typedef char frozen_87[((long long)FANFARE_NOTICE_CONNECTED == 1) ? 1 : -1];
typedef char frozen_88[((long long)FANFARE_NOTICE_DISCONNECTED == 2) ? 1 : -1];
typedef char frozen_89[((long long)FANFARE_NOTICE_WANTED == 3) ? 1 : -1];
typedef char frozen_90[((long long)FANFARE_NOTICE_UNWANTED == 4) ? 1 : -1];
typedef char frozen_91[((long long)FANFARE_NOTICE_AUTHORIZATION == 5) ? 1 : -1];
typedef char frozen_92[((long long)FANFARE_NOTICE_READABLE == 6) ? 1 : -1];
typedef char frozen_93[((long long)FANFARE_NOTICE_ENDED == 7) ? 1 : -1];
typedef char frozen_94[((long long)FANFARE_NOTICE_UNHANDLED == 8) ? 1 : -1];
typedef char frozen_95[((long long)FANFARE_NOTICE_SPACE == 9) ? 1 : -1];
typedef char frozen_96[((long long)FANFARE_NOTICE_LOG == 10) ? 1 : -1];
typedef char frozen_97[((long long)FANFARE_CONNECTION_LIVE == 1) ? 1 : -1];
typedef char frozen_98[((long long)FANFARE_CONNECTION_LAGGING == 2) ? 1 : -1];
typedef char frozen_99[((long long)FANFARE_CONNECTION_REPLAYING == 3) ? 1 : -1];
typedef char frozen_100[(sizeof(fanfare_status) == 4) ? 1 : -1];
typedef char frozen_101[(sizeof(fanfare_envelope) == 4) ? 1 : -1];
typedef char frozen_102[(sizeof(fanfare_heartbeat) == 4) ? 1 : -1];
typedef char frozen_103[(sizeof(fanfare_durability) == 4) ? 1 : -1];
typedef char frozen_104[(sizeof(fanfare_policy) == 4) ? 1 : -1];
typedef char frozen_105[(sizeof(fanfare_start) == 4) ? 1 : -1];
typedef char frozen_106[(sizeof(fanfare_disconnect_reason) == 4) ? 1 : -1];
typedef char frozen_107[(sizeof(fanfare_gap_reason) == 4) ? 1 : -1];
typedef char frozen_108[(sizeof(fanfare_log_level) == 4) ? 1 : -1];
typedef char frozen_109[(sizeof(fanfare_connection_id) == 8) ? 1 : -1];
typedef char frozen_110[(sizeof(fanfare_notice_kind) == 4) ? 1 : -1];
typedef char frozen_111[(sizeof(fanfare_connection_state) == 4) ? 1 : -1];
typedef char frozen_112[(sizeof(fanfare_text) == 16) ? 1 : -1];
typedef char frozen_113[(offsetof(fanfare_text, data) == 0 && sizeof(((fanfare_text *)0)->data) == 8) ? 1 : -1];
typedef char frozen_114[(offsetof(fanfare_text, length) == 8 && sizeof(((fanfare_text *)0)->length) == 8) ? 1 : -1];
typedef char frozen_115[(sizeof(fanfare_options) == 336) ? 1 : -1];
typedef char frozen_116[(offsetof(fanfare_options, size) == 0 && sizeof(((fanfare_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_117[(offsetof(fanfare_options, shards) == 8 && sizeof(((fanfare_options *)0)->shards) == 8) ? 1 : -1];
typedef char frozen_118[(offsetof(fanfare_options, heartbeat_ms) == 16 && sizeof(((fanfare_options *)0)->heartbeat_ms) == 8) ? 1 : -1];
typedef char frozen_119[(offsetof(fanfare_options, retry_ms) == 24 && sizeof(((fanfare_options *)0)->retry_ms) == 8) ? 1 : -1];
typedef char frozen_120[(offsetof(fanfare_options, event_bytes_max) == 32 && sizeof(((fanfare_options *)0)->event_bytes_max) == 8) ? 1 : -1];
typedef char frozen_121[(offsetof(fanfare_options, batch_bytes_max) == 40 && sizeof(((fanfare_options *)0)->batch_bytes_max) == 8) ? 1 : -1];
typedef char frozen_122[(offsetof(fanfare_options, topic_backlog_bytes_max) == 48 && sizeof(((fanfare_options *)0)->topic_backlog_bytes_max) == 8) ? 1 : -1];
typedef char frozen_123[(offsetof(fanfare_options, backlog_bytes_max) == 56 && sizeof(((fanfare_options *)0)->backlog_bytes_max) == 8) ? 1 : -1];
typedef char frozen_124[(offsetof(fanfare_options, history_events_max) == 64 && sizeof(((fanfare_options *)0)->history_events_max) == 8) ? 1 : -1];
typedef char frozen_125[(offsetof(fanfare_options, history_bytes_max) == 72 && sizeof(((fanfare_options *)0)->history_bytes_max) == 8) ? 1 : -1];
typedef char frozen_126[(offsetof(fanfare_options, history_age_max_ms) == 80 && sizeof(((fanfare_options *)0)->history_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_127[(offsetof(fanfare_options, history_total_bytes_max) == 88 && sizeof(((fanfare_options *)0)->history_total_bytes_max) == 8) ? 1 : -1];
typedef char frozen_128[(offsetof(fanfare_options, lag_bytes_max) == 96 && sizeof(((fanfare_options *)0)->lag_bytes_max) == 8) ? 1 : -1];
typedef char frozen_129[(offsetof(fanfare_options, lag_age_max_ms) == 104 && sizeof(((fanfare_options *)0)->lag_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_130[(offsetof(fanfare_options, lag_grace_ms) == 112 && sizeof(((fanfare_options *)0)->lag_grace_ms) == 8) ? 1 : -1];
typedef char frozen_131[(offsetof(fanfare_options, lag_grace_percent) == 120 && sizeof(((fanfare_options *)0)->lag_grace_percent) == 8) ? 1 : -1];
typedef char frozen_132[(offsetof(fanfare_options, lag_total_bytes_max) == 128 && sizeof(((fanfare_options *)0)->lag_total_bytes_max) == 8) ? 1 : -1];
typedef char frozen_133[(offsetof(fanfare_options, stall_time_max_ms) == 136 && sizeof(((fanfare_options *)0)->stall_time_max_ms) == 8) ? 1 : -1];
typedef char frozen_134[(offsetof(fanfare_options, connections_max) == 144 && sizeof(((fanfare_options *)0)->connections_max) == 8) ? 1 : -1];
typedef char frozen_135[(offsetof(fanfare_options, connections_per_address_max) == 152 && sizeof(((fanfare_options *)0)->connections_per_address_max) == 8) ? 1 : -1];
typedef char frozen_136[(offsetof(fanfare_options, subscriptions_max) == 160 && sizeof(((fanfare_options *)0)->subscriptions_max) == 8) ? 1 : -1];
typedef char frozen_137[(offsetof(fanfare_options, subscriptions_per_address_max) == 168 && sizeof(((fanfare_options *)0)->subscriptions_per_address_max) == 8) ? 1 : -1];
typedef char frozen_138[(offsetof(fanfare_options, connection_age_max_ms) == 176 && sizeof(((fanfare_options *)0)->connection_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_139[(offsetof(fanfare_options, any_host) == 184 && sizeof(((fanfare_options *)0)->any_host) == 4) ? 1 : -1];
typedef char frozen_140[(offsetof(fanfare_options, reserved) == 188 && sizeof(((fanfare_options *)0)->reserved) == 4) ? 1 : -1];
typedef char frozen_141[(offsetof(fanfare_options, finished_age_max_ms) == 192 && sizeof(((fanfare_options *)0)->finished_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_142[(offsetof(fanfare_options, heartbeat_form) == 200 && sizeof(((fanfare_options *)0)->heartbeat_form) == 4) ? 1 : -1];
typedef char frozen_143[(offsetof(fanfare_options, policy) == 204 && sizeof(((fanfare_options *)0)->policy) == 4) ? 1 : -1];
typedef char frozen_144[(offsetof(fanfare_options, gap_event) == 208 && sizeof(((fanfare_options *)0)->gap_event) == 16) ? 1 : -1];
typedef char frozen_145[(offsetof(fanfare_options, data_dir) == 224 && sizeof(((fanfare_options *)0)->data_dir) == 16) ? 1 : -1];
typedef char frozen_146[(offsetof(fanfare_options, durability) == 240 && sizeof(((fanfare_options *)0)->durability) == 4) ? 1 : -1];
typedef char frozen_147[(offsetof(fanfare_options, reserved_too) == 244 && sizeof(((fanfare_options *)0)->reserved_too) == 4) ? 1 : -1];
typedef char frozen_148[(offsetof(fanfare_options, sync_interval_ms) == 248 && sizeof(((fanfare_options *)0)->sync_interval_ms) == 8) ? 1 : -1];
typedef char frozen_149[(offsetof(fanfare_options, journal_backlog_bytes_max) == 256 && sizeof(((fanfare_options *)0)->journal_backlog_bytes_max) == 8) ? 1 : -1];
typedef char frozen_150[(offsetof(fanfare_options, cluster_url) == 264 && sizeof(((fanfare_options *)0)->cluster_url) == 16) ? 1 : -1];
typedef char frozen_151[(offsetof(fanfare_options, cluster_prefix) == 280 && sizeof(((fanfare_options *)0)->cluster_prefix) == 16) ? 1 : -1];
typedef char frozen_152[(offsetof(fanfare_options, cluster_ca_file) == 296 && sizeof(((fanfare_options *)0)->cluster_ca_file) == 16) ? 1 : -1];
typedef char frozen_153[(offsetof(fanfare_options, cluster_stream_events_max) == 312 && sizeof(((fanfare_options *)0)->cluster_stream_events_max) == 8) ? 1 : -1];
typedef char frozen_154[(offsetof(fanfare_options, cluster_stream_bytes_max) == 320 && sizeof(((fanfare_options *)0)->cluster_stream_bytes_max) == 8) ? 1 : -1];
typedef char frozen_155[(offsetof(fanfare_options, cluster_backlog_bytes_max) == 328 && sizeof(((fanfare_options *)0)->cluster_backlog_bytes_max) == 8) ? 1 : -1];
typedef char frozen_156[(sizeof(fanfare_event) == 104) ? 1 : -1];
typedef char frozen_157[(offsetof(fanfare_event, size) == 0 && sizeof(((fanfare_event *)0)->size) == 8) ? 1 : -1];
typedef char frozen_158[(offsetof(fanfare_event, data) == 8 && sizeof(((fanfare_event *)0)->data) == 16) ? 1 : -1];
typedef char frozen_159[(offsetof(fanfare_event, name) == 24 && sizeof(((fanfare_event *)0)->name) == 16) ? 1 : -1];
typedef char frozen_160[(offsetof(fanfare_event, id) == 40 && sizeof(((fanfare_event *)0)->id) == 16) ? 1 : -1];
typedef char frozen_161[(offsetof(fanfare_event, key) == 56 && sizeof(((fanfare_event *)0)->key) == 16) ? 1 : -1];
typedef char frozen_162[(offsetof(fanfare_event, retry_ms) == 72 && sizeof(((fanfare_event *)0)->retry_ms) == 4) ? 1 : -1];
typedef char frozen_163[(offsetof(fanfare_event, comment) == 80 && sizeof(((fanfare_event *)0)->comment) == 16) ? 1 : -1];
typedef char frozen_164[(offsetof(fanfare_event, window_ms) == 96 && sizeof(((fanfare_event *)0)->window_ms) == 8) ? 1 : -1];
typedef char frozen_165[(sizeof(fanfare_event_id) == 65) ? 1 : -1];
typedef char frozen_166[(offsetof(fanfare_event_id, length) == 0 && sizeof(((fanfare_event_id *)0)->length) == 1) ? 1 : -1];
typedef char frozen_167[(offsetof(fanfare_event_id, text) == 1 && sizeof(((fanfare_event_id *)0)->text) == 64) ? 1 : -1];
typedef char frozen_168[(sizeof(fanfare_publication) == 40) ? 1 : -1];
typedef char frozen_169[(offsetof(fanfare_publication, topics) == 0 && sizeof(((fanfare_publication *)0)->topics) == 8) ? 1 : -1];
typedef char frozen_170[(offsetof(fanfare_publication, topics_count) == 8 && sizeof(((fanfare_publication *)0)->topics_count) == 8) ? 1 : -1];
typedef char frozen_171[(offsetof(fanfare_publication, handles) == 16 && sizeof(((fanfare_publication *)0)->handles) == 8) ? 1 : -1];
typedef char frozen_172[(offsetof(fanfare_publication, handles_count) == 24 && sizeof(((fanfare_publication *)0)->handles_count) == 8) ? 1 : -1];
typedef char frozen_173[(offsetof(fanfare_publication, event) == 32 && sizeof(((fanfare_publication *)0)->event) == 8) ? 1 : -1];
typedef char frozen_174[(sizeof(fanfare_topic_options) == 48) ? 1 : -1];
typedef char frozen_175[(offsetof(fanfare_topic_options, size) == 0 && sizeof(((fanfare_topic_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_176[(offsetof(fanfare_topic_options, history_events_max) == 8 && sizeof(((fanfare_topic_options *)0)->history_events_max) == 8) ? 1 : -1];
typedef char frozen_177[(offsetof(fanfare_topic_options, history_bytes_max) == 16 && sizeof(((fanfare_topic_options *)0)->history_bytes_max) == 8) ? 1 : -1];
typedef char frozen_178[(offsetof(fanfare_topic_options, history_age_max_ms) == 24 && sizeof(((fanfare_topic_options *)0)->history_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_179[(offsetof(fanfare_topic_options, finished_age_max_ms) == 32 && sizeof(((fanfare_topic_options *)0)->finished_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_180[(offsetof(fanfare_topic_options, policy) == 40 && sizeof(((fanfare_topic_options *)0)->policy) == 4) ? 1 : -1];
typedef char frozen_181[(offsetof(fanfare_topic_options, reserved) == 44 && sizeof(((fanfare_topic_options *)0)->reserved) == 4) ? 1 : -1];
typedef char frozen_182[(sizeof(fanfare_rule) == 96) ? 1 : -1];
typedef char frozen_183[(offsetof(fanfare_rule, size) == 0 && sizeof(((fanfare_rule *)0)->size) == 8) ? 1 : -1];
typedef char frozen_184[(offsetof(fanfare_rule, subscription) == 8 && sizeof(((fanfare_rule *)0)->subscription) == 16) ? 1 : -1];
typedef char frozen_185[(offsetof(fanfare_rule, history_events_max) == 24 && sizeof(((fanfare_rule *)0)->history_events_max) == 8) ? 1 : -1];
typedef char frozen_186[(offsetof(fanfare_rule, history_bytes_max) == 32 && sizeof(((fanfare_rule *)0)->history_bytes_max) == 8) ? 1 : -1];
typedef char frozen_187[(offsetof(fanfare_rule, history_age_max_ms) == 40 && sizeof(((fanfare_rule *)0)->history_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_188[(offsetof(fanfare_rule, finished_age_max_ms) == 48 && sizeof(((fanfare_rule *)0)->finished_age_max_ms) == 8) ? 1 : -1];
typedef char frozen_189[(offsetof(fanfare_rule, policy) == 56 && sizeof(((fanfare_rule *)0)->policy) == 4) ? 1 : -1];
typedef char frozen_190[(offsetof(fanfare_rule, topics) == 64 && sizeof(((fanfare_rule *)0)->topics) == 8) ? 1 : -1];
typedef char frozen_191[(offsetof(fanfare_rule, finished_topics) == 72 && sizeof(((fanfare_rule *)0)->finished_topics) == 8) ? 1 : -1];
typedef char frozen_192[(offsetof(fanfare_rule, kept_events) == 80 && sizeof(((fanfare_rule *)0)->kept_events) == 8) ? 1 : -1];
typedef char frozen_193[(offsetof(fanfare_rule, kept_bytes) == 88 && sizeof(((fanfare_rule *)0)->kept_bytes) == 8) ? 1 : -1];
typedef char frozen_194[(sizeof(fanfare_header) == 32) ? 1 : -1];
typedef char frozen_195[(offsetof(fanfare_header, name) == 0 && sizeof(((fanfare_header *)0)->name) == 16) ? 1 : -1];
typedef char frozen_196[(offsetof(fanfare_header, value) == 16 && sizeof(((fanfare_header *)0)->value) == 16) ? 1 : -1];
typedef char frozen_197[(sizeof(fanfare_log_record) == 48) ? 1 : -1];
typedef char frozen_198[(offsetof(fanfare_log_record, size) == 0 && sizeof(((fanfare_log_record *)0)->size) == 8) ? 1 : -1];
typedef char frozen_199[(offsetof(fanfare_log_record, target) == 8 && sizeof(((fanfare_log_record *)0)->target) == 16) ? 1 : -1];
typedef char frozen_200[(offsetof(fanfare_log_record, message) == 24 && sizeof(((fanfare_log_record *)0)->message) == 16) ? 1 : -1];
typedef char frozen_201[(offsetof(fanfare_log_record, level) == 40 && sizeof(((fanfare_log_record *)0)->level) == 4) ? 1 : -1];
typedef char frozen_202[(offsetof(fanfare_log_record, is_cut) == 44 && sizeof(((fanfare_log_record *)0)->is_cut) == 4) ? 1 : -1];
typedef char frozen_203[(sizeof(fanfare_request) == 104) ? 1 : -1];
typedef char frozen_204[(offsetof(fanfare_request, size) == 0 && sizeof(((fanfare_request *)0)->size) == 8) ? 1 : -1];
typedef char frozen_205[(offsetof(fanfare_request, method) == 8 && sizeof(((fanfare_request *)0)->method) == 16) ? 1 : -1];
typedef char frozen_206[(offsetof(fanfare_request, path) == 24 && sizeof(((fanfare_request *)0)->path) == 16) ? 1 : -1];
typedef char frozen_207[(offsetof(fanfare_request, query) == 40 && sizeof(((fanfare_request *)0)->query) == 16) ? 1 : -1];
typedef char frozen_208[(offsetof(fanfare_request, headers) == 56 && sizeof(((fanfare_request *)0)->headers) == 8) ? 1 : -1];
typedef char frozen_209[(offsetof(fanfare_request, headers_count) == 64 && sizeof(((fanfare_request *)0)->headers_count) == 8) ? 1 : -1];
typedef char frozen_210[(offsetof(fanfare_request, content) == 72 && sizeof(((fanfare_request *)0)->content) == 16) ? 1 : -1];
typedef char frozen_211[(offsetof(fanfare_request, last_event_id) == 88 && sizeof(((fanfare_request *)0)->last_event_id) == 16) ? 1 : -1];
typedef char frozen_212[(sizeof(fanfare_notice) == 152) ? 1 : -1];
typedef char frozen_213[(offsetof(fanfare_notice, kind) == 0 && sizeof(((fanfare_notice *)0)->kind) == 4) ? 1 : -1];
typedef char frozen_214[(offsetof(fanfare_notice, reason) == 4 && sizeof(((fanfare_notice *)0)->reason) == 4) ? 1 : -1];
typedef char frozen_215[(offsetof(fanfare_notice, token) == 8 && sizeof(((fanfare_notice *)0)->token) == 8) ? 1 : -1];
typedef char frozen_216[(offsetof(fanfare_notice, id) == 16 && sizeof(((fanfare_notice *)0)->id) == 8) ? 1 : -1];
typedef char frozen_217[(offsetof(fanfare_notice, at_unix_ms) == 24 && sizeof(((fanfare_notice *)0)->at_unix_ms) == 8) ? 1 : -1];
typedef char frozen_218[(offsetof(fanfare_notice, lost) == 32 && sizeof(((fanfare_notice *)0)->lost) == 8) ? 1 : -1];
typedef char frozen_219[(offsetof(fanfare_notice, tag) == 40 && sizeof(((fanfare_notice *)0)->tag) == 16) ? 1 : -1];
typedef char frozen_220[(offsetof(fanfare_notice, addr) == 56 && sizeof(((fanfare_notice *)0)->addr) == 16) ? 1 : -1];
typedef char frozen_221[(offsetof(fanfare_notice, subscriptions) == 72 && sizeof(((fanfare_notice *)0)->subscriptions) == 8) ? 1 : -1];
typedef char frozen_222[(offsetof(fanfare_notice, subscriptions_count) == 80 && sizeof(((fanfare_notice *)0)->subscriptions_count) == 8) ? 1 : -1];
typedef char frozen_223[(offsetof(fanfare_notice, lasted_ms) == 88 && sizeof(((fanfare_notice *)0)->lasted_ms) == 8) ? 1 : -1];
typedef char frozen_224[(offsetof(fanfare_notice, events) == 96 && sizeof(((fanfare_notice *)0)->events) == 8) ? 1 : -1];
typedef char frozen_225[(offsetof(fanfare_notice, bytes) == 104 && sizeof(((fanfare_notice *)0)->bytes) == 8) ? 1 : -1];
typedef char frozen_226[(offsetof(fanfare_notice, request) == 112 && sizeof(((fanfare_notice *)0)->request) == 8) ? 1 : -1];
typedef char frozen_227[(offsetof(fanfare_notice, peer) == 120 && sizeof(((fanfare_notice *)0)->peer) == 16) ? 1 : -1];
typedef char frozen_228[(offsetof(fanfare_notice, is_proxy) == 136 && sizeof(((fanfare_notice *)0)->is_proxy) == 4) ? 1 : -1];
typedef char frozen_229[(offsetof(fanfare_notice, reserved) == 140 && sizeof(((fanfare_notice *)0)->reserved) == 4) ? 1 : -1];
typedef char frozen_230[(offsetof(fanfare_notice, log) == 144 && sizeof(((fanfare_notice *)0)->log) == 8) ? 1 : -1];
typedef char frozen_231[(sizeof(fanfare_route) == 64) ? 1 : -1];
typedef char frozen_232[(offsetof(fanfare_route, size) == 0 && sizeof(((fanfare_route *)0)->size) == 8) ? 1 : -1];
typedef char frozen_233[(offsetof(fanfare_route, path) == 8 && sizeof(((fanfare_route *)0)->path) == 16) ? 1 : -1];
typedef char frozen_234[(offsetof(fanfare_route, subscriptions) == 24 && sizeof(((fanfare_route *)0)->subscriptions) == 8) ? 1 : -1];
typedef char frozen_235[(offsetof(fanfare_route, subscriptions_count) == 32 && sizeof(((fanfare_route *)0)->subscriptions_count) == 8) ? 1 : -1];
typedef char frozen_236[(offsetof(fanfare_route, headers) == 40 && sizeof(((fanfare_route *)0)->headers) == 8) ? 1 : -1];
typedef char frozen_237[(offsetof(fanfare_route, headers_count) == 48 && sizeof(((fanfare_route *)0)->headers_count) == 8) ? 1 : -1];
typedef char frozen_238[(offsetof(fanfare_route, post) == 56 && sizeof(((fanfare_route *)0)->post) == 4) ? 1 : -1];
typedef char frozen_239[(offsetof(fanfare_route, query_topics) == 60 && sizeof(((fanfare_route *)0)->query_topics) == 4) ? 1 : -1];
typedef char frozen_240[(sizeof(fanfare_listen_options) == 312) ? 1 : -1];
typedef char frozen_241[(offsetof(fanfare_listen_options, size) == 0 && sizeof(((fanfare_listen_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_242[(offsetof(fanfare_listen_options, path) == 8 && sizeof(((fanfare_listen_options *)0)->path) == 16) ? 1 : -1];
typedef char frozen_243[(offsetof(fanfare_listen_options, health_path) == 24 && sizeof(((fanfare_listen_options *)0)->health_path) == 16) ? 1 : -1];
typedef char frozen_244[(offsetof(fanfare_listen_options, routes) == 40 && sizeof(((fanfare_listen_options *)0)->routes) == 8) ? 1 : -1];
typedef char frozen_245[(offsetof(fanfare_listen_options, routes_count) == 48 && sizeof(((fanfare_listen_options *)0)->routes_count) == 8) ? 1 : -1];
typedef char frozen_246[(offsetof(fanfare_listen_options, headers) == 56 && sizeof(((fanfare_listen_options *)0)->headers) == 8) ? 1 : -1];
typedef char frozen_247[(offsetof(fanfare_listen_options, headers_count) == 64 && sizeof(((fanfare_listen_options *)0)->headers_count) == 8) ? 1 : -1];
typedef char frozen_248[(offsetof(fanfare_listen_options, cors_origins) == 72 && sizeof(((fanfare_listen_options *)0)->cors_origins) == 8) ? 1 : -1];
typedef char frozen_249[(offsetof(fanfare_listen_options, cors_origins_count) == 80 && sizeof(((fanfare_listen_options *)0)->cors_origins_count) == 8) ? 1 : -1];
typedef char frozen_250[(offsetof(fanfare_listen_options, cors_request_headers) == 88 && sizeof(((fanfare_listen_options *)0)->cors_request_headers) == 8) ? 1 : -1];
typedef char frozen_251[(offsetof(fanfare_listen_options, cors_request_headers_count) == 96 && sizeof(((fanfare_listen_options *)0)->cors_request_headers_count) == 8) ? 1 : -1];
typedef char frozen_252[(offsetof(fanfare_listen_options, cors_exposed_headers) == 104 && sizeof(((fanfare_listen_options *)0)->cors_exposed_headers) == 8) ? 1 : -1];
typedef char frozen_253[(offsetof(fanfare_listen_options, cors_exposed_headers_count) == 112 && sizeof(((fanfare_listen_options *)0)->cors_exposed_headers_count) == 8) ? 1 : -1];
typedef char frozen_254[(offsetof(fanfare_listen_options, hosts) == 120 && sizeof(((fanfare_listen_options *)0)->hosts) == 8) ? 1 : -1];
typedef char frozen_255[(offsetof(fanfare_listen_options, hosts_count) == 128 && sizeof(((fanfare_listen_options *)0)->hosts_count) == 8) ? 1 : -1];
typedef char frozen_256[(offsetof(fanfare_listen_options, proxy_protocol_from) == 136 && sizeof(((fanfare_listen_options *)0)->proxy_protocol_from) == 8) ? 1 : -1];
typedef char frozen_257[(offsetof(fanfare_listen_options, proxy_protocol_from_count) == 144 && sizeof(((fanfare_listen_options *)0)->proxy_protocol_from_count) == 8) ? 1 : -1];
typedef char frozen_258[(offsetof(fanfare_listen_options, trusted_proxies) == 152 && sizeof(((fanfare_listen_options *)0)->trusted_proxies) == 8) ? 1 : -1];
typedef char frozen_259[(offsetof(fanfare_listen_options, trusted_proxies_count) == 160 && sizeof(((fanfare_listen_options *)0)->trusted_proxies_count) == 8) ? 1 : -1];
typedef char frozen_260[(offsetof(fanfare_listen_options, authorizer) == 168 && sizeof(((fanfare_listen_options *)0)->authorizer) == 8) ? 1 : -1];
typedef char frozen_261[(offsetof(fanfare_listen_options, fallback) == 176 && sizeof(((fanfare_listen_options *)0)->fallback) == 8) ? 1 : -1];
typedef char frozen_262[(offsetof(fanfare_listen_options, cors_credentials) == 184 && sizeof(((fanfare_listen_options *)0)->cors_credentials) == 4) ? 1 : -1];
typedef char frozen_263[(offsetof(fanfare_listen_options, forwarded_header) == 188 && sizeof(((fanfare_listen_options *)0)->forwarded_header) == 4) ? 1 : -1];
typedef char frozen_264[(offsetof(fanfare_listen_options, socket_mode) == 192 && sizeof(((fanfare_listen_options *)0)->socket_mode) == 4) ? 1 : -1];
typedef char frozen_265[(offsetof(fanfare_listen_options, overload) == 196 && sizeof(((fanfare_listen_options *)0)->overload) == 4) ? 1 : -1];
typedef char frozen_266[(offsetof(fanfare_listen_options, start) == 200 && sizeof(((fanfare_listen_options *)0)->start) == 4) ? 1 : -1];
typedef char frozen_267[(offsetof(fanfare_listen_options, start_last) == 204 && sizeof(((fanfare_listen_options *)0)->start_last) == 4) ? 1 : -1];
typedef char frozen_268[(offsetof(fanfare_listen_options, gap_start) == 208 && sizeof(((fanfare_listen_options *)0)->gap_start) == 4) ? 1 : -1];
typedef char frozen_269[(offsetof(fanfare_listen_options, gap_start_last) == 212 && sizeof(((fanfare_listen_options *)0)->gap_start_last) == 4) ? 1 : -1];
typedef char frozen_270[(offsetof(fanfare_listen_options, policies) == 216 && sizeof(((fanfare_listen_options *)0)->policies) == 4) ? 1 : -1];
typedef char frozen_271[(offsetof(fanfare_listen_options, envelope) == 220 && sizeof(((fanfare_listen_options *)0)->envelope) == 4) ? 1 : -1];
typedef char frozen_272[(offsetof(fanfare_listen_options, cors_max_age_ms) == 224 && sizeof(((fanfare_listen_options *)0)->cors_max_age_ms) == 8) ? 1 : -1];
typedef char frozen_273[(offsetof(fanfare_listen_options, head_bytes_max) == 232 && sizeof(((fanfare_listen_options *)0)->head_bytes_max) == 8) ? 1 : -1];
typedef char frozen_274[(offsetof(fanfare_listen_options, head_fields_max) == 240 && sizeof(((fanfare_listen_options *)0)->head_fields_max) == 8) ? 1 : -1];
typedef char frozen_275[(offsetof(fanfare_listen_options, body_bytes_max) == 248 && sizeof(((fanfare_listen_options *)0)->body_bytes_max) == 8) ? 1 : -1];
typedef char frozen_276[(offsetof(fanfare_listen_options, head_time_max_ms) == 256 && sizeof(((fanfare_listen_options *)0)->head_time_max_ms) == 8) ? 1 : -1];
typedef char frozen_277[(offsetof(fanfare_listen_options, subscriptions_per_connection_max) == 264 && sizeof(((fanfare_listen_options *)0)->subscriptions_per_connection_max) == 8) ? 1 : -1];
typedef char frozen_278[(offsetof(fanfare_listen_options, wide_filters_max) == 272 && sizeof(((fanfare_listen_options *)0)->wide_filters_max) == 8) ? 1 : -1];
typedef char frozen_279[(offsetof(fanfare_listen_options, notsent_lowat_bytes) == 280 && sizeof(((fanfare_listen_options *)0)->notsent_lowat_bytes) == 8) ? 1 : -1];
typedef char frozen_280[(offsetof(fanfare_listen_options, send_buffer_bytes) == 288 && sizeof(((fanfare_listen_options *)0)->send_buffer_bytes) == 8) ? 1 : -1];
typedef char frozen_281[(offsetof(fanfare_listen_options, keepalive_ms) == 296 && sizeof(((fanfare_listen_options *)0)->keepalive_ms) == 8) ? 1 : -1];
typedef char frozen_282[(offsetof(fanfare_listen_options, user_timeout_ms) == 304 && sizeof(((fanfare_listen_options *)0)->user_timeout_ms) == 8) ? 1 : -1];
typedef char frozen_283[(sizeof(fanfare_listener) == 8) ? 1 : -1];
typedef char frozen_284[(offsetof(fanfare_listener, id) == 0 && sizeof(((fanfare_listener *)0)->id) == 8) ? 1 : -1];
typedef char frozen_285[(sizeof(fanfare_grant) == 80) ? 1 : -1];
typedef char frozen_286[(offsetof(fanfare_grant, size) == 0 && sizeof(((fanfare_grant *)0)->size) == 8) ? 1 : -1];
typedef char frozen_287[(offsetof(fanfare_grant, topics) == 8 && sizeof(((fanfare_grant *)0)->topics) == 8) ? 1 : -1];
typedef char frozen_288[(offsetof(fanfare_grant, topics_count) == 16 && sizeof(((fanfare_grant *)0)->topics_count) == 8) ? 1 : -1];
typedef char frozen_289[(offsetof(fanfare_grant, headers) == 24 && sizeof(((fanfare_grant *)0)->headers) == 8) ? 1 : -1];
typedef char frozen_290[(offsetof(fanfare_grant, headers_count) == 32 && sizeof(((fanfare_grant *)0)->headers_count) == 8) ? 1 : -1];
typedef char frozen_291[(offsetof(fanfare_grant, tag) == 40 && sizeof(((fanfare_grant *)0)->tag) == 16) ? 1 : -1];
typedef char frozen_292[(offsetof(fanfare_grant, expires_at_unix_ms) == 56 && sizeof(((fanfare_grant *)0)->expires_at_unix_ms) == 8) ? 1 : -1];
typedef char frozen_293[(offsetof(fanfare_grant, any_topics) == 64 && sizeof(((fanfare_grant *)0)->any_topics) == 4) ? 1 : -1];
typedef char frozen_294[(offsetof(fanfare_grant, policy) == 68 && sizeof(((fanfare_grant *)0)->policy) == 4) ? 1 : -1];
typedef char frozen_295[(offsetof(fanfare_grant, start) == 72 && sizeof(((fanfare_grant *)0)->start) == 4) ? 1 : -1];
typedef char frozen_296[(offsetof(fanfare_grant, start_last) == 76 && sizeof(((fanfare_grant *)0)->start_last) == 4) ? 1 : -1];
typedef char frozen_297[(sizeof(fanfare_refusal) == 48) ? 1 : -1];
typedef char frozen_298[(offsetof(fanfare_refusal, size) == 0 && sizeof(((fanfare_refusal *)0)->size) == 8) ? 1 : -1];
typedef char frozen_299[(offsetof(fanfare_refusal, headers) == 8 && sizeof(((fanfare_refusal *)0)->headers) == 8) ? 1 : -1];
typedef char frozen_300[(offsetof(fanfare_refusal, headers_count) == 16 && sizeof(((fanfare_refusal *)0)->headers_count) == 8) ? 1 : -1];
typedef char frozen_301[(offsetof(fanfare_refusal, text) == 24 && sizeof(((fanfare_refusal *)0)->text) == 16) ? 1 : -1];
typedef char frozen_302[(offsetof(fanfare_refusal, status) == 40 && sizeof(((fanfare_refusal *)0)->status) == 4) ? 1 : -1];
typedef char frozen_303[(offsetof(fanfare_refusal, reserved) == 44 && sizeof(((fanfare_refusal *)0)->reserved) == 4) ? 1 : -1];
typedef char frozen_304[(sizeof(fanfare_ask_options) == 24) ? 1 : -1];
typedef char frozen_305[(offsetof(fanfare_ask_options, size) == 0 && sizeof(((fanfare_ask_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_306[(offsetof(fanfare_ask_options, waiting_max) == 8 && sizeof(((fanfare_ask_options *)0)->waiting_max) == 8) ? 1 : -1];
typedef char frozen_307[(offsetof(fanfare_ask_options, timeout_ms) == 16 && sizeof(((fanfare_ask_options *)0)->timeout_ms) == 8) ? 1 : -1];
typedef char frozen_308[(sizeof(fanfare_token_options) == 64) ? 1 : -1];
typedef char frozen_309[(offsetof(fanfare_token_options, size) == 0 && sizeof(((fanfare_token_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_310[(offsetof(fanfare_token_options, audiences) == 8 && sizeof(((fanfare_token_options *)0)->audiences) == 8) ? 1 : -1];
typedef char frozen_311[(offsetof(fanfare_token_options, audiences_count) == 16 && sizeof(((fanfare_token_options *)0)->audiences_count) == 8) ? 1 : -1];
typedef char frozen_312[(offsetof(fanfare_token_options, issuers) == 24 && sizeof(((fanfare_token_options *)0)->issuers) == 8) ? 1 : -1];
typedef char frozen_313[(offsetof(fanfare_token_options, issuers_count) == 32 && sizeof(((fanfare_token_options *)0)->issuers_count) == 8) ? 1 : -1];
typedef char frozen_314[(offsetof(fanfare_token_options, claim) == 40 && sizeof(((fanfare_token_options *)0)->claim) == 16) ? 1 : -1];
typedef char frozen_315[(offsetof(fanfare_token_options, leeway_ms) == 56 && sizeof(((fanfare_token_options *)0)->leeway_ms) == 8) ? 1 : -1];
typedef char frozen_316[(sizeof(fanfare_key) == 24) ? 1 : -1];
typedef char frozen_317[(offsetof(fanfare_key, bytes) == 0 && sizeof(((fanfare_key *)0)->bytes) == 16) ? 1 : -1];
typedef char frozen_318[(offsetof(fanfare_key, form) == 16 && sizeof(((fanfare_key *)0)->form) == 4) ? 1 : -1];
typedef char frozen_319[(offsetof(fanfare_key, reserved) == 20 && sizeof(((fanfare_key *)0)->reserved) == 4) ? 1 : -1];
typedef char frozen_320[(sizeof(fanfare_ticket_options) == 24) ? 1 : -1];
typedef char frozen_321[(offsetof(fanfare_ticket_options, size) == 0 && sizeof(((fanfare_ticket_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_322[(offsetof(fanfare_ticket_options, tickets_max) == 8 && sizeof(((fanfare_ticket_options *)0)->tickets_max) == 8) ? 1 : -1];
typedef char frozen_323[(offsetof(fanfare_ticket_options, first_use_time_max_ms) == 16 && sizeof(((fanfare_ticket_options *)0)->first_use_time_max_ms) == 8) ? 1 : -1];
typedef char frozen_324[(sizeof(fanfare_access_options) == 56) ? 1 : -1];
typedef char frozen_325[(offsetof(fanfare_access_options, size) == 0 && sizeof(((fanfare_access_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_326[(offsetof(fanfare_access_options, cookie) == 8 && sizeof(((fanfare_access_options *)0)->cookie) == 16) ? 1 : -1];
typedef char frozen_327[(offsetof(fanfare_access_options, cookie_origins) == 24 && sizeof(((fanfare_access_options *)0)->cookie_origins) == 8) ? 1 : -1];
typedef char frozen_328[(offsetof(fanfare_access_options, cookie_origins_count) == 32 && sizeof(((fanfare_access_options *)0)->cookie_origins_count) == 8) ? 1 : -1];
typedef char frozen_329[(offsetof(fanfare_access_options, exchange_path) == 40 && sizeof(((fanfare_access_options *)0)->exchange_path) == 16) ? 1 : -1];
typedef char frozen_330[(sizeof(fanfare_ticket) == 64) ? 1 : -1];
typedef char frozen_331[(offsetof(fanfare_ticket, length) == 0 && sizeof(((fanfare_ticket *)0)->length) == 1) ? 1 : -1];
typedef char frozen_332[(offsetof(fanfare_ticket, text) == 1 && sizeof(((fanfare_ticket *)0)->text) == 63) ? 1 : -1];
typedef char frozen_333[(sizeof(fanfare_token_claims) == 96) ? 1 : -1];
typedef char frozen_334[(offsetof(fanfare_token_claims, size) == 0 && sizeof(((fanfare_token_claims *)0)->size) == 8) ? 1 : -1];
typedef char frozen_335[(offsetof(fanfare_token_claims, audience) == 8 && sizeof(((fanfare_token_claims *)0)->audience) == 16) ? 1 : -1];
typedef char frozen_336[(offsetof(fanfare_token_claims, issuer) == 24 && sizeof(((fanfare_token_claims *)0)->issuer) == 16) ? 1 : -1];
typedef char frozen_337[(offsetof(fanfare_token_claims, subject) == 40 && sizeof(((fanfare_token_claims *)0)->subject) == 16) ? 1 : -1];
typedef char frozen_338[(offsetof(fanfare_token_claims, kid) == 56 && sizeof(((fanfare_token_claims *)0)->kid) == 16) ? 1 : -1];
typedef char frozen_339[(offsetof(fanfare_token_claims, claim) == 72 && sizeof(((fanfare_token_claims *)0)->claim) == 16) ? 1 : -1];
typedef char frozen_340[(offsetof(fanfare_token_claims, not_before_unix_ms) == 88 && sizeof(((fanfare_token_claims *)0)->not_before_unix_ms) == 8) ? 1 : -1];
typedef char frozen_341[(sizeof(fanfare_stream_options) == 104) ? 1 : -1];
typedef char frozen_342[(offsetof(fanfare_stream_options, size) == 0 && sizeof(((fanfare_stream_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_343[(offsetof(fanfare_stream_options, last_event_id) == 8 && sizeof(((fanfare_stream_options *)0)->last_event_id) == 16) ? 1 : -1];
typedef char frozen_344[(offsetof(fanfare_stream_options, tag) == 24 && sizeof(((fanfare_stream_options *)0)->tag) == 16) ? 1 : -1];
typedef char frozen_345[(offsetof(fanfare_stream_options, addr) == 40 && sizeof(((fanfare_stream_options *)0)->addr) == 16) ? 1 : -1];
typedef char frozen_346[(offsetof(fanfare_stream_options, start) == 56 && sizeof(((fanfare_stream_options *)0)->start) == 4) ? 1 : -1];
typedef char frozen_347[(offsetof(fanfare_stream_options, start_last) == 60 && sizeof(((fanfare_stream_options *)0)->start_last) == 4) ? 1 : -1];
typedef char frozen_348[(offsetof(fanfare_stream_options, gap_start) == 64 && sizeof(((fanfare_stream_options *)0)->gap_start) == 4) ? 1 : -1];
typedef char frozen_349[(offsetof(fanfare_stream_options, gap_start_last) == 68 && sizeof(((fanfare_stream_options *)0)->gap_start_last) == 4) ? 1 : -1];
typedef char frozen_350[(offsetof(fanfare_stream_options, policy) == 72 && sizeof(((fanfare_stream_options *)0)->policy) == 4) ? 1 : -1];
typedef char frozen_351[(offsetof(fanfare_stream_options, heartbeat_form) == 76 && sizeof(((fanfare_stream_options *)0)->heartbeat_form) == 4) ? 1 : -1];
typedef char frozen_352[(offsetof(fanfare_stream_options, envelope) == 80 && sizeof(((fanfare_stream_options *)0)->envelope) == 4) ? 1 : -1];
typedef char frozen_353[(offsetof(fanfare_stream_options, reserved) == 84 && sizeof(((fanfare_stream_options *)0)->reserved) == 4) ? 1 : -1];
typedef char frozen_354[(offsetof(fanfare_stream_options, expires_at_unix_ms) == 88 && sizeof(((fanfare_stream_options *)0)->expires_at_unix_ms) == 8) ? 1 : -1];
typedef char frozen_355[(offsetof(fanfare_stream_options, queue_bytes_max) == 96 && sizeof(((fanfare_stream_options *)0)->queue_bytes_max) == 8) ? 1 : -1];
typedef char frozen_356[(sizeof(fanfare_admit_request) == 64) ? 1 : -1];
typedef char frozen_357[(offsetof(fanfare_admit_request, size) == 0 && sizeof(((fanfare_admit_request *)0)->size) == 8) ? 1 : -1];
typedef char frozen_358[(offsetof(fanfare_admit_request, read) == 8 && sizeof(((fanfare_admit_request *)0)->read) == 16) ? 1 : -1];
typedef char frozen_359[(offsetof(fanfare_admit_request, addr) == 24 && sizeof(((fanfare_admit_request *)0)->addr) == 16) ? 1 : -1];
typedef char frozen_360[(offsetof(fanfare_admit_request, peer) == 40 && sizeof(((fanfare_admit_request *)0)->peer) == 16) ? 1 : -1];
typedef char frozen_361[(offsetof(fanfare_admit_request, is_proxy) == 56 && sizeof(((fanfare_admit_request *)0)->is_proxy) == 4) ? 1 : -1];
typedef char frozen_362[(offsetof(fanfare_admit_request, reserved) == 60 && sizeof(((fanfare_admit_request *)0)->reserved) == 4) ? 1 : -1];
typedef char frozen_363[(sizeof(fanfare_adopt_request) == 96) ? 1 : -1];
typedef char frozen_364[(offsetof(fanfare_adopt_request, size) == 0 && sizeof(((fanfare_adopt_request *)0)->size) == 8) ? 1 : -1];
typedef char frozen_365[(offsetof(fanfare_adopt_request, topics) == 8 && sizeof(((fanfare_adopt_request *)0)->topics) == 8) ? 1 : -1];
typedef char frozen_366[(offsetof(fanfare_adopt_request, topics_count) == 16 && sizeof(((fanfare_adopt_request *)0)->topics_count) == 8) ? 1 : -1];
typedef char frozen_367[(offsetof(fanfare_adopt_request, options) == 24 && sizeof(((fanfare_adopt_request *)0)->options) == 8) ? 1 : -1];
typedef char frozen_368[(offsetof(fanfare_adopt_request, method) == 32 && sizeof(((fanfare_adopt_request *)0)->method) == 16) ? 1 : -1];
typedef char frozen_369[(offsetof(fanfare_adopt_request, version) == 48 && sizeof(((fanfare_adopt_request *)0)->version) == 16) ? 1 : -1];
typedef char frozen_370[(offsetof(fanfare_adopt_request, headers) == 64 && sizeof(((fanfare_adopt_request *)0)->headers) == 8) ? 1 : -1];
typedef char frozen_371[(offsetof(fanfare_adopt_request, headers_count) == 72 && sizeof(((fanfare_adopt_request *)0)->headers_count) == 8) ? 1 : -1];
typedef char frozen_372[(offsetof(fanfare_adopt_request, read_ahead_bytes) == 80 && sizeof(((fanfare_adopt_request *)0)->read_ahead_bytes) == 8) ? 1 : -1];
typedef char frozen_373[(offsetof(fanfare_adopt_request, is_tls) == 88 && sizeof(((fanfare_adopt_request *)0)->is_tls) == 4) ? 1 : -1];
typedef char frozen_374[(offsetof(fanfare_adopt_request, has_unread_content) == 92 && sizeof(((fanfare_adopt_request *)0)->has_unread_content) == 4) ? 1 : -1];
typedef char frozen_375[(sizeof(fanfare_connection_filter) == 56) ? 1 : -1];
typedef char frozen_376[(offsetof(fanfare_connection_filter, size) == 0 && sizeof(((fanfare_connection_filter *)0)->size) == 8) ? 1 : -1];
typedef char frozen_377[(offsetof(fanfare_connection_filter, subscription) == 8 && sizeof(((fanfare_connection_filter *)0)->subscription) == 16) ? 1 : -1];
typedef char frozen_378[(offsetof(fanfare_connection_filter, tag) == 24 && sizeof(((fanfare_connection_filter *)0)->tag) == 16) ? 1 : -1];
typedef char frozen_379[(offsetof(fanfare_connection_filter, limit) == 40 && sizeof(((fanfare_connection_filter *)0)->limit) == 8) ? 1 : -1];
typedef char frozen_380[(offsetof(fanfare_connection_filter, lagging) == 48 && sizeof(((fanfare_connection_filter *)0)->lagging) == 4) ? 1 : -1];
typedef char frozen_381[(offsetof(fanfare_connection_filter, slowest_first) == 52 && sizeof(((fanfare_connection_filter *)0)->slowest_first) == 4) ? 1 : -1];
typedef char frozen_382[(sizeof(fanfare_connection) == 136) ? 1 : -1];
typedef char frozen_383[(offsetof(fanfare_connection, size) == 0 && sizeof(((fanfare_connection *)0)->size) == 8) ? 1 : -1];
typedef char frozen_384[(offsetof(fanfare_connection, id) == 8 && sizeof(((fanfare_connection *)0)->id) == 8) ? 1 : -1];
typedef char frozen_385[(offsetof(fanfare_connection, subscriptions) == 16 && sizeof(((fanfare_connection *)0)->subscriptions) == 8) ? 1 : -1];
typedef char frozen_386[(offsetof(fanfare_connection, subscriptions_count) == 24 && sizeof(((fanfare_connection *)0)->subscriptions_count) == 8) ? 1 : -1];
typedef char frozen_387[(offsetof(fanfare_connection, addr) == 32 && sizeof(((fanfare_connection *)0)->addr) == 16) ? 1 : -1];
typedef char frozen_388[(offsetof(fanfare_connection, tag) == 48 && sizeof(((fanfare_connection *)0)->tag) == 16) ? 1 : -1];
typedef char frozen_389[(offsetof(fanfare_connection, since_unix_ms) == 64 && sizeof(((fanfare_connection *)0)->since_unix_ms) == 8) ? 1 : -1];
typedef char frozen_390[(offsetof(fanfare_connection, events) == 72 && sizeof(((fanfare_connection *)0)->events) == 8) ? 1 : -1];
typedef char frozen_391[(offsetof(fanfare_connection, bytes) == 80 && sizeof(((fanfare_connection *)0)->bytes) == 8) ? 1 : -1];
typedef char frozen_392[(offsetof(fanfare_connection, lag_events) == 88 && sizeof(((fanfare_connection *)0)->lag_events) == 8) ? 1 : -1];
typedef char frozen_393[(offsetof(fanfare_connection, lag_bytes) == 96 && sizeof(((fanfare_connection *)0)->lag_bytes) == 8) ? 1 : -1];
typedef char frozen_394[(offsetof(fanfare_connection, lag_age_ms) == 104 && sizeof(((fanfare_connection *)0)->lag_age_ms) == 8) ? 1 : -1];
typedef char frozen_395[(offsetof(fanfare_connection, state) == 112 && sizeof(((fanfare_connection *)0)->state) == 4) ? 1 : -1];
typedef char frozen_396[(offsetof(fanfare_connection, policy) == 116 && sizeof(((fanfare_connection *)0)->policy) == 4) ? 1 : -1];
typedef char frozen_397[(offsetof(fanfare_connection, node) == 120 && sizeof(((fanfare_connection *)0)->node) == 16) ? 1 : -1];
typedef char frozen_398[(sizeof(fanfare_subscription_count) == 32) ? 1 : -1];
typedef char frozen_399[(offsetof(fanfare_subscription_count, size) == 0 && sizeof(((fanfare_subscription_count *)0)->size) == 8) ? 1 : -1];
typedef char frozen_400[(offsetof(fanfare_subscription_count, subscription) == 8 && sizeof(((fanfare_subscription_count *)0)->subscription) == 16) ? 1 : -1];
typedef char frozen_401[(offsetof(fanfare_subscription_count, subscribers) == 24 && sizeof(((fanfare_subscription_count *)0)->subscribers) == 8) ? 1 : -1];
typedef char frozen_402[(sizeof(fanfare_cluster_count) == 32) ? 1 : -1];
typedef char frozen_403[(offsetof(fanfare_cluster_count, size) == 0 && sizeof(((fanfare_cluster_count *)0)->size) == 8) ? 1 : -1];
typedef char frozen_404[(offsetof(fanfare_cluster_count, nodes) == 8 && sizeof(((fanfare_cluster_count *)0)->nodes) == 8) ? 1 : -1];
typedef char frozen_405[(offsetof(fanfare_cluster_count, answered) == 16 && sizeof(((fanfare_cluster_count *)0)->answered) == 8) ? 1 : -1];
typedef char frozen_406[(offsetof(fanfare_cluster_count, count) == 24 && sizeof(((fanfare_cluster_count *)0)->count) == 8) ? 1 : -1];
typedef char frozen_407[(sizeof(fanfare_drain_options) == 32) ? 1 : -1];
typedef char frozen_408[(offsetof(fanfare_drain_options, size) == 0 && sizeof(((fanfare_drain_options *)0)->size) == 8) ? 1 : -1];
typedef char frozen_409[(offsetof(fanfare_drain_options, window_ms) == 8 && sizeof(((fanfare_drain_options *)0)->window_ms) == 8) ? 1 : -1];
typedef char frozen_410[(offsetof(fanfare_drain_options, grace_ms) == 16 && sizeof(((fanfare_drain_options *)0)->grace_ms) == 8) ? 1 : -1];
typedef char frozen_411[(offsetof(fanfare_drain_options, retry_ms) == 24 && sizeof(((fanfare_drain_options *)0)->retry_ms) == 8) ? 1 : -1];
typedef char frozen_412[(sizeof(fanfare_drained) == 24) ? 1 : -1];
typedef char frozen_413[(offsetof(fanfare_drained, size) == 0 && sizeof(((fanfare_drained *)0)->size) == 8) ? 1 : -1];
typedef char frozen_414[(offsetof(fanfare_drained, told) == 8 && sizeof(((fanfare_drained *)0)->told) == 8) ? 1 : -1];
typedef char frozen_415[(offsetof(fanfare_drained, cut) == 16 && sizeof(((fanfare_drained *)0)->cut) == 8) ? 1 : -1];
typedef char frozen_416[(sizeof(fanfare_metrics) == 1456) ? 1 : -1];
typedef char frozen_417[(offsetof(fanfare_metrics, size) == 0 && sizeof(((fanfare_metrics *)0)->size) == 8) ? 1 : -1];
typedef char frozen_418[(offsetof(fanfare_metrics, living_shards) == 8 && sizeof(((fanfare_metrics *)0)->living_shards) == 8) ? 1 : -1];
typedef char frozen_419[(offsetof(fanfare_metrics, connections_max) == 16 && sizeof(((fanfare_metrics *)0)->connections_max) == 8) ? 1 : -1];
typedef char frozen_420[(offsetof(fanfare_metrics, connections) == 24 && sizeof(((fanfare_metrics *)0)->connections) == 8) ? 1 : -1];
typedef char frozen_421[(offsetof(fanfare_metrics, pending_connections) == 32 && sizeof(((fanfare_metrics *)0)->pending_connections) == 8) ? 1 : -1];
typedef char frozen_422[(offsetof(fanfare_metrics, lagging_connections) == 40 && sizeof(((fanfare_metrics *)0)->lagging_connections) == 8) ? 1 : -1];
typedef char frozen_423[(offsetof(fanfare_metrics, replaying_connections) == 48 && sizeof(((fanfare_metrics *)0)->replaying_connections) == 8) ? 1 : -1];
typedef char frozen_424[(offsetof(fanfare_metrics, spread_deliveries) == 56 && sizeof(((fanfare_metrics *)0)->spread_deliveries) == 8) ? 1 : -1];
typedef char frozen_425[(offsetof(fanfare_metrics, topics) == 64 && sizeof(((fanfare_metrics *)0)->topics) == 8) ? 1 : -1];
typedef char frozen_426[(offsetof(fanfare_metrics, known_topics) == 72 && sizeof(((fanfare_metrics *)0)->known_topics) == 8) ? 1 : -1];
typedef char frozen_427[(offsetof(fanfare_metrics, filters) == 80 && sizeof(((fanfare_metrics *)0)->filters) == 8) ? 1 : -1];
typedef char frozen_428[(offsetof(fanfare_metrics, finished_topics) == 88 && sizeof(((fanfare_metrics *)0)->finished_topics) == 8) ? 1 : -1];
typedef char frozen_429[(offsetof(fanfare_metrics, subscriptions) == 96 && sizeof(((fanfare_metrics *)0)->subscriptions) == 8) ? 1 : -1];
typedef char frozen_430[(offsetof(fanfare_metrics, published_events) == 104 && sizeof(((fanfare_metrics *)0)->published_events) == 8) ? 1 : -1];
typedef char frozen_431[(offsetof(fanfare_metrics, full_events) == 112 && sizeof(((fanfare_metrics *)0)->full_events) == 8) ? 1 : -1];
typedef char frozen_432[(offsetof(fanfare_metrics, delivered_events) == 120 && sizeof(((fanfare_metrics *)0)->delivered_events) == 8) ? 1 : -1];
typedef char frozen_433[(offsetof(fanfare_metrics, delivered_bytes) == 128 && sizeof(((fanfare_metrics *)0)->delivered_bytes) == 8) ? 1 : -1];
typedef char frozen_434[(offsetof(fanfare_metrics, replayed_events) == 136 && sizeof(((fanfare_metrics *)0)->replayed_events) == 8) ? 1 : -1];
typedef char frozen_435[(offsetof(fanfare_metrics, gathered_parts) == 144 && sizeof(((fanfare_metrics *)0)->gathered_parts) == 8) ? 1 : -1];
typedef char frozen_436[(offsetof(fanfare_metrics, kept_events) == 152 && sizeof(((fanfare_metrics *)0)->kept_events) == 8) ? 1 : -1];
typedef char frozen_437[(offsetof(fanfare_metrics, kept_bytes) == 160 && sizeof(((fanfare_metrics *)0)->kept_bytes) == 8) ? 1 : -1];
typedef char frozen_438[(offsetof(fanfare_metrics, heartbeats) == 168 && sizeof(((fanfare_metrics *)0)->heartbeats) == 8) ? 1 : -1];
typedef char frozen_439[(offsetof(fanfare_metrics, batches) == 176 && sizeof(((fanfare_metrics *)0)->batches) == 8) ? 1 : -1];
typedef char frozen_440[(offsetof(fanfare_metrics, held_batches) == 184 && sizeof(((fanfare_metrics *)0)->held_batches) == 8) ? 1 : -1];
typedef char frozen_441[(offsetof(fanfare_metrics, backlog_bytes) == 192 && sizeof(((fanfare_metrics *)0)->backlog_bytes) == 8) ? 1 : -1];
typedef char frozen_442[(offsetof(fanfare_metrics, lag_bytes) == 200 && sizeof(((fanfare_metrics *)0)->lag_bytes) == 8) ? 1 : -1];
typedef char frozen_443[(offsetof(fanfare_metrics, dropped_events) == 208 && sizeof(((fanfare_metrics *)0)->dropped_events) == 8) ? 1 : -1];
typedef char frozen_444[(offsetof(fanfare_metrics, conflated_events) == 216 && sizeof(((fanfare_metrics *)0)->conflated_events) == 8) ? 1 : -1];
typedef char frozen_445[(offsetof(fanfare_metrics, accepted_connections) == 224 && sizeof(((fanfare_metrics *)0)->accepted_connections) == 8) ? 1 : -1];
typedef char frozen_446[(offsetof(fanfare_metrics, refused_connections) == 232 && sizeof(((fanfare_metrics *)0)->refused_connections) == 8) ? 1 : -1];
typedef char frozen_447[(offsetof(fanfare_metrics, finished_answers) == 240 && sizeof(((fanfare_metrics *)0)->finished_answers) == 8) ? 1 : -1];
typedef char frozen_448[(offsetof(fanfare_metrics, pending_authorizations) == 248 && sizeof(((fanfare_metrics *)0)->pending_authorizations) == 8) ? 1 : -1];
typedef char frozen_449[(offsetof(fanfare_metrics, denied_authorizations) == 256 && sizeof(((fanfare_metrics *)0)->denied_authorizations) == 8) ? 1 : -1];
typedef char frozen_450[(offsetof(fanfare_metrics, failed_authorizations) == 264 && sizeof(((fanfare_metrics *)0)->failed_authorizations) == 8) ? 1 : -1];
typedef char frozen_451[(offsetof(fanfare_metrics, late_authorizations) == 272 && sizeof(((fanfare_metrics *)0)->late_authorizations) == 8) ? 1 : -1];
typedef char frozen_452[(offsetof(fanfare_metrics, lost_notices) == 280 && sizeof(((fanfare_metrics *)0)->lost_notices) == 8) ? 1 : -1];
typedef char frozen_453[(offsetof(fanfare_metrics, interest_watchers) == 288 && sizeof(((fanfare_metrics *)0)->interest_watchers) == 8) ? 1 : -1];
typedef char frozen_454[(offsetof(fanfare_metrics, owed_interest_notices) == 296 && sizeof(((fanfare_metrics *)0)->owed_interest_notices) == 8) ? 1 : -1];
typedef char frozen_455[(offsetof(fanfare_metrics, cut_graces) == 304 && sizeof(((fanfare_metrics *)0)->cut_graces) == 8) ? 1 : -1];
typedef char frozen_456[(offsetof(fanfare_metrics, disconnects) == 312 && sizeof(((fanfare_metrics *)0)->disconnects) == 256) ? 1 : -1];
typedef char frozen_457[(offsetof(fanfare_metrics, gap_events) == 568 && sizeof(((fanfare_metrics *)0)->gap_events) == 256) ? 1 : -1];
typedef char frozen_458[(offsetof(fanfare_metrics, latency_buckets) == 824 && sizeof(((fanfare_metrics *)0)->latency_buckets) == 8) ? 1 : -1];
typedef char frozen_459[(offsetof(fanfare_metrics, latency_bounds_us) == 832 && sizeof(((fanfare_metrics *)0)->latency_bounds_us) == 256) ? 1 : -1];
typedef char frozen_460[(offsetof(fanfare_metrics, latency_counts) == 1088 && sizeof(((fanfare_metrics *)0)->latency_counts) == 256) ? 1 : -1];
typedef char frozen_461[(offsetof(fanfare_metrics, latency_sum_ns) == 1344 && sizeof(((fanfare_metrics *)0)->latency_sum_ns) == 8) ? 1 : -1];
typedef char frozen_462[(offsetof(fanfare_metrics, journal_failing) == 1352 && sizeof(((fanfare_metrics *)0)->journal_failing) == 8) ? 1 : -1];
typedef char frozen_463[(offsetof(fanfare_metrics, journal_disk_bytes) == 1360 && sizeof(((fanfare_metrics *)0)->journal_disk_bytes) == 8) ? 1 : -1];
typedef char frozen_464[(offsetof(fanfare_metrics, journal_waiting_bytes) == 1368 && sizeof(((fanfare_metrics *)0)->journal_waiting_bytes) == 8) ? 1 : -1];
typedef char frozen_465[(offsetof(fanfare_metrics, journal_records) == 1376 && sizeof(((fanfare_metrics *)0)->journal_records) == 8) ? 1 : -1];
typedef char frozen_466[(offsetof(fanfare_metrics, journal_syncs) == 1384 && sizeof(((fanfare_metrics *)0)->journal_syncs) == 8) ? 1 : -1];
typedef char frozen_467[(offsetof(fanfare_metrics, journal_errors) == 1392 && sizeof(((fanfare_metrics *)0)->journal_errors) == 8) ? 1 : -1];
typedef char frozen_468[(offsetof(fanfare_metrics, cluster_failing) == 1400 && sizeof(((fanfare_metrics *)0)->cluster_failing) == 8) ? 1 : -1];
typedef char frozen_469[(offsetof(fanfare_metrics, cluster_backlog_bytes) == 1408 && sizeof(((fanfare_metrics *)0)->cluster_backlog_bytes) == 8) ? 1 : -1];
typedef char frozen_470[(offsetof(fanfare_metrics, cluster_batches) == 1416 && sizeof(((fanfare_metrics *)0)->cluster_batches) == 8) ? 1 : -1];
typedef char frozen_471[(offsetof(fanfare_metrics, cluster_items) == 1424 && sizeof(((fanfare_metrics *)0)->cluster_items) == 8) ? 1 : -1];
typedef char frozen_472[(offsetof(fanfare_metrics, cluster_refused_items) == 1432 && sizeof(((fanfare_metrics *)0)->cluster_refused_items) == 8) ? 1 : -1];
typedef char frozen_473[(offsetof(fanfare_metrics, cluster_connects) == 1440 && sizeof(((fanfare_metrics *)0)->cluster_connects) == 8) ? 1 : -1];
typedef char frozen_474[(offsetof(fanfare_metrics, cluster_losses) == 1448 && sizeof(((fanfare_metrics *)0)->cluster_losses) == 8) ? 1 : -1];
