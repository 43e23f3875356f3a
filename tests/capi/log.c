/* The log's callback. */

#include "check.h"
#include "client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What a callback has got. */
typedef struct {
    pthread_mutex_t lock;
    int records, warnings, debugs, ends;
    /* The last one's. */
    fanfare_log_level level;
    char target[100], message[FANFARE_LOG_BYTES_MAX + 1];
    /* What the callback got when it set another one. */
    fanfare_status status_inside;
} journal;

static void journal_init(journal *journal)
{
    memset(journal, 0, sizeof *journal);
    CHECK(pthread_mutex_init(&journal->lock, NULL) == 0);
}

static void copy(char *to, size_t size, fanfare_text text)
{
    CHECK(text.data != NULL && text.length < size);
    memcpy(to, text.data, text.length);
    to[text.length] = '\0';
}

static void write_down(void *user_data, const fanfare_log_record *record)
{
    journal *journal = user_data;

    CHECK(record->size >= sizeof *record);
    CHECK(record->level >= FANFARE_LOG_ERROR && record->level <= FANFARE_LOG_TRACE);
    CHECK_EQ(record->is_cut, 0);
    CHECK(pthread_mutex_lock(&journal->lock) == 0);
    journal->records++;
    journal->warnings += record->level == FANFARE_LOG_WARN;
    journal->debugs += record->level == FANFARE_LOG_DEBUG;
    journal->level = record->level;
    copy(journal->target, sizeof journal->target, record->target);
    copy(journal->message, sizeof journal->message, record->message);
    CHECK(pthread_mutex_unlock(&journal->lock) == 0);
}

static void count_end(void *user_data)
{
    ((journal *)user_data)->ends++;
}

static int records_of(journal *journal, int *kind)
{
    int count;

    CHECK(pthread_mutex_lock(&journal->lock) == 0);
    count = *kind;
    CHECK(pthread_mutex_unlock(&journal->lock) == 0);
    return count;
}

/* Has the library log a warning: no process has so many descriptors. */
static void provoke_a_warning(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;

    options.connections_max = 10000000;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    fanfare_hub_free(hub);
}

static void gets_records(void)
{
    journal journal;

    journal_init(&journal);
    provoke_a_warning();
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, write_down, &journal, count_end), FANFARE_OK);
    CHECK_EQ(journal.records, 0);
    provoke_a_warning();
    CHECK_EQ(journal.warnings, 1);
    CHECK_EQ(journal.records, 1);
    CHECK_TEXT(journal.target, "fanfare::hub");
    CHECK(strstr(journal.message, "connections_max") != NULL);
    CHECK(strchr(journal.message, '\n') == NULL);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK_EQ(journal.ends, 1);
    provoke_a_warning();
    CHECK_EQ(journal.records, 1);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK_EQ(journal.ends, 1);
}

static void levels(void)
{
    journal journal;
    fanfare_hub *hub = hub_new();
    uint16_t port = hub_listen(hub);
    const struct timespec pause = {0, 1000000};
    int64_t deadline = now_ms() + DEADLINE_MS;

    journal_init(&journal);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_ERROR, write_down, &journal, NULL), FANFARE_OK);
    provoke_a_warning();
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, write_down, &journal, NULL), FANFARE_OK);
    provoke_a_warning();
    CHECK_EQ(journal.records, 0);
    /* From one of the engine's threads. */
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_DEBUG, write_down, &journal, NULL), FANFARE_OK);
    client_free(client_new(port, "t"));
    while (records_of(&journal, &journal.debugs) == 0) {
        CHECK(now_ms() < deadline);
        nanosleep(&pause, NULL);
    }
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK(strncmp(journal.target, "fanfare::", 9) == 0);
    fanfare_hub_free(hub);
}

static void wrong_levels(void)
{
    static const fanfare_log_level wrong[] = {-1, FANFARE_LOG_TRACE + 1, INT32_MAX, INT32_MIN};
    journal journal;
    size_t i;

    journal_init(&journal);
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQ(fanfare_log_set(wrong[i], write_down, &journal, count_end), FANFARE_ERR_ARGUMENT);
        CHECK_EQ(fanfare_log_set(wrong[i], NULL, NULL, NULL), FANFARE_ERR_ARGUMENT);
    }
    provoke_a_warning();
    CHECK(journal.records == 0 && journal.ends == 0);
}

static void another_replaces_it(void)
{
    journal first, second;

    journal_init(&first);
    journal_init(&second);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, write_down, &first, count_end), FANFARE_OK);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, write_down, &second, count_end), FANFARE_OK);
    CHECK_EQ(first.ends, 1);
    provoke_a_warning();
    CHECK(first.records == 0 && second.records == 1 && second.ends == 0);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK(first.ends == 1 && second.ends == 1);
}

static void set_another(void *user_data, const fanfare_log_record *record)
{
    journal *journal = user_data;

    journal->records++;
    journal->status_inside = fanfare_log_set(record->level, NULL, NULL, NULL);
}

static void refused_in_a_callback(void)
{
    journal journal;

    journal_init(&journal);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, set_another, &journal, count_end), FANFARE_OK);
    provoke_a_warning();
    CHECK(journal.records == 1 && journal.ends == 0);
    CHECK_EQ(journal.status_inside, FANFARE_ERR_BUSY);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK_EQ(journal.ends, 1);
}

/* ---- Many threads ---- */

#define THREADS 8
#define ROUNDS 30

/* A callback that was replaced is not called: what it writes to is gone. */
static void *set_and_log(void *argument)
{
    int i;

    for (i = 0; i < ROUNDS; i++) {
        journal *own = malloc(sizeof *own);
        CHECK(own != NULL);
        journal_init(own);
        CHECK_EQ(fanfare_log_set(FANFARE_LOG_DEBUG, write_down, own, free), FANFARE_OK);
        provoke_a_warning();
    }
    return argument;
}

static void set_at_once(void)
{
    pthread_t threads[THREADS];
    size_t i;

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, set_and_log, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
}

/* ---- Forks ---- */

static void none_after_a_fork(void)
{
    journal journal;
    int status = 0;
    pid_t child;

    journal_init(&journal);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, write_down, &journal, count_end), FANFARE_OK);
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(DEADLINE_MS / 1000);
        provoke_a_warning();
        CHECK_EQ(journal.records, 0);
        CHECK_EQ(fanfare_log_set(FANFARE_LOG_WARN, write_down, &journal, count_end), FANFARE_OK);
        CHECK_EQ(journal.ends, 0);
        provoke_a_warning();
        CHECK_EQ(journal.records, 1);
        CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
        CHECK_EQ(journal.ends, 1);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    provoke_a_warning();
    CHECK(journal.records == 1 && journal.ends == 0);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
    CHECK_EQ(journal.ends, 1);
}

const test tests_of_log[] = {
    {"a callback gets what the library logs, until it is removed and ended", gets_records},
    {"a callback gets records up to its level, from the engine's threads as well", levels},
    {"a level that is none is refused, and nothing is set", wrong_levels},
    {"a callback replaces another, which is ended once", another_replaces_it},
    {"a callback that sets another is refused", refused_in_a_callback},
    {"eight threads set callbacks and log at once", set_at_once},
    {"the child of a fork makes no use of its parent's callback, and sets its own",
     none_after_a_fork},
    {NULL, NULL},
};
