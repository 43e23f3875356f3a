/* Connections that the program's own server has accepted, and hands over. */

#include "check.h"
#include "client.h"
#include "http.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Both ends of a TCP connection: [0] is the client's, [1] the server's. */
static void tcp_pair(int ends[2])
{
    struct sockaddr_in addr;
    socklen_t addr_len = sizeof addr;
    int server = socket(AF_INET, SOCK_STREAM, 0);

    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(server >= 0 && bind(server, (const struct sockaddr *)&addr, sizeof addr) == 0);
    CHECK(listen(server, 1) == 0);
    CHECK(getsockname(server, (struct sockaddr *)&addr, &addr_len) == 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(ends[0] >= 0 && connect(ends[0], (const struct sockaddr *)&addr, sizeof addr) == 0);
    ends[1] = accept(server, NULL, NULL);
    CHECK(ends[1] >= 0);
    close(server);
}

static int is_open(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0;
}

static void adopted(int ends[2])
{
    fanfare_hub *hub = hub_new();
    fanfare_stream_options options = fanfare_stream_options_defaults();
    fanfare_header headers[1];
    fanfare_text topics[2] = {{NULL, 0}};
    fanfare_adopt_request request = fanfare_adopt_request_of(topics, 2);
    fanfare_event event = event_of("hello");
    http *answer;

    topics[0] = FANFARE_TEXT("a");
    topics[1] = FANFARE_TEXT("b/#");
    headers[0] = fanfare_header_of(FANFARE_TEXT("Access-Control-Allow-Origin"), FANFARE_TEXT("*"));
    options.tag = FANFARE_TEXT("user 7");
    options.start = FANFARE_START_LATEST;
    request.options = &options;
    request.headers = headers;
    request.headers_count = 1;
    request.version = FANFARE_TEXT("HTTP/1.0");
    request.method = FANFARE_TEXT("POST");
    CHECK_EQ(publish(hub, "b/kept", &event), FANFARE_OK);
    CHECK_EQ(fanfare_hub_adopt(hub, ends[1], &request), FANFARE_OK);
    memset(topics, 0xff, sizeof topics);
    memset(&options, 0xff, sizeof options);
    answer = http_over(ends[0]);
    CHECK_EQ(http_status(answer), 200);
    CHECK_TEXT(http_header(answer, "content-type"), "text/event-stream");
    CHECK_TEXT(http_header(answer, "access-control-allow-origin"), "*");
    http_expect(answer, "data: hello\n");
    event = event_of("more");
    CHECK_EQ(publish(hub, "a", &event), FANFARE_OK);
    http_expect(answer, "data: more\n");
    fanfare_hub_free(hub);
    http_rest(answer);
    http_free(answer);
}

static void adopts_tcp(void)
{
    int ends[2];

    tcp_pair(ends);
    adopted(ends);
}

static void adopts_unix(void)
{
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    adopted(ends);
}

/* Refuses, and leaves the descriptor as it is. */
static void expect_refusal(const fanfare_hub *hub, int fd, const fanfare_adopt_request *request,
                           fanfare_status expected)
{
    int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);

    CHECK_EQ(fanfare_hub_adopt(hub, fd, request), expected);
    if (fd >= 0) {
        CHECK(is_open(fd));
        CHECK_EQ(fcntl(fd, F_GETFL), flags);
    }
}

static void refused_sockets(void)
{
    static const unsigned char hello[] = {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3};
    fanfare_hub *hub = hub_new();
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_adopt_request request = fanfare_adopt_request_of(topics, 1);
    int ends[2], other[2], fd;

    topics[0] = FANFARE_TEXT("t");
    tcp_pair(ends);
    expect_refusal(hub, -1, &request, FANFARE_ERR_SOCKET);
    fd = open("/dev/null", O_RDONLY);
    expect_refusal(hub, fd, &request, FANFARE_ERR_SOCKET);
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    expect_refusal(hub, fd, &request, FANFARE_ERR_SOCKET);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    expect_refusal(hub, fd, &request, FANFARE_ERR_SOCKET);
    CHECK(listen(fd, 1) == 0);
    expect_refusal(hub, fd, &request, FANFARE_ERR_SOCKET);
    close(fd);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, other) == 0);
    expect_refusal(hub, other[0], &request, FANFARE_ERR_SOCKET);
    close(other[0]);
    close(other[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
    CHECK(shutdown(other[0], SHUT_WR) == 0);
    expect_refusal(hub, other[0], &request, FANFARE_ERR_SOCKET);
    close(other[0]);
    close(other[1]);

    request.is_tls = 1;
    expect_refusal(hub, ends[1], &request, FANFARE_ERR_SOCKET_TLS);
    request.is_tls = 0;
    request.has_unread_content = 1;
    expect_refusal(hub, ends[1], &request, FANFARE_ERR_SOCKET_READ);
    request.has_unread_content = 0;
    request.read_ahead_bytes = UINT64_MAX;
    expect_refusal(hub, ends[1], &request, FANFARE_ERR_SOCKET_READ);
    request.read_ahead_bytes = 0;
    CHECK(send(ends[0], "GET", 3, 0) == 3);
    expect_refusal(hub, ends[1], &request, FANFARE_ERR_SOCKET_READ);
    close(ends[0]);
    close(ends[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
    CHECK(send(other[0], hello, sizeof hello, 0) == sizeof hello);
    expect_refusal(hub, other[1], &request, FANFARE_ERR_SOCKET_TLS);
    close(other[0]);
    close(other[1]);
    fanfare_hub_free(hub);
}

#ifdef __linux__
/* What was written fills the client's window, so that the rest cannot be sent. */
static void unsent(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_adopt_request request = fanfare_adopt_request_of(topics, 1);
    static char bytes[1 << 16];
    int ends[2], i;

    topics[0] = FANFARE_TEXT("t");
    tcp_pair(ends);
    for (i = 0; i < 1000 && send(ends[1], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0; i++) {
    }
    CHECK(i < 1000);
    expect_refusal(hub, ends[1], &request, FANFARE_ERR_SOCKET_UNSENT);
    close(ends[0]);
    close(ends[1]);
    fanfare_hub_free(hub);
}
#endif

typedef struct {
    fanfare_adopt_request request;
    size_t later;
} grown_request;

static void refused_requests(void)
{
    fanfare_hub *hub = hub_new(), *full = NULL;
    fanfare_options few = options_new();
    fanfare_stream_options options = fanfare_stream_options_defaults();
    fanfare_header header = fanfare_header_of(FANFARE_TEXT("Content-Type"), FANFARE_TEXT("a"));
    fanfare_text topics[1] = {{NULL, 0}}, topic = FANFARE_TEXT("t");
    fanfare_adopt_request request = fanfare_adopt_request_of(topics, 1), right = request;
    grown_request grown;
    int ends[2];

#define REFUSED(field, value, status) \
    do { \
        request = right; \
        request.field = value; \
        expect_refusal(hub, ends[1], &request, status); \
    } while (0)
    topics[0] = topic;
    tcp_pair(ends);
    REFUSED(method, FANFARE_TEXT("HEAD"), FANFARE_ERR_REQUEST);
    REFUSED(method, FANFARE_TEXT(""), FANFARE_ERR_REQUEST);
    REFUSED(version, FANFARE_TEXT("HTTP/2.0"), FANFARE_ERR_REQUEST);
    REFUSED(version, FANFARE_TEXT("\xff"), FANFARE_ERR_REQUEST);
    REFUSED(is_tls, 2, FANFARE_ERR_REQUEST);
    REFUSED(has_unread_content, 2, FANFARE_ERR_REQUEST);
    REFUSED(topics_count, 0, FANFARE_ERR_SUBSCRIPTION);
    REFUSED(topics_count, 65537, FANFARE_ERR_TOO_MANY);
    REFUSED(topics, NULL, FANFARE_ERR_ARGUMENT);
    REFUSED(size, sizeof(size_t), FANFARE_ERR_ARGUMENT);
    REFUSED(size, sizeof request - 1, FANFARE_ERR_ARGUMENT);
    topics[0] = FANFARE_TEXT("#/t");
    expect_refusal(hub, ends[1], &right, FANFARE_ERR_SUBSCRIPTION);
    topics[0] = topic;
    right.headers = &header;
    REFUSED(headers_count, 1, FANFARE_ERR_REQUEST);
    header = fanfare_header_of(FANFARE_TEXT("X"), FANFARE_TEXT("a\r\nb: c"));
    REFUSED(headers_count, 1, FANFARE_ERR_REQUEST);
    REFUSED(headers_count, 33, FANFARE_ERR_REQUEST);
    right.headers = NULL;
    REFUSED(headers_count, 1, FANFARE_ERR_ARGUMENT);
    options.tag = FANFARE_TEXT("");
    REFUSED(options, &options, FANFARE_ERR_OPTIONS);
    options.size = 1;
    REFUSED(options, &options, FANFARE_ERR_ARGUMENT);
#undef REFUSED
    grown.request = right;
    grown.request.size = sizeof grown;
    grown.later = 1;
    expect_refusal(hub, ends[1], &grown.request, FANFARE_ERR_REQUEST);
    expect_refusal(hub, ends[1], NULL, FANFARE_ERR_ARGUMENT);
    expect_refusal(NULL, ends[1], &right, FANFARE_ERR_ARGUMENT);

    few.connections_max = 1;
    CHECK_EQ(fanfare_hub_new(&few, &full), FANFARE_OK);
    grown.later = 0;
    CHECK_EQ(fanfare_hub_adopt(full, ends[1], &grown.request), FANFARE_OK);
    {
        int more[2];
        tcp_pair(more);
        expect_refusal(full, more[1], &right, FANFARE_ERR_LIMIT);
        close(more[0]);
        close(more[1]);
    }
    fanfare_hub_free(full);
    close(ends[0]);
    fanfare_hub_free(hub);
}

static void admitted(void)
{
    static const char read[] = "GET /events?topic=t HTTP/1.0\r\nHost: localhost\r\n\r\n";
    fanfare_hub *hub = hub_new();
    fanfare_listener listener, none = {0};
    fanfare_event event = event_of("hello");
    fanfare_admit_request asked = fanfare_admit_request_of(fanfare_text_of(read, sizeof read - 1)), given;
    fanfare_text no_text = {NULL, 0};
    int ends[2], pipes[2], i;
    uint32_t flag = 7;
    http *answer;

    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, &listener, NULL), FANFARE_OK);
    CHECK_EQ(fanfare_listener_has_streams_at(hub, listener, FANFARE_TEXT("/events"), &flag), FANFARE_OK);
    CHECK_EQ(flag, 1);
    CHECK_EQ(fanfare_listener_has_streams_at(hub, listener, FANFARE_TEXT("/"), &flag), FANFARE_OK);
    CHECK_EQ(flag, 0);
    CHECK_EQ(fanfare_listener_is_named(hub, listener, FANFARE_TEXT("[::1]:80"), &flag), FANFARE_OK);
    CHECK_EQ(flag, 1);
    CHECK_EQ(fanfare_listener_is_named(hub, listener, FANFARE_TEXT("a.example"), &flag), FANFARE_OK);
    CHECK_EQ(flag, 0);
    flag = 7;
    CHECK_EQ(fanfare_listener_is_named(hub, none, FANFARE_TEXT("a"), &flag), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_listener_has_streams_at(NULL, listener, FANFARE_TEXT("/"), &flag),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listener_is_named(hub, listener, fanfare_text_of(NULL, 1), &flag),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listener_is_named(hub, listener, FANFARE_TEXT("a"), NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(flag, 7);

    /* Each refusal leaves the descriptor with the caller. */
    tcp_pair(ends);
    CHECK(pipe(pipes) == 0);
    CHECK_EQ(fanfare_listener_admit(hub, listener, -1, &asked), FANFARE_ERR_SOCKET);
    CHECK_EQ(fanfare_listener_admit(hub, listener, pipes[0], &asked), FANFARE_ERR_SOCKET);
    CHECK_EQ(fanfare_listener_admit(hub, none, ends[1], &asked), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_listener_admit(NULL, listener, ends[1], &asked), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], NULL), FANFARE_ERR_ARGUMENT);
    given = asked;
    given.addr = FANFARE_TEXT("localhost");
    CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], &given), FANFARE_ERR_ADDRESS);
    given = asked;
    given.peer = FANFARE_TEXT("192.0.2.1");
    CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], &given), FANFARE_ERR_ADDRESS);
    given = asked;
    given.is_proxy = 2;
    CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], &given), FANFARE_ERR_REQUEST);
    given = asked;
    given.reserved = 1;
    CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], &given), FANFARE_ERR_REQUEST);
    given = asked;
    given.size--;
    CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], &given), FANFARE_ERR_ARGUMENT);
    given = asked;
    given.read.length = (4 << 20) + 1;
    CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], &given), FANFARE_ERR_TOO_LARGE);
    CHECK(is_open(ends[1]) && is_open(pipes[0]));
    close(pipes[0]);
    close(pipes[1]);

    /* All of the request was read, or none of it, or it is from a Unix domain socket. */
    for (i = 0; i < 3; i++) {
        if (i == 2) {
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        } else if (i == 1) {
            tcp_pair(ends);
            CHECK(send(ends[0], read, sizeof read - 1, 0) == sizeof read - 1);
        }
        given = asked;
        given.read = i == 1 ? no_text : asked.read;
        given.addr = i == 2 ? FANFARE_TEXT("192.0.2.1:50000") : no_text;
        CHECK_EQ(fanfare_listener_admit(hub, listener, ends[1], &given), FANFARE_OK);
        answer = http_over(ends[0]);
        CHECK_EQ(http_status(answer), 200);
        CHECK_EQ(publish(hub, "t", &event), FANFARE_OK);
        http_expect(answer, "data: hello\n");
        http_free(answer);
    }
    fanfare_hub_free(hub);
}

/* What is read of the caller's memory while another thread writes to it. */
static struct {
    volatile char topic[4];
    volatile fanfare_adopt_request request;
    volatile int over;
} flipped;

/* Lets the reader find a state. The number has no factor in common with that of the states. */
static void give_way(void)
{
    static unsigned calls;
    volatile int rest;

    for (rest = 0; rest < 300; rest++) {
    }
    if (++calls % 7 == 0) {
        sched_yield();
    }
}

/* Wrong in one way after the other, and right in between. */
static void *flip(void *argument)
{
    while (!flipped.over) {
        flipped.topic[1] = '#';
        give_way();
        flipped.topic[1] = '/';
        give_way();
        flipped.request.topics_count = SIZE_MAX;
        give_way();
        flipped.request.topics_count = 1;
        give_way();
        flipped.request.size = 1;
        give_way();
        flipped.request.size = sizeof flipped.request;
        give_way();
    }
    return argument;
}

static void changed_meanwhile(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_text topics[1];
    int64_t deadline = now_ms() + DEADLINE_MS;
    unsigned taken = 0, refused = 0;
    pthread_t thread;

    memcpy((void *)flipped.topic, "a/b", 4);
    topics[0] = fanfare_text_of((const char *)flipped.topic, 3);
    flipped.request = fanfare_adopt_request_of(topics, 1);
    CHECK(pthread_create(&thread, NULL, flip, NULL) == 0);
    while (taken < 20 || refused < 20) {
        int ends[2];
        fanfare_status status;

        if (now_ms() >= deadline) {
            /* Threads take few turns under valgrind on a busy machine: of each some are enough. */
            CHECK(taken > 0 && refused > 0);
            break;
        }
        tcp_pair(ends);
        status = fanfare_hub_adopt(hub, ends[1], (const fanfare_adopt_request *)&flipped.request);
        if (status == FANFARE_OK) {
            taken++;
        } else {
            CHECK(status == FANFARE_ERR_ARGUMENT || status == FANFARE_ERR_SUBSCRIPTION
                  || status == FANFARE_ERR_TOO_MANY);
            refused++;
            close(ends[1]);
        }
        close(ends[0]);
    }
    flipped.over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    fanfare_hub_free(hub);
}

#define THREADS 8

typedef struct {
    const fanfare_hub *hub;
    pthread_t thread;
} server;

static void *adopt_some(void *argument)
{
    const server *self = argument;
    int i;

    for (i = 0; i < 10; i++) {
        fanfare_text topics[1] = {{NULL, 0}};
        fanfare_adopt_request request = fanfare_adopt_request_of(topics, 1);
        fanfare_event event = event_of("x");
        http *answer;
        int ends[2];

        topics[0] = FANFARE_TEXT("t");
        tcp_pair(ends);
        CHECK_EQ(fanfare_hub_adopt(self->hub, ends[1], &request), FANFARE_OK);
        answer = http_over(ends[0]);
        CHECK_EQ(publish(self->hub, "t", &event), FANFARE_OK);
        http_expect(answer, "data: x\n");
        http_free(answer);
    }
    return NULL;
}

static void many_threads(void)
{
    fanfare_hub *hub = hub_new();
    server servers[THREADS];
    int i;

    for (i = 0; i < THREADS; i++) {
        servers[i].hub = hub;
        CHECK(pthread_create(&servers[i].thread, NULL, adopt_some, &servers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(servers[i].thread, NULL) == 0);
    }
    fanfare_hub_free(hub);
}

const test tests_of_adopt[] = {
    {"a TCP connection that is handed over becomes a stream", adopts_tcp},
    {"a Unix domain socket that is handed over becomes a stream", adopts_unix},
    {"a descriptor that is no fit socket is refused, and stays the caller's", refused_sockets},
#ifdef __linux__
    {"a socket with something unsent is refused", unsent},
#endif
    {"a request that no stream can answer is refused by its code", refused_requests},
    {"a listener serves a connection that another server has accepted", admitted},
    {"a request that changes during the call is used as it was read, or refused", changed_meanwhile},
    {"threads hand connections over at once", many_threads},
    {NULL, NULL},
};
