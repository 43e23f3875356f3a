/* Topics by handle. */

#include "check.h"
#include "client.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define EVENTS_EACH 500

static void free_null(void)
{
    fanfare_topic_free(NULL);
}

static void bad_names(void)
{
    static const fanfare_text bad[] = {
        {"", 0}, {NULL, 0}, {"a+b", 3}, {"#", 1}, {"a\nb", 3}, {"a\0b", 3}, {"\xff", 1},
    };
    static const fanfare_text impossible[] = {{NULL, 1}, {"t", SIZE_MAX}};
    char longest[257];
    fanfare_topic *const untouched = (fanfare_topic *)(void *)longest;
    fanfare_topic *topic = untouched;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(fanfare_topic_new(bad[i], &topic), FANFARE_ERR_TOPIC);
    }
    for (i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        CHECK_EQ(fanfare_topic_new(impossible[i], &topic), FANFARE_ERR_ARGUMENT);
    }
    CHECK_EQ(fanfare_topic_new(FANFARE_TEXT("t"), NULL), FANFARE_ERR_ARGUMENT);
    memset(longest, 'x', sizeof longest);
    CHECK_EQ(fanfare_topic_new(fanfare_text_of(longest, 257), &topic), FANFARE_ERR_TOPIC);
    CHECK(topic == untouched);
    CHECK_EQ(fanfare_topic_new(fanfare_text_of(longest, 256), &topic), FANFARE_OK);
    fanfare_topic_free(topic);
}

static void delivered(void)
{
    fanfare_hub *hub = hub_new(), *other = hub_new();
    client *client = client_new(hub_listen(hub), "t"), *at_other = client_new(hub_listen(other), "t");
    char name[] = "t";
    fanfare_topic *topic = topic_new(name);
    fanfare_event event = event_of("one");
    fanfare_event_id id;
    received got;

    /* The name is the caller's again. */
    name[0] = 'x';
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, &event, &id), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "one");
    CHECK_ID(id, got.id);
    /* By name it is the same topic, and one handle serves several hubs, in turn. */
    event = event_of("two");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK_EQ(fanfare_hub_publish_to(other, topic, &event, NULL), FANFARE_OK);
    event = event_of("three");
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, &event, NULL), FANFARE_OK);
    fanfare_topic_free(topic);
    CHECK(client_next(at_other, &got));
    CHECK_TEXT(got.data, "two");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "two");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "three");
    client_free(client);
    client_free(at_other);
    fanfare_hub_free(other);
    fanfare_hub_free(hub);
}

static void refused(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_topic *topic = topic_new("t");
    fanfare_event event = event_of("x"), bad = event_of("\xff");
    fanfare_event_id id = id_untouched();

    CHECK_EQ(fanfare_hub_publish_to(NULL, topic, &event, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_publish_to(hub, NULL, &event, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, NULL, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, &bad, &id), FANFARE_ERR_UTF8);
    bad = event_of("x");
    bad.size = 1;
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, &bad, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, &event, &id), FANFARE_ERR_CLOSED);
    CHECK(id_is_untouched(&id));
    fanfare_hub_free(hub);
    /* The handle outlives the hub. */
    hub = hub_new();
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, &event, &id), FANFARE_OK);
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
}

static void topics_that_come_and_go(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    fanfare_topic *topics[64];
    fanfare_event event = event_of("x");
    received got;
    client *client;
    uint16_t port;
    size_t i, round;

    /* Nothing is kept: a topic is known as long as a client wants it. */
    options.history_events_max = 0;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    port = hub_listen(hub);
    for (i = 0; i < 64; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", (unsigned)i);
        topics[i] = topic_new(name);
    }
    for (round = 0; round < 4; round++) {
        char name[16], data[16];
        /* Another topic each time is where the one before was. */
        snprintf(name, sizeof name, "t%u", (unsigned)round);
        client = client_new(port, name);
        for (i = 0; i < 64; i++) {
            snprintf(data, sizeof data, "for %u", (unsigned)i);
            event = event_of(data);
            CHECK_EQ(fanfare_hub_publish_to(hub, topics[i], &event, NULL), FANFARE_OK);
        }
        snprintf(data, sizeof data, "for %u", (unsigned)round);
        CHECK(client_next(client, &got));
        CHECK_TEXT(got.data, data);
        event = event_of("last");
        CHECK_EQ(fanfare_hub_publish_to(hub, topics[round], &event, NULL), FANFARE_OK);
        CHECK(client_next(client, &got));
        CHECK_TEXT(got.data, "last");
        client_free(client);
    }
    for (i = 0; i < 64; i++) {
        fanfare_topic_free(topics[i]);
    }
    fanfare_hub_free(hub);
}

typedef struct {
    const fanfare_hub *hub;
    const fanfare_topic *topic;
} shared;

static void *publish_all(void *argument)
{
    const shared *shared = argument;
    fanfare_event event = event_of("x");
    unsigned i;

    for (i = 0; i < EVENTS_EACH; i++) {
        CHECK_EQ(fanfare_hub_publish_to(shared->hub, shared->topic, &event, NULL), FANFARE_OK);
    }
    return NULL;
}

static void published_from_threads(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    fanfare_topic *topic = topic_new("t");
    pthread_t threads[THREADS];
    client *client;
    shared shared;
    unsigned i;

    /* All of it fits into the backlog. */
    options.topic_backlog_bytes_max = 16 << 20;
    options.lag_bytes_max = 64 << 20;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    client = client_new(hub_listen(hub), "t");
    shared.hub = hub;
    shared.topic = topic;
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, publish_all, &shared) == 0);
    }
    for (i = 0; i < THREADS * EVENTS_EACH; i++) {
        received got;
        CHECK(client_next(client, &got));
        CHECK_TEXT(got.data, "x");
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    client_free(client);
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
}

/* -1 when one of the two is neither a topic nor a filter. */
static int covers(const char *subscription, const char *other)
{
    uint32_t out = 7;
    fanfare_status status = fanfare_subscription_covers(fanfare_text_of_string(subscription),
                                                        fanfare_text_of_string(other), &out);

    if (status != FANFARE_OK) {
        CHECK_EQ(status, FANFARE_ERR_SUBSCRIPTION);
        CHECK_EQ(out, 7);
        return -1;
    }
    return (int)out;
}

static void covered(void)
{
    static const struct {
        const char *subscription, *other;
        int covers;
    } pairs[] = {
        {"a", "a", 1},       {"a", "b", 0},        {"a", "a/b", 0},     {"a/#", "a", 1},
        {"a/#", "a/b/c", 1}, {"a/#", "a/+", 1},    {"a/#", "a/b/#", 1}, {"a/#", "ab", 0},
        {"a/+", "a/b", 1},   {"a/+", "a/b/c", 0},  {"a/+", "a/#", 0},   {"#", "+/b", 1},
        {"#", "$a", 0},      {"+/b", "$a/b", 0},   {"$a/#", "$a/b", 1}, {"a", "a/#", 0},
        {"+/#", "#", 0},     {"a+", "a", -1},      {"a", "a/#/b", -1},  {"", "a", -1},
        {"a", NULL, -1},     {"a", "\xff", -1},
    };
    static const fanfare_text impossible = {NULL, 1};
    char longest[257];
    uint32_t out = 7;
    size_t i;

    for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        CHECK_EQ(covers(pairs[i].subscription, pairs[i].other), pairs[i].covers);
    }
    memset(longest, 'x', sizeof longest);
    CHECK_EQ(fanfare_subscription_covers(FANFARE_TEXT("#"), fanfare_text_of(longest, 257), &out),
             FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(fanfare_subscription_covers(impossible, FANFARE_TEXT("a"), &out), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(out, 7);
    CHECK_EQ(fanfare_subscription_covers(FANFARE_TEXT("#"), FANFARE_TEXT("a"), NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_subscription_covers(FANFARE_TEXT("#"), fanfare_text_of(longest, 256), &out), FANFARE_OK);
    CHECK_EQ(out, 1);
}

const test tests_of_topic[] = {
    {"free of a topic that is NULL does nothing", free_null},
    {"a handle is made of the name of a topic alone", bad_names},
    {"what is published to a handle is delivered as by name, in each hub", delivered},
    {"what is wrong is refused with a handle as well, and a closed hub refuses all", refused},
    {"a handle finds its topic when others have come and gone", topics_that_come_and_go},
    {"a topic or filter covers what it stands for", covered},
    {"threads publish to one handle at once, and nothing is lost", published_from_threads},
    {NULL, NULL},
};
