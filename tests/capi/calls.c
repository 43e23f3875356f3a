#include "calls.h"

#include "check.h"

#include <string.h>

objects objects_new(const fanfare_options *options)
{
    objects made;

    CHECK_EQ(fanfare_hub_new(options, &made.hub), FANFARE_OK);
    CHECK_EQ(fanfare_topic_new(FANFARE_TEXT("t"), &made.topic), FANFARE_OK);
    CHECK_EQ(fanfare_topic_new(FANFARE_TEXT("finished"), &made.finished), FANFARE_OK);
    CHECK_EQ(fanfare_notices_new(&made.notices), FANFARE_OK);
    return made;
}

void objects_free(objects *of)
{
    fanfare_hub_free(of->hub);
    fanfare_topic_free(of->topic);
    fanfare_topic_free(of->finished);
    fanfare_notices_free(of->notices);
}

/* Functions of no object. */

static fanfare_status abi_version(const objects *of)
{
    (void)of;
    return fanfare_abi_version() == FANFARE_ABI_VERSION ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status text_of_status(const objects *of)
{
    (void)of;
    return fanfare_strerror(FANFARE_OK)[0] != '\0' ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status reason_name(const objects *of)
{
    (void)of;
    return fanfare_disconnect_reason_name(1).length > 0 ? FANFARE_OK : FANFARE_ERR_PANIC;
}

static fanfare_status options_init(const objects *of)
{
    fanfare_options options;

    (void)of;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return fanfare_options_init(&options);
}

static fanfare_status options_problem(const objects *of)
{
    fanfare_options options = fanfare_options_defaults();
    fanfare_text name, bounds;

    (void)of;
    return fanfare_options_problem(&options, &name, &bounds);
}

/* Making and freeing. */

static fanfare_status hub_new_and_free(const objects *of)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;
    fanfare_status status;

    (void)of;
    options.shards = 1;
    status = fanfare_hub_new(&options, &hub);
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

static fanfare_status notices_new_and_free(const objects *of)
{
    fanfare_notices *notices = NULL;
    fanfare_status status = fanfare_notices_new(&notices);

    (void)of;
    fanfare_notices_free(notices);
    return status;
}

static fanfare_status notices_free(const objects *of)
{
    fanfare_notices_free(of->notices);
    fanfare_notices_free(of->notices);
    return FANFARE_OK;
}

/* Functions of a hub. */

static fanfare_status hub_close(const objects *of)
{
    return fanfare_hub_close(of->hub);
}

static fanfare_status hub_listens(const objects *of)
{
    uint16_t port;

    return fanfare_hub_listen(of->hub, FANFARE_TEXT("127.0.0.1:0"), &port);
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

static fanfare_status hub_finish(const objects *of)
{
    fanfare_event_id id;

    return fanfare_hub_finish(of->hub, FANFARE_TEXT("finished"), NULL, 1, &id);
}

static fanfare_status hub_finish_topic(const objects *of)
{
    fanfare_event last = event_of("the last one");
    fanfare_event_id id;

    return fanfare_hub_finish_topic(of->hub, of->finished, &last, 1, &id);
}

/* Notices. */

static fanfare_status watch_connections(const objects *of)
{
    return fanfare_hub_watch_connections(of->hub, of->notices, 0, 1);
}

static fanfare_status watch_interest(const objects *of)
{
    return fanfare_hub_watch_interest(of->hub, of->notices, FANFARE_TEXT("#"), 0, 2);
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

#define FORKED NULL, FANFARE_ERR_FORKED
#define AS_EVER NULL, FANFARE_OK

const call calls[] = {
    {"fanfare_abi_version", abi_version, AS_EVER, 0},
    {"fanfare_strerror", text_of_status, AS_EVER, 0},
    {"fanfare_disconnect_reason_name", reason_name, AS_EVER, 0},
    {"fanfare_options_init", options_init, AS_EVER, CALL_ALLOCATES},
    {"fanfare_options_problem", options_problem, AS_EVER, CALL_ALLOCATES},
    {"fanfare_hub_new", hub_new_and_free, AS_EVER, CALL_ALLOCATES | CALL_KEEPS},
    {"fanfare_hub_free", hub_new_and_free, hub_free, FANFARE_OK, CALL_KEEPS},
    {"fanfare_topic_new", topic_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_topic_free", topic_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_notices_new", notices_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_notices_free", notices_new_and_free, notices_free, FANFARE_OK, 0},
    {"fanfare_hub_close", hub_close, FORKED, CALL_ENDS},
    {"fanfare_hub_listen", hub_listens, FORKED, CALL_KEEPS},
    {"fanfare_hub_publish", hub_publish, FORKED, 0},
    {"fanfare_hub_publish_to", hub_publish_to, FORKED, 0},
    {"fanfare_hub_publish_wait", hub_publish_wait, FORKED, 0},
    {"fanfare_hub_publish_many", hub_publish_many, FORKED, 0},
    {"fanfare_hub_finish", hub_finish, FORKED, 0},
    {"fanfare_hub_finish_topic", hub_finish_topic, FORKED, 0},
    {"fanfare_hub_watch_connections", watch_connections, FORKED, 0},
    {"fanfare_hub_watch_interest", watch_interest, FORKED, 0},
    {"fanfare_notices_doorbell", notices_doorbell, FORKED, 0},
    {"fanfare_notices_drain", notices_drain, FORKED, CALL_ALONE},
    {"fanfare_notices_remove", notices_remove, FORKED, 0},
};
const size_t calls_count = sizeof calls / sizeof calls[0];
