#include "calls.h"

#include "check.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET FANFARE_TEXT("a secret of at least 32 bytes, from a random source")

static fanfare_key key(void)
{
    return fanfare_key_of(FANFARE_KEY_FILE, SECRET);
}

static fanfare_grant grant(void)
{
    static const fanfare_text topics[] = {{"t", 1}};
    fanfare_grant granted = fanfare_grant_of(topics, 1);

    granted.expires_at_unix_ms = UINT64_C(32503680000000); /* the year 3000 */
    return granted;
}

/* Lists the connection of the stream, which its shard may not have yet. */
static void list_connection(objects *of)
{
    fanfare_connection connection;
    int64_t deadline = now_ms() + DEADLINE_MS;

    memset(&connection, 0, sizeof connection);
    connection.size = sizeof connection;
    for (;;) {
        CHECK_EQ(fanfare_hub_connections(of->hub, NULL, &of->connections), FANFARE_OK);
        if (fanfare_connections_count(of->connections) > 0) {
            break;
        }
        fanfare_connections_free(of->connections);
        CHECK(now_ms() < deadline);
    }
    CHECK_EQ(fanfare_connections_get(of->connections, 0, &connection), FANFARE_OK);
    of->connection = connection.id;
}

void objects_new(objects *made)
{
    const fanfare_text topic = FANFARE_TEXT("t");
    const fanfare_key keys = key();
    fanfare_grant granted = grant();
    fanfare_topic_options rule = fanfare_topic_options_defaults();

    made->hub = hub_new();
    CHECK_EQ(fanfare_topic_new(topic, &made->topic), FANFARE_OK);
    CHECK_EQ(fanfare_topic_new(FANFARE_TEXT("finished"), &made->finished), FANFARE_OK);
    CHECK_EQ(fanfare_notices_new(&made->notices), FANFARE_OK);
    CHECK_EQ(fanfare_hub_subscribe(made->hub, &topic, 1, NULL, &made->stream), FANFARE_OK);
    CHECK_EQ(fanfare_hub_listen(made->hub, FANFARE_TEXT("127.0.0.1:0"), NULL, &made->listener, NULL),
             FANFARE_OK);
    list_connection(made);
    CHECK_EQ(fanfare_hub_subscription_counts(made->hub, 1, &made->counts), FANFARE_OK);
    CHECK_EQ(fanfare_hub_set_rule(made->hub, topic, &rule), FANFARE_OK);
    CHECK_EQ(fanfare_hub_rules(made->hub, &made->rules), FANFARE_OK);
    CHECK_EQ(fanfare_signing_key_new(SECRET, &made->key), FANFARE_OK);
    CHECK_EQ(fanfare_signing_key_sign(made->key, &granted, NULL, made->token, sizeof made->token,
                                      &made->token_length), FANFARE_OK);
    CHECK_EQ(fanfare_tokens_new(&keys, 1, NULL, &made->tokens), FANFARE_OK);
    CHECK_EQ(fanfare_tickets_new(NULL, &made->tickets), FANFARE_OK);
    CHECK_EQ(fanfare_tokens_verify(made->tokens,
                                   fanfare_text_of(made->token, made->token_length),
                                   &made->granted), FANFARE_OK);
    CHECK_EQ(fanfare_authorizer_new_tickets(made->tokens, made->tickets, NULL, &made->authorizer),
             FANFARE_OK);
    CHECK_EQ(fanfare_authorizer_new_ask(made->notices, 3, NULL, &made->asking), FANFARE_OK);
    CHECK_EQ(fanfare_fallback_new(made->notices, 5, 10, &made->fallback), FANFARE_OK);
}

void objects_free(objects *of)
{
    fanfare_stream_free(of->stream);
    fanfare_hub_free(of->hub);
    fanfare_topic_free(of->topic);
    fanfare_topic_free(of->finished);
    fanfare_notices_free(of->notices);
    fanfare_connections_free(of->connections);
    fanfare_subscription_counts_free(of->counts);
    fanfare_rules_free(of->rules);
    fanfare_signing_key_free(of->key);
    fanfare_tokens_free(of->tokens);
    fanfare_tickets_free(of->tickets);
    fanfare_granted_free(of->granted);
    fanfare_authorizer_free(of->authorizer);
    fanfare_authorizer_free(of->asking);
    fanfare_fallback_free(of->fallback);
}

/* Functions of no object. */

static fanfare_status abi_version(const objects *of)
{
    (void)of;
    return fanfare_abi_version() == FANFARE_ABI_VERSION ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status text_of_status(const objects *of)
{
    (void)of;
    return fanfare_strerror(FANFARE_OK)[0] != '\0' ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status reason_name(const objects *of)
{
    (void)of;
    return fanfare_disconnect_reason_name(1).length > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status gap_reason_name(const objects *of)
{
    (void)of;
    return fanfare_gap_reason_name(1).length > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status state_name(const objects *of)
{
    (void)of;
    return fanfare_connection_state_name(1).length > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

/* What fills a struct with its defaults. */
#define INIT(type) \
    static fanfare_status type##_init(const objects *of) \
    { \
        fanfare_##type value; \
        (void)of; \
        memset(&value, 0, sizeof value); \
        value.size = sizeof value; \
        return fanfare_##type##_init(&value); \
    }

/* What says whether a struct is in its bounds, which is no error if it is not. */
#define PROBLEM(type) \
    static fanfare_status type##_problem(const objects *of) \
    { \
        fanfare_##type value; \
        fanfare_text name, bounds; \
        (void)of; \
        memset(&value, 0, sizeof value); \
        value.size = sizeof value; \
        return fanfare_##type##_problem(&value, &name, &bounds); \
    }

#define OPTIONS(type) INIT(type) PROBLEM(type)

OPTIONS(options)
OPTIONS(topic_options)
OPTIONS(drain_options)
OPTIONS(listen_options)
OPTIONS(stream_options)
OPTIONS(token_options)
OPTIONS(ticket_options)
OPTIONS(ask_options)
PROBLEM(access_options)
PROBLEM(grant)
PROBLEM(refusal)

static fanfare_status keys_problem(const objects *of)
{
    const fanfare_key keys = key();
    size_t length;

    (void)of;
    return fanfare_keys_problem(&keys, 1, NULL, 0, &length);
}

static fanfare_status stream_headers(const objects *of)
{
    const fanfare_header *headers;
    size_t count;

    (void)of;
    return fanfare_stream_headers(&headers, &count);
}

static fanfare_status log_set(const objects *of)
{
    (void)of;
    return fanfare_log_set(FANFARE_LOG_WARN, NULL, NULL, NULL);
}

/* Making and freeing. */

static fanfare_status hub_new_and_free(const objects *of)
{
    fanfare_hub *hub = NULL;
    fanfare_status status = fanfare_hub_new(NULL, &hub);

    (void)of;
    fanfare_hub_free(hub);
    return status;
}

static fanfare_status hub_free(const objects *of)
{
    fanfare_hub_free(of->hub);
    fanfare_hub_free(of->hub);
    return FANFARE_OK;
}

static fanfare_status topic_new_and_free(const objects *of)
{
    fanfare_topic *topic = NULL;
    fanfare_status status = fanfare_topic_new(FANFARE_TEXT("another"), &topic);

    (void)of;
    fanfare_topic_free(topic);
    return status;
}

static fanfare_status notices_new_and_free(const objects *of)
{
    fanfare_notices *notices = NULL;
    fanfare_status status = fanfare_notices_new(&notices);

    (void)of;
    fanfare_notices_free(notices);
    return status;
}

static fanfare_status stream_new_and_free(const objects *of)
{
    const fanfare_text topics[] = {FANFARE_TEXT("t"), FANFARE_TEXT("u/#")};
    fanfare_stream *stream = NULL;
    fanfare_status status = fanfare_hub_subscribe(of->hub, topics, 2, NULL, &stream);

    fanfare_stream_free(stream);
    return status;
}

static fanfare_status signing_key_new_and_free(const objects *of)
{
    fanfare_signing_key *made = NULL;
    fanfare_status status = fanfare_signing_key_new(SECRET, &made);

    (void)of;
    fanfare_signing_key_free(made);
    return status;
}

static fanfare_status tokens_new_and_free(const objects *of)
{
    const fanfare_key keys = key();
    fanfare_tokens *made = NULL;
    fanfare_status status = fanfare_tokens_new(&keys, 1, NULL, &made);

    (void)of;
    fanfare_tokens_free(made);
    return status;
}

static fanfare_status tickets_new_and_free(const objects *of)
{
    fanfare_tickets *made = NULL;
    fanfare_status status = fanfare_tickets_new(NULL, &made);

    (void)of;
    fanfare_tickets_free(made);
    return status;
}

static fanfare_status authorizer_new_and_free(const objects *of)
{
    fanfare_authorizer *made = NULL;
    fanfare_status status =
        fanfare_authorizer_new_tickets(of->tokens, of->tickets, NULL, &made);

    fanfare_authorizer_free(made);
    return status;
}

static fanfare_status authorizer_new_ask(const objects *of)
{
    fanfare_authorizer *made = NULL;
    fanfare_status status = fanfare_authorizer_new_ask(of->notices, 4, NULL, &made);

    fanfare_authorizer_free(made);
    return status;
}

static fanfare_status fallback_new_and_free(const objects *of)
{
    fanfare_fallback *made = NULL;
    fanfare_status status = fanfare_fallback_new(of->notices, 6, 10, &made);

    fanfare_fallback_free(made);
    return status;
}

/* What is the parent's stays as it is in a child, however often it is freed. */
#define FREE_TWICE(type, object) \
    static fanfare_status type##_free(const objects *of) \
    { \
        fanfare_##type##_free(of->object); \
        fanfare_##type##_free(of->object); \
        return FANFARE_OK; \
    }

FREE_TWICE(notices, notices)
FREE_TWICE(stream, stream)
FREE_TWICE(signing_key, key)
FREE_TWICE(tokens, tokens)
FREE_TWICE(tickets, tickets)
FREE_TWICE(granted, granted)
FREE_TWICE(authorizer, authorizer)
FREE_TWICE(fallback, fallback)

/* Functions of a hub. */

static fanfare_status hub_close(const objects *of)
{
    return fanfare_hub_close(of->hub);
}

static fanfare_status hub_listens(const objects *of)
{
    uint16_t port;

    return fanfare_hub_listen(of->hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &port);
}

/* The descriptor is the hub's if it takes it. */
static fanfare_status hub_listen_on(const objects *of)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    fanfare_status status = FANFARE_ERR_SYSTEM;

    if (fd >= 0 && listen(fd, 1) == 0) {
        status = fanfare_hub_listen_on(of->hub, fd, NULL, NULL, NULL);
    }
    if (status != FANFARE_OK && status != FANFARE_ERR_PANIC) {
        close(fd);
    }
    return status;
}

static fanfare_status listener_address(const objects *of)
{
    char buffer[256];
    size_t length;

    return fanfare_listener_address(of->hub, of->listener, buffer, sizeof buffer, &length);
}

static fanfare_status listener_close(const objects *of)
{
    fanfare_listener listener;
    fanfare_status status =
        fanfare_hub_listen(of->hub, FANFARE_TEXT("127.0.0.1:0"), NULL, &listener, NULL);

    return status == FANFARE_OK ? fanfare_listener_close(of->hub, listener) : status;
}

static fanfare_status listener_close_in_child(const objects *of)
{
    return fanfare_listener_close(of->hub, of->listener);
}

static fanfare_status listener_admit(const objects *of)
{
    fanfare_admit_request request;
    fanfare_status status;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return FANFARE_ERR_SYSTEM;
    }
    request = fanfare_admit_request_of(FANFARE_TEXT("GET /events?topic=t HTTP/1.1\r\n"));
    request.addr = FANFARE_TEXT("127.0.0.1:9");
    status = fanfare_listener_admit(of->hub, of->listener, ends[0], &request);
    if (status != FANFARE_OK && status != FANFARE_ERR_PANIC) {
        close(ends[0]);
    }
    close(ends[1]);
    return status;
}

static fanfare_status listener_has_streams_at(const objects *of)
{
    uint32_t has;

    return fanfare_listener_has_streams_at(of->hub, of->listener, FANFARE_TEXT("/events"), &has);
}

static fanfare_status listener_is_named(const objects *of)
{
    uint32_t is;

    return fanfare_listener_is_named(of->hub, of->listener, FANFARE_TEXT("localhost"), &is);
}

static fanfare_status hub_adopt(const objects *of)
{
    const fanfare_text topic = FANFARE_TEXT("t");
    fanfare_adopt_request request = fanfare_adopt_request_of(&topic, 1);
    fanfare_status status;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return FANFARE_ERR_SYSTEM;
    }
    status = fanfare_hub_adopt(of->hub, ends[0], &request);
    if (status != FANFARE_OK && status != FANFARE_ERR_PANIC) {
        close(ends[0]);
    }
    close(ends[1]);
    return status;
}

static fanfare_status hub_publish(const objects *of)
{
    fanfare_event event = event_of("to a name");
    fanfare_event_id id;

    return fanfare_hub_publish(of->hub, FANFARE_TEXT("t"), &event, &id);
}

static fanfare_status hub_publish_to(const objects *of)
{
    fanfare_event event = event_of("to a handle");
    fanfare_event_id id;

    return fanfare_hub_publish_to(of->hub, of->topic, &event, &id);
}

static fanfare_status hub_publish_wait(const objects *of)
{
    const fanfare_text topics[] = {FANFARE_TEXT("t"), FANFARE_TEXT("u")};
    fanfare_event event = event_of("to two names");
    fanfare_publication publication = fanfare_publication_of(topics, 2, &event);
    fanfare_event_id id;

    return fanfare_hub_publish_wait(of->hub, &publication, 1, &id);
}

static fanfare_status hub_publish_many(const objects *of)
{
    fanfare_event event = event_of("one of two");
    const fanfare_topic *handles[1];
    fanfare_publication publications[2];
    fanfare_event_id ids[2];
    size_t count;

    handles[0] = of->topic;
    publications[0] = publications[1] = fanfare_publication_to(handles, 1, &event);
    return fanfare_hub_publish_many(of->hub, publications, 2, 1, ids, &count);
}

static fanfare_status hub_finish(const objects *of)
{
    fanfare_event_id id;

    return fanfare_hub_finish(of->hub, FANFARE_TEXT("finished by name"), NULL, 1, &id);
}

static fanfare_status hub_finish_topic(const objects *of)
{
    fanfare_event last = event_of("the last one");
    fanfare_event_id id;

    return fanfare_hub_finish_topic(of->hub, of->finished, &last, 1, &id);
}

static fanfare_status hub_drain(const objects *of)
{
    fanfare_drain_options options;
    fanfare_drained drained = fanfare_drained_empty();

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.window_ms = options.grace_ms = options.retry_ms = 10;
    return fanfare_hub_drain(of->hub, &options, &drained);
}

static fanfare_status hub_metrics(const objects *of)
{
    fanfare_metrics metrics = fanfare_metrics_empty();

    return fanfare_hub_metrics(of->hub, &metrics);
}

static fanfare_status hub_prometheus(const objects *of)
{
    char buffer[64];
    size_t length;
    fanfare_status status = fanfare_hub_prometheus(of->hub, buffer, sizeof buffer, &length);

    return status == FANFARE_ERR_BUFFER && length > sizeof buffer ? FANFARE_OK : status;
}

static fanfare_status hub_set_rule(const objects *of)
{
    fanfare_topic_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.history_events_max = 3;
    return fanfare_hub_set_rule(of->hub, FANFARE_TEXT("u/#"), &options);
}

static fanfare_status hub_remove_rule(const objects *of)
{
    uint32_t removed;

    return fanfare_hub_remove_rule(of->hub, FANFARE_TEXT("u/#"), &removed);
}

static fanfare_status hub_rules(const objects *of)
{
    fanfare_rules *rules = NULL;
    fanfare_status status = fanfare_hub_rules(of->hub, &rules);

    fanfare_rules_free(rules);
    return status;
}

static fanfare_status rules_count(const objects *of)
{
    return fanfare_rules_count(of->rules) > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status rules_get(const objects *of)
{
    fanfare_rule rule = fanfare_rule_empty();

    return fanfare_rules_get(of->rules, 0, &rule);
}

/* Streams. */

static fanfare_status stream_next(const objects *of)
{
    fanfare_text batch;

    return fanfare_stream_next(of->stream, 1, &batch);
}

static fanfare_status stream_end(const objects *of)
{
    fanfare_disconnect_reason reason;

    return fanfare_stream_end(of->stream, &reason, NULL);
}

static fanfare_status stream_id(const objects *of)
{
    fanfare_connection_id id;

    return fanfare_stream_id(of->stream, &id);
}

static fanfare_status stream_notify(const objects *of)
{
    return fanfare_stream_notify(of->stream, of->notices, 8);
}

static fanfare_status stream_is_complete(const objects *of)
{
    uint32_t is_complete;

    return fanfare_stream_is_complete(of->stream, &is_complete);
}

/* Connections. */

static fanfare_status hub_connections(const objects *of)
{
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_connections *list = NULL;
    fanfare_status status = fanfare_hub_connections(of->hub, &filter, &list);

    fanfare_connections_free(list);
    return status;
}

static fanfare_status hub_connection(const objects *of)
{
    fanfare_connections *list = NULL;
    fanfare_status status = fanfare_hub_connection(of->hub, of->connection, &list);

    fanfare_connections_free(list);
    return status;
}

static fanfare_status connections_count(const objects *of)
{
    return fanfare_connections_count(of->connections) > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status connections_get(const objects *of)
{
    fanfare_connection connection;

    memset(&connection, 0, sizeof connection);
    connection.size = sizeof connection;
    return fanfare_connections_get(of->connections, 0, &connection);
}

static fanfare_status hub_subscribers(const objects *of)
{
    uint64_t count;

    return fanfare_hub_subscribers(of->hub, FANFARE_TEXT("t"), &count);
}

static fanfare_status hub_subscription_counts(const objects *of)
{
    fanfare_subscription_counts *list = NULL;
    fanfare_status status = fanfare_hub_subscription_counts(of->hub, 10, &list);

    fanfare_subscription_counts_free(list);
    return status;
}

static fanfare_status counts_count(const objects *of)
{
    return fanfare_subscription_counts_count(of->counts) > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status counts_get(const objects *of)
{
    fanfare_subscription_count count;

    memset(&count, 0, sizeof count);
    count.size = sizeof count;
    return fanfare_subscription_counts_get(of->counts, 0, &count);
}

static fanfare_status hub_disconnect(const objects *of)
{
    return fanfare_hub_disconnect(of->hub, of->connection, 0);
}

static fanfare_status hub_disconnect_tag(const objects *of)
{
    uint64_t count;

    return fanfare_hub_disconnect_tag(of->hub, FANFARE_TEXT("user 7"), 0, &count);
}

static fanfare_status hub_disconnect_subscription(const objects *of)
{
    uint64_t count;

    return fanfare_hub_disconnect_subscription(of->hub, FANFARE_TEXT("u/#"), 0, &count);
}

static fanfare_status hub_disconnect_all(const objects *of)
{
    uint64_t count;

    return fanfare_hub_disconnect_all(of->hub, 0, &count);
}

static fanfare_status hub_set_subscriptions(const objects *of)
{
    const fanfare_text topics[] = {FANFARE_TEXT("t"), FANFARE_TEXT("v")};

    return fanfare_hub_set_subscriptions(of->hub, of->connection, topics, 2);
}

/* Tokens and tickets. */

static fanfare_status signing_key_sign(const objects *of)
{
    fanfare_grant granted = grant();
    char buffer[1024];
    size_t length;

    return fanfare_signing_key_sign(of->key, &granted, NULL, buffer, sizeof buffer, &length);
}

static fanfare_status tokens_set_keys(const objects *of)
{
    const fanfare_key keys = key();

    return fanfare_tokens_set_keys(of->tokens, &keys, 1);
}

static fanfare_status tokens_verify(const objects *of)
{
    fanfare_granted *granted = NULL;
    fanfare_status status = fanfare_tokens_verify(
        of->tokens, fanfare_text_of(of->token, of->token_length), &granted);

    fanfare_granted_free(granted);
    return status;
}

static fanfare_status tickets_issue(const objects *of)
{
    fanfare_grant granted = grant();
    fanfare_ticket ticket;

    return fanfare_tickets_issue(of->tickets, &granted, &ticket);
}

static fanfare_status tickets_look_up(const objects *of)
{
    fanfare_grant of_ticket = grant();
    fanfare_granted *granted = NULL;
    fanfare_ticket ticket;
    fanfare_status status = fanfare_tickets_issue(of->tickets, &of_ticket, &ticket);

    if (status == FANFARE_OK) {
        status = fanfare_tickets_look_up(of->tickets, fanfare_ticket_text(&ticket), 0, &granted);
        fanfare_granted_free(granted);
    }
    return status;
}

static fanfare_status tickets_look_up_in_child(const objects *of)
{
    fanfare_granted *granted = NULL;

    return fanfare_tickets_look_up(of->tickets, FANFARE_TEXT("any"), 0, &granted);
}

static fanfare_status tickets_redeem(const objects *of)
{
    fanfare_grant of_ticket = grant();
    fanfare_granted *granted = NULL;
    fanfare_ticket ticket;
    fanfare_status status = fanfare_tickets_issue(of->tickets, &of_ticket, &ticket);

    if (status == FANFARE_OK) {
        status = fanfare_tickets_redeem(of->tickets, fanfare_ticket_text(&ticket), 0, &granted);
        fanfare_granted_free(granted);
    }
    return status;
}

static fanfare_status tickets_redeem_in_child(const objects *of)
{
    fanfare_granted *granted = NULL;

    return fanfare_tickets_redeem(of->tickets, FANFARE_TEXT("any"), 0, &granted);
}

static fanfare_status authorizer_allow(const objects *of)
{
    fanfare_grant granted = grant();

    return fanfare_authorizer_allow(of->asking, 7, &granted);
}

static fanfare_status authorizer_refuse(const objects *of)
{
    fanfare_refusal refusal = fanfare_refusal_of(403);

    return fanfare_authorizer_refuse(of->asking, 7, &refusal);
}

static fanfare_status authorizer_give_up(const objects *of)
{
    return fanfare_authorizer_give_up(of->asking, 7);
}

static fanfare_status fallback_take(const objects *of)
{
    int fd;

    return fanfare_fallback_take(of->fallback, 7, &fd);
}

static fanfare_status granted_grant(const objects *of)
{
    fanfare_grant granted = fanfare_grant_of(NULL, 0);

    return fanfare_granted_grant(of->granted, &granted);
}

static fanfare_status granted_is_current(const objects *of)
{
    uint32_t is_current;

    return fanfare_granted_is_current(of->granted, &is_current);
}

/* Notices. */

static fanfare_status watch_connections(const objects *of)
{
    return fanfare_hub_watch_connections(of->hub, of->notices, 1, 0);
}

static fanfare_status watch_interest(const objects *of)
{
    return fanfare_hub_watch_interest(of->hub, of->notices, 2, FANFARE_TEXT("#"), 0);
}

static fanfare_status notify_space(const objects *of)
{
    const fanfare_text topic = FANFARE_TEXT("t");
    fanfare_publication publication = fanfare_publication_of(&topic, 1, NULL);

    return fanfare_hub_notify_space(of->hub, of->notices, 3, &publication);
}

static fanfare_status log_watch(const objects *of)
{
    fanfare_status status = fanfare_log_watch(of->notices, 4, FANFARE_LOG_ERROR, 1);

    fanfare_notices_remove(of->notices, 4);
    return status;
}

static fanfare_status notices_doorbell(const objects *of)
{
    int fd;

    return fanfare_notices_doorbell(of->notices, &fd);
}

static fanfare_status notices_drain(const objects *of)
{
    fanfare_notice notices[4];
    size_t count;

    return fanfare_notices_drain(of->notices, notices, sizeof notices[0], 4, &count);
}

static fanfare_status notices_remove(const objects *of)
{
    return fanfare_notices_remove(of->notices, 2);
}

#define FORKED NULL, FANFARE_ERR_FORKED
#define AS_EVER NULL, FANFARE_OK

const call calls[] = {
    {"fanfare_abi_version", abi_version, AS_EVER, 0},
    {"fanfare_strerror", text_of_status, AS_EVER, 0},
    {"fanfare_disconnect_reason_name", reason_name, AS_EVER, 0},
    {"fanfare_gap_reason_name", gap_reason_name, AS_EVER, 0},
    {"fanfare_connection_state_name", state_name, AS_EVER, 0},
    {"fanfare_options_init", options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_options_problem", options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_topic_options_init", topic_options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_topic_options_problem", topic_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_drain_options_init", drain_options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_drain_options_problem", drain_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_listen_options_init", listen_options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_listen_options_problem", listen_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_stream_options_init", stream_options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_stream_options_problem", stream_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_token_options_init", token_options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_token_options_problem", token_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_ticket_options_init", ticket_options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_ticket_options_problem", ticket_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_ask_options_init", ask_options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_ask_options_problem", ask_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_authorizer_new_ask", authorizer_new_ask, FORKED, 0},
    {"fanfare_authorizer_allow", authorizer_allow, FORKED, CALL_STALE},
    {"fanfare_authorizer_refuse", authorizer_refuse, FORKED, CALL_STALE},
    {"fanfare_authorizer_give_up", authorizer_give_up, FORKED, CALL_STALE},
    {"fanfare_fallback_new", fallback_new_and_free, FORKED, 0},
    {"fanfare_fallback_take", fallback_take, FORKED, CALL_STALE},
    {"fanfare_fallback_free", fallback_new_and_free, fallback_free, FANFARE_OK, 0},
    {"fanfare_access_options_problem", access_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_grant_problem", grant_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_refusal_problem", refusal_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_keys_problem", keys_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_stream_headers", stream_headers, AS_EVER, 0},
    {"fanfare_log_set", log_set, AS_EVER, CALL_ALLOCATES},
    {"fanfare_hub_new", hub_new_and_free, AS_EVER, CALL_ALLOCATES | CALL_KEEPS},
    {"fanfare_hub_free", hub_new_and_free, hub_free, FANFARE_OK, CALL_KEEPS},
    {"fanfare_topic_new", topic_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_topic_free", topic_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_notices_new", notices_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_notices_free", notices_new_and_free, notices_free, FANFARE_OK, 0},
    {"fanfare_hub_subscribe", stream_new_and_free, FORKED, 0},
    {"fanfare_stream_free", stream_new_and_free, stream_free, FANFARE_OK, 0},
    {"fanfare_signing_key_new", signing_key_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_signing_key_free", signing_key_new_and_free, signing_key_free, FANFARE_OK, 0},
    {"fanfare_tokens_new", tokens_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_tokens_free", tokens_new_and_free, tokens_free, FANFARE_OK, 0},
    {"fanfare_tickets_new", tickets_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_tickets_free", tickets_new_and_free, tickets_free, FANFARE_OK, 0},
    {"fanfare_granted_free", tokens_verify, granted_free, FANFARE_OK, 0},
    {"fanfare_authorizer_new_tickets", authorizer_new_and_free, FORKED, 0},
    {"fanfare_authorizer_free", authorizer_new_and_free, authorizer_free, FANFARE_OK, 0},
    {"fanfare_hub_close", hub_close, FORKED, CALL_ENDS},
    {"fanfare_hub_drain", hub_drain, FORKED, CALL_ENDS},
    {"fanfare_hub_listen", hub_listens, FORKED, CALL_KEEPS},
    {"fanfare_hub_listen_on", hub_listen_on, FORKED, CALL_KEEPS},
    {"fanfare_listener_address", listener_address, FORKED, 0},
    {"fanfare_listener_close", listener_close, listener_close_in_child, FANFARE_ERR_FORKED, CALL_KEEPS},
    {"fanfare_listener_admit", listener_admit, FORKED, CALL_KEEPS},
    {"fanfare_listener_has_streams_at", listener_has_streams_at, FORKED, 0},
    {"fanfare_listener_is_named", listener_is_named, FORKED, 0},
    {"fanfare_hub_adopt", hub_adopt, FORKED, CALL_KEEPS},
    {"fanfare_hub_publish", hub_publish, FORKED, 0},
    {"fanfare_hub_publish_to", hub_publish_to, FORKED, 0},
    {"fanfare_hub_publish_wait", hub_publish_wait, FORKED, 0},
    {"fanfare_hub_publish_many", hub_publish_many, FORKED, 0},
    {"fanfare_hub_finish", hub_finish, FORKED, 0},
    {"fanfare_hub_finish_topic", hub_finish_topic, FORKED, 0},
    {"fanfare_hub_metrics", hub_metrics, FORKED, 0},
    {"fanfare_hub_prometheus", hub_prometheus, FORKED, 0},
    {"fanfare_hub_set_rule", hub_set_rule, FORKED, 0},
    {"fanfare_hub_remove_rule", hub_remove_rule, FORKED, 0},
    {"fanfare_hub_rules", hub_rules, FORKED, 0},
    {"fanfare_rules_count", rules_count, AS_EVER, 0},
    {"fanfare_rules_get", rules_get, AS_EVER, 0},
    {"fanfare_rules_free", hub_rules, FORKED, 0},
    {"fanfare_hub_connections", hub_connections, FORKED, 0},
    {"fanfare_hub_connection", hub_connection, FORKED, 0},
    {"fanfare_hub_subscribers", hub_subscribers, FORKED, 0},
    {"fanfare_hub_subscription_counts", hub_subscription_counts, FORKED, 0},
    {"fanfare_hub_set_subscriptions", hub_set_subscriptions, FORKED, 0},
    {"fanfare_connections_count", connections_count, AS_EVER, 0},
    {"fanfare_connections_get", connections_get, AS_EVER, 0},
    {"fanfare_connections_free", hub_connections, FORKED, 0},
    {"fanfare_subscription_counts_count", counts_count, AS_EVER, 0},
    {"fanfare_subscription_counts_get", counts_get, AS_EVER, 0},
    {"fanfare_subscription_counts_free", hub_subscription_counts, FORKED, 0},
    {"fanfare_stream_next", stream_next, FORKED, CALL_ALONE},
    {"fanfare_stream_end", stream_end, FORKED, 0},
    {"fanfare_stream_id", stream_id, FORKED, 0},
    {"fanfare_stream_notify", stream_notify, FORKED, 0},
    {"fanfare_stream_is_complete", stream_is_complete, FORKED, 0},
    /* These end the stream, which those before them need. */
    {"fanfare_hub_disconnect", hub_disconnect, FORKED, 0},
    {"fanfare_hub_disconnect_tag", hub_disconnect_tag, FORKED, 0},
    {"fanfare_hub_disconnect_subscription", hub_disconnect_subscription, FORKED, 0},
    {"fanfare_hub_disconnect_all", hub_disconnect_all, FORKED, 0},
    {"fanfare_signing_key_sign", signing_key_sign, FORKED, 0},
    {"fanfare_tokens_set_keys", tokens_set_keys, FORKED, 0},
    {"fanfare_tokens_verify", tokens_verify, FORKED, 0},
    {"fanfare_tickets_issue", tickets_issue, FORKED, 0},
    {"fanfare_tickets_look_up", tickets_look_up, tickets_look_up_in_child, FANFARE_ERR_FORKED, 0},
    {"fanfare_tickets_redeem", tickets_redeem, tickets_redeem_in_child, FANFARE_ERR_FORKED, 0},
    {"fanfare_granted_grant", granted_grant, FORKED, 0},
    {"fanfare_granted_is_current", granted_is_current, FORKED, 0},
    {"fanfare_hub_watch_connections", watch_connections, FORKED, 0},
    {"fanfare_hub_watch_interest", watch_interest, FORKED, 0},
    {"fanfare_hub_notify_space", notify_space, FORKED, 0},
    {"fanfare_log_watch", log_watch, FORKED, 0},
    {"fanfare_notices_doorbell", notices_doorbell, FORKED, 0},
    {"fanfare_notices_drain", notices_drain, FORKED, CALL_ALONE},
    {"fanfare_notices_remove", notices_remove, FORKED, 0},
};
const size_t calls_count = sizeof calls / sizeof calls[0];
