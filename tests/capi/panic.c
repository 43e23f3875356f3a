/* Panics inside of the library. Only one that is built for these tests has the means to provoke them. */

#include "check.h"

#ifdef FANFARE_TESTING

#include "client.h"

/* Has the next call of this thread panic. */
void fanfare_testing_panic_next(void);

/* Ends the test unless a call panics inside, and returns that it has. */
#define CHECK_PANICS(call) (fanfare_testing_panic_next(), CHECK_EQ(call, FANFARE_ERR_PANIC))

static void comes_back_as_its_code(void)
{
    const fanfare_text name = {"t", 1};
    fanfare_hub *hub = hub_new(), *other = NULL;
    client *client = client_new(hub_listen(hub), "t");
    fanfare_topic *topic = topic_new("t"), *other_topic = NULL;
    fanfare_event event = event_of("x");
    fanfare_publication publication = fanfare_publication_of(&name, 1, &event);
    fanfare_options options = options_new();
    fanfare_topic_options topic_options = fanfare_topic_options_defaults();
    fanfare_drain_options drain_options = fanfare_drain_options_defaults();
    fanfare_drained drained = fanfare_drained_empty();
    fanfare_metrics metrics = fanfare_metrics_empty();
    fanfare_rule rule = fanfare_rule_empty();
    fanfare_rules *rules = NULL;
    fanfare_event_id id = id_untouched();
    fanfare_text problem, bounds;
    size_t count = 77;
    uint16_t port = 0xbeef;
    uint32_t removed = 77;
    received got;

    CHECK_PANICS(fanfare_options_init(&options));
    CHECK_PANICS(fanfare_options_problem(&options, &problem, &bounds));
    CHECK_PANICS(fanfare_hub_new(&options, &other));
    CHECK_PANICS(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &port));
    CHECK_PANICS(fanfare_hub_close(hub));
    CHECK_PANICS(fanfare_topic_new(name, &other_topic));
    CHECK_PANICS(fanfare_hub_publish(hub, name, &event, &id));
    CHECK_PANICS(fanfare_hub_publish_to(hub, topic, &event, &id));
    CHECK_PANICS(fanfare_hub_publish_wait(hub, &publication, UINT64_MAX, &id));
    CHECK_PANICS(fanfare_hub_publish_many(hub, &publication, 1, UINT64_MAX, &id, &count));
    CHECK_PANICS(fanfare_hub_finish(hub, name, &event, UINT64_MAX, &id));
    CHECK_PANICS(fanfare_hub_finish_topic(hub, topic, &event, UINT64_MAX, &id));
    CHECK_PANICS(fanfare_topic_options_init(&topic_options));
    CHECK_PANICS(fanfare_topic_options_problem(&topic_options, &problem, &bounds));
    CHECK_PANICS(fanfare_hub_set_rule(hub, name, &topic_options));
    CHECK_PANICS(fanfare_hub_remove_rule(hub, name, &removed));
    CHECK_PANICS(fanfare_hub_rules(hub, &rules));
    CHECK_PANICS(fanfare_rules_get(rules, 0, &rule));
    CHECK_PANICS(fanfare_drain_options_init(&drain_options));
    CHECK_PANICS(fanfare_drain_options_problem(&drain_options, &problem, &bounds));
    CHECK_PANICS(fanfare_hub_drain(hub, &drain_options, &drained));
    CHECK_PANICS(fanfare_hub_metrics(hub, &metrics));
    CHECK_PANICS(fanfare_hub_prometheus(hub, NULL, 0, &count));
    CHECK(other == NULL && other_topic == NULL && rules == NULL);
    CHECK(id_is_untouched(&id) && count == 77 && removed == 77 && port == 0xbeef);
    /* After all of these the hub is as it was. */
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "x");
    client_free(client);
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
}

const test tests_of_panic[] = {
    {"a panic inside comes back as its code, from each function, and changes nothing",
     comes_back_as_its_code},
    {NULL, NULL},
};

#else

const test tests_of_panic[] = {{NULL, NULL}};

#endif
