/* What holds for every function of the header. */

/* For _Fork and syscall. */
#define _GNU_SOURCE

#include "calls.h"
#include "check.h"
#include "client.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 20
/* How often what stays until the end is called by each thread. */
#define ROUNDS_KEEPING 2

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
#define HAS_BARE_FORK
#endif
#endif

/* Whether a right call may return a code, of a hub that others use, and may have closed. */
static int is_answer(fanfare_status status)
{
    switch (status) {
    case FANFARE_OK:
    case FANFARE_ERR_CLOSED:
    case FANFARE_ERR_FULL:
    case FANFARE_ERR_TIMEOUT:
    case FANFARE_ERR_FINISHED:
    case FANFARE_ERR_STALE:
    case FANFARE_ERR_LIMIT:
    case FANFARE_ERR_BUSY:
    case FANFARE_ERR_ENDED:
        return 1;
    default:
        return 0;
    }
}

typedef struct {
    const objects *of;
    size_t number;
    pthread_t thread;
    int may_end;
} caller;

static void call_one(const caller *self, const call *one, int round)
{
    fanfare_status status;

    if ((one->flags & CALL_ALONE && self->number != 0) || (one->flags & CALL_ENDS && !self->may_end)
        || (one->flags & CALL_KEEPS && round >= ROUNDS_KEEPING)) {
        return;
    }
    status = one->call(self->of);
    if (!is_answer(status)) {
        fprintf(stderr, "%s returned %d: %s\n", one->function, (int)status, fanfare_strerror(status));
        exit(EXIT_FAILURE);
    }
}

/* Each thread begins at another function, so that all of them meet. */
static void *call_all(void *argument)
{
    const caller *self = argument;
    const size_t count = calls_count();
    int round;
    size_t i;

    for (round = 0; round < ROUNDS; round++) {
        for (i = 0; i < count; i++) {
            call_one(self, call_at((i * (self->number + 1) + self->number) % count), round);
        }
    }
    return NULL;
}

static void call_from_all(const objects *of, int may_end)
{
    caller callers[THREADS];
    size_t i;

    for (i = 0; i < THREADS; i++) {
        callers[i].of = of;
        callers[i].number = i;
        callers[i].may_end = may_end;
        CHECK(pthread_create(&callers[i].thread, NULL, call_all, &callers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(callers[i].thread, NULL) == 0);
    }
}

/* Calls a function until it returns what it has to if no other thread is in a call. */
static void expect(const call *one, const objects *of)
{
    const fanfare_status expected = one->flags & CALL_STALE ? FANFARE_ERR_STALE : FANFARE_OK;
    const int64_t deadline = now_ms() + DEADLINE_MS;
    fanfare_status status;

    while ((status = one->call(of)) != expected) {
        /* What is on its way through the engine may not be there yet. */
        if ((status != FANFARE_ERR_BUSY && status != FANFARE_ERR_TIMEOUT) || now_ms() >= deadline) {
            fprintf(stderr, "%s returned %d: %s\n", one->function, (int)status, fanfare_strerror(status));
            exit(EXIT_FAILURE);
        }
    }
}

static void by_one_thread(void)
{
    objects of;
    const call *one;
    size_t i;

    objects_new(&of);
    for (i = 0; (one = call_at(i)) != NULL; i++) {
        if (!(one->flags & CALL_ENDS)) {
            expect(one, &of);
        }
    }
    objects_free(&of);
    for (i = 0; (one = call_at(i)) != NULL; i++) {
        if (one->flags & CALL_ENDS) {
            objects_new(&of);
            expect(one, &of);
            objects_free(&of);
        }
    }
}

static void by_eight_threads(void)
{
    objects of;
    client *client;
    const call *one;
    size_t i;

    objects_new(&of);
    client = client_new(hub_listen(of.hub), "t");
    call_from_all(&of, 0);
    for (i = 0; (one = call_at(i)) != NULL; i++) {
        CHECK(one->flags & CALL_ENDS || is_answer(one->call(&of)));
    }
    client_free(client);
    objects_free(&of);
}

static void by_eight_threads_that_close(void)
{
    objects of;
    fanfare_event event = event_of("x");

    objects_new(&of);
    call_from_all(&of, 1);
    CHECK_EQ(publish(of.hub, "t", &event), FANFARE_ERR_CLOSED);
    objects_free(&of);
}

typedef pid_t (*forking)(void);

static pid_t by_system_call(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Ends the process, with the number of the first call that returns something else. Nothing that takes a
 * lock, as printing does, may be used in a child that is not of a whole fork. */
static void call_in_child(const objects *of, int is_whole)
{
    const call *one;
    size_t i;

    for (i = 0; (one = call_at(i)) != NULL; i++) {
        if (one->flags & CALL_ALLOCATES && !is_whole) {
            continue;
        }
        if ((one->call_in_child != NULL ? one->call_in_child : one->call)(of) != one->in_child) {
            _exit((int)i + 1);
        }
    }
    _exit(EXIT_SUCCESS);
}

static void in_children_of(forking forking, int is_whole)
{
    objects of;
    client *client;
    fanfare_event event = event_of("from the parent");
    received got;
    int status = 0;
    pid_t child;

    objects_new(&of);
    client = client_new(hub_listen(of.hub), "t");
    fflush(NULL);
    child = forking();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(DEADLINE_MS / 1000);
        call_in_child(&of, is_whole);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_TEXT(WEXITSTATUS(status) == 0 ? "" : call_at((size_t)WEXITSTATUS(status) - 1)->function, "");
    CHECK_EQ(publish(of.hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "from the parent");
    client_free(client);
    objects_free(&of);
}

static void in_the_child_of_fork(void)
{
    in_children_of(fork, 1);
}

static void in_the_child_of_bare_forks(void)
{
#ifdef HAS_BARE_FORK
    in_children_of(_Fork, 0);
#endif
    in_children_of(by_system_call, 0);
}

#ifdef FANFARE_TESTING

void fanfare_testing_panic_next(void);

static void with_a_panic_inside(void)
{
    objects of;
    fanfare_event event = event_of("after all of these");
    client *client;
    received got;
    const call *one;
    size_t i;

    objects_new(&of);
    client = client_new(hub_listen(of.hub), "t");
    for (i = 0; (one = call_at(i)) != NULL; i++) {
        const int panics = !(one->flags & CALL_PLAIN);

        /* The next one has the panic instead of one that is plain. */
        fanfare_testing_panic_next();
        if ((one->call(&of) == FANFARE_ERR_PANIC) != panics) {
            printf("%s: %s\n", one->function, panics ? "no panic came back" : "it panicked");
            CHECK(0);
        }
    }
    CHECK_EQ(publish(of.hub, "t", &event), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "after all of these");
    client_free(client);
    objects_free(&of);
}

#endif

const test tests_of_every[] = {
    {"every function succeeds when one thread alone calls them", by_one_thread},
    {"every function is called by 8 threads at once", by_eight_threads},
    {"every function is called by 8 threads at once, which close the hub as well",
     by_eight_threads_that_close},
    {"the child of a fork makes each call in vain, and the parent goes on", in_the_child_of_fork},
    {"the child of _Fork or clone makes each call in vain, and the parent goes on",
     in_the_child_of_bare_forks},
#ifdef FANFARE_TESTING
    {"a panic inside of any function comes back as its code", with_a_panic_inside},
#endif
    {NULL, NULL},
};
