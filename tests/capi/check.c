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

void check_id(const char *file, int line, const char *what, const fanfare_event_id *actual,
              const char *expected)
{
    static const char zeros[FANFARE_EVENT_ID_BYTES_MAX];
    size_t length = strlen(expected);

    if (actual->length == 0 || actual->length != length
        || memcmp(actual->text, expected, length) != 0
        || memcmp(actual->text + length, zeros, sizeof zeros - length) != 0) {
        fprintf(stderr, "%s:%d: %s is \"%.*s\", not \"%s\"\n", file, line, what,
                (int)actual->length, actual->text, expected);
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
    fanfare_options options = fanfare_options_defaults();

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
    uint16_t port = 0;

    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &port),
             FANFARE_OK);
    CHECK(port != 0);
    return port;
}

int text_is(fanfare_text text, const char *string)
{
    if (string == NULL) {
        return text.data == NULL && text.length == 0;
    }
    return text.data != NULL && text.length == strlen(string)
        && memcmp(text.data, string, text.length) == 0;
}

fanfare_event event_of(const char *data)
{
    return fanfare_event_of(fanfare_text_of_string(data));
}

fanfare_topic *topic_new(const char *name)
{
    fanfare_topic *topic = NULL;

    CHECK_EQ(fanfare_topic_new(fanfare_text_of_string(name), &topic), FANFARE_OK);
    CHECK(topic != NULL);
    return topic;
}

fanfare_event_id id_untouched(void)
{
    fanfare_event_id id;

    memset(&id, 0xa5, sizeof id);
    return id;
}

int id_is_untouched(const fanfare_event_id *id)
{
    fanfare_event_id untouched = id_untouched();

    return memcmp(id, &untouched, sizeof untouched) == 0;
}

fanfare_status publish(const fanfare_hub *hub, const char *topic, const fanfare_event *event)
{
    return fanfare_hub_publish(hub, fanfare_text_of_string(topic), event, NULL);
}

fanfare_metrics metrics_of(const fanfare_hub *hub)
{
    fanfare_metrics metrics = fanfare_metrics_empty();

    CHECK_EQ(fanfare_hub_metrics(hub, &metrics), FANFARE_OK);
    CHECK_EQ(metrics.size, sizeof metrics);
    return metrics;
}
