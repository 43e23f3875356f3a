/* The module: one instance for each thread of JavaScript that loads it, with its hubs and its
 * doorbell. They end with the thread, also when that is terminated.
 */

#include "addon.h"

instance *instance_of(napi_env env) {
    void *data = NULL;
    napi_get_instance_data(env, &data);
    return data;
}

/* The instances that have not ended, for the end of the process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static instance *instances;

/* process.exit calls no hook of the main thread's, but ends the process. No JavaScript runs any more:
 * what was published is sent now. Instances of other threads are theirs. */
static void at_exit(void) {
    pthread_mutex_lock(&lock);
    for (instance *each = instances; each; each = each->next) {
        if (pthread_equal(each->thread, pthread_self())) {
            hubs_close(&each->hubs);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void watch_exit(void) {
    atexit(at_exit);
}

static void remember(instance *made) {
    pthread_once(&once, watch_exit);
    pthread_mutex_lock(&lock);
    made->thread = pthread_self();
    made->next = instances;
    instances = made;
    pthread_mutex_unlock(&lock);
}

static void forget(instance *ended) {
    pthread_mutex_lock(&lock);
    for (instance **at = &instances; *at; at = &(*at)->next) {
        if (*at == ended) {
            *at = ended->next;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* What was not closed is closed before JavaScript is gone, which takes at most as long as a close. */
static void end_hook(void *data) {
    instance *ended = data;
    forget(ended);
    hubs_close(&ended->hubs);
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
    remember(made);
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
