#include "world.h"

#include "check.h"

#include <string.h>

world world_new(void)
{
    world new;
    uint16_t port;

    new.hub = hub_new();
    port = hub_listen(new.hub);
    new.clients[0] = client_new(port, "rooms/1&tag=ann");
    new.clients[1] = client_new(port, "rooms/%2B&tag=ann");
    new.clients[2] = client_new(port, "rooms/1&tag=ben");
    return new;
}

void world_free(world *world)
{
    int i;

    for (i = 0; i < CLIENTS; i++) {
        client_free(world->clients[i]);
    }
    fanfare_hub_free(world->hub);
}

fanfare_connections *list_of(const fanfare_hub *hub, const fanfare_connection_filter *filter)
{
    fanfare_connections *list = NULL;

    CHECK_EQ(fanfare_hub_connections(hub, filter, &list), FANFARE_OK);
    CHECK(list != NULL);
    return list;
}

fanfare_connection get(const fanfare_connections *list, size_t index)
{
    fanfare_connection connection;

    memset(&connection, 0x5a, sizeof connection);
    connection.size = sizeof connection;
    CHECK_EQ(fanfare_connections_get(list, index, &connection), FANFARE_OK);
    CHECK_EQ(connection.size, sizeof connection);
    return connection;
}

size_t count_of(const fanfare_hub *hub, const fanfare_connection_filter *filter)
{
    fanfare_connections *found = list_of(hub, filter);
    size_t count = fanfare_connections_count(found);

    fanfare_connections_free(found);
    return count;
}

/* The id of one that has a tag. */
fanfare_connection_id id_of(const fanfare_hub *hub, const char *tag)
{
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_connections *found;
    fanfare_connection_id id;

    filter.tag = fanfare_text_of_string(tag);
    found = list_of(hub, &filter);
    id = get(found, 0).id;
    fanfare_connections_free(found);
    return id;
}
