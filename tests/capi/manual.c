/* The program at the top of the header, run as it is there. */

#include "check.h"
#include "client.h"
#include "program.h"

#include <sys/wait.h>

static void publishes_what_is_typed(void)
{
    program program = program_start("manual", NULL);
    uint16_t port = program_port(&program, "http://127.0.0.1:");
    client *client;
    received got;

    CHECK(port != 0);
    client = client_new(port, "news");
    program_say(&program, "hello\n");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.name, "message");
    CHECK_TEXT(got.data, "hello");
    program_say(&program, "\nthe last one\n");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "the last one");
    program_end_input(&program);
    client_expect_end(client);
    CHECK_EQ(program_status(&program), 0);
    client_free(client);
}

static void says_what_is_wrong(void)
{
    program program = program_start("manual", NULL);
    int status;

    CHECK(program_port(&program, "http://127.0.0.1:") != 0);
    program_say(&program, "this is not UTF-8: \xff\n");
    status = program_status(&program);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 1);
}

const test tests_of_manual[] = {
    {"the header's program publishes what is typed, until the end", publishes_what_is_typed},
    {"the header's program fails when it may not publish something", says_what_is_wrong},
    {NULL, NULL},
};
