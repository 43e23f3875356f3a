/* Publishes the time to the topic "ticks" each second, until SIGINT or SIGTERM.
 *
 * Build it from the repository's root, after `make capi`:
 *
 *   cc -std=c99 -Iinclude examples/c/ticker.c -Lbuild/lib -Wl,-rpath,build/lib -lfanfare -o ticker
 *
 * Statically, so that it needs no libfanfare.so:
 *
 *   cc -std=c99 -Iinclude examples/c/ticker.c build/lib/libfanfare.a \
 *       -lgcc_s -lutil -lrt -lpthread -lm -ldl -o ticker
 *
 * With the library that `make install` has installed:
 *
 *   cc -std=c99 examples/c/ticker.c $(pkg-config --cflags --libs fanfare) -o ticker
 *
 * Try it:
 *
 *   ./ticker 127.0.0.1:8080
 *   curl -N 'http://127.0.0.1:8080/events?topic=ticks'
 */

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* for signals and the clock */
#endif

#include <fanfare.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Says on stderr what went wrong. */
static int failed(const char *what, fanfare_status status)
{
    fprintf(stderr, "ticker: %s: %s\n", what, fanfare_strerror(status));
    return 0;
}

/* Publishes one tick. Returns 0 when it cannot be done, now or ever. */
static int tick(const fanfare_hub *hub, unsigned long long count)
{
    char data[64];
    fanfare_event event;
    fanfare_status status;

    snprintf(data, sizeof data, "{\"count\":%llu,\"time\":%lld}", count, (long long)time(NULL));
    event = fanfare_event_of(fanfare_text_of_string(data));
    event.name = FANFARE_TEXT("tick");
    status = fanfare_hub_publish(hub, FANFARE_TEXT("ticks"), &event, NULL);
    if (status == FANFARE_ERR_FULL) {
        /* Clients are slower than the ticks. The next tick replaces this one. */
        fprintf(stderr, "ticker: tick %llu left out: %s\n", count, fanfare_strerror(status));
        return 1;
    }
    return status == FANFARE_OK || failed("publish", status);
}

/* Ticks until a signal of the set comes, which has to be blocked. */
static int tick_until_signal(const fanfare_hub *hub, const sigset_t *ends)
{
    const struct timespec second = {1, 0};
    unsigned long long count = 0;

    do {
        if (!tick(hub, ++count)) {
            return 0;
        }
    } while (sigtimedwait(ends, NULL, &second) < 0);
    return 1;
}

static int serve(const char *addr, const sigset_t *ends)
{
    fanfare_options options = fanfare_options_defaults();
    fanfare_hub *hub = NULL;
    uint16_t port = 0;
    fanfare_status status;
    int ok;

    options.heartbeat_ms = 5000;
    status = fanfare_hub_new(&options, &hub);
    if (status != FANFARE_OK) {
        return failed("hub", status);
    }
    status = fanfare_hub_listen(hub, fanfare_text_of_string(addr), NULL, NULL, &port);
    if (status == FANFARE_OK) {
        printf("ticker: listening on %s, port %u: /events?topic=ticks\n", addr, (unsigned)port);
        fflush(stdout);
        ok = tick_until_signal(hub, ends);
    } else {
        ok = failed(addr, status);
    }
    /* Sends what is still to be sent, says goodbye to the clients, ends the threads. */
    fanfare_hub_free(hub);
    return ok;
}

int main(int argc, char **argv)
{
    sigset_t ends;

    if (argc > 2) {
        fprintf(stderr, "usage: ticker [ADDRESS:PORT]\n");
        return 2;
    }
    if (fanfare_abi_version() != FANFARE_ABI_VERSION) {
        fprintf(stderr, "ticker: built for ABI %u, but the library has %u\n",
                (unsigned)FANFARE_ABI_VERSION, (unsigned)fanfare_abi_version());
        return EXIT_FAILURE;
    }
    /* Blocked before the hub starts its threads, which inherit it: so the signals wait for us. */
    if (sigemptyset(&ends) != 0 || sigaddset(&ends, SIGINT) != 0 || sigaddset(&ends, SIGTERM) != 0
        || sigprocmask(SIG_BLOCK, &ends, NULL) != 0) {
        perror("ticker: signals");
        return EXIT_FAILURE;
    }
    return serve(argc == 2 ? argv[1] : "127.0.0.1:8080", &ends) ? EXIT_SUCCESS : EXIT_FAILURE;
}
