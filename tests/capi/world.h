/* A hub with some clients, and lists of them. */

#ifndef WORLD_H
#define WORLD_H

#include <stddef.h>
#include <stdint.h>

#include <fanfare.h>

#include "client.h"

/* A hub with clients: two of ann's, and one of ben's. */
#define CLIENTS 3

typedef struct {
    fanfare_hub *hub;
    client *clients[CLIENTS];
} world;

world world_new(void);

void world_free(world *world);

/* The connections that a filter finds; NULL for all. */
fanfare_connections *list_of(const fanfare_hub *hub, const fanfare_connection_filter *filter);

/* The connection at an index of a list. */
fanfare_connection get(const fanfare_connections *list, size_t index);

/* How many a filter finds. */
size_t count_of(const fanfare_hub *hub, const fanfare_connection_filter *filter);

/* The id of a connection that has a tag. */
fanfare_connection_id id_of(const fanfare_hub *hub, const char *tag);

#endif
