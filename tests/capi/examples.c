/* The examples, run as programs. */

#include "check.h"
#include "http.h"
#include "program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Ends a program by a signal, after which its clients' streams end. */
static void ends_well(program *program, http *reading)
{
    CHECK(kill(program->pid, SIGTERM) == 0);
    if (reading != NULL) {
        http_rest(reading);
        http_free(reading);
    }
    CHECK_EQ(program_status(program), 0);
}

static void expect_answer(http *answered, int status, const char *content)
{
    CHECK_EQ(http_status(answered), status);
    CHECK(strstr(http_rest(answered), content) != NULL);
    http_free(answered);
}

static void fails_at_once(const char *name, const char *argument)
{
    program program = program_start(name, argument);
    int status = program_status(&program);

    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), EXIT_FAILURE);
}

static void adopt_hands_over(void)
{
    program program = program_start("adopt", "0");
    uint16_t port = program_port(&program, "http://127.0.0.1:");
    http *alice, *bo;

    CHECK(port != 0);
    alice = http_get(port, "/events/alice", "");
    CHECK_EQ(http_status(alice), 200);
    CHECK_TEXT(http_header(alice, "content-type"), "text/event-stream");
    http_expect(alice, "data: alice at ");
    http_expect(alice, "data: news at ");
    bo = http_get(port, "/events/bo", "Last-Event-ID: of-another-life\r\n");
    http_expect(bo, "event: fanfare-gap\n");
    http_expect(bo, "data: news at ");
    CHECK(!http_has(bo, "alice"));
    http_free(bo);
    ends_well(&program, alice);
}

static void adopt_answers_itself(void)
{
    program program = program_start("adopt", "0");
    uint16_t port = program_port(&program, "http://127.0.0.1:");

    CHECK(port != 0);
    expect_answer(http_get(port, "/", ""), 200, "new EventSource('/events/alice')");
    expect_answer(http_get(port, "/nothing", ""), 404, "nothing here");
    expect_answer(http_get(port, "/events/", ""), 404, "nothing here");
    expect_answer(http_get(port, "/events/%23", ""), 404, "nothing here");
    expect_answer(http_send(port, "PUT", "/events/alice", "", ""), 400, "ask with a GET");
    expect_answer(http_send(port, "POST", "/events/alice", "", "text"), 400, "ask with a GET");
    ends_well(&program, NULL);
}

/* The id of the last event in a text. */
static void last_id(const char *text, char *field, size_t size)
{
    const char *at = text, *last = NULL;
    int length;

    while ((at = strstr(at, "\nid: ")) != NULL) {
        last = at += strlen("\nid: ");
    }
    CHECK(last != NULL);
    length = snprintf(field, size, "Last-Event-ID: %.*s\r\n", (int)strcspn(last, "\r\n"), last);
    CHECK(length > 0 && (size_t)length < size);
}

static void expect_whole_run(http *reading, char *last, size_t size)
{
    static const char *const parts[] = {"data: A \n", "data: page \n", "data: may \n",
                                        "data: be \n", "data: reloaded, \n", "data: and \n",
                                        "data: misses \n", "data: nothing. \n",
                                        "event: end\ndata: complete\n"};
    const char *rest;
    size_t i;

    CHECK_EQ(http_status(reading), 200);
    rest = http_rest(reading);
    last_id(rest, last, size);
    for (i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        rest = strstr(rest, parts[i]);
        CHECK(rest != NULL);
        rest += strlen(parts[i]);
        CHECK(strstr(rest, parts[i]) == NULL);
    }
    http_free(reading);
}

static void run_ends(void)
{
    program program = program_start("run", "127.0.0.1:0");
    uint16_t port = program_port(&program, "http://127.0.0.1:");
    char last[200];

    CHECK(port != 0);
    expect_whole_run(http_get(port, "/runs/7/events", ""), last, sizeof last);
    /* Once more, by another client; and by one that has had all of it, which is to stay away. */
    expect_whole_run(http_send(port, "POST", "/runs/7/events", "", "a prompt"), last, sizeof last);
    expect_answer(http_get(port, "/runs/7/events", last), 204, "");
    /* Another run is another topic. */
    expect_whole_run(http_get(port, "/runs/8/events", ""), last, sizeof last);
    expect_answer(http_get(port, "/events?topic=run/7", ""), 404, "");
    ends_well(&program, NULL);
}

static void poll_loop_authorizes(void)
{
    program program = program_start("poll_loop", "127.0.0.1:0");
    uint16_t port = program_port(&program, "http://127.0.0.1:");
    http *ann, *bo;

    CHECK(port != 0);
    expect_answer(http_get(port, "/events", ""), 403, "log in first");
    expect_answer(http_get(port, "/events", "Cookie: session=a12\r\n"), 403, "log in first");
    expect_answer(http_get(port, "/events?topic=user/bo", "Cookie: session=a1\r\n"), 403, "");
    ann = http_get(port, "/events", "Cookie: theme=dark; session=a1\r\n");
    CHECK_EQ(http_status(ann), 200);
    program_expect(&program, "connected ann");
    http_expect(ann, "data: for public/time\n");
    http_expect(ann, "data: for user/ann\n");
    http_expect(ann, "data: for public/time\n");
    CHECK(!http_has(ann, "user/bo"));
    bo = http_get(port, "/events?topic=user/bo", "Cookie: session=b2\r\n");
    http_expect(bo, "data: for user/bo\n");
    CHECK(!http_has(bo, "public"));
    http_free(bo);
    program_expect(&program, "disconnected bo client_closed");
    ends_well(&program, ann);
}

static void fail_without_an_address(void)
{
    fails_at_once("run", "nowhere");
    fails_at_once("poll_loop", "nowhere");
}

const test tests_of_examples[] = {
    {"the example adopt hands connections over, and SIGTERM ends it well", adopt_hands_over},
    {"the example adopt answers what is for no stream itself", adopt_answers_itself},
    {"the example run streams each run from its start to its end", run_ends},
    {"the example poll_loop asks for a cookie, and gives each user their own", poll_loop_authorizes},
    {"examples that cannot listen say so, and fail", fail_without_an_address},
    {NULL, NULL},
};
