/* Listeners: their addresses, options and ends. */

/* For mkdtemp. */
#define _DEFAULT_SOURCE

#include "check.h"
#include "client.h"
#include "http.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static uint16_t listen_with(const fanfare_hub *hub, const fanfare_listen_options *options)
{
    uint16_t port = 0;

    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), options, NULL, &port), FANFARE_OK);
    CHECK(port != 0);
    return port;
}

static void routes_and_headers(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_route routes[2];
    fanfare_header headers[1], of_route[1];
    fanfare_text wanted[1], origins[1];
    fanfare_event event = event_of("hello");
    uint16_t port;
    http *answer;

    headers[0] = fanfare_header_of(FANFARE_TEXT("X-Served-By"), FANFARE_TEXT("c"));
    of_route[0] = fanfare_header_of(FANFARE_TEXT("X-Robots-Tag"), FANFARE_TEXT("none"));
    wanted[0] = FANFARE_TEXT("run/{id}");
    origins[0] = FANFARE_TEXT("https://app.example");
    routes[0] = fanfare_route_of(FANFARE_TEXT("/runs/{id}/events"));
    routes[0].subscriptions = wanted;
    routes[0].subscriptions_count = 1;
    routes[0].headers = of_route;
    routes[0].headers_count = 1;
    routes[0].post = 1;
    routes[1] = fanfare_route_of(FANFARE_TEXT("/other"));
    options.path = FANFARE_TEXT("");
    options.health_path = FANFARE_TEXT("/healthz");
    options.routes = routes;
    options.routes_count = 2;
    options.headers = headers;
    options.headers_count = 1;
    options.cors_origins = origins;
    options.cors_origins_count = 1;
    options.cors_credentials = 1;
    options.envelope = FANFARE_ENVELOPE_JSON;
    port = listen_with(hub, &options);
    /* What was passed is not looked at again. */
    memset(&options, 0xff, sizeof options);
    memset(routes, 0xff, sizeof routes);
    memset(headers, 0xff, sizeof headers);

    answer = http_get(port, "/events?topic=t", "");
    CHECK_EQ(http_status(answer), 404);
    http_free(answer);
    answer = http_get(port, "/healthz", "");
    CHECK_EQ(http_status(answer), 200);
    http_free(answer);
    answer = http_get(port, "/runs/42/events", "Origin: https://app.example\r\n");
    CHECK_EQ(http_status(answer), 200);
    CHECK_TEXT(http_header(answer, "x-served-by"), "c");
    CHECK_TEXT(http_header(answer, "x-robots-tag"), "none");
    CHECK_TEXT(http_header(answer, "access-control-allow-origin"), "https://app.example");
    CHECK_TEXT(http_header(answer, "access-control-allow-credentials"), "true");
    CHECK_EQ(publish(hub, "run/42", &event), FANFARE_OK);
    http_expect(answer, "\"topic\":\"run/42\"");
    http_free(answer);
    answer = http_get(port, "/other?topic=t", "");
    CHECK_EQ(http_status(answer), 200);
    http_free(answer);
    fanfare_hub_free(hub);
}

static void routes_of_other_sizes(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_listen_options options = fanfare_listen_options_defaults();
    struct {
        fanfare_route route;
        size_t later;
    } grown[2];
    fanfare_route routes[2];
    fanfare_text name, bounds;
    uint16_t port;
    http *answer;

    memset(grown, 0, sizeof grown);
    grown[0].route = fanfare_route_of(FANFARE_TEXT("/a"));
    grown[1].route = fanfare_route_of(FANFARE_TEXT("/b"));
    grown[0].route.size = grown[1].route.size = sizeof grown[0];
    options.routes = &grown[0].route;
    options.routes_count = 2;
    port = listen_with(hub, &options);
    answer = http_get(port, "/b?topic=t", "");
    CHECK_EQ(http_status(answer), 200);
    http_free(answer);
    grown[1].later = 1;
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "routes"));
    /* All of them have one size. */
    routes[0] = fanfare_route_of(FANFARE_TEXT("/a"));
    routes[1] = fanfare_route_of(FANFARE_TEXT("/b"));
    options.routes = routes;
    for (routes[1].size = 0; routes[1].size < sizeof routes[1]; routes[1].size++) {
        CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    }
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    fanfare_hub_free(hub);
}

static void hosts_and_start(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_text hosts[1];
    fanfare_event event = event_of("kept");
    uint16_t port;
    client *late;
    received got;

    hosts[0] = FANFARE_TEXT("app.example");
    options.hosts = hosts;
    options.hosts_count = 1;
    options.start = FANFARE_START_LAST;
    options.start_last = 1;
    port = listen_with(hub, &options);
    CHECK_EQ(client_status(port, "app.example"), 200);
    CHECK_EQ(client_status(port, "other.example"), 421);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    late = client_new(port, "t");
    CHECK(client_next(late, &got));
    CHECK_TEXT(got.data, "kept");
    client_free(late);
    fanfare_hub_free(hub);
}

/* Writes `unix:DIRECTORY/s` of a new directory. */
static void socket_address(char *address, size_t size)
{
    char directory[] = "/tmp/fanfare-capi-XXXXXX";

    CHECK(mkdtemp(directory) != NULL);
    CHECK(snprintf(address, size, "unix:%s/s", directory) < (int)size);
}

static void unix_sockets(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_listener listener;
    fanfare_event event = event_of("over a file");
    fanfare_text addr;
    char address[64], copy[64];
    const char *path = address + strlen("unix:");
    uint16_t port = 0xbeef;
    size_t length = 0;
    struct stat file;
    http *answer;

    socket_address(address, sizeof address);
    addr = fanfare_text_of_string(address);
    options.socket_mode = 0620;
    CHECK_EQ(fanfare_hub_listen(hub, addr, &options, &listener, &port), FANFARE_OK);
    CHECK_EQ(port, 0);
    CHECK(stat(path, &file) == 0);
    CHECK_EQ(file.st_mode & 0777, 0620);
    CHECK_EQ(fanfare_listener_address(hub, listener, copy, sizeof copy, &length), FANFARE_OK);
    CHECK(text_is(fanfare_text_of(copy, length), address));
    answer = http_get_unix(path, "/events?topic=t");
    CHECK_EQ(http_status(answer), 200);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    http_expect(answer, "data: over a file\n");
    http_free(answer);
    /* It is in use. */
    CHECK_EQ(fanfare_hub_listen(hub, addr, &options, NULL, NULL), FANFARE_ERR_ADDRESS);
    CHECK_EQ(fanfare_listener_close(hub, listener), FANFARE_OK);
    CHECK(stat(path, &file) != 0);
    CHECK_EQ(fanfare_hub_listen(hub, addr, NULL, NULL, NULL), FANFARE_OK);
    fanfare_hub_free(hub);
    CHECK(stat(path, &file) != 0);
    *strrchr(address, '/') = '\0';
    CHECK(rmdir(path) == 0);
}

static void wrong_unix_sockets(void)
{
    static const char with_nul[] = "unix:/tmp/a\0b";
    fanfare_hub *hub = hub_new();
    char name[64], address[200];

    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("unix:"), NULL, NULL, NULL), FANFARE_ERR_ADDRESS);
    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("unix:@"), NULL, NULL, NULL),
             FANFARE_ERR_ADDRESS);
    CHECK_EQ(fanfare_hub_listen(hub, fanfare_text_of(with_nul, sizeof with_nul - 1), NULL, NULL, NULL),
             FANFARE_ERR_ADDRESS);
    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("unix:/no/such/folder/s"), NULL, NULL, NULL),
             FANFARE_ERR_ADDRESS);
    memset(address, 'x', sizeof address);
    memcpy(address, "unix:/", 6);
    CHECK_EQ(fanfare_hub_listen(hub, fanfare_text_of(address, sizeof address), NULL, NULL, NULL),
             FANFARE_ERR_ADDRESS);
#ifdef __linux__
    {
        fanfare_listener listener;
        size_t length = 0, needed = 0;

        CHECK(snprintf(name, sizeof name, "unix:@fanfare-capi-%ld", (long)getpid()) > 0);
        CHECK_EQ(fanfare_hub_listen(hub, fanfare_text_of_string(name), NULL, &listener, NULL),
                 FANFARE_OK);
        CHECK_EQ(fanfare_listener_address(hub, listener, address, sizeof address, &length),
                 FANFARE_OK);
        CHECK(text_is(fanfare_text_of(address, length), name));
        /* The bytes of a name are as they are in the system. */
        length = strlen(name);
        memcpy(name + length, "\xff\0\n\"", 4);
        length += 4;
        CHECK_EQ(fanfare_hub_listen(hub, fanfare_text_of(name, length), NULL, &listener, NULL),
                 FANFARE_OK);
        CHECK_EQ(fanfare_listener_address(hub, listener, address, sizeof address, &needed), FANFARE_OK);
        CHECK(needed == length && memcmp(address, name, length) == 0);
    }
#else
    (void)name;
#endif
    fanfare_hub_free(hub);
}

/* A socket that listens on the loopback, if it is to. */
static int socket_new(int listens, uint16_t *port_out)
{
    struct sockaddr_in addr;
    socklen_t addr_len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(fd >= 0);
    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0);
    CHECK(!listens || listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&addr, &addr_len) == 0);
    *port_out = ntohs(addr.sin_port);
    return fd;
}

static int is_open(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0;
}

static void descriptors(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_listener listener = {7};
    fanfare_event event = event_of("hello");
    uint16_t bound = 0, port = 0;
    int fd = socket_new(1, &bound), pipes[2];
    client *client;
    received got;

    /* Each refusal leaves the descriptor with the caller. */
    options.head_bytes_max = 1;
    CHECK_EQ(fanfare_hub_listen_on(hub, fd, &options, &listener, &port), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_hub_listen_on(NULL, fd, NULL, &listener, &port), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_listen_on(hub, -1, NULL, &listener, &port), FANFARE_ERR_ADDRESS);
    CHECK(pipe(pipes) == 0);
    CHECK_EQ(fanfare_hub_listen_on(hub, pipes[0], NULL, &listener, &port), FANFARE_ERR_ADDRESS);
    CHECK(is_open(fd) && is_open(pipes[0]));
    close(pipes[0]);
    close(pipes[1]);
    CHECK_EQ(port, 0);
    CHECK_EQ(listener.id, 7);

    CHECK_EQ(fanfare_hub_listen_on(hub, fd, NULL, &listener, &port), FANFARE_OK);
    CHECK_EQ(port, bound);
    client = client_new(port, "t");
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "hello");
    client_free(client);
    CHECK_EQ(fanfare_listener_close(hub, listener), FANFARE_OK);
    fanfare_hub_free(hub);
    CHECK(client_is_refused(bound));
}

static void *drain_slowly(void *hub)
{
    fanfare_drain_options options = fanfare_drain_options_defaults();

    options.window_ms = 30000;
    CHECK_EQ(fanfare_hub_drain(hub, &options, NULL), FANFARE_OK);
    return NULL;
}

static void drained_descriptor(void)
{
    fanfare_hub *hub = hub_new();
    int64_t deadline = now_ms() + DEADLINE_MS;
    uint16_t bound = 0, port = 0;
    int fd = socket_new(1, &bound);
    client *clients[8];
    pthread_t drain;
    size_t i;

    CHECK_EQ(fanfare_hub_listen_on(hub, fd, NULL, NULL, &port), FANFARE_OK);
    for (i = 0; i < 8; i++) {
        clients[i] = client_new(port, "t");
    }
    CHECK(pthread_create(&drain, NULL, drain_slowly, hub) == 0);
    while (!client_is_refused(port)) {
        CHECK(now_ms() < deadline);
    }
    CHECK(metrics_of(hub).connections > 0);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    CHECK(pthread_join(drain, NULL) == 0);
    for (i = 0; i < 8; i++) {
        client_free(clients[i]);
    }
    fanfare_hub_free(hub);
}

static void unbound_descriptor(void)
{
    fanfare_hub *hub = hub_new();
    uint16_t bound = 0, port = 0xbeef;
    int fd = socket_new(0, &bound);

    CHECK_EQ(fanfare_hub_listen_on(hub, fd, NULL, NULL, &port), FANFARE_ERR_ADDRESS);
    CHECK_EQ(port, 0xbeef);
    CHECK(is_open(fd));
    close(fd);
    fanfare_hub_free(hub);
}

static void closed_listeners(void)
{
    fanfare_hub *hub = hub_new(), *other = hub_new();
    fanfare_listener listener = {0}, never = {0};
    fanfare_event event = event_of("after");
    uint16_t port = 0;
    char address[64];
    size_t length = 99;
    client *client;
    received got;

    CHECK_EQ(fanfare_listener_close(hub, never), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, &listener, &port), FANFARE_OK);
    CHECK(listener.id != 0);
    client = client_new(port, "t");
    CHECK_EQ(fanfare_listener_close(NULL, listener), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listener_address(NULL, listener, address, sizeof address, &length),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listener_address(hub, listener, NULL, sizeof address, &length),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listener_address(hub, listener, address, sizeof address, NULL),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(length, 99);
    CHECK_EQ(fanfare_listener_address(hub, listener, NULL, 0, &length), FANFARE_ERR_BUFFER);
    memset(address, 'x', sizeof address);
    CHECK_EQ(fanfare_listener_address(hub, listener, address, length - 1, &length),
             FANFARE_ERR_BUFFER);
    CHECK(address[0] == 'x');
    CHECK_EQ(fanfare_listener_address(hub, listener, address, length, &length), FANFARE_OK);
    CHECK(address[length] == 'x');
    address[length] = '\0';
    CHECK(strncmp(address, "127.0.0.1:", 10) == 0 && strtol(address + 10, NULL, 10) == port);
    CHECK_EQ(fanfare_listener_close(other, listener), FANFARE_ERR_STALE);

    CHECK_EQ(fanfare_listener_close(hub, listener), FANFARE_OK);
    CHECK(client_is_refused(port));
    CHECK_EQ(fanfare_listener_close(hub, listener), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_listener_address(hub, listener, address, sizeof address, &length),
             FANFARE_ERR_STALE);
    /* Streams that are open stay so. */
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "after");
    client_free(client);
    fanfare_hub_free(other);
    fanfare_hub_free(hub);
}

const test tests_of_listener[] = {
    {"a listener has routes, header fields and CORS of its options", routes_and_headers},
    {"routes lie as far apart as they say, and all have one size", routes_of_other_sizes},
    {"a listener has hosts and a beginning of its options", hosts_and_start},
    {"a hub listens at a Unix domain socket, whose file has its mode", unix_sockets},
    {"a Unix domain socket's address is a path or an abstract name", wrong_unix_sockets},
    {"a hub listens on a descriptor, which is the caller's until it does", descriptors},
    {"a descriptor that does not listen is refused", unbound_descriptor},
    {"a descriptor that listens is closed when a drain begins", drained_descriptor},
    {"a listener that is closed is stale, and its streams go on", closed_listeners},
    {NULL, NULL},
};
