/* Waiting for space in the backlog. */

#include "check.h"
#include "client.h"
#include "narrow.h"

#include <pthread.h>
#include <time.h>

static void no_space_in_time(void)
{
    const fanfare_text names[] = {{"quiet", 5}, {"flood", 5}};
    fanfare_hub *hub = hub_new_narrow(100);
    client *sleeper = client_new_small(hub_listen(hub), "flood");
    fanfare_event event = event_of("x");
    fanfare_publication publication = fanfare_publication_of(names, 2, &event);
    fanfare_event_id id = id_untouched();
    int64_t begun;

    publish_until_full_ms(hub, "flood", 500);
    CHECK_EQ(fanfare_hub_publish_wait(hub, &publication, 0, &id), FANFARE_ERR_FULL);
    begun = now_ms();
    CHECK_EQ(fanfare_hub_publish_wait(hub, &publication, 50, &id), FANFARE_ERR_TIMEOUT);
    CHECK(now_ms() - begun >= 50);
    CHECK(id_is_untouched(&id));
    client_free(sleeper);
    fanfare_hub_free(hub);
}

typedef struct {
    const fanfare_hub *hub;
    pthread_t thread;
    fanfare_status status;
} waiter;

static void *wait_for_space(void *argument)
{
    const fanfare_text name = {"flood", 5};
    waiter *self = argument;
    fanfare_event event = event_of("x");
    fanfare_publication publication = fanfare_publication_of(&name, 1, &event);

    self->status = fanfare_hub_publish_wait(self->hub, &publication, UINT64_MAX, NULL);
    return NULL;
}

/* Starts a thread that waits for space, and returns when it does. */
static void waiter_start(waiter *waiter, const fanfare_hub *hub)
{
    const struct timespec pause = {0, 1000000};
    uint64_t before = metrics_of(hub).full_events;
    int64_t deadline = now_ms() + DEADLINE_MS;

    waiter->hub = hub;
    CHECK(pthread_create(&waiter->thread, NULL, wait_for_space, waiter) == 0);
    while (metrics_of(hub).full_events == before) {
        CHECK(now_ms() < deadline);
        nanosleep(&pause, NULL);
    }
}

static void waits_until_there_is_space(void)
{
    fanfare_hub *hub = hub_new_narrow(100);
    client *sleeper = client_new_small(hub_listen(hub), "flood");
    waiter waiter;

    publish_until_full_ms(hub, "flood", 500);
    waiter_start(&waiter, hub);
    client_free(sleeper);
    CHECK(pthread_join(waiter.thread, NULL) == 0);
    CHECK_EQ(waiter.status, FANFARE_OK);
    fanfare_hub_free(hub);
}

static void close_ends_a_wait(void)
{
    fanfare_hub *hub = hub_new_narrow(100);
    client *sleeper = client_new_small(hub_listen(hub), "flood");
    waiter waiter;

    publish_until_full_ms(hub, "flood", 500);
    waiter_start(&waiter, hub);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    CHECK(pthread_join(waiter.thread, NULL) == 0);
    CHECK_EQ(waiter.status, FANFARE_ERR_CLOSED);
    client_free(sleeper);
    fanfare_hub_free(hub);
}

static void the_end_of_the_topic_ends_a_wait(void)
{
    const fanfare_text name = {"flood", 5};
    fanfare_hub *hub = hub_new_narrow(100);
    client *sleeper = client_new_small(hub_listen(hub), "flood");
    waiter waiter;

    publish_until_full_ms(hub, "flood", 500);
    waiter_start(&waiter, hub);
    CHECK_EQ(fanfare_hub_finish(hub, name, NULL, 0, NULL), FANFARE_OK);
    CHECK(pthread_join(waiter.thread, NULL) == 0);
    CHECK_EQ(waiter.status, FANFARE_ERR_FINISHED);
    /* If it were cut off, there would be space. */
    CHECK_EQ(metrics_of(hub).connections, 1);
    client_free(sleeper);
    fanfare_hub_free(hub);
}

const test tests_of_wait[] = {
    {"there is no space within the time, and then nothing was published", no_space_in_time},
    {"a publisher waits until there is space", waits_until_there_is_space},
    {"a publisher that waits is told that the hub is closed", close_ends_a_wait},
    {"a publisher that waits is told that the topic is finished", the_end_of_the_topic_ends_a_wait},
    {NULL, NULL},
};
