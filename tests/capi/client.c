#include "client.h"

#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    int fd;
    /* Received and not parsed yet: from `at` to `len`. */
    char *bytes;
    size_t at, len, capacity;
    /* The event that is being put together. */
    char name[300];
    char id[300];
    char *data;
    size_t data_len;
    int has_data;
};

static client *subscribe(uint16_t port, const char *topic, const char *fields, int receive_bytes);
static client *connect_new(uint16_t port, int receive_bytes);
static void send_all(int fd, const char *bytes, size_t len);
static void expect_head(client *client);
static char *next_line(client *client);
static int receive(client *client);
static void put_field(client *client, const char *line);
static void put_data(client *client, const char *value);

client *client_new(uint16_t port, const char *topic)
{
    return subscribe(port, topic, "", 0);
}

client *client_new_small(uint16_t port, const char *topic)
{
    return subscribe(port, topic, "", 4096);
}

static int connect_to(int fd, uint16_t port)
{
    struct sockaddr_in addr;

    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_port = htons(port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd, (const struct sockaddr *)&addr, sizeof addr);
}

static client *connect_new(uint16_t port, int receive_bytes)
{
    client *new = calloc(1, sizeof *new);

    CHECK(new != NULL);
    new->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(new->fd >= 0);
    if (receive_bytes > 0) {
        CHECK(setsockopt(new->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes)
              == 0);
    }
    CHECK(connect_to(new->fd, port) == 0);
    return new;
}

client *client_new_after(uint16_t port, const char *topic, const char *last_event_id)
{
    char field[300];
    int len = snprintf(field, sizeof field, "Last-Event-ID: %s\r\n", last_event_id);

    CHECK(len > 0 && (size_t)len < sizeof field);
    return subscribe(port, topic, field, 0);
}

static client *subscribe(uint16_t port, const char *topic, const char *fields, int receive_bytes)
{
    client *new = connect_new(port, receive_bytes);
    char request[900];
    int len;

    len = snprintf(request, sizeof request, "GET /events?topic=%s HTTP/1.0\r\n%s\r\n", topic, fields);
    CHECK(len > 0 && (size_t)len < sizeof request);
    send_all(new->fd, request, (size_t)len);
    expect_head(new);
    return new;
}

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        CHECK(sent > 0);
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void expect_head(client *client)
{
    const char *line = next_line(client);

    CHECK(line != NULL && strstr(line, " 200 ") != NULL);
    while (line != NULL && line[0] != '\0') {
        line = next_line(client);
    }
    CHECK(line != NULL);
}

int client_next(client *client, received *event)
{
    client->has_data = 0;
    client->data_len = 0;
    client->name[0] = '\0';
    for (;;) {
        const char *line = next_line(client);
        if (line == NULL) {
            return 0;
        }
        if (line[0] != '\0') {
            put_field(client, line);
        } else if (client->has_data) {
            event->name = client->name[0] == '\0' ? "message" : client->name;
            event->id = client->id;
            event->data = client->data;
            return 1;
        } else {
            client->name[0] = '\0';
        }
    }
}

/* The next line without its end, which is LF or CRLF: no event stream of fanfare's has a bare CR.
 * NULL when the stream has ended. */
static char *next_line(client *client)
{
    size_t searched = client->at;

    for (;;) {
        char *from = client->bytes + client->at;
        char *end = NULL;
        if (client->len > searched) {
            end = memchr(client->bytes + searched, '\n', client->len - searched);
        }
        if (end != NULL) {
            client->at = (size_t)(end - client->bytes) + 1;
            *end = '\0';
            if (end > from && end[-1] == '\r') {
                end[-1] = '\0';
            }
            return from;
        }
        if (client->at > 0) {
            client->len -= client->at;
            memmove(client->bytes, from, client->len);
            client->at = 0;
        }
        searched = client->len;
        if (!receive(client)) {
            return NULL;
        }
    }
}

/* Waits for more bytes. Returns 0 when the server has closed the connection. */
static int receive(client *client)
{
    struct pollfd readable;
    ssize_t count;

    if (client->capacity - client->len < 4096) {
        client->capacity = client->capacity * 2 + 16384;
        client->bytes = realloc(client->bytes, client->capacity);
        CHECK(client->bytes != NULL);
    }
    readable.fd = client->fd;
    readable.events = POLLIN;
    CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
    count = recv(client->fd, client->bytes + client->len, client->capacity - client->len, 0);
    if (count < 0 && errno == ECONNRESET) {
        return 0;
    }
    CHECK(count >= 0);
    client->len += (size_t)count;
    return count > 0;
}

static void put_field(client *client, const char *line)
{
    if (strncmp(line, "data: ", 6) == 0) {
        put_data(client, line + 6);
    } else if (strncmp(line, "event: ", 7) == 0) {
        CHECK(strlen(line + 7) < sizeof client->name);
        strcpy(client->name, line + 7);
    } else if (strncmp(line, "id: ", 4) == 0) {
        CHECK(strlen(line + 4) < sizeof client->id);
        strcpy(client->id, line + 4);
    } else {
        CHECK(line[0] == ':' || strncmp(line, "retry: ", 7) == 0);
    }
}

static void put_data(client *client, const char *value)
{
    size_t len = strlen(value);

    client->data = realloc(client->data, client->data_len + len + 2);
    CHECK(client->data != NULL);
    if (client->has_data) {
        client->data[client->data_len++] = '\n';
    }
    memcpy(client->data + client->data_len, value, len + 1);
    client->data_len += len;
    client->has_data = 1;
}

void client_expect_end(client *client)
{
    while (receive(client)) {
        client->len = 0;
    }
    client->at = 0;
}

void client_half_close(client *client)
{
    CHECK(shutdown(client->fd, SHUT_WR) == 0);
}

int client_status(uint16_t port, const char *host)
{
    client *asking = connect_new(port, 0);
    char request[900];
    const char *line;
    int len, status = 0;

    len = snprintf(request, sizeof request, "GET /events?topic=t HTTP/1.1\r\nHost: %s\r\n\r\n",
                   host);
    CHECK(len > 0 && (size_t)len < sizeof request);
    send_all(asking->fd, request, (size_t)len);
    line = next_line(asking);
    CHECK(line != NULL && sscanf(line, "HTTP/1.1 %3d ", &status) == 1);
    client_free(asking);
    return status;
}

int client_is_refused(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int refused;

    CHECK(fd >= 0);
    refused = connect_to(fd, port) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

void client_free(client *client)
{
    close(client->fd);
    free(client->bytes);
    free(client->data);
    free(client);
}
