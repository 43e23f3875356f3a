/* The ticker example, run as a program. */

#include "check.h"
#include "client.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    pid_t pid;
    /* What it prints. */
    int out;
} program;

static program start(const char *addr)
{
    program program;
    int ends[2];

    CHECK(pipe(ends) == 0);
    fflush(NULL);
    program.pid = fork();
    CHECK(program.pid >= 0);
    if (program.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(ticker_path, ticker_path, addr, (char *)NULL);
        perror(ticker_path);
        _exit(127);
    }
    close(ends[1]);
    program.out = ends[0];
    return program;
}

/* Waits for the line that says on which port the program listens; 0 when it ends without. */
static uint16_t port_of(const program *program)
{
    char line[256];
    size_t len = 0;
    unsigned port = 0;
    const char *at;

    do {
        struct pollfd readable;
        ssize_t count;

        readable.fd = program->out;
        readable.events = POLLIN;
        CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
        CHECK(len < sizeof line - 1);
        count = read(program->out, line + len, sizeof line - 1 - len);
        CHECK(count >= 0);
        if (count == 0) {
            return 0;
        }
        len += (size_t)count;
        line[len] = '\0';
    } while (strchr(line, '\n') == NULL);
    at = strstr(line, "port ");
    CHECK(at != NULL && sscanf(at, "port %u", &port) == 1);
    CHECK(port > 0 && port <= UINT16_MAX);
    return (uint16_t)port;
}

/* Waits for the program's end, by the end of what it prints, and returns its status. */
static int status_of(const program *program)
{
    struct pollfd readable;
    char rest[256];
    int status = 0;

    readable.fd = program->out;
    readable.events = POLLIN;
    do {
        CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
    } while (read(program->out, rest, sizeof rest) > 0);
    CHECK(waitpid(program->pid, &status, 0) == program->pid);
    close(program->out);
    return status;
}

static void ticks_until(int signal)
{
    program program = start("127.0.0.1:0");
    uint16_t port = port_of(&program);
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
    CHECK_EQ(status_of(&program), 0);
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
    program program = start("nowhere");
    int status;

    CHECK_EQ(port_of(&program), 0);
    status = status_of(&program);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), EXIT_FAILURE);
}

const test tests_of_ticker[] = {
    {"the ticker ticks each second, and SIGTERM ends it well", ticks_until_sigterm},
    {"the ticker ticks each second, and SIGINT ends it well", ticks_until_sigint},
    {"the ticker says that an address is none, and fails", fails_without_an_address},
    {NULL, NULL},
};
