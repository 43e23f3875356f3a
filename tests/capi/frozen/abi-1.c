/* A program of the ABI's version 1, as it was built: it has declarations of its own, and runs with every
 * library of that version. It does what programs do, with structs of the sizes that it knows. */

#include "abi-1.h"

#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_MS 30000

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "it does not hold any more that %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static void succeeds(fanfare_status status, const char *function)
{
    if (status != FANFARE_OK) {
        fprintf(stderr, "%s returned %d: %s\n", function, (int)status, fanfare_strerror(status));
        exit(EXIT_FAILURE);
    }
}

static int has(fanfare_text text, const char *word)
{
    size_t i, length = strlen(word);

    for (i = 0; i + length <= text.length; i++) {
        if (memcmp(text.data + i, word, length) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Reads until a batch has a word. */
static void read_until(const fanfare_stream *stream, const char *word)
{
    fanfare_text batch;

    do {
        succeeds(fanfare_stream_next(stream, DEADLINE_MS, &batch), "fanfare_stream_next");
    } while (!has(batch, word));
}

static fanfare_hub *hub_new(void)
{
    fanfare_options options = fanfare_options_defaults();
    fanfare_text name, bounds;
    fanfare_hub *hub = NULL;

    options.shards = 1;
    options.history_events_max = 10;
    succeeds(fanfare_options_problem(&options, &name, &bounds), "fanfare_options_problem");
    expect(name.length == 0, "its options are good");
    succeeds(fanfare_hub_new(&options, &hub), "fanfare_hub_new");
    return hub;
}

static void publishes(const fanfare_hub *hub, const fanfare_stream *stream)
{
    const fanfare_text names[] = {FANFARE_TEXT("a"), FANFARE_TEXT("b")};
    fanfare_event event = fanfare_event_of(FANFARE_TEXT("to one"));
    fanfare_publication publication;
    fanfare_topic *topic = NULL;
    fanfare_event_id id;

    event.name = FANFARE_TEXT("greeting");
    event.key = FANFARE_TEXT("key");
    event.retry_ms = 1000;
    succeeds(fanfare_hub_publish(hub, FANFARE_TEXT("a"), &event, &id), "fanfare_hub_publish");
    expect(fanfare_event_id_text(&id).length > 0, "an event has an id");
    read_until(stream, "data: to one\n");
    succeeds(fanfare_topic_new(FANFARE_TEXT("a"), &topic), "fanfare_topic_new");
    event.data = FANFARE_TEXT("by handle");
    succeeds(fanfare_hub_publish_to(hub, topic, &event, &id), "fanfare_hub_publish_to");
    read_until(stream, "data: by handle\n");
    event.data = FANFARE_TEXT("to two");
    publication = fanfare_publication_of(names, 2, &event);
    succeeds(fanfare_hub_publish_wait(hub, &publication, DEADLINE_MS, &id),
             "fanfare_hub_publish_wait");
    read_until(stream, "data: to two\n");
    event.data = FANFARE_TEXT("");
    event.name = FANFARE_TEXT("x\ny");
    expect(fanfare_hub_publish(hub, FANFARE_TEXT("a"), &event, &id) == FANFARE_ERR_EVENT,
           "a name has no line break");
    fanfare_topic_free(topic);
}

static void counts(const fanfare_hub *hub)
{
    fanfare_metrics metrics = fanfare_metrics_empty();
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_connections *list = NULL;
    fanfare_connection connection;

    succeeds(fanfare_hub_metrics(hub, &metrics), "fanfare_hub_metrics");
    expect(metrics.size == sizeof metrics && metrics.published_events == 3, "3 events are counted");
    succeeds(fanfare_hub_connections(hub, &filter, &list), "fanfare_hub_connections");
    expect(fanfare_connections_count(list) == 1, "a stream is a connection");
    memset(&connection, 0, sizeof connection);
    connection.size = sizeof connection;
    succeeds(fanfare_connections_get(list, 0, &connection), "fanfare_connections_get");
    expect(has(connection.tag, "user 7") && connection.subscriptions_count == 1,
           "a connection is as it was subscribed");
    fanfare_connections_free(list);
}

static void is_told(const fanfare_notices *notices, fanfare_notice_kind kind)
{
    fanfare_notice notices_read[2];
    size_t count = 0;

    succeeds(fanfare_notices_drain(notices, notices_read, sizeof notices_read[0], 2, &count),
             "fanfare_notices_drain");
    expect(count > 0 && notices_read[0].kind == kind && notices_read[0].token == 9,
           "a notice has its kind and token");
}

int main(void)
{
    const fanfare_text all = FANFARE_TEXT("a");
    fanfare_stream_options options = fanfare_stream_options_defaults();
    fanfare_disconnect_reason reason = 0;
    fanfare_notices *notices = NULL;
    fanfare_stream *stream = NULL;
    fanfare_text batch;
    fanfare_hub *hub;
    uint16_t port = 0;
    int fd = -1;

    expect(fanfare_abi_version() == FANFARE_ABI_VERSION, "the library has this version of the ABI");
    hub = hub_new();
    succeeds(fanfare_notices_new(&notices), "fanfare_notices_new");
    succeeds(fanfare_notices_doorbell(notices, &fd), "fanfare_notices_doorbell");
    succeeds(fanfare_hub_watch_connections(hub, notices, 9, 0), "fanfare_hub_watch_connections");
    succeeds(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &port),
             "fanfare_hub_listen");
    expect(port != 0 && fd >= 0, "a port and a descriptor are given");
    options.tag = FANFARE_TEXT("user 7");
    succeeds(fanfare_hub_subscribe(hub, &all, 1, &options, &stream), "fanfare_hub_subscribe");
    publishes(hub, stream);
    counts(hub);
    is_told(notices, FANFARE_NOTICE_CONNECTED);
    succeeds(fanfare_hub_close(hub), "fanfare_hub_close");
    while (fanfare_stream_next(stream, DEADLINE_MS, &batch) == FANFARE_OK) {
    }
    succeeds(fanfare_stream_end(stream, &reason, NULL), "fanfare_stream_end");
    expect(reason != 0, "a stream ends with its hub");
    is_told(notices, FANFARE_NOTICE_DISCONNECTED);
    fanfare_stream_free(stream);
    fanfare_notices_free(notices);
    fanfare_hub_free(hub);
    puts("runs");
    return EXIT_SUCCESS;
}
