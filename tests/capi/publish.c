/* What publish refuses, and that then nothing was published. */

#include "check.h"
#include "client.h"
#include "narrow.h"

#include <string.h>
#include <time.h>

static fanfare_status publish_to(const fanfare_hub *hub, fanfare_text topic,
                                 const fanfare_event *event)
{
    fanfare_event_id id = id_untouched();
    fanfare_status status = fanfare_hub_publish(hub, topic, event, &id);

    CHECK((status == FANFARE_OK) == !id_is_untouched(&id));
    return status;
}

static fanfare_status publish_event(const fanfare_hub *hub, const fanfare_event *event)
{
    return publish_to(hub, FANFARE_TEXT("t"), event);
}

static void ids_of_their_own(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("x");
    fanfare_event_id ids[16];
    size_t i, j;

    for (i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        fanfare_text topic = i % 2 == 0 ? FANFARE_TEXT("a") : FANFARE_TEXT("b");
        CHECK_EQ(fanfare_hub_publish(hub, topic, &event, &ids[i]), FANFARE_OK);
        CHECK(ids[i].length > 0 && ids[i].length <= FANFARE_EVENT_ID_BYTES_MAX);
        for (j = 0; j < i; j++) {
            CHECK(memcmp(&ids[i], &ids[j], sizeof ids[i]) != 0);
        }
    }
    fanfare_hub_free(hub);
}

static void bad_topics(void)
{
    static const fanfare_text bad[] = {
        {"", 0},     {NULL, 0},    {"a+b", 3},   {"#", 1},         {"a\nb", 3},  {"a\0b", 3},
        {"\x7f", 1}, {"\xff", 1},  {"a\xc3", 2}, {"\xc2\x85", 2},  {"\r", 1},
    };
    char longest[257];
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("x");
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(publish_to(hub, bad[i], &event), FANFARE_ERR_TOPIC);
    }
    memset(longest, 'x', sizeof longest);
    CHECK_EQ(publish_to(hub, fanfare_text_of(longest, 257), &event), FANFARE_ERR_TOPIC);
    CHECK_EQ(publish_to(hub, fanfare_text_of(longest, 256), &event), FANFARE_OK);
    fanfare_hub_free(hub);
}

typedef struct {
    fanfare_text text;
    fanfare_status code;
} text_case;

static char long_text[257];

/* What each of name, id and key makes of the same texts. */
static const text_case names[] = {
    {{"a name", 6}, FANFARE_OK},          {{long_text, 256}, FANFARE_OK},
    {{"tab\there", 8}, FANFARE_OK},       {{"", 0}, FANFARE_ERR_EVENT},
    {{long_text, 257}, FANFARE_ERR_EVENT}, {{"a\nb", 3}, FANFARE_ERR_EVENT},
    {{"a\rb", 3}, FANFARE_ERR_EVENT},     {{"a\0b", 3}, FANFARE_ERR_EVENT},
    {{"\xff", 1}, FANFARE_ERR_UTF8},      {{NULL, 1}, FANFARE_ERR_ARGUMENT},
};
static const text_case ids[] = {
    {{"an id", 5}, FANFARE_OK},           {{long_text, 256}, FANFARE_OK},
    {{"tab\there", 8}, FANFARE_ERR_EVENT}, {{"", 0}, FANFARE_ERR_EVENT},
    {{long_text, 257}, FANFARE_ERR_EVENT}, {{"a\nb", 3}, FANFARE_ERR_EVENT},
    {{" a", 2}, FANFARE_ERR_EVENT},       {{"a ", 2}, FANFARE_ERR_EVENT},
    {{"\xc3\x28", 2}, FANFARE_ERR_UTF8},  {{NULL, 1}, FANFARE_ERR_ARGUMENT},
};
static const text_case keys[] = {
    {{"a key", 5}, FANFARE_OK},           {{long_text, 256}, FANFARE_OK},
    {{"any\nthing\0", 10}, FANFARE_OK},   {{"", 0}, FANFARE_ERR_EVENT},
    {{long_text, 257}, FANFARE_ERR_EVENT}, {{"\xed\xa0\x80", 3}, FANFARE_ERR_UTF8},
    {{NULL, 1}, FANFARE_ERR_ARGUMENT},
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
        CHECK_EQ(publish_event(hub, &event), names[i].code);
    }
    for (i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        event = event_of("x");
        event.id = ids[i].text;
        CHECK_EQ(publish_event(hub, &event), ids[i].code);
    }
    for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        event = event_of("x");
        event.key = keys[i].text;
        CHECK_EQ(publish_event(hub, &event), keys[i].code);
    }
    fanfare_hub_free(hub);
}

static void nothing_in_it(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of(NULL);

    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_EVENT);
    event.name = FANFARE_TEXT("name");
    event.key = FANFARE_TEXT("key");
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_EVENT);
    /* An id or a reconnection time alone is something. */
    event = event_of(NULL);
    event.id = FANFARE_TEXT("7");
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
    CHECK_EQ(publish_to(hub, fanfare_text_of(NULL, 1), &event), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(publish_to(hub, fanfare_text_of("t", SIZE_MAX), &event), FANFARE_ERR_ARGUMENT);
    event.data.length = SIZE_MAX;
    CHECK_EQ(publish_event(hub, &event), FANFARE_ERR_ARGUMENT);
    event.data = fanfare_text_of(NULL, 1);
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

/* Publishes, trying again while the topic is full. */
static void publish_when_possible(const fanfare_hub *hub, const char *topic, const fanfare_event *event)
{
    const struct timespec pause = {0, 1000000};
    int64_t deadline = now_ms() + DEADLINE_MS;
    fanfare_status code;

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
    fanfare_event event = event_of("not full");
    received got;

    publish_until_full_ms(hub, "flood", 500);
    CHECK_EQ(publish(hub, "quiet", &event), FANFARE_OK);
    CHECK(client_next(other, &got));
    CHECK_TEXT(got.data, "not full");
    /* When the client that does not read is closed, the backlog is released. */
    client_free(sleeper);
    publish_when_possible(hub, "flood", &event);
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

        event.data = flood_data();
        /* Far more than the sockets' buffers take. */
        for (j = 0; j < 200; j++) {
            publish_when_possible(hub, "flood", &event);
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
    bad.name = FANFARE_TEXT("a\nb");
    CHECK_EQ(publish_event(hub, &bad), FANFARE_ERR_EVENT);
    CHECK_EQ(publish_event(hub, &good), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "good");
    client_free(client);
    fanfare_hub_free(hub);
}

const test tests_of_publish[] = {
    {"each event has an id that no other has, whatever its topic", ids_of_their_own},
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
    {"a refused event is delivered to no client", refused_is_not_delivered},
    {NULL, NULL},
};
