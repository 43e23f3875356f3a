/* What publish refuses, and that then nothing was published. */

#include "check.h"
#include "client.h"

#include <string.h>
#include <time.h>

#define UNTOUCHED 0x1234567890abcdefULL

static int32_t publish_to(const fanfare_hub *hub, const char *topic, size_t topic_len,
                          const fanfare_event *event)
{
    uint64_t sequence = UNTOUCHED;
    int32_t code = fanfare_hub_publish(hub, topic, topic_len, event, &sequence);

    CHECK((code == FANFARE_OK) == (sequence != UNTOUCHED));
    return code;
}

static int32_t publish_event(const fanfare_hub *hub, const fanfare_event *event)
{
    return publish_to(hub, "t", 1, event);
}

static void numbers_from_one(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("x");
    uint64_t sequence = 0;

    CHECK_EQ(fanfare_hub_publish(hub, "a", 1, &event, &sequence), FANFARE_OK);
    CHECK_EQ(sequence, 1);
    CHECK_EQ(fanfare_hub_publish(hub, "b", 1, &event, NULL), FANFARE_OK);
    CHECK_EQ(fanfare_hub_publish(hub, "", 0, &event, &sequence), FANFARE_ERR_TOPIC);
    CHECK_EQ(fanfare_hub_publish(hub, "a", 1, &event, &sequence), FANFARE_OK);
    CHECK_EQ(sequence, 3);
    fanfare_hub_free(hub);
}

static void bad_topics(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},     {NULL, 0},    {"a+b", 3},   {"#", 1},         {"a\nb", 3},  {"a\0b", 3},
        {"\x7f", 1}, {"\xff", 1},  {"a\xc3", 2}, {"\xc2\x85", 2},  {"\r", 1},
    };
    char longest[257];
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("x");
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(publish_to(hub, bad[i].bytes, bad[i].len, &event), FANFARE_ERR_TOPIC);
    }
    memset(longest, 'x', sizeof longest);
    CHECK_EQ(publish_to(hub, longest, 257, &event), FANFARE_ERR_TOPIC);
    CHECK_EQ(publish_to(hub, longest, 256, &event), FANFARE_OK);
    fanfare_hub_free(hub);
}

typedef struct {
    const char *text;
    size_t len;
    int32_t code;
} text_case;

static char long_text[257];

/* What each of name, id and key makes of the same texts. */
static const text_case names[] = {
    {"a name", 6, FANFARE_OK},          {long_text, 256, FANFARE_OK},
    {"tab\there", 8, FANFARE_OK},       {"", 0, FANFARE_ERR_EVENT},
    {long_text, 257, FANFARE_ERR_EVENT}, {"a\nb", 3, FANFARE_ERR_EVENT},
    {"a\rb", 3, FANFARE_ERR_EVENT},     {"a\0b", 3, FANFARE_ERR_EVENT},
    {"\xff", 1, FANFARE_ERR_UTF8},      {NULL, 1, FANFARE_ERR_ARGUMENT},
};
static const text_case ids[] = {
    {"an id", 5, FANFARE_OK},           {long_text, 256, FANFARE_OK},
    {"tab\there", 8, FANFARE_ERR_EVENT}, {"", 0, FANFARE_ERR_EVENT},
    {long_text, 257, FANFARE_ERR_EVENT}, {"a\nb", 3, FANFARE_ERR_EVENT},
    {" a", 2, FANFARE_ERR_EVENT},       {"a ", 2, FANFARE_ERR_EVENT},
    {"\xc3\x28", 2, FANFARE_ERR_UTF8},  {NULL, 1, FANFARE_ERR_ARGUMENT},
};
static const text_case keys[] = {
    {"a key", 5, FANFARE_OK},           {long_text, 256, FANFARE_OK},
    {"any\nthing\0", 10, FANFARE_OK},   {"", 0, FANFARE_ERR_EVENT},
    {long_text, 257, FANFARE_ERR_EVENT}, {"\xed\xa0\x80", 3, FANFARE_ERR_UTF8},
    {NULL, 1, FANFARE_ERR_ARGUMENT},
};

static void bad_fields(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event;
    size_t i;

    memset(long_text, 'x', sizeof long_text);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        event = event_of("x");
        event.name = names[i].text;
        event.name_len = names[i].len;
        CHECK_EQ(publish_event(hub, &event), names[i].code);
    }
    for (i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        event = event_of("x");
        event.id = ids[i].text;
        event.id_len = ids[i].len;
        CHECK_EQ(publish_event(hub, &event), ids[i].code);
    }
    for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        event = event_of("x");
        event.key = keys[i].text;
        event.key_len = keys[i].len;
        CHECK_EQ(publish_event(hub, &event), keys[i].code);
    }
    fanfare_hub_free(hub);
}

static void nothing_in_it(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of(NULL);

    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_EVENT);
    event.name = "name";
    event.name_len = 4;
    event.key = "key";
    event.key_len = 3;
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_EVENT);
    /* An id or a reconnection time alone is something. */
    event = event_of(NULL);
    event.id = "7";
    event.id_len = 1;
    CHECK_EQ(publish_event(hub, &event), FANFARE_OK);
    event = event_of(NULL);
    event.retry_ms = UINT32_MAX;
    CHECK_EQ(publish_event(hub, &event), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void bad_data(void)
{
    static const char *const bad[] = {"\xff", "a\x80", "\xc3", "\xed\xa0\x80", "\xf8\x88\x80\x80"};
    fanfare_hub *hub = hub_new();
    fanfare_event event;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        event = event_of(bad[i]);
        CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_UTF8);
    }
    fanfare_hub_free(hub);
}

static void too_large(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    fanfare_event event = event_of("12345678");

    options.event_bytes_max = 8;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK_EQ(publish_event(hub, &event), FANFARE_OK);
    event = event_of("123456789");
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_TOO_LARGE);
    fanfare_hub_free(hub);
}

static void bad_arguments(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("x");

    CHECK_EQ(publish_event(NULL, &event), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(publish_event(hub, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(publish_to(hub, NULL, 1, &event), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(publish_to(hub, "t", SIZE_MAX, &event), FANFARE_ERR_ARGUMENT);
    event.data_len = SIZE_MAX;
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_ARGUMENT);
    event.data = NULL;
    event.data_len = 1;
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_ARGUMENT);
    event = event_of("x");
    event.size = offsetof(fanfare_event, retry_ms);
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_ARGUMENT);
    event.size = 0;
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_ARGUMENT);
    fanfare_hub_free(hub);
}

static void later_events(void)
{
    struct {
        fanfare_event event;
        unsigned char later[64];
    } grown;
    fanfare_hub *hub = hub_new();
    size_t i;

    memset(&grown, 0, sizeof grown);
    grown.event = event_of("x");
    grown.event.size = sizeof grown;
    CHECK_EQ(publish_event(hub, &grown.event), FANFARE_OK);
    for (i = 0; i < sizeof grown.later; i++) {
        grown.later[i] = 1;
        CHECK_EQ(publish_event(hub, &grown.event), FANFARE_ERR_EVENT);
        grown.later[i] = 0;
    }
    grown.event.size = 4097;
    CHECK_EQ(publish_event(hub, &grown.event), FANFARE_ERR_ARGUMENT);
    fanfare_hub_free(hub);
}

/* A hub that takes hardly anything while it waits for one that does not read, which it does for a
 * share of the time; at 100 percent it never disconnects it. */
static fanfare_hub *hub_new_narrow(uint64_t lag_grace_percent)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;

    options.topic_backlog_bytes_max = 1;
    options.lag_bytes_max = 1;
    options.lag_age_max_ms = 10 * DEADLINE_MS;
    options.lag_grace_ms = 10 * DEADLINE_MS;
    options.lag_grace_percent = lag_grace_percent;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    return hub;
}

static char flood_bytes[64 << 10];

/* Publishes until the topic stays full for so long. */
static void publish_until_full_ms(const fanfare_hub *hub, const char *topic, int64_t full_ms)
{
    const struct timespec pause = {0, 1000000};
    int64_t deadline = now_ms() + DEADLINE_MS, since = now_ms();
    fanfare_event event = event_of("");

    memset(flood_bytes, 'x', sizeof flood_bytes);
    event.data = flood_bytes;
    event.data_len = sizeof flood_bytes;
    while (now_ms() - since < full_ms) {
        int32_t code = publish_to(hub, topic, strlen(topic), &event);
        CHECK(now_ms() < deadline);
        if (code == FANFARE_OK) {
            since = now_ms();
        } else {
            CHECK_EQ(code, FANFARE_ERR_FULL);
            nanosleep(&pause, NULL);
        }
    }
}

/* Publishes, trying again while the topic is full. */
static void publish_with_room(const fanfare_hub *hub, const char *topic, const fanfare_event *event)
{
    const struct timespec pause = {0, 1000000};
    int64_t deadline = now_ms() + DEADLINE_MS;
    int32_t code;

    while ((code = publish(hub, topic, event)) != FANFARE_OK) {
        CHECK_EQ(code, FANFARE_ERR_FULL);
        CHECK(now_ms() < deadline);
        nanosleep(&pause, NULL);
    }
}

static void full(void)
{
    fanfare_hub *hub = hub_new_narrow(100);
    uint16_t port = hub_listen(hub);
    client *sleeper = client_new_small(port, "flood");
    client *other = client_new(port, "quiet");
    fanfare_event event = event_of("still room");
    received got;

    publish_until_full_ms(hub, "flood", 500);
    CHECK_EQ(publish(hub, "quiet", &event), FANFARE_OK);
    CHECK(client_next(other, &got));
    CHECK_TEXT(got.data, "still room");
    /* Closing the one that does not read makes room again. */
    client_free(sleeper);
    publish_with_room(hub, "flood", &event);
    client_free(other);
    fanfare_hub_free(hub);
}

/* A connection that has just come is waited for at 100 percent alone, as the test above has it. */
static void not_waited_for(void)
{
    static const uint64_t percents[] = {0, 1};
    size_t i, j;

    for (i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        fanfare_hub *hub = hub_new_narrow(percents[i]);
        client *sleeper = client_new_small(hub_listen(hub), "flood");
        fanfare_event event = event_of("");

        memset(flood_bytes, 'x', sizeof flood_bytes);
        event.data = flood_bytes;
        event.data_len = sizeof flood_bytes;
        /* Far more than the sockets' buffers take. */
        for (j = 0; j < 200; j++) {
            publish_with_room(hub, "flood", &event);
        }
        client_expect_end(sleeper);
        client_free(sleeper);
        fanfare_hub_free(hub);
    }
}

static void refused_is_not_delivered(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event bad = event_of("x\xff"), good = event_of("good");
    received got;

    CHECK_EQ(publish_event(hub, &bad), FANFARE_ERR_UTF8);
    bad = event_of("bad");
    bad.name = "a\nb";
    bad.name_len = 3;
    CHECK_EQ(publish_event(hub, &bad), FANFARE_ERR_EVENT);
    CHECK_EQ(publish_event(hub, &good), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "good");
    CHECK_TEXT(strchr(got.id, '-'), "-1");
    client_free(client);
    fanfare_hub_free(hub);
}

const test tests_of_publish[] = {
    {"events are numbered from 1 over all topics, and refused ones have no number",
     numbers_from_one},
    {"a topic that is none is refused", bad_topics},
    {"a name, id or key that no client gets back is refused", bad_fields},
    {"an event with nothing in it is refused, and one with an id or retry alone is not",
     nothing_in_it},
    {"data that is not UTF-8 is refused", bad_data},
    {"an event larger than event_bytes_max is refused", too_large},
    {"NULLs, impossible lengths and unknown sizes are refused", bad_arguments},
    {"an event of a later version is taken, unless it has something that is unknown here",
     later_events},
    {"a topic is full while a client does not read, other topics are not, and it ends", full},
    {"a client that does not read is disconnected if lag_grace_percent has it", not_waited_for},
    {"a refused event is delivered to nobody", refused_is_not_delivered},
    {NULL, NULL},
};
