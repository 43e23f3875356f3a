/* Memory that another thread writes to while the library reads it. That is a race, by intent: a
 * thread sanitizer would report it, and these tests say nothing under one. */

#include "check.h"
#include "client.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

/* Long enough that the writer comes between two looks at the same byte. */
#define DATA_LEN (64 << 10)
#define FIELD_LEN 64
/* The number of events that have to be taken, and of those that have to be refused. */
#define EVENTS 200

static struct {
    volatile char data[DATA_LEN], name[FIELD_LEN], id[FIELD_LEN], topic[2];
    volatile int over;
} shared;

/* Gives way now and then, as valgrind, which runs one thread at a time, may run no other else. The
 * number has no factor in common with that of the states, so that the others find each of them. */
static void give_way(void)
{
    static unsigned calls;

    if (++calls % 7 == 0) {
        sched_yield();
    }
}

static void write_all(char data, char name, char id, char topic)
{
    volatile int rest;

    shared.data[DATA_LEN / 2] = data;
    shared.name[FIELD_LEN / 2] = name;
    shared.id[FIELD_LEN / 2] = id;
    shared.topic[1] = topic;
    for (rest = 0; rest < 300; rest++) {
    }
    give_way();
}

/* Writes what is a line break, no UTF-8, or no topic, and back again. */
static void *flip(void *argument)
{
    while (!shared.over) {
        write_all((char)0xff, 'x', 'x', 't');
        write_all('x', 'x', 'x', 't');
        write_all('\n', 'x', 'x', 't');
        write_all('x', '\n', 'x', 't');
        write_all('x', 'x', 'x', 't');
        write_all('x', 'x', '\r', 't');
        write_all('x', 'x', 'x', 't');
        write_all('x', 'x', 'x', '#');
        write_all('x', 'x', 'x', 't');
    }
    return argument;
}

static void expect_what_was_checked(const received *got)
{
    CHECK_EQ(strlen(got->data), DATA_LEN);
    CHECK_EQ(strspn(got->data, "x\n"), DATA_LEN);
    CHECK_EQ(strlen(got->name), FIELD_LEN);
    CHECK_EQ(strspn(got->name, "x"), FIELD_LEN);
    CHECK_EQ(strlen(got->id), FIELD_LEN);
    CHECK_EQ(strspn(got->id, "x"), FIELD_LEN);
}

static void flipped_texts(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    client *client;
    unsigned taken = 0, refused = 0;
    int64_t deadline = now_ms() + 2 * DEADLINE_MS;
    pthread_t thread;
    fanfare_event event = event_of(NULL);
    fanfare_text topic;

    /* A client may have an event before the engine counts that it has been sent. */
    options.topic_backlog_bytes_max = 16 << 20;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    client = client_new(hub_listen(hub), "tt");
    memset((void *)&shared, 'x', sizeof shared);
    memset((void *)shared.topic, 't', sizeof shared.topic);
    shared.over = 0;
    topic = fanfare_text_of((const char *)shared.topic, sizeof shared.topic);
    event.data = fanfare_text_of((const char *)shared.data, DATA_LEN);
    event.name = fanfare_text_of((const char *)shared.name, FIELD_LEN);
    event.id = fanfare_text_of((const char *)shared.id, FIELD_LEN);
    CHECK(pthread_create(&thread, NULL, flip, NULL) == 0);
    while (taken < EVENTS || refused < EVENTS) {
        received got;
        fanfare_status code = fanfare_hub_publish(hub, topic, &event, NULL);
        if (now_ms() >= deadline) {
            /* Threads take few turns under valgrind on a busy machine: of each some are enough. */
            CHECK(taken > 0 && refused > 0);
            break;
        }
        if (code != FANFARE_OK) {
            CHECK(code == FANFARE_ERR_UTF8 || code == FANFARE_ERR_EVENT
                  || code == FANFARE_ERR_TOPIC);
            refused++;
            continue;
        }
        taken++;
        CHECK(client_next(client, &got));
        expect_what_was_checked(&got);
    }
    shared.over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    client_free(client);
    fanfare_hub_free(hub);
}

static struct {
    volatile fanfare_event event;
    volatile fanfare_options options;
    volatile int over;
} structs;

/* Sizes that are known and that are not, and lengths that are too long. */
static void *resize(void *argument)
{
    while (!structs.over) {
        structs.event.size = 1;
        structs.options.size = 1;
        give_way();
        structs.event.data.length = SIZE_MAX;
        structs.event.size = sizeof structs.event;
        give_way();
        structs.options.size = sizeof structs.options;
        structs.event.data.length = 5;
        give_way();
    }
    return argument;
}

static void resized_structs(void)
{
    const struct timespec pause = {0, 100000};
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event event = event_of("hello");
    fanfare_options options = options_new();
    unsigned taken = 0, refused = 0;
    int64_t deadline = now_ms() + 2 * DEADLINE_MS;
    pthread_t thread;

    structs.event = event;
    structs.options = options;
    CHECK(pthread_create(&thread, NULL, resize, NULL) == 0);
    while (taken < EVENTS || refused < EVENTS) {
        received got;
        fanfare_hub *other = NULL;
        fanfare_status code = fanfare_hub_publish(
            hub, FANFARE_TEXT("t"), (const fanfare_event *)&structs.event, NULL);
        if (now_ms() >= deadline) {
            /* Threads take few turns under valgrind on a busy machine: of each some are enough. */
            CHECK(taken > 0 && refused > 0);
            break;
        }
        if (code == FANFARE_OK) {
            taken++;
            CHECK(client_next(client, &got));
            CHECK_TEXT(got.data, "hello");
        } else {
            CHECK(code == FANFARE_ERR_ARGUMENT || code == FANFARE_ERR_TOO_LARGE);
            refused++;
        }
        if ((taken + refused) % 100 == 0) {
            code = fanfare_hub_new((const fanfare_options *)&structs.options, &other);
            CHECK(code == FANFARE_OK || code == FANFARE_ERR_ARGUMENT);
            fanfare_hub_free(other);
            nanosleep(&pause, NULL);
        }
    }
    structs.over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    client_free(client);
    fanfare_hub_free(hub);
}

static struct {
    volatile fanfare_text names[3];
    volatile fanfare_publication publication;
    const fanfare_topic *volatile handle;
    volatile char name[2];
    volatile int over;
} lists;

/* Counts and lengths that are right and too long, names that are topics and are not, and handles. */
static void *shuffle(void *argument)
{
    const fanfare_topic *handle = argument;

    while (!lists.over) {
        lists.publication.topics_count = 65;
        give_way();
        lists.publication.topics_count = 3;
        lists.names[1].length = SIZE_MAX;
        give_way();
        lists.names[1].length = 2;
        lists.name[1] = '#';
        give_way();
        lists.name[1] = 't';
        lists.handle = NULL;
        give_way();
        lists.handle = handle;
        lists.publication.handles_count = 0;
        give_way();
        lists.publication.handles_count = 1;
        give_way();
    }
    return NULL;
}

static void shuffled_lists(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "tt");
    fanfare_topic *topic = topic_new("by-handle");
    fanfare_event event = event_of("hello");
    unsigned taken = 0, refused = 0;
    int64_t deadline = now_ms() + 2 * DEADLINE_MS;
    pthread_t thread;
    size_t i;

    memset((void *)lists.name, 't', sizeof lists.name);
    for (i = 0; i < 3; i++) {
        lists.names[i] = fanfare_text_of((const char *)lists.name, sizeof lists.name);
    }
    lists.handle = topic;
    lists.publication = fanfare_publication_of((const fanfare_text *)lists.names, 3, &event);
    lists.publication.handles = (const fanfare_topic *const *)&lists.handle;
    lists.publication.handles_count = 1;
    lists.over = 0;
    CHECK(pthread_create(&thread, NULL, shuffle, topic) == 0);
    while (taken < EVENTS || refused < EVENTS) {
        size_t count = 77;
        fanfare_event_id id = id_untouched();
        fanfare_status code = fanfare_hub_publish_many(
            hub, (const fanfare_publication *)&lists.publication, 1, 0, &id, &count);
        received got;
        if (now_ms() >= deadline) {
            /* Threads take few turns under valgrind on a busy machine: of each some are enough. */
            CHECK(taken > 0 && refused > 0);
            break;
        }
        CHECK_EQ(count, code == FANFARE_OK);
        CHECK_EQ(id_is_untouched(&id), code != FANFARE_OK);
        if (code == FANFARE_OK) {
            taken++;
            CHECK(client_next(client, &got));
            CHECK_TEXT(got.data, "hello");
        } else {
            CHECK(code == FANFARE_ERR_ARGUMENT || code == FANFARE_ERR_TOO_MANY
                  || code == FANFARE_ERR_TOPIC || code == FANFARE_ERR_FULL);
            refused++;
        }
    }
    lists.over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    client_free(client);
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
}

const test tests_of_memory[] = {
    {"texts that change during the call are published as they were checked, or refused",
     flipped_texts},
    {"structs that change during the call are read once", resized_structs},
    {"lists that change during the call are read once", shuffled_lists},
    {NULL, NULL},
};
