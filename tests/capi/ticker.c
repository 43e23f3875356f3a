/* The ticker example, run as a program. */

#include "check.h"
#include "client.h"
#include "program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>

static void ticks_until(int signal)
{
    program program = program_start("ticker", "127.0.0.1:0");
    uint16_t port = program_port(&program, "port ");
    client *client;
    int last = 0, i;

    CHECK(port != 0);
    client = client_new(port, "ticks");
    for (i = 0; i < 2; i++) {
        received got;
        int count = 0;
        CHECK(client_next(client, &got));
        CHECK_TEXT(got.name, "tick");
        CHECK(sscanf(got.data, "{\"count\":%d,\"time\":", &count) == 1);
        CHECK(last == 0 || count == last + 1);
        last = count;
    }
    CHECK(kill(program.pid, signal) == 0);
    client_expect_end(client);
    CHECK_EQ(program_status(&program), 0);
    client_free(client);
}

static void ticks_until_sigterm(void)
{
    ticks_until(SIGTERM);
}

static void ticks_until_sigint(void)
{
    ticks_until(SIGINT);
}

static void fails_without_an_address(void)
{
    program program = program_start("ticker", "nowhere");
    int status;

    CHECK_EQ(program_port(&program, "port "), 0);
    status = program_status(&program);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), EXIT_FAILURE);
}

const test tests_of_ticker[] = {
    {"the ticker ticks each second, and SIGTERM ends it well", ticks_until_sigterm},
    {"the ticker ticks each second, and SIGINT ends it well", ticks_until_sigint},
    {"the ticker says that an address is none, and fails", fails_without_an_address},
    {NULL, NULL},
};
