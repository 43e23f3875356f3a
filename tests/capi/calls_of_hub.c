/* The calls of a hub: its topics, rules, listeners, and what is published. */

#include "calls.h"

#include "check.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static fanfare_status hub_new_and_free(const objects *of)
{
    fanfare_hub *hub = NULL;
    fanfare_status status = fanfare_hub_new(NULL, &hub);

    (void)of;
    fanfare_hub_free(hub);
    return status;
}

static fanfare_status hub_free(const objects *of)
{
    fanfare_hub_free(of->hub);
    fanfare_hub_free(of->hub);
    return FANFARE_OK;
}

static fanfare_status topic_new_and_free(const objects *of)
{
    fanfare_topic *topic = NULL;
    fanfare_status status = fanfare_topic_new(FANFARE_TEXT("another"), &topic);

    (void)of;
    fanfare_topic_free(topic);
    return status;
}

static fanfare_status hub_close(const objects *of)
{
    return fanfare_hub_close(of->hub);
}

static fanfare_status hub_listens(const objects *of)
{
    uint16_t port;

    return fanfare_hub_listen(of->hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &port);
}

/* The descriptor is the hub's if it takes it. */
static fanfare_status hub_listen_on(const objects *of)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    fanfare_status status = FANFARE_ERR_SYSTEM;

    if (fd >= 0 && listen(fd, 1) == 0) {
        status = fanfare_hub_listen_on(of->hub, fd, NULL, NULL, NULL);
    }
    if (status != FANFARE_OK && status != FANFARE_ERR_PANIC) {
        close(fd);
    }
    return status;
}

static fanfare_status listener_address(const objects *of)
{
    char buffer[256];
    size_t length;

    return fanfare_listener_address(of->hub, of->listener, buffer, sizeof buffer, &length);
}

static fanfare_status listener_close(const objects *of)
{
    fanfare_listener listener;
    fanfare_status status =
        fanfare_hub_listen(of->hub, FANFARE_TEXT("127.0.0.1:0"), NULL, &listener, NULL);

    return status == FANFARE_OK ? fanfare_listener_close(of->hub, listener) : status;
}

static fanfare_status listener_close_in_child(const objects *of)
{
    return fanfare_listener_close(of->hub, of->listener);
}

static fanfare_status listener_admit(const objects *of)
{
    fanfare_admit_request request;
    fanfare_status status;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return FANFARE_ERR_SYSTEM;
    }
    request = fanfare_admit_request_of(FANFARE_TEXT("GET /events?topic=t HTTP/1.1\r\n"));
    request.addr = FANFARE_TEXT("127.0.0.1:9");
    status = fanfare_listener_admit(of->hub, of->listener, ends[0], &request);
    if (status != FANFARE_OK && status != FANFARE_ERR_PANIC) {
        close(ends[0]);
    }
    close(ends[1]);
    return status;
}

static fanfare_status listener_has_streams_at(const objects *of)
{
    uint32_t has;

    return fanfare_listener_has_streams_at(of->hub, of->listener, FANFARE_TEXT("/events"), &has);
}

static fanfare_status listener_is_named(const objects *of)
{
    uint32_t is;

    return fanfare_listener_is_named(of->hub, of->listener, FANFARE_TEXT("localhost"), &is);
}

static fanfare_status hub_adopt(const objects *of)
{
    const fanfare_text topic = FANFARE_TEXT("t");
    fanfare_adopt_request request = fanfare_adopt_request_of(&topic, 1);
    fanfare_status status;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return FANFARE_ERR_SYSTEM;
    }
    status = fanfare_hub_adopt(of->hub, ends[0], &request);
    if (status != FANFARE_OK && status != FANFARE_ERR_PANIC) {
        close(ends[0]);
    }
    close(ends[1]);
    return status;
}

static fanfare_status hub_publish(const objects *of)
{
    fanfare_event event = event_of("to a name");
    fanfare_event_id id;

    return fanfare_hub_publish(of->hub, FANFARE_TEXT("t"), &event, &id);
}

static fanfare_status hub_publish_to(const objects *of)
{
    fanfare_event event = event_of("to a handle");
    fanfare_event_id id;

    return fanfare_hub_publish_to(of->hub, of->topic, &event, &id);
}

static fanfare_status hub_publish_wait(const objects *of)
{
    const fanfare_text topics[] = {FANFARE_TEXT("t"), FANFARE_TEXT("u")};
    fanfare_event event = event_of("to two names");
    fanfare_publication publication = fanfare_publication_of(topics, 2, &event);
    fanfare_event_id id;

    return fanfare_hub_publish_wait(of->hub, &publication, 1, &id);
}

static fanfare_status hub_publish_many(const objects *of)
{
    fanfare_event event = event_of("one of two");
    const fanfare_topic *handles[1];
    fanfare_publication publications[2];
    fanfare_event_id ids[2];
    size_t count;

    handles[0] = of->topic;
    publications[0] = publications[1] = fanfare_publication_to(handles, 1, &event);
    return fanfare_hub_publish_many(of->hub, publications, 2, 1, ids, &count);
}

/* The hub has no journal, and says so. */
static fanfare_status hub_flush(const objects *of)
{
    fanfare_status status = fanfare_hub_flush(of->hub, 1);

    return status == FANFARE_ERR_JOURNAL ? FANFARE_OK : status;
}

static fanfare_status hub_finish(const objects *of)
{
    fanfare_event_id id;

    return fanfare_hub_finish(of->hub, FANFARE_TEXT("finished by name"), NULL, 1, &id);
}

static fanfare_status hub_finish_topic(const objects *of)
{
    fanfare_event last = event_of("the last one");
    fanfare_event_id id;

    return fanfare_hub_finish_topic(of->hub, of->finished, &last, 1, &id);
}

static fanfare_status hub_drain(const objects *of)
{
    fanfare_drain_options options;
    fanfare_drained drained = fanfare_drained_empty();

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.window_ms = options.grace_ms = options.retry_ms = 10;
    return fanfare_hub_drain(of->hub, &options, &drained);
}

static fanfare_status hub_metrics(const objects *of)
{
    fanfare_metrics metrics = fanfare_metrics_empty();

    return fanfare_hub_metrics(of->hub, &metrics);
}

static fanfare_status hub_prometheus(const objects *of)
{
    char buffer[64];
    size_t length;
    fanfare_status status = fanfare_hub_prometheus(of->hub, buffer, sizeof buffer, &length);

    return status == FANFARE_ERR_BUFFER && length > sizeof buffer ? FANFARE_OK : status;
}

static fanfare_status hub_set_rule(const objects *of)
{
    fanfare_topic_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.history_events_max = 3;
    return fanfare_hub_set_rule(of->hub, FANFARE_TEXT("u/#"), &options);
}

static fanfare_status hub_remove_rule(const objects *of)
{
    uint32_t removed;

    return fanfare_hub_remove_rule(of->hub, FANFARE_TEXT("u/#"), &removed);
}

static fanfare_status hub_rules(const objects *of)
{
    fanfare_rules *rules = NULL;
    fanfare_status status = fanfare_hub_rules(of->hub, &rules);

    fanfare_rules_free(rules);
    return status;
}

static fanfare_status rules_count(const objects *of)
{
    return fanfare_rules_count(of->rules) > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status rules_get(const objects *of)
{
    fanfare_rule rule = fanfare_rule_empty();

    return fanfare_rules_get(of->rules, 0, &rule);
}

const call calls_of_hub[] = {
    {"fanfare_hub_new", hub_new_and_free, AS_EVER, CALL_ALLOCATES | CALL_KEEPS},
    {"fanfare_hub_free", hub_new_and_free, hub_free, FANFARE_OK, CALL_KEEPS},
    {"fanfare_topic_new", topic_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_topic_free", topic_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_hub_close", hub_close, FORKED, CALL_ENDS},
    {"fanfare_hub_drain", hub_drain, FORKED, CALL_ENDS},
    {"fanfare_hub_listen", hub_listens, FORKED, CALL_KEEPS},
    {"fanfare_hub_listen_on", hub_listen_on, FORKED, CALL_KEEPS},
    {"fanfare_listener_address", listener_address, FORKED, 0},
    {"fanfare_listener_close", listener_close, listener_close_in_child, FANFARE_ERR_FORKED, CALL_KEEPS},
    {"fanfare_listener_admit", listener_admit, FORKED, CALL_KEEPS},
    {"fanfare_listener_has_streams_at", listener_has_streams_at, FORKED, 0},
    {"fanfare_listener_is_named", listener_is_named, FORKED, 0},
    {"fanfare_hub_adopt", hub_adopt, FORKED, CALL_KEEPS},
    {"fanfare_hub_publish", hub_publish, FORKED, 0},
    {"fanfare_hub_publish_to", hub_publish_to, FORKED, 0},
    {"fanfare_hub_publish_wait", hub_publish_wait, FORKED, 0},
    {"fanfare_hub_publish_many", hub_publish_many, FORKED, 0},
    {"fanfare_hub_flush", hub_flush, FORKED, 0},
    {"fanfare_hub_finish", hub_finish, FORKED, 0},
    {"fanfare_hub_finish_topic", hub_finish_topic, FORKED, 0},
    {"fanfare_hub_metrics", hub_metrics, FORKED, 0},
    {"fanfare_hub_prometheus", hub_prometheus, FORKED, 0},
    {"fanfare_hub_set_rule", hub_set_rule, FORKED, 0},
    {"fanfare_hub_remove_rule", hub_remove_rule, FORKED, 0},
    {"fanfare_hub_rules", hub_rules, FORKED, 0},
    {"fanfare_rules_count", rules_count, AS_EVER, CALL_PLAIN},
    {"fanfare_rules_get", rules_get, AS_EVER, 0},
    {"fanfare_rules_free", hub_rules, FORKED, 0},
    CALLS_END,
};
