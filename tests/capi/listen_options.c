/* Options of a listener: defaults, sizes, bounds, and what is said of one that is wrong. */

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint16_t listen_with(const fanfare_hub *hub, const fanfare_listen_options *options)
{
    uint16_t port = 0;

    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), options, NULL, &port), FANFARE_OK);
    CHECK(port != 0);
    return port;
}

static void defaults(void)
{
    fanfare_listen_options options, helped = fanfare_listen_options_defaults();

    memset(&options, 0xff, sizeof options);
    options.size = sizeof options;
    CHECK_EQ(fanfare_listen_options_init(&options), FANFARE_OK);
    CHECK(memcmp(&options, &helped, sizeof options) == 0);
    CHECK_EQ(options.size, sizeof options);
    CHECK_EQ(options.socket_mode, 0600);
    CHECK_EQ(options.head_bytes_max, 16 << 10);
    CHECK_EQ(options.head_fields_max, 128);
    CHECK_EQ(options.body_bytes_max, 64 << 10);
    CHECK_EQ(options.head_time_max_ms, 10000);
    CHECK_EQ(options.subscriptions_per_connection_max, 64);
    CHECK_EQ(options.wide_filters_max, 4);
    CHECK_EQ(options.notsent_lowat_bytes, 16 << 10);
    CHECK_EQ(options.send_buffer_bytes, 0);
    CHECK_EQ(options.keepalive_ms, 15000);
    CHECK_EQ(options.user_timeout_ms, 30000);
    CHECK_EQ(options.cors_max_age_ms, 600000);
    CHECK(options.path.data == NULL && options.routes == NULL && options.authorizer == NULL);
    CHECK_EQ(fanfare_listen_options_init(NULL), FANFARE_ERR_ARGUMENT);
}

/* As a program built with a later header, with more options, sees this library. */
typedef struct {
    fanfare_listen_options options;
    unsigned char later[64];
} grown_options;

static void sizes(void)
{
    static const size_t too_small[] = {0, 1, sizeof(size_t), sizeof(fanfare_listen_options) - 1};
    fanfare_hub *hub = hub_new();
    grown_options grown;
    fanfare_text name, bounds;
    uint16_t port = 0xbeef;
    size_t i;

    memset(&grown, 0xa5, sizeof grown);
    for (i = 0; i < sizeof too_small / sizeof too_small[0]; i++) {
        grown.options.size = too_small[i];
        CHECK_EQ(fanfare_listen_options_init(&grown.options), FANFARE_ERR_ARGUMENT);
        CHECK_EQ(fanfare_listen_options_problem(&grown.options, &name, &bounds),
                 FANFARE_ERR_ARGUMENT);
        CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), &grown.options, NULL, &port),
                 FANFARE_ERR_ARGUMENT);
    }
    grown.options.size = sizeof grown;
    CHECK_EQ(fanfare_listen_options_init(&grown.options), FANFARE_OK);
    CHECK_EQ(grown.options.size, sizeof grown);
    for (i = 0; i < sizeof grown.later; i++) {
        CHECK_EQ(grown.later[i], 0);
        grown.later[i] = 1;
        CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), &grown.options, NULL, &port),
                 FANFARE_ERR_OPTIONS);
        CHECK_EQ(fanfare_listen_options_problem(&grown.options, &name, &bounds), FANFARE_OK);
        CHECK(text_is(name, "size"));
        grown.later[i] = 0;
    }
    CHECK_EQ(port, 0xbeef);
    CHECK(listen_with(hub, &grown.options) != 0);
    fanfare_hub_free(hub);
}

#define TEXTS(list) list, sizeof(list) / sizeof((list)[0])

/* Sets one option to what is refused. */
static void set_wrong(fanfare_listen_options *options, unsigned which, const char **name)
{
    static fanfare_text spaced, text, texts[2];
    static fanfare_header header;
    static fanfare_route route;

    spaced = FANFARE_TEXT("a b");
    text = FANFARE_TEXT("events");
    texts[0] = FANFARE_TEXT("*");
    texts[1] = FANFARE_TEXT("https://example.com/path");
    header = fanfare_header_of(FANFARE_TEXT("X"), FANFARE_TEXT("a\r\nY: b"));
    route = fanfare_route_of(FANFARE_TEXT("/runs/{id"));
    switch (which) {
    case 0: *name = "path"; options->path = text; break;
    case 1: *name = "path"; options->path = FANFARE_TEXT(""); break;
    case 2: *name = "path"; options->path = FANFARE_TEXT("/\xff"); break;
    case 3: *name = "health_path"; options->health_path = text; break;
    case 4: *name = "health_path"; options->health_path = FANFARE_TEXT("/events"); break;
    case 5: *name = "routes"; options->routes = &route; options->routes_count = 1; break;
    case 6: *name = "routes"; options->routes = &route; options->routes_count = 257; break;
    case 7:
        *name = "routes";
        route = fanfare_route_of(FANFARE_TEXT("/a"));
        route.post = 2;
        options->routes = &route;
        options->routes_count = 1;
        break;
    case 8:
        *name = "routes";
        route = fanfare_route_of(FANFARE_TEXT("/a"));
        route.query_topics = 3;
        options->routes = &route;
        options->routes_count = 1;
        break;
    case 9: *name = "headers"; options->headers = &header; options->headers_count = 1; break;
    case 10: *name = "headers"; options->headers = &header; options->headers_count = 33; break;
    case 11: *name = "cors_origins"; options->cors_origins = texts; options->cors_origins_count = 2; break;
    case 12:
        *name = "cors_origins";
        options->cors_origins = texts;
        options->cors_origins_count = 1;
        options->cors_credentials = 1;
        break;
    case 13: *name = "cors_credentials"; options->cors_credentials = 2; break;
    case 14:
        *name = "cors_request_headers";
        options->cors_request_headers = &spaced;
        options->cors_request_headers_count = 1;
        break;
    case 15:
        *name = "cors_request_headers";
        options->cors_request_headers = &spaced;
        options->cors_request_headers_count = 65;
        break;
    case 16:
        *name = "cors_exposed_headers";
        options->cors_exposed_headers = &spaced;
        options->cors_exposed_headers_count = 1;
        break;
    case 17: *name = "cors_max_age_ms"; options->cors_max_age_ms = 24 * 60 * 60 * 1000 + 1; break;
    case 18: *name = "hosts"; options->hosts = &spaced; options->hosts_count = 1; break;
    case 19: *name = "hosts"; options->hosts = &spaced; options->hosts_count = 1025; break;
    case 20:
        *name = "proxy_protocol_from";
        options->proxy_protocol_from = &text;
        options->proxy_protocol_from_count = 1;
        break;
    case 21:
        *name = "trusted_proxies";
        options->trusted_proxies = &text;
        options->trusted_proxies_count = 1;
        break;
    case 22: *name = "forwarded_header"; options->forwarded_header = 3; break;
    case 23: *name = "socket_mode"; options->socket_mode = 01000; break;
    case 24: *name = "overload"; options->overload = 3; break;
    case 25: *name = "start"; options->start = 5; break;
    case 26: *name = "gap_start"; options->gap_start = UINT32_MAX; break;
    case 27: *name = "policies"; options->policies = 1u << 4; break;
    case 28: *name = "envelope"; options->envelope = 3; break;
    case 29: *name = "head_bytes_max"; options->head_bytes_max = 63; break;
    case 30: *name = "head_fields_max"; options->head_fields_max = 4097; break;
    case 31: *name = "body_bytes_max"; options->body_bytes_max = UINT64_MAX; break;
    case 32: *name = "head_time_max_ms"; options->head_time_max_ms = 0; break;
    case 33:
        *name = "subscriptions_per_connection_max";
        options->subscriptions_per_connection_max = 0;
        break;
    case 34: *name = "wide_filters_max"; options->wide_filters_max = 65537; break;
    case 35: *name = "notsent_lowat_bytes"; options->notsent_lowat_bytes = UINT64_MAX; break;
    case 36: *name = "send_buffer_bytes"; options->send_buffer_bytes = 1; break;
    case 37: *name = "keepalive_ms"; options->keepalive_ms = 999; break;
    case 38: *name = "user_timeout_ms"; options->user_timeout_ms = 29999; break;
    default: *name = NULL;
    }
}

static void out_of_bounds(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_listener listener = {7};
    fanfare_text problem, bounds;
    uint16_t port = 0xbeef;
    const char *name;
    unsigned which;

    for (which = 0;; which++) {
        fanfare_listen_options options = fanfare_listen_options_defaults();
        set_wrong(&options, which, &name);
        if (name == NULL) {
            break;
        }
        CHECK_EQ(
            fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), &options, &listener, &port),
            FANFARE_ERR_OPTIONS);
        CHECK_EQ(fanfare_listen_options_problem(&options, &problem, &bounds), FANFARE_OK);
        if (!text_is(problem, name)) {
            fprintf(stderr, "%u: %.*s\n", which, (int)problem.length, problem.data);
        }
        CHECK(text_is(problem, name) && bounds.length > 0);
    }
    CHECK_EQ(which, 39);
    CHECK_EQ(port, 0xbeef);
    CHECK_EQ(listener.id, 7);
    fanfare_hub_free(hub);
}

static void no_problem(void)
{
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_text name = FANFARE_TEXT("x"), bounds = FANFARE_TEXT("x");

    CHECK_EQ(fanfare_listen_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listen_options_problem(&options, NULL, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, NULL), FANFARE_ERR_ARGUMENT);
    CHECK(text_is(name, "x"));
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL && bounds.data == NULL);
    /* A list that is NULL and has a length. */
    options.hosts_count = 1;
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    options = fanfare_listen_options_defaults();
    options.path = fanfare_text_of(NULL, 1);
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    options = fanfare_listen_options_defaults();
    options.routes_count = 1;
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
}

/* A size that is no multiple of an alignment. */
static void odd_sizes(void)
{
    fanfare_listen_options options = fanfare_listen_options_defaults();
    const size_t size = sizeof(fanfare_route) + 1;
    unsigned char *bytes = calloc(2, size);
    const fanfare_text paths[2] = {{"/a", 2}, {"/b", 2}};
    fanfare_text name, bounds;
    size_t i;

    CHECK(bytes != NULL);
    for (i = 0; i < 2; i++) {
        fanfare_route route = fanfare_route_of(paths[i]);
        route.size = size;
        memcpy(bytes + i * size, &route, sizeof route);
    }
    options.routes = (const fanfare_route *)(const void *)bytes;
    options.routes_count = 2;
    CHECK_EQ(fanfare_listen_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    free(bytes);
}

const test tests_of_listen_options[] = {
    {"listen_options_init fills in the defaults of docs/options.md", defaults},
    {"options of a listener are taken by their size", sizes},
    {"an option of a listener that is wrong is refused and named", out_of_bounds},
    {"a problem of a listener's options needs its pointers", no_problem},
    {"structs of an array may have any size", odd_sizes},
    {NULL, NULL},
};
