/* The doorbell, as each kind of host waits for it. */

#include "check.h"
#include "client.h"
#include "watched.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

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

const test tests_of_doorbell[] = {
    {"a host that polls is told of each of 1,000 connections, that it came and then that it went",
     thousand_polled},
    {"a host that selects is told of each of 1,000 connections as well", thousand_selected},
    {"a host with an edge-triggered epoll is told of each of 1,000 connections as well",
     thousand_with_epoll},
    {"a host that reads its doorbell is told of each of 1,000 connections as well", thousand_read},
    {"the doorbell is readable until the last notice is drained", rings_until_drained},
    {"the doorbell does not block, and is closed with its queue", never_blocks},
    {"a duplicate of the doorbell rings as well, and ends with the queue", duplicates_ring},
    {NULL, NULL},
};
