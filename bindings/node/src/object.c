/* What JavaScript holds of the library: externals with a type tag, so that the external of another
 * addon, or one of another kind, is an error and nothing worse.
 *
 * An object is there until its external is collected and no job or function uses it. Finalizers
 * never block: a hub that was not closed is freed on a thread of its own.
 */

#include "addon.h"

#include <pthread.h>
#include <time.h>

static napi_type_tag tag_of(object_kind kind) {
    return (napi_type_tag){0x66616e666172652eULL, 0x9d3c51e07ab24400ULL + (uint64_t)kind};
}

static const char *const NAMES[] = {
    [OBJECT_HUB] = "Hub",
    [OBJECT_TOPIC] = "Topic",
    [OBJECT_STREAM] = "Stream",
    [OBJECT_AUTHORIZER] = "Authorizer",
    [OBJECT_FALLBACK] = "Fallback",
    [OBJECT_TOKENS] = "Tokens",
    [OBJECT_TICKETS] = "Tickets",
    [OBJECT_SIGNING_KEY] = "SigningKey",
    [OBJECT_GRANTED] = "Granted",
};

/* Whether a hub has no threads any more, so that to free it does not block. */
static bool has_ended(const fanfare_hub *hub) {
    fanfare_metrics metrics = fanfare_metrics_empty();
    return fanfare_hub_metrics(hub, &metrics) != FANFARE_OK || metrics.living_shards == 0;
}

static void *free_hub(void *native) {
    fanfare_hub_free(native);
    return NULL;
}

static void free_hub_elsewhere(void *native) {
    pthread_t thread;
    pthread_attr_t attributes;
    bool has_started = false;
    if (pthread_attr_init(&attributes) == 0) {
        has_started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                      pthread_create(&thread, &attributes, free_hub, native) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (!has_started) {
        /* Without threads the hub has none either that could be waited for for long. */
        fanfare_hub_free(native);
    }
}

static void free_native(object *given) {
    void *native = given->native;
    given->native = NULL;
    switch (given->kind) {
    case OBJECT_HUB:
        if (has_ended(native)) {
            fanfare_hub_free(native);
        } else {
            free_hub_elsewhere(native);
        }
        break;
    case OBJECT_TOPIC: fanfare_topic_free(native); break;
    case OBJECT_STREAM: fanfare_stream_free(native); break;
    case OBJECT_AUTHORIZER: fanfare_authorizer_free(native); break;
    case OBJECT_FALLBACK: fanfare_fallback_free(native); break;
    case OBJECT_TOKENS: fanfare_tokens_free(native); break;
    case OBJECT_TICKETS: fanfare_tickets_free(native); break;
    case OBJECT_SIGNING_KEY: fanfare_signing_key_free(native); break;
    case OBJECT_GRANTED: fanfare_granted_free(native); break;
    }
}

object *object_keep(object *given) {
    given->refs += 1;
    return given;
}

void object_drop(object *given) {
    given->refs -= 1;
    if (given->refs > 0) {
        return;
    }
    if (given->next) {
        given->next->previous = given->previous;
        given->previous->next = given->next;
    }
    free_native(given);
    free(given);
}

void object_close(object *given) {
    given->closing = true;
    free_native(given);
}

static void finalize(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    object_drop(data);
}

napi_value object_make(napi_env env, object_kind kind, void *native) {
    napi_value external;
    object *made = calloc(1, sizeof(*made));
    if (!made) {
        object lost = {.kind = kind, .native = native};
        free_native(&lost);
        return throw_code(env, FANFARE_ERR_SYSTEM);
    }
    made->kind = kind;
    made->refs = 1;
    made->native = native;
    if (kind == OBJECT_HUB) {
        /* A ring, with the instance's own object. */
        object *hubs = &instance_of(env)->hubs;
        made->next = hubs->next;
        made->previous = hubs;
        hubs->next->previous = made;
        hubs->next = made;
    }
    if (napi_create_external(env, made, finalize, NULL, &external) != napi_ok) {
        object_drop(made);
        return throw_last(env);
    }
    napi_type_tag tag = tag_of(kind);
    CHECK(env, napi_type_tag_object(env, external, &tag));
    return external;
}

object *object_of(napi_env env, napi_value value, object_kind kind) {
    napi_type_tag tag = tag_of(kind);
    napi_valuetype type;
    bool is_tagged = false;
    void *data = NULL;
    CHECK(env, napi_typeof(env, value, &type));
    if (type == napi_external) {
        CHECK(env, napi_check_object_type_tag(env, value, &tag, &is_tagged));
    }
    if (!is_tagged) {
        throw_type(env, "this is no %s of fanfare", NAMES[kind]);
        return NULL;
    }
    CHECK(env, napi_get_value_external(env, value, &data));
    return data;
}

object *object_open(napi_env env, napi_value value, object_kind kind) {
    object *given = object_of(env, value, kind);
    if (given && given->closing) {
        throw_code(env, kind == OBJECT_STREAM ? FANFARE_ERR_ENDED : FANFARE_ERR_CLOSED);
        return NULL;
    }
    return given;
}

fanfare_hub *hub_of(napi_env env, napi_value value) {
    object *hub = object_open(env, value, OBJECT_HUB);
    return hub ? hub->native : NULL;
}

/* Closes a hub, and waits also when another thread closes it: the library does not, and the program
 * that exits then has not waited for the promise. */
static void *close_hub(void *data) {
    enum { WAIT_MS_MAX = 3000 }; /* More than a close takes. */
    const struct timespec moment = {.tv_nsec = 1000000};
    const object *hub = data;
    fanfare_hub_close(hub->native);
    for (int ms = 0; ms < WAIT_MS_MAX && !has_ended(hub->native); ms++) {
        nanosleep(&moment, NULL);
    }
    return NULL;
}

/* At once, so that it takes about as long as one alone. */
void hubs_close(object *hubs) {
    enum { AT_ONCE = 64 };
    pthread_t threads[AT_ONCE];
    size_t count = 0;
    for (object *hub = hubs->next; hub != hubs; hub = hub->next) {
        hub->closing = true;
        if (has_ended(hub->native)) {
            continue;
        }
        if (count < AT_ONCE && pthread_create(&threads[count], NULL, close_hub, hub) == 0) {
            count += 1;
        } else {
            close_hub(hub);
        }
    }
    while (count > 0) {
        count -= 1;
        pthread_join(threads[count], NULL);
    }
    while (hubs->next != hubs) {
        object *hub = hubs->next;
        hubs->next = hub->next;
        hub->next = hub->previous = NULL;
    }
}
