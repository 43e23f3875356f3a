#include "watched.h"

#include "check.h"

#include <poll.h>

watched watched_new(size_t capacity)
{
    watched new;

    new.hub = hub_new();
    new.notices = notices_new();
    new.port = hub_listen(new.hub);
    CHECK_EQ(fanfare_hub_watch_connections(new.hub, new.notices, TOKEN, capacity), FANFARE_OK);
    return new;
}

void watched_free(watched *watched)
{
    fanfare_hub_free(watched->hub);
    fanfare_notices_free(watched->notices);
}

size_t drain(const fanfare_notices *notices, fanfare_notice *array, size_t capacity)
{
    size_t count = SIZE_MAX;

    CHECK_EQ(fanfare_notices_drain(notices, array, sizeof array[0], capacity, &count), FANFARE_OK);
    CHECK(count <= capacity);
    return count;
}

fanfare_notices *notices_new(void)
{
    fanfare_notices *notices = NULL;

    CHECK_EQ(fanfare_notices_new(&notices), FANFARE_OK);
    CHECK(notices != NULL);
    return notices;
}

static int readable_within(const fanfare_notices *notices, int ms)
{
    struct pollfd readable;
    int count;

    readable.fd = -1;
    CHECK_EQ(fanfare_notices_doorbell(notices, &readable.fd), FANFARE_OK);
    readable.events = POLLIN;
    count = poll(&readable, 1, ms);
    CHECK(count >= 0);
    CHECK(count == 0 || readable.revents == POLLIN);
    return count;
}

int notices_ring(const fanfare_notices *notices)
{
    return readable_within(notices, 0);
}

void notices_wait(const fanfare_notices *notices)
{
    CHECK(readable_within(notices, DEADLINE_MS));
}

fanfare_notice notices_next(const fanfare_notices *notices)
{
    fanfare_notice notice;
    size_t count = 0;

    while (count == 0) {
        notices_wait(notices);
        CHECK_EQ(fanfare_notices_drain(notices, &notice, sizeof notice, 1, &count), FANFARE_OK);
    }
    CHECK_EQ(count, 1);
    return notice;
}
