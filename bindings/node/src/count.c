/* What a hub has counted. */

#include "addon.h"

#include <math.h>

static const struct {
    const char *name;
    size_t offset;
} COUNTS[] = {
    {"livingShards", offsetof(fanfare_metrics, living_shards)},
    {"connectionsMax", offsetof(fanfare_metrics, connections_max)},
    {"connections", offsetof(fanfare_metrics, connections)},
    {"pendingConnections", offsetof(fanfare_metrics, pending_connections)},
    {"laggingConnections", offsetof(fanfare_metrics, lagging_connections)},
    {"replayingConnections", offsetof(fanfare_metrics, replaying_connections)},
    {"spreadDeliveries", offsetof(fanfare_metrics, spread_deliveries)},
    {"topics", offsetof(fanfare_metrics, topics)},
    {"knownTopics", offsetof(fanfare_metrics, known_topics)},
    {"filters", offsetof(fanfare_metrics, filters)},
    {"finishedTopics", offsetof(fanfare_metrics, finished_topics)},
    {"subscriptions", offsetof(fanfare_metrics, subscriptions)},
    {"publishedEvents", offsetof(fanfare_metrics, published_events)},
    {"fullEvents", offsetof(fanfare_metrics, full_events)},
    {"deliveredEvents", offsetof(fanfare_metrics, delivered_events)},
    {"deliveredBytes", offsetof(fanfare_metrics, delivered_bytes)},
    {"replayedEvents", offsetof(fanfare_metrics, replayed_events)},
    {"gatheredParts", offsetof(fanfare_metrics, gathered_parts)},
    {"keptEvents", offsetof(fanfare_metrics, kept_events)},
    {"keptBytes", offsetof(fanfare_metrics, kept_bytes)},
    {"heartbeats", offsetof(fanfare_metrics, heartbeats)},
    {"batches", offsetof(fanfare_metrics, batches)},
    {"heldBatches", offsetof(fanfare_metrics, held_batches)},
    {"backlogBytes", offsetof(fanfare_metrics, backlog_bytes)},
    {"lagBytes", offsetof(fanfare_metrics, lag_bytes)},
    {"droppedEvents", offsetof(fanfare_metrics, dropped_events)},
    {"conflatedEvents", offsetof(fanfare_metrics, conflated_events)},
    {"acceptedConnections", offsetof(fanfare_metrics, accepted_connections)},
    {"refusedConnections", offsetof(fanfare_metrics, refused_connections)},
    {"finishedAnswers", offsetof(fanfare_metrics, finished_answers)},
    {"pendingAuthorizations", offsetof(fanfare_metrics, pending_authorizations)},
    {"deniedAuthorizations", offsetof(fanfare_metrics, denied_authorizations)},
    {"failedAuthorizations", offsetof(fanfare_metrics, failed_authorizations)},
    {"lateAuthorizations", offsetof(fanfare_metrics, late_authorizations)},
    {"lostNotices", offsetof(fanfare_metrics, lost_notices)},
    {"interestWatchers", offsetof(fanfare_metrics, interest_watchers)},
    {"owedInterestNotices", offsetof(fanfare_metrics, owed_interest_notices)},
    {"cutGraces", offsetof(fanfare_metrics, cut_graces)},
    {"journalFailing", offsetof(fanfare_metrics, journal_failing)},
    {"journalDiskBytes", offsetof(fanfare_metrics, journal_disk_bytes)},
    {"journalWaitingBytes", offsetof(fanfare_metrics, journal_waiting_bytes)},
    {"journalRecords", offsetof(fanfare_metrics, journal_records)},
    {"journalSyncs", offsetof(fanfare_metrics, journal_syncs)},
    {"journalErrors", offsetof(fanfare_metrics, journal_errors)},
    {"clusterFailing", offsetof(fanfare_metrics, cluster_failing)},
    {"clusterBacklogBytes", offsetof(fanfare_metrics, cluster_backlog_bytes)},
    {"clusterBatches", offsetof(fanfare_metrics, cluster_batches)},
    {"clusterItems", offsetof(fanfare_metrics, cluster_items)},
    {"clusterRefusedItems", offsetof(fanfare_metrics, cluster_refused_items)},
    {"clusterConnects", offsetof(fanfare_metrics, cluster_connects)},
    {"clusterLosses", offsetof(fanfare_metrics, cluster_losses)},
    {"latencySumNs", offsetof(fanfare_metrics, latency_sum_ns)},
};

/* Returns an object of those counts by reason that are not 0. */
static napi_value reasons_value(napi_env env, const uint64_t *counts,
                                fanfare_text (*name_of)(int32_t reason)) {
    napi_value object;
    CHECK(env, napi_create_object(env, &object));
    for (int32_t i = 0; i < FANFARE_METRICS_REASONS_MAX; i++) {
        char name[64];
        fanfare_text text = name_of(i);
        snprintf(name, sizeof(name), "%.*s", (int)text.length, text.data);
        if (counts[i] > 0 && !set_number(env, object, name, (double)counts[i])) {
            return NULL;
        }
    }
    return object;
}

/* Returns an array of pairs: the most microseconds of a bucket, and how many took at most these. */
static napi_value latencies_value(napi_env env, const fanfare_metrics *metrics) {
    napi_value array;
    CHECK(env, napi_create_array_with_length(env, metrics->latency_buckets, &array));
    for (uint32_t i = 0; i < metrics->latency_buckets && i < FANFARE_METRICS_REASONS_MAX; i++) {
        napi_value pair, bound, count;
        uint64_t bound_us = metrics->latency_bounds_us[i];
        CHECK(env, napi_create_double(env, bound_us == UINT64_MAX ? INFINITY : (double)bound_us,
                                      &bound));
        CHECK(env, napi_create_double(env, (double)metrics->latency_counts[i], &count));
        CHECK(env, napi_create_array_with_length(env, 2, &pair));
        CHECK(env, napi_set_element(env, pair, 0, bound));
        CHECK(env, napi_set_element(env, pair, 1, count));
        CHECK(env, napi_set_element(env, array, i, pair));
    }
    return array;
}

/* metrics(hub) -> object, also when the hub is closed */
static napi_value hub_metrics(napi_env env, napi_callback_info info) {
    napi_value args[1], result;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *hub = object_of(env, args[0], OBJECT_HUB);
    if (!hub) {
        return NULL;
    }
    fanfare_metrics metrics = fanfare_metrics_empty();
    fanfare_status code = fanfare_hub_metrics(hub->native, &metrics);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    CHECK(env, napi_create_object(env, &result));
    for (size_t i = 0; i < COUNT_OF(COUNTS); i++) {
        uint64_t count;
        memcpy(&count, (const char *)&metrics + COUNTS[i].offset, sizeof(count));
        if (!set_number(env, result, COUNTS[i].name, (double)count)) {
            return NULL;
        }
    }
    if (!set_value(env, result, "disconnects",
                   reasons_value(env, metrics.disconnects, fanfare_disconnect_reason_name)) ||
        !set_value(env, result, "gapEvents", reasons_value(env, metrics.gap_events, fanfare_gap_reason_name)) ||
        !set_value(env, result, "latenciesUs", latencies_value(env, &metrics))) {
        return NULL;
    }
    return result;
}

/* prometheus(hub) -> string, also when the hub is closed */
static napi_value hub_prometheus(napi_env env, napi_callback_info info) {
    napi_value args[1], result = NULL;
    size_t size = 16384, length = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *hub = object_of(env, args[0], OBJECT_HUB);
    if (!hub) {
        return NULL;
    }
    for (;;) {
        char *buffer = malloc(size);
        if (!buffer) {
            return throw_code(env, FANFARE_ERR_SYSTEM);
        }
        fanfare_status code = fanfare_hub_prometheus(hub->native, buffer, size, &length);
        if (code == FANFARE_OK) {
            result = text_value(env, fanfare_text_of(buffer, length));
        }
        free(buffer);
        if (code != FANFARE_ERR_BUFFER) {
            return code == FANFARE_OK ? result : throw_code(env, code);
        }
        size = length + 1024;
    }
}

const export COUNT_EXPORTS[] = {
    {"metrics", hub_metrics},
    {"prometheus", hub_prometheus},
    {NULL, NULL},
};
