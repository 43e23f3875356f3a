/* fanfare in a program that has an event loop of its own, here epoll of Linux. The loop waits for the
 * doorbell beside its timer and its signals. It decides by a cookie who gets which stream, and is told
 * of each stream that begins or ends.
 *
 * Build it from the repository's root, after `make capi`:
 *
 *   cc -std=c99 -Iinclude examples/c/poll_loop.c -Lbuild/lib -Wl,-rpath,build/lib -lfanfare \
 *       -o poll_loop
 *
 * Statically, so that it needs no libfanfare.so:
 *
 *   cc -std=c99 -Iinclude examples/c/poll_loop.c build/lib/libfanfare.a \
 *       -lgcc_s -lutil -lrt -lpthread -lm -ldl -o poll_loop
 *
 * With the library that `make install` has installed:
 *
 *   cc -std=c99 examples/c/poll_loop.c $(pkg-config --cflags --libs fanfare) -o poll_loop
 *
 * Try it. The first is told to log in. The second gets what is for Ann and for everybody, for a minute.
 * The third asks for what is for Bo, and is refused.
 *
 *   ./poll_loop 127.0.0.1:8080
 *   curl -i http://127.0.0.1:8080/events
 *   curl -N -H 'Cookie: session=a1' http://127.0.0.1:8080/events
 *   curl -i -H 'Cookie: session=a1' 'http://127.0.0.1:8080/events?topic=user/bo'
 */

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* for signals and the clock */
#endif

#include <fanfare.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define GRANTED_SECONDS 60
#define NOTICES_MAX 32

/* Users by their sessions. A real server has them in its store. */
static const struct {
    const char *session, *topic, *user;
} users[] = {{"session=a1", "user/ann", "ann"}, {"session=b2", "user/bo", "bo"}};

/* What the loop works with. */
typedef struct {
    fanfare_hub *hub;
    fanfare_notices *notices;
    fanfare_authorizer *authorizer;
    int doorbell, timer, signals, epoll;
} program;

static int ok(const char *what, fanfare_status status)
{
    if (status != FANFARE_OK) {
        fprintf(stderr, "poll_loop: %s: %s\n", what, fanfare_strerror(status));
    }
    return status == FANFARE_OK;
}

/* Whether a request has the cookie `NAME=VALUE`. */
static int has_cookie(const fanfare_request *request, const char *cookie)
{
    const size_t length = strlen(cookie);
    size_t i;

    for (i = 0; i < request->headers_count; i++) {
        const fanfare_text name = request->headers[i].name, value = request->headers[i].value;
        size_t at = 0;
        if (name.length != strlen("Cookie") || strncasecmp(name.data, "Cookie", name.length) != 0) {
            continue;
        }
        while (at + length <= value.length) {
            const char *end = memchr(value.data + at, ';', value.length - at);
            size_t stop = end == NULL ? value.length : (size_t)(end - value.data);
            if (stop - at == length && memcmp(value.data + at, cookie, length) == 0) {
                return 1;
            }
            at = stop + 2; /* behind "; " */
        }
    }
    return 0;
}

/* Answers a request for a stream. The answer may as well come later, from any thread. */
static void decide(const program *program, const fanfare_notice *asked)
{
    fanfare_status status;
    size_t i = 0;

    while (i < sizeof users / sizeof users[0] && !has_cookie(asked->request, users[i].session)) {
        i++;
    }
    if (i < sizeof users / sizeof users[0]) {
        fanfare_text topics[2];
        fanfare_grant grant = fanfare_grant_of(topics, 2);
        topics[0] = FANFARE_TEXT("public/#");
        topics[1] = fanfare_text_of_string(users[i].topic);
        grant.tag = fanfare_text_of_string(users[i].user);
        /* A browser comes back by itself, and is asked for its session again. */
        grant.expires_at_unix_ms = ((uint64_t)time(NULL) + GRANTED_SECONDS) * 1000;
        status = fanfare_authorizer_allow(program->authorizer, asked->id, &grant);
    } else {
        fanfare_refusal refusal = fanfare_refusal_of(403);
        refusal.text = FANFARE_TEXT("log in first\n");
        status = fanfare_authorizer_refuse(program->authorizer, asked->id, &refusal);
    }
    if (status != FANFARE_ERR_STALE) { /* stale: its client has left meanwhile */
        ok("answer", status);
    }
}

static void say(const char *what, const fanfare_notice *notice, fanfare_text why)
{
    printf("%s %.*s %.*s\n", what, (int)notice->tag.length, notice->tag.data, (int)why.length,
           why.data);
    fflush(stdout);
}

/* Takes what is behind the doorbell, some at a time: if more waits, it stays readable. */
static int take_notices(const program *program)
{
    fanfare_notice notices[NOTICES_MAX];
    size_t count = 0, i;

    if (!ok("notices", fanfare_notices_drain(program->notices, notices, sizeof notices[0],
                                             NOTICES_MAX, &count))) {
        return 0;
    }
    for (i = 0; i < count; i++) {
        switch (notices[i].kind) {
        case FANFARE_NOTICE_AUTHORIZATION:
            decide(program, &notices[i]);
            break;
        case FANFARE_NOTICE_CONNECTED:
            say("connected", &notices[i], FANFARE_TEXT(""));
            break;
        case FANFARE_NOTICE_DISCONNECTED:
            say("disconnected", &notices[i], fanfare_disconnect_reason_name(notices[i].reason));
            break;
        default: /* what a newer library may tell */
            break;
        }
    }
    return 1;
}

/* Publishes to everybody and to each user, as often as the timer says. */
static int publish(const program *program)
{
    static const char *const topics[] = {"public/time", "user/ann", "user/bo"};
    char data[64];
    uint64_t times;
    size_t i;

    if (read(program->timer, &times, sizeof times) != sizeof times) {
        return errno == EAGAIN;
    }
    for (i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        fanfare_event event;
        fanfare_status status;
        snprintf(data, sizeof data, "for %s", topics[i]);
        event = fanfare_event_of(fanfare_text_of_string(data));
        status = fanfare_hub_publish(program->hub, fanfare_text_of_string(topics[i]), &event, NULL);
        if (status != FANFARE_ERR_FULL && !ok("publish", status)) { /* full: this one is left out */
            return 0;
        }
    }
    return 1;
}

static int loop(const program *program)
{
    for (;;) {
        struct epoll_event happened;
        int count = epoll_wait(program->epoll, &happened, 1, -1);
        if (count < 0 && errno != EINTR) {
            perror("poll_loop: epoll");
            return 0;
        }
        if (count < 1) {
            continue;
        }
        if (happened.data.fd == program->signals) {
            return 1;
        }
        if (happened.data.fd == program->doorbell ? !take_notices(program) : !publish(program)) {
            return 0;
        }
    }
}

/* Has the hub listen, and ask this program about each request. */
static int start(program *program, const char *addr)
{
    fanfare_listen_options options = fanfare_listen_options_defaults();
    uint16_t port = 0;

    if (!ok("hub", fanfare_hub_new(NULL, &program->hub))
        || !ok("notices", fanfare_notices_new(&program->notices))
        || !ok("doorbell", fanfare_notices_doorbell(program->notices, &program->doorbell))
        || !ok("watch", fanfare_hub_watch_connections(program->hub, program->notices, 0, 0))
        || !ok("authorizer", fanfare_authorizer_new_ask(program->notices, 0, NULL,
                                                        &program->authorizer))) {
        return 0;
    }
    options.authorizer = program->authorizer;
    if (!ok(addr, fanfare_hub_listen(program->hub, fanfare_text_of_string(addr), &options, NULL,
                                     &port))) {
        return 0;
    }
    printf("poll_loop: http://127.0.0.1:%u/events\n", (unsigned)port);
    fflush(stdout);
    return 1;
}

static int add(const program *program, int fd)
{
    struct epoll_event event;

    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.fd = fd;
    return epoll_ctl(program->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Makes the loop's own descriptors: a timer, and the signals that end the program. */
static int prepare(program *program)
{
    const struct itimerspec each_second = {{1, 0}, {0, 1}};
    sigset_t ends;

    /* Blocked before the hub starts its threads, which inherit it: so the loop gets the signals. */
    if (sigemptyset(&ends) != 0 || sigaddset(&ends, SIGINT) != 0 || sigaddset(&ends, SIGTERM) != 0
        || sigprocmask(SIG_BLOCK, &ends, NULL) != 0
        || (program->signals = signalfd(-1, &ends, SFD_CLOEXEC)) < 0
        || (program->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0
        || timerfd_settime(program->timer, 0, &each_second, NULL) != 0
        || (program->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 || !add(program, program->signals)
        || !add(program, program->timer)) {
        perror("poll_loop: the loop");
        return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    program program = {NULL, NULL, NULL, -1, -1, -1, -1};
    int is_well = prepare(&program) && start(&program, argc > 1 ? argv[1] : "127.0.0.1:8080");

    if (is_well && !add(&program, program.doorbell)) {
        perror("poll_loop: the doorbell");
        is_well = 0;
    }
    is_well = is_well && loop(&program);
    /* The order is free. The doorbell is the queue's, and closed with it. */
    fanfare_hub_free(program.hub);
    fanfare_authorizer_free(program.authorizer);
    fanfare_notices_free(program.notices);
    if (program.epoll >= 0) {
        close(program.epoll);
    }
    if (program.timer >= 0) {
        close(program.timer);
    }
    if (program.signals >= 0) {
        close(program.signals);
    }
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}
