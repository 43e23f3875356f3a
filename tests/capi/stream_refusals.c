/* Streams that are refused, their options, and NULL. */

#include "check.h"

#include <stdlib.h>
#include <string.h>

static fanfare_stream *subscribe(const fanfare_hub *hub, const char *topic,
                                 const fanfare_stream_options *options)
{
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_stream *stream = NULL;

    topics[0] = fanfare_text_of_string(topic);
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, options, &stream), FANFARE_OK);
    CHECK(stream != NULL);
    return stream;
}

static void refused(void)
{
    static const struct {
        const char *topic;
        fanfare_status status;
    } wrong[] = {
        {"", FANFARE_ERR_SUBSCRIPTION},
        {"a\nb", FANFARE_ERR_SUBSCRIPTION},
        {"#/a", FANFARE_ERR_SUBSCRIPTION},
        {"a+", FANFARE_ERR_SUBSCRIPTION},
        {"\xff", FANFARE_ERR_SUBSCRIPTION},
    };
    fanfare_hub *hub = hub_new(), *full = NULL;
    fanfare_options few = options_new();
    fanfare_stream *const untouched = (fanfare_stream *)(void *)hub;
    fanfare_stream *stream = untouched, *taken;
    fanfare_text topics[1], *many = calloc(65537, sizeof *many);
    char long_topic[257];
    size_t i;

    CHECK(many != NULL);
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        topics[0] = fanfare_text_of_string(wrong[i].topic);
        CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, NULL, &stream), wrong[i].status);
    }
    memset(long_topic, 't', sizeof long_topic);
    topics[0] = fanfare_text_of(long_topic, sizeof long_topic);
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, NULL, &stream), FANFARE_ERR_SUBSCRIPTION);
    topics[0] = fanfare_text_of(NULL, 0);
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, NULL, &stream), FANFARE_ERR_SUBSCRIPTION);
    topics[0] = fanfare_text_of(NULL, 1);
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, NULL, &stream), FANFARE_ERR_ARGUMENT);
    topics[0] = FANFARE_TEXT("t");
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 0, NULL, &stream), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(fanfare_hub_subscribe(hub, NULL, 0, NULL, &stream), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(fanfare_hub_subscribe(hub, NULL, 1, NULL, &stream), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, SIZE_MAX, NULL, &stream), FANFARE_ERR_TOO_MANY);
    CHECK_EQ(fanfare_hub_subscribe(NULL, topics, 1, NULL, &stream), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, NULL, NULL), FANFARE_ERR_ARGUMENT);
    for (i = 0; i < 65537; i++) {
        many[i] = FANFARE_TEXT("t");
    }
    CHECK_EQ(fanfare_hub_subscribe(hub, many, 65537, NULL, &stream), FANFARE_ERR_TOO_MANY);
    CHECK(stream == untouched);
    CHECK_EQ(fanfare_hub_subscribe(hub, many, 65536, NULL, &stream), FANFARE_OK);
    fanfare_stream_free(stream);

    few.connections_max = 1;
    CHECK_EQ(fanfare_hub_new(&few, &full), FANFARE_OK);
    taken = subscribe(full, "t", NULL);
    stream = untouched;
    CHECK_EQ(fanfare_hub_subscribe(full, topics, 1, NULL, &stream), FANFARE_ERR_LIMIT);
    CHECK(stream == untouched);
    fanfare_stream_free(taken);
    fanfare_hub_free(full);
    fanfare_hub_free(hub);
    free(many);
}

typedef struct {
    fanfare_stream_options options;
    unsigned char later[32];
} grown_options;

static void expect_wrong(const fanfare_hub *hub, const fanfare_stream_options *options,
                         const char *name)
{
    fanfare_text topics[1], problem, bounds;
    fanfare_stream *stream = NULL;

    topics[0] = FANFARE_TEXT("t");
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, options, &stream), FANFARE_ERR_OPTIONS);
    CHECK(stream == NULL);
    CHECK_EQ(fanfare_stream_options_problem(options, &problem, &bounds), FANFARE_OK);
    CHECK(text_is(problem, name) && bounds.length > 0);
}

static void wrong_options(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_stream_options options, helped = fanfare_stream_options_defaults();
    grown_options grown;
    fanfare_text name = FANFARE_TEXT("x"), bounds = FANFARE_TEXT("x");
    fanfare_stream *stream;
    char tag[257];
    size_t i;

    memset(tag, 't', sizeof tag);
#define WRONG(field, value) \
    do { \
        options = fanfare_stream_options_defaults(); \
        options.field = value; \
        expect_wrong(hub, &options, #field); \
    } while (0)
    WRONG(last_event_id, FANFARE_TEXT("\xff"));
    WRONG(tag, FANFARE_TEXT(""));
    WRONG(tag, FANFARE_TEXT("a\nb"));
    WRONG(tag, fanfare_text_of(tag, sizeof tag));
    WRONG(addr, FANFARE_TEXT("localhost"));
    WRONG(addr, FANFARE_TEXT(""));
    WRONG(start, 5);
    WRONG(gap_start, 5);
    WRONG(policy, 4);
    WRONG(heartbeat_form, 4);
    WRONG(envelope, 3);
    WRONG(reserved, 1);
    WRONG(queue_bytes_max, (16 << 20) + 1);
    WRONG(queue_bytes_max, UINT64_MAX);
#undef WRONG
    memset(&options, 0xff, sizeof options);
    options.size = sizeof options;
    CHECK_EQ(fanfare_stream_options_init(&options), FANFARE_OK);
    CHECK(memcmp(&options, &helped, sizeof options) == 0);
    CHECK_EQ(fanfare_stream_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL && bounds.data == NULL);
    CHECK_EQ(fanfare_stream_options_init(NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_options_problem(&options, NULL, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_options_problem(&options, &name, NULL), FANFARE_ERR_ARGUMENT);
    for (i = 0; i < sizeof options; i++) {
        options.size = i;
        CHECK_EQ(fanfare_stream_options_init(&options), FANFARE_ERR_ARGUMENT);
        CHECK_EQ(fanfare_stream_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    }
    memset(&grown, 0, sizeof grown);
    grown.options.size = sizeof grown;
    stream = subscribe(hub, "t", &grown.options);
    fanfare_stream_free(stream);
    for (i = 0; i < sizeof grown.later; i++) {
        grown.later[i] = 1;
        expect_wrong(hub, &grown.options, "size");
        grown.later[i] = 0;
    }
    fanfare_hub_free(hub);
}

static void null_arguments(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_stream *stream = subscribe(hub, "t", NULL);
    fanfare_text batch = {NULL, 0};
    fanfare_disconnect_reason reason = 77;
    const fanfare_header *headers = NULL;
    size_t count = 0, i;
    uint32_t flag = 77;
    int unguessed = 0;

    CHECK_EQ(fanfare_stream_next(NULL, 0, &batch), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_next(stream, 0, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_end(NULL, &reason, &flag), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_end(stream, NULL, &flag), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_is_complete(NULL, &flag), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_is_complete(stream, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_headers(NULL, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_headers(&headers, NULL), FANFARE_ERR_ARGUMENT);
    CHECK(reason == 77 && flag == 77 && headers == NULL && count == 0);
    CHECK_EQ(fanfare_stream_headers(&headers, &count), FANFARE_OK);
    CHECK_EQ(count, 4);
    CHECK(text_is(headers[0].name, "content-type"));
    CHECK(text_is(headers[0].value, "text/event-stream"));
    for (i = 0; i < count; i++) {
        CHECK(headers[i].name.length > 0 && headers[i].value.length > 0);
        if (text_is(headers[i].name, "x-content-type-options")) {
            unguessed = text_is(headers[i].value, "nosniff");
        }
    }
    CHECK(unguessed);
    fanfare_stream_free(stream);
    fanfare_hub_free(hub);
}

const test tests_of_stream_refusals[] = {
    {"what cannot be subscribed to is refused, and there is no stream", refused},
    {"an option of a stream that is wrong is refused and named", wrong_options},
    {"functions of a stream refuse NULL, and its header fields are static", null_arguments},
    {NULL, NULL},
};
