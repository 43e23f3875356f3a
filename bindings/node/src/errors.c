/* Errors: each status of the library is an Error with the constant's name as its code. */

#include "addon.h"

#include <ctype.h>

const char *code_name(fanfare_status code) {
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
    case FANFARE_ERR_JOURNAL: return "FANFARE_ERR_JOURNAL";
    case FANFARE_ERR_CLUSTER: return "FANFARE_ERR_CLUSTER";
    default: return "FANFARE_ERR_UNKNOWN";
    }
}

napi_value error_of(napi_env env, fanfare_status code, const char *message) {
    napi_value code_value, message_value, error;
    CHECK(env, napi_create_string_utf8(env, code_name(code), NAPI_AUTO_LENGTH, &code_value));
    CHECK(env, napi_create_string_utf8(env, message ? message : fanfare_strerror(code),
                                       NAPI_AUTO_LENGTH, &message_value));
    CHECK(env, napi_create_error(env, code_value, message_value, &error));
    return error;
}

napi_value throw_code(napi_env env, fanfare_status code) {
    napi_throw_error(env, code_name(code), fanfare_strerror(code));
    return NULL;
}

napi_value throw_text(napi_env env, fanfare_status code, fanfare_text text) {
    char message[1024];
    snprintf(message, sizeof(message), "%.*s", (int)text.length, text.data ? text.data : "");
    napi_throw_error(env, code_name(code), message);
    return NULL;
}

napi_value throw_type(napi_env env, const char *format, const char *what) {
    char message[256];
    snprintf(message, sizeof(message), format, what);
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
    return NULL;
}

napi_value throw_last(napi_env env) {
    bool pending = false;
    const napi_extended_error_info *info = NULL;
    napi_get_last_error_info(env, &info);
    const char *message = info && info->error_message ? info->error_message : "Node-API failed";
    if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) {
        napi_throw_error(env, NULL, message);
    }
    return NULL;
}

napi_value throw_option(napi_env env, fanfare_status code, const char *name, fanfare_text bounds) {
    char message[512];
    snprintf(message, sizeof(message), "the option %s is out of bounds: it may be %.*s", name,
             (int)bounds.length, bounds.data);
    napi_throw_error(env, code_name(code), message);
    return NULL;
}

/* Writes the name of a field of the ABI as it is here: history_age_max_ms is historyAgeMaxMs. */
static void camel(fanfare_text field, char *name, size_t size) {
    /* The one name that has another form here, where it takes a Date as well. */
    static const char MOMENT[] = "expires_at_unix_ms";
    if (field.length == sizeof(MOMENT) - 1 && memcmp(field.data, MOMENT, field.length) == 0) {
        snprintf(name, size, "expiresAt");
        return;
    }
    size_t length = 0;
    for (size_t i = 0; i < field.length && length < size - 1; i++) {
        bool is_start = i > 0 && field.data[i - 1] == '_';
        if (field.data[i] != '_') {
            name[length++] = is_start ? (char)toupper((unsigned char)field.data[i]) : field.data[i];
        }
    }
    name[length] = '\0';
}

napi_value throw_problem(napi_env env, fanfare_status code, const void *options,
                         problem_finder find) {
    fanfare_text field = {NULL, 0}, bounds = {NULL, 0};
    fanfare_status found = find(options, &field, &bounds);
    if (found != FANFARE_OK) {
        return throw_code(env, found);
    }
    if (!field.data) {
        return throw_code(env, code);
    }
    char name[64];
    camel(field, name, sizeof(name));
    return throw_option(env, code, name, bounds);
}
