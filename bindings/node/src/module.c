/* The module: one instance for each thread of JavaScript that loads it, with its hubs and its
 * doorbell. They end with the thread, also when that is terminated.
 */

#include "addon.h"

instance *instance_of(napi_env env) {
    void *data = NULL;
    napi_get_instance_data(env, &data);
    return data;
}

/* What was not closed is closed before JavaScript is gone, which takes at most as long as a close. */
static void end_hook(void *data) {
    hubs_close(&((instance *)data)->hubs);
}

static void instance_free(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    free(data);
}

static instance *instance_new(napi_env env) {
    instance *made = calloc(1, sizeof(*made));
    if (!made) {
        throw_code(env, FANFARE_ERR_SYSTEM);
        return NULL;
    }
    made->hubs.next = made->hubs.previous = &made->hubs;
    if (napi_set_instance_data(env, made, instance_free, NULL) != napi_ok) {
        free(made);
        throw_last(env);
        return NULL;
    }
    CHECK(env, napi_add_env_cleanup_hook(env, end_hook, made));
    return made;
}

static bool export_all(napi_env env, napi_value exports, const export *functions) {
    for (; functions->name; functions++) {
        napi_value function;
        TRY(env, napi_create_function(env, functions->name, NAPI_AUTO_LENGTH, functions->call, NULL,
                                      &function));
        TRY(env, napi_set_named_property(env, exports, functions->name, function));
    }
    return true;
}

NAPI_MODULE_INIT() {
    static const export *const SUBJECTS[] = {
        HUB_EXPORTS,  PUBLISH_EXPORTS,   LISTEN_EXPORTS, STREAM_EXPORTS, BELL_EXPORTS,
        AUTHORIZE_EXPORTS, TOKEN_EXPORTS, ADMIN_EXPORTS,  COUNT_EXPORTS,
    };
    if (fanfare_abi_version() != FANFARE_ABI_VERSION) {
        napi_throw_error(env, NULL, "fanfare's addon was built with the header of another version");
        return NULL;
    }
    if (!instance_new(env)) {
        return NULL;
    }
    for (size_t i = 0; i < COUNT_OF(SUBJECTS); i++) {
        if (!export_all(env, exports, SUBJECTS[i])) {
            return NULL;
        }
    }
    return exports;
}
