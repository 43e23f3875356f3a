/* The doorbell: one queue of notices for each instance of the addon, and one thread that waits until
 * it is readable and calls JavaScript. It needs no event loop but Node-API's own functions, which
 * Node.js, Bun and Deno all have.
 *
 * The thread rings once, and then waits until JavaScript has drained the queue. It enters no
 * JavaScript, and no thread of the engine knows of it. The instance's end stops it before the
 * function that it calls is gone.
 */

#include "addon.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* The most notices that are drained at once, and such parts in a turn of JavaScript's loop. */
enum { PART = 128, PARTS_MAX = 16 };

struct bell {
    fanfare_notices *notices;
    napi_threadsafe_function ring;
    pthread_t thread;
    atomic_bool is_stopping;
    int doorbell;
    int wake[2]; /* What the thread reads and what wakes it. */
};

/* ---- the thread ---- */

/* Waits until JavaScript has drained, or is stopping. */
static void wait_for_drain(bell *given) {
    struct pollfd wake = {.fd = given->wake[0], .events = POLLIN};
    char bytes[64];
    while (poll(&wake, 1, -1) < 0) {
    }
    (void)!read(given->wake[0], bytes, sizeof(bytes));
}

static void *run(void *data) {
    bell *given = data;
    while (!atomic_load(&given->is_stopping)) {
        struct pollfd waiting[] = {{.fd = given->doorbell, .events = POLLIN},
                                   {.fd = given->wake[0], .events = POLLIN}};
        if (poll(waiting, COUNT_OF(waiting), -1) <= 0) {
            continue;
        }
        if (waiting[1].revents != 0) {
            break; /* Nothing else wakes it here. */
        }
        if (napi_call_threadsafe_function(given->ring, NULL, napi_tsfn_nonblocking) != napi_ok) {
            break;
        }
        wait_for_drain(given);
    }
    return NULL;
}

static void wake(bell *given) {
    (void)!write(given->wake[1], "w", 1);
}

/* ---- notices, as JavaScript has them ---- */

static napi_value request_value(napi_env env, const fanfare_request *request) {
    napi_value value;
    CHECK(env, napi_create_object(env, &value));
    bool set =
        set_text(env, value, "method", request->method) &&
        set_text(env, value, "path", request->path) &&
        set_text(env, value, "query", request->query) &&
        set_value(env, value, "headers",
                  headers_value(env, request->headers, request->headers_count)) &&
        set_value(env, value, "content", bytes_value(env, request->content)) &&
        set_text(env, value, "lastEventId", request->last_event_id);
    return set ? value : NULL;
}

static bool set_connection(napi_env env, napi_value value, const fanfare_notice *notice) {
    return set_id(env, value, "connectionId", notice->id) &&
           set_text(env, value, "tag", notice->tag) &&
           set_text(env, value, "addr", notice->addr) &&
           set_value(env, value, "subscriptions",
                     texts_value(env, notice->subscriptions, notice->subscriptions_count));
}

static bool set_end(napi_env env, napi_value value, const fanfare_notice *notice) {
    return set_text(env, value, "reason", fanfare_disconnect_reason_name(notice->reason)) &&
           set_number(env, value, "lastedMs", (double)notice->lasted_ms) &&
           set_number(env, value, "events", (double)notice->events) &&
           set_number(env, value, "bytes", (double)notice->bytes);
}

static bool set_question(napi_env env, napi_value value, const fanfare_notice *notice) {
    return set_id(env, value, "id", notice->id) && set_text(env, value, "addr", notice->addr) &&
           set_value(env, value, "topics",
                     texts_value(env, notice->subscriptions, notice->subscriptions_count)) &&
           (!notice->request ||
            set_value(env, value, "request", request_value(env, notice->request)));
}

static bool set_record(napi_env env, napi_value value, const fanfare_log_record *record) {
    return set_number(env, value, "level", record->level) &&
           set_text(env, value, "target", record->target) &&
           set_text(env, value, "message", record->message) &&
           set_bool(env, value, "isCut", record->is_cut != 0);
}

/* Sets what a kind of notice has; `type` is undefined for one that only a newer library knows. */
static bool set_kind(napi_env env, napi_value value, const fanfare_notice *notice) {
    fanfare_text subscription =
        notice->subscriptions_count > 0 ? notice->subscriptions[0] : FANFARE_TEXT("");
    switch (notice->kind) {
    case FANFARE_NOTICE_CONNECTED:
        return set_string(env, value, "type", "connected") && set_connection(env, value, notice);
    case FANFARE_NOTICE_DISCONNECTED:
        return set_string(env, value, "type", "disconnected") &&
               set_connection(env, value, notice) && set_end(env, value, notice);
    case FANFARE_NOTICE_WANTED:
        return set_string(env, value, "type", "wanted") &&
               set_text(env, value, "subscription", subscription);
    case FANFARE_NOTICE_UNWANTED:
        return set_string(env, value, "type", "unwanted") &&
               set_text(env, value, "subscription", subscription);
    case FANFARE_NOTICE_AUTHORIZATION:
        return set_string(env, value, "type", "authorization") && set_question(env, value, notice);
    case FANFARE_NOTICE_UNHANDLED:
        return set_string(env, value, "type", "unhandled") && set_id(env, value, "id", notice->id) &&
               set_text(env, value, "addr", notice->addr) &&
               set_text(env, value, "peer", notice->peer) &&
               set_bool(env, value, "isProxy", notice->is_proxy != 0) &&
               set_value(env, value, "read",
                         bytes_value(env, notice->request ? notice->request->content
                                                          : FANFARE_TEXT("")));
    case FANFARE_NOTICE_LOG: return !notice->log || set_record(env, value, notice->log);
    case FANFARE_NOTICE_ENDED: return set_string(env, value, "type", "ended");
    default: return true;
    }
}

/* Returns a pair of the source's token and the notice; where that says nothing more, as of a stream
 * that is readable, the token. */
static napi_value notice_value(napi_env env, const fanfare_notice *notice) {
    napi_value token, value, pair;
    CHECK(env, napi_create_double(env, (double)notice->token, &token));
    if (notice->kind == FANFARE_NOTICE_READABLE || notice->kind == FANFARE_NOTICE_SPACE) {
        return token;
    }
    CHECK(env, napi_create_object(env, &value));
    if (!set_kind(env, value, notice) ||
        !set_number(env, value, "at", (double)notice->at_unix_ms) ||
        !set_number(env, value, "lost", (double)notice->lost)) {
        return NULL;
    }
    CHECK(env, napi_create_array_with_length(env, 2, &pair));
    CHECK(env, napi_set_element(env, pair, 0, token));
    CHECK(env, napi_set_element(env, pair, 1, value));
    return pair;
}

/* Returns an array of what was drained. */
static napi_value part_value(napi_env env, const fanfare_notice *part, size_t count) {
    napi_value array;
    CHECK(env, napi_create_array_with_length(env, count, &array));
    for (size_t i = 0; i < count; i++) {
        napi_value notice = notice_value(env, &part[i]);
        if (!notice) {
            return NULL;
        }
        CHECK(env, napi_set_element(env, array, (uint32_t)i, notice));
    }
    return array;
}

/* Gives JavaScript one part. Returns whether there may be more, and JavaScript took it. */
static bool drain_part(napi_env env, napi_value callback, bell *given) {
    fanfare_notice part[PART];
    size_t count = 0;
    napi_value undefined;
    if (fanfare_notices_drain(given->notices, part, sizeof(part[0]), PART, &count) != FANFARE_OK ||
        count == 0) {
        return false;
    }
    napi_value array = part_value(env, part, count);
    return array && napi_get_undefined(env, &undefined) == napi_ok &&
           napi_call_function(env, undefined, callback, 1, &array, NULL) == napi_ok &&
           count == PART;
}

static void on_ring(napi_env env, napi_value callback, void *context, void *data) {
    (void)data;
    bell *given = context;
    if (!env || atomic_load(&given->is_stopping)) {
        return;
    }
    bool has_more = true;
    for (int i = 0; has_more && i < PARTS_MAX; i++) {
        napi_handle_scope scope;
        if (napi_open_handle_scope(env, &scope) != napi_ok) {
            break;
        }
        has_more = drain_part(env, callback, given);
        napi_close_handle_scope(env, scope);
    }
    wake(given);
}

/* ---- its life ---- */

static bool pipe_open(int ends[2]) {
    if (pipe(ends) != 0) {
        ends[0] = ends[1] = -1;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (fcntl(ends[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(ends[i], F_SETFL, O_NONBLOCK) != 0) {
            return false;
        }
    }
    return true;
}

static void bell_free(bell *given) {
    fanfare_notices_free(given->notices);
    for (int i = 0; i < 2; i++) {
        if (given->wake[i] >= 0) {
            close(given->wake[i]);
        }
    }
    free(given);
}

/* When the function that rings is gone, and makes no call any more. */
static void on_ring_end(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    bell_free(data);
}

/* Ends the thread. The queue is freed with the function that the thread has called. */
void bell_stop(bell *given) {
    atomic_store(&given->is_stopping, true);
    wake(given);
    pthread_join(given->thread, NULL);
    napi_release_threadsafe_function(given->ring, napi_tsfn_abort);
}

static void stop_hook(void *data) {
    instance *given = data;
    bell *stopping = given->bell;
    given->bell = NULL;
    if (stopping) {
        bell_stop(stopping);
    }
}

static napi_value ring_make(napi_env env, napi_value callback, bell *made) {
    napi_value name;
    CHECK(env, napi_create_string_utf8(env, "fanfare", NAPI_AUTO_LENGTH, &name));
    CHECK(env, napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, made, on_ring_end,
                                               made, on_ring, &made->ring));
    CHECK(env, napi_unref_threadsafe_function(env, made->ring));
    return name;
}

/* bellStart(callback), once. The callback is given arrays as of part_value. */
static napi_value bell_start(napi_env env, napi_callback_info info) {
    napi_value args[1];
    instance *instance = instance_of(env);
    if (!args_of(env, info, COUNT_OF(args), args) || instance->bell) {
        return NULL;
    }
    bell *made = calloc(1, sizeof(*made));
    if (!made) {
        return throw_code(env, FANFARE_ERR_SYSTEM);
    }
    atomic_init(&made->is_stopping, false);
    made->wake[0] = made->wake[1] = -1;
    fanfare_status code = fanfare_notices_new(&made->notices);
    if (code == FANFARE_OK) {
        code = fanfare_notices_doorbell(made->notices, &made->doorbell);
    }
    if (code == FANFARE_OK && !pipe_open(made->wake)) {
        code = FANFARE_ERR_SYSTEM;
    }
    if (code != FANFARE_OK) {
        bell_free(made);
        return throw_code(env, code);
    }
    if (!ring_make(env, args[0], made)) {
        bell_free(made);
        return NULL;
    }
    if (pthread_create(&made->thread, NULL, run, made) != 0) {
        napi_release_threadsafe_function(made->ring, napi_tsfn_abort);
        return throw_code(env, FANFARE_ERR_SYSTEM);
    }
    instance->bell = made;
    /* Hooks are called in the reverse order: this one before that of the function. */
    CHECK(env, napi_add_env_cleanup_hook(env, stop_hook, instance));
    return NULL;
}

fanfare_notices *notices_of(napi_env env) {
    bell *given = instance_of(env)->bell;
    if (!given) {
        throw_code(env, FANFARE_ERR_CLOSED);
        return NULL;
    }
    return given->notices;
}

/* ---- what it is told of; each source has a token, a number ---- */

static bool token_read(napi_env env, napi_value value, uint64_t *out) {
    bool is_whole = false;
    return number_read(env, value, "token", SAFE_INTEGER_MAX, &is_whole, out);
}

/* streamNotify(stream, token) */
static napi_value stream_notify(napi_env env, napi_callback_info info) {
    napi_value args[2];
    uint64_t token = 0;
    fanfare_notices *notices = notices_of(env);
    if (!notices || !args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *stream = object_open(env, args[0], OBJECT_STREAM);
    if (!stream || !token_read(env, args[1], &token)) {
        return NULL;
    }
    fanfare_status code = fanfare_stream_notify(stream->native, notices, token);
    return code == FANFARE_OK ? NULL : throw_code(env, code);
}

/* watchConnections(hub, token, capacity) */
static napi_value watch_connections(napi_env env, napi_callback_info info) {
    napi_value args[3];
    uint64_t token = 0, capacity = 0;
    bool is_whole = false;
    fanfare_notices *notices = notices_of(env);
    if (!notices || !args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !token_read(env, args[1], &token) ||
        !number_read(env, args[2], "capacity", 1048576, &is_whole, &capacity)) {
        return NULL;
    }
    if (!is_whole || capacity == 0) {
        return throw_option(env, FANFARE_ERR_OPTIONS, "capacity", FANFARE_TEXT("1 to 1,048,576"));
    }
    fanfare_status code = fanfare_hub_watch_connections(hub, notices, token, (size_t)capacity);
    return code == FANFARE_OK ? NULL : throw_code(env, code);
}

/* watchInterest(hub, token, subscription, graceMs) */
static napi_value watch_interest(napi_env env, napi_callback_info info) {
    napi_value args[4];
    uint64_t token = 0, grace_ms = 0;
    bool is_whole = false;
    memory memory;
    fanfare_text subscription;
    fanfare_notices *notices = notices_of(env);
    if (!notices || !args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !token_read(env, args[1], &token) ||
        !number_read(env, args[3], "graceMs", 3600000, &is_whole, &grace_ms)) {
        return NULL;
    }
    if (!is_whole) {
        return throw_option(env, FANFARE_ERR_OPTIONS, "graceMs", FANFARE_TEXT("at most 3,600,000"));
    }
    memory_init(&memory);
    if (required_read(env, &memory, args[2], "interest", &subscription)) {
        fanfare_status code =
            fanfare_hub_watch_interest(hub, notices, token, subscription, grace_ms);
        if (code != FANFARE_OK) {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return NULL;
}

/* logWatch(token, level, capacity) */
static napi_value log_watch(napi_env env, napi_callback_info info) {
    napi_value args[3];
    uint64_t token = 0, level = 0, capacity = 0;
    bool is_whole = false;
    fanfare_notices *notices = notices_of(env);
    if (!notices || !args_of(env, info, COUNT_OF(args), args) ||
        !token_read(env, args[0], &token) ||
        !number_read(env, args[1], "level", FANFARE_LOG_TRACE, &is_whole, &level) ||
        !number_read(env, args[2], "capacity", 65536, &is_whole, &capacity)) {
        return NULL;
    }
    if (!is_whole || capacity == 0) {
        return throw_option(env, FANFARE_ERR_OPTIONS, "capacity", FANFARE_TEXT("1 to 65,536"));
    }
    fanfare_status code =
        fanfare_log_watch(notices, token, (fanfare_log_level)level, (size_t)capacity);
    return code == FANFARE_OK ? NULL : throw_code(env, code);
}

/* removeSource(token); one that is gone is no error */
static napi_value remove_source(napi_env env, napi_callback_info info) {
    napi_value args[1];
    uint64_t token = 0;
    fanfare_notices *notices = notices_of(env);
    if (notices && args_of(env, info, COUNT_OF(args), args) && token_read(env, args[0], &token)) {
        fanfare_notices_remove(notices, token);
    }
    return NULL;
}

const export BELL_EXPORTS[] = {
    {"bellStart", bell_start},
    {"streamNotify", stream_notify},
    {"watchConnections", watch_connections},
    {"watchInterest", watch_interest},
    {"logWatch", log_watch},
    {"removeSource", remove_source},
    {NULL, NULL},
};
