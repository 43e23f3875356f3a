/* Streams that end, and that a client may read from the start at any time: the answers of a language
 * model, the steps of a job. A run begins with its first reader. Here its words come from a list.
 *
 * Build it from the repository's root, after `make capi`:
 *
 *   cc -std=c99 -Iinclude examples/c/run.c -Lbuild/lib -Wl,-rpath,build/lib -lfanfare -o run
 *
 * Statically, so that it needs no libfanfare.so:
 *
 *   cc -std=c99 -Iinclude examples/c/run.c build/lib/libfanfare.a \
 *       -lgcc_s -lutil -lrt -lpthread -lm -ldl -o run
 *
 * With the library that `make install` has installed:
 *
 *   cc -std=c99 examples/c/run.c $(pkg-config --cflags --libs fanfare) -o run
 *
 * Try it: each of the two has all words, and ends.
 *
 *   ./run 127.0.0.1:8080
 *   curl -N http://127.0.0.1:8080/runs/7/events
 *   curl -N -d 'the prompt' http://127.0.0.1:8080/runs/7/events
 */

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* for signals */
#endif

#include <fanfare.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 64
#define WORD_MS 20

static const char *const words[] = {"A ", "page ", "may ", "be ", "reloaded, ", "and ", "misses ",
                                    "nothing. "};
#define WORDS (sizeof words / sizeof words[0])

/* A run that goes on. */
typedef struct {
    char topic[257];
    size_t next;
} run;

static volatile sig_atomic_t is_ended;

static void end(int signal)
{
    (void)signal;
    is_ended = 1;
}

static int ok(const char *what, fanfare_status status)
{
    if (status != FANFARE_OK) {
        fprintf(stderr, "run: %s: %s\n", what, fanfare_strerror(status));
    }
    return status == FANFARE_OK;
}

/* Keeps each run whole while it lasts, and for ten minutes after its end. */
static fanfare_status keep_runs(const fanfare_hub *hub)
{
    fanfare_topic_options kept = fanfare_topic_options_defaults();

    kept.history_events_max = 10000;
    kept.history_bytes_max = 4 << 20;
    kept.history_age_max_ms = 60 * 60 * 1000;
    kept.finished_age_max_ms = 10 * 60 * 1000;
    return fanfare_hub_set_rule(hub, FANFARE_TEXT("run/#"), &kept);
}

/* Serves the run NAME at /runs/NAME/events, by GET and POST, from its first word on. */
static fanfare_status listen_at(const fanfare_hub *hub, const char *addr, uint16_t *port)
{
    const fanfare_text topic = FANFARE_TEXT("run/{name}");
    fanfare_route route = fanfare_route_of(FANFARE_TEXT("/runs/{name}/events"));
    fanfare_listen_options options = fanfare_listen_options_defaults();

    route.subscriptions = &topic;
    route.subscriptions_count = 1;
    route.post = 1;
    options.routes = &route;
    options.routes_count = 1;
    options.path = FANFARE_TEXT(""); /* no streams but these */
    options.start = FANFARE_START_EARLIEST;
    return fanfare_hub_listen(hub, fanfare_text_of_string(addr), &options, NULL, port);
}

/* Begins a run, if it has not begun. Returns how many go on. */
static size_t begin(run *runs, size_t count, fanfare_text topic)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strlen(runs[i].topic) == topic.length
            && memcmp(runs[i].topic, topic.data, topic.length) == 0) {
            return count;
        }
    }
    if (count == RUNS_MAX || topic.length >= sizeof runs[0].topic) {
        fprintf(stderr, "run: too many at once\n");
        return count;
    }
    memcpy(runs[count].topic, topic.data, topic.length);
    runs[count].topic[topic.length] = '\0';
    runs[count].next = 0;
    return count + 1;
}

/* Publishes the next word of a run, or its end. Returns 1 when it is over. */
static int step(const fanfare_hub *hub, run *running)
{
    const fanfare_text topic = fanfare_text_of_string(running->topic);
    fanfare_event event;
    fanfare_status status;

    if (running->next < WORDS) {
        event = fanfare_event_of(fanfare_text_of_string(words[running->next]));
        status = fanfare_hub_publish(hub, topic, &event, NULL);
    } else {
        event = fanfare_event_of(FANFARE_TEXT("complete"));
        event.name = FANFARE_TEXT("end");
        status = fanfare_hub_finish(hub, topic, &event, 0, NULL);
    }
    if (status == FANFARE_ERR_FULL) {
        return 0; /* Clients are slower. The same step is tried again. */
    }
    if (status == FANFARE_ERR_FINISHED) {
        return 1; /* A reader has come back to a run that is over, and is sent what is kept. */
    }
    return !ok(running->topic, status) || running->next++ == WORDS;
}

/* Begins the runs that are wanted. Returns how many go on. */
static size_t take_notices(const fanfare_notices *notices, run *runs, size_t count)
{
    fanfare_notice taken[16];
    size_t taken_count = 0, i;

    if (!ok("notices", fanfare_notices_drain(notices, taken, sizeof taken[0], 16, &taken_count))) {
        is_ended = 1;
    }
    for (i = 0; i < taken_count; i++) {
        if (taken[i].kind == FANFARE_NOTICE_WANTED) {
            count = begin(runs, count, taken[i].subscriptions[0]);
        }
    }
    return count;
}

static void serve(const fanfare_hub *hub, const fanfare_notices *notices, int doorbell)
{
    static run runs[RUNS_MAX];
    struct pollfd readable = {doorbell, POLLIN, 0};
    size_t count = 0, i;

    while (!is_ended) {
        int rung = poll(&readable, 1, count > 0 ? WORD_MS : 1000);
        if (rung < 0 && errno != EINTR) {
            perror("run: poll");
            return;
        }
        if (rung > 0) {
            count = take_notices(notices, runs, count);
        }
        for (i = count; i-- > 0;) {
            if (step(hub, &runs[i])) {
                runs[i] = runs[--count];
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct sigaction ends;
    fanfare_hub *hub = NULL;
    fanfare_notices *notices = NULL;
    uint16_t port = 0;
    int doorbell = -1, started;

    memset(&ends, 0, sizeof ends);
    ends.sa_handler = end;
    if (sigaction(SIGINT, &ends, NULL) != 0 || sigaction(SIGTERM, &ends, NULL) != 0) {
        perror("run: signals");
        return EXIT_FAILURE;
    }
    started = ok("hub", fanfare_hub_new(NULL, &hub)) && ok("rule", keep_runs(hub))
              && ok("notices", fanfare_notices_new(&notices))
              && ok("doorbell", fanfare_notices_doorbell(notices, &doorbell))
              && ok("interest", fanfare_hub_watch_interest(hub, notices, 0, FANFARE_TEXT("run/#"), 0))
              && ok("listen", listen_at(hub, argc > 1 ? argv[1] : "127.0.0.1:8080", &port));
    if (started) {
        printf("run: http://127.0.0.1:%u/runs/7/events\n", (unsigned)port);
        fflush(stdout);
        serve(hub, notices, doorbell);
    }
    fanfare_notices_free(notices);
    fanfare_hub_free(hub);
    return started ? EXIT_SUCCESS : EXIT_FAILURE;
}
