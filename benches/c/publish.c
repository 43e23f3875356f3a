/* What a call of fanfare_hub_publish_to costs a C program when no client listens.
 *
 *   publish CALLS BYTES [handle|name [THREADS]]
 *
 * Calls publish to a topic by its handle, or with `name` by its name, which is checked and looked up each
 * time; from one thread, or from several that share the calls and the topic. Prints {"publish_ns": N,
 * "calls": N}, the time of all calls by their number in nanoseconds; fails when a call fails. `make
 * bench-c` builds it, and `fanfare bench publish-call --c-program FILE` runs it.
 */

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fanfare.h"

#define CALLS_MAX 1000000000
#define BYTES_MAX 65536
#define THREADS_MAX 64

typedef struct {
    const fanfare_hub *hub;
    const fanfare_topic *topic; /* NULL to publish by name. */
    const fanfare_event *event;
    unsigned long calls;
    fanfare_status status;
    pthread_t thread;
} publisher;

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

static void *publish(void *argument) {
    publisher *self = argument;
    const fanfare_hub *hub = self->hub;
    const fanfare_topic *topic = self->topic;
    const fanfare_event *event = self->event;
    fanfare_status status = FANFARE_OK;
    for (unsigned long call = 0; call < self->calls && status == FANFARE_OK; call++) {
        status = topic != NULL ? fanfare_hub_publish_to(hub, topic, event, NULL)
                               : fanfare_hub_publish(hub, FANFARE_TEXT("prices/ACME"), event, NULL);
    }
    self->status = status;
    return NULL;
}

int main(int argc, char **argv) {
    unsigned long calls = argc > 2 ? number(argv[1], CALLS_MAX) : 0;
    unsigned long bytes = argc > 2 ? number(argv[2], BYTES_MAX) : 0;
    int by_name = argc > 3 && strcmp(argv[3], "name") == 0;
    int by_handle = argc <= 3 || strcmp(argv[3], "handle") == 0;
    unsigned long threads = argc > 4 ? number(argv[4], THREADS_MAX) : 1;
    if (argc > 5 || calls == 0 || bytes == 0 || threads == 0 || !(by_name || by_handle)
        || calls % threads != 0) {
        fprintf(stderr, "usage: publish CALLS BYTES [handle|name [THREADS]]\n"
                        "CALLS has to be a multiple of THREADS\n");
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
    fanfare_topic *topic = NULL;
    fanfare_status status = fanfare_hub_new(&options, &hub);
    if (status != FANFARE_OK) {
        return fail("no hub", status);
    }
    if (by_handle && (status = fanfare_topic_new(FANFARE_TEXT("prices/ACME"), &topic)) != FANFARE_OK) {
        return fail("no topic", status);
    }
    const fanfare_event event = fanfare_event_of(fanfare_text_of(data, bytes));

    static publisher publishers[THREADS_MAX];
    uint64_t begun_ns = now_ns();
    for (unsigned long i = 0; i < threads; i++) {
        publishers[i] = (publisher){.hub = hub, .topic = topic, .event = &event, .calls = calls / threads};
        /* One publishes in this thread, as most programs do. */
        if (threads == 1) {
            publish(&publishers[i]);
        } else if (pthread_create(&publishers[i].thread, NULL, publish, &publishers[i]) != 0) {
            return fail("no thread", FANFARE_ERR_SYSTEM);
        }
    }
    for (unsigned long i = 0; i < threads; i++) {
        if (threads > 1 && pthread_join(publishers[i].thread, NULL) != 0) {
            return fail("no thread to wait for", FANFARE_ERR_SYSTEM);
        }
        if (publishers[i].status != FANFARE_OK) {
            return fail("not published", publishers[i].status);
        }
    }
    uint64_t elapsed_ns = now_ns() - begun_ns;

    printf("{\"publish_ns\": %.3f, \"calls\": %lu}\n", (double)elapsed_ns / (double)calls, calls);
    fanfare_topic_free(topic);
    fanfare_hub_free(hub);
    free(data);
    return 0;
}
