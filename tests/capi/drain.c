/* Draining. */

#include "check.h"
#include "client.h"

#include <string.h>

static void drains(void)
{
    fanfare_hub *hub = hub_new();
    uint16_t port = hub_listen(hub);
    client *clients[3];
    fanfare_drain_options options = fanfare_drain_options_defaults();
    fanfare_drained drained = fanfare_drained_empty();
    fanfare_event event = event_of("last");
    received got;
    size_t i;

    CHECK_EQ(options.window_ms, 3000);
    CHECK_EQ(options.grace_ms, 1000);
    CHECK_EQ(options.retry_ms, 2000);
    for (i = 0; i < 3; i++) {
        clients[i] = client_new(port, "t");
    }
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    options.window_ms = 50;
    CHECK_EQ(fanfare_hub_drain(hub, &options, &drained), FANFARE_OK);
    CHECK_EQ(drained.told, 3);
    CHECK_EQ(drained.cut, 0);
    CHECK_EQ(drained.size, sizeof drained);
    for (i = 0; i < 3; i++) {
        CHECK(client_next(clients[i], &got));
        CHECK_TEXT(got.data, "last");
        CHECK(!client_next(clients[i], &got));
        client_free(clients[i]);
    }
    CHECK_EQ(metrics_of(hub).disconnects[FANFARE_DISCONNECT_DRAINED], 3);
    CHECK(client_is_refused(port));
    CHECK_EQ(publish(hub, "t", &event), FANFARE_ERR_CLOSED);
    /* Once more there is nothing to do. */
    CHECK_EQ(fanfare_hub_drain(hub, NULL, &drained), FANFARE_OK);
    CHECK_EQ(drained.told, 0);
    CHECK_EQ(fanfare_hub_drain(hub, NULL, NULL), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void expect_problem(const fanfare_drain_options *options, const char *expected)
{
    fanfare_text name, bounds;

    CHECK_EQ(fanfare_drain_options_problem(options, &name, &bounds), FANFARE_OK);
    CHECK_EQ(name.length, strlen(expected));
    CHECK(name.length == 0 || memcmp(name.data, expected, name.length) == 0);
}

static void bad_drains(void)
{
    struct {
        fanfare_drain_options options;
        unsigned char later[16];
    } grown;
    fanfare_hub *hub = hub_new();
    fanfare_drain_options options = fanfare_drain_options_defaults(), given;
    fanfare_drained drained = fanfare_drained_empty();
    fanfare_event event = event_of("x");
    fanfare_text name, bounds;

    expect_problem(&options, "");
    given = options;
    given.window_ms = 3600001;
    CHECK_EQ(fanfare_hub_drain(hub, &given, &drained), FANFARE_ERR_OPTIONS);
    expect_problem(&given, "window_ms");
    given = options;
    given.grace_ms = UINT64_MAX;
    expect_problem(&given, "grace_ms");
    given = options;
    given.retry_ms = 86400001;
    expect_problem(&given, "retry_ms");
    given.size = sizeof given - 1;
    CHECK_EQ(fanfare_hub_drain(hub, &given, &drained), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_drain_options_init(&given), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_drain_options_init(NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_drain_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_drain_options_problem(&options, NULL, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_drain_options_problem(&options, &name, NULL), FANFARE_ERR_ARGUMENT);
    memset(&grown, 0xa5, sizeof grown);
    grown.options.size = sizeof grown;
    CHECK_EQ(fanfare_drain_options_init(&grown.options), FANFARE_OK);
    expect_problem(&grown.options, "");
    grown.later[15] = 1;
    expect_problem(&grown.options, "size");
    CHECK_EQ(fanfare_hub_drain(hub, &grown.options, &drained), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_hub_drain(NULL, NULL, &drained), FANFARE_ERR_ARGUMENT);
    drained.size = sizeof drained - 1;
    CHECK_EQ(fanfare_hub_drain(hub, NULL, &drained), FANFARE_ERR_ARGUMENT);
    /* After all of these nothing was begun. */
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    fanfare_hub_free(hub);
}

const test tests_of_drain[] = {
    {"a drain sends all, tells clients to come back, and closes the hub", drains},
    {"a drain with options out of their bounds begins nothing", bad_drains},
    {NULL, NULL},
};
