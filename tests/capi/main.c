/* Runs the tests: capi-tests PROGRAMS [WORD]..., all of them or those whose name has every word in it,
 * and no word that is given with a '!' before it. PROGRAMS is the folder of the examples' programs. */

#include "check.h"
#include "program.h"
#include "runner.h"

#include <stdio.h>

static const test *const all[] = {
    tests_of_options,
    tests_of_hub,
    tests_of_listener,
    tests_of_stream,
    tests_of_adopt,
    tests_of_topic,
    tests_of_publish,
    tests_of_several,
    tests_of_finish,
    tests_of_journal,
    tests_of_cluster,
    tests_of_rules,
    tests_of_metrics,
    tests_of_wait,
    tests_of_space,
    tests_of_drain,
    tests_of_connections,
    tests_of_log,
    tests_of_log_watch,
    tests_of_tickets,
    tests_of_panic,
    tests_of_doorbell,
    tests_of_ends,
    tests_of_ask,
    tests_of_fallback,
    tests_of_tokens,
    tests_of_listen_options,
    tests_of_stream_refusals,
    tests_of_delivery,
    tests_of_memory,
    tests_of_threads,
    tests_of_fork,
    tests_of_every,
    tests_of_notices,
    tests_of_ticker,
    tests_of_examples,
    tests_of_manual,
};

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: capi-tests PROGRAMS [WORD]...\n");
        return 2;
    }
    programs_path = argv[1];
    return run_tests(all, sizeof all / sizeof all[0], argv + 2);
}
