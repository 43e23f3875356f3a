/* Publishing and finishing.
 *
 * The functions by which one event is published to one topic have their hub, and their topic's
 * handle, as their own data, so that a call reads nothing but the event. No code of the program's
 * runs within it: lib/ passes strings, numbers and arrays of Uint8 alone. So data is lent there, and
 * the library, which reads each byte once, makes the copy that it checks.
 */

#include "addon.h"

/* What an event has beside its data, in the order in which lib/ passes it. */
enum { NAME, ID, KEY, COMMENT, RETRY_MS, WINDOW_MS, FIELDS };
static const char *const FIELD_NAMES[] = {"name", "id", "key", "comment", "retryMs", "windowMs"};

/* Data of this many bytes needs no memory but the stack's. */
#define SMALL 2048

typedef struct {
    object *hub;
    object *topic; /* NULL: the first argument is the topic's name. */
} publisher;

static bool time_read(napi_env env, napi_value value, const char *what, double max, uint64_t *out) {
    bool absent = false, is_whole = false;
    if (!is_absent(env, value, &absent)) {
        return false;
    }
    if (absent) {
        return true;
    }
    if (!number_read(env, value, what, max, &is_whole, out)) {
        return false;
    }
    if (!is_whole) {
        throw_code(env, FANFARE_ERR_EVENT);
    }
    return is_whole;
}

/* Reads what an event has beside its data. */
static bool fields_read(napi_env env, memory *memory, const napi_value *values,
                        fanfare_event *event) {
    fanfare_text *const texts[] = {&event->name, &event->id, &event->key, &event->comment};
    uint64_t retry_ms = 0;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (!text_read(env, memory, values[i], FIELD_NAMES[i], false, texts[i])) {
            return false;
        }
    }
    if (!time_read(env, values[RETRY_MS], FIELD_NAMES[RETRY_MS], UINT32_MAX, &retry_ms) ||
        !time_read(env, values[WINDOW_MS], FIELD_NAMES[WINDOW_MS], SAFE_INTEGER_MAX,
                   &event->window_ms)) {
        return false;
    }
    event->retry_ms = (uint32_t)retry_ms;
    return true;
}

/* Lends the data of a string, by way of `small`, or of a Uint8Array. */
static bool data_lend(napi_env env, memory *memory, napi_value value, char *small,
                      fanfare_text *out) {
    napi_typedarray_type kind;
    void *bytes = NULL;
    size_t length = 0;
    napi_status status = napi_get_value_string_utf8(env, value, small, SMALL, &length);
    if (status == napi_ok && length < SMALL - 4) {
        *out = fanfare_text_of(small, length);
        return true;
    }
    if (status == napi_string_expected &&
        napi_get_typedarray_info(env, value, &kind, &length, &bytes, NULL, NULL) == napi_ok &&
        kind == napi_uint8_array) {
        /* Empty data is data, too, and must not be NULL. */
        *out = fanfare_text_of(length > 0 ? bytes : "", length);
        return true;
    }
    return text_read(env, memory, value, "data", true, out);
}

/* (data, name, id, key, comment, retryMs, windowMs) -> id, with the topic's name before them unless
 * the function is that of a handle. */
static napi_value publish(napi_env env, napi_callback_info info) {
    napi_value args[2 + FIELDS];
    size_t argc = COUNT_OF(args);
    void *data = NULL;
    memory memory;
    char small[SMALL];
    fanfare_event_id id = {.length = 0};
    fanfare_text name = {NULL, 0};
    CHECK(env, napi_get_cb_info(env, info, &argc, args, NULL, &data));
    const publisher *given = data;
    size_t first = given->topic ? 0 : 1;
    if (given->hub->closing) {
        return throw_code(env, FANFARE_ERR_CLOSED);
    }

    memory_init(&memory);
    fanfare_event event = {.size = sizeof(event)};
    bool read = (given->topic || required_read(env, &memory, args[0], "topic", &name)) &&
                data_lend(env, &memory, args[first], small, &event.data) &&
                (argc <= first + 1 || fields_read(env, &memory, args + first + 1, &event));
    if (read) {
        fanfare_status code =
            given->topic ? fanfare_hub_publish_to(given->hub->native, given->topic->native, &event, &id)
                         : fanfare_hub_publish(given->hub->native, name, &event, &id);
        if (code != FANFARE_OK) {
            throw_code(env, code);
            read = false;
        }
    }
    memory_free(&memory);
    return read ? id_value(env, &id) : NULL;
}

static void publisher_free(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    publisher *given = data;
    object_drop(given->hub);
    if (given->topic) {
        object_drop(given->topic);
    }
    free(given);
}

static napi_value publisher_make(napi_env env, object *hub, object *topic) {
    napi_value function;
    publisher *made = calloc(1, sizeof(*made));
    if (!made) {
        return throw_code(env, FANFARE_ERR_SYSTEM);
    }
    made->hub = object_keep(hub);
    made->topic = topic ? object_keep(topic) : NULL;
    napi_status status =
        napi_create_function(env, "publish", NAPI_AUTO_LENGTH, publish, made, &function);
    if (status == napi_ok) {
        status = napi_add_finalizer(env, function, made, publisher_free, NULL, NULL);
    }
    if (status != napi_ok) {
        publisher_free(env, made, NULL);
        return throw_last(env);
    }
    return function;
}

/* publisher(hub) -> publish; publisher(hub, topic) -> publish of the handle */
static napi_value publisher_of(napi_env env, napi_callback_info info) {
    napi_value args[2];
    bool absent = false;
    if (!args_of(env, info, COUNT_OF(args), args) || !is_absent(env, args[1], &absent)) {
        return NULL;
    }
    object *hub = object_of(env, args[0], OBJECT_HUB);
    object *topic = NULL;
    if (!hub || (!absent && !(topic = object_of(env, args[1], OBJECT_TOPIC)))) {
        return NULL;
    }
    return publisher_make(env, hub, topic);
}

/* topic(name) -> handle */
static napi_value topic_new(napi_env env, napi_callback_info info) {
    napi_value args[1], result = NULL;
    memory memory;
    fanfare_text name;
    fanfare_topic *topic = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    memory_init(&memory);
    if (required_read(env, &memory, args[0], "topic", &name)) {
        fanfare_status code = fanfare_topic_new(name, &topic);
        result = code == FANFARE_OK ? object_make(env, OBJECT_TOPIC, topic) : throw_code(env, code);
    }
    memory_free(&memory);
    return result;
}

/* Reads names of topics, and handles of them, of an array. */
static bool topics_read(napi_env env, memory *memory, napi_value array, fanfare_publication *out) {
    uint32_t length = 0;
    TRY(env, napi_get_array_length(env, array, &length));
    fanfare_text *names = memory_take(env, memory, ((size_t)length + 1) * sizeof(*names));
    const fanfare_topic **handles =
        names ? memory_take(env, memory, ((size_t)length + 1) * sizeof(*handles)) : NULL;
    if (!handles) {
        return false;
    }
    out->topics = names;
    out->handles = handles;
    for (uint32_t i = 0; i < length; i++) {
        napi_value topic;
        napi_valuetype type;
        TRY(env, napi_get_element(env, array, i, &topic));
        TRY(env, napi_typeof(env, topic, &type));
        if (type != napi_external) {
            if (!required_read(env, memory, topic, "topic", &names[out->topics_count++])) {
                return false;
            }
            continue;
        }
        object *handle = object_of(env, topic, OBJECT_TOPIC);
        if (!handle) {
            return false;
        }
        handles[out->handles_count++] = handle->native;
    }
    return true;
}

/* Reads an array [topics, data, name, id, key, comment, retryMs, windowMs]. */
static bool publication_read(napi_env env, memory *memory, napi_value array,
                             fanfare_publication *out) {
    napi_value values[2 + FIELDS];
    for (uint32_t i = 0; i < COUNT_OF(values); i++) {
        TRY(env, napi_get_element(env, array, i, &values[i]));
    }
    fanfare_event *event = memory_take(env, memory, sizeof(*event));
    if (!event) {
        return false;
    }
    event->size = sizeof(*event);
    out->event = event;
    return topics_read(env, memory, values[0], out) &&
           text_read(env, memory, values[1], "data", true, &event->data) &&
           fields_read(env, memory, values + 2, event);
}

/* Returns {ids, error}. */
static napi_value many_value(napi_env env, const fanfare_event_id *ids, size_t count,
                             fanfare_status code) {
    napi_value result, array;
    CHECK(env, napi_create_object(env, &result));
    CHECK(env, napi_create_array_with_length(env, count, &array));
    for (size_t i = 0; i < count; i++) {
        napi_value id = id_value(env, &ids[i]);
        if (!id) {
            return NULL;
        }
        CHECK(env, napi_set_element(env, array, (uint32_t)i, id));
    }
    if (!set_value(env, result, "ids", array) ||
        (code != FANFARE_OK && !set_value(env, result, "error", error_of(env, code, NULL)))) {
        return NULL;
    }
    return result;
}

static napi_value many(napi_env env, memory *memory, fanfare_hub *hub, napi_value array) {
    uint32_t length = 0;
    size_t published = 0;
    CHECK(env, napi_get_array_length(env, array, &length));
    fanfare_publication *publications =
        memory_take(env, memory, ((size_t)length + 1) * sizeof(*publications));
    fanfare_event_id *ids =
        publications ? memory_take(env, memory, ((size_t)length + 1) * sizeof(*ids)) : NULL;
    if (!ids) {
        return NULL;
    }
    for (uint32_t i = 0; i < length; i++) {
        napi_value publication;
        CHECK(env, napi_get_element(env, array, i, &publication));
        if (!publication_read(env, memory, publication, &publications[i])) {
            return NULL;
        }
    }
    fanfare_status code = fanfare_hub_publish_many(hub, publications, length, 0, ids, &published);
    return many_value(env, ids, published, code);
}

/* publishMany(hub, publications) -> {ids, error}; publications are as of publication_read. */
static napi_value publish_many(napi_env env, napi_callback_info info) {
    napi_value args[2];
    memory memory;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub) {
        return NULL;
    }
    memory_init(&memory);
    napi_value result = many(env, &memory, hub, args[1]);
    memory_free(&memory);
    return result;
}

/* finish(hub, publication, has a last event) -> id. The publication has one topic. */
static napi_value hub_finish(napi_env env, napi_callback_info info) {
    napi_value args[3], result = NULL;
    memory memory;
    uint64_t has_last = 0;
    fanfare_event_id id = {.length = 0};
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !flag_read(env, args[2], "last", &has_last)) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_publication publication = {.topics = NULL};
    if (publication_read(env, &memory, args[1], &publication)) {
        const fanfare_event *last = has_last ? publication.event : NULL;
        fanfare_status code =
            publication.handles_count > 0
                ? fanfare_hub_finish_topic(hub, publication.handles[0], last, 0, &id)
                : fanfare_hub_finish(hub, publication.topics[0], last, 0, &id);
        result = code == FANFARE_OK ? id_value(env, &id) : throw_code(env, code);
    }
    memory_free(&memory);
    return result;
}

/* notifySpace(hub, token, topics, windowMs): a notice with the token once there is space in all of the
 * topics, which are as of topics_read, and in the hub. */
static napi_value notify_space(napi_env env, napi_callback_info info) {
    napi_value args[4];
    memory memory;
    uint64_t token = 0;
    bool is_whole = false;
    fanfare_notices *notices = notices_of(env);
    if (!notices || !args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub || !number_read(env, args[1], "token", SAFE_INTEGER_MAX, &is_whole, &token)) {
        return NULL;
    }
    memory_init(&memory);
    /* Of the event only whether it is spread over a time matters. */
    fanfare_event event = fanfare_event_of(FANFARE_TEXT(""));
    fanfare_publication publication = {.event = &event};
    if (topics_read(env, &memory, args[2], &publication) &&
        time_read(env, args[3], FIELD_NAMES[WINDOW_MS], SAFE_INTEGER_MAX, &event.window_ms)) {
        fanfare_status code = fanfare_hub_notify_space(hub, notices, token, &publication);
        if (code != FANFARE_OK) {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return NULL;
}

const export PUBLISH_EXPORTS[] = {
    {"publisher", publisher_of},
    {"topic", topic_new},
    {"publishMany", publish_many},
    {"finish", hub_finish},
    {"notifySpace", notify_space},
    {NULL, NULL},
};
