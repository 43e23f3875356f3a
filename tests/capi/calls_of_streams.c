/* The calls of what a hub has to do with clients: streams, connections, fallbacks and notices. */

#include "calls.h"

#include <string.h>

FREE_TWICE(notices, notices)
FREE_TWICE(stream, stream)
FREE_TWICE(fallback, fallback)

static fanfare_status notices_new_and_free(const objects *of)
{
    fanfare_notices *notices = NULL;
    fanfare_status status = fanfare_notices_new(&notices);

    (void)of;
    fanfare_notices_free(notices);
    return status;
}

static fanfare_status stream_new_and_free(const objects *of)
{
    const fanfare_text topics[] = {FANFARE_TEXT("t"), FANFARE_TEXT("u/#")};
    fanfare_stream *stream = NULL;
    fanfare_status status = fanfare_hub_subscribe(of->hub, topics, 2, NULL, &stream);

    fanfare_stream_free(stream);
    return status;
}

static fanfare_status fallback_new_and_free(const objects *of)
{
    fanfare_fallback *made = NULL;
    fanfare_status status = fanfare_fallback_new(of->notices, 6, 10, &made);

    fanfare_fallback_free(made);
    return status;
}

static fanfare_status stream_next(const objects *of)
{
    fanfare_text batch;

    return fanfare_stream_next(of->stream, 1, &batch);
}

static fanfare_status stream_end(const objects *of)
{
    fanfare_disconnect_reason reason;

    return fanfare_stream_end(of->stream, &reason, NULL);
}

static fanfare_status stream_id(const objects *of)
{
    fanfare_connection_id id;

    return fanfare_stream_id(of->stream, &id);
}

static fanfare_status stream_notify(const objects *of)
{
    return fanfare_stream_notify(of->stream, of->notices, 8);
}

static fanfare_status stream_is_complete(const objects *of)
{
    uint32_t is_complete;

    return fanfare_stream_is_complete(of->stream, &is_complete);
}

static fanfare_status hub_connections(const objects *of)
{
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_connections *list = NULL;
    fanfare_status status = fanfare_hub_connections(of->hub, &filter, &list);

    fanfare_connections_free(list);
    return status;
}

static fanfare_status hub_connection(const objects *of)
{
    fanfare_connections *list = NULL;
    fanfare_status status = fanfare_hub_connection(of->hub, of->connection, &list);

    fanfare_connections_free(list);
    return status;
}

static fanfare_status connections_count(const objects *of)
{
    return fanfare_connections_count(of->connections) > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status connections_get(const objects *of)
{
    fanfare_connection connection;

    memset(&connection, 0, sizeof connection);
    connection.size = sizeof connection;
    return fanfare_connections_get(of->connections, 0, &connection);
}

static fanfare_status hub_subscribers(const objects *of)
{
    uint64_t count;

    return fanfare_hub_subscribers(of->hub, FANFARE_TEXT("t"), &count);
}

/* The hub of these calls is in no cluster. */
static fanfare_status in_no_cluster(fanfare_status status)
{
    return status == FANFARE_ERR_CLUSTER ? FANFARE_OK : status;
}

static fanfare_status hub_cluster_connections(const objects *of)
{
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_cluster_count count = fanfare_cluster_count_empty();
    fanfare_connections *list = NULL;
    fanfare_status status = fanfare_hub_cluster_connections(of->hub, &filter, 100, &count, &list);

    fanfare_connections_free(list);
    return in_no_cluster(status);
}

static fanfare_status hub_cluster_subscribers(const objects *of)
{
    fanfare_cluster_count count = fanfare_cluster_count_empty();

    return in_no_cluster(fanfare_hub_cluster_subscribers(of->hub, FANFARE_TEXT("t"), 100, &count));
}

static fanfare_status hub_subscription_counts(const objects *of)
{
    fanfare_subscription_counts *list = NULL;
    fanfare_status status = fanfare_hub_subscription_counts(of->hub, 10, &list);

    fanfare_subscription_counts_free(list);
    return status;
}

static fanfare_status counts_count(const objects *of)
{
    return fanfare_subscription_counts_count(of->counts) > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status counts_get(const objects *of)
{
    fanfare_subscription_count count;

    memset(&count, 0, sizeof count);
    count.size = sizeof count;
    return fanfare_subscription_counts_get(of->counts, 0, &count);
}

static fanfare_status hub_disconnect(const objects *of)
{
    return fanfare_hub_disconnect(of->hub, of->connection, 0);
}

static fanfare_status hub_disconnect_tag(const objects *of)
{
    uint64_t count;

    return fanfare_hub_disconnect_tag(of->hub, FANFARE_TEXT("user 7"), 0, &count);
}

static fanfare_status hub_disconnect_subscription(const objects *of)
{
    uint64_t count;

    return fanfare_hub_disconnect_subscription(of->hub, FANFARE_TEXT("u/#"), 0, &count);
}

static fanfare_status hub_disconnect_all(const objects *of)
{
    uint64_t count;

    return fanfare_hub_disconnect_all(of->hub, 0, &count);
}

static fanfare_status hub_set_subscriptions(const objects *of)
{
    const fanfare_text topics[] = {FANFARE_TEXT("t"), FANFARE_TEXT("v")};

    return fanfare_hub_set_subscriptions(of->hub, of->connection, topics, 2);
}

static fanfare_status fallback_take(const objects *of)
{
    int fd;

    return fanfare_fallback_take(of->fallback, 7, &fd);
}

static fanfare_status watch_connections(const objects *of)
{
    return fanfare_hub_watch_connections(of->hub, of->notices, 1, 0);
}

static fanfare_status watch_interest(const objects *of)
{
    return fanfare_hub_watch_interest(of->hub, of->notices, 2, FANFARE_TEXT("#"), 0);
}

static fanfare_status notify_space(const objects *of)
{
    const fanfare_text topic = FANFARE_TEXT("t");
    fanfare_publication publication = fanfare_publication_of(&topic, 1, NULL);

    return fanfare_hub_notify_space(of->hub, of->notices, 3, &publication);
}

static fanfare_status log_watch(const objects *of)
{
    fanfare_status status = fanfare_log_watch(of->notices, 4, FANFARE_LOG_ERROR, 1);

    fanfare_notices_remove(of->notices, 4);
    return status;
}

static fanfare_status notices_doorbell(const objects *of)
{
    int fd;

    return fanfare_notices_doorbell(of->notices, &fd);
}

static fanfare_status notices_drain(const objects *of)
{
    fanfare_notice notices[4];
    size_t count;

    return fanfare_notices_drain(of->notices, notices, sizeof notices[0], 4, &count);
}

static fanfare_status notices_remove(const objects *of)
{
    return fanfare_notices_remove(of->notices, 2);
}

const call calls_of_streams[] = {
    {"fanfare_fallback_new", fallback_new_and_free, FORKED, 0},
    {"fanfare_fallback_take", fallback_take, FORKED, CALL_STALE},
    {"fanfare_fallback_free", fallback_new_and_free, fallback_free, FANFARE_OK, 0},
    {"fanfare_notices_new", notices_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_notices_free", notices_new_and_free, notices_free, FANFARE_OK, 0},
    {"fanfare_hub_subscribe", stream_new_and_free, FORKED, 0},
    {"fanfare_stream_free", stream_new_and_free, stream_free, FANFARE_OK, 0},
    {"fanfare_hub_connections", hub_connections, FORKED, 0},
    {"fanfare_hub_connection", hub_connection, FORKED, 0},
    {"fanfare_hub_subscribers", hub_subscribers, FORKED, 0},
    {"fanfare_hub_subscription_counts", hub_subscription_counts, FORKED, 0},
    {"fanfare_hub_cluster_connections", hub_cluster_connections, FORKED, 0},
    {"fanfare_hub_cluster_subscribers", hub_cluster_subscribers, FORKED, 0},
    {"fanfare_hub_set_subscriptions", hub_set_subscriptions, FORKED, 0},
    {"fanfare_connections_count", connections_count, AS_EVER, CALL_PLAIN},
    {"fanfare_connections_get", connections_get, AS_EVER, 0},
    {"fanfare_connections_free", hub_connections, FORKED, 0},
    {"fanfare_subscription_counts_count", counts_count, AS_EVER, CALL_PLAIN},
    {"fanfare_subscription_counts_get", counts_get, AS_EVER, 0},
    {"fanfare_subscription_counts_free", hub_subscription_counts, FORKED, 0},
    {"fanfare_stream_next", stream_next, FORKED, CALL_ALONE},
    {"fanfare_stream_end", stream_end, FORKED, 0},
    {"fanfare_stream_id", stream_id, FORKED, 0},
    {"fanfare_stream_notify", stream_notify, FORKED, 0},
    {"fanfare_stream_is_complete", stream_is_complete, FORKED, 0},
    /* These end the stream, which those before them need. */
    {"fanfare_hub_disconnect", hub_disconnect, FORKED, 0},
    {"fanfare_hub_disconnect_tag", hub_disconnect_tag, FORKED, 0},
    {"fanfare_hub_disconnect_subscription", hub_disconnect_subscription, FORKED, 0},
    {"fanfare_hub_disconnect_all", hub_disconnect_all, FORKED, 0},
    {"fanfare_hub_watch_connections", watch_connections, FORKED, 0},
    {"fanfare_hub_watch_interest", watch_interest, FORKED, 0},
    {"fanfare_hub_notify_space", notify_space, FORKED, 0},
    {"fanfare_log_watch", log_watch, FORKED, 0},
    {"fanfare_notices_doorbell", notices_doorbell, FORKED, 0},
    {"fanfare_notices_drain", notices_drain, FORKED, CALL_ALONE},
    {"fanfare_notices_remove", notices_remove, FORKED, 0},
    CALLS_END,
};
