/* A host with a small HTTP server of its own. The server accepts, reads each request and routes it;
 * it answers with a page, and hands over to fanfare the connections that ask for events: each user
 * gets the news, and messages of their own.
 *
 * Build it from the repository's root, after `make capi`:
 *
 *   cc -std=c99 -Iinclude examples/c/adopt.c -Lbuild/lib -Wl,-rpath,build/lib -lfanfare -o adopt
 *
 * Statically, so that it needs no libfanfare.so:
 *
 *   cc -std=c99 -Iinclude examples/c/adopt.c build/lib/libfanfare.a \
 *       -lgcc_s -lutil -lrt -lpthread -lm -ldl -o adopt
 *
 * With the library that `make install` has installed:
 *
 *   cc -std=c99 examples/c/adopt.c $(pkg-config --cflags --libs fanfare) -o adopt
 *
 * Try it, and open http://127.0.0.1:8080/ in a browser:
 *
 *   ./adopt 8080
 *   curl -N http://127.0.0.1:8080/events/alice
 *   curl -i http://127.0.0.1:8080/nothing
 */

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* for sockets, signals and strncasecmp */
#endif

#include <fanfare.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAGE \
    "<!doctype html><title>News</title><pre id=\"news\"></pre><script>" \
    "new EventSource('/events/alice').onmessage = (event) =>" \
    " document.getElementById('news').append(event.data + '\\n');</script>\n"

static volatile sig_atomic_t is_ended;

static void end(int signal)
{
    (void)signal;
    is_ended = 1;
}

/* Answers a request that is not for a stream, and ends its connection. */
static void respond(int fd, const char *status, const char *type, const char *content)
{
    char answer[1024];
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                          "Connection: close\r\n\r\n%s",
                          status, type, strlen(content), content);

    /* It fits into the empty buffer of a socket that nothing was written to. */
    if (length < 0 || (size_t)length >= sizeof answer
        || send(fd, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length) {
        fprintf(stderr, "adopt: an answer was not sent\n");
    }
    close(fd);
}

/* The value of a header field; no text at all if the request does not have it. */
static fanfare_text field(const char *head, const char *name)
{
    const char *line = head;

    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            line += strlen(name) + 1;
            line += strspn(line, " \t");
            return fanfare_text_of(line, strcspn(line, "\r"));
        }
    }
    return fanfare_text_of(NULL, 0);
}

/* Whether a request has content, which this server does not read. */
static int has_content(const char *head)
{
    const fanfare_text length = field(head, "Content-Length");

    return field(head, "Transfer-Encoding").data != NULL
           || (length.data != NULL && !(length.length == 1 && length.data[0] == '0'));
}

/* Hands a connection over. `read_ahead` is what was read of it behind the head. */
static void hand_over(const fanfare_hub *hub, int fd, const char *user, const char *method,
                      const char *version, const char *head, size_t read_ahead)
{
    fanfare_text topics[2];
    fanfare_stream_options options = fanfare_stream_options_defaults();
    fanfare_adopt_request request = fanfare_adopt_request_of(topics, 2);
    fanfare_status status;

    topics[0] = FANFARE_TEXT("news");
    topics[1] = fanfare_text_of_string(user);
    options.last_event_id = field(head, "Last-Event-ID");
    options.tag = fanfare_text_of_string(user);
    request.options = &options;
    request.method = fanfare_text_of_string(method);
    request.version = fanfare_text_of_string(version);
    request.read_ahead_bytes = read_ahead;
    request.has_unread_content = has_content(head);
    status = fanfare_hub_adopt(hub, fd, &request);
    if (status == FANFARE_OK) {
        return; /* The descriptor is the hub's now. */
    }
    fprintf(stderr, "adopt: %s\n", fanfare_strerror(status));
    if (status == FANFARE_ERR_PANIC) {
        return; /* A defect of the library: the descriptor is not ours any more. */
    }
    /* It is still ours, and nothing was written to it. */
    if (status == FANFARE_ERR_REQUEST || status == FANFARE_ERR_SOCKET_READ) {
        respond(fd, "400 Bad Request", "text/plain", "ask with a GET without content\n");
    } else {
        respond(fd, "503 Service Unavailable", "text/plain", "come again later\n");
    }
}

/* Reads the head of a request, and routes it. */
static void answer(const fanfare_hub *hub, int fd)
{
    const struct timeval second = {1, 0};
    char head[4096], method[8], path[64], version[16];
    const char *head_end = NULL, *user = path + strlen("/events/");
    size_t length = 0;
    time_t until = time(NULL) + 2;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second) != 0) {
        perror("adopt: a client's socket");
    }
    while (head_end == NULL && length < sizeof head - 1) {
        ssize_t count = recv(fd, head + length, sizeof head - 1 - length, 0);
        if (count <= 0 || time(NULL) > until) {
            close(fd); /* It has left, or takes too long. */
            return;
        }
        length += (size_t)count;
        head[length] = '\0';
        head_end = strstr(head, "\r\n\r\n");
    }
    if (head_end == NULL || sscanf(head, "%7s %63s %15s", method, path, version) != 3) {
        respond(fd, "400 Bad Request", "text/plain", "this is no request, or too long a one\n");
    } else if (strcmp(path, "/") == 0 && strcmp(method, "GET") == 0) {
        respond(fd, "200 OK", "text/html", PAGE);
    } else if (strncmp(path, "/events/", strlen("/events/")) == 0 && *user != '\0'
               && user[strspn(user, "abcdefghijklmnopqrstuvwxyz")] == '\0') {
        /* A real server looks here whether the client may read what is for this user. */
        hand_over(hub, fd, user, method, version, head, length - (size_t)(head_end + 4 - head));
    } else {
        respond(fd, "404 Not Found", "text/plain", "there is nothing here\n");
    }
}

/* Publishes the time to a topic. */
static int publish(const fanfare_hub *hub, const char *topic, time_t now)
{
    char data[64];
    fanfare_event event;
    fanfare_status status;

    snprintf(data, sizeof data, "%s at %lld", topic, (long long)now);
    event = fanfare_event_of(fanfare_text_of_string(data));
    status = fanfare_hub_publish(hub, fanfare_text_of_string(topic), &event, NULL);
    if (status != FANFARE_OK) {
        fprintf(stderr, "adopt: publish: %s\n", fanfare_strerror(status));
    }
    return status == FANFARE_OK || status == FANFARE_ERR_FULL; /* which left this one out */
}

/* Serves one request after another, for some seconds at most. A server of yours reads many at once. */
static int serve(const fanfare_hub *hub, int listener)
{
    struct pollfd readable = {listener, POLLIN, 0};
    time_t published = 0;

    while (!is_ended) {
        time_t now = time(NULL);
        int is_ready = poll(&readable, 1, 1000) == 1;
        int fd = is_ready ? accept(listener, NULL, NULL) : -1;
        if (fd >= 0) {
            answer(hub, fd);
        } else if (is_ready && (errno == EMFILE || errno == ENFILE)) {
            perror("adopt: accept");
            return 0;
        }
        if (now != published && (!publish(hub, "news", now) || !publish(hub, "alice", now))) {
            return 0;
        }
        published = now;
    }
    return 1;
}

/* A socket that listens on a port of the loopback; 0 lets the system choose one. */
static int listen_on(unsigned port)
{
    struct sockaddr_in addr;
    socklen_t length = sizeof addr;
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_port = htons((uint16_t)port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
        || bind(fd, (const struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, 1024) != 0
        || fcntl(fd, F_SETFL, O_NONBLOCK) != 0
        || getsockname(fd, (struct sockaddr *)&addr, &length) != 0) {
        perror("adopt: listen");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    printf("adopt: http://127.0.0.1:%u/\n", (unsigned)ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct sigaction ends;
    fanfare_hub *hub = NULL;
    fanfare_status status;
    int listener, ok;

    memset(&ends, 0, sizeof ends);
    ends.sa_handler = end;
    if (sigaction(SIGINT, &ends, NULL) != 0 || sigaction(SIGTERM, &ends, NULL) != 0) {
        perror("adopt: signals");
        return EXIT_FAILURE;
    }
    listener = listen_on(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 8080);
    if (listener < 0) {
        return EXIT_FAILURE;
    }
    status = fanfare_hub_new(NULL, &hub);
    if (status != FANFARE_OK) {
        fprintf(stderr, "adopt: %s\n", fanfare_strerror(status));
        close(listener);
        return EXIT_FAILURE;
    }
    ok = serve(hub, listener);
    close(listener);
    fanfare_hub_free(hub);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
