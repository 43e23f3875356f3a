/* What is counted, as a struct and as a text. */

#include "check.h"
#include "client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8

static void counted(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    uint16_t port;
    client *client;
    fanfare_event event = event_of("x");
    fanfare_metrics metrics;
    uint64_t latencies = 0;
    received got;
    size_t i;

    options.connections_max = 7;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    port = hub_listen(hub);
    client = client_new(port, "t");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK_EQ(publish(hub, "other", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    metrics = metrics_of(hub);
    CHECK_EQ(metrics.living_shards, 2);
    CHECK_EQ(metrics.connections_max, 7);
    CHECK_EQ(metrics.connections, 1);
    CHECK_EQ(metrics.accepted_connections, 1);
    CHECK_EQ(metrics.topics, 1);
    CHECK_EQ(metrics.known_topics, 2);
    CHECK_EQ(metrics.subscriptions, 1);
    CHECK_EQ(metrics.published_events, 2);
    CHECK_EQ(metrics.kept_events, 2);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    client_expect_end(client);
    client_free(client);
    /* It can be read when the hub is closed. */
    metrics = metrics_of(hub);
    CHECK_EQ(metrics.living_shards, 0);
    CHECK_EQ(metrics.connections, 0);
    CHECK_EQ(metrics.delivered_events, 1);
    CHECK_EQ(metrics.disconnects[FANFARE_DISCONNECT_CLOSED], 1);
    CHECK_EQ(metrics.disconnects[0], 0);
    CHECK(metrics.latency_buckets > 1 && metrics.latency_buckets <= FANFARE_METRICS_REASONS_MAX);
    for (i = 0; i < metrics.latency_buckets; i++) {
        CHECK(i == 0 || metrics.latency_bounds_us[i] > metrics.latency_bounds_us[i - 1]);
        latencies += metrics.latency_counts[i];
    }
    CHECK(metrics.latency_bounds_us[i - 1] == UINT64_MAX);
    CHECK_EQ(latencies, 1);
    CHECK(metrics.latency_sum_ns > 0);
    fanfare_hub_free(hub);
}

static void gaps(void)
{
    fanfare_hub *hub = hub_new();
    client *client = client_new_after(hub_listen(hub), "t", "nothing-known");
    received got;

    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "fanfare-gap");
    CHECK_EQ(metrics_of(hub).gap_events[FANFARE_GAP_UNKNOWN_ID], 1);
    CHECK_EQ(metrics_of(hub).gap_events[FANFARE_GAP_SLOW], 0);
    client_free(client);
    fanfare_hub_free(hub);
}

static void sizes(void)
{
    struct {
        fanfare_metrics metrics;
        unsigned char later[16];
    } grown;
    fanfare_hub *hub = hub_new();
    fanfare_metrics metrics, before;
    size_t i;

    memset(&metrics, 0x5a, sizeof metrics);
    /* Smaller than in the first version. */
    metrics.size = offsetof(fanfare_metrics, journal_failing) - 1;
    before = metrics;
    CHECK_EQ(fanfare_hub_metrics(hub, &metrics), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_metrics(NULL, &metrics), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_metrics(hub, NULL), FANFARE_ERR_ARGUMENT);
    metrics.size = before.size = SIZE_MAX;
    CHECK_EQ(fanfare_hub_metrics(hub, &metrics), FANFARE_ERR_ARGUMENT);
    CHECK(memcmp(&metrics, &before, sizeof metrics) == 0);
    metrics.size = before.size = offsetof(fanfare_metrics, journal_failing);
    CHECK_EQ(fanfare_hub_metrics(hub, &metrics), FANFARE_OK);
    CHECK_EQ(metrics.living_shards, 2);
    CHECK_EQ(metrics.journal_failing, before.journal_failing);
    memset(&grown, 0xa5, sizeof grown);
    grown.metrics.size = sizeof grown;
    CHECK_EQ(fanfare_hub_metrics(hub, &grown.metrics), FANFARE_OK);
    CHECK_EQ(grown.metrics.living_shards, 2);
    CHECK_EQ(grown.metrics.size, sizeof grown);
    for (i = 0; i < sizeof grown.later; i++) {
        CHECK_EQ(grown.later[i], 0);
    }
    fanfare_hub_free(hub);
}

static void prometheus(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_topic_options options = fanfare_topic_options_defaults();
    size_t needed = 77, length = 77, i;
    char *buffer;

    CHECK_EQ(fanfare_hub_set_rule(hub, FANFARE_TEXT("run/#"), &options), FANFARE_OK);
    CHECK_EQ(fanfare_hub_prometheus(NULL, NULL, 0, &length), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_prometheus(hub, NULL, 1, &length), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(length, 77);
    CHECK_EQ(fanfare_hub_prometheus(hub, NULL, 0, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_prometheus(hub, NULL, 0, &needed), FANFARE_ERR_BUFFER);
    CHECK(needed > 4096);
    buffer = malloc(needed + 16);
    CHECK(buffer != NULL);
    memset(buffer, 0x5a, needed + 16);
    CHECK_EQ(fanfare_hub_prometheus(hub, buffer, needed - 1, &length), FANFARE_ERR_BUFFER);
    CHECK_EQ(length, needed);
    CHECK_EQ(buffer[0], 0x5a);
    CHECK_EQ(fanfare_hub_prometheus(hub, buffer, needed, &length), FANFARE_OK);
    CHECK_EQ(length, needed);
    for (i = 0; i < 16; i++) {
        CHECK_EQ(buffer[length + i], 0x5a);
    }
    CHECK_EQ(buffer[length - 1], '\n');
    buffer[length] = '\0';
    CHECK(strstr(buffer, "\nfanfare_living_shards 2\n") != NULL);
    CHECK(strstr(buffer, "\nfanfare_rule_topics{rule=\"run/#\"} 0\n") != NULL);
    CHECK(strstr(buffer, "\nfanfare_disconnects_total{reason=\"lagging\"} 0\n") != NULL);
    free(buffer);
    fanfare_hub_free(hub);
}

static void *read_counts(void *argument)
{
    char buffer[32 << 10];
    unsigned i;

    for (i = 0; i < 50; i++) {
        size_t length;
        CHECK_EQ(metrics_of(argument).living_shards, 2);
        CHECK_EQ(fanfare_hub_prometheus(argument, buffer, sizeof buffer, &length), FANFARE_OK);
    }
    return NULL;
}

static void read_from_threads(void)
{
    fanfare_hub *hub = hub_new();
    pthread_t threads[THREADS];
    fanfare_event event = event_of("x");
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, read_counts, hub) == 0);
    }
    for (i = 0; i < 1000; i++) {
        CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQ(metrics_of(hub).published_events, 1000);
    fanfare_hub_free(hub);
}

static void names_of_reasons(void)
{
    fanfare_text name = fanfare_disconnect_reason_name(FANFARE_DISCONNECT_LAGGING);

    CHECK(name.length == 7 && memcmp(name.data, "lagging", 7) == 0);
    name = fanfare_disconnect_reason_name(0);
    CHECK(name.length == 7 && memcmp(name.data, "unknown", 7) == 0);
    name = fanfare_gap_reason_name(FANFARE_GAP_UNKNOWN_ID);
    CHECK(name.length == 10 && memcmp(name.data, "unknown_id", 10) == 0);
    name = fanfare_gap_reason_name(FANFARE_GAP_SLOW);
    CHECK(name.length == 4 && memcmp(name.data, "slow", 4) == 0);
    name = fanfare_gap_reason_name(FANFARE_GAP_LOST);
    CHECK(name.length == 4 && memcmp(name.data, "lost", 4) == 0);
    name = fanfare_gap_reason_name(0);
    CHECK(name.length == 7 && memcmp(name.data, "unknown", 7) == 0);
    name = fanfare_gap_reason_name(FANFARE_GAP_LOST + 1);
    CHECK(name.length == 7 && memcmp(name.data, "unknown", 7) == 0);
}

const test tests_of_metrics[] = {
    {"what a hub counts is read, also when it is closed", counted},
    {"gap events are counted by their reason", gaps},
    {"counts are written into structs of other sizes as far as they go", sizes},
    {"counts are a text for Prometheus, and a buffer that is too small is told its size", prometheus},
    {"threads read counts at once", read_from_threads},
    {"a reason has a name", names_of_reasons},
    {NULL, NULL},
};
