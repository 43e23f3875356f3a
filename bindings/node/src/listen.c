/* Listeners. One is known by its number, a bigint, together with its hub. */

#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static fanfare_status find_listen(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_listen_options_problem(options, name, bounds);
}

static napi_value listener_value(napi_env env, fanfare_listener listener, uint16_t port) {
    napi_value value;
    CHECK(env, napi_create_object(env, &value));
    if (!set_id(env, value, "id", listener.id) || !set_number(env, value, "port", port)) {
        return NULL;
    }
    return value;
}

/* Listens at an address, or at a descriptor, which is a number. */
static napi_value listen_at(napi_env env, memory *memory, fanfare_hub *hub, napi_value where,
                            napi_value given) {
    napi_valuetype type;
    fanfare_listener listener = {0};
    fanfare_status code;
    uint16_t port = 0;
    fanfare_listen_options options = fanfare_listen_options_defaults();
    CHECK(env, napi_typeof(env, where, &type));
    if (!struct_read(env, memory, given, &LISTEN_SPEC, &options)) {
        return NULL;
    }
    if (type == napi_number) {
        int fd = -1;
        if (!fd_read(env, where, "addr", &fd)) {
            return NULL;
        }
        code = fanfare_hub_listen_on(hub, fd, &options, &listener, &port);
    } else {
        fanfare_text addr;
        if (!required_read(env, memory, where, "addr", &addr)) {
            return NULL;
        }
        code = fanfare_hub_listen(hub, addr, &options, &listener, &port);
    }
    if (code == FANFARE_ERR_OPTIONS) {
        return throw_problem(env, code, &options, find_listen);
    }
    return code == FANFARE_OK ? listener_value(env, listener, port) : throw_code(env, code);
}

/* listen(hub, addr or descriptor, options) -> {id, port} */
static napi_value hub_listen(napi_env env, napi_callback_info info) {
    napi_value args[3];
    memory memory;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub) {
        return NULL;
    }
    memory_init(&memory);
    napi_value result = listen_at(env, &memory, hub, args[1], args[2]);
    memory_free(&memory);
    return result;
}

/* listenerAddress(hub, id) -> string */
static napi_value listener_address(napi_env env, napi_callback_info info) {
    napi_value args[2], result;
    fanfare_listener listener;
    char buffer[512];
    size_t length = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !id_read(env, args[1], "listener", &listener.id)) {
        return NULL;
    }
    fanfare_status code = fanfare_listener_address(hub, listener, buffer, sizeof(buffer), &length);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    CHECK(env, napi_create_string_utf8(env, buffer, length, &result));
    return result;
}

/* listenerClose(hub, id) */
static napi_value listener_close(napi_env env, napi_callback_info info) {
    napi_value args[2];
    fanfare_listener listener;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *hub = object_of(env, args[0], OBJECT_HUB);
    if (!hub || !id_read(env, args[1], "listener", &listener.id)) {
        return NULL;
    }
    fanfare_status code = fanfare_listener_close(hub->native, listener);
    if (code != FANFARE_OK && code != FANFARE_ERR_STALE) {
        throw_code(env, code);
    }
    return NULL;
}

/* listenerAdmit(hub, id, descriptor, read, addr, peer, isProxy) */
static napi_value listener_admit(napi_env env, napi_callback_info info) {
    napi_value args[7];
    fanfare_listener listener;
    fanfare_admit_request request = fanfare_admit_request_of(FANFARE_TEXT(""));
    fanfare_text read;
    uint64_t is_proxy = 0;
    memory memory;
    int fd = -1;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !id_read(env, args[1], "listener", &listener.id) ||
        !fd_read(env, args[2], "fd", &fd)) {
        return NULL;
    }
    memory_init(&memory);
    if (text_read(env, &memory, args[3], "read", true, &read) &&
        text_read(env, &memory, args[4], "addr", false, &request.addr) &&
        text_read(env, &memory, args[5], "peer", false, &request.peer) &&
        flag_read(env, args[6], "isProxy", &is_proxy)) {
        if (read.data) {
            request.read = read;
        }
        request.is_proxy = (uint32_t)is_proxy;
        fanfare_status code = fanfare_listener_admit(hub, listener, fd, &request);
        if (code != FANFARE_OK) {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return NULL;
}

typedef fanfare_status (*question)(const fanfare_hub *hub, fanfare_listener listener,
                                   fanfare_text text, uint32_t *answer);

static napi_value listener_ask(napi_env env, napi_callback_info info, const char *what,
                               question ask) {
    napi_value args[3], result = NULL;
    fanfare_listener listener;
    fanfare_text text;
    memory memory;
    uint32_t answer = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !id_read(env, args[1], "listener", &listener.id)) {
        return NULL;
    }
    memory_init(&memory);
    if (required_read(env, &memory, args[2], what, &text)) {
        fanfare_status code = ask(hub, listener, text, &answer);
        if (code != FANFARE_OK) {
            throw_code(env, code);
        } else if (napi_get_boolean(env, answer != 0, &result) != napi_ok) {
            throw_last(env);
        }
    }
    memory_free(&memory);
    return result;
}

/* listenerHasStreamsAt(hub, id, path) -> boolean */
static napi_value listener_has_streams_at(napi_env env, napi_callback_info info) {
    return listener_ask(env, info, "path", fanfare_listener_has_streams_at);
}

/* listenerIsNamed(hub, id, host) -> boolean */
static napi_value listener_is_named(napi_env env, napi_callback_info info) {
    return listener_ask(env, info, "host", fanfare_listener_is_named);
}

/* fallback(token, capacity) -> fallback */
static napi_value fallback_new(napi_env env, napi_callback_info info) {
    napi_value args[2];
    uint64_t token = 0, capacity = 0;
    bool is_whole = false;
    fanfare_fallback *fallback = NULL;
    fanfare_notices *notices = notices_of(env);
    if (!notices || !args_of(env, info, COUNT_OF(args), args) ||
        !number_read(env, args[0], "token", SAFE_INTEGER_MAX, &is_whole, &token) ||
        !number_read(env, args[1], "capacity", UINT32_MAX, &is_whole, &capacity)) {
        return NULL;
    }
    fanfare_status code = fanfare_fallback_new(notices, token, (size_t)capacity, &fallback);
    if (code == FANFARE_ERR_OPTIONS) {
        return throw_option(env, code, "capacity", FANFARE_TEXT("1 to 65,536"));
    }
    return code == FANFARE_OK ? object_make(env, OBJECT_FALLBACK, fallback) : throw_code(env, code);
}

/* fallbackTake(fallback, id) -> descriptor */
static napi_value fallback_take(napi_env env, napi_callback_info info) {
    napi_value args[2], result;
    uint64_t id = 0;
    int fd = -1;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *fallback = object_open(env, args[0], OBJECT_FALLBACK);
    if (!fallback || !id_read(env, args[1], "id", &id)) {
        return NULL;
    }
    fanfare_status code = fanfare_fallback_take(fallback->native, id, &fd);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    if (napi_create_int32(env, fd, &result) != napi_ok) {
        close(fd);
        return throw_last(env);
    }
    return result;
}

/* fallbackClose(fallback); once more does nothing */
static napi_value fallback_close(napi_env env, napi_callback_info info) {
    napi_value args[1];
    if (args_of(env, info, COUNT_OF(args), args)) {
        object *fallback = object_of(env, args[0], OBJECT_FALLBACK);
        if (fallback && !fallback->closing) {
            object_close(fallback);
        }
    }
    return NULL;
}

/* duplicate(descriptor) -> descriptor, which children of the process do not have. Node.js has no
 * function for it. */
static napi_value duplicate(napi_env env, napi_callback_info info) {
    napi_value args[1], result;
    int fd = -1;
    if (!args_of(env, info, COUNT_OF(args), args) || !fd_read(env, args[0], "fd", &fd)) {
        return NULL;
    }
    int made = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (made < 0) {
        return throw_code(env, errno == EBADF ? FANFARE_ERR_SOCKET : FANFARE_ERR_SYSTEM);
    }
    if (napi_create_int32(env, made, &result) != napi_ok) {
        close(made);
        return throw_last(env);
    }
    return result;
}

/* closeDescriptor(descriptor), of a duplicate that was not handed over. */
static napi_value close_descriptor(napi_env env, napi_callback_info info) {
    napi_value args[1];
    int fd = -1;
    if (args_of(env, info, COUNT_OF(args), args) && fd_read(env, args[0], "fd", &fd)) {
        close(fd);
    }
    return NULL;
}

const export LISTEN_EXPORTS[] = {
    {"listen", hub_listen},
    {"listenerAddress", listener_address},
    {"listenerClose", listener_close},
    {"listenerAdmit", listener_admit},
    {"listenerHasStreamsAt", listener_has_streams_at},
    {"listenerIsNamed", listener_is_named},
    {"fallback", fallback_new},
    {"fallbackTake", fallback_take},
    {"fallbackClose", fallback_close},
    {"duplicate", duplicate},
    {"closeDescriptor", close_descriptor},
    {NULL, NULL},
};
