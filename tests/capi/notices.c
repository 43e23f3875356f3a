/* Notices: the doorbell, and what a host is told of connections and of interest. */

#include "check.h"
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN 0xfeedfacecafebeefu

/* A hub that tells a queue of its connections. */
typedef struct {
    fanfare_hub *hub;
    fanfare_notices *notices;
    uint16_t port;
} watched;

static watched watched_new(size_t capacity)
{
    watched new;

    new.hub = hub_new();
    new.notices = notices_new();
    new.port = hub_listen(new.hub);
    CHECK_EQ(fanfare_hub_watch_connections(new.hub, new.notices, capacity, TOKEN), FANFARE_OK);
    return new;
}

static void watched_free(watched *watched)
{
    fanfare_hub_free(watched->hub);
    fanfare_notices_free(watched->notices);
}

static size_t drain(const fanfare_notices *notices, fanfare_notice *array, size_t capacity)
{
    size_t count = SIZE_MAX;

    CHECK_EQ(fanfare_notices_drain(notices, array, sizeof array[0], capacity, &count), FANFARE_OK);
    CHECK(count <= capacity);
    return count;
}

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

/* ---- A thousand connections ---- */

#define COMERS 4
#define CONNECTIONS_EACH 250
#define CONNECTIONS (COMERS * CONNECTIONS_EACH)
/* How many of them a thread has open at once. */
#define OPEN_MAX_EACH 25

static uint16_t comers_port;

/* Connects with a topic of its own each, and leaves in the order in which it came. */
static void *come_and_go(void *argument)
{
    unsigned first = *(unsigned *)argument, nth;
    client *open[OPEN_MAX_EACH] = {NULL};
    char topic[32];

    for (nth = 0; nth < CONNECTIONS_EACH + OPEN_MAX_EACH; nth++) {
        client **slot = &open[nth % OPEN_MAX_EACH];
        if (*slot != NULL) {
            client_free(*slot);
            *slot = NULL;
        }
        if (nth < CONNECTIONS_EACH) {
            snprintf(topic, sizeof topic, "c/%u", first + nth);
            *slot = client_new(comers_port, topic);
        }
    }
    return NULL;
}

/* What is known of each connection, by the number in its topic. */
typedef struct {
    fanfare_connection_id id;
    int has_come, has_gone;
} seen;

static void note(seen *all, const fanfare_notice *notice)
{
    char topic[32] = "";
    unsigned nth = CONNECTIONS;
    seen *seen;

    CHECK_EQ(notice->subscriptions_count, 1);
    CHECK(notice->subscriptions[0].length < sizeof topic);
    memcpy(topic, notice->subscriptions[0].data, notice->subscriptions[0].length);
    CHECK(sscanf(topic, "c/%u", &nth) == 1 && nth < CONNECTIONS);
    CHECK_EQ(notice->lost, 0);
    seen = &all[nth];
    if (notice->kind == FANFARE_NOTICE_CONNECTED) {
        CHECK(!seen->has_come && !seen->has_gone);
        seen->has_come = 1;
        seen->id = notice->id;
    } else {
        CHECK_EQ(notice->kind, FANFARE_NOTICE_DISCONNECTED);
        CHECK(seen->has_come && !seen->has_gone && seen->id == notice->id);
        seen->has_gone = 1;
    }
}

/* How a host waits for a descriptor. */
typedef void (*waiting)(int fd);

static void by_poll(int fd)
{
    struct pollfd readable;

    readable.fd = fd;
    readable.events = POLLIN;
    CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
    CHECK_EQ(readable.revents, POLLIN);
}

static void by_select(int fd)
{
    struct timeval deadline = {DEADLINE_MS / 1000, 0};
    fd_set readable;

    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    CHECK_EQ(select(fd + 1, &readable, NULL, NULL, &deadline), 1);
}

/* Edge-triggered, as Go's netpoller and some event loops do: it reports a change, once. */
static void by_epoll(int fd)
{
    static int epoll = -1;
    struct epoll_event event;

    if (epoll < 0) {
        memset(&event, 0, sizeof event);
        event.events = EPOLLIN | EPOLLET;
        epoll = epoll_create1(EPOLL_CLOEXEC);
        CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    }
    CHECK_EQ(epoll_wait(epoll, &event, 1, DEADLINE_MS), 1);
    CHECK_EQ(event.events, EPOLLIN);
}

/* As libuv's streams do, which Node.js has, and Go's files: whatever comes is read. */
static void by_read(int fd)
{
    char bytes[64];

    by_poll(fd);
    CHECK_EQ(read(fd, bytes, sizeof bytes), 1);
}

static void thousand(waiting wait)
{
    static seen all[CONNECTIONS];
    watched watched = watched_new(0);
    pthread_t threads[COMERS];
    unsigned firsts[COMERS], i, told = 0;
    fanfare_notice batch[7];
    int fd = -1;

    CHECK_EQ(fanfare_notices_doorbell(watched.notices, &fd), FANFARE_OK);
    memset(all, 0, sizeof all);
    comers_port = watched.port;
    for (i = 0; i < COMERS; i++) {
        firsts[i] = i * CONNECTIONS_EACH;
        CHECK(pthread_create(&threads[i], NULL, come_and_go, &firsts[i]) == 0);
    }
    while (told < 2 * CONNECTIONS) {
        size_t count, at;
        wait(fd);
        count = drain(watched.notices, batch, sizeof batch / sizeof batch[0]);
        for (at = 0; at < count; at++) {
            note(all, &batch[at]);
        }
        told += (unsigned)count;
    }
    for (i = 0; i < CONNECTIONS; i++) {
        CHECK(all[i].has_come && all[i].has_gone);
    }
    for (i = 0; i < COMERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQ(drain(watched.notices, batch, 7), 0);
    CHECK(!notices_ring(watched.notices));
    watched_free(&watched);
}

static void thousand_polled(void)
{
    thousand(by_poll);
}

static void thousand_selected(void)
{
    thousand(by_select);
}

static void thousand_with_epoll(void)
{
    thousand(by_epoll);
}

static void thousand_read(void)
{
    thousand(by_read);
}

/* ---- The doorbell ---- */

static void rings_until_drained(void)
{
    watched watched = watched_new(0);
    client *clients[3];
    fanfare_notice batch[2];
    size_t i;

    /* It may ring for nothing, once. */
    drain(watched.notices, batch, 2);
    CHECK(!notices_ring(watched.notices));
    for (i = 0; i < 3; i++) {
        clients[i] = client_new(watched.port, "t");
    }
    notices_wait(watched.notices);
    CHECK(notices_ring(watched.notices) && notices_ring(watched.notices));
    CHECK_EQ(drain(watched.notices, NULL, 0), 0);
    CHECK(notices_ring(watched.notices));
    for (i = 0; i < 3; i++) {
        CHECK(notices_ring(watched.notices));
        CHECK_EQ(drain(watched.notices, batch, 1), 1);
    }
    /* A drain that filled the array does not know whether that was all. */
    CHECK_EQ(drain(watched.notices, batch, 2), 0);
    CHECK(!notices_ring(watched.notices));
    for (i = 0; i < 3; i++) {
        client_free(clients[i]);
    }
    watched_free(&watched);
}

static void never_blocks(void)
{
    fanfare_notices *notices = notices_new();
    char byte;
    int fd = -1, again = -1;

    CHECK_EQ(fanfare_notices_doorbell(notices, &fd), FANFARE_OK);
    CHECK_EQ(fanfare_notices_doorbell(notices, &again), FANFARE_OK);
    CHECK(fd >= 0 && fd == again);
    CHECK(!notices_ring(notices));
    CHECK_EQ(read(fd, &byte, 1), -1);
    CHECK(errno == EAGAIN || errno == EWOULDBLOCK);
    fanfare_notices_free(notices);
    CHECK(close(fd) != 0 && errno == EBADF);
}

static void duplicates_ring(void)
{
    watched watched = watched_new(0);
    client *client;
    struct pollfd readable;
    int fd = -1;
    char byte;

    CHECK_EQ(fanfare_notices_doorbell(watched.notices, &fd), FANFARE_OK);
    readable.fd = dup(fd);
    readable.events = POLLIN;
    CHECK(readable.fd >= 0);
    client = client_new(watched.port, "t");
    CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
    CHECK_EQ(notices_next(watched.notices).kind, FANFARE_NOTICE_CONNECTED);
    client_free(client);
    watched_free(&watched);
    /* The other end is closed: what a runtime that reads takes for the end. */
    while (read(readable.fd, &byte, 1) > 0) {
    }
    CHECK_EQ(read(readable.fd, &byte, 1), 0);
    CHECK(close(readable.fd) == 0);
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

    CHECK_EQ(fanfare_hub_watch_connections(watched.hub, other, 0, 2), FANFARE_OK);
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

    CHECK_EQ(fanfare_hub_watch_interest(hub, notices, FANFARE_TEXT("sensor/#"), 0, 7), FANFARE_OK);
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

#define WATCH(text, grace_ms) fanfare_hub_watch_interest(hub, notices, text, grace_ms, 1)
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
    CHECK_EQ(fanfare_hub_watch_connections(NULL, watched.notices, 0, 1), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_watch_connections(watched.hub, NULL, 0, 1), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_watch_interest(NULL, watched.notices, FANFARE_TEXT("#"), 0, 1),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_watch_interest(watched.hub, NULL, FANFARE_TEXT("#"), 0, 1),
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
    {"a host that polls is told of each of 1,000 connections, that it came and then that it went",
     thousand_polled},
    {"a host that selects is told of each of 1,000 connections as well", thousand_selected},
    {"a host with an edge-triggered epoll is told of each of 1,000 connections as well",
     thousand_with_epoll},
    {"a host that reads its doorbell is told of each of 1,000 connections as well", thousand_read},
    {"the doorbell is readable until the last notice is drained", rings_until_drained},
    {"the doorbell does not block, and is closed with its queue", never_blocks},
    {"a duplicate of the doorbell rings as well, and ends with the queue", duplicates_ring},
    {"notices that find the queue full are counted in the next one", lost_are_counted},
    {"a hub that is freed is told of as the end", ends_with_the_hub},
    {"a hub tells one queue of its connections", one_queue_has_the_connections},
    {"a queue is freed before the hub that it is told of", queue_is_freed_first},
    {"a host is told what is wanted, and what is not wanted any more", tells_what_is_wanted},
    {"interest in what is no topic, or for too long, or too often is refused", interest_has_bounds},
    {"a queue refuses wrong arguments, and writes nothing", wrong_arguments},
    {"notices of a newer header have zeros where the library knows nothing", larger_notices},
    {"a queue is refused in the child of a fork, and the parent goes on", refused_after_a_fork},
    {NULL, NULL},
};
