/* What a call of fanfare_hub_publish costs a C program when no client listens.
 *
 *   publish CALLS BYTES
 *
 * Prints {"publish_ns": N, "calls": N}, the time of one call in nanoseconds; fails when a call
 * fails. `make bench-c` builds it, and `fanfare bench publish-call --c-program FILE` runs it.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fanfare.h"

static const unsigned long CALLS_MAX = 1000000000;
static const unsigned long BYTES_MAX = 65536;

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* A number from 1 to max; 0 for what is none. */
static unsigned long number(const char *text, unsigned long max) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && value <= max ? value : 0;
}

static int fail(const char *what, fanfare_status status) {
    fprintf(stderr, "publish: %s: %s\n", what, fanfare_strerror(status));
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    unsigned long calls = argc == 3 ? number(argv[1], CALLS_MAX) : 0;
    unsigned long bytes = argc == 3 ? number(argv[2], BYTES_MAX) : 0;
    if (calls == 0 || bytes == 0) {
        fprintf(stderr, "usage: publish CALLS BYTES\n");
        return 2;
    }
    char *data = malloc(bytes);
    if (data == NULL) {
        return fail("no memory", FANFARE_ERR_SYSTEM);
    }
    memset(data, 'x', bytes);

    fanfare_options options = fanfare_options_defaults();
    options.shards = 1;
    fanfare_hub *hub;
    fanfare_status status = fanfare_hub_new(&options, &hub);
    if (status != FANFARE_OK) {
        return fail("no hub", status);
    }
    const fanfare_event event = fanfare_event_of(fanfare_text_of(data, bytes));

    uint64_t begun_ns = now_ns();
    for (uint64_t call = 1; call <= calls; call++) {
        status = fanfare_hub_publish(hub, FANFARE_TEXT("prices/ACME"), &event, NULL);
        if (status != FANFARE_OK) {
            return fail("not published", status);
        }
    }
    uint64_t elapsed_ns = now_ns() - begun_ns;

    printf("{\"publish_ns\": %.3f, \"calls\": %lu}\n", (double)elapsed_ns / (double)calls, calls);
    fanfare_hub_free(hub);
    free(data);
    return 0;
}
