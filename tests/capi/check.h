/* What a test is, and how it says that something is wrong.
 *
 * Each test runs in a process of its own, which a failed CHECK ends: so a crash or a hang is a
 * failure of that test alone, and ASAN and valgrind look for leaks after each of them. */

#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>

#include <fanfare.h>

/* How long anything is waited for. Long, as a machine may be slow and valgrind is. */
#define DEADLINE_MS 30000

typedef struct {
    /* A sentence about behaviour. */
    const char *name;
    void (*run)(void);
} test;

/* The tests of each file, ended by one without a name. */
extern const test tests_of_options[];
extern const test tests_of_hub[];
extern const test tests_of_listener[];
extern const test tests_of_stream[];
extern const test tests_of_adopt[];
extern const test tests_of_topic[];
extern const test tests_of_publish[];
extern const test tests_of_several[];
extern const test tests_of_finish[];
extern const test tests_of_journal[];
extern const test tests_of_cluster[];
extern const test tests_of_rules[];
extern const test tests_of_metrics[];
extern const test tests_of_wait[];
extern const test tests_of_space[];
extern const test tests_of_drain[];
extern const test tests_of_tickets[];
extern const test tests_of_panic[];
extern const test tests_of_doorbell[];
extern const test tests_of_ends[];
extern const test tests_of_ask[];
extern const test tests_of_fallback[];
extern const test tests_of_tokens[];
extern const test tests_of_listen_options[];
extern const test tests_of_stream_refusals[];
extern const test tests_of_delivery[];
extern const test tests_of_memory[];
extern const test tests_of_threads[];
extern const test tests_of_fork[];
extern const test tests_of_panic[];
extern const test tests_of_ticker[];
extern const test tests_of_notices[];
extern const test tests_of_doorbell[];
extern const test tests_of_connections[];
extern const test tests_of_ends[];
extern const test tests_of_log[];
extern const test tests_of_log_watch[];
extern const test tests_of_examples[];
extern const test tests_of_manual[];
extern const test tests_of_every[];

/* Ends the test unless the condition holds. */
#define CHECK(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

/* Ends the test unless both numbers are the same. */
#define CHECK_EQ(actual, expected) \
    check_eq(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))

/* Ends the test unless both strings are the same. */
#define CHECK_TEXT(actual, expected) check_text(__FILE__, __LINE__, #actual, actual, expected)

/* Ends the test unless an id is known and the same as a string. */
#define CHECK_ID(actual, expected) check_id(__FILE__, __LINE__, #actual, &(actual), expected)

void check_failed(const char *file, int line, const char *condition);
void check_eq(const char *file, int line, const char *what, long long actual, long long expected);
void check_text(const char *file, int line, const char *what, const char *actual,
                const char *expected);
void check_id(const char *file, int line, const char *what, const fanfare_event_id *actual,
              const char *expected);

/* Milliseconds of a clock that only goes forward. */
int64_t now_ms(void);

/* A hub with the default options but two shards. */
fanfare_hub *hub_new(void);

/* The defaults, with two shards. */
fanfare_options options_new(void);

/* Listens on a port of 127.0.0.1 that the system chooses. */
uint16_t hub_listen(const fanfare_hub *hub);

/* Whether a text is that of a string; NULL for no text at all. */
int text_is(fanfare_text text, const char *string);

/* An event with the data of a string; NULL for an event with nothing at all. */
fanfare_event event_of(const char *data);

/* The topic of a string by handle. */
fanfare_topic *topic_new(const char *name);

/* An id that the library has not written. */
fanfare_event_id id_untouched(void);

/* Whether nothing has written to it since. */
int id_is_untouched(const fanfare_event_id *id);

/* Publishes to the topic of a string. */
fanfare_status publish(const fanfare_hub *hub, const char *topic, const fanfare_event *event);

/* What a hub has counted. */
fanfare_metrics metrics_of(const fanfare_hub *hub);

#endif
