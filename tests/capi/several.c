/* Events of several topics, many events in one call, and what else an event may have. */

#include "check.h"
#include "client.h"
#include "narrow.h"

#include <pthread.h>
#include <string.h>

#define THREADS 8
#define EVENTS_EACH 300

static fanfare_status publish_publication(const fanfare_hub *hub, const fanfare_publication *publication)
{
    fanfare_event_id id = id_untouched();
    fanfare_status status = fanfare_hub_publish_wait(hub, publication, 0, &id);

    CHECK((status == FANFARE_OK) == !id_is_untouched(&id));
    return status;
}

static void to_several_topics(void)
{
    const fanfare_text names[] = {{"a", 1}, {"b", 1}};
    fanfare_hub *hub = hub_new();
    uint16_t port = hub_listen(hub);
    client *of_a = client_new(port, "a"), *of_both = client_new(port, "b&topic=c");
    fanfare_topic *c = topic_new("c");
    const fanfare_topic *const handles[] = {c};
    fanfare_event event = event_of("shared"), last = event_of("last");
    fanfare_publication publication = fanfare_publication_of(names, 2, &event);
    fanfare_event_id id;
    received got;

    /* Names and handles together. */
    publication.handles = handles;
    publication.handles_count = 1;
    CHECK_EQ(fanfare_hub_publish_wait(hub, &publication, 0, &id), FANFARE_OK);
    publication = fanfare_publication_to(handles, 1, &last);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_OK);
    CHECK(client_next(of_a, &got));
    CHECK_TEXT(got.data, "shared");
    CHECK_ID(id, got.id);
    /* A client that wants two of the topics has it once. */
    CHECK(client_next(of_both, &got));
    CHECK_TEXT(got.data, "shared");
    CHECK_ID(id, got.id);
    CHECK(client_next(of_both, &got));
    CHECK_TEXT(got.data, "last");
    client_free(of_a);
    client_free(of_both);
    fanfare_topic_free(c);
    fanfare_hub_free(hub);
}

static void bad_publications(void)
{
    fanfare_text names[65];
    const fanfare_topic *handles[65];
    fanfare_hub *hub = hub_new();
    fanfare_topic *topic = topic_new("t");
    fanfare_event event = event_of("x");
    fanfare_publication publication;
    size_t i;

    for (i = 0; i < 65; i++) {
        names[i] = FANFARE_TEXT("t");
        handles[i] = topic;
    }
    publication = fanfare_publication_of(names, 64, &event);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_OK);
    CHECK_EQ(publish_publication(NULL, &publication), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(publish_publication(hub, NULL), FANFARE_ERR_ARGUMENT);
    publication.topics_count = 65;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_TOO_MANY);
    publication.topics_count = SIZE_MAX;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_TOO_MANY);
    publication.handles = handles;
    publication.handles_count = 1;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_TOO_MANY);
    publication.topics_count = 64;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_TOO_MANY);
    publication.topics_count = 63;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_OK);
    handles[0] = NULL;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_ARGUMENT);
    publication = fanfare_publication_to(handles, 1, &event);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_ARGUMENT);
    publication.handles = NULL;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_ARGUMENT);
    publication.handles_count = 0;
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_ARGUMENT);
    publication = fanfare_publication_of(NULL, 1, &event);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_ARGUMENT);
    publication = fanfare_publication_of(names, 2, NULL);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_ARGUMENT);
    publication = fanfare_publication_of(names, 2, &event);
    names[1] = FANFARE_TEXT("a#");
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_TOPIC);
    names[1] = fanfare_text_of(NULL, 0);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_TOPIC);
    names[1] = fanfare_text_of(NULL, 1);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_ARGUMENT);
    names[1] = FANFARE_TEXT("u");
    event = event_of("\xff");
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_UTF8);
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
}

static void all_or_none(void)
{
    const fanfare_text names[] = {{"open", 4}, {"over", 4}};
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "open");
    fanfare_event event = event_of("to both"), good = event_of("to one");
    fanfare_publication publication = fanfare_publication_of(names, 2, &event);
    received got;

    CHECK_EQ(fanfare_hub_finish(hub, FANFARE_TEXT("over"), NULL, 0, NULL), FANFARE_OK);
    CHECK_EQ(publish_publication(hub, &publication), FANFARE_ERR_FINISHED);
    CHECK_EQ(publish(hub, "open", &good), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "to one");
    client_free(client);
    fanfare_hub_free(hub);
}

static void many(void)
{
    const fanfare_text names[] = {{"a", 1}, {"b", 1}};
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "a");
    fanfare_topic *topic = topic_new("a");
    const fanfare_topic *const handles[] = {topic};
    fanfare_event one = event_of("one"), two = event_of("two"), bad = event_of("\xff");
    fanfare_publication all[4];
    fanfare_event_id ids[4];
    size_t count = 77;
    received got;

    ids[0] = ids[1] = ids[2] = ids[3] = id_untouched();
    all[0] = fanfare_publication_of(names, 2, &one);
    all[1] = fanfare_publication_to(handles, 1, &two);
    all[2] = fanfare_publication_of(names, 1, &bad);
    all[3] = fanfare_publication_of(names, 1, &one);
    CHECK_EQ(fanfare_hub_publish_many(hub, all, 4, 0, ids, &count), FANFARE_ERR_UTF8);
    CHECK_EQ(count, 2);
    CHECK(id_is_untouched(&ids[2]) && id_is_untouched(&ids[3]));
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "one");
    CHECK_ID(ids[0], got.id);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "two");
    CHECK_ID(ids[1], got.id);
    /* The one that was refused is left out, and it goes on behind it. */
    CHECK_EQ(fanfare_hub_publish_many(hub, all + 3, 1, UINT64_MAX, NULL, &count), FANFARE_OK);
    CHECK_EQ(count, 1);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "one");
    CHECK_EQ(fanfare_hub_publish_many(hub, NULL, 0, 0, NULL, &count), FANFARE_OK);
    CHECK_EQ(count, 0);
    client_free(client);
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
}

static void bad_lists(void)
{
    const fanfare_text name = {"t", 1};
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("x");
    fanfare_publication publication = fanfare_publication_of(&name, 1, &event);
    fanfare_event_id id = id_untouched();
    size_t count = 77;

    CHECK_EQ(fanfare_hub_publish_many(hub, &publication, 1, 0, &id, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_publish_many(NULL, &publication, 1, 0, &id, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(count, 0);
    count = 77;
    CHECK_EQ(fanfare_hub_publish_many(hub, NULL, 1, 0, &id, &count), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(count, 0);
    CHECK_EQ(fanfare_hub_publish_many(hub, &publication, SIZE_MAX, 0, &id, &count),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_publish_many(hub, &publication, 1, 0, &id, &count), FANFARE_ERR_CLOSED);
    CHECK_EQ(count, 0);
    CHECK(id_is_untouched(&id));
    fanfare_hub_free(hub);
}

static void full_in_the_middle(void)
{
    const fanfare_text quiet = {"quiet", 5}, flood = {"flood", 5};
    fanfare_hub *hub = hub_new_narrow(100);
    uint16_t port = hub_listen(hub);
    client *sleeper = client_new_small(port, "flood"), *other = client_new(port, "quiet");
    fanfare_event event = event_of("x");
    fanfare_publication all[3];
    size_t count = 77;
    received got;

    all[0] = fanfare_publication_of(&quiet, 1, &event);
    all[1] = fanfare_publication_of(&flood, 1, &event);
    all[2] = all[0];
    publish_until_full_ms(hub, "flood", 500);
    CHECK_EQ(fanfare_hub_publish_many(hub, all, 3, 0, NULL, &count), FANFARE_ERR_FULL);
    CHECK_EQ(count, 1);
    CHECK(client_next(other, &got));
    CHECK_EQ(fanfare_hub_publish_many(hub, all + 1, 2, 20, NULL, &count), FANFARE_ERR_TIMEOUT);
    CHECK_EQ(count, 0);
    client_free(sleeper);
    CHECK_EQ(fanfare_hub_publish_many(hub, all + 1, 2, DEADLINE_MS, NULL, &count), FANFARE_OK);
    CHECK_EQ(count, 2);
    CHECK(client_next(other, &got));
    client_free(other);
    fanfare_hub_free(hub);
}

static void *publish_lists(void *argument)
{
    const fanfare_text names[] = {{"a", 1}, {"b", 1}};
    fanfare_event event = event_of("x");
    fanfare_publication all[10];
    size_t i, count = 0;

    for (i = 0; i < 10; i++) {
        all[i] = fanfare_publication_of(names, 2, &event);
    }
    for (i = 0; i < EVENTS_EACH / 10; i++) {
        CHECK_EQ(fanfare_hub_publish_many(argument, all, 10, DEADLINE_MS, NULL, &count), FANFARE_OK);
        CHECK_EQ(count, 10);
    }
    return NULL;
}

static void many_from_threads(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "a&topic=b");
    pthread_t threads[THREADS];
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, publish_lists, hub) == 0);
    }
    for (i = 0; i < THREADS * EVENTS_EACH; i++) {
        received got;
        CHECK(client_next(client, &got));
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    client_free(client);
    fanfare_hub_free(hub);
}

static void comments_and_windows(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    fanfare_event event = event_of("spread");
    client *client;
    received got;

    options.event_bytes_max = 8;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    client = client_new(hub_listen(hub), "t");
    event.window_ms = 300001;
    CHECK_EQ(publish(hub, "t", &event), FANFARE_ERR_EVENT);
    event.window_ms = UINT64_MAX;
    CHECK_EQ(publish(hub, "t", &event), FANFARE_ERR_EVENT);
    /* Far longer than the test may take: it comes because the next event takes it along. */
    event.window_ms = 300000;
    event.comment = FANFARE_TEXT("no");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    event = event_of(NULL);
    event.comment = FANFARE_TEXT("alone");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    event = event_of("next");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "spread");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "next");
    event.comment = FANFARE_TEXT("12345");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_ERR_TOO_LARGE);
    event.comment = FANFARE_TEXT("\xff");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_ERR_UTF8);
    event.comment = fanfare_text_of(NULL, 1);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_ERR_ARGUMENT);
    client_free(client);
    fanfare_hub_free(hub);
}

static void first_version(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event event = event_of("x");
    received got;

    /* Behind what the struct says it has, nothing is looked at. */
    event.size = offsetof(fanfare_event, comment);
    event.comment = FANFARE_TEXT("\xff");
    event.window_ms = UINT64_MAX;
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    event.size = offsetof(fanfare_event, window_ms);
    event.comment = FANFARE_TEXT("fine");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK(client_next(client, &got));
    client_free(client);
    fanfare_hub_free(hub);
}

const test tests_of_several[] = {
    {"an event of several topics comes once, by name and by handle", to_several_topics},
    {"a publication without topics, with too many or a wrong one is refused", bad_publications},
    {"an event that one of its topics refuses is published to none", all_or_none},
    {"many events are published in one call, up to the first that is refused", many},
    {"a list of events that is none is refused, and the count says 0", bad_lists},
    {"a list ends where a topic is full, and goes on from there", full_in_the_middle},
    {"threads publish lists at once, and nothing is lost", many_from_threads},
    {"an event has a comment, and a window within its bounds", comments_and_windows},
    {"an event of the first version has neither", first_version},
    {NULL, NULL},
};
