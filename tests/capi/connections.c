/* Connections: listed, looked at and counted. */

#include "check.h"
#include "client.h"
#include "world.h"

#include <string.h>

static void lists_with_all_there_is_to_them(void)
{
    world world = world_new();
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_event event = event_of("x");
    fanfare_connections *found;
    fanfare_connection connection;
    received got;

    CHECK_EQ(publish(world.hub, "rooms/1", &event), FANFARE_OK);
    CHECK(client_next(world.clients[2], &got));
    filter.tag = FANFARE_TEXT("ben");
    found = list_of(world.hub, &filter);
    CHECK_EQ(fanfare_connections_count(found), 1);
    connection = get(found, 0);
    CHECK(connection.id != 0);
    CHECK_EQ(connection.subscriptions_count, 1);
    CHECK(text_is(connection.subscriptions[0], "rooms/1"));
    CHECK(text_is(connection.tag, "ben"));
    CHECK(connection.addr.length > 10 && memcmp(connection.addr.data, "127.0.0.1:", 10) == 0);
    CHECK(connection.since_unix_ms > 1577836800000u && connection.since_unix_ms < 7258118400000u);
    CHECK_EQ(connection.events, 1);
    CHECK(connection.bytes >= strlen("data: x\n\n"));
    CHECK_EQ(connection.state, FANFARE_CONNECTION_LIVE);
    CHECK(connection.lag_events == 0 && connection.lag_bytes == 0 && connection.lag_age_ms == 0);
    CHECK_EQ(connection.policy, FANFARE_POLICY_DISCONNECT);
    /* The list needs no hub. */
    world_free(&world);
    CHECK(text_is(get(found, 0).tag, "ben"));
    fanfare_connections_free(found);
}

static void filters(void)
{
    world world = world_new();
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();

    CHECK_EQ(count_of(world.hub, NULL), 3);
    CHECK_EQ(count_of(world.hub, &filter), 3);
    filter.limit = 2;
    CHECK_EQ(count_of(world.hub, &filter), 2);
    filter.limit = UINT64_MAX;
    filter.tag = FANFARE_TEXT("ann");
    CHECK_EQ(count_of(world.hub, &filter), 2);
    filter.subscription = FANFARE_TEXT("rooms/+");
    CHECK_EQ(count_of(world.hub, &filter), 1);
    filter.tag = FANFARE_TEXT("no one's");
    CHECK_EQ(count_of(world.hub, &filter), 0);
    filter = fanfare_connection_filter_of_all();
    filter.slowest_first = 1;
    CHECK_EQ(count_of(world.hub, &filter), 3);
    filter.lagging = 1;
    CHECK_EQ(count_of(world.hub, &filter), 0);
    world_free(&world);
}

static void wrong_filters(void)
{
    struct {
        fanfare_connection_filter known;
        uint64_t unknown;
    } newer;
    fanfare_hub *hub = hub_new();
    fanfare_connections *untouched = (fanfare_connections *)&newer, *found = untouched;
    fanfare_connection_filter filter;

#define REFUSED(filter, status) \
    CHECK_EQ(fanfare_hub_connections(hub, filter, &found), status); \
    CHECK(found == untouched)
    filter = fanfare_connection_filter_of_all();
    filter.size = 0;
    REFUSED(&filter, FANFARE_ERR_ARGUMENT);
    filter.size = offsetof(fanfare_connection_filter, slowest_first);
    REFUSED(&filter, FANFARE_ERR_ARGUMENT);
    filter.size = 4097;
    REFUSED(&filter, FANFARE_ERR_ARGUMENT);
    filter = fanfare_connection_filter_of_all();
    filter.lagging = 2;
    REFUSED(&filter, FANFARE_ERR_OPTIONS);
    filter = fanfare_connection_filter_of_all();
    filter.slowest_first = UINT32_MAX;
    REFUSED(&filter, FANFARE_ERR_OPTIONS);
    filter = fanfare_connection_filter_of_all();
    filter.subscription = FANFARE_TEXT("a/#/b");
    REFUSED(&filter, FANFARE_ERR_SUBSCRIPTION);
    filter.subscription = fanfare_text_of(NULL, 1);
    REFUSED(&filter, FANFARE_ERR_ARGUMENT);
    filter = fanfare_connection_filter_of_all();
    filter.tag = FANFARE_TEXT("\xff");
    REFUSED(&filter, FANFARE_ERR_UTF8);
    memset(&newer, 0, sizeof newer);
    newer.known.size = sizeof newer;
    newer.unknown = 1;
    REFUSED(&newer.known, FANFARE_ERR_OPTIONS);
#undef REFUSED
    newer.unknown = 0;
    CHECK_EQ(count_of(hub, &newer.known), 0);
    CHECK_EQ(fanfare_hub_connections(hub, NULL, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_connections(NULL, NULL, &found), FANFARE_ERR_ARGUMENT);
    CHECK(found == untouched);
    fanfare_hub_free(hub);
}

static void reads_lists(void)
{
    struct {
        fanfare_connection known;
        uint64_t unknown;
    } newer;
    world world = world_new();
    fanfare_connections *found = list_of(world.hub, NULL);
    fanfare_connection connection = get(found, 2);

    connection.id = 77;
    CHECK_EQ(fanfare_connections_get(found, 3, &connection), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_connections_get(found, SIZE_MAX, &connection), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_connections_get(found, 0, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_connections_get(NULL, 0, &connection), FANFARE_ERR_ARGUMENT);
    connection.size = 0;
    CHECK_EQ(fanfare_connections_get(found, 0, &connection), FANFARE_ERR_ARGUMENT);
    connection.size = 4097;
    CHECK_EQ(fanfare_connections_get(found, 0, &connection), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(connection.id, 77);
    memset(&newer, 0x5a, sizeof newer);
    newer.known.size = sizeof newer;
    CHECK_EQ(fanfare_connections_get(found, 0, &newer.known), FANFARE_OK);
    CHECK(newer.known.size == sizeof newer && newer.known.id != 77 && newer.unknown == 0);
    CHECK_EQ(fanfare_connections_count(NULL), 0);
    fanfare_connections_free(NULL);
    fanfare_connections_free(found);
    world_free(&world);
}

static void looks_at_one(void)
{
    world world = world_new();
    fanfare_connection_id id = id_of(world.hub, "ben");
    fanfare_connections *found = NULL;

    CHECK_EQ(fanfare_hub_connection(world.hub, id, &found), FANFARE_OK);
    CHECK_EQ(fanfare_connections_count(found), 1);
    CHECK(get(found, 0).id == id && text_is(get(found, 0).tag, "ben"));
    fanfare_connections_free(found);
    found = NULL;
    CHECK_EQ(fanfare_hub_disconnect(world.hub, id, 0), FANFARE_OK);
    client_expect_end(world.clients[2]);
    CHECK_EQ(fanfare_hub_connection(world.hub, id, &found), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_hub_connection(world.hub, 0, &found), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_hub_connection(world.hub, UINT64_MAX, &found), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_hub_connection(world.hub, id, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_connection(NULL, id, &found), FANFARE_ERR_ARGUMENT);
    CHECK(found == NULL);
    world_free(&world);
}

static void counts(void)
{
    world world = world_new();
    fanfare_subscription_counts *counts = NULL;
    fanfare_subscription_count count;
    uint64_t subscribers = 77;

    CHECK_EQ(fanfare_hub_subscribers(world.hub, FANFARE_TEXT("rooms/1"), &subscribers), FANFARE_OK);
    CHECK_EQ(subscribers, 3);
    CHECK_EQ(fanfare_hub_subscribers(world.hub, FANFARE_TEXT("rooms/2"), &subscribers), FANFARE_OK);
    CHECK_EQ(subscribers, 1);
    CHECK_EQ(fanfare_hub_subscribers(world.hub, FANFARE_TEXT("rooms/+"), &subscribers),
             FANFARE_ERR_TOPIC);
    CHECK_EQ(fanfare_hub_subscribers(world.hub, fanfare_text_of(NULL, 0), &subscribers),
             FANFARE_ERR_TOPIC);
    CHECK_EQ(fanfare_hub_subscribers(world.hub, FANFARE_TEXT("t"), NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_subscribers(NULL, FANFARE_TEXT("t"), &subscribers), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(subscribers, 1);

    CHECK_EQ(fanfare_hub_subscription_counts(world.hub, 10, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_subscription_counts(NULL, 10, &counts), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_subscription_counts(world.hub, 10, &counts), FANFARE_OK);
    CHECK_EQ(fanfare_subscription_counts_count(counts), 2);
    count.size = sizeof count;
    CHECK_EQ(fanfare_subscription_counts_get(counts, 0, &count), FANFARE_OK);
    CHECK(text_is(count.subscription, "rooms/1") && count.subscribers == 2);
    CHECK_EQ(fanfare_subscription_counts_get(counts, 1, &count), FANFARE_OK);
    CHECK(text_is(count.subscription, "rooms/+") && count.subscribers == 1);
    CHECK_EQ(fanfare_subscription_counts_get(counts, 2, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_subscription_counts_get(NULL, 0, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_subscription_counts_get(counts, 0, NULL), FANFARE_ERR_ARGUMENT);
    count.size = 1;
    CHECK_EQ(fanfare_subscription_counts_get(counts, 0, &count), FANFARE_ERR_ARGUMENT);
    fanfare_subscription_counts_free(counts);
    CHECK_EQ(fanfare_hub_subscription_counts(world.hub, 1, &counts), FANFARE_OK);
    CHECK_EQ(fanfare_subscription_counts_count(counts), 1);
    fanfare_subscription_counts_free(counts);
    fanfare_subscription_counts_free(NULL);
    CHECK_EQ(fanfare_subscription_counts_count(NULL), 0);
    world_free(&world);
}

const test tests_of_connections[] = {
    {"a connection is listed with all there is to it, and the list outlives the hub",
     lists_with_all_there_is_to_them},
    {"connections are found by subscription, tag, lag and limit", filters},
    {"a filter that is wrong is refused, and nothing is written", wrong_filters},
    {"a list is read within its length, into structs of any version", reads_lists},
    {"one connection is looked at by its id, until it has ended", looks_at_one},
    {"subscribers are counted, of one topic and of all", counts},
    {NULL, NULL},
};
