/* The C ABI for JavaScript, by Node-API: convert, call, convert. index.js is its only caller.
 *
 * A hub is an external value around `handle`. All calls come from the one thread of JavaScript that
 * has the hub; only `close` frees it on another thread, after no call can reach it any more.
 */

#include <fanfare.h>
#include <node_api.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes a function return when Node-API refuses something; an exception is then pending. */
#define CHECK(env, call)                                                                           \
    do {                                                                                           \
        if ((call) != napi_ok) {                                                                   \
            throw_last(env);                                                                       \
            return NULL;                                                                           \
        }                                                                                          \
    } while (0)

typedef struct {
    fanfare_hub *hub; /* NULL once it is closed. */
} handle;

typedef struct {
    fanfare_hub *hub;
    napi_async_work work;
    napi_deferred deferred;
} closing;

typedef struct {
    fanfare_text lent; /* {NULL, 0}: there is none. */
    char *owned;       /* To be freed, or NULL. */
} text;

static const struct {
    const char *name;
    size_t offset;
    bool is_flag; /* A boolean, and not a number. */
} OPTIONS[] = {
    {"shards", offsetof(fanfare_options, shards), false},
    {"heartbeatMs", offsetof(fanfare_options, heartbeat_ms), false},
    {"retryMs", offsetof(fanfare_options, retry_ms), false},
    {"eventBytesMax", offsetof(fanfare_options, event_bytes_max), false},
    {"batchBytesMax", offsetof(fanfare_options, batch_bytes_max), false},
    {"topicBacklogBytesMax", offsetof(fanfare_options, topic_backlog_bytes_max), false},
    {"backlogBytesMax", offsetof(fanfare_options, backlog_bytes_max), false},
    {"historyEventsMax", offsetof(fanfare_options, history_events_max), false},
    {"historyBytesMax", offsetof(fanfare_options, history_bytes_max), false},
    {"historyAgeMaxMs", offsetof(fanfare_options, history_age_max_ms), false},
    {"historyTotalBytesMax", offsetof(fanfare_options, history_total_bytes_max), false},
    {"lagBytesMax", offsetof(fanfare_options, lag_bytes_max), false},
    {"lagAgeMaxMs", offsetof(fanfare_options, lag_age_max_ms), false},
    {"lagGraceMs", offsetof(fanfare_options, lag_grace_ms), false},
    {"lagGracePercent", offsetof(fanfare_options, lag_grace_percent), false},
    {"lagTotalBytesMax", offsetof(fanfare_options, lag_total_bytes_max), false},
    {"stallTimeMaxMs", offsetof(fanfare_options, stall_time_max_ms), false},
    {"connectionsMax", offsetof(fanfare_options, connections_max), false},
    {"connectionsPerAddressMax", offsetof(fanfare_options, connections_per_address_max), false},
    {"subscriptionsMax", offsetof(fanfare_options, subscriptions_max), false},
    {"subscriptionsPerAddressMax", offsetof(fanfare_options, subscriptions_per_address_max), false},
    {"connectionAgeMaxMs", offsetof(fanfare_options, connection_age_max_ms), false},
    {"anyHost", offsetof(fanfare_options, any_host), true},
    {"finishedAgeMaxMs", offsetof(fanfare_options, finished_age_max_ms), false},
};
#define OPTIONS_COUNT (sizeof(OPTIONS) / sizeof(OPTIONS[0]))

/* The largest whole number that JavaScript's numbers have without gaps. */
#define SAFE_INTEGER_MAX 9007199254740991.0

static const char *code_name(fanfare_status code) {
    switch (code) {
    case FANFARE_ERR_PANIC: return "FANFARE_ERR_PANIC";
    case FANFARE_ERR_ARGUMENT: return "FANFARE_ERR_ARGUMENT";
    case FANFARE_ERR_FORKED: return "FANFARE_ERR_FORKED";
    case FANFARE_ERR_CLOSED: return "FANFARE_ERR_CLOSED";
    case FANFARE_ERR_FULL: return "FANFARE_ERR_FULL";
    case FANFARE_ERR_TOPIC: return "FANFARE_ERR_TOPIC";
    case FANFARE_ERR_EVENT: return "FANFARE_ERR_EVENT";
    case FANFARE_ERR_UTF8: return "FANFARE_ERR_UTF8";
    case FANFARE_ERR_TOO_LARGE: return "FANFARE_ERR_TOO_LARGE";
    case FANFARE_ERR_OPTIONS: return "FANFARE_ERR_OPTIONS";
    case FANFARE_ERR_ADDRESS: return "FANFARE_ERR_ADDRESS";
    case FANFARE_ERR_SYSTEM: return "FANFARE_ERR_SYSTEM";
    case FANFARE_ERR_FINISHED: return "FANFARE_ERR_FINISHED";
    case FANFARE_ERR_TIMEOUT: return "FANFARE_ERR_TIMEOUT";
    case FANFARE_ERR_SUBSCRIPTION: return "FANFARE_ERR_SUBSCRIPTION";
    case FANFARE_ERR_TOO_MANY: return "FANFARE_ERR_TOO_MANY";
    case FANFARE_ERR_BUFFER: return "FANFARE_ERR_BUFFER";
    case FANFARE_ERR_STALE: return "FANFARE_ERR_STALE";
    case FANFARE_ERR_LIMIT: return "FANFARE_ERR_LIMIT";
    case FANFARE_ERR_BUSY: return "FANFARE_ERR_BUSY";
    case FANFARE_ERR_SOCKET: return "FANFARE_ERR_SOCKET";
    case FANFARE_ERR_SOCKET_TLS: return "FANFARE_ERR_SOCKET_TLS";
    case FANFARE_ERR_SOCKET_READ: return "FANFARE_ERR_SOCKET_READ";
    case FANFARE_ERR_SOCKET_UNSENT: return "FANFARE_ERR_SOCKET_UNSENT";
    case FANFARE_ERR_REQUEST: return "FANFARE_ERR_REQUEST";
    case FANFARE_ERR_GRANT: return "FANFARE_ERR_GRANT";
    case FANFARE_ERR_KEY: return "FANFARE_ERR_KEY";
    case FANFARE_ERR_ENDED: return "FANFARE_ERR_ENDED";
    case FANFARE_ERR_LOGGER: return "FANFARE_ERR_LOGGER";
    case FANFARE_ERR_TOKEN: return "FANFARE_ERR_TOKEN";
    default: return "FANFARE_ERR_UNKNOWN";
    }
}

static napi_value throw_code(napi_env env, fanfare_status code) {
    napi_throw_error(env, code_name(code), fanfare_strerror(code));
    return NULL;
}

/* Throws for an option that is out of its bounds, by its name here. */
static void throw_option(napi_env env, const char *name, fanfare_text bounds) {
    char message[256];
    snprintf(message, sizeof(message), "the option %s is out of bounds: it may be %.*s", name,
             (int)bounds.length, bounds.data);
    napi_throw_error(env, code_name(FANFARE_ERR_OPTIONS), message);
}

/* Throws for the options that the library has refused. */
static napi_value throw_problem(napi_env env, const fanfare_options *options) {
    fanfare_text field, bounds;
    fanfare_status code = fanfare_options_problem(options, &field, &bounds);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    char name[64];
    size_t length = 0;
    for (size_t i = 0; i < field.length && length < sizeof(name) - 1; i++) {
        bool is_start = i > 0 && field.data[i - 1] == '_';
        if (field.data[i] != '_') {
            name[length++] = is_start ? (char)toupper((unsigned char)field.data[i]) : field.data[i];
        }
    }
    name[length] = '\0';
    throw_option(env, name, bounds);
    return NULL;
}

static void throw_type(napi_env env, const char *format, const char *what) {
    char message[128];
    snprintf(message, sizeof(message), format, what);
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
}

static void throw_last(napi_env env) {
    bool pending = false;
    const napi_extended_error_info *info = NULL;
    napi_get_last_error_info(env, &info);
    const char *message = info && info->error_message ? info->error_message : "Node-API failed";
    if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) {
        napi_throw_error(env, NULL, message);
    }
}

/* Returns the open hub of an external value, or NULL with an exception pending. */
static fanfare_hub *open_hub(napi_env env, napi_value value) {
    void *data = NULL;
    CHECK(env, napi_get_value_external(env, value, &data));
    fanfare_hub *hub = ((handle *)data)->hub;
    if (!hub) {
        throw_code(env, FANFARE_ERR_CLOSED);
    }
    return hub;
}

/* Reads a string, or a Uint8Array where bytes are allowed; undefined is none. The text is to be
 * freed by `text_free`. Returns false with an exception pending. */
static bool text_read(napi_env env, napi_value value, const char *what, bool bytes, text *out) {
    napi_valuetype type;
    *out = (text){{NULL, 0}, NULL};
    if (napi_typeof(env, value, &type) != napi_ok) {
        throw_last(env);
        return false;
    }
    if (type == napi_undefined) {
        return true;
    }
    if (type == napi_string) {
        size_t len = 0;
        if (napi_get_value_string_utf8(env, value, NULL, 0, &len) != napi_ok) {
            throw_last(env);
            return false;
        }
        char *copy = malloc(len + 1);
        if (!copy) {
            throw_code(env, FANFARE_ERR_SYSTEM);
            return false;
        }
        if (napi_get_value_string_utf8(env, value, copy, len + 1, &len) != napi_ok) {
            free(copy);
            throw_last(env);
            return false;
        }
        *out = (text){{copy, len}, copy};
        return true;
    }
    bool typed = false;
    if (bytes && napi_is_typedarray(env, value, &typed) == napi_ok && typed) {
        napi_typedarray_type kind;
        void *data = NULL;
        size_t len = 0;
        napi_status status =
            napi_get_typedarray_info(env, value, &kind, &len, &data, NULL, NULL);
        if (status == napi_ok && kind == napi_uint8_array) {
            /* Empty data is data, too, and must not be NULL. */
            *out = (text){{len > 0 ? data : "", len}, NULL};
            return true;
        }
    }
    throw_type(env, bytes ? "%s must be a string or a Uint8Array" : "%s must be a string", what);
    return false;
}

static void text_free(text *given) {
    free(given->owned);
}

/* Reads a number; `*is_whole` says whether it is a whole one from 0 to `max`. Returns false with an
 * exception pending when it is no number at all. */
static bool whole_read(napi_env env, napi_value value, const char *what, double max, bool *is_whole,
                       uint64_t *out) {
    double number = 0;
    if (napi_get_value_double(env, value, &number) != napi_ok) {
        throw_type(env, "%s must be a number", what);
        return false;
    }
    *is_whole = number >= 0 && number <= max && (double)(uint64_t)number == number;
    *out = *is_whole ? (uint64_t)number : 0;
    return true;
}

/* Reads a boolean as 0 or 1, or throws. */
static bool flag_read(napi_env env, napi_value value, const char *what, uint32_t *out) {
    bool flag = false;
    if (napi_get_value_bool(env, value, &flag) != napi_ok) {
        throw_type(env, "%s must be a boolean", what);
        return false;
    }
    *out = flag;
    return true;
}

/* Sets the option with the name `key`. */
static bool option_read(napi_env env, napi_value object, napi_value key, fanfare_options *options) {
    char name[64];
    napi_value value;
    napi_valuetype type;
    if (napi_get_value_string_utf8(env, key, name, sizeof(name), NULL) != napi_ok ||
        napi_get_property(env, object, key, &value) != napi_ok ||
        napi_typeof(env, value, &type) != napi_ok) {
        throw_last(env);
        return false;
    }
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (strcmp(name, OPTIONS[i].name) == 0) {
            void *field = (char *)options + OPTIONS[i].offset;
            if (type == napi_undefined) {
                return true;
            }
            if (OPTIONS[i].is_flag) {
                return flag_read(env, value, name, field);
            }
            bool is_whole = false;
            if (!whole_read(env, value, name, SAFE_INTEGER_MAX, &is_whole, field)) {
                return false;
            }
            if (!is_whole) {
                throw_option(env, name, FANFARE_TEXT("a whole number from 0 to 2^53 - 1"));
            }
            return is_whole;
        }
    }
    throw_type(env, "Hub has no option %s", name);
    return false;
}

static void free_handle(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    handle *given = data;
    /* The backstop for a hub that was never closed. */
    fanfare_hub_free(given->hub);
    free(given);
}

/* open(options) -> external */
static napi_value hub_open(napi_env env, napi_callback_info info) {
    size_t argc = 1;
    napi_value object, keys, result;
    CHECK(env, napi_get_cb_info(env, info, &argc, &object, NULL, NULL));

    fanfare_options options = fanfare_options_defaults();
    uint32_t count = 0;
    CHECK(env, napi_get_all_property_names(env, object, napi_key_own_only,
                                           napi_key_enumerable | napi_key_skip_symbols,
                                           napi_key_numbers_to_strings, &keys));
    CHECK(env, napi_get_array_length(env, keys, &count));
    for (uint32_t i = 0; i < count; i++) {
        napi_value key;
        CHECK(env, napi_get_element(env, keys, i, &key));
        if (!option_read(env, object, key, &options)) {
            return NULL;
        }
    }

    handle *made = calloc(1, sizeof(*made));
    if (!made) {
        return throw_code(env, FANFARE_ERR_SYSTEM);
    }
    fanfare_status code = fanfare_hub_new(&options, &made->hub);
    if (code != FANFARE_OK) {
        free(made);
        return code == FANFARE_ERR_OPTIONS ? throw_problem(env, &options) : throw_code(env, code);
    }
    if (napi_create_external(env, made, free_handle, NULL, &result) != napi_ok) {
        free_handle(env, made, NULL);
        throw_last(env);
        return NULL;
    }
    return result;
}

/* listen(external, addr) -> port */
static napi_value hub_listen(napi_env env, napi_callback_info info) {
    size_t argc = 2;
    napi_value args[2], result;
    CHECK(env, napi_get_cb_info(env, info, &argc, args, NULL, NULL));
    fanfare_hub *hub = open_hub(env, args[0]);
    text addr;
    if (!hub || !text_read(env, args[1], "addr", false, &addr)) {
        return NULL;
    }
    uint16_t port = 0;
    fanfare_status code = fanfare_hub_listen(hub, addr.lent, NULL, NULL, &port);
    text_free(&addr);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    CHECK(env, napi_create_uint32(env, port, &result));
    return result;
}

/* publish(external, topic, data, name, id, key, retryMs) -> id */
static napi_value hub_publish(napi_env env, napi_callback_info info) {
    enum { HUB, TOPIC, DATA, NAME, ID, KEY, RETRY_MS, COUNT };
    static const char *const WHAT[COUNT] = {"hub", "topic", "data", "name", "id", "key", "retryMs"};
    size_t argc = COUNT;
    napi_value args[COUNT], result;
    CHECK(env, napi_get_cb_info(env, info, &argc, args, NULL, NULL));
    fanfare_hub *hub = open_hub(env, args[HUB]);
    if (!hub) {
        return NULL;
    }

    uint64_t retry_ms = 0;
    bool is_whole = true;
    napi_valuetype type;
    CHECK(env, napi_typeof(env, args[RETRY_MS], &type));
    if (type != napi_undefined && !whole_read(env, args[RETRY_MS], WHAT[RETRY_MS], UINT32_MAX,
                                              &is_whole, &retry_ms)) {
        return NULL;
    }
    if (!is_whole) {
        return throw_code(env, FANFARE_ERR_EVENT);
    }
    text texts[COUNT] = {{{NULL, 0}, NULL}};
    bool read = true;
    for (int i = TOPIC; read && i <= KEY; i++) {
        read = text_read(env, args[i], WHAT[i], i == DATA, &texts[i]);
    }

    fanfare_event_id id = {.length = 0};
    if (read) {
        fanfare_event event = {
            .size = sizeof(event),
            .data = texts[DATA].lent,
            .name = texts[NAME].lent,
            .id = texts[ID].lent,
            .key = texts[KEY].lent,
            .retry_ms = (uint32_t)retry_ms,
        };
        fanfare_status code = fanfare_hub_publish(hub, texts[TOPIC].lent, &event, &id);
        if (code != FANFARE_OK) {
            throw_code(env, code);
            read = false;
        }
    }
    for (int i = TOPIC; i <= KEY; i++) {
        text_free(&texts[i]);
    }
    if (!read) {
        return NULL;
    }
    CHECK(env, napi_create_string_latin1(env, id.text, id.length, &result));
    return result;
}

static void close_execute(napi_env env, void *data) {
    (void)env;
    fanfare_hub_free(((closing *)data)->hub);
}

static void close_complete(napi_env env, napi_status status, void *data) {
    (void)status;
    closing *given = data;
    napi_value undefined;
    if (napi_get_undefined(env, &undefined) == napi_ok) {
        napi_resolve_deferred(env, given->deferred, undefined);
    }
    napi_delete_async_work(env, given->work);
    free(given);
}

/* close(external) -> Promise. It may wait for the clients, which JavaScript's thread must not. */
static napi_value hub_close(napi_env env, napi_callback_info info) {
    size_t argc = 1;
    napi_value external, name, promise;
    void *data = NULL;
    CHECK(env, napi_get_cb_info(env, info, &argc, &external, NULL, NULL));
    CHECK(env, napi_get_value_external(env, external, &data));
    CHECK(env, napi_create_string_utf8(env, "fanfare:close", NAPI_AUTO_LENGTH, &name));
    handle *given = data;
    closing *made = calloc(1, sizeof(*made));
    if (!made) {
        return throw_code(env, FANFARE_ERR_SYSTEM);
    }
    made->hub = given->hub;
    napi_status status =
        napi_create_async_work(env, NULL, name, close_execute, close_complete, made, &made->work);
    if (status == napi_ok) {
        status = napi_create_promise(env, &made->deferred, &promise);
        if (status == napi_ok) {
            status = napi_queue_async_work(env, made->work);
        }
        if (status != napi_ok) {
            napi_delete_async_work(env, made->work);
        }
    }
    if (status != napi_ok) {
        free(made);
        throw_last(env);
        return NULL;
    }
    given->hub = NULL;
    return promise;
}

NAPI_MODULE_INIT() {
    if (fanfare_abi_version() != FANFARE_ABI_VERSION) {
        napi_throw_error(env, NULL, "fanfare's addon was built with the header of another version");
        return NULL;
    }
    static const struct {
        const char *name;
        napi_callback call;
    } FUNCTIONS[] = {
        {"open", hub_open},
        {"listen", hub_listen},
        {"publish", hub_publish},
        {"close", hub_close},
    };
    for (size_t i = 0; i < sizeof(FUNCTIONS) / sizeof(FUNCTIONS[0]); i++) {
        napi_value function;
        CHECK(env, napi_create_function(env, FUNCTIONS[i].name, NAPI_AUTO_LENGTH,
                                        FUNCTIONS[i].call, NULL, &function));
        CHECK(env, napi_set_named_property(env, exports, FUNCTIONS[i].name, function));
    }
    return exports;
}
