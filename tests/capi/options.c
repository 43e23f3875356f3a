/* Defaults, bounds, and what is said of an option that is out of them. */

#include "check.h"
#include "client.h"
#include "document.h"

#include <string.h>

static int is_text(fanfare_text text, const char *expected)
{
    return text.length == strlen(expected) && memcmp(text.data, expected, text.length) == 0;
}

/* The size that the struct had in the first version. */
#define SIZE_MIN offsetof(fanfare_options, heartbeat_form)

#define FIELD(name) {#name, offsetof(fanfare_options, name)}

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    FIELD(shards),
    FIELD(heartbeat_ms),
    FIELD(retry_ms),
    FIELD(event_bytes_max),
    FIELD(batch_bytes_max),
    FIELD(topic_backlog_bytes_max),
    FIELD(backlog_bytes_max),
    FIELD(history_events_max),
    FIELD(history_bytes_max),
    FIELD(history_age_max_ms),
    FIELD(history_total_bytes_max),
    FIELD(lag_bytes_max),
    FIELD(lag_age_max_ms),
    FIELD(lag_grace_ms),
    FIELD(lag_grace_percent),
    FIELD(lag_total_bytes_max),
    FIELD(stall_time_max_ms),
    FIELD(connections_max),
    FIELD(connections_per_address_max),
    FIELD(subscriptions_max),
    FIELD(subscriptions_per_address_max),
    FIELD(connection_age_max_ms),
    FIELD(finished_age_max_ms),
    FIELD(sync_interval_ms),
    FIELD(journal_backlog_bytes_max),
    FIELD(cluster_stream_events_max),
    FIELD(cluster_stream_bytes_max),
    FIELD(cluster_backlog_bytes_max),
};

/* How many of these the first version had. */
#define FIRST_COUNT 23

/* Each number is an option of the document, but the size and any_host, and each of those a field. */
static void defaults(void)
{
    static const size_t count = sizeof fields / sizeof fields[0];
    fanfare_options options, helped = fanfare_options_defaults();
    size_t i;

    memset(&options, 0xff, sizeof options);
    options.size = sizeof options;
    CHECK_EQ(fanfare_options_init(&options), FANFARE_OK);
    CHECK_EQ(options.size, sizeof options);
    CHECK_EQ(document_count(), count);
    CHECK_EQ(SIZE_MIN, sizeof options.size + (FIRST_COUNT + 1) * sizeof(uint64_t));
    CHECK_EQ(sizeof options, SIZE_MIN + 4 * sizeof(uint32_t) + 5 * sizeof(fanfare_text) +
                                 (count - FIRST_COUNT) * sizeof(uint64_t));
    for (i = 0; i < count; i++) {
        uint64_t value;

        memcpy(&value, (const char *)&options + fields[i].offset, sizeof value);
        if (strcmp(fields[i].name, "shards") == 0) {
            CHECK(value >= 1 && value <= 256);
        } else if (value != document_default(fields[i].name)) {
            check_failed("docs/options.md", 0, fields[i].name);
        }
    }
    CHECK_EQ(options.any_host, 0);
    CHECK_EQ(options.heartbeat_form, 0);
    CHECK_EQ(options.policy, 0);
    CHECK(options.gap_event.data == NULL && options.gap_event.length == 0);
    CHECK(options.cluster_url.data == NULL && options.cluster_url.length == 0);
    CHECK(options.cluster_prefix.data == NULL && options.cluster_ca_file.data == NULL);
    CHECK(memcmp(&options, &helped, sizeof options) == 0);
}

static void too_small(void)
{
    static const size_t sizes[] = {0, 1, sizeof(size_t), SIZE_MIN - 1};
    fanfare_options options, before;
    fanfare_hub *const untouched = (fanfare_hub *)(void *)&options;
    fanfare_hub *hub = untouched;
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(&options, 0x5a, sizeof options);
        options.size = sizes[i];
        before = options;
        CHECK_EQ(fanfare_options_init(&options), FANFARE_ERR_ARGUMENT);
        CHECK(memcmp(&options, &before, sizeof options) == 0);
        CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_ARGUMENT);
        CHECK(hub == untouched);
    }
}

/* As a program built with a later header, with more options, sees this library. */
typedef struct {
    fanfare_options options;
    unsigned char later[64];
} grown_options;

static void larger(void)
{
    grown_options grown;
    fanfare_hub *hub = NULL;
    size_t i;

    memset(&grown, 0xa5, sizeof grown);
    grown.options.size = sizeof grown;
    CHECK_EQ(fanfare_options_init(&grown.options), FANFARE_OK);
    CHECK_EQ(grown.options.size, sizeof grown);
    CHECK_EQ(grown.options.heartbeat_ms, 15000);
    for (i = 0; i < sizeof grown.later; i++) {
        CHECK_EQ(grown.later[i], 0);
    }
    CHECK_EQ(fanfare_hub_new(&grown.options, &hub), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void larger_and_set(void)
{
    grown_options grown;
    fanfare_hub *const untouched = (fanfare_hub *)(void *)&grown;
    fanfare_hub *hub = untouched;
    fanfare_text name, bounds;
    size_t i;

    grown.options.size = sizeof grown;
    CHECK_EQ(fanfare_options_init(&grown.options), FANFARE_OK);
    for (i = 0; i < sizeof grown.later; i++) {
        grown.later[i] = 1;
        CHECK_EQ(fanfare_hub_new(&grown.options, &hub), FANFARE_ERR_OPTIONS);
        CHECK(hub == untouched);
        CHECK_EQ(fanfare_options_problem(&grown.options, &name, &bounds), FANFARE_OK);
        CHECK(is_text(name, "size"));
        grown.later[i] = 0;
    }
    /* Behind what the struct says it has, nothing is looked at. */
    grown.options.size = sizeof grown - 1;
    grown.later[sizeof grown.later - 1] = 1;
    CHECK_EQ(fanfare_hub_new(&grown.options, &hub), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void much_too_large(void)
{
    static unsigned char bytes[8192];
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;

    memset(bytes, 0, sizeof bytes);
    options.size = 4096;
    memcpy(bytes, &options, sizeof options);
    CHECK_EQ(fanfare_hub_new((const fanfare_options *)(void *)bytes, &hub), FANFARE_OK);
    fanfare_hub_free(hub);
    options.size = 4097;
    memcpy(bytes, &options, sizeof options);
    CHECK_EQ(fanfare_hub_new((const fanfare_options *)(void *)bytes, &hub), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_options_init((fanfare_options *)(void *)bytes), FANFARE_ERR_ARGUMENT);
    /* One that was never set. */
    options.size = SIZE_MAX;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_options_init(&options), FANFARE_ERR_ARGUMENT);
}

static void null_options(void)
{
    fanfare_hub *hub = NULL;

    CHECK_EQ(fanfare_options_init(NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_new(NULL, &hub), FANFARE_OK);
    fanfare_hub_free(hub);
}

#define OPTION(name, value) OPTION_BY(name, value, name)
/* One that is out of the bounds that another option gives it, by which it is refused. */
#define OPTION_BY(name, value, refused_as) \
    {offsetof(fanfare_options, name), sizeof ((fanfare_options *)0)->name, value, #refused_as}

typedef struct {
    size_t offset, bytes;
    uint64_t value;
    const char *name;
} setting;

static const uint64_t day_ms = 24 * 60 * 60 * 1000;

static fanfare_options options_with(const setting *setting)
{
    fanfare_options options = options_new();

    const uint32_t narrow = (uint32_t)setting->value;
    const void *value = setting->bytes == sizeof narrow ? (const void *)&narrow : &setting->value;

    memcpy((char *)&options + setting->offset, value, setting->bytes);
    return options;
}

static void out_of_bounds(void)
{
    const setting beyond[] = {
        OPTION(shards, 0),
        OPTION(shards, 257),
        OPTION(shards, UINT64_MAX),
        OPTION(heartbeat_ms, 99),
        OPTION(heartbeat_ms, day_ms + 1),
        OPTION(heartbeat_ms, UINT64_MAX),
        OPTION(retry_ms, day_ms + 1),
        OPTION(event_bytes_max, (64 << 20) + 1),
        OPTION(batch_bytes_max, 0),
        OPTION(batch_bytes_max, (16 << 20) + 1),
        OPTION(topic_backlog_bytes_max, 0),
        OPTION(backlog_bytes_max, 0),
        OPTION(history_age_max_ms, 7 * day_ms + 1),
        OPTION_BY(lag_grace_ms, 30001, lag_age_max_ms),
        OPTION(lag_age_max_ms, 999),
        OPTION(lag_total_bytes_max, 0),
        OPTION(lag_grace_percent, 101),
        OPTION(lag_grace_percent, 256),
        OPTION(lag_grace_percent, 256 + 5),
        OPTION(lag_grace_percent, UINT64_MAX),
        OPTION(stall_time_max_ms, 99),
        OPTION(stall_time_max_ms, day_ms + 1),
        OPTION(connections_max, 0),
        OPTION(connections_max, 10000001),
        OPTION(subscriptions_max, 0),
        OPTION(subscriptions_max, 100000001),
        OPTION(connection_age_max_ms, 999),
        OPTION(connection_age_max_ms, 30 * day_ms + 1),
        OPTION(finished_age_max_ms, 7 * day_ms + 1),
        OPTION(cluster_stream_events_max, 999),
        OPTION(cluster_stream_events_max, 1000000001),
        OPTION(cluster_stream_bytes_max, (1 << 20) - 1),
        OPTION(cluster_backlog_bytes_max, (64 << 10) - 1),
        OPTION(any_host, 2),
        OPTION(any_host, UINT32_MAX),
        OPTION(reserved, 1),
    };
    size_t i;

    for (i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        fanfare_options options = options_with(&beyond[i]);
        fanfare_hub *const untouched = (fanfare_hub *)(void *)&options;
        fanfare_hub *hub = untouched;
        fanfare_text name, bounds;

        CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_OPTIONS);
        CHECK(hub == untouched);
        CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
        CHECK(is_text(name, beyond[i].name));
        CHECK(bounds.length > 0 && bounds.data != NULL);
    }
}

static void on_the_bounds(void)
{
    const setting within[] = {
        OPTION(shards, 1),
        OPTION(heartbeat_ms, 0),
        OPTION(heartbeat_ms, 100),
        OPTION(heartbeat_ms, day_ms),
        OPTION(retry_ms, 0),
        OPTION(retry_ms, day_ms),
        OPTION(event_bytes_max, 0),
        OPTION(event_bytes_max, 64 << 20),
        OPTION(batch_bytes_max, 1),
        OPTION(batch_bytes_max, 16 << 20),
        OPTION(topic_backlog_bytes_max, 1),
        OPTION(backlog_bytes_max, 1),
        OPTION(backlog_bytes_max, UINT64_MAX),
        OPTION(history_events_max, 0),
        OPTION(history_bytes_max, 0),
        OPTION(history_age_max_ms, 7 * day_ms),
        OPTION(history_total_bytes_max, 0),
        OPTION(lag_bytes_max, 0),
        OPTION(lag_grace_ms, 0),
        OPTION(lag_grace_ms, 30000),
        OPTION(lag_total_bytes_max, 1),
        OPTION(lag_grace_percent, 0),
        OPTION(lag_grace_percent, 100),
        OPTION(stall_time_max_ms, 0),
        OPTION(stall_time_max_ms, 100),
        OPTION(connections_max, 1),
        OPTION(connections_per_address_max, 1),
        OPTION(subscriptions_max, 1),
        OPTION(subscriptions_max, 100000000),
        OPTION(subscriptions_per_address_max, 1),
        OPTION(connection_age_max_ms, 1000),
        OPTION(connection_age_max_ms, 30 * day_ms),
        OPTION(finished_age_max_ms, 0),
        OPTION(finished_age_max_ms, 7 * day_ms),
        OPTION(cluster_stream_events_max, 1000),
        OPTION(cluster_stream_events_max, 1000000000),
        OPTION(cluster_stream_bytes_max, 1 << 20),
        OPTION(cluster_backlog_bytes_max, 64 << 10),
        OPTION(any_host, 0),
        OPTION(any_host, 1),
    };
    size_t i;

    for (i = 0; i < sizeof within / sizeof within[0]; i++) {
        fanfare_options options = options_with(&within[i]);
        fanfare_hub *hub = NULL;
        fanfare_text name = FANFARE_TEXT("x"), bounds = FANFARE_TEXT("x");

        CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
        CHECK(name.data == NULL && name.length == 0 && bounds.data == NULL && bounds.length == 0);
        CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
        fanfare_hub_free(hub);
    }
}

static void expect_problem(const fanfare_options *options, const char *expected)
{
    fanfare_hub *hub = NULL;
    fanfare_text name, bounds;

    CHECK_EQ(fanfare_hub_new(options, &hub), FANFARE_ERR_OPTIONS);
    CHECK(hub == NULL);
    CHECK_EQ(fanfare_options_problem(options, &name, &bounds), FANFARE_OK);
    CHECK(is_text(name, expected));
    CHECK(bounds.length > 0 && bounds.data != NULL);
}

static void bad_names(void)
{
    static const char *const names[] = {
        "", "a\nb", "message", "open", "error", "fanfare-heartbeat", "\xff",
    };
    char longest[257];
    fanfare_options options = options_new();
    fanfare_text name, bounds;
    fanfare_hub *hub = NULL;
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        options.gap_event = fanfare_text_of_string(names[i]);
        expect_problem(&options, "gap_event");
    }
    memset(longest, 'x', sizeof longest);
    options.gap_event = fanfare_text_of(longest, 257);
    expect_problem(&options, "gap_event");
    options.gap_event = fanfare_text_of(NULL, 1);
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    options = options_new();
    options.policy = 4;
    expect_problem(&options, "policy");
    options.policy = UINT32_MAX;
    expect_problem(&options, "policy");
    options = options_new();
    options.heartbeat_form = 4;
    expect_problem(&options, "heartbeat_form");
}

static void names_take_effect(void)
{
    char gap_event[] = "missed-some";
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    fanfare_event event = event_of("x");
    client *client;
    received got;

    options.heartbeat_form = FANFARE_HEARTBEAT_EVENT;
    options.policy = FANFARE_POLICY_CONFLATE;
    options.gap_event = fanfare_text_of_string(gap_event);
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    /* The text is the caller's again. */
    memset(gap_event, '\n', strlen(gap_event));
    /* The first block of a stream is an event by itself, in this form. */
    client = client_new(hub_listen(hub), "t");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "fanfare-heartbeat");
    event.name = FANFARE_TEXT("missed-some");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_ERR_EVENT);
    event.name = FANFARE_TEXT("fanfare-gap");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "fanfare-gap");
    client_free(client);
    fanfare_hub_free(hub);
}

static void no_problem_of_null(void)
{
    fanfare_options options = options_new();
    fanfare_text name = FANFARE_TEXT("x"), bounds = FANFARE_TEXT("x");

    CHECK_EQ(fanfare_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_options_problem(&options, NULL, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_options_problem(&options, &name, NULL), FANFARE_ERR_ARGUMENT);
    options.size = SIZE_MIN - 1;
    CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK(is_text(name, "x") && is_text(bounds, "x"));
}

const test tests_of_options[] = {
    {"options_init fills in the defaults of docs/options.md", defaults},
    {"options of a size that no version had are refused and left as they are", too_small},
    {"options of a later version are taken when they set nothing that is unknown here", larger},
    {"options that set something that is unknown here are refused", larger_and_set},
    {"options of an impossible size are refused", much_too_large},
    {"options may be NULL for a hub, but not for options_init", null_options},
    {"an option out of its bounds is refused and named, and there is no hub", out_of_bounds},
    {"an option on its bounds is taken, and is no problem", on_the_bounds},
    {"a name that is none is refused and named", bad_names},
    {"the form of heartbeats and the name of gap events are taken, and their text copied",
     names_take_effect},
    {"a problem is looked for in options of a known size alone", no_problem_of_null},
    {NULL, NULL},
};
