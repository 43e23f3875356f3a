/* What a client gets of what was published. */

#include "check.h"
#include "client.h"

#include <string.h>

static void arrives_as_published(void)
{
    static const char text[] = "Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x8e\xba";
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event event = event_of(text);
    received got;
    fanfare_event_id id = id_untouched(), own = id;

    CHECK_EQ(fanfare_hub_publish(hub, FANFARE_TEXT("t"), &event, &id), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "message");
    CHECK_TEXT(got.data, text);
    CHECK_ID(id, got.id);

    event.name = FANFARE_TEXT("sale");
    event.id = FANFARE_TEXT("my own");
    event.key = FANFARE_TEXT("shoes");
    event.retry_ms = 1234;
    CHECK_EQ(fanfare_hub_publish(hub, FANFARE_TEXT("t"), &event, &own), FANFARE_OK);
    CHECK(own.length > 0 && memcmp(&own, &id, sizeof id) != 0);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "sale");
    CHECK_TEXT(got.id, "my own");
    CHECK_TEXT(got.data, text);
    client_free(client);
    fanfare_hub_free(hub);
}

static void lengths_count(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "topic");
    fanfare_event event = event_of("data and more");
    received got;

    event.data.length = 4;
    event.name = fanfare_text_of("name and more", 4);
    CHECK_EQ(fanfare_hub_publish(hub, fanfare_text_of("topic and more", 5), &event, NULL),
             FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "name");
    CHECK_TEXT(got.data, "data");
    client_free(client);
    fanfare_hub_free(hub);
}

static void texts_are_copied(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    char data[] = "before", name[] = "name";
    fanfare_event event = event_of(data);
    received got;

    event.name = fanfare_text_of_string(name);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    memset(data, '!', sizeof data);
    memset(name, '!', sizeof name);
    memset(&event, 0, sizeof event);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "name");
    CHECK_TEXT(got.data, "before");
    client_free(client);
    fanfare_hub_free(hub);
}

static void line_breaks(void)
{
    static const struct {
        const char *published, *data;
    } cases[] = {
        {"a\nb", "a\nb"},     {"a\r\nb", "a\nb"}, {"a\rb", "a\nb"},          {"a\n", "a\n"},
        {"\n", "\n"},         {"\r\r\n\n", "\n\n\n"}, {"x\ndata: y", "x\ndata: y"},
        {" leading", " leading"}, {"a\n\nid: 7\n\n", "a\n\nid: 7\n\n"},
    };
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fanfare_event event = event_of(cases[i].published);
        received got;
        CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
        CHECK(client_next(client, &got));
        CHECK_TEXT(got.data, cases[i].data);
    }
    client_free(client);
    fanfare_hub_free(hub);
}

static void empty_data(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event empty = event_of(""), id_alone = event_of(NULL), last = event_of("last");
    received got;

    id_alone.id = FANFARE_TEXT("checkpoint");
    CHECK_EQ(publish(hub, "t", &empty), FANFARE_OK);
    CHECK_EQ(publish(hub, "t", &id_alone), FANFARE_OK);
    CHECK_EQ(publish(hub, "t", &last), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "last");
    client_free(client);
    fanfare_hub_free(hub);
}

static char large[1 << 20];

static void largest(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event event = event_of("");
    received got;

    memset(large, 'x', sizeof large);
    event.data = fanfare_text_of(large, sizeof large);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_EQ(strlen(got.data), sizeof large);
    CHECK(memcmp(got.data, large, sizeof large) == 0);
    client_free(client);
    fanfare_hub_free(hub);
}

static void topics_are_apart(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "mine");
    fanfare_event event = event_of("not mine");
    received got;

    CHECK_EQ(publish(hub, "yours", &event), FANFARE_OK);
    event = event_of("mine");
    CHECK_EQ(publish(hub, "mine", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "mine");
    client_free(client);
    fanfare_hub_free(hub);
}

const test tests_of_delivery[] = {
    {"an event arrives as it was published, with the hub's id or its own", arrives_as_published},
    {"a text is as long as its length says, and needs no NUL", lengths_count},
    {"texts are copied before publish returns", texts_are_copied},
    {"CR, LF and CRLF in data are line breaks, and inject nothing", line_breaks},
    {"empty data is delivered, and an id alone fires nothing", empty_data},
    {"the largest event arrives whole", largest},
    {"a client gets what is published to its topic alone", topics_are_apart},
    {NULL, NULL},
};
