/* A client on a bare socket, as simple as one can be: HTTP/1.0, so that what comes after the
 * response's head is the event stream itself. */

#ifndef CLIENT_H
#define CLIENT_H

#include <stddef.h>
#include <stdint.h>

typedef struct client client;

/* What a client has got; texts end with a NUL and are the client's until its next event. */
typedef struct {
    /* "message" when the event has no name. */
    const char *name;
    const char *id;
    /* Lines with a line feed between them. */
    const char *data;
} received;

/* Subscribes, and returns when everything that is published from now on will come. */
client *client_new(uint16_t port, const char *topic);

/* The same, with a receive buffer so small that an unread stream soon backs up. */
client *client_new_small(uint16_t port, const char *topic);

/* A client that comes back with an id. */
client *client_new_after(uint16_t port, const char *topic, const char *last_event_id);

/* Waits for the next event that has data, as a browser would fire it. Returns 0 when the stream
 * has ended. */
int client_next(client *client, received *event);

/* Waits until the server has closed the connection, whatever comes before. */
void client_expect_end(client *client);

/* Sends no more, which the server takes for the client's end. */
void client_half_close(client *client);

void client_free(client *client);

/* The status of the answer to a client that names a host as the one it asks. */
int client_status(uint16_t port, const char *host);

/* Whether no socket listens on a port of the loopback. */
int client_is_refused(uint16_t port);

#endif
