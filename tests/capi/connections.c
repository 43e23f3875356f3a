/* Connections: listed, looked at, counted, ended, and given other topics. */

#include "check.h"
#include "client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* A hub with clients: two of ann's, and one of ben's. */
#define CLIENTS 3

typedef struct {
    fanfare_hub *hub;
    client *clients[CLIENTS];
} world;

static world world_new(void)
{
    world new;
    uint16_t port;

    new.hub = hub_new();
    port = hub_listen(new.hub);
    new.clients[0] = client_new(port, "rooms/1&tag=ann");
    new.clients[1] = client_new(port, "rooms/%2B&tag=ann");
    new.clients[2] = client_new(port, "rooms/1&tag=ben");
    return new;
}

static void world_free(world *world)
{
    int i;

    for (i = 0; i < CLIENTS; i++) {
        client_free(world->clients[i]);
    }
    fanfare_hub_free(world->hub);
}

static fanfare_connections *list(const fanfare_hub *hub, const fanfare_connection_filter *filter)
{
    fanfare_connections *list = NULL;

    CHECK_EQ(fanfare_hub_connections(hub, filter, &list), FANFARE_OK);
    CHECK(list != NULL);
    return list;
}

static fanfare_connection get(const fanfare_connections *list, size_t index)
{
    fanfare_connection connection;

    memset(&connection, 0x5a, sizeof connection);
    connection.size = sizeof connection;
    CHECK_EQ(fanfare_connections_get(list, index, &connection), FANFARE_OK);
    CHECK_EQ(connection.size, sizeof connection);
    return connection;
}

static size_t count_of(const fanfare_hub *hub, const fanfare_connection_filter *filter)
{
    fanfare_connections *found = list(hub, filter);
    size_t count = fanfare_connections_count(found);

    fanfare_connections_free(found);
    return count;
}

/* The id of one that has a tag. */
static fanfare_connection_id id_of(const fanfare_hub *hub, const char *tag)
{
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_connections *found;
    fanfare_connection_id id;

    filter.tag = fanfare_text_of_string(tag);
    found = list(hub, &filter);
    id = get(found, 0).id;
    fanfare_connections_free(found);
    return id;
}

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
    found = list(world.hub, &filter);
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
    CHECK_EQ(connection.policy, 1);
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
    fanfare_connections *found = list(world.hub, NULL);
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

static void disconnects_one(void)
{
    world world = world_new();
    fanfare_connection_id id = id_of(world.hub, "ben");

    CHECK_EQ(fanfare_hub_disconnect(NULL, id, 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect(world.hub, id, UINT64_MAX), FANFARE_OK);
    client_expect_end(world.clients[2]);
    CHECK_EQ(fanfare_hub_disconnect(world.hub, id, 0), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_hub_disconnect(world.hub, 0, 0), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_hub_disconnect(world.hub, UINT64_MAX, 0), FANFARE_ERR_STALE);
    CHECK_EQ(count_of(world.hub, NULL), 2);
    world_free(&world);
}

static void disconnects_several(void)
{
    world world = world_new();
    uint64_t count = 77;
    const fanfare_text ann = FANFARE_TEXT("ann"), room = FANFARE_TEXT("rooms/1");

    CHECK_EQ(fanfare_hub_disconnect_tag(NULL, ann, 0, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, fanfare_text_of(NULL, 0), 0, &count),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, fanfare_text_of(NULL, 1), 0, &count),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, FANFARE_TEXT("\xff"), 0, &count),
             FANFARE_ERR_UTF8);
    CHECK_EQ(fanfare_hub_disconnect_subscription(NULL, room, 0, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect_subscription(world.hub, FANFARE_TEXT("#/a"), 0, &count),
             FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(fanfare_hub_disconnect_all(NULL, 0, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(count, 77);
    CHECK_EQ(count_of(world.hub, NULL), 3);

    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, ann, 0, &count), FANFARE_OK);
    CHECK_EQ(count, 2);
    client_expect_end(world.clients[0]);
    client_expect_end(world.clients[1]);
    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, ann, 0, &count), FANFARE_OK);
    CHECK_EQ(count, 0);
    CHECK_EQ(fanfare_hub_disconnect_subscription(world.hub, FANFARE_TEXT("rooms/+"), 0, &count),
             FANFARE_OK);
    CHECK_EQ(count, 0);
    CHECK_EQ(fanfare_hub_disconnect_subscription(world.hub, room, 0, NULL), FANFARE_OK);
    client_expect_end(world.clients[2]);
    world_free(&world);

    world = world_new();
    CHECK_EQ(fanfare_hub_disconnect_all(world.hub, 1000, &count), FANFARE_OK);
    CHECK_EQ(count, 3);
    client_expect_end(world.clients[0]);
    CHECK_EQ(fanfare_hub_disconnect_all(world.hub, 0, NULL), FANFARE_OK);
    world_free(&world);
}

static void changes_subscriptions(void)
{
    static fanfare_text many[65537];
    world world = world_new();
    fanfare_connection_id id = id_of(world.hub, "ben");
    fanfare_event event = event_of("in another room");
    fanfare_text wanted[2];
    received got;
    size_t i;

    wanted[0] = FANFARE_TEXT("rooms/7");
    wanted[1] = FANFARE_TEXT("users/#");
    for (i = 0; i < sizeof many / sizeof many[0]; i++) {
        many[i] = wanted[0];
    }
#define SET(hub, id, texts, count) fanfare_hub_set_subscriptions(hub, id, texts, count)
    CHECK_EQ(SET(NULL, id, wanted, 2), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(SET(world.hub, id, NULL, 2), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(SET(world.hub, id, NULL, 0), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(SET(world.hub, id, wanted, 0), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(SET(world.hub, id, many, 65537), FANFARE_ERR_TOO_MANY);
    CHECK_EQ(SET(world.hub, id, many, SIZE_MAX), FANFARE_ERR_TOO_MANY);
    CHECK_EQ(SET(world.hub, 0, wanted, 2), FANFARE_ERR_STALE);
    wanted[1] = FANFARE_TEXT("users/#/x");
    CHECK_EQ(SET(world.hub, id, wanted, 2), FANFARE_ERR_SUBSCRIPTION);
    wanted[1] = fanfare_text_of(NULL, 0);
    CHECK_EQ(SET(world.hub, id, wanted, 2), FANFARE_ERR_SUBSCRIPTION);
    wanted[1] = fanfare_text_of("x", SIZE_MAX);
    CHECK_EQ(SET(world.hub, id, wanted, 2), FANFARE_ERR_ARGUMENT);
    wanted[1] = FANFARE_TEXT("users/#");
    CHECK_EQ(SET(world.hub, id, wanted, 2), FANFARE_OK);
    CHECK_EQ(SET(world.hub, id, many, 65536), FANFARE_OK);
#undef SET
    CHECK_EQ(publish(world.hub, "rooms/1", &event), FANFARE_OK);
    event = event_of("here");
    CHECK_EQ(publish(world.hub, "rooms/7", &event), FANFARE_OK);
    CHECK(client_next(world.clients[2], &got));
    CHECK_TEXT(got.data, "here");
    world_free(&world);
}

/* ---- Many threads ---- */

#define THREADS 8

static fanfare_hub *shared;

static void *ask_all(void *argument)
{
    int i;

    for (i = 0; i < 50; i++) {
        fanfare_connections *found = list(shared, NULL);
        uint64_t count = 0;
        CHECK(fanfare_connections_count(found) <= CLIENTS);
        fanfare_connections_free(found);
        CHECK_EQ(fanfare_hub_subscribers(shared, FANFARE_TEXT("rooms/1"), &count), FANFARE_OK);
        CHECK_EQ(fanfare_hub_disconnect_tag(shared, FANFARE_TEXT("no one's"), 0, &count),
                 FANFARE_OK);
        CHECK_EQ(count, 0);
    }
    return argument;
}

static void asked_at_once(void)
{
    world world = world_new();
    pthread_t threads[THREADS];
    size_t i;

    shared = world.hub;
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, ask_all, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    world_free(&world);
}

static void refused_after_a_fork(void)
{
    world world = world_new();
    fanfare_connections *found = list(world.hub, NULL);
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fanfare_connections *none = NULL;
        fanfare_subscription_counts *counts = NULL;
        const fanfare_text topic = FANFARE_TEXT("t");
        uint64_t count = 0;

        alarm(DEADLINE_MS / 1000);
        CHECK_EQ(fanfare_hub_connections(world.hub, NULL, &none), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_connection(world.hub, 1, &none), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_subscribers(world.hub, topic, &count), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_subscription_counts(world.hub, 1, &counts), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_disconnect(world.hub, 1, 0), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, topic, 0, &count), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_disconnect_subscription(world.hub, topic, 0, &count),
                 FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_disconnect_all(world.hub, 0, &count), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_set_subscriptions(world.hub, 1, &topic, 1), FANFARE_ERR_FORKED);
        /* A list is memory alone, and as good here as there. */
        CHECK_EQ(fanfare_connections_count(found), CLIENTS);
        CHECK(text_is(get(found, 0).tag, "ann") || text_is(get(found, 0).tag, "ben"));
        fanfare_connections_free(found);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    fanfare_connections_free(found);
    CHECK_EQ(count_of(world.hub, NULL), CLIENTS);
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
    {"one connection is ended by its id, which is stale afterwards", disconnects_one},
    {"connections are ended by tag, by subscription, and all", disconnects_several},
    {"a connection gets other topics, unless they are none or too many", changes_subscriptions},
    {"eight threads ask a hub of its connections at once", asked_at_once},
    {"connections are not asked of in the child of a fork, and a list is read there",
     refused_after_a_fork},
    {NULL, NULL},
};
