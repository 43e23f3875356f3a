#include "runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* A test that takes longer hangs. */
#define TEST_SECONDS_MAX 120

static int wanted(const test *test, char **words);
static int passes(const test *test);

int run_tests(const test *const *lists, size_t count, char **words)
{
    unsigned passed = 0, failed = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        const test *test;
        for (test = lists[i]; test->name != NULL; test++) {
            if (!wanted(test, words)) {
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
