#include "narrow.h"

#include "check.h"

#include <string.h>
#include <time.h>

fanfare_hub *hub_new_narrow(uint64_t lag_grace_percent)
{
    fanfare_options options = options_new();

    options.topic_backlog_bytes_max = 1;
    return hub_new_lagging(&options, lag_grace_percent);
}

fanfare_hub *hub_new_lagging(fanfare_options *options, uint64_t lag_grace_percent)
{
    fanfare_hub *hub = NULL;

    options->lag_bytes_max = 1;
    options->lag_age_max_ms = 10 * DEADLINE_MS;
    options->lag_grace_ms = 10 * DEADLINE_MS;
    options->lag_grace_percent = lag_grace_percent;
    CHECK_EQ(fanfare_hub_new(options, &hub), FANFARE_OK);
    return hub;
}

fanfare_text flood_data(void)
{
    static char bytes[64 << 10];

    memset(bytes, 'x', sizeof bytes);
    return fanfare_text_of(bytes, sizeof bytes);
}

void publish_until_full_ms(const fanfare_hub *hub, const char *topic, int64_t full_ms)
{
    const struct timespec pause = {0, 1000000};
    int64_t deadline = now_ms() + DEADLINE_MS, since = now_ms();
    const fanfare_text all = fanfare_text_of(topic, strlen(topic));
    fanfare_event event = event_of("");
    uint64_t count = 0;

    event.data = flood_data();
    while (now_ms() - since < full_ms) {
        fanfare_status code = publish(hub, topic, &event);
        CHECK(now_ms() < deadline);
        if (code == FANFARE_OK) {
            since = now_ms();
        } else {
            CHECK_EQ(code, FANFARE_ERR_FULL);
            nanosleep(&pause, NULL);
        }
        if (now_ms() - since >= full_ms) {
            /* On a busy machine the shard may not have had a turn for so long: two answers of its have one between. */
            CHECK_EQ(fanfare_hub_subscribers(hub, all, &count), FANFARE_OK);
            CHECK_EQ(fanfare_hub_subscribers(hub, all, &count), FANFARE_OK);
            if (publish(hub, topic, &event) == FANFARE_OK) {
                since = now_ms();
            }
        }
    }
}
