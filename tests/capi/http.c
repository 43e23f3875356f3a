#include "http.h"

#include "check.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct http {
    int fd, status;
    /* All that was received, with a NUL behind it; where the content begins, and from where on it is
     * still to be looked at. */
    char *bytes;
    size_t len, capacity, content;
    char value[1000];
};

static http *http_new(int fd)
{
    http *new = calloc(1, sizeof *new);

    CHECK(new != NULL && fd >= 0);
    new->fd = fd;
    return new;
}

static int connected(uint16_t port)
{
    struct sockaddr_in addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(fd >= 0);
    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_port = htons(port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0);
    return fd;
}

static void send_request(http *http, const char *method, const char *target, const char *fields,
                         const char *content)
{
    char request[16384];
    int len = snprintf(request, sizeof request, "%s %s HTTP/1.0\r\n%sContent-Length: %u\r\n\r\n%s",
                       method, target, fields, (unsigned)strlen(content), content);

    CHECK(len > 0 && (size_t)len < sizeof request);
    CHECK_EQ(send(http->fd, request, (size_t)len, MSG_NOSIGNAL), len);
}

http *http_send(uint16_t port, const char *method, const char *target, const char *fields,
                const char *content)
{
    http *new = http_new(connected(port));

    send_request(new, method, target, fields, content);
    http_await(new);
    return new;
}

http *http_get(uint16_t port, const char *target, const char *fields)
{
    return http_send(port, "GET", target, fields, "");
}

http *http_ask(uint16_t port, const char *target, const char *fields)
{
    http *new = http_new(connected(port));

    send_request(new, "GET", target, fields, "");
    return new;
}

http *http_ask_with(uint16_t port, const char *bytes)
{
    http *new = http_new(connected(port));

    CHECK_EQ(send(new->fd, bytes, strlen(bytes), MSG_NOSIGNAL), (long long)strlen(bytes));
    return new;
}

http *http_get_unix(const char *path, const char *target)
{
    struct sockaddr_un addr;
    http *new = http_new(socket(AF_UNIX, SOCK_STREAM, 0));

    memset(&addr, 0, sizeof addr);
    addr.sun_family = AF_UNIX;
    CHECK(strlen(path) < sizeof addr.sun_path);
    strcpy(addr.sun_path, path);
    CHECK(connect(new->fd, (const struct sockaddr *)&addr, sizeof addr) == 0);
    send_request(new, "GET", target, "", "");
    http_await(new);
    return new;
}

http *http_over(int fd)
{
    http *new = http_new(fd);

    http_await(new);
    return new;
}

/* Waits for more. Returns 0 when the server has closed the connection. */
static int receive(http *http)
{
    struct pollfd readable;
    ssize_t count;

    if (http->capacity - http->len < 4097) {
        http->capacity = http->capacity * 2 + 16384;
        http->bytes = realloc(http->bytes, http->capacity);
        CHECK(http->bytes != NULL);
    }
    readable.fd = http->fd;
    readable.events = POLLIN;
    CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
    count = recv(http->fd, http->bytes + http->len, 4096, 0);
    if (count < 0 && errno == ECONNRESET) {
        count = 0;
    }
    CHECK(count >= 0);
    http->len += (size_t)count;
    http->bytes[http->len] = '\0';
    return count > 0;
}

int http_is_answered(const http *http, int wait_ms)
{
    struct pollfd readable;

    readable.fd = http->fd;
    readable.events = POLLIN;
    return poll(&readable, 1, wait_ms) == 1;
}

void http_await(http *http)
{
    const char *end = NULL;

    while (end == NULL) {
        CHECK(receive(http));
        end = strstr(http->bytes, "\r\n\r\n");
    }
    http->content = (size_t)(end - http->bytes) + 4;
    CHECK(sscanf(http->bytes, "HTTP/1.%*1[01] %3d ", &http->status) == 1);
}

int http_status(const http *http)
{
    return http->status;
}

const char *http_header(const http *asked, const char *name)
{
    http *http = (struct http *)asked;
    const char *line = strstr(http->bytes, "\r\n");
    size_t name_len = strlen(name);

    http->value[0] = '\0';
    while (line != NULL && line + 2 < http->bytes + http->content) {
        const char *field = line + 2, *next = strstr(field, "\r\n");
        size_t i = 0;
        while (i < name_len && tolower((unsigned char)field[i]) == name[i]) {
            i++;
        }
        if (i == name_len && field[i] == ':') {
            size_t len;
            field += i + 1 + strspn(field + i + 1, " ");
            len = (size_t)(next - field);
            CHECK(len < sizeof http->value);
            memcpy(http->value, field, len);
            http->value[len] = '\0';
            return http->value;
        }
        line = next;
    }
    return http->value;
}

void http_expect(http *http, const char *text)
{
    const char *found;

    while ((found = strstr(http->bytes + http->content, text)) == NULL) {
        if (!receive(http)) {
            fprintf(stderr, "it ended without %s: %s\n", text, http->bytes);
            exit(EXIT_FAILURE);
        }
    }
    http->content = (size_t)(found - http->bytes) + strlen(text);
}

int http_has(const http *http, const char *text)
{
    return strstr(http->bytes, text) != NULL;
}

const char *http_rest(http *http)
{
    while (receive(http)) {
    }
    return http->bytes + http->content;
}

void http_free(http *http)
{
    close(http->fd);
    free(http->bytes);
    free(http);
}
