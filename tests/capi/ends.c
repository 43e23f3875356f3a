/* Connections that the host ends, or gives other topics; and many threads and forks that do so. */

#include "check.h"
#include "client.h"
#include "world.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

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
    char longest[257];
    fanfare_text no_tags[3];
    size_t i;

    memset(longest, 'x', sizeof longest);
    no_tags[0] = FANFARE_TEXT("");
    no_tags[1] = FANFARE_TEXT("a\n");
    no_tags[2] = fanfare_text_of(longest, sizeof longest);
    CHECK_EQ(fanfare_hub_disconnect_tag(NULL, ann, 0, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, fanfare_text_of(NULL, 0), 0, &count),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, fanfare_text_of(NULL, 1), 0, &count),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, FANFARE_TEXT("\xff"), 0, &count),
             FANFARE_ERR_UTF8);
    for (i = 0; i < sizeof no_tags / sizeof no_tags[0]; i++) {
        CHECK_EQ(fanfare_hub_disconnect_tag(world.hub, no_tags[i], 0, &count),
                 FANFARE_ERR_ARGUMENT);
    }
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
        fanfare_connections *found = list_of(shared, NULL);
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

/* ---- Memory that changes ---- */

/* How many calls have to succeed, and to be refused. */
#define CALLS 100

static struct {
    volatile char subscription[7], tag[3];
    volatile fanfare_connection_filter filter;
    volatile int over;
} changing;

/* Writes what is no filter, no UTF-8 and no size of a struct, and back again. */
static void *change(void *argument)
{
    while (!changing.over) {
        changing.subscription[5] = '#';
        changing.tag[1] = (char)0xff;
        changing.filter.size = 1;
        sched_yield();
        changing.subscription[5] = '/';
        changing.tag[1] = 'n';
        changing.filter.size = sizeof changing.filter;
        sched_yield();
    }
    return argument;
}

static void changing_memory(void)
{
    world world = world_new();
    fanfare_connection_id id = id_of(world.hub, "ben");
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    unsigned taken = 0, refused = 0, found_some = 0, found_wrong = 0;
    int64_t deadline = now_ms() + 2 * DEADLINE_MS;
    fanfare_text wanted;
    pthread_t thread;

    memcpy((void *)changing.subscription, "rooms/x", 7);
    memcpy((void *)changing.tag, "ann", 3);
    filter.tag = fanfare_text_of((const char *)changing.tag, 3);
    changing.filter = filter;
    changing.over = 0;
    wanted = fanfare_text_of((const char *)changing.subscription, 7);
    CHECK(pthread_create(&thread, NULL, change, NULL) == 0);
    while (taken < CALLS || refused < CALLS || found_some < CALLS || found_wrong < CALLS) {
        fanfare_connections *found = NULL;
        fanfare_status status = fanfare_hub_set_subscriptions(world.hub, id, &wanted, 1);
        CHECK(status == FANFARE_OK || status == FANFARE_ERR_SUBSCRIPTION);
        taken += status == FANFARE_OK;
        refused += status == FANFARE_ERR_SUBSCRIPTION;
        status = fanfare_hub_connections(
            world.hub, (const fanfare_connection_filter *)&changing.filter, &found);
        if (status == FANFARE_OK) {
            CHECK_EQ(fanfare_connections_count(found), 2);
            fanfare_connections_free(found);
            found_some++;
        } else {
            CHECK(status == FANFARE_ERR_UTF8 || status == FANFARE_ERR_ARGUMENT);
            found_wrong++;
        }
        if (now_ms() >= deadline) {
            /* Threads take few turns under valgrind on a busy machine: of each some are enough. */
            CHECK(taken > 0 && refused > 0 && found_some > 0 && found_wrong > 0);
            break;
        }
    }
    changing.over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_EQ(count_of(world.hub, NULL), CLIENTS);
    world_free(&world);
}

static void refused_after_a_fork(void)
{
    world world = world_new();
    fanfare_connections *found = list_of(world.hub, NULL);
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

const test tests_of_ends[] = {
    {"one connection is ended by its id, which is stale afterwards", disconnects_one},
    {"connections are ended by tag, by subscription, and all", disconnects_several},
    {"a connection gets other topics, unless they are none or too many", changes_subscriptions},
    {"eight threads ask a hub of its connections at once", asked_at_once},
    {"texts and structs that change during the call are used as they were checked, or refused",
     changing_memory},
    {"connections are not asked of in the child of a fork, and a list is read there",
     refused_after_a_fork},
    {NULL, NULL},
};
