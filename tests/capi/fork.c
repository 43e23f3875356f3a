/* A hub after a fork: its threads are the parent's alone. */

#include "check.h"
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a part of the test in a child, which has the hub of its parent. */
static void in_child(void (*part)(fanfare_hub *), fanfare_hub *hub)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(DEADLINE_MS / 1000);
        part(hub);
        fflush(NULL);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
}

static void refused_in_child(fanfare_hub *hub)
{
    fanfare_event event = event_of("x");
    uint16_t port = 0xbeef;
    uint64_t sequence = 0xbeef;

    CHECK_EQ(fanfare_hub_publish(hub, "t", 1, &event, &sequence), FANFARE_ERR_FORKED);
    CHECK_EQ(sequence, 0xbeef);
    CHECK_EQ(fanfare_hub_listen(hub, "127.0.0.1:0", 11, &port), FANFARE_ERR_FORKED);
    CHECK_EQ(port, 0xbeef);
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

static void with_a_client(void (*part)(fanfare_hub *))
{
    fanfare_hub *hub = hub_new();
    client *client = client_new(hub_listen(hub), "t");
    fanfare_event event = event_of("from the parent");
    received got;

    in_child(part, hub);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "from the parent");
    fanfare_hub_free(hub);
    client_expect_end(client);
    client_free(client);
}

static void child_is_refused(void)
{
    with_a_client(refused_in_child);
}

static void child_makes_its_own(void)
{
    with_a_client(own_hub_in_child);
}

const test tests_of_fork[] = {
    {"in the child of a fork a hub is refused and free returns, and the parent goes on",
     child_is_refused},
    {"the child of a fork makes a hub of its own", child_makes_its_own},
    {NULL, NULL},
};
