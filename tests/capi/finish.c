/* Finishing topics. */

#include "check.h"
#include "client.h"
#include "narrow.h"

static void ends_the_stream(void)
{
    fanfare_hub *hub = hub_new();
    uint16_t port = hub_listen(hub);
    client *client = client_new(port, "run");
    fanfare_event event = event_of("text"), last = event_of("done");
    fanfare_event_id id, untouched = id_untouched();
    received got;

    CHECK_EQ(publish(hub, "run", &event), FANFARE_OK);
    CHECK_EQ(fanfare_hub_finish(hub, FANFARE_TEXT("run"), &last, 0, &id), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "text");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "done");
    CHECK_ID(id, got.id);
    CHECK(!client_next(client, &got));
    client_free(client);
    CHECK_EQ(fanfare_hub_publish(hub, FANFARE_TEXT("run"), &event, &untouched), FANFARE_ERR_FINISHED);
    CHECK_EQ(fanfare_hub_finish(hub, FANFARE_TEXT("run"), NULL, 0, &untouched), FANFARE_ERR_FINISHED);
    CHECK_EQ(fanfare_hub_finish(hub, FANFARE_TEXT("run"), &last, 20, &untouched), FANFARE_ERR_FINISHED);
    CHECK(id_is_untouched(&untouched));
    fanfare_hub_free(hub);
}

static void by_handle(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "run");
    fanfare_topic *topic = topic_new("run"), *unused = topic_new("unused");
    fanfare_event event = event_of("x");
    fanfare_event_id id = id_untouched();
    received got;

    CHECK_EQ(fanfare_hub_finish_topic(hub, topic, NULL, 0, &id), FANFARE_OK);
    CHECK(id.length > 0 && !id_is_untouched(&id));
    CHECK(!client_next(client, &got));
    CHECK_EQ(fanfare_hub_publish_to(hub, topic, &event, NULL), FANFARE_ERR_FINISHED);
    CHECK_EQ(fanfare_hub_finish_topic(hub, topic, NULL, UINT64_MAX, NULL), FANFARE_ERR_FINISHED);
    CHECK_EQ(fanfare_hub_finish_topic(hub, unused, &event, 0, NULL), FANFARE_OK);
    client_free(client);
    fanfare_topic_free(topic);
    fanfare_topic_free(unused);
    fanfare_hub_free(hub);
}

static void refused(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_topic *topic = topic_new("t");
    fanfare_text name = FANFARE_TEXT("t");
    fanfare_event event = event_of("x");
    fanfare_event_id id = id_untouched();

    CHECK_EQ(fanfare_hub_finish(NULL, name, NULL, 0, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_finish(hub, FANFARE_TEXT(""), NULL, 0, &id), FANFARE_ERR_TOPIC);
    CHECK_EQ(fanfare_hub_finish(hub, fanfare_text_of(NULL, 0), NULL, 0, &id), FANFARE_ERR_TOPIC);
    CHECK_EQ(fanfare_hub_finish(hub, fanfare_text_of(NULL, 1), NULL, 0, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_finish_topic(NULL, topic, NULL, 0, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_finish_topic(hub, NULL, NULL, 0, &id), FANFARE_ERR_ARGUMENT);
    event.window_ms = 1;
    CHECK_EQ(fanfare_hub_finish(hub, name, &event, 0, &id), FANFARE_ERR_EVENT);
    event = event_of("\xff");
    CHECK_EQ(fanfare_hub_finish(hub, name, &event, 0, &id), FANFARE_ERR_UTF8);
    event = event_of("x");
    event.size = 1;
    CHECK_EQ(fanfare_hub_finish(hub, name, &event, 0, &id), FANFARE_ERR_ARGUMENT);
    /* After all of these it is as it was. */
    event = event_of("x");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_finish(hub, name, NULL, 0, &id), FANFARE_ERR_CLOSED);
    CHECK_EQ(fanfare_hub_finish_topic(hub, topic, NULL, 0, &id), FANFARE_ERR_CLOSED);
    CHECK(id_is_untouched(&id));
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
}

static void waits_for_space(void)
{
    fanfare_hub *hub = hub_new_narrow(100);
    client *sleeper = client_new_small(hub_listen(hub), "flood");
    fanfare_text name = FANFARE_TEXT("flood");
    fanfare_event last = event_of("last");
    fanfare_event_id id = id_untouched();

    publish_until_full_ms(hub, "flood", 500);
    CHECK_EQ(fanfare_hub_finish(hub, name, &last, 0, &id), FANFARE_ERR_FULL);
    CHECK_EQ(fanfare_hub_finish(hub, name, &last, 20, &id), FANFARE_ERR_TIMEOUT);
    CHECK(id_is_untouched(&id));
    client_free(sleeper);
    CHECK_EQ(fanfare_hub_finish(hub, name, &last, DEADLINE_MS, &id), FANFARE_OK);
    CHECK(!id_is_untouched(&id));
    fanfare_hub_free(hub);
}

const test tests_of_finish[] = {
    {"a topic is finished with a last event, its stream ends, and it takes no more", ends_the_stream},
    {"a topic is finished by its handle, also one that nothing was published to", by_handle},
    {"what is wrong leaves the topic as it was", refused},
    {"the last event waits for space, and without it the topic is as it was", waits_for_space},
    {NULL, NULL},
};
