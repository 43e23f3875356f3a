/* Streams that the program reads itself. */

#include "check.h"
#include "watched.h"
#include "client.h"
#include "watched.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static fanfare_stream *subscribe(const fanfare_hub *hub, const char *topic,
                                 const fanfare_stream_options *options)
{
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_stream *stream = NULL;

    topics[0] = fanfare_text_of_string(topic);
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, options, &stream), FANFARE_OK);
    CHECK(stream != NULL);
    return stream;
}

/* Everything that was read of a stream, with a NUL behind it. */
typedef struct {
    char bytes[1 << 16];
    size_t len;
} text_read;

/* Waits for a batch, and appends it. Returns the status. */
static fanfare_status read_next(const fanfare_stream *stream, text_read *read)
{
    fanfare_text batch = {NULL, 0};
    fanfare_status status = fanfare_stream_next(stream, DEADLINE_MS, &batch);

    if (status == FANFARE_OK) {
        CHECK(batch.length > 0 && read->len + batch.length < sizeof read->bytes);
        memcpy(read->bytes + read->len, batch.data, batch.length);
        read->len += batch.length;
        read->bytes[read->len] = '\0';
    } else {
        CHECK(batch.data == NULL && batch.length == 0);
    }
    return status;
}

static void read_until(const fanfare_stream *stream, text_read *read, const char *text)
{
    while (strstr(read->bytes, text) == NULL) {
        CHECK_EQ(read_next(stream, read), FANFARE_OK);
    }
}

static void read_to_the_end(const fanfare_stream *stream, text_read *read)
{
    fanfare_status status;

    while ((status = read_next(stream, read)) == FANFARE_OK) {
    }
    CHECK_EQ(status, FANFARE_ERR_ENDED);
}

static void batches(void)
{
    static text_read read;
    fanfare_hub *hub = hub_new();
    fanfare_stream_options options = fanfare_stream_options_defaults();
    fanfare_event event = event_of("hello");
    fanfare_text topics[2], batch = {NULL, 0};
    fanfare_stream *stream = NULL;
    fanfare_disconnect_reason reason = -1;
    uint32_t is_cut = 7, is_complete = 7;

    topics[0] = FANFARE_TEXT("a");
    topics[1] = FANFARE_TEXT("b/+");
    options.envelope = FANFARE_ENVELOPE_JSON;
    CHECK_EQ(fanfare_hub_subscribe(hub, topics, 2, &options, &stream), FANFARE_OK);
    memset(topics, 0xff, sizeof topics);
    CHECK_EQ(fanfare_stream_is_complete(stream, &is_complete), FANFARE_OK);
    CHECK_EQ(is_complete, 0);
    CHECK_EQ(publish(hub, "a", &event), FANFARE_OK);
    CHECK_EQ(publish(hub, "c", &event), FANFARE_OK);
    CHECK_EQ(publish(hub, "b/x", &event), FANFARE_OK);
    read_until(stream, &read, "\"topic\":\"b/x\"");
    CHECK(strstr(read.bytes, "\"topic\":\"a\"") != NULL);
    CHECK(strstr(read.bytes, "\"topic\":\"c\"") == NULL);
    CHECK_EQ(fanfare_stream_end(stream, &reason, &is_cut), FANFARE_OK);
    CHECK_EQ(reason, 0);
    CHECK_EQ(is_cut, 0);
    /* Nothing waits. */
    CHECK_EQ(fanfare_stream_next(stream, 0, &batch), FANFARE_ERR_TIMEOUT);
    CHECK_EQ(fanfare_stream_next(stream, 1, &batch), FANFARE_ERR_TIMEOUT);
    CHECK(batch.data == NULL);
    fanfare_hub_free(hub);
    /* It has ended with its hub, in order, and may be asked as often as one likes. */
    read_to_the_end(stream, &read);
    read_to_the_end(stream, &read);
    CHECK_EQ(fanfare_stream_next(stream, 0, &batch), FANFARE_ERR_ENDED);
    CHECK_EQ(fanfare_stream_end(stream, &reason, &is_cut), FANFARE_OK);
    CHECK_EQ(reason, FANFARE_DISCONNECT_CLOSED);
    CHECK_EQ(is_cut, 0);
    CHECK_EQ(fanfare_stream_end(stream, &reason, NULL), FANFARE_OK);
    fanfare_stream_free(stream);
    fanfare_stream_free(NULL);
}

/* A batch is the same memory for all streams, and stays until the next call. */
static void shared_batches(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_stream *streams[2];
    static text_read read;
    fanfare_event event = event_of("the one");
    fanfare_text batches[2];
    char *data = malloc(100000);
    int i;

    CHECK(data != NULL);
    for (i = 0; i < 2; i++) {
        streams[i] = subscribe(hub, "t", NULL);
        read.len = 0;
        read.bytes[0] = '\0';
        read_until(streams[i], &read, "id: ");
    }
    /* Too large to be gathered with what else there is. */
    memset(data, 'x', 100000);
    event.data = fanfare_text_of(data, 100000);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    for (i = 0; i < 2; i++) {
        CHECK_EQ(fanfare_stream_next(streams[i], DEADLINE_MS, &batches[i]), FANFARE_OK);
        CHECK(batches[i].length > 100000);
        CHECK(memchr(batches[i].data, 'x', batches[i].length) != NULL);
    }
    /* They may be with different shards, each of which makes its own. */
    if (batches[0].length == batches[1].length) {
        CHECK(memcmp(batches[0].data, batches[1].data, batches[0].length) == 0);
    }
    fanfare_hub_free(hub);
    CHECK(memchr(batches[1].data, 'x', batches[1].length) != NULL);
    for (i = 0; i < 2; i++) {
        fanfare_stream_free(streams[i]);
    }
    free(data);
}

static void resumed(void)
{
    static text_read read, again;
    fanfare_hub *hub = hub_new();
    fanfare_stream_options options = fanfare_stream_options_defaults();
    fanfare_event first = event_of("first"), second = event_of("second");
    fanfare_event_id id;
    fanfare_stream *stream;

    CHECK_EQ(fanfare_hub_publish(hub, FANFARE_TEXT("t"), &first, &id), FANFARE_OK);
    CHECK_EQ(publish(hub, "t", &second), FANFARE_OK);
    options.last_event_id = fanfare_event_id_text(&id);
    options.tag = FANFARE_TEXT("user 7");
    options.addr = FANFARE_TEXT("2001:db8::7");
    stream = subscribe(hub, "t", &options);
    read_until(stream, &read, "data: second\n");
    CHECK(strstr(read.bytes, "first") == NULL);
    fanfare_stream_free(stream);
    options = fanfare_stream_options_defaults();
    options.start = FANFARE_START_EARLIEST;
    options.addr = FANFARE_TEXT("192.0.2.1:80");
    stream = subscribe(hub, "t", &options);
    read_until(stream, &again, "data: second\n");
    CHECK(strstr(again.bytes, "data: first\n") != NULL);
    fanfare_stream_free(stream);
    fanfare_hub_free(hub);
}

static void expired(void)
{
    static text_read read;
    fanfare_hub *hub = hub_new();
    fanfare_stream_options options = fanfare_stream_options_defaults();
    fanfare_disconnect_reason reason = 0;
    fanfare_stream *stream;
    uint32_t is_cut = 7;

    /* The past. */
    options.expires_at_unix_ms = 1000;
    stream = subscribe(hub, "t", &options);
    read_to_the_end(stream, &read);
    CHECK_EQ(fanfare_stream_end(stream, &reason, &is_cut), FANFARE_OK);
    CHECK_EQ(reason, FANFARE_DISCONNECT_EXPIRED);
    CHECK_EQ(is_cut, 0);
    CHECK(text_is(fanfare_disconnect_reason_name(reason), "expired"));
    CHECK(text_is(fanfare_disconnect_reason_name(0), "unknown"));
    CHECK(text_is(fanfare_disconnect_reason_name(INT32_MIN), "unknown"));
    fanfare_stream_free(stream);
    fanfare_hub_free(hub);
}

/* A reader that reads nothing lags, and is cut; what it had is still there, and its end is told. */
static void cut(void)
{
    fanfare_options options = options_new();
    fanfare_stream_options of_stream = fanfare_stream_options_defaults();
    fanfare_disconnect_reason reason = 0;
    fanfare_hub *hub = NULL;
    fanfare_stream *stream;
    fanfare_text batch;
    fanfare_status status;
    char data[4096];
    uint32_t is_cut = 0;
    int64_t deadline = now_ms() + DEADLINE_MS;

    options.lag_bytes_max = 1;
    options.lag_grace_ms = 0;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    of_stream.queue_bytes_max = 4096;
    of_stream.policy = FANFARE_POLICY_DISCONNECT;
    stream = subscribe(hub, "t", &of_stream);
    CHECK_EQ(fanfare_stream_next(stream, DEADLINE_MS, &batch), FANFARE_OK);
    memset(data, 'x', sizeof data);
    do {
        int i;
        for (i = 0; i < 64; i++) {
            fanfare_event event = fanfare_event_of(fanfare_text_of(data, sizeof data));
            status = publish(hub, "t", &event);
            CHECK(status == FANFARE_OK || status == FANFARE_ERR_FULL);
        }
        CHECK(now_ms() < deadline);
        while ((status = fanfare_stream_next(stream, 0, &batch)) == FANFARE_OK) {
        }
        CHECK_EQ(fanfare_stream_end(stream, &reason, &is_cut), FANFARE_OK);
    } while (reason == 0);
    CHECK_EQ(reason, FANFARE_DISCONNECT_LAGGING);
    CHECK_EQ(is_cut, 1);
    CHECK_EQ(fanfare_stream_next(stream, DEADLINE_MS, &batch), FANFARE_ERR_ENDED);
    fanfare_stream_free(stream);
    fanfare_hub_free(hub);
}

static void *wait_long(void *stream)
{
    fanfare_text batch;
    fanfare_status status;

    do {
        status = fanfare_stream_next(stream, UINT64_MAX, &batch);
    } while (status == FANFARE_OK || status == FANFARE_ERR_BUSY);
    CHECK_EQ(status, FANFARE_ERR_ENDED);
    return NULL;
}

/* A second thread that reads is told so, and may ask about the stream; the one that waits is told of the
 * end. */
static void one_at_a_time(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_stream *stream = subscribe(hub, "t", NULL);
    fanfare_text batch;
    fanfare_disconnect_reason reason;
    fanfare_connection_id id = 0;
    fanfare_connections *found = NULL;
    uint32_t is_complete = 7;
    int64_t deadline = now_ms() + DEADLINE_MS;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, wait_long, stream) == 0);
    while (fanfare_stream_next(stream, 0, &batch) != FANFARE_ERR_BUSY) {
        CHECK(now_ms() < deadline);
    }
    while (fanfare_stream_id(stream, &id) == FANFARE_OK && id == 0) {
        CHECK(now_ms() < deadline);
    }
    CHECK_EQ(fanfare_hub_connection(hub, id, &found), FANFARE_OK);
    fanfare_connections_free(found);
    CHECK_EQ(fanfare_stream_end(stream, &reason, NULL), FANFARE_OK);
    CHECK_EQ(reason, 0);
    CHECK_EQ(fanfare_stream_is_complete(stream, &is_complete), FANFARE_OK);
    CHECK_EQ(is_complete, 0);
    CHECK_EQ(fanfare_stream_next(stream, 0, &batch), FANFARE_ERR_BUSY);
    fanfare_hub_free(hub);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_EQ(fanfare_stream_end(stream, &reason, NULL), FANFARE_OK);
    CHECK_EQ(reason, FANFARE_DISCONNECT_CLOSED);
    fanfare_stream_free(stream);
}

#define THREADS 8

typedef struct {
    const fanfare_hub *hub;
    pthread_t thread;
} reader;

/* Subscribes, reads an event and is gone, several times. */
static void *come_and_go(void *argument)
{
    const reader *self = argument;
    int i;

    for (i = 0; i < 20; i++) {
        fanfare_stream *stream = subscribe(self->hub, "t", NULL);
        text_read *read = calloc(1, sizeof *read);
        fanfare_event event = event_of("x");
        CHECK(read != NULL);
        CHECK_EQ(publish(self->hub, "t", &event), FANFARE_OK);
        read_until(stream, read, "data: x\n");
        fanfare_stream_free(stream);
        free(read);
    }
    return NULL;
}

static void many_threads(void)
{
    fanfare_hub *hub = hub_new();
    reader readers[THREADS];
    int i;

    for (i = 0; i < THREADS; i++) {
        readers[i].hub = hub;
        CHECK(pthread_create(&readers[i].thread, NULL, come_and_go, &readers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(readers[i].thread, NULL) == 0);
    }
    fanfare_hub_free(hub);
}

static void in_child_of_fork(void)
{
    static text_read read;
    fanfare_hub *hub = hub_new();
    fanfare_stream *stream = subscribe(hub, "t", NULL);
    fanfare_event event = event_of("from the parent");
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fanfare_text topics[1] = {{NULL, 0}}, batch = {NULL, 0};
        fanfare_disconnect_reason reason = 0;
        fanfare_stream *own = NULL;
        topics[0] = FANFARE_TEXT("t");
        CHECK_EQ(fanfare_stream_next(stream, 0, &batch), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_stream_end(stream, &reason, NULL), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_subscribe(hub, topics, 1, NULL, &own), FANFARE_ERR_FORKED);
        fanfare_stream_free(stream);
        fanfare_stream_free(stream);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    read_until(stream, &read, "data: from the parent\n");
    fanfare_stream_free(stream);
    fanfare_hub_free(hub);
}

/* The program is told once that there is something to read, and again when it has read all. */
static void told_of_what_can_be_read(void)
{
    static text_read read;
    fanfare_hub *hub = hub_new();
    fanfare_notices *notices = notices_new(), *others = notices_new();
    fanfare_stream *stream = subscribe(hub, "t", NULL);
    fanfare_event event = event_of("one");
    fanfare_text batch;
    fanfare_notice notice;
    fanfare_connection_id id = 0;
    fanfare_status status;
    size_t count = 7;

    CHECK_EQ(fanfare_stream_notify(NULL, notices, 5), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_notify(stream, NULL, 5), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_notify(stream, notices, 5), FANFARE_OK);
    notice = notices_next(notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_READABLE);
    CHECK_EQ(notice.token, 5);
    /* All there is, until there is nothing; what comes after that is told. */
    read_until(stream, &read, "id: ");
    CHECK_EQ(fanfare_stream_id(stream, &id), FANFARE_OK);
    CHECK(id != 0);
    CHECK_EQ(fanfare_stream_id(NULL, &id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_stream_id(stream, NULL), FANFARE_ERR_ARGUMENT);
    while ((status = fanfare_stream_next(stream, 0, &batch)) == FANFARE_OK) {
    }
    CHECK_EQ(status, FANFARE_ERR_TIMEOUT);
    CHECK_EQ(fanfare_notices_drain(notices, &notice, sizeof notice, 1, &count), FANFARE_OK);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    notice = notices_next(notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_READABLE);
    /* It was not read yet, so that nothing more is told. */
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK_EQ(fanfare_notices_drain(notices, &notice, sizeof notice, 1, &count), FANFARE_OK);
    CHECK_EQ(count, 0);
    read.len = 0;
    read.bytes[0] = '\0';
    read_until(stream, &read, "data: one\n");

    /* Another queue takes it over, and is told of the end as well. */
    CHECK_EQ(fanfare_stream_notify(stream, others, 6), FANFARE_OK);
    notice = notices_next(others);
    CHECK_EQ(notice.token, 6);
    while ((status = fanfare_stream_next(stream, 0, &batch)) == FANFARE_OK) {
    }
    CHECK_EQ(status, FANFARE_ERR_TIMEOUT);
    fanfare_hub_free(hub);
    notice = notices_next(others);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_READABLE);
    CHECK_EQ(notice.token, 6);
    read_to_the_end(stream, &read);
    CHECK_EQ(fanfare_notices_drain(notices, &notice, sizeof notice, 1, &count), FANFARE_OK);
    CHECK_EQ(count, 0);
    fanfare_notices_free(others);
    fanfare_stream_free(stream);
    fanfare_notices_free(notices);
}

/* Many streams in one queue, each read when it is told of. */
static void many_streams(void)
{
    enum { STREAMS = 100 };
    static text_read reads[STREAMS];
    fanfare_hub *hub = hub_new();
    fanfare_notices *notices = notices_new();
    fanfare_stream *streams[STREAMS];
    fanfare_event event = event_of("for all");
    int i, left = STREAMS;

    for (i = 0; i < STREAMS; i++) {
        streams[i] = subscribe(hub, "t", NULL);
        CHECK_EQ(fanfare_stream_notify(streams[i], notices, (uint64_t)i), FANFARE_OK);
    }
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    while (left > 0) {
        fanfare_notice notice = notices_next(notices);
        text_read *read = &reads[notice.token];
        fanfare_text batch;
        int had = strstr(read->bytes, "data: for all\n") != NULL;

        CHECK_EQ(notice.kind, FANFARE_NOTICE_READABLE);
        while (fanfare_stream_next(streams[notice.token], 0, &batch) == FANFARE_OK) {
            CHECK(read->len + batch.length < sizeof read->bytes);
            memcpy(read->bytes + read->len, batch.data, batch.length);
            read->len += batch.length;
            read->bytes[read->len] = '\0';
        }
        left -= !had && strstr(read->bytes, "data: for all\n") != NULL;
    }
    for (i = 0; i < STREAMS; i++) {
        fanfare_stream_free(streams[i]);
    }
    fanfare_notices_free(notices);
    fanfare_hub_free(hub);
}

const test tests_of_stream[] = {
    {"a stream gives batches of whole events, and ends with its hub", batches},
    {"batches are not copied, and stay until the next call", shared_batches},
    {"a stream goes on behind an id, or begins where it says", resumed},
    {"a stream whose time is over ends in order, and says so", expired},
    {"a stream that lags too far is cut, and says so", cut},
    {"a stream is read by one thread at a time, and another is told so", one_at_a_time},
    {"threads subscribe and leave at once", many_threads},
    {"a queue is told when there is something to read of a stream, and of its end",
     told_of_what_can_be_read},
    {"many streams are read as one queue tells of them", many_streams},
    {"in the child of a fork a stream is refused, and the parent's goes on", in_child_of_fork},
    {NULL, NULL},
};
