/* Runs the tests: capi-tests TICKER MANUAL [WORD]..., all of them or those whose name has every word
 * in it, and no word that is given with a '!' before it. */

#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* A test that takes longer hangs. */
#define TEST_SECONDS_MAX 120

static const test *const all[] = {
    tests_of_options,
    tests_of_hub,
    tests_of_topic,
    tests_of_publish,
    tests_of_several,
    tests_of_finish,
    tests_of_rules,
    tests_of_metrics,
    tests_of_wait,
    tests_of_drain,
    tests_of_delivery,
    tests_of_memory,
    tests_of_threads,
    tests_of_fork,
    tests_of_every,
    tests_of_panic,
    tests_of_ticker,
    tests_of_manual,
    tests_of_notices,
    tests_of_connections,
    tests_of_log,
    tests_of_listener,
    tests_of_stream,
    tests_of_adopt,
    tests_of_tickets,
    tests_of_doorbell,
    tests_of_ends,
    tests_of_ask,
    tests_of_tokens,
    tests_of_listen_options,
    tests_of_stream_refusals,
    tests_of_fallback,
};

const char *ticker_path, *manual_path;

static int wanted(const test *test, char **words);
static int passes(const test *test);

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    size_t i;

    if (argc < 3) {
        fprintf(stderr, "usage: capi-tests TICKER MANUAL [WORD]...\n");
        return 2;
    }
    ticker_path = argv[1];
    manual_path = argv[2];
    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        const test *test;
        for (test = all[i]; test->name != NULL; test++) {
            if (!wanted(test, argv + 3)) {
                continue;
            }
            if (passes(test)) {
                printf("ok      %s\n", test->name);
                passed++;
            } else {
                printf("FAILED  %s\n", test->name);
                failed++;
            }
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int wanted(const test *test, char **words)
{
    for (; *words != NULL; words++) {
        const char *word = *words;
        int forbidden = word[0] == '!';
        if ((strstr(test->name, word + forbidden) != NULL) == forbidden) {
            return 0;
        }
    }
    return 1;
}

static int passes(const test *test)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child < 0) {
        perror("fork");
        return 0;
    }
    if (child == 0) {
        alarm(TEST_SECONDS_MAX);
        test->run();
        exit(EXIT_SUCCESS);
    }
    if (waitpid(child, &status, 0) != child) {
        perror("waitpid");
        return 0;
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}
