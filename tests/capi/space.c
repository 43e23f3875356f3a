/* Being told of space in the backlog, instead of waiting for it. */

#include "check.h"
#include "client.h"
#include "narrow.h"
#include "watched.h"

#include <pthread.h>
#include <string.h>

static const fanfare_text flood[] = {{"flood", 5}}, quiet[] = {{"quiet", 5}};

/* A hub whose topic `flood` is full because a client sleeps, and a queue. */
typedef struct {
    fanfare_hub *hub;
    fanfare_notices *notices;
    client *sleeper;
    fanfare_event event;
    /* To `flood`. */
    fanfare_publication publication;
} full;

static void full_init_with(full *full, fanfare_hub *hub)
{
    full->hub = hub;
    full->notices = notices_new();
    full->sleeper = client_new_small(hub_listen(full->hub), "flood");
    full->event = event_of("x");
    full->publication = fanfare_publication_of(flood, 1, &full->event);
    publish_until_full_ms(full->hub, "flood", 500);
}

static void full_init(full *full)
{
    full_init_with(full, hub_new_narrow(100));
}

static void full_free(full *full)
{
    fanfare_hub_free(full->hub);
    fanfare_notices_free(full->notices);
}

static fanfare_status ask(const full *full, uint64_t token)
{
    return fanfare_hub_notify_space(full->hub, full->notices, token, &full->publication);
}

/* Whether nothing is told, though the doorbell may have rung for what was added. */
static int is_quiet(const full *full)
{
    fanfare_notice notice;

    return drain(full->notices, &notice, 1) == 0 && !notices_ring(full->notices);
}

static void expect_space(const full *full, uint64_t token)
{
    fanfare_notice notice = notices_next(full->notices);

    CHECK_EQ(notice.kind, FANFARE_NOTICE_SPACE);
    CHECK_EQ(notice.token, token);
    CHECK(notice.at_unix_ms > 1577836800000u);
    /* It was the only one, and its source is gone. */
    CHECK_EQ(fanfare_notices_remove(full->notices, token), FANFARE_ERR_STALE);
}

static void told_once(void)
{
    fanfare_topic *topic = NULL;
    const fanfare_topic *handles[1];
    full full;
    int i;

    full_init(&full);
    CHECK_EQ(fanfare_topic_new(flood[0], &topic), FANFARE_OK);
    for (i = 0; i < 2; i++) {
        CHECK_EQ(ask(&full, 7 + (uint64_t)i), FANFARE_OK);
        CHECK(is_quiet(&full));
        CHECK_EQ(publish(full.hub, "flood", &full.event), FANFARE_ERR_FULL);
        handles[0] = topic;
        full.publication = fanfare_publication_to(handles, 1, NULL);
    }
    client_free(full.sleeper);
    expect_space(&full, 7);
    expect_space(&full, 8);
    CHECK(is_quiet(&full));
    CHECK_EQ(publish(full.hub, "flood", &full.event), FANFARE_OK);
    CHECK(is_quiet(&full));
    fanfare_topic_free(topic);
    full_free(&full);
}

static void told_at_once(void)
{
    full full;

    full_init(&full);
    /* Another topic has space, and so has this one for what is spread over a time. */
    full.publication = fanfare_publication_of(quiet, 1, NULL);
    CHECK_EQ(ask(&full, 1), FANFARE_OK);
    expect_space(&full, 1);
    full.event.window_ms = 1000;
    full.publication = fanfare_publication_of(flood, 1, &full.event);
    CHECK_EQ(ask(&full, 2), FANFARE_OK);
    expect_space(&full, 2);
    /* Nothing will be published to a topic that is finished. */
    full.publication = fanfare_publication_of(flood, 1, NULL);
    CHECK_EQ(ask(&full, 3), FANFARE_OK);
    CHECK(is_quiet(&full));
    CHECK_EQ(fanfare_hub_finish(full.hub, flood[0], NULL, 0, NULL), FANFARE_OK);
    expect_space(&full, 3);
    CHECK_EQ(ask(&full, 4), FANFARE_OK);
    expect_space(&full, 4);
    /* If it were cut off, there would be space. */
    CHECK_EQ(metrics_of(full.hub).connections, 1);
    client_free(full.sleeper);
    full_free(&full);
}

static void told_of_the_close(void)
{
    full full;

    full_init(&full);
    CHECK_EQ(ask(&full, 1), FANFARE_OK);
    CHECK(is_quiet(&full));
    CHECK_EQ(fanfare_hub_close(full.hub), FANFARE_OK);
    expect_space(&full, 1);
    CHECK_EQ(ask(&full, 2), FANFARE_OK);
    expect_space(&full, 2);
    CHECK_EQ(fanfare_hub_publish_wait(full.hub, &full.publication, 0, NULL), FANFARE_ERR_CLOSED);
    client_free(full.sleeper);
    full_free(&full);

    full_init(&full);
    CHECK_EQ(ask(&full, 3), FANFARE_OK);
    CHECK(is_quiet(&full));
    fanfare_hub_free(full.hub);
    full.hub = NULL;
    expect_space(&full, 3);
    client_free(full.sleeper);
    full_free(&full);
}

static void told_of_the_hub(void)
{
    fanfare_options options = options_new();
    fanfare_publication none = fanfare_publication_of(NULL, 0, NULL);
    fanfare_event spread = event_of("x");
    full full;

    /* A topic that is full is nothing to the hub. */
    full_init(&full);
    full.publication = none;
    CHECK_EQ(ask(&full, 1), FANFARE_OK);
    expect_space(&full, 1);
    client_free(full.sleeper);
    full_free(&full);

    options.topic_backlog_bytes_max = 1 << 30;
    options.backlog_bytes_max = 1;
    full_init_with(&full, hub_new_lagging(&options, 100));
    spread.window_ms = 1000;
    full.publication = fanfare_publication_of(NULL, 0, &spread);
    CHECK_EQ(ask(&full, 1), FANFARE_OK);
    expect_space(&full, 1);
    full.publication = none;
    CHECK_EQ(ask(&full, 2), FANFARE_OK);
    CHECK(is_quiet(&full));
    client_free(full.sleeper);
    expect_space(&full, 2);
    full_free(&full);
}

static void taken_back(void)
{
    full full;

    full_init(&full);
    CHECK_EQ(ask(&full, 1), FANFARE_OK);
    CHECK_EQ(ask(&full, 2), FANFARE_OK);
    CHECK(is_quiet(&full));
    CHECK_EQ(fanfare_notices_remove(full.notices, 1), FANFARE_OK);
    client_free(full.sleeper);
    expect_space(&full, 2);
    CHECK(is_quiet(&full));
    full_free(&full);
}

static void bounded(void)
{
    full full;
    unsigned i;

    full_init(&full);
    for (i = 0; i < 65536; i++) {
        CHECK_EQ(ask(&full, 1), FANFARE_OK);
    }
    CHECK_EQ(ask(&full, 2), FANFARE_ERR_LIMIT);
    CHECK_EQ(fanfare_notices_remove(full.notices, 2), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_notices_remove(full.notices, 1), FANFARE_OK);
    CHECK_EQ(ask(&full, 2), FANFARE_OK);
    CHECK(is_quiet(&full));
    client_free(full.sleeper);
    expect_space(&full, 2);
    full_free(&full);
}

static void refused(void)
{
    const fanfare_text wrong[] = {{"a+", 2}}, many[65] = {{"a", 1}};
    fanfare_hub *hub = hub_new();
    fanfare_notices *notices = notices_new();
    fanfare_event event = event_of("x");
    fanfare_publication good = fanfare_publication_of(flood, 1, NULL), bad;

    CHECK_EQ(fanfare_hub_notify_space(NULL, notices, 1, &good), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_notify_space(hub, NULL, 1, &good), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_notify_space(hub, notices, 1, NULL), FANFARE_ERR_ARGUMENT);
    bad = fanfare_publication_of(NULL, 1, NULL);
    CHECK_EQ(fanfare_hub_notify_space(hub, notices, 1, &bad), FANFARE_ERR_ARGUMENT);
    bad = fanfare_publication_of(wrong, 1, NULL);
    CHECK_EQ(fanfare_hub_notify_space(hub, notices, 1, &bad), FANFARE_ERR_TOPIC);
    bad = fanfare_publication_of(many, 65, NULL);
    CHECK_EQ(fanfare_hub_notify_space(hub, notices, 1, &bad), FANFARE_ERR_TOO_MANY);
    event.size = 1;
    bad = fanfare_publication_of(flood, 1, &event);
    CHECK_EQ(fanfare_hub_notify_space(hub, notices, 1, &bad), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_notices_remove(notices, 1), FANFARE_ERR_STALE);
    fanfare_notices_free(notices);
    fanfare_hub_free(hub);
}

#define THREADS 8
#define EACH 100

/* Publishes as an event loop does: what finds no space is published when the notice comes. */
static void *publish_when_told(void *argument)
{
    const fanfare_hub *hub = argument;
    fanfare_notices *notices = notices_new();
    fanfare_event event = event_of("x");
    fanfare_publication publication = fanfare_publication_of(flood, 1, &event);
    int i;

    for (i = 0; i < EACH; i++) {
        fanfare_status status;

        while ((status = fanfare_hub_publish_wait(hub, &publication, 0, NULL)) == FANFARE_ERR_FULL) {
            CHECK_EQ(fanfare_hub_notify_space(hub, notices, 5, &publication), FANFARE_OK);
            CHECK_EQ(notices_next(notices).kind, FANFARE_NOTICE_SPACE);
        }
        CHECK_EQ(status, FANFARE_OK);
    }
    fanfare_notices_free(notices);
    return NULL;
}

static void never_lost(void)
{
    fanfare_hub *hub = hub_new_narrow(100);
    client *reader = client_new(hub_listen(hub), "flood");
    pthread_t threads[THREADS];
    received got;
    int i;

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, publish_when_told, hub) == 0);
    }
    for (i = 0; i < THREADS * EACH; i++) {
        CHECK(client_next(reader, &got));
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(metrics_of(hub).full_events > 0);
    client_free(reader);
    fanfare_hub_free(hub);
}

const test tests_of_space[] = {
    {"a publisher that found no space is told once when there is", told_once},
    {"an ask for space is answered at once when there is nothing to wait for", told_at_once},
    {"an ask for space without topics is for the hub's alone", told_of_the_hub},
    {"an ask for space is answered when the hub is closed, or freed", told_of_the_close},
    {"an ask for space is taken back by its token", taken_back},
    {"asks for space are bounded", bounded},
    {"an ask for space needs its pointers, and topics", refused},
    {"publishers on eight threads that are told of space publish everything", never_lost},
    {NULL, NULL},
};
