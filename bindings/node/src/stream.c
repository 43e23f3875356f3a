/* Streams that the program reads, and connections that it hands over. */

#include "addon.h"

static fanfare_status find_stream(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_stream_options_problem(options, name, bounds);
}

/* subscribe(hub, topics, options) -> stream */
static napi_value hub_subscribe(napi_env env, napi_callback_info info) {
    napi_value args[3], result = NULL;
    memory memory;
    const fanfare_text *topics;
    size_t count = 0;
    fanfare_stream *stream = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_stream_options options = fanfare_stream_options_defaults();
    if (texts_read(env, &memory, args[1], "topics", &topics, &count) &&
        struct_read(env, &memory, args[2], &STREAM_SPEC, &options)) {
        fanfare_status code = fanfare_hub_subscribe(hub, topics, count, &options, &stream);
        if (code == FANFARE_OK) {
            result = object_make(env, OBJECT_STREAM, stream);
        } else if (code == FANFARE_ERR_OPTIONS) {
            throw_problem(env, code, &options, find_stream);
        } else {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

/* The stream of the first argument, or NULL with an exception pending. */
static object *stream_of(napi_env env, napi_callback_info info) {
    napi_value args[1];
    return args_of(env, info, COUNT_OF(args), args) ? object_open(env, args[0], OBJECT_STREAM) : NULL;
}

/* streamNext(stream) -> a Buffer; null when nothing waits; undefined when it has ended */
static napi_value stream_next(napi_env env, napi_callback_info info) {
    fanfare_text batch;
    napi_value result;
    object *stream = stream_of(env, info);
    if (!stream) {
        return NULL;
    }
    fanfare_status code = fanfare_stream_next(stream->native, 0, &batch);
    switch (code) {
    case FANFARE_OK: return bytes_value(env, batch);
    case FANFARE_ERR_TIMEOUT: CHECK(env, napi_get_null(env, &result)); return result;
    case FANFARE_ERR_ENDED: return NULL;
    default: return throw_code(env, code);
    }
}

/* streamId(stream) -> bigint */
static napi_value stream_id(napi_env env, napi_callback_info info) {
    napi_value result;
    fanfare_connection_id id = 0;
    object *stream = stream_of(env, info);
    if (!stream) {
        return NULL;
    }
    fanfare_status code = fanfare_stream_id(stream->native, &id);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    CHECK(env, napi_create_bigint_uint64(env, id, &result));
    return result;
}

/* streamEnd(stream) -> undefined, or {reason, isCut} */
static napi_value stream_end(napi_env env, napi_callback_info info) {
    napi_value result;
    fanfare_disconnect_reason reason = 0;
    uint32_t is_cut = 0;
    object *stream = stream_of(env, info);
    if (!stream) {
        return NULL;
    }
    fanfare_status code = fanfare_stream_end(stream->native, &reason, &is_cut);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    if (reason == 0) {
        return NULL;
    }
    CHECK(env, napi_create_object(env, &result));
    if (!set_text(env, result, "reason", fanfare_disconnect_reason_name(reason)) ||
        !set_bool(env, result, "isCut", is_cut != 0)) {
        return NULL;
    }
    return result;
}

/* streamIsComplete(stream) -> boolean */
static napi_value stream_is_complete(napi_env env, napi_callback_info info) {
    napi_value result;
    uint32_t is_complete = 0;
    object *stream = stream_of(env, info);
    if (!stream) {
        return NULL;
    }
    fanfare_status code = fanfare_stream_is_complete(stream->native, &is_complete);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    CHECK(env, napi_get_boolean(env, is_complete != 0, &result));
    return result;
}

/* streamClose(stream); once more does nothing */
static napi_value stream_close(napi_env env, napi_callback_info info) {
    napi_value args[1];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *stream = object_of(env, args[0], OBJECT_STREAM);
    if (stream && !stream->closing) {
        object_close(stream);
    }
    return NULL;
}

/* streamHeaders() -> an array of pairs */
static napi_value stream_headers(napi_env env, napi_callback_info info) {
    const fanfare_header *headers = NULL;
    size_t count = 0;
    (void)info;
    fanfare_status code = fanfare_stream_headers(&headers, &count);
    return code == FANFARE_OK ? headers_value(env, headers, count) : throw_code(env, code);
}

/* adopt(hub, descriptor, topics, options) */
static napi_value hub_adopt(napi_env env, napi_callback_info info) {
    napi_value args[4];
    memory memory;
    const fanfare_text *topics;
    size_t count = 0;
    int fd = -1;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !fd_read(env, args[1], "fd", &fd)) {
        return NULL;
    }
    memory_init(&memory);
    if (texts_read(env, &memory, args[2], "topics", &topics, &count)) {
        adopt_call call = {.request = fanfare_adopt_request_of(topics, count),
                           .options = fanfare_stream_options_defaults()};
        call.request.options = &call.options;
        if (struct_read(env, &memory, args[3], &ADOPT_SPEC, &call)) {
            fanfare_status code = fanfare_hub_adopt(hub, fd, &call.request);
            if (code == FANFARE_ERR_OPTIONS) {
                throw_problem(env, code, &call.options, find_stream);
            } else if (code != FANFARE_OK) {
                throw_code(env, code);
            }
        }
    }
    memory_free(&memory);
    return NULL;
}

const export STREAM_EXPORTS[] = {
    {"subscribe", hub_subscribe},
    {"streamNext", stream_next},
    {"streamId", stream_id},
    {"streamEnd", stream_end},
    {"streamIsComplete", stream_is_complete},
    {"streamClose", stream_close},
    {"streamHeaders", stream_headers},
    {"adopt", hub_adopt},
    {NULL, NULL},
};
