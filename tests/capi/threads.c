/* Many threads at one hub. */

#include "check.h"
#include "client.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define THREADS 4
#define EVENTS_EACH 2000

typedef struct {
    const fanfare_hub *hub;
    unsigned number;
    pthread_t thread;
    /* What it was told of each event. */
    fanfare_event_id ids[EVENTS_EACH];
} publisher;

static publisher publishers[THREADS];
/* What a client got as the id of each publisher's events. */
static char client_ids[THREADS][EVENTS_EACH][FANFARE_EVENT_ID_BYTES_MAX + 1];

/* Publishes its numbers in order; when the backlog is full it tries again a little later. */
static void *publish_all(void *argument)
{
    publisher *self = argument;
    const struct timespec pause = {0, 200000};
    int64_t deadline = now_ms() + DEADLINE_MS;
    unsigned i;

    for (i = 0; i < EVENTS_EACH; i++) {
        char data[64];
        fanfare_event event;
        fanfare_status code;

        snprintf(data, sizeof data, "%u %u", self->number, i);
        event = event_of(data);
        while ((code = fanfare_hub_publish(self->hub, FANFARE_TEXT("t"), &event, &self->ids[i]))
               == FANFARE_ERR_FULL) {
            CHECK(now_ms() < deadline);
            nanosleep(&pause, NULL);
        }
        CHECK_EQ(code, FANFARE_OK);
    }
    return NULL;
}

/* Each publisher's events come in its order, and the clients have them in one order. */
static void expect_all(client *client, int is_first)
{
    static unsigned order[THREADS * EVENTS_EACH];
    unsigned next[THREADS] = {0};
    unsigned i;

    for (i = 0; i < THREADS * EVENTS_EACH; i++) {
        unsigned thread, number;
        received got;

        CHECK(client_next(client, &got));
        CHECK(sscanf(got.data, "%u %u", &thread, &number) == 2);
        CHECK(thread < THREADS);
        CHECK_EQ(number, next[thread]);
        next[thread]++;
        CHECK(strlen(got.id) <= FANFARE_EVENT_ID_BYTES_MAX);
        if (is_first) {
            order[i] = thread;
            strcpy(client_ids[thread][number], got.id);
        } else {
            CHECK_EQ(thread, order[i]);
            CHECK_TEXT(got.id, client_ids[thread][number]);
        }
    }
}

static void publish_at_once(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    client *clients[2];
    uint16_t port;
    unsigned i, j;

    options.topic_backlog_bytes_max = 4096;
    options.lag_bytes_max = 64 << 20;
    options.lag_age_max_ms = 10 * DEADLINE_MS;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    port = hub_listen(hub);
    clients[0] = client_new(port, "t");
    clients[1] = client_new(port, "t");
    for (i = 0; i < THREADS; i++) {
        publishers[i].hub = hub;
        publishers[i].number = i;
        CHECK(pthread_create(&publishers[i].thread, NULL, publish_all, &publishers[i]) == 0);
    }
    for (i = 0; i < 2; i++) {
        expect_all(clients[i], i == 0);
        client_free(clients[i]);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(publishers[i].thread, NULL) == 0);
        for (j = 0; j < EVENTS_EACH; j++) {
            CHECK_ID(publishers[i].ids[j], client_ids[i][j]);
        }
    }
    fanfare_hub_free(hub);
}

/* Makes a hub, listens, publishes and frees it, several times. */
static void *live_and_die(void *argument)
{
    int i;

    for (i = 0; i < 5; i++) {
        fanfare_hub *hub = hub_new();
        fanfare_event event = event_of("x");
        client *client = client_new(hub_listen(hub), "t");
        received got;

        CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
        CHECK(client_next(client, &got));
        client_free(client);
        fanfare_hub_free(hub);
    }
    return argument;
}

static void hubs_at_once(void)
{
    pthread_t threads[THREADS];
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, live_and_die, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void *free_hub(void *hub)
{
    fanfare_hub_free(hub);
    return NULL;
}

static void freed_elsewhere(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, free_hub, hub) == 0);
    client_expect_end(client);
    CHECK(pthread_join(thread, NULL) == 0);
    client_free(client);
}

const test tests_of_threads[] = {
    {"threads publish at once, in their own order, and nothing is lost or doubled",
     publish_at_once},
    {"threads make and free hubs of their own at once", hubs_at_once},
    {"a hub is freed by another thread than made it", freed_elsewhere},
    {NULL, NULL},
};
