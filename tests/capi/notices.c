/* Notices: what a host is told of connections and of interest. */

#include "check.h"
#include "client.h"
#include "watched.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- What a notice has ---- */

static void tells_of_a_connection(void)
{
    watched watched = watched_new(0);
    client *client = client_new(watched.port, "rooms/42&topic=rooms/%2B&tag=ann");
    fanfare_event event = event_of("x");
    fanfare_notice notice = notices_next(watched.notices);
    fanfare_connection_id id = notice.id;
    uint64_t at_unix_ms = notice.at_unix_ms;
    received got;

    CHECK_EQ(notice.kind, FANFARE_NOTICE_CONNECTED);
    CHECK(notice.token == TOKEN);
    CHECK(id != 0 && notice.lost == 0 && notice.reason == 0 && notice.events == 0);
    /* After 2020 and before 2200. */
    CHECK(at_unix_ms > 1577836800000u && at_unix_ms < 7258118400000u);
    CHECK(text_is(notice.tag, "ann"));
    CHECK(notice.addr.length > 10 && memcmp(notice.addr.data, "127.0.0.1:", 10) == 0);
    CHECK_EQ(notice.subscriptions_count, 2);
    CHECK(text_is(notice.subscriptions[0], "rooms/42") != text_is(notice.subscriptions[1], "rooms/42"));
    CHECK(text_is(notice.subscriptions[0], "rooms/+") != text_is(notice.subscriptions[1], "rooms/+"));

    CHECK_EQ(publish(watched.hub, "rooms/42", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    client_free(client);
    notice = notices_next(watched.notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_DISCONNECTED);
    CHECK(notice.token == TOKEN && notice.id == id && notice.at_unix_ms >= at_unix_ms);
    CHECK(notice.reason == FANFARE_DISCONNECT_CLIENT_CLOSED
          || notice.reason == FANFARE_DISCONNECT_RESET);
    CHECK_EQ(notice.events, 1);
    CHECK(notice.bytes >= strlen("data: x\n\n") && notice.lasted_ms < DEADLINE_MS);
    CHECK_EQ(notice.subscriptions_count, 2);
    watched_free(&watched);
}

static void reasons_have_names(void)
{
    fanfare_disconnect_reason reason, other;

    for (reason = FANFARE_DISCONNECT_CLIENT_CLOSED; reason <= FANFARE_DISCONNECT_EXPIRED; reason++) {
        fanfare_text name = fanfare_disconnect_reason_name(reason);
        CHECK(name.length > 0 && !text_is(name, "unknown"));
        for (other = FANFARE_DISCONNECT_CLIENT_CLOSED; other < reason; other++) {
            fanfare_text earlier = fanfare_disconnect_reason_name(other);
            CHECK(earlier.length != name.length
                  || memcmp(earlier.data, name.data, name.length) != 0);
        }
    }
    CHECK(text_is(fanfare_disconnect_reason_name(FANFARE_DISCONNECT_KICKED), "kicked"));
    CHECK(text_is(fanfare_disconnect_reason_name(0), "unknown"));
    CHECK(text_is(fanfare_disconnect_reason_name(-1), "unknown"));
    CHECK(text_is(fanfare_disconnect_reason_name(reason), "unknown"));
}

/* ---- Bounds and ends ---- */

static void lost_are_counted(void)
{
    watched watched = watched_new(4);
    client *clients[10];
    fanfare_notice notice;
    size_t i;

    for (i = 0; i < 10; i++) {
        clients[i] = client_new(watched.port, "t");
    }
    for (i = 0; i < 4; i++) {
        notice = notices_next(watched.notices);
        CHECK_EQ(notice.kind, FANFARE_NOTICE_CONNECTED);
        CHECK_EQ(notice.lost, 0);
    }
    client_free(clients[0]);
    notice = notices_next(watched.notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_DISCONNECTED);
    CHECK_EQ(notice.lost, 6);
    for (i = 1; i < 10; i++) {
        client_free(clients[i]);
    }
    watched_free(&watched);
}

static void ends_with_the_hub(void)
{
    watched watched = watched_new(0);
    client *client = client_new(watched.port, "t");
    fanfare_notice notice;

    fanfare_hub_free(watched.hub);
    CHECK_EQ(notices_next(watched.notices).kind, FANFARE_NOTICE_CONNECTED);
    notice = notices_next(watched.notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_DISCONNECTED);
    CHECK_EQ(notice.reason, FANFARE_DISCONNECT_CLOSED);
    notice = notices_next(watched.notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_ENDED);
    CHECK(notice.token == TOKEN);
    CHECK_EQ(fanfare_notices_remove(watched.notices, TOKEN), FANFARE_ERR_STALE);
    client_free(client);
    fanfare_notices_free(watched.notices);
}

static void one_queue_has_the_connections(void)
{
    watched watched = watched_new(0);
    fanfare_notices *other = notices_new();
    client *client;

    CHECK_EQ(fanfare_hub_watch_connections(watched.hub, other, 2, 0), FANFARE_OK);
    CHECK_EQ(notices_next(watched.notices).kind, FANFARE_NOTICE_ENDED);
    client = client_new(watched.port, "t");
    CHECK(notices_next(other).token == 2);
    CHECK_EQ(fanfare_notices_remove(other, 1), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_notices_remove(other, 2), FANFARE_OK);
    client_free(client);
    fanfare_notices_free(other);
    watched_free(&watched);
}

static void queue_is_freed_first(void)
{
    watched watched = watched_new(0);
    client *client = client_new(watched.port, "t");
    fanfare_event event = event_of("still here");
    received got;

    fanfare_notices_free(watched.notices);
    CHECK_EQ(publish(watched.hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    client_free(client);
    fanfare_hub_free(watched.hub);
}

/* ---- Interest ---- */

static void expect_interest(const fanfare_notices *notices, int kind, const char *topic)
{
    fanfare_notice notice = notices_next(notices);

    CHECK_EQ(notice.kind, kind);
    CHECK_EQ(notice.token, 7);
    CHECK_EQ(notice.subscriptions_count, 1);
    CHECK(text_is(notice.subscriptions[0], topic));
    CHECK(notice.id == 0 && notice.at_unix_ms > 0);
}

static void tells_what_is_wanted(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_notices *notices = notices_new();
    uint16_t port = hub_listen(hub);
    client *first = client_new(port, "sensor/1"), *second, *other;

    CHECK_EQ(fanfare_hub_watch_interest(hub, notices, 7, FANFARE_TEXT("sensor/#"), 0), FANFARE_OK);
    expect_interest(notices, FANFARE_NOTICE_WANTED, "sensor/1");
    other = client_new(port, "news");
    second = client_new(port, "sensor/2");
    expect_interest(notices, FANFARE_NOTICE_WANTED, "sensor/2");
    client_free(first);
    expect_interest(notices, FANFARE_NOTICE_UNWANTED, "sensor/1");
    fanfare_hub_free(hub);
    expect_interest(notices, FANFARE_NOTICE_UNWANTED, "sensor/2");
    CHECK_EQ(notices_next(notices).kind, FANFARE_NOTICE_ENDED);
    client_free(second);
    client_free(other);
    fanfare_notices_free(notices);
}

static void interest_has_bounds(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_notices *notices = notices_new();
    const fanfare_text all = FANFARE_TEXT("#");
    int i;

#define WATCH(text, grace_ms) fanfare_hub_watch_interest(hub, notices, 1, text, grace_ms)
    CHECK_EQ(WATCH(FANFARE_TEXT("a/#/b"), 0), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(WATCH(FANFARE_TEXT(""), 0), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(WATCH(fanfare_text_of(NULL, 0), 0), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(WATCH(fanfare_text_of(NULL, 1), 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(WATCH(fanfare_text_of("\xff", 1), 0), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(WATCH(all, 3600001), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(WATCH(all, UINT64_MAX), FANFARE_ERR_ARGUMENT);
    for (i = 0; i < 64; i++) {
        CHECK_EQ(WATCH(all, 3600000), FANFARE_OK);
    }
    CHECK_EQ(WATCH(all, 0), FANFARE_ERR_LIMIT);
    CHECK_EQ(fanfare_notices_remove(notices, 1), FANFARE_OK);
    CHECK_EQ(WATCH(all, 0), FANFARE_OK);
#undef WATCH
    fanfare_notices_free(notices);
    fanfare_hub_free(hub);
}

/* ---- Many threads ---- */

#define THREADS 8
#define ROUNDS 50

static fanfare_hub *shared_hub;
static fanfare_notices *shared_notices;

/* Adds sources and takes them out again, while others do, and while one drains. */
static void *add_and_remove(void *argument)
{
    uint64_t token = 1 + *(unsigned *)argument;
    int i, fd = -1;

    for (i = 0; i < ROUNDS; i++) {
        CHECK_EQ(fanfare_hub_watch_interest(shared_hub, shared_notices, token, FANFARE_TEXT("#"), 0),
                 FANFARE_OK);
        CHECK_EQ(fanfare_notices_doorbell(shared_notices, &fd), FANFARE_OK);
        CHECK_EQ(fanfare_notices_remove(shared_notices, token), FANFARE_OK);
        CHECK_EQ(fanfare_notices_remove(shared_notices, token), FANFARE_ERR_STALE);
    }
    /* What the main thread waits for. */
    CHECK_EQ(fanfare_hub_watch_interest(shared_hub, shared_notices, token, FANFARE_TEXT("t"), 0),
             FANFARE_OK);
    return NULL;
}

static void added_at_once(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS], i, told = 0;
    int wanted[THREADS] = {0};
    client *client;

    shared_hub = hub_new();
    shared_notices = notices_new();
    for (i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, add_and_remove, &numbers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        fanfare_notice none;
        CHECK_EQ(drain(shared_notices, &none, 1), 0);
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    client = client_new(hub_listen(shared_hub), "t");
    while (told < THREADS) {
        fanfare_notice notice = notices_next(shared_notices);
        CHECK_EQ(notice.kind, FANFARE_NOTICE_WANTED);
        CHECK(notice.token >= 1 && notice.token <= THREADS && !wanted[notice.token - 1]);
        wanted[notice.token - 1] = 1;
        told++;
    }
    client_free(client);
    fanfare_hub_free(shared_hub);
    fanfare_notices_free(shared_notices);
}

/* ---- Arguments ---- */

static void wrong_arguments(void)
{
    watched watched = watched_new(0);
    fanfare_notice notice;
    size_t count = 77;
    int fd = 77;

    memset(&notice, 0x5a, sizeof notice);
    CHECK_EQ(fanfare_notices_new(NULL), FANFARE_ERR_ARGUMENT);
    fanfare_notices_free(NULL);
    CHECK_EQ(fanfare_notices_doorbell(NULL, &fd), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_notices_doorbell(watched.notices, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_notices_remove(NULL, 1), FANFARE_ERR_ARGUMENT);
#define DRAIN(notices, array, size, capacity, count) \
    CHECK_EQ(fanfare_notices_drain(notices, array, size, capacity, count), FANFARE_ERR_ARGUMENT)
    DRAIN(NULL, &notice, sizeof notice, 1, &count);
    DRAIN(watched.notices, NULL, sizeof notice, 1, &count);
    DRAIN(watched.notices, &notice, sizeof notice, 1, NULL);
    DRAIN(watched.notices, &notice, 0, 1, &count);
    DRAIN(watched.notices, &notice, offsetof(fanfare_notice, bytes), 1, &count);
    DRAIN(watched.notices, &notice, 4097, 1, &count);
    DRAIN(watched.notices, &notice, sizeof notice, SIZE_MAX, &count);
    DRAIN(watched.notices, &notice, sizeof notice, SIZE_MAX / sizeof notice, &count);
#undef DRAIN
    CHECK(count == 77 && fd == 77 && notice.kind == 0x5a5a5a5a);
    CHECK_EQ(fanfare_hub_watch_connections(NULL, watched.notices, 1, 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_watch_connections(watched.hub, NULL, 1, 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_watch_interest(NULL, watched.notices, 1, FANFARE_TEXT("#"), 0),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_watch_interest(watched.hub, NULL, 1, FANFARE_TEXT("#"), 0),
             FANFARE_ERR_ARGUMENT);
    watched_free(&watched);
}

/* A program that was built with a newer header, whose notices have more fields. */
static void larger_notices(void)
{
    struct {
        fanfare_notice known;
        uint64_t unknown;
        char text[3];
    } newer[2];
    watched watched = watched_new(0);
    client *clients[2];
    size_t count = 0, told = 0;

    clients[0] = client_new(watched.port, "t");
    clients[1] = client_new(watched.port, "t");
    while (told < 2) {
        memset(newer, 0x5a, sizeof newer);
        notices_wait(watched.notices);
        CHECK_EQ(fanfare_notices_drain(watched.notices, &newer[0].known, sizeof newer[0], 2, &count),
                 FANFARE_OK);
        for (told += count; count > 0; count--) {
            CHECK_EQ(newer[count - 1].known.kind, FANFARE_NOTICE_CONNECTED);
            CHECK(text_is(newer[count - 1].known.subscriptions[0], "t"));
            CHECK_EQ(newer[count - 1].unknown, 0);
            CHECK(newer[count - 1].text[0] == 0 && newer[count - 1].text[2] == 0);
        }
    }
    client_free(clients[0]);
    client_free(clients[1]);
    watched_free(&watched);
}

static void refused_after_a_fork(void)
{
    watched watched = watched_new(0);
    client *client;
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fanfare_notice notice;
        size_t count = 77;
        int fd = 77;

        alarm(DEADLINE_MS / 1000);
        CHECK_EQ(fanfare_notices_drain(watched.notices, &notice, sizeof notice, 1, &count),
                 FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_notices_doorbell(watched.notices, &fd), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_notices_remove(watched.notices, TOKEN), FANFARE_ERR_FORKED);
        CHECK(count == 77 && fd == 77);
        fanfare_notices_free(watched.notices);
        fanfare_notices_free(watched.notices);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    client = client_new(watched.port, "t");
    CHECK_EQ(notices_next(watched.notices).kind, FANFARE_NOTICE_CONNECTED);
    client_free(client);
    watched_free(&watched);
}

const test tests_of_notices[] = {
    {"a host is told of a connection that comes and goes, with all there is to it",
     tells_of_a_connection},
    {"each reason of an end has a name of its own", reasons_have_names},
    {"notices that find the queue full are counted in the next one", lost_are_counted},
    {"a hub that is freed is told of as the end", ends_with_the_hub},
    {"a hub tells one queue of its connections", one_queue_has_the_connections},
    {"a queue is freed before the hub that it is told of", queue_is_freed_first},
    {"a host is told what is wanted, and what is not wanted any more", tells_what_is_wanted},
    {"interest in what is no topic, or for too long, or too often is refused", interest_has_bounds},
    {"eight threads add sources to a queue and take them out at once", added_at_once},
    {"a queue refuses wrong arguments, and writes nothing", wrong_arguments},
    {"notices of a newer header have zeros where the library knows nothing", larger_notices},
    {"a queue is refused in the child of a fork, and the parent goes on", refused_after_a_fork},
    {NULL, NULL},
};
