/* A hub after a fork: its threads are the parent's alone, its sockets are both's. */

/* For _Fork and syscall. */
#define _GNU_SOURCE

#include "check.h"
#include "client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* A way to make a child. */
typedef pid_t (*forking)(void);

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
#define HAS_BARE_FORK
#endif
#endif

/* As programs do that want no handlers of pthread_atfork: none sees the fork. */
static pid_t by_system_call(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static const forking forkings[] = {
    fork,
#ifdef HAS_BARE_FORK
    _Fork,
#endif
    by_system_call,
};

/* Runs a part of the test in a child, which has the hub of its parent. The parts but those of a
 * whole `fork` may use nothing that takes a lock. */
static void in_child(forking forking, void (*part)(fanfare_hub *), fanfare_hub *hub)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = forking();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(DEADLINE_MS / 1000);
        part(hub);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
}

static void refused_in_child(fanfare_hub *hub)
{
    fanfare_event event = event_of("x");
    const fanfare_text name = FANFARE_TEXT("t");
    fanfare_publication publication = fanfare_publication_of(&name, 1, &event);
    fanfare_topic_options topic_options = fanfare_topic_options_defaults();
    fanfare_metrics metrics = fanfare_metrics_empty();
    fanfare_rules *rules = NULL;
    uint16_t port = 0xbeef;
    fanfare_event_id id = id_untouched();
    size_t count = 77;

    CHECK_EQ(fanfare_hub_publish(hub, FANFARE_TEXT("t"), &event, &id), FANFARE_ERR_FORKED);
    CHECK(id_is_untouched(&id));
    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &port),
             FANFARE_ERR_FORKED);
    CHECK_EQ(port, 0xbeef);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_ERR_FORKED);
    CHECK_EQ(fanfare_hub_publish_wait(hub, &publication, UINT64_MAX, &id), FANFARE_ERR_FORKED);
    CHECK_EQ(fanfare_hub_publish_many(hub, &publication, 1, UINT64_MAX, &id, &count),
             FANFARE_ERR_FORKED);
    CHECK_EQ(count, 0);
    CHECK_EQ(fanfare_hub_set_rule(hub, name, &topic_options), FANFARE_ERR_FORKED);
    CHECK_EQ(fanfare_hub_remove_rule(hub, name, NULL), FANFARE_ERR_FORKED);
    CHECK_EQ(fanfare_hub_rules(hub, &rules), FANFARE_ERR_FORKED);
    CHECK_EQ(fanfare_hub_metrics(hub, &metrics), FANFARE_ERR_FORKED);
    CHECK_EQ(fanfare_hub_prometheus(hub, NULL, 0, &count), FANFARE_ERR_FORKED);
    CHECK_EQ(fanfare_hub_drain(hub, NULL, NULL), FANFARE_ERR_FORKED);
    CHECK_EQ(count, 0);
    CHECK_EQ(fanfare_hub_finish(hub, name, NULL, UINT64_MAX, &id), FANFARE_ERR_FORKED);
    CHECK(id_is_untouched(&id));
    fanfare_hub_free(hub);
    fanfare_hub_free(hub);
}

static void own_hub_in_child(fanfare_hub *hub)
{
    fanfare_hub *own = hub_new();
    client *client = client_new(hub_listen(own), "t");
    fanfare_event event = event_of("from the child");
    received got;

    fanfare_hub_free(hub);
    CHECK_EQ(publish(own, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "from the child");
    client_free(client);
    fanfare_hub_free(own);
}

/* Timeouts need no thread that was the parent's alone. */
static void waits_in_child(fanfare_hub *hub)
{
    fanfare_hub *own = hub_new();
    const fanfare_text topic = FANFARE_TEXT("t");
    fanfare_stream *stream = NULL;
    fanfare_connections *connections = NULL;
    fanfare_text batch;

    fanfare_hub_free(hub);
    CHECK_EQ(fanfare_hub_subscribe(own, &topic, 1, NULL, &stream), FANFARE_OK);
    while (fanfare_stream_next(stream, 50, &batch) == FANFARE_OK) {
    }
    CHECK_EQ(fanfare_stream_next(stream, 50, &batch), FANFARE_ERR_TIMEOUT);
    CHECK_EQ(fanfare_hub_connections(own, NULL, &connections), FANFARE_OK);
    CHECK_EQ(fanfare_connections_count(connections), 1);
    fanfare_connections_free(connections);
    fanfare_stream_free(stream);
    fanfare_hub_free(own);
}

static void with_a_client(forking forking, void (*part)(fanfare_hub *))
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event event = event_of("from the parent");
    received got;

    in_child(forking, part, hub);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "from the parent");
    fanfare_hub_free(hub);
    client_expect_end(client);
    client_free(client);
}

static void child_is_refused(void)
{
    size_t i;

    for (i = 0; i < sizeof forkings / sizeof forkings[0]; i++) {
        with_a_client(forkings[i], refused_in_child);
    }
}

static void child_makes_its_own(void)
{
    with_a_client(fork, own_hub_in_child);
}

static void child_waits(void)
{
    fanfare_hub *hub = hub_new();
    const fanfare_text topic = FANFARE_TEXT("t");
    fanfare_stream *stream = NULL;
    fanfare_connections *connections = NULL;
    fanfare_text batch;

    /* What waits for a time has done so before the fork. */
    CHECK_EQ(fanfare_hub_subscribe(hub, &topic, 1, NULL, &stream), FANFARE_OK);
    while (fanfare_stream_next(stream, 50, &batch) == FANFARE_OK) {
    }
    CHECK_EQ(fanfare_hub_connections(hub, NULL, &connections), FANFARE_OK);
    fanfare_connections_free(connections);
    in_child(fork, waits_in_child, hub);
    fanfare_stream_free(stream);
    fanfare_hub_free(hub);
}

static void grandchild_is_refused(fanfare_hub *hub)
{
    fanfare_hub *own = hub_new();

    in_child(fork, refused_in_child, own);
    in_child(by_system_call, refused_in_child, own);
    in_child(by_system_call, refused_in_child, hub);
    fanfare_hub_free(own);
}

static void of_each_child_its_own(void)
{
    with_a_client(fork, grandchild_is_refused);
}

/* Makes a child that has all sockets of the hub, until `*end` is closed. */
static pid_t living_child(int *end)
{
    int ends[2];
    pid_t child;
    char byte;

    CHECK(pipe(ends) == 0);
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(4 * DEADLINE_MS / 1000);
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(ends[0]);
    *end = ends[1];
    return child;
}

static void closed_while_child_lives(void)
{
    fanfare_hub *hub = hub_new();
    uint16_t port = hub_listen(hub);
    client *leaving = client_new(port, "t"), *staying = client_new(port, "t"), *late;
    fanfare_event event = event_of("after the fork");
    received got;
    int end, status = 0;
    pid_t child = living_child(&end);

    /* One alone is disconnected, and the others and the child live on. */
    client_half_close(leaving);
    client_expect_end(leaving);
    late = client_new(port, "t");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(staying, &got));
    CHECK_TEXT(got.data, "after the fork");
    CHECK(client_next(late, &got));
    fanfare_hub_free(hub);
    client_expect_end(staying);
    client_expect_end(late);
    CHECK(client_is_refused(port));
    CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
    close(end);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    client_free(leaving);
    client_free(staying);
    client_free(late);
}

const test tests_of_fork[] = {
    {"in the child of a fork, _Fork or clone a hub is refused and free returns, the parent goes on",
     child_is_refused},
    {"the child of a fork makes a hub of its own", child_makes_its_own},
    {"the child of a fork makes a hub whose calls wait no longer than they may", child_waits},
    {"the child of a fork makes a hub that is refused in a child of its own", of_each_child_its_own},
    {"clients are disconnected while the child of a fork lives", closed_while_child_lives},
    {NULL, NULL},
};
