#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    exit(EXIT_FAILURE);
}

void check_eq(const char *file, int line, const char *what, long long actual, long long expected)
{
    if (actual != expected) {
        fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, actual, expected);
        exit(EXIT_FAILURE);
    }
}

void check_text(const char *file, int line, const char *what, const char *actual,
                const char *expected)
{
    if (strcmp(actual, expected) != 0) {
        fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", file, line, what, actual, expected);
        exit(EXIT_FAILURE);
    }
}

int64_t now_ms(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

fanfare_options options_new(void)
{
    fanfare_options options;

    options.size = sizeof options;
    CHECK_EQ(fanfare_options_init(&options), FANFARE_OK);
    options.shards = 2;
    return options;
}

fanfare_hub *hub_new(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;

    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK(hub != NULL);
    return hub;
}

uint16_t hub_listen(const fanfare_hub *hub)
{
    static const char addr[] = "127.0.0.1:0";
    uint16_t port = 0;

    CHECK_EQ(fanfare_hub_listen(hub, addr, sizeof addr - 1, &port), FANFARE_OK);
    CHECK(port != 0);
    return port;
}

fanfare_event event_of(const char *data)
{
    fanfare_event event;

    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.data = data;
    event.data_len = data == NULL ? 0 : strlen(data);
    return event;
}

int32_t publish(const fanfare_hub *hub, const char *topic, const fanfare_event *event)
{
    return fanfare_hub_publish(hub, topic, strlen(topic), event, NULL);
}
