/* A hub's connections: listed, counted, ended, and given other topics; and those of all nodes of its
 * cluster, listed and counted. Each asks the engine's threads, or the other nodes, which may take a
 * while, and is a job.
 */

#include "addon.h"

#include <math.h>

/* How many connections are listed, unless the program says so, and at most. */
enum { LIMIT = 1000, LIMIT_MAX = 1000000 };

/* ---- lists ---- */

static napi_value connection_value(napi_env env, const fanfare_connection *connection) {
    napi_value value;
    CHECK(env, napi_create_object(env, &value));
    const char *policy = choice_name(POLICY_CHOICES, connection->policy);
    bool set =
        set_id(env, value, "id", connection->id) &&
        set_value(env, value, "subscriptions",
                  texts_value(env, connection->subscriptions, connection->subscriptions_count)) &&
        set_text(env, value, "addr", connection->addr) &&
        set_text(env, value, "tag", connection->tag) &&
        set_number(env, value, "since", (double)connection->since_unix_ms) &&
        set_number(env, value, "events", (double)connection->events) &&
        set_number(env, value, "bytes", (double)connection->bytes) &&
        set_number(env, value, "lagEvents", (double)connection->lag_events) &&
        set_number(env, value, "lagBytes", (double)connection->lag_bytes) &&
        set_number(env, value, "lagAgeMs", (double)connection->lag_age_ms) &&
        set_text(env, value, "state", fanfare_connection_state_name(connection->state)) &&
        set_string(env, value, "policy", policy ? policy : "disconnect") &&
        (!connection->node.data || set_text(env, value, "node", connection->node));
    return set ? value : NULL;
}

static napi_value connection_at(napi_env env, const fanfare_connections *list, size_t index) {
    fanfare_connection connection;
    memset(&connection, 0, sizeof(connection));
    connection.size = sizeof(connection);
    fanfare_status code = fanfare_connections_get(list, index, &connection);
    return code == FANFARE_OK ? connection_value(env, &connection) : throw_code(env, code);
}

static napi_value connections_value(napi_env env, const fanfare_connections *list) {
    napi_value array;
    size_t count = fanfare_connections_count(list);
    CHECK(env, napi_create_array_with_length(env, count, &array));
    for (size_t i = 0; i < count; i++) {
        napi_handle_scope scope;
        CHECK(env, napi_open_handle_scope(env, &scope));
        napi_value value = connection_at(env, list, i);
        bool set = value && napi_set_element(env, array, (uint32_t)i, value) == napi_ok;
        napi_close_handle_scope(env, scope);
        if (!set) {
            return NULL;
        }
    }
    return array;
}

static napi_value connections_done(napi_env env, job *job) {
    napi_value result = connections_value(env, job->result);
    fanfare_connections_free(job->result);
    return result;
}

static fanfare_status connections_run(job *job) {
    const fanfare_connection_filter *filter = job->options;
    if (filter->limit > 0) {
        return fanfare_hub_connections(job->hub->native, filter,
                                       (fanfare_connections **)&job->result);
    }
    /* A limit of 0 is the library's default: one is asked for, so that what is wrong is told, and
     * none is given. */
    fanfare_connection_filter of_one = *filter;
    fanfare_connections *unused = NULL;
    of_one.limit = 1;
    fanfare_status code = fanfare_hub_connections(job->hub->native, &of_one, &unused);
    fanfare_connections_free(unused);
    return code;
}

/* connections(hub, filter) -> Promise of an array */
static napi_value hub_connections(napi_env env, napi_callback_info info) {
    napi_value args[2];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_new(env, args[0], false);
    if (!job) {
        return NULL;
    }
    fanfare_connection_filter *filter = memory_take(env, &job->memory, sizeof(*filter));
    if (filter) {
        *filter = fanfare_connection_filter_of_all();
        filter->limit = LIMIT;
    }
    bool read =
        filter && struct_read(env, &job->memory, args[1], &CONNECTION_FILTER_SPEC, filter);
    if (read && filter->limit > LIMIT_MAX) {
        throw_option(env, FANFARE_ERR_OPTIONS, "limit", FANFARE_TEXT("0 to 1,000,000"));
        read = false;
    }
    if (!read) {
        job_free(job);
        return NULL;
    }
    job->options = filter;
    job->run = connections_run;
    job->done = connections_done;
    return job_start(env, job);
}

static fanfare_status connection_run(job *job) {
    return fanfare_hub_connection(job->hub->native, job->id, (fanfare_connections **)&job->result);
}

static napi_value connection_done(napi_env env, job *job) {
    napi_value result = connection_at(env, job->result, 0);
    fanfare_connections_free(job->result);
    return result;
}

/* A job whose second argument is the id of a connection, or NULL with an exception pending. */
static job *job_of_id(napi_env env, const napi_value *args) {
    job *job = job_new(env, args[0], false);
    if (job && !id_read(env, args[1], "id", &job->id)) {
        job_free(job);
        return NULL;
    }
    return job;
}

/* connection(hub, id) -> Promise of an object */
static napi_value hub_connection(napi_env env, napi_callback_info info) {
    napi_value args[2];
    job *job = args_of(env, info, COUNT_OF(args), args) ? job_of_id(env, args) : NULL;
    if (!job) {
        return NULL;
    }
    job->run = connection_run;
    job->done = connection_done;
    return job_start(env, job);
}

static fanfare_status counts_run(job *job) {
    return fanfare_hub_subscription_counts(job->hub->native, (size_t)job->number,
                                           (fanfare_subscription_counts **)&job->result);
}

static napi_value counts_value(napi_env env, const fanfare_subscription_counts *list) {
    napi_value array;
    size_t length = fanfare_subscription_counts_count(list);
    CHECK(env, napi_create_array_with_length(env, length, &array));
    for (size_t i = 0; i < length; i++) {
        napi_value pair, number;
        fanfare_subscription_count count;
        memset(&count, 0, sizeof(count));
        count.size = sizeof(count);
        fanfare_status code = fanfare_subscription_counts_get(list, i, &count);
        if (code != FANFARE_OK) {
            return throw_code(env, code);
        }
        napi_value subscription = text_value(env, count.subscription);
        if (!subscription) {
            return NULL;
        }
        CHECK(env, napi_create_array_with_length(env, 2, &pair));
        CHECK(env, napi_create_double(env, (double)count.subscribers, &number));
        CHECK(env, napi_set_element(env, pair, 0, subscription));
        CHECK(env, napi_set_element(env, pair, 1, number));
        CHECK(env, napi_set_element(env, array, (uint32_t)i, pair));
    }
    return array;
}

static napi_value counts_done(napi_env env, job *job) {
    napi_value result = counts_value(env, job->result);
    fanfare_subscription_counts_free(job->result);
    return result;
}

/* subscriptionCounts(hub, limit) -> Promise of an array of pairs */
static napi_value hub_subscription_counts(napi_env env, napi_callback_info info) {
    napi_value args[2];
    bool is_whole = false;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_new(env, args[0], false);
    if (!job) {
        return NULL;
    }
    bool read = number_read(env, args[1], "limit", 1000000, &is_whole, &job->number);
    if (read && !is_whole) {
        throw_option(env, FANFARE_ERR_OPTIONS, "limit", FANFARE_TEXT("0 to 1,000,000"));
    }
    if (!read || !is_whole) {
        job_free(job);
        return NULL;
    }
    job->run = counts_run;
    job->done = counts_done;
    return job_start(env, job);
}

/* ---- counts ---- */

static napi_value count_done(napi_env env, job *job) {
    napi_value result;
    CHECK(env, napi_create_double(env, (double)job->counted, &result));
    return result;
}

static fanfare_status subscribers_run(job *job) {
    return fanfare_hub_subscribers(job->hub->native, job->text, &job->counted);
}

/* subscribers(hub, topic) -> Promise of a number */
static napi_value hub_subscribers(napi_env env, napi_callback_info info) {
    napi_value args[2];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_new(env, args[0], false);
    if (!job) {
        return NULL;
    }
    if (!required_read(env, &job->memory, args[1], "topic", &job->text)) {
        job_free(job);
        return NULL;
    }
    job->run = subscribers_run;
    job->done = count_done;
    return job_start(env, job);
}

/* ---- at all nodes of a cluster ---- */

typedef struct {
    uint64_t timeout_ms;
    fanfare_connection_filter filter;
    fanfare_cluster_count count;
    fanfare_connections *list;
} cluster_call;

/* Reads for how long nodes are waited for. The library bounds it, whatever it is: what is left until
 * a deadline may be a fraction, below 0, or infinite. */
static bool timeout_read(napi_env env, napi_value value, uint64_t *out) {
    double ms = 0;
    if (napi_get_value_double(env, value, &ms) != napi_ok) {
        throw_type(env, "%s must be a number", "timeoutMs");
        return false;
    }
    if (isnan(ms)) {
        throw_option(env, FANFARE_ERR_OPTIONS, "timeoutMs", FANFARE_TEXT("a number of milliseconds"));
        return false;
    }
    *out = ms <= 0 ? 0 : ms >= SAFE_INTEGER_MAX ? (uint64_t)SAFE_INTEGER_MAX : (uint64_t)ms;
    return true;
}

/* A job that asks all nodes and waits for as long as `timeout` says, or NULL with an exception
 * pending. */
static job *job_of_cluster(napi_env env, napi_value hub, napi_value timeout) {
    job *job = job_new(env, hub, false);
    if (!job) {
        return NULL;
    }
    cluster_call *call = memory_take(env, &job->memory, sizeof(*call));
    if (!call || !timeout_read(env, timeout, &call->timeout_ms)) {
        job_free(job);
        return NULL;
    }
    call->count = fanfare_cluster_count_empty();
    job->result = call;
    return job;
}

/* {nodes, answered, missing, count} */
static napi_value cluster_count_done(napi_env env, job *job) {
    napi_value value;
    const cluster_call *call = job->result;
    CHECK(env, napi_create_object(env, &value));
    bool set = set_number(env, value, "nodes", (double)call->count.nodes) &&
               set_number(env, value, "answered", (double)call->count.answered) &&
               set_number(env, value, "missing",
                          (double)(call->count.nodes - call->count.answered)) &&
               set_number(env, value, "count", (double)call->count.count);
    return set ? value : NULL;
}

static napi_value cluster_connections_done(napi_env env, job *job) {
    cluster_call *call = job->result;
    napi_value value = cluster_count_done(env, job);
    bool set = value && set_value(env, value, "connections", connections_value(env, call->list));
    fanfare_connections_free(call->list);
    return set ? value : NULL;
}

static fanfare_status cluster_connections_run(job *job) {
    cluster_call *call = job->result;
    /* A filter's limit of 0 is the library's default: without a list, nodes only count. */
    return fanfare_hub_cluster_connections(job->hub->native, &call->filter, call->timeout_ms,
                                           &call->count,
                                           call->filter.limit > 0 ? &call->list : NULL);
}

/* clusterConnections(hub, filter, timeoutMs) -> Promise of what clusterSubscribers
 * gives, and connections */
static napi_value hub_cluster_connections(napi_env env, napi_callback_info info) {
    napi_value args[3];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_of_cluster(env, args[0], args[2]);
    if (!job) {
        return NULL;
    }
    cluster_call *call = job->result;
    call->filter = fanfare_connection_filter_of_all();
    call->filter.limit = LIMIT;
    if (!struct_read(env, &job->memory, args[1], &CONNECTION_FILTER_SPEC, &call->filter)) {
        job_free(job);
        return NULL;
    }
    job->run = cluster_connections_run;
    job->done = cluster_connections_done;
    return job_start(env, job);
}

static fanfare_status cluster_subscribers_run(job *job) {
    cluster_call *call = job->result;
    return fanfare_hub_cluster_subscribers(job->hub->native, job->text, call->timeout_ms,
                                           &call->count);
}

/* clusterSubscribers(hub, topic, timeoutMs) -> Promise of {nodes, answered, missing, count} */
static napi_value hub_cluster_subscribers(napi_env env, napi_callback_info info) {
    napi_value args[3];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_of_cluster(env, args[0], args[2]);
    if (!job) {
        return NULL;
    }
    if (!required_read(env, &job->memory, args[1], "topic", &job->text)) {
        job_free(job);
        return NULL;
    }
    job->run = cluster_subscribers_run;
    job->done = cluster_count_done;
    return job_start(env, job);
}

/* ---- what ends and changes them ---- */

/* Reads a time, of which what is beyond a day is taken for a day. */
static bool retry_read(napi_env env, napi_value value, uint64_t *out) {
    bool is_whole = false;
    if (!number_read(env, value, "retryMs", SAFE_INTEGER_MAX, &is_whole, out)) {
        return false;
    }
    if (!is_whole) {
        throw_option(env, FANFARE_ERR_OPTIONS, "retryMs",
                     FANFARE_TEXT("a whole number from 0 to 2^53 - 1"));
    }
    return is_whole;
}

static fanfare_status disconnect_run(job *job) {
    return fanfare_hub_disconnect(job->hub->native, job->id, job->number);
}

/* disconnect(hub, id, retryMs) -> Promise */
static napi_value hub_disconnect(napi_env env, napi_callback_info info) {
    napi_value args[3];
    job *job = args_of(env, info, COUNT_OF(args), args) ? job_of_id(env, args) : NULL;
    if (!job) {
        return NULL;
    }
    if (!retry_read(env, args[2], &job->number)) {
        job_free(job);
        return NULL;
    }
    job->run = disconnect_run;
    return job_start(env, job);
}

static fanfare_status tag_run(job *job) {
    return fanfare_hub_disconnect_tag(job->hub->native, job->text, job->number, &job->counted);
}

static fanfare_status subscription_run(job *job) {
    return fanfare_hub_disconnect_subscription(job->hub->native, job->text, job->number,
                                               &job->counted);
}

static fanfare_status all_run(job *job) {
    return fanfare_hub_disconnect_all(job->hub->native, job->number, &job->counted);
}

/* Starts a job with arguments (hub, retryMs), and a text if `what` is its name. */
static napi_value disconnect_many(napi_env env, napi_callback_info info, const char *what,
                                  fanfare_status (*run)(job *job)) {
    napi_value args[3];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_new(env, args[0], false);
    if (!job) {
        return NULL;
    }
    if (!retry_read(env, args[1], &job->number) ||
        (what && !required_read(env, &job->memory, args[2], what, &job->text))) {
        job_free(job);
        return NULL;
    }
    job->run = run;
    job->done = count_done;
    return job_start(env, job);
}

static napi_value hub_disconnect_tag(napi_env env, napi_callback_info info) {
    return disconnect_many(env, info, "tag", tag_run);
}

static napi_value hub_disconnect_subscription(napi_env env, napi_callback_info info) {
    return disconnect_many(env, info, "subscription", subscription_run);
}

static napi_value hub_disconnect_all(napi_env env, napi_callback_info info) {
    return disconnect_many(env, info, NULL, all_run);
}

static fanfare_status set_subscriptions_run(job *job) {
    return fanfare_hub_set_subscriptions(job->hub->native, job->id, job->texts, job->texts_count);
}

/* setSubscriptions(hub, id, topics) -> Promise */
static napi_value hub_set_subscriptions(napi_env env, napi_callback_info info) {
    napi_value args[3];
    job *job = args_of(env, info, COUNT_OF(args), args) ? job_of_id(env, args) : NULL;
    if (!job) {
        return NULL;
    }
    if (!texts_read(env, &job->memory, args[2], "topics", &job->texts, &job->texts_count)) {
        job_free(job);
        return NULL;
    }
    job->run = set_subscriptions_run;
    return job_start(env, job);
}

const export ADMIN_EXPORTS[] = {
    {"connections", hub_connections},
    {"connection", hub_connection},
    {"subscriptionCounts", hub_subscription_counts},
    {"subscribers", hub_subscribers},
    {"clusterConnections", hub_cluster_connections},
    {"clusterSubscribers", hub_cluster_subscribers},
    {"disconnect", hub_disconnect},
    {"disconnectTag", hub_disconnect_tag},
    {"disconnectSubscription", hub_disconnect_subscription},
    {"disconnectAll", hub_disconnect_all},
    {"setSubscriptions", hub_set_subscriptions},
    {NULL, NULL},
};
