/* Rules of topics. */

#include "check.h"
#include "client.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define RULES_MAX 1024

static int is_text(fanfare_text text, const char *expected)
{
    return text.length == strlen(expected) && memcmp(text.data, expected, text.length) == 0;
}

static fanfare_status set(const fanfare_hub *hub, const char *subscription,
                          const fanfare_topic_options *options)
{
    return fanfare_hub_set_rule(hub, fanfare_text_of_string(subscription), options);
}

static void set_and_listed(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_topic_options options = fanfare_topic_options_defaults();
    fanfare_event event = event_of("x");
    fanfare_rules *rules = NULL;
    fanfare_rule rule = fanfare_rule_empty();
    size_t i;
    uint32_t removed = 77;

    CHECK_EQ(options.history_events_max, FANFARE_UNSET);
    CHECK_EQ(options.history_bytes_max, FANFARE_UNSET);
    CHECK_EQ(options.history_age_max_ms, FANFARE_UNSET);
    CHECK_EQ(options.finished_age_max_ms, FANFARE_UNSET);
    CHECK_EQ(options.policy, 0);
    options.history_events_max = 2;
    options.history_age_max_ms = 60000;
    options.policy = FANFARE_POLICY_CONFLATE;
    CHECK_EQ(set(hub, "run/#", &options), FANFARE_OK);
    CHECK_EQ(set(hub, "run/#", &options), FANFARE_OK);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(publish(hub, "run/7", &event), FANFARE_OK);
    }
    CHECK_EQ(fanfare_hub_rules(hub, &rules), FANFARE_OK);
    CHECK_EQ(fanfare_rules_count(rules), 1);
    CHECK_EQ(fanfare_hub_remove_rule(hub, FANFARE_TEXT("run/#"), &removed), FANFARE_OK);
    CHECK_EQ(removed, 1);
    CHECK_EQ(fanfare_hub_remove_rule(hub, FANFARE_TEXT("run/#"), &removed), FANFARE_OK);
    CHECK_EQ(removed, 0);
    CHECK_EQ(fanfare_hub_remove_rule(hub, FANFARE_TEXT("run/#"), NULL), FANFARE_OK);
    fanfare_hub_free(hub);
    /* The list is as it was, and its texts are its own. */
    CHECK_EQ(fanfare_rules_get(rules, 0, &rule), FANFARE_OK);
    CHECK(is_text(rule.subscription, "run/#"));
    CHECK_EQ(rule.history_events_max, 2);
    CHECK_EQ(rule.history_bytes_max, FANFARE_UNSET);
    CHECK_EQ(rule.history_age_max_ms, 60000);
    CHECK_EQ(rule.finished_age_max_ms, FANFARE_UNSET);
    CHECK_EQ(rule.policy, FANFARE_POLICY_CONFLATE);
    CHECK_EQ(rule.topics, 1);
    CHECK_EQ(rule.finished_topics, 0);
    CHECK_EQ(rule.kept_events, 2);
    CHECK(rule.kept_bytes > 2 * 256);
    CHECK_EQ(rule.size, sizeof rule);
    fanfare_rules_free(rules);
}

static void refused(void)
{
    static const char *const bad[] = {"", "a+", "#/a", "a\nb", "\xff"};
    fanfare_hub *hub = hub_new();
    fanfare_topic_options options = fanfare_topic_options_defaults(), given;
    fanfare_text name, bounds, none = fanfare_text_of(NULL, 0), impossible = fanfare_text_of(NULL, 1);
    uint32_t removed = 77;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(set(hub, bad[i], &options), FANFARE_ERR_SUBSCRIPTION);
        CHECK_EQ(fanfare_hub_remove_rule(hub, fanfare_text_of_string(bad[i]), &removed),
                 FANFARE_ERR_SUBSCRIPTION);
    }
    CHECK_EQ(fanfare_hub_set_rule(hub, none, &options), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(fanfare_hub_set_rule(hub, impossible, &options), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_remove_rule(hub, impossible, &removed), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_remove_rule(NULL, FANFARE_TEXT("a"), &removed), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(set(NULL, "a", &options), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(set(hub, "a", NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(removed, 77);

    given = options;
    given.history_age_max_ms = 7 * 86400000 + 1;
    CHECK_EQ(set(hub, "a", &given), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_topic_options_problem(&given, &name, &bounds), FANFARE_OK);
    CHECK(is_text(name, "history_age_max_ms") && is_text(bounds, "at most 7 days"));
    given = options;
    given.finished_age_max_ms = UINT64_MAX - 1;
    CHECK_EQ(fanfare_topic_options_problem(&given, &name, &bounds), FANFARE_OK);
    CHECK(is_text(name, "finished_age_max_ms"));
    given = options;
    given.policy = 4;
    CHECK_EQ(set(hub, "a", &given), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_topic_options_problem(&given, &name, &bounds), FANFARE_OK);
    CHECK(is_text(name, "policy") && bounds.length > 0);
    given = options;
    given.reserved = 1;
    CHECK_EQ(set(hub, "a", &given), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_topic_options_problem(&given, &name, &bounds), FANFARE_OK);
    CHECK(is_text(name, "reserved") && is_text(bounds, "0"));
    CHECK_EQ(fanfare_topic_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL && bounds.data == NULL);
    CHECK_EQ(fanfare_topic_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_topic_options_problem(&options, NULL, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_topic_options_problem(&options, &name, NULL), FANFARE_ERR_ARGUMENT);
    fanfare_hub_free(hub);
}

static void nothing_kept(void)
{
    fanfare_options hub_options = options_new();
    fanfare_topic_options options = fanfare_topic_options_defaults();
    fanfare_hub *hub = NULL;

    hub_options.history_events_max = 0;
    CHECK_EQ(fanfare_hub_new(&hub_options, &hub), FANFARE_OK);
    options.history_events_max = 1;
    CHECK_EQ(set(hub, "a", &options), FANFARE_ERR_OPTIONS);
    options.history_events_max = 0;
    CHECK_EQ(set(hub, "a", &options), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void sizes(void)
{
    struct {
        fanfare_topic_options options;
        unsigned char later[16];
    } grown;
    struct {
        fanfare_rule rule;
        unsigned char later[16];
    } grown_rule;
    fanfare_hub *hub = hub_new();
    fanfare_rules *rules = NULL;
    fanfare_rule rule = fanfare_rule_empty(), before;
    fanfare_topic_options options = fanfare_topic_options_defaults();
    fanfare_text name, bounds;
    size_t i;

    CHECK_EQ(fanfare_topic_options_init(NULL), FANFARE_ERR_ARGUMENT);
    options.size = offsetof(fanfare_topic_options, policy);
    CHECK_EQ(fanfare_topic_options_init(&options), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(set(hub, "a", &options), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_topic_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);

    memset(&grown, 0xa5, sizeof grown);
    grown.options.size = sizeof grown;
    CHECK_EQ(fanfare_topic_options_init(&grown.options), FANFARE_OK);
    CHECK_EQ(set(hub, "a", &grown.options), FANFARE_OK);
    for (i = 0; i < sizeof grown.later; i++) {
        grown.later[i] = 1;
        CHECK_EQ(set(hub, "a", &grown.options), FANFARE_ERR_OPTIONS);
        CHECK_EQ(fanfare_topic_options_problem(&grown.options, &name, &bounds), FANFARE_OK);
        CHECK(is_text(name, "size"));
        grown.later[i] = 0;
    }

    CHECK_EQ(fanfare_hub_rules(hub, &rules), FANFARE_OK);
    rule.size = sizeof rule - 1;
    before = rule;
    CHECK_EQ(fanfare_rules_get(rules, 0, &rule), FANFARE_ERR_ARGUMENT);
    rule.size = before.size = sizeof rule;
    CHECK_EQ(fanfare_rules_get(rules, 1, &rule), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_rules_get(rules, SIZE_MAX, &rule), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_rules_get(NULL, 0, &rule), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_rules_get(rules, 0, NULL), FANFARE_ERR_ARGUMENT);
    CHECK(memcmp(&rule, &before, sizeof rule) == 0);
    memset(&grown_rule, 0xa5, sizeof grown_rule);
    grown_rule.rule.size = sizeof grown_rule;
    CHECK_EQ(fanfare_rules_get(rules, 0, &grown_rule.rule), FANFARE_OK);
    CHECK_EQ(grown_rule.rule.size, sizeof grown_rule);
    for (i = 0; i < sizeof grown_rule.later; i++) {
        CHECK_EQ(grown_rule.later[i], 0);
    }
    fanfare_rules_free(rules);
    fanfare_rules_free(NULL);
    rules = NULL;
    CHECK_EQ(fanfare_rules_count(NULL), 0);
    CHECK_EQ(fanfare_hub_rules(NULL, &rules), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_rules(hub, NULL), FANFARE_ERR_ARGUMENT);
    CHECK(rules == NULL);
    fanfare_hub_free(hub);
}

static void *set_many(void *hub)
{
    static unsigned next;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    fanfare_topic_options options = fanfare_topic_options_defaults();
    unsigned i;

    options.history_events_max = 1;
    for (i = 0; i < RULES_MAX / THREADS; i++) {
        fanfare_rules *rules;
        char name[32];
        size_t count;

        CHECK(pthread_mutex_lock(&lock) == 0);
        snprintf(name, sizeof name, "rule/%u", next++);
        CHECK(pthread_mutex_unlock(&lock) == 0);
        CHECK_EQ(set(hub, name, &options), FANFARE_OK);
        if (i % 16 == 0) {
            CHECK_EQ(fanfare_hub_rules(hub, &rules), FANFARE_OK);
            count = fanfare_rules_count(rules);
            CHECK(count > i && count <= RULES_MAX);
            fanfare_rules_free(rules);
        }
    }
    return NULL;
}

static void many_from_threads(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_topic_options options = fanfare_topic_options_defaults();
    fanfare_rules *rules;
    pthread_t threads[THREADS];
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, set_many, hub) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQ(fanfare_hub_rules(hub, &rules), FANFARE_OK);
    CHECK_EQ(fanfare_rules_count(rules), RULES_MAX);
    fanfare_rules_free(rules);
    CHECK_EQ(set(hub, "one/more", &options), FANFARE_ERR_LIMIT);
    CHECK_EQ(set(hub, "rule/0", &options), FANFARE_OK);
    fanfare_hub_free(hub);
}

const test tests_of_rules[] = {
    {"a rule is set, holds, is listed with what its topics hold, and is removed", set_and_listed},
    {"a rule of no topic or filter, or with an option out of its bounds, is refused", refused},
    {"a rule keeps nothing in a hub that keeps nothing", nothing_kept},
    {"structs of rules of other sizes are taken or refused as options are", sizes},
    {"threads set and list rules at once, up to the most that there may be", many_from_threads},
    {NULL, NULL},
};
