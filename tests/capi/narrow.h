/* A hub whose backlog is full as soon as a client does not read. */

#ifndef NARROW_H
#define NARROW_H

#include <stdint.h>

#include <fanfare.h>

/* A hub that takes hardly anything while it waits for a client that does not read, which it does for a
 * share of the time; at 100 percent it never disconnects it. */
fanfare_hub *hub_new_narrow(uint64_t lag_grace_percent);

/* The same with bounds of the backlog that the options have. */
fanfare_hub *hub_new_lagging(fanfare_options *options, uint64_t lag_grace_percent);

/* Data that soon fills the sockets' buffers. */
fanfare_text flood_data(void);

/* Publishes to a topic until it has stayed full for a time. */
void publish_until_full_ms(const fanfare_hub *hub, const char *topic, int64_t full_ms);

#endif
