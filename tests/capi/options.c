/* fanfare_options_init, and the bounds of the options. */

#include "check.h"

#include <string.h>

static void defaults(void)
{
    fanfare_options options;

    memset(&options, 0xff, sizeof options);
    options.size = sizeof options;
    CHECK_EQ(fanfare_options_init(&options), FANFARE_OK);
    CHECK_EQ(options.size, sizeof options);
    CHECK(options.shards >= 1 && options.shards <= 256);
    CHECK_EQ(options.heartbeat_ms, 15000);
    CHECK_EQ(options.retry_ms, 2000);
    CHECK_EQ(options.event_bytes_max, 1 << 20);
    CHECK_EQ(options.batch_bytes_max, 40 << 10);
    CHECK_EQ(options.topic_backlog_bytes_max, 40 << 10);
    CHECK_EQ(options.backlog_bytes_max, 64 << 20);
    CHECK_EQ(options.lag_bytes_max, 1 << 20);
    CHECK_EQ(options.lag_age_max_ms, 30000);
    CHECK_EQ(options.lag_grace_ms, 1000);
    CHECK_EQ(options.lag_total_bytes_max, 256 << 20);
    CHECK_EQ(options.connections_max, 100000);
    CHECK_EQ(options.connections_per_address_max, 0);
    /* Zero stands for the default of whatever the first version did not have. */
    CHECK_EQ(options.lag_grace_percent, 0);
    CHECK_EQ(options.any_host, 0);
}

/* The size that the struct had in the first version. */
#define SIZE_MIN offsetof(fanfare_options, lag_grace_percent)

/* As a program built with the first header sees this library. */
static void smaller(void)
{
    fanfare_options options;
    fanfare_hub *hub = NULL;

    memset(&options, 0xff, sizeof options);
    options.size = SIZE_MIN;
    CHECK_EQ(fanfare_options_init(&options), FANFARE_OK);
    CHECK_EQ(options.size, SIZE_MIN);
    CHECK_EQ(options.connections_per_address_max, 0);
    /* What is beyond is not the struct's, and neither written nor read: it would be refused. */
    CHECK(options.lag_grace_percent == UINT64_MAX && options.any_host == UINT64_MAX);
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    fanfare_hub_free(hub);
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
    size_t i;

    grown.options.size = sizeof grown;
    CHECK_EQ(fanfare_options_init(&grown.options), FANFARE_OK);
    for (i = 0; i < sizeof grown.later; i++) {
        grown.later[i] = 1;
        CHECK_EQ(fanfare_hub_new(&grown.options, &hub), FANFARE_ERR_OPTIONS);
        CHECK(hub == untouched);
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

#define OPTION(name, value) {offsetof(fanfare_options, name), value}

typedef struct {
    size_t offset;
    uint64_t value;
} setting;

static int32_t new_with(const setting *setting)
{
    fanfare_options options = options_new();
    fanfare_hub *const untouched = (fanfare_hub *)(void *)&options;
    fanfare_hub *hub = untouched;
    int32_t code;

    memcpy((char *)&options + setting->offset, &setting->value, sizeof setting->value);
    code = fanfare_hub_new(&options, &hub);
    if (code == FANFARE_OK) {
        CHECK(hub != untouched);
        fanfare_hub_free(hub);
    } else {
        CHECK(hub == untouched);
    }
    return code;
}

static void out_of_bounds(void)
{
    static const uint64_t day_ms = 24 * 60 * 60 * 1000;
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
        OPTION(lag_grace_ms, 30001),
        OPTION(lag_age_max_ms, 999),
        OPTION(lag_total_bytes_max, 0),
        OPTION(connections_max, 0),
        OPTION(lag_grace_percent, 101),
        OPTION(lag_grace_percent, 256),
        OPTION(lag_grace_percent, 256 + 5),
        OPTION(lag_grace_percent, UINT64_MAX),
        OPTION(any_host, 2),
        OPTION(any_host, UINT64_MAX),
    };
    size_t i;

    for (i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        CHECK_EQ(new_with(&beyond[i]), FANFARE_ERR_OPTIONS);
    }
}

static void on_the_bounds(void)
{
    static const uint64_t day_ms = 24 * 60 * 60 * 1000;
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
        OPTION(lag_bytes_max, 0),
        OPTION(lag_grace_ms, 30000),
        OPTION(lag_total_bytes_max, 1),
        OPTION(connections_max, 1),
        OPTION(connections_per_address_max, 1),
        OPTION(lag_grace_percent, 0),
        OPTION(lag_grace_percent, 1),
        OPTION(lag_grace_percent, 100),
        OPTION(any_host, 0),
        OPTION(any_host, 1),
    };
    size_t i;

    for (i = 0; i < sizeof within / sizeof within[0]; i++) {
        CHECK_EQ(new_with(&within[i]), FANFARE_OK);
    }
}

const test tests_of_options[] = {
    {"options_init fills in the defaults that the header names", defaults},
    {"options of the first version are taken, and the others have their defaults", smaller},
    {"options of a size that no version had are refused and left as they are", too_small},
    {"options of a later version are taken when they set nothing that is unknown here", larger},
    {"options that set something that is unknown here are refused", larger_and_set},
    {"options of an impossible size are refused", much_too_large},
    {"options may be NULL for a hub, but not for options_init", null_options},
    {"an option out of its bounds is refused, and there is no hub", out_of_bounds},
    {"an option on its bounds is taken", on_the_bounds},
    {NULL, NULL},
};
