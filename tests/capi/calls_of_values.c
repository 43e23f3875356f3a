/* The calls of no object: what fills structs, and what says whether they are in their bounds. */

#include "calls.h"

#include <string.h>

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

static fanfare_status keys_problem(const objects *of)
{
    const fanfare_key keys = objects_key();
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

static fanfare_status covers(const objects *of)
{
    uint32_t covers;

    (void)of;
    return fanfare_subscription_covers(FANFARE_TEXT("a/#"), FANFARE_TEXT("a/b"), &covers);
}

const call calls_of_values[] = {
    {"fanfare_abi_version", abi_version, AS_EVER, CALL_PLAIN},
    {"fanfare_strerror", text_of_status, AS_EVER, CALL_PLAIN},
    {"fanfare_disconnect_reason_name", reason_name, AS_EVER, CALL_PLAIN},
    {"fanfare_gap_reason_name", gap_reason_name, AS_EVER, CALL_PLAIN},
    {"fanfare_connection_state_name", state_name, AS_EVER, CALL_PLAIN},
    {"fanfare_subscription_covers", covers, AS_EVER, CALL_ALLOCATES},
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
    {"fanfare_access_options_problem", access_options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_grant_problem", grant_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_refusal_problem", refusal_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_keys_problem", keys_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_stream_headers", stream_headers, AS_EVER, 0},
    {"fanfare_log_set", log_set, AS_EVER, CALL_ALLOCATES},
    CALLS_END,
};
