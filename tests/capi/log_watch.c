/* The log as notices. */

#include "check.h"
#include "watched.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Has the library log a warning: no process has so many descriptors. */
static void provoke_a_warning(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;

    options.connections_max = 10000000;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void count(void *user_data, const fanfare_log_record *record)
{
    (void)record;
    ++*(int *)user_data;
}

static int is_quiet(const fanfare_notices *notices)
{
    fanfare_notice notice;

    return drain(notices, &notice, 1) == 0 && !notices_ring(notices);
}

static fanfare_notice next_record(const fanfare_notices *notices)
{
    fanfare_notice notice = notices_next(notices);

    CHECK_EQ(notice.kind, FANFARE_NOTICE_LOG);
    CHECK(notice.log != NULL && notice.log->size >= sizeof *notice.log);
    CHECK(text_is(notice.log->target, "fanfare::hub"));
    CHECK_EQ(notice.log->level, FANFARE_LOG_WARN);
    CHECK_EQ(notice.log->is_cut, 0);
    CHECK(notice.log->message.length > 20 && notice.log->message.length <= FANFARE_LOG_BYTES_MAX);
    CHECK(memchr(notice.log->message.data, '\n', notice.log->message.length) == NULL);
    CHECK(notice.at_unix_ms > 1577836800000u && notice.at_unix_ms < 7258118400000u);
    return notice;
}

static void records_come(void)
{
    fanfare_notices *notices = notices_new();
    int of_callback = 0;

    CHECK_EQ(fanfare_log_watch(notices, TOKEN, FANFARE_LOG_WARN, 0), FANFARE_OK);
    CHECK(is_quiet(notices));
    provoke_a_warning();
    CHECK(next_record(notices).token == TOKEN);
    CHECK(is_quiet(notices));
    /* Each of the two gets its levels, whatever the other one has. */
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_ERROR, count, &of_callback, NULL), FANFARE_OK);
    provoke_a_warning();
    next_record(notices);
    CHECK_EQ(of_callback, 0);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, count, &of_callback, NULL), FANFARE_OK);
    CHECK_EQ(fanfare_notices_remove(notices, TOKEN), FANFARE_OK);
    CHECK_EQ(fanfare_log_watch(notices, TOKEN, FANFARE_LOG_ERROR, 0), FANFARE_OK);
    provoke_a_warning();
    CHECK_EQ(of_callback, 1);
    CHECK(is_quiet(notices));
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK_EQ(fanfare_log_watch(notices, TOKEN, FANFARE_LOG_TRACE, 0), FANFARE_OK);
    fanfare_notices_free(notices);
    provoke_a_warning();
    CHECK_EQ(of_callback, 1);
}

static void bounded(void)
{
    fanfare_notices *notices = notices_new();
    int i;

    CHECK_EQ(fanfare_log_watch(notices, TOKEN, FANFARE_LOG_WARN, 2), FANFARE_OK);
    for (i = 0; i < 5; i++) {
        provoke_a_warning();
    }
    CHECK_EQ(next_record(notices).lost, 0);
    CHECK_EQ(next_record(notices).lost, 0);
    CHECK(is_quiet(notices));
    provoke_a_warning();
    provoke_a_warning();
    CHECK_EQ(next_record(notices).lost, 3);
    CHECK_EQ(next_record(notices).lost, 0);
    fanfare_notices_free(notices);
}

static void watch_inside(void *user_data, const fanfare_log_record *record)
{
    CHECK_EQ(fanfare_log_watch(user_data, TOKEN, record->level, 0), FANFARE_ERR_BUSY);
}

static void refused(void)
{
    fanfare_notices *notices = notices_new(), *others[16];
    size_t i;

    CHECK_EQ(fanfare_log_watch(NULL, 1, FANFARE_LOG_WARN, 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_log_watch(notices, 1, FANFARE_LOG_OFF, 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_log_watch(notices, 1, FANFARE_LOG_TRACE + 1, 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_log_watch(notices, 1, INT32_MIN, 0), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_log_watch(notices, 1, FANFARE_LOG_WARN, 65537), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, watch_inside, notices, NULL), FANFARE_OK);
    provoke_a_warning();
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK_EQ(fanfare_notices_remove(notices, 1), FANFARE_ERR_STALE);
    for (i = 0; i < 16; i++) {
        others[i] = notices_new();
        CHECK_EQ(fanfare_log_watch(others[i], 1, FANFARE_LOG_WARN, 65536), FANFARE_OK);
    }
    CHECK_EQ(fanfare_log_watch(notices, 1, FANFARE_LOG_WARN, 0), FANFARE_ERR_LIMIT);
    fanfare_notices_free(others[0]);
    CHECK_EQ(fanfare_log_watch(notices, 1, FANFARE_LOG_WARN, 0), FANFARE_OK);
    provoke_a_warning();
    next_record(notices);
    for (i = 1; i < 16; i++) {
        next_record(others[i]);
        fanfare_notices_free(others[i]);
    }
    fanfare_notices_free(notices);
}

#define THREADS 8

static void *watch_and_log(void *argument)
{
    int i;

    (void)argument;
    for (i = 0; i < 10; i++) {
        fanfare_notices *notices = notices_new();

        CHECK_EQ(fanfare_log_watch(notices, TOKEN, FANFARE_LOG_WARN, 0), FANFARE_OK);
        provoke_a_warning();
        next_record(notices);
        if (i % 2 == 0) {
            CHECK_EQ(fanfare_notices_remove(notices, TOKEN), FANFARE_OK);
        }
        fanfare_notices_free(notices);
    }
    return NULL;
}

static void from_threads(void)
{
    pthread_t threads[THREADS];
    int i;

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, watch_and_log, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void in_child_of_fork(void)
{
    fanfare_notices *notices = notices_new();
    int status = 0;
    pid_t child;

    CHECK_EQ(fanfare_log_watch(notices, TOKEN, FANFARE_LOG_WARN, 0), FANFARE_OK);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fanfare_notices *own = notices_new();

        CHECK_EQ(fanfare_log_watch(notices, 1, FANFARE_LOG_WARN, 0), FANFARE_ERR_FORKED);
        fanfare_notices_free(notices);
        CHECK_EQ(fanfare_log_watch(own, TOKEN, FANFARE_LOG_WARN, 0), FANFARE_OK);
        provoke_a_warning();
        next_record(own);
        fanfare_notices_free(own);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK(is_quiet(notices));
    provoke_a_warning();
    next_record(notices);
    fanfare_notices_free(notices);
}

const test tests_of_log_watch[] = {
    {"the library's log comes as notices, beside the callback", records_come},
    {"notices of the log are bounded, and the next one says how many were lost", bounded},
    {"a watch of the log needs a queue, a level and a capacity, and there are 16 at most", refused},
    {"eight threads watch the log and log at once", from_threads},
    {"the child of a fork makes a watch of the log of its own", in_child_of_fork},
    {NULL, NULL},
};
