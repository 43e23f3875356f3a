/* Making, listening and freeing; versions and texts. */

#include "check.h"
#include "client.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void abi_version(void)
{
    CHECK_EQ(fanfare_abi_version(), FANFARE_ABI_VERSION);
}

static void every_code_has_a_text(void)
{
    static const fanfare_status codes[] = {
        FANFARE_OK,         FANFARE_ERR_PANIC,   FANFARE_ERR_ARGUMENT, FANFARE_ERR_FORKED,
        FANFARE_ERR_CLOSED, FANFARE_ERR_FULL,    FANFARE_ERR_TOPIC,    FANFARE_ERR_EVENT,
        FANFARE_ERR_UTF8,   FANFARE_ERR_TOO_LARGE, FANFARE_ERR_OPTIONS, FANFARE_ERR_ADDRESS,
        FANFARE_ERR_SYSTEM, FANFARE_ERR_FINISHED, FANFARE_ERR_TIMEOUT,  FANFARE_ERR_SUBSCRIPTION,
        FANFARE_ERR_TOO_MANY, FANFARE_ERR_BUFFER, FANFARE_ERR_STALE,  FANFARE_ERR_LIMIT,
        FANFARE_ERR_BUSY,   FANFARE_ERR_SOCKET,  FANFARE_ERR_SOCKET_TLS, FANFARE_ERR_SOCKET_READ,
        FANFARE_ERR_SOCKET_UNSENT, FANFARE_ERR_REQUEST, FANFARE_ERR_GRANT, FANFARE_ERR_KEY,
        FANFARE_ERR_ENDED,  FANFARE_ERR_LOGGER,  FANFARE_ERR_TOKEN,    FANFARE_ERR_JOURNAL,
        FANFARE_ERR_CLUSTER,
    };
    static const size_t count = sizeof codes / sizeof codes[0];
    size_t i, j;

    for (i = 0; i < count; i++) {
        CHECK_EQ(codes[i], -(fanfare_status)i);
        CHECK(strlen(fanfare_strerror(codes[i])) >= strlen("success"));
        for (j = 0; j < i; j++) {
            CHECK(strcmp(fanfare_strerror(codes[i]), fanfare_strerror(codes[j])) != 0);
        }
    }
}

static void unknown_codes_have_a_text(void)
{
    static const fanfare_status unknown[] = {1, 12, 1000, -33, -1000, INT32_MAX, INT32_MIN};
    size_t i;

    for (i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        CHECK_TEXT(fanfare_strerror(unknown[i]), "not a status of this library");
    }
}

static void free_null(void)
{
    fanfare_hub_free(NULL);
}

static void new_without_output(void)
{
    CHECK_EQ(fanfare_hub_new(NULL, NULL), FANFARE_ERR_ARGUMENT);
}

static void several_hubs(void)
{
    fanfare_hub *first = hub_new(), *second = hub_new();
    uint16_t port = hub_listen(first);
    fanfare_event event = event_of("still here");
    client *client = client_new(port, "t");
    received got;

    CHECK(hub_listen(second) != port);
    fanfare_hub_free(second);
    CHECK_EQ(publish(first, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "still here");
    client_free(client);
    fanfare_hub_free(first);
}

static void free_ends_the_streams(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("the last one");
    client *client = client_new(hub_listen(hub), "t");
    received got;

    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    fanfare_hub_free(hub);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "the last one");
    client_expect_end(client);
    client_free(client);
}

static void close_ends_the_streams(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("the last one");
    fanfare_event_id id = id_untouched();
    uint16_t port = hub_listen(hub), other_port = 0xbeef;
    client *client = client_new(port, "t");
    received got;

    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "the last one");
    client_expect_end(client);
    client_free(client);
    CHECK(client_is_refused(port));
    CHECK_EQ(fanfare_hub_publish(hub, FANFARE_TEXT("t"), &event, &id), FANFARE_ERR_CLOSED);
    CHECK(id_is_untouched(&id));
    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &other_port), FANFARE_ERR_CLOSED);
    CHECK_EQ(other_port, 0xbeef);
    CHECK_EQ(fanfare_hub_close(hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_close(NULL), FANFARE_ERR_ARGUMENT);
    fanfare_hub_free(hub);
}

static void listens_on_several_addresses(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_event event = event_of("to both");
    uint16_t ports[2];
    client *clients[2];
    int i;

    for (i = 0; i < 2; i++) {
        ports[i] = hub_listen(hub);
        clients[i] = client_new(ports[i], "t");
    }
    CHECK(ports[0] != ports[1]);
    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, NULL),
             FANFARE_OK);
    CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
    for (i = 0; i < 2; i++) {
        received got;
        CHECK(client_next(clients[i], &got));
        CHECK_TEXT(got.data, "to both");
        client_free(clients[i]);
    }
    fanfare_hub_free(hub);
}

static fanfare_status listen_on(const fanfare_hub *hub, fanfare_text addr)
{
    uint16_t port = 0xbeef;
    fanfare_status status = fanfare_hub_listen(hub, addr, NULL, NULL, &port);

    CHECK((status == FANFARE_OK) == (port != 0xbeef));
    return status;
}

static void bad_addresses(void)
{
    static const char *const bad[] = {
        "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http x",
        "::1:8080:", "[::1:8080", "256.256.256.256:80:80", "\xff\xfe:80",
    };
    fanfare_hub *hub = hub_new();
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(listen_on(hub, fanfare_text_of_string(bad[i])), FANFARE_ERR_ADDRESS);
    }
    /* One of the documentation's networks, which no interface here has. */
    CHECK_EQ(listen_on(hub, FANFARE_TEXT("192.0.2.1:0")), FANFARE_ERR_ADDRESS);
    CHECK_EQ(listen_on(hub, fanfare_text_of(NULL, 0)), FANFARE_ERR_ADDRESS);
    CHECK_EQ(listen_on(hub, fanfare_text_of(NULL, 5)), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(listen_on(hub, fanfare_text_of("127.0.0.1:0", SIZE_MAX)),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(listen_on(NULL, FANFARE_TEXT("127.0.0.1:0")), FANFARE_ERR_ARGUMENT);
    fanfare_hub_free(hub);
}

/* The system chooses a port, and a socket that has nothing to do with fanfare listens on it. */
static int take_port(uint16_t *port_out)
{
    struct sockaddr_in addr;
    socklen_t addr_len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(fd >= 0);
    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0);
    CHECK(listen(fd, 1) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&addr, &addr_len) == 0);
    *port_out = ntohs(addr.sin_port);
    return fd;
}

static void ports_in_use(void)
{
    fanfare_hub *hub = hub_new(), *other = hub_new();
    uint16_t taken = 0;
    int fd = take_port(&taken);
    char addr[32];

    snprintf(addr, sizeof addr, "127.0.0.1:%u", (unsigned)taken);
    CHECK_EQ(listen_on(hub, fanfare_text_of_string(addr)), FANFARE_ERR_ADDRESS);
    close(fd);

    snprintf(addr, sizeof addr, "127.0.0.1:%u", (unsigned)hub_listen(other));
    CHECK_EQ(listen_on(hub, fanfare_text_of_string(addr)), FANFARE_ERR_ADDRESS);
    fanfare_hub_free(other);
    /* The hub that was refused is none the worse for it, and the port is free again. */
    CHECK_EQ(listen_on(hub, fanfare_text_of_string(addr)), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void hosts(void)
{
    fanfare_options options = options_new();
    uint32_t any_host;

    for (any_host = 0; any_host <= 1; any_host++) {
        fanfare_hub *hub = NULL;
        uint16_t port;
        options.any_host = any_host;
        CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
        port = hub_listen(hub);
        CHECK_EQ(client_status(port, "localhost:80"), 200);
        CHECK_EQ(client_status(port, "127.0.0.1"), 200);
        CHECK_EQ(client_status(port, "app.example"), any_host ? 200 : 421);
        CHECK_EQ(client_status(port, "app.example:8080"), any_host ? 200 : 421);
        /* What is no host is refused in any case. */
        CHECK_EQ(client_status(port, "user@app.example"), 400);
        fanfare_hub_free(hub);
    }
}

const test tests_of_hub[] = {
    {"the library has the ABI version of its header", abi_version},
    {"every code has a text of its own", every_code_has_a_text},
    {"a code that does not exist has a text as well", unknown_codes_have_a_text},
    {"free of NULL does nothing", free_null},
    {"a hub needs somewhere to be put", new_without_output},
    {"one hub is freed and another goes on", several_hubs},
    {"free sends what was published and then ends the streams", free_ends_the_streams},
    {"close ends the streams, and the hub refuses what comes later until it is freed",
     close_ends_the_streams},
    {"a hub listens on several addresses", listens_on_several_addresses},
    {"an address that is none is refused, and the port is left as it is", bad_addresses},
    {"a request by another name gets 421 on the loopback, unless any host is served", hosts},
    {"a port in use is refused, and is taken once it is free", ports_in_use},
    {NULL, NULL},
};
