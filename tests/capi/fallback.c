/* Connections with requests for paths without streams, which a server of the program's own answers. */

#include "check.h"
#include "http.h"
#include "watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A hub whose listener hands over what it does not know. */
typedef struct {
    fanfare_hub *hub;
    fanfare_notices *notices;
    fanfare_fallback *fallback;
    fanfare_listener listener;
    uint16_t port;
} shared_port;

static shared_port shared_port_with(fanfare_hub *hub, fanfare_listen_options *options, size_t capacity)
{
    shared_port new;

    memset(&new, 0, sizeof new);
    new.hub = hub;
    new.notices = notices_new();
    CHECK_EQ(fanfare_fallback_new(new.notices, TOKEN, capacity, &new.fallback), FANFARE_OK);
    options->fallback = new.fallback;
    CHECK_EQ(fanfare_hub_listen(new.hub, FANFARE_TEXT("127.0.0.1:0"), options, &new.listener, &new.port),
             FANFARE_OK);
    return new;
}

static shared_port shared_port_new(size_t capacity)
{
    fanfare_listen_options options = fanfare_listen_options_defaults();

    return shared_port_with(hub_new(), &options, capacity);
}

static void shared_port_free(shared_port *shared)
{
    fanfare_hub_free(shared->hub);
    fanfare_fallback_free(shared->fallback);
    fanfare_notices_free(shared->notices);
}

static fanfare_notice next_unhandled(const shared_port *shared)
{
    fanfare_notice notice = notices_next(shared->notices);

    CHECK_EQ(notice.kind, FANFARE_NOTICE_UNHANDLED);
    CHECK(notice.token == TOKEN && notice.id != 0 && notice.request != NULL);
    return notice;
}

static void answer(int fd, const char *text)
{
    CHECK_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), (long long)strlen(text));
}

static void taken(void)
{
    shared_port shared = shared_port_new(8);
    http *client = http_ask(shared.port, "/hello", "X-A: b\r\n");
    fanfare_notice notice = next_unhandled(&shared);
    fanfare_event event = event_of("hello");
    fanfare_admit_request request;
    int fd = -7;

    CHECK(notice.request->content.length > 10);
    CHECK(memcmp(notice.request->content.data, "GET /hello ", 11) == 0);
    CHECK(notice.request->method.data == NULL && notice.request->headers == NULL);
    CHECK(notice.addr.length > 10 && memcmp(notice.addr.data, "127.0.0.1:", 10) == 0);
    CHECK_EQ(fanfare_fallback_take(NULL, notice.id, &fd), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_fallback_take(shared.fallback, notice.id, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_fallback_take(shared.fallback, 0, &fd), FANFARE_ERR_STALE);
    CHECK_EQ(fd, -7);
    CHECK_EQ(fanfare_fallback_take(shared.fallback, notice.id, &fd), FANFARE_OK);
    CHECK(fd >= 0);
    answer(fd, "HTTP/1.0 200 OK\r\n\r\nanother part");
    close(fd);
    fd = -7;
    CHECK_EQ(fanfare_fallback_take(shared.fallback, notice.id, &fd), FANFARE_ERR_STALE);
    CHECK_EQ(fd, -7);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    CHECK_TEXT(http_rest(client), "another part");
    http_free(client);

    /* Streams are the listener's still, also of a connection that is given back. */
    client = http_get(shared.port, "/events?topic=t", "");
    CHECK_EQ(http_status(client), 200);
    http_free(client);
    client = http_ask(shared.port, "/other", "");
    notice = next_unhandled(&shared);
    CHECK_EQ(fanfare_fallback_take(shared.fallback, notice.id, &fd), FANFARE_OK);
    request = fanfare_admit_request_of(
        FANFARE_TEXT("GET /events?topic=t HTTP/1.0\r\nHost: localhost\r\n\r\n"));
    CHECK_EQ(fanfare_listener_admit(shared.hub, shared.listener, fd, &request), FANFARE_OK);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    CHECK_EQ(publish(shared.hub, "t", &event), FANFARE_OK);
    http_expect(client, "data: hello\n");
    http_free(client);
    shared_port_free(&shared);
}

/* Gives back the connection that the next notice tells of, with a request for a stream and all that the
 * notice says, but for is_proxy if that is to be left out. Returns whether it said that. */
static uint32_t give_back(const shared_port *shared, const char *request, int with_is_proxy)
{
    fanfare_notice notice = next_unhandled(shared);
    fanfare_admit_request given = fanfare_admit_request_of(fanfare_text_of_string(request));
    int fd = -1;

    CHECK_EQ(fanfare_fallback_take(shared->fallback, notice.id, &fd), FANFARE_OK);
    given.addr = notice.addr;
    given.peer = notice.peer;
    given.is_proxy = with_is_proxy ? notice.is_proxy : 0;
    CHECK_EQ(fanfare_listener_admit(shared->hub, shared->listener, fd, &given), FANFARE_OK);
    return notice.is_proxy;
}

static void check_address_of_only_connection(const fanfare_hub *hub, const char *address)
{
    fanfare_connections *list = NULL;
    fanfare_connection connection;

    memset(&connection, 0, sizeof connection);
    connection.size = sizeof connection;
    CHECK_EQ(fanfare_hub_connections(hub, NULL, &list), FANFARE_OK);
    CHECK_EQ(fanfare_connections_count(list), 1);
    CHECK_EQ(fanfare_connections_get(list, 0, &connection), FANFARE_OK);
    CHECK(text_is(connection.addr, address));
    fanfare_connections_free(list);
}

#define STREAM "GET /events?topic=t HTTP/1.0\r\nHost: localhost\r\n"

/* What a PROXY header and a proxy's field have said of a client stays with a connection that is given back. */
static void behind_proxies(void)
{
    static const fanfare_text loopback = {"127.0.0.1", 9};
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_options of_hub = options_new();
    fanfare_hub *hub = NULL;
    shared_port shared;
    http *client, *others[2];
    int i;

    /* A header of the PROXY protocol that names the client. */
    options.proxy_protocol_from = &loopback;
    options.proxy_protocol_from_count = 1;
    shared = shared_port_with(hub_new(), &options, 8);
    client = http_ask_with(shared.port, "PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n"
                                        "GET /other HTTP/1.0\r\nHost: localhost\r\n\r\n");
    CHECK_EQ(give_back(&shared, STREAM "\r\n", 1), 0);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    check_address_of_only_connection(shared.hub, "203.0.113.7:4711");
    http_free(client);
    shared_port_free(&shared);

    /* One that names none. Its clients are not counted by the proxy's address, unless that is forgotten. */
    options.overload = FANFARE_OVERLOAD_UNAVAILABLE;
    of_hub.connections_per_address_max = 1;
    CHECK_EQ(fanfare_hub_new(&of_hub, &hub), FANFARE_OK);
    shared = shared_port_with(hub, &options, 8);
    for (i = 0; i < 2; i++) {
        others[i] = http_ask_with(shared.port, "PROXY UNKNOWN\r\nGET /other HTTP/1.0\r\n\r\n");
        CHECK_EQ(give_back(&shared, STREAM "\r\n", 1), 1);
        http_await(others[i]);
        CHECK_EQ(http_status(others[i]), 200);
    }
    for (i = 0; i < 2; i++) {
        http_free(others[i]);
        others[i] = http_ask_with(shared.port, "PROXY UNKNOWN\r\nGET /other HTTP/1.0\r\n\r\n");
        CHECK_EQ(give_back(&shared, STREAM "\r\n", 0), 1);
        http_await(others[i]);
        CHECK_EQ(http_status(others[i]), i == 0 ? 200 : 503);
    }
    http_free(others[0]);
    http_free(others[1]);
    shared_port_free(&shared);

    /* A proxy's field names the client of each request: the second is another one's. */
    options = fanfare_listen_options_defaults();
    options.trusted_proxies = &loopback;
    options.trusted_proxies_count = 1;
    shared = shared_port_with(hub_new(), &options, 8);
    client = http_ask(shared.port, "/other", "Host: localhost\r\nX-Forwarded-For: 203.0.113.8\r\n");
    CHECK_EQ(give_back(&shared, STREAM "X-Forwarded-For: 203.0.113.9\r\n\r\n", 1), 0);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    check_address_of_only_connection(shared.hub, "203.0.113.9:0");
    http_free(client);
    shared_port_free(&shared);
}

/* One is told of and not taken, and one waits to be told of: the third is too many. */
static void bounded(void)
{
    shared_port shared = shared_port_new(1);
    int64_t deadline = now_ms() + DEADLINE_MS;
    http *clients[3];
    fanfare_notice notice;
    uint64_t first;
    size_t count = 7;
    int fd = -1, i = 1;

    clients[0] = http_ask(shared.port, "/a", "");
    first = next_unhandled(&shared).id;
    clients[1] = http_ask(shared.port, "/b", "");
    clients[2] = http_ask(shared.port, "/c", "");
    /* Either of these may be the one that waits. */
    while (!http_is_answered(clients[i], 10)) {
        CHECK(now_ms() < deadline);
        i = 3 - i;
    }
    http_await(clients[i]);
    CHECK_EQ(http_status(clients[i]), 503);
    CHECK(!http_is_answered(clients[3 - i], 0));
    CHECK_EQ(fanfare_notices_drain(shared.notices, &notice, sizeof notice, 1, &count), FANFARE_OK);
    CHECK_EQ(count, 0);
    CHECK_EQ(fanfare_fallback_take(shared.fallback, first, &fd), FANFARE_OK);
    close(fd);
    notice = next_unhandled(&shared);
    CHECK_EQ(fanfare_fallback_take(shared.fallback, notice.id, &fd), FANFARE_OK);
    close(fd);
    for (i = 0; i < 3; i++) {
        http_free(clients[i]);
    }
    shared_port_free(&shared);
}

static void freed(void)
{
    shared_port shared = shared_port_new(8);
    http *client = http_ask(shared.port, "/a", "");
    fanfare_notice notice;

    next_unhandled(&shared);
    fanfare_fallback_free(shared.fallback);
    shared.fallback = NULL;
    notice = notices_next(shared.notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_ENDED);
    http_free(client);
    client = http_get(shared.port, "/a", "");
    CHECK_EQ(http_status(client), 503);
    http_free(client);
    fanfare_fallback_free(NULL);
    shared_port_free(&shared);
}

/* Nobody drains the queue any more. */
static void freed_and_not_drained(void)
{
    shared_port shared = shared_port_new(8);
    http *waits = http_ask(shared.port, "/a", ""), *client;

    notices_wait(shared.notices);
    fanfare_fallback_free(shared.fallback);
    shared.fallback = NULL;
    CHECK(http_is_answered(waits, 20000)); /* by its end */
    client = http_get(shared.port, "/a", "");
    CHECK_EQ(http_status(client), 503);
    http_free(client);
    http_free(waits);
    shared_port_free(&shared);
}

static void refused(void)
{
    fanfare_notices *notices = notices_new();
    fanfare_fallback *fallback = NULL;

    CHECK_EQ(fanfare_fallback_new(NULL, 1, 8, &fallback), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_fallback_new(notices, 1, 8, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_fallback_new(notices, 1, 0, &fallback), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_fallback_new(notices, 1, 65537, &fallback), FANFARE_ERR_OPTIONS);
    CHECK(fallback == NULL);
    fanfare_notices_free(notices);
}

static void in_child_of_fork(void)
{
    shared_port shared = shared_port_new(8);
    http *client = http_ask(shared.port, "/a", "");
    fanfare_notice notice = next_unhandled(&shared);
    int status = 0, fd = -1;
    pid_t child;

    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQ(fanfare_fallback_take(shared.fallback, notice.id, &fd), FANFARE_ERR_FORKED);
        fanfare_fallback_free(shared.fallback);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK_EQ(fanfare_fallback_take(shared.fallback, notice.id, &fd), FANFARE_OK);
    answer(fd, "HTTP/1.0 200 OK\r\n\r\n");
    close(fd);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    http_free(client);
    shared_port_free(&shared);
}

const test tests_of_fallback[] = {
    {"a connection with a request for another path is taken, answered, or given back", taken},
    {"a connection that is given back is still from whom a proxy has said", behind_proxies},
    {"connections that wait to be taken are bounded, and go on when one was taken", bounded},
    {"a fallback that is freed closes what waits, and is told so", freed},
    {"a fallback that is freed closes what waits in a queue that nobody drains", freed_and_not_drained},
    {"a fallback needs its pointers and a capacity", refused},
    {"in the child of a fork a fallback is refused, and the parent's goes on", in_child_of_fork},
    {NULL, NULL},
};
