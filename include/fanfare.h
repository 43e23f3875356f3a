/* fanfare.h - the C ABI of fanfare, an embeddable Server-Sent Events fan-out engine.
 *
 * Generated from src/ffi: do not edit, run `make header`.
 *
 * A program publishes an event once, and every HTTP client that asked for its topic gets it, from
 * threads of the library's own. This is a whole program. It publishes each line that is typed:
 *
 *     #include <fanfare.h>
 *     #include <stdio.h>
 *     #include <string.h>
 *
 *     int main(void)
 *     {
 *         fanfare_hub *hub = NULL;
 *         uint16_t port = 0;
 *         char line[1000];
 *         fanfare_status status = fanfare_hub_new(NULL, &hub);
 *
 *         if (status == FANFARE_OK)
 *             status = fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), &port);
 *         if (status == FANFARE_OK)
 *             printf("curl -N 'http://127.0.0.1:%u/events?topic=news'\n", (unsigned)port);
 *         fflush(stdout);
 *         while (status == FANFARE_OK && fgets(line, sizeof line, stdin) != NULL) {
 *             fanfare_event event = fanfare_event_of(fanfare_text_of(line, strcspn(line, "\n")));
 *             status = fanfare_hub_publish(hub, FANFARE_TEXT("news"), &event, NULL);
 *             if (status == FANFARE_ERR_FULL)
 *                 status = FANFARE_OK; // left out; or publish it again in a millisecond
 *         }
 *         fanfare_hub_free(hub);
 *         if (status != FANFARE_OK)
 *             fprintf(stderr, "%s\n", fanfare_strerror(status));
 *         return status == FANFARE_OK ? 0 : 1;
 *     }
 *
 *     cc -std=c99 program.c -lfanfare -o program
 *
 * With the static library instead: libfanfare.a -lgcc_s -lutil -lrt -lpthread -lm -ldl.
 *
 * Contents: rules that hold for every function; then, each with its functions, 1. version,
 * 2. status, 3. text, 4. options, 5. event, 6. topic, 7. hub, 8. publishing,
 * 9. finishing, 10. rules, 11. draining, 12. statistics.
 *
 * Threads and ownership
 *
 *   function                 from which thread    may wait for        owner afterwards
 *   -----------------------  -------------------  ------------------  ----------------------------
 *   fanfare_abi_version      any                  nothing             -
 *   fanfare_strerror         any                  nothing             its text is static
 *   fanfare_options_init     any                  nothing             the struct: the caller
 *   fanfare_options_problem  any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_hub_new          any                  threads to start    the hub: the caller
 *   fanfare_hub_listen       any, several at once the system's bind   the listener: the hub
 *   fanfare_hub_close        any, several at once 2 s, for clients    the hub: the caller
 *   fanfare_hub_free         one, after all other 2 s, for clients    none: the hub is gone
 *                            calls with the hub
 *   fanfare_topic_new        any                  nothing             the topic: the caller
 *   fanfare_topic_free       one, after all other nothing             none: the topic is gone
 *                            calls with it
 *   fanfare_hub_publish      any, several at once another publisher   what was passed: the caller
 *   fanfare_hub_publish_to   any, several at once another publisher   what was passed: the caller
 *   fanfare_hub_publish_wait any, several at once clients that lag,   what was passed: the caller
 *                                                 for its timeout
 *   fanfare_hub_publish_many any, several at once clients that lag,   what was passed: the caller
 *                                                 for its timeout
 *   fanfare_hub_finish       any, several at once clients that lag,   what was passed: the caller
 *                                                 for its timeout
 *   fanfare_hub_finish_topic any, several at once clients that lag,   what was passed: the caller
 *                                                 for its timeout
 *   fanfare_topic_options_init
 *                            any                  nothing             the struct: the caller
 *   fanfare_topic_options_problem
 *                            any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_hub_set_rule     any, several at once the topics that it  what was passed: the caller
 *                                                 matches
 *   fanfare_hub_remove_rule  any, several at once the topics that it  what was passed: the caller
 *                                                 matches
 *   fanfare_hub_rules        any, several at once another publisher   the list: the caller
 *   fanfare_rules_at         any, several at once nothing             its text: the list
 *   fanfare_rules_free       one, after all other nothing             none: the list is gone
 *                            calls with it
 *   fanfare_drain_options_init
 *                            any                  nothing             the struct: the caller
 *   fanfare_drain_options_problem
 *                            any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_hub_drain        any, several at once its window and grace, the hub: the caller
 *                                                 and 2 s, for clients
 *   fanfare_disconnect_reason_name
 *                            any                  nothing             its text is static
 *   fanfare_hub_metrics      any, several at once another publisher   the struct: the caller
 *   fanfare_hub_prometheus   any, several at once another publisher   the buffer: the caller
 *
 * The inline functions, from fanfare_text_of on, only put a struct together: any thread, no
 * waiting, nothing to free. No function may be called from a signal handler. No thread of the
 * library ever calls into the program, and the library keeps no pointer to the program's memory
 * after a call.
 *
 * Memory that is passed in (texts, and structs that are read) has to be readable until the call
 * returns. Each byte of it is read once, and only the copy is checked and used. So memory that
 * other threads write to at the same time does no harm: the call uses a mixture of what was there
 * before and after, or refuses it. What a call writes to must be the caller's alone until it
 * returns.
 *
 * Errors
 *
 * A function that can fail returns a fanfare_status: FANFARE_OK, or a negative code that
 * fanfare_strerror explains. Outputs are the last parameters, and are written on success only, but for
 * the size that a buffer has to have, with FANFARE_ERR_BUFFER, and the count of fanfare_hub_publish_many.
 * No last error is kept anywhere, no panic or exception leaves the library, and a call that failed has
 * changed nothing. The exception is FANFARE_ERR_PANIC, a defect of the library, which any function
 * that returns a status may return, and which is not repeated below.
 *
 * Structs that may grow begin with their size. Zero is the default of each field that a later
 * version adds, so that a program may be older or newer than the library that it finds.
 *
 * Fork
 *
 * The child of a fork has the memory of a hub, but not its threads. In the child each call with
 * such a hub returns FANFARE_ERR_FORKED and does nothing, and fanfare_hub_free leaves it as it is.
 * The child makes a hub of its own; the parent's goes on.
 *
 * Units
 *
 * A number's unit is the end of its name: _ms are milliseconds, _us microseconds, _ns nanoseconds,
 * _bytes and _bytes_max bytes, _percent percent;
 * what has none is a count, or a flag if its description says so. Lengths are in bytes. KiB and MiB
 * are 1,024 and 1,048,576 bytes.
 *
 * What clients ask for
 *
 * A client asks for GET /events?topic=NAME, with up to 64 topics or filters (a/+, b/#; percent-encoded),
 * and if it likes &latest or &last=N, to begin with the newest events that are kept, or
 * &start=earliest, to begin with all of them, &policy=NAME (disconnect, drop-oldest, conflate: what
 * happens when it reads too slowly; conflate sends it the newest event of each key alone),
 * &heartbeat=NAME (id, comment, event), and &envelope=json, for data that is a JSON object and says the
 * event's topic. With Last-Event-ID, which an EventSource sends by itself, it is sent what it has missed.
 * What is gone it is told of by an event named "fanfare-gap", whose data is JSON with the members reason,
 * missed (a number or null), from and to; &gap-start=NAME (now, latest, last=N, earliest) says where its
 * stream begins then. No published event may have that name, nor
 * "fanfare-heartbeat".
 *
 * Not in this version: interest, routes, rules for pages of other origins (CORS), lists of connections,
 * and a log.
 */

#ifndef FANFARE_H
#define FANFARE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 1. Version --------------------------------------------------------------------------- */

#define FANFARE_VERSION_MAJOR 0
#define FANFARE_VERSION_MINOR 1
#define FANFARE_VERSION_PATCH 0

/**
 * The version of this header's ABI. It changes when a program that was built with an older header
 * could not run with a newer library; from the first release on, before which it stays 1.
 */
#define FANFARE_ABI_VERSION 1

/**
 * Returns the `FANFARE_ABI_VERSION` of the library that is loaded. A program compares it with that
 * of its header before it calls anything else.
 *
 * Threads: any. Errors: none.
 */
uint32_t fanfare_abi_version(void);

/* ---- 2. Status ---------------------------------------------------------------------------- */

/**
 * The values of a `fanfare_status`. Errors are negative; none is ever renumbered.
 */
typedef enum fanfare_status_code {
  /**
   * The call succeeded.
   */
  FANFARE_OK = 0,
  /**
   * The library has a defect and panicked; the call may have had no effect. Report it.
   */
  FANFARE_ERR_PANIC = -1,
  /**
   * A pointer is NULL that must not be, a length is impossible, or a struct's size is unknown.
   */
  FANFARE_ERR_ARGUMENT = -2,
  /**
   * The hub was made before a fork. Make a new one in the child.
   */
  FANFARE_ERR_FORKED = -3,
  /**
   * The hub is closed.
   */
  FANFARE_ERR_CLOSED = -4,
  /**
   * Too many bytes wait to be sent, and nothing was published. Try again a little later.
   */
  FANFARE_ERR_FULL = -5,
  /**
   * The topic is not 1 to 256 bytes of UTF-8 without control characters, '+' and '#'. Give one
   * that is.
   */
  FANFARE_ERR_TOPIC = -6,
  /**
   * The event is empty; or its name, id or key is empty, too long, or has a character that no
   * client gets back; or its name is reserved for the engine; or its window is too long, or one
   * that a last event has; or it has a field that only a newer library knows. Correct the event.
   */
  FANFARE_ERR_EVENT = -7,
  /**
   * A text of the event is not UTF-8. Encode it as UTF-8.
   */
  FANFARE_ERR_UTF8 = -8,
  /**
   * The event is larger than the option event_bytes_max. Publish less, or raise the option.
   */
  FANFARE_ERR_TOO_LARGE = -9,
  /**
   * An option is out of its bounds, or one is set that only a newer library knows.
   * `fanfare_options_problem` says which. Correct it.
   */
  FANFARE_ERR_OPTIONS = -10,
  /**
   * The address cannot be read, is in use, or may not be bound. Give one such as 127.0.0.1:8080
   * that is free.
   */
  FANFARE_ERR_ADDRESS = -11,
  /**
   * The system is out of descriptors, threads or memory. Raise its limits, or use less.
   */
  FANFARE_ERR_SYSTEM = -12,
  /**
   * The topic is finished: its clients were told that nothing more will come. Publish to another
   * one.
   */
  FANFARE_ERR_FINISHED = -13,
  /**
   * What was waited for did not happen within the time. Wait again, or do without it.
   */
  FANFARE_ERR_TIMEOUT = -14,
  /**
   * A topic or filter to subscribe to is none, or there are none of them. A filter has '+' for one level and
   * '#' at the end for all that follow. Correct it.
   */
  FANFARE_ERR_SUBSCRIPTION = -15,
  /**
   * A list has more entries than it may have. Give fewer.
   */
  FANFARE_ERR_TOO_MANY = -16,
  /**
   * The caller's buffer is too small; the size that is needed was written. Give one of that size.
   */
  FANFARE_ERR_BUFFER = -17,
  /**
   * What an id names is not there any more: the connection has ended, or the request was answered, has
   * waited for too long, or its client has left. There is nothing to do.
   */
  FANFARE_ERR_STALE = -18,
  /**
   * As many connections, subscriptions, rules or tickets are there as the options allow. Raise the option,
   * or try again when there are fewer.
   */
  FANFARE_ERR_LIMIT = -19,
  /**
   * The engine is asked for more at once than it keeps a queue for. Try again a little later.
   */
  FANFARE_ERR_BUSY = -20,
  /**
   * The descriptor is no connected stream socket of TCP or of a Unix domain. Hand such a one over.
   */
  FANFARE_ERR_SOCKET = -21,
  /**
   * The socket speaks TLS, which the engine cannot. Use a pull stream instead.
   */
  FANFARE_ERR_SOCKET_TLS = -22,
  /**
   * The client has sent bytes behind the request, or a body that was not read. Read the request whole,
   * and refuse a client that has sent more.
   */
  FANFARE_ERR_SOCKET_READ = -23,
  /**
   * Bytes that the host has written are not sent yet. Wait until they are, or write nothing before the
   * hand-over.
   */
  FANFARE_ERR_SOCKET_UNSENT = -24,
  /**
   * The request is none that a stream can answer: its method, path, header or version. Correct what was
   * passed, or answer the client in another way.
   */
  FANFARE_ERR_REQUEST = -25,
  /**
   * A grant or a refusal is beyond its bounds, or a stream wants what is not granted. Correct it.
   */
  FANFARE_ERR_GRANT = -26,
  /**
   * A key cannot be read, is too weak, or is none of the algorithms that are taken. Give another.
   */
  FANFARE_ERR_KEY = -27,
  /**
   * The stream has ended, and nothing more will come of it. Free it.
   */
  FANFARE_ERR_ENDED = -28,
} fanfare_status_code;

/**
 * What a function returns: one of the constants of `fanfare_status_code`. It is a number of a
 * fixed size and not the enum, since C gives an enum no size that each compiler agrees on, and
 * since a newer library may return a code that this header does not have. Compare it with the
 * constants; take any other negative number for an error. In a debugger
 * `print (fanfare_status_code)status` shows the name.
 */
typedef int32_t fanfare_status;

/**
 * Returns a sentence that says what a status means and what to do about it, whatever the number.
 *
 * Threads: any. Ownership: the text is static, ends with a NUL, is never NULL and never freed.
 * Errors: none.
 */
const char *fanfare_strerror(fanfare_status status);

/* ---- 3. Text ------------------------------------------------------------------------------ */

/**
 * A text, or bytes, by pointer and length: UTF-8 that needs no NUL at its end, and in which a NUL
 * is a character like any other.
 *
 * {NULL, 0} is no text at all. A pointer that is not NULL with a length of 0 is the empty text;
 * where a text may be absent, such as in an event, the two differ. NULL with any other length is
 * `FANFARE_ERR_ARGUMENT`, as is a length of more than half of the address space.
 *
 * A text that is passed to a function stays the caller's. It is copied before the function
 * returns, and need not live longer. A text that a function gives out is static: never freed.
 */
typedef struct fanfare_text {
  /**
   * Its first byte, or NULL.
   */
  const char *data;
  /**
   * Its length in bytes.
   */
  size_t length;
} fanfare_text;

/* Tools that read declarations alone, such as cffi, leave out what is between such lines. */
#ifndef FANFARE_DECLARATIONS_ONLY

/** The text of `length` bytes at `data`, as a value: {data, length}. */
static inline fanfare_text fanfare_text_of(const char *data, size_t length)
{
  fanfare_text text;
  text.data = data;
  text.length = length;
  return text;
}

/** The text of a string that ends with a NUL, without it. NULL is no text at all. */
static inline fanfare_text fanfare_text_of_string(const char *string)
{
  return fanfare_text_of(string, string == NULL ? 0 : strlen(string));
}

/** The text of a string literal, which may have NULs in it; anything else does not compile. */
#define FANFARE_TEXT(literal) fanfare_text_of("" literal, sizeof(literal) - 1)

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 4. Options --------------------------------------------------------------------------- */

/**
 * The values of a `fanfare_heartbeat`.
 */
typedef enum fanfare_heartbeat_code {
  /**
   * An id alone, by which a client that comes back skips more.
   */
  FANFARE_HEARTBEAT_ID = 1,
  /**
   * A comment.
   */
  FANFARE_HEARTBEAT_COMMENT = 2,
  /**
   * An event named "fanfare-heartbeat", which a page sees.
   */
  FANFARE_HEARTBEAT_EVENT = 3,
} fanfare_heartbeat_code;

/**
 * The values of a `fanfare_policy`.
 */
typedef enum fanfare_policy_code {
  /**
   * It is disconnected; its client comes back, and is sent what it has missed.
   */
  FANFARE_POLICY_DISCONNECT = 1,
  /**
   * It misses the oldest events that wait for it, and is told of the gap.
   */
  FANFARE_POLICY_DROP_OLDEST = 2,
  /**
   * Of the events that wait for it, it is sent the newest of each key.
   */
  FANFARE_POLICY_CONFLATE = 3,
} fanfare_policy_code;

/**
 * What a stream is sent when there is nothing else: one of the constants of `fanfare_heartbeat_code`,
 * or 0 for the hub's.
 */
typedef uint32_t fanfare_heartbeat;

/**
 * What happens to a connection that lags too far: one of the constants of `fanfare_policy_code`, or 0
 * for what decides otherwise.
 */
typedef uint32_t fanfare_policy;

/**
 * How a hub behaves and where its bounds are. `fanfare_options_defaults` makes one with every
 * default; change what should differ. Without that helper set `size` to
 * `sizeof(fanfare_options)` and call `fanfare_options_init`.
 *
 * The names, units, bounds and defaults are those of docs/options.md, with the unit of a time at
 * the end of its name. The text stays the caller's.
 *
 * The struct grows at its end only, by options of which zero is the default. So a program that was
 * built with a newer header runs with this library as long as it sets none that the library does
 * not know: one that is not zero is refused with `FANFARE_ERR_OPTIONS`.
 */
typedef struct fanfare_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Threads that each own a share of the connections.
   * Bounds: 1 to 256. Default: one for each core.
   */
  uint64_t shards;
  /**
   * How long a connection may be silent before it gets a heartbeat; 0 turns heartbeats off.
   * Bounds: 0, or 100 ms to 1 day. Default: 15 s.
   */
  uint64_t heartbeat_ms;
  /**
   * The reconnection time that a client is told when it connects, drawn for each from this to
   * twice this; 0 tells nothing.
   * Bounds: at most 1 day. Default: 2 s.
   */
  uint64_t retry_ms;
  /**
   * The most bytes of data in one event.
   * Bounds: at most 64 MiB. Default: 1 MiB.
   */
  uint64_t event_bytes_max;
  /**
   * The most bytes that are gathered into one batch.
   * Bounds: 1 byte to 16 MiB. Default: 40 KiB.
   */
  uint64_t batch_bytes_max;
  /**
   * A topic is full when this many bytes of its events wait to be sent.
   * Bounds: at least 1 byte. Default: 40 KiB.
   */
  uint64_t topic_backlog_bytes_max;
  /**
   * The hub is full when this many bytes over all topics wait to be sent.
   * Bounds: at least 1 byte. Default: 64 MiB.
   */
  uint64_t backlog_bytes_max;
  /**
   * The most events of a topic that are kept for clients that come back; 0 keeps none.
   * Bounds: any. Default: 1,000.
   */
  uint64_t history_events_max;
  /**
   * The most bytes of a topic's events that are kept.
   * Bounds: any. Default: 1 MiB.
   */
  uint64_t history_bytes_max;
  /**
   * How long an event is kept.
   * Bounds: at most 7 days. Default: 5 min.
   */
  uint64_t history_age_max_ms;
  /**
   * The most bytes of events that are kept over all topics.
   * Bounds: any. Default: 64 MiB.
   */
  uint64_t history_total_bytes_max;
  /**
   * The most bytes that a connection may lag before its policy is applied, which is to
   * disconnect unless its query names another one.
   * Bounds: any. Default: 1 MiB.
   */
  uint64_t lag_bytes_max;
  /**
   * The longest time that a connection may lag.
   * Bounds: at least lag_grace_ms. Default: 30 s.
   */
  uint64_t lag_age_max_ms;
  /**
   * How long a connection that lags too far is waited for when the publisher is faster than
   * the network; 0 waits for none.
   * Bounds: at most lag_age_max_ms. Default: 1 s.
   */
  uint64_t lag_grace_ms;
  /**
   * The share of the time for which such connections are waited for, in percent; beyond it
   * they are disconnected. At 100 all are waited for, however long that is: for a hub whose
   * clients are trusted.
   * Bounds: 0 to 100. Default: 5.
   */
  uint64_t lag_grace_percent;
  /**
   * The most bytes that are kept for all connections that lag.
   * Bounds: at least 1 byte. Default: 256 MiB.
   */
  uint64_t lag_total_bytes_max;
  /**
   * How long a connection's socket may take nothing while there is something to send to it,
   * before the connection is disconnected; 0 for no bound.
   * Bounds: 0, or 100 ms to 1 day. Default: 30 s.
   */
  uint64_t stall_time_max_ms;
  /**
   * The most connections.
   * Bounds: 1 to 10,000,000. Default: 100,000.
   */
  uint64_t connections_max;
  /**
   * The most connections from one address (from one /64 network in IPv6); 0 for no bound.
   * Bounds: any. Default: 0.
   */
  uint64_t connections_per_address_max;
  /**
   * The most topics and filters that all connections may ask for together.
   * Bounds: 1 to 100,000,000. Default: 1,000,000.
   */
  uint64_t subscriptions_max;
  /**
   * The same for the connections from one address; 0 for no bound.
   * Bounds: any. Default: 0.
   */
  uint64_t subscriptions_per_address_max;
  /**
   * How old a connection may get before it is closed, to come back; 0 for any age.
   * Bounds: 0, or 1 s to 30 days. Default: 0.
   */
  uint64_t connection_age_max_ms;
  /**
   * 1: listeners on a loopback address serve requests whatever `Host` they name. 0: only those
   * that name an IP address, `localhost` or a name below it; others get 421. For listeners
   * behind a proxy on the same machine that passes on its clients' `Host`. It gives up what
   * keeps a web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from
   * reading streams through a browser on this machine. On other addresses any `Host` is
   * served.
   * Bounds: 0 or 1. Default: 0.
   */
  uint64_t any_host;
  /**
   * How long a topic that was finished is known: nothing can be published to it, and a client
   * that comes late is sent what is kept, and the end. Then its name is free.
   * Bounds: at most 7 days. Default: 5 min.
   */
  uint64_t finished_age_max_ms;
  /**
   * What a connection is sent when it has been silent for heartbeat_ms, and what its stream begins
   * with, unless its query names another form: one of the constants of `fanfare_heartbeat_code`, or
   * 0.
   * Bounds: id, comment or event. Default: id.
   */
  fanfare_heartbeat heartbeat_form;
  /**
   * What happens to a connection that lags by more than lag_bytes_max or lag_age_max_ms, unless its
   * query or a rule names another policy: one of the constants of `fanfare_policy_code`, or 0.
   * Bounds: disconnect, drop-oldest or conflate. Default: disconnect.
   */
  fanfare_policy policy;
  /**
   * The name of the event by which a client is told that events are missing from its stream; no
   * event of this name can be published. {NULL, 0} is the default.
   * Bounds: 1 to 256 bytes without CR, LF or NUL, and none of message, open, error and
   * fanfare-heartbeat. Default: fanfare-gap.
   */
  fanfare_text gap_event;
} fanfare_options;

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is. What the
 * library does not know, of a struct that is larger than the library's own, is set to zero.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
 * `options` is NULL or its size is that of no version, which is smaller than in the first or more
 * than 4,096 bytes.
 */
fanfare_status fanfare_options_init(fanfare_options *options);

/**
 * Finds the first option that `fanfare_hub_new` would refuse: `*name_out` is its name in the
 * struct, such as `shards`, and `*bounds_out` what it may be, such as "1 to 256". Both are {NULL,
 * 0} when every option is within its bounds. For an option that only a newer library knows the
 * name is
 * `size`.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` when a pointer is NULL or the size is that of no version.
 */
fanfare_status fanfare_options_problem(const fanfare_options *options,
                                       fanfare_text *name_out,
                                       fanfare_text *bounds_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Options that are all at their defaults. */
static inline fanfare_options fanfare_options_defaults(void)
{
  fanfare_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  /* It cannot fail with a size that is right. */
  (void)fanfare_options_init(&options);
  return options;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 5. Event ----------------------------------------------------------------------------- */

/**
 * The most bytes of a `fanfare_event_id`.
 */
#define FANFARE_EVENT_ID_BYTES_MAX 64

/**
 * What is published. `fanfare_event_of` makes one that has data alone; fill in what else it has.
 * Without that helper set all of it to zero, and `size` to `sizeof(fanfare_event)`. The texts stay
 * the caller's. A text of {NULL, 0} is one that the event does not have.
 *
 * The struct grows at its end only, by fields of which zero means that the event does not have
 * them. An event with a field that is not zero and that the library does not know is refused with
 * `FANFARE_ERR_EVENT`.
 */
typedef struct fanfare_event {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The data, of at most the option event_bytes_max bytes. CR, LF and CRLF in it are line
   * breaks. The empty text is empty data, which a client gets; no text is no data, which fires
   * nothing in a client.
   */
  fanfare_text data;
  /**
   * The event's name: 1 to 256 bytes without CR, LF or NUL. Without one it is a "message".
   */
  fanfare_text name;
  /**
   * An id of the publisher's, which clients see instead of the hub's: 1 to 256 bytes without
   * control characters, and without a space at either end.
   */
  fanfare_text id;
  /**
   * What the event is about: of events with one key only the newest matters. 1 to 256 bytes. It
   * is not sent.
   */
  fanfare_text key;
  /**
   * The reconnection time that clients are to use from now on, in milliseconds; 0 for none.
   */
  uint32_t retry_ms;
  /**
   * A text that clients ignore, each of its lines as a comment. Data and comment together have at
   * most the option event_bytes_max bytes.
   */
  fanfare_text comment;
  /**
   * The clients that are there are sent the event evenly over this time, at most 300,000 ms, for
   * what a crowd acts on, such as "fetch the new configuration"; 0 is at once. A later event for a
   * client takes it along. Such events wait in backlogs of their own.
   */
  uint64_t window_ms;
} fanfare_event;

/**
 * The hub's id of an event: an opaque text, which clients send back as `Last-Event-ID`. Its form
 * may change with any version; nothing but equality may be read from it. Printable ASCII, without
 * comma or space, and without a NUL at its end; print it with
 * `printf("%.*s", (int)id.length, id.text)`.
 *
 * A length of 0 means that the event is published but its id is not known yet. This library knows
 * every id at once; one that keeps events in a store or a cluster may not.
 */
typedef struct fanfare_event_id {
  /**
   * The length of the text in bytes, 0 to 64.
   */
  uint8_t length;
  /**
   * The text. The bytes after its length are zero, so that equal ids are equal structs.
   */
  char text[FANFARE_EVENT_ID_BYTES_MAX];
} fanfare_event_id;

#ifndef FANFARE_DECLARATIONS_ONLY

/** An event that has this data and nothing else. */
static inline fanfare_event fanfare_event_of(fanfare_text data)
{
  fanfare_event event;
  memset(&event, 0, sizeof event);
  event.size = sizeof event;
  event.data = data;
  return event;
}

/** The text of an id. It is in the id's struct, and lives as long as that. */
static inline fanfare_text fanfare_event_id_text(const fanfare_event_id *id)
{
  return fanfare_text_of(id->text, id->length);
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 6. Topic ----------------------------------------------------------------------------- */

/**
 * A topic by handle: its name was checked, and need not be checked again each time. Opaque, and
 * always used by pointer. `fanfare_topic_new` makes it and `fanfare_topic_free` frees it. It belongs
 * to no hub: one handle serves any number of hubs, lives as long as the program likes, and keeps
 * nothing in a hub. It is as good in the child of a fork.
 */
typedef struct fanfare_topic fanfare_topic;

/**
 * Makes a handle of a topic, whose name is 1 to 256 bytes of UTF-8 without control characters, '+'
 * and '#'. On success `*topic_out` is the handle.
 *
 * Threads: any. Ownership: `name` stays the caller's; the handle is the caller's, to be freed with
 * `fanfare_topic_free`. Errors: `FANFARE_ERR_TOPIC`, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_topic_new(fanfare_text name,
                                 fanfare_topic **topic_out);

/**
 * Frees a handle of a topic. What was published with it stays. NULL does nothing.
 *
 * Threads: any one, while no other call with this handle is under way, and none comes afterwards.
 * Ownership: the handle is gone. Errors: none.
 */
void fanfare_topic_free(fanfare_topic *topic);

/* ---- 7. Hub ------------------------------------------------------------------------------- */

/**
 * The engine: one order of events, the threads that serve its connections, and its listeners.
 * Opaque, and always used by pointer. `fanfare_hub_new` makes it and `fanfare_hub_free` frees it;
 * in between every other function may be called with it from any thread at once.
 */
typedef struct fanfare_hub fanfare_hub;

/**
 * Makes a hub and starts its threads. `options` may be NULL for the defaults. On success
 * `*hub_out` is the hub.
 *
 * Threads: any. Ownership: the options stay the caller's; the hub is the caller's, to be freed
 * with
 * `fanfare_hub_free`. Errors: `FANFARE_ERR_ARGUMENT`; `FANFARE_ERR_OPTIONS`, and
 * `fanfare_options_problem` says which option; `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_hub_new(const fanfare_options *options,
                               fanfare_hub **hub_out);

/**
 * Closes a hub: nothing more is published or accepted, what was published is sent for at most 2
 * seconds more, and then every connection is closed. The threads have ended when this returns. From
 * then on what publishes, finishes and listens returns `FANFARE_ERR_CLOSED`, also calls that wait for
 * space at the time; what was counted can still be read. To close a hub once more does nothing, but may
 * return before the first call has. The hub has to be freed all the same.
 *
 * Threads: any, several at once, and while others use the hub. Ownership: the hub stays the caller's.
 * Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_close(const fanfare_hub *hub);

/**
 * Closes a hub as `fanfare_hub_close` does, if that was not done before, and frees it. NULL does
 * nothing.
 *
 * Threads: any one, while no other call with this hub is under way, and none comes afterwards.
 * Ownership: the hub is gone. Errors: none.
 *
 * In a child of the process, whether `fork`, `_Fork` or the system call has made it, a hub of the
 * parent's is left as it is. The child has the connections' sockets as well, until it ends or
 * executes another program. After a `fork` the parent's disconnections reach clients even so;
 * after the others, of which the library is not told, only once the child has closed the sockets.
 */
void fanfare_hub_free(fanfare_hub *hub);

/**
 * Accepts clients on an address such as `127.0.0.1:8080` or `[::]:8080` until the hub is freed. A
 * stream has the path `/events?topic=NAME`. `addr` is an IP address and a port, at most 256 bytes;
 * a name is refused, since looking one up could block. With port 0 the system chooses a port. On
 * success `*port_out`, unless `port_out` is NULL, is the port. A hub may listen on several
 * addresses. On a loopback address a request's `Host` is checked, see `any_host`.
 *
 * Threads: any, several at once. Ownership: `addr` stays the caller's, the listener is the hub's.
 * Errors: `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_ADDRESS`, `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_hub_listen(const fanfare_hub *hub,
                                  fanfare_text addr,
                                  uint16_t *port_out);

/* ---- 8. Publishing ------------------------------------------------------------------------ */

/**
 * An event, and the topics that it is published to: names, or handles, or some of both, 1 to 64 in
 * all. `fanfare_publication_of` and `fanfare_publication_to` make one. What it points to stays the
 * caller's. It has no size, since it never grows: so it can stand in an array.
 *
 * An event of several topics is one event, with one id: it is published to all of them or to none. A
 * client that wants several of them is sent it once. A topic that is given twice counts once, and the
 * order of the topics has no meaning. A key belongs to the list of topics: an event replaces only
 * events that were published to exactly the same ones.
 */
typedef struct fanfare_publication {
  /**
   * Names of topics, or NULL if there are none.
   */
  const fanfare_text *topics;
  /**
   * How many they are.
   */
  size_t topics_count;
  /**
   * Handles of topics, or NULL if there are none.
   */
  const fanfare_topic *const *handles;
  /**
   * How many they are.
   */
  size_t handles_count;
  /**
   * The event.
   */
  const fanfare_event *event;
} fanfare_publication;

/**
 * Publishes an event to every client that wants the topic, which is 1 to 256 bytes of UTF-8
 * without control characters, '+' and '#'. Never waits for a client. On success `*id_out`, unless
 * `id_out` is NULL, is the hub's id of the event, also when the event has an id of the
 * publisher's.
 *
 * Threads: any, several at once; every client gets all events in one order. Ownership: `topic`,
 * `event` and its texts stay the caller's. Errors, after each of which nothing was published to
 * any client: `FANFARE_ERR_FULL` when too many bytes wait to be sent (try again a little later),
 * `FANFARE_ERR_TOPIC`, `FANFARE_ERR_EVENT`, `FANFARE_ERR_UTF8`, `FANFARE_ERR_TOO_LARGE`,
 * `FANFARE_ERR_FINISHED`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED`, `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_hub_publish(const fanfare_hub *hub,
                                   fanfare_text topic,
                                   const fanfare_event *event,
                                   fanfare_event_id *id_out);

/**
 * Publishes an event as `fanfare_hub_publish` does, to the topic of a handle. It is the faster way
 * for a topic that is published to often, since the name was checked when the handle was made, and
 * the handle remembers where in the hub the topic is.
 *
 * Threads: any, several at once, also with the same handle. Ownership: `topic`, `event` and its texts
 * stay the caller's. Errors: as `fanfare_hub_publish`, without `FANFARE_ERR_TOPIC`.
 */
fanfare_status fanfare_hub_publish_to(const fanfare_hub *hub,
                                      const fanfare_topic *topic,
                                      const fanfare_event *event,
                                      fanfare_event_id *id_out);

/**
 * Publishes an event to one topic or to several, and waits for at most `timeout_ms` while too many
 * bytes wait to be sent: until each of the topics and the hub have space at the same time. 0 does not
 * wait, and `UINT64_MAX` has no bound. Otherwise it is as `fanfare_hub_publish`.
 *
 * Threads: any, several at once; it waits for clients. Ownership: the publication and what it points
 * to stay the caller's. Errors, after each of which nothing was published to any client:
 * `FANFARE_ERR_TIMEOUT` when there was no space within the time, or `FANFARE_ERR_FULL` when there was
 * no time; `FANFARE_ERR_TOO_MANY` when there are more than 64 topics; `FANFARE_ERR_ARGUMENT` also when
 * there is none; `FANFARE_ERR_FINISHED` when one of the topics is finished; and those of
 * `fanfare_hub_publish`.
 */
fanfare_status fanfare_hub_publish_wait(const fanfare_hub *hub,
                                        const fanfare_publication *publication,
                                        uint64_t timeout_ms,
                                        fanfare_event_id *id_out);

/**
 * Publishes many events, one after another, each to its topics, in one call instead of one for each.
 * Other threads' events may come between them. It ends with the first event that
 * is refused: the ones before it are published, each to all of its topics, and that one and the ones
 * behind it are not. The whole call waits for at most `timeout_ms`, as `fanfare_hub_publish_wait` does.
 *
 * `*count_out` is how many events were published, and is written in any case, also with an error, which
 * is then that of the event at this index. So a program that got `FANFARE_ERR_FULL` or
 * `FANFARE_ERR_TIMEOUT` goes on from there later. `ids_out` is NULL, or has space for
 * `publications_count` ids, of which the first `*count_out` are written.
 *
 * Threads: any, several at once; it waits for clients. Ownership: the publications and what they point
 * to stay the caller's. Errors: as `fanfare_hub_publish_wait`; `FANFARE_ERR_ARGUMENT` also when
 * `count_out` is NULL, and nothing is published then.
 */
fanfare_status fanfare_hub_publish_many(const fanfare_hub *hub,
                                        const fanfare_publication *publications,
                                        size_t publications_count,
                                        uint64_t timeout_ms,
                                        fanfare_event_id *ids_out,
                                        size_t *count_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** An event for topics by name. */
static inline fanfare_publication fanfare_publication_of(const fanfare_text *topics,
                                                         size_t topics_count,
                                                         const fanfare_event *event)
{
  fanfare_publication publication;
  memset(&publication, 0, sizeof publication);
  publication.topics = topics;
  publication.topics_count = topics_count;
  publication.event = event;
  return publication;
}

/** An event for topics by handle. */
static inline fanfare_publication fanfare_publication_to(const fanfare_topic *const *handles,
                                                         size_t handles_count,
                                                         const fanfare_event *event)
{
  fanfare_publication publication;
  memset(&publication, 0, sizeof publication);
  publication.handles = handles;
  publication.handles_count = handles_count;
  publication.event = event;
  return publication;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 9. Finishing ------------------------------------------------------------------------- */

/**
 * Finishes a topic, with a last event unless `last` is NULL: nothing can be published to it any more.
 * A client all of whose topics are finished is sent everything, and then its stream ends; one that
 * comes later and would be sent nothing gets the status 204, after which an EventSource stays closed. A
 * client with a filter goes on, since the filter may match other topics. The topic is forgotten after
 * the time of the option finished_age_max_ms; then its name is free.
 *
 * The last event and the end come both or not at all, and no event comes between them. A topic that
 * nothing was published to can be finished as well. With a last event the call waits for at most
 * `timeout_ms` while too many bytes wait to be sent; 0 does not wait, and `UINT64_MAX` has no bound. On
 * success `*id_out`, unless `id_out` is NULL, is the id of the last event, or else of the end, which no
 * client sees.
 *
 * Threads: any, several at once; with a last event it may wait for clients. Ownership: `topic`, `last`
 * and its texts stay the caller's. Errors, after each of which the topic is as it was:
 * `FANFARE_ERR_FINISHED` if it is finished already; `FANFARE_ERR_TIMEOUT` when there was no space within
 * the time, or `FANFARE_ERR_FULL` when there was no time; `FANFARE_ERR_EVENT` also for a last event with
 * a window; and those of `fanfare_hub_publish`.
 */
fanfare_status fanfare_hub_finish(const fanfare_hub *hub,
                                  fanfare_text topic,
                                  const fanfare_event *last,
                                  uint64_t timeout_ms,
                                  fanfare_event_id *id_out);

/**
 * Finishes a topic as `fanfare_hub_finish` does, by its handle. The handle is as good afterwards, for
 * when the name is free again.
 *
 * Threads: any, several at once, also with the same handle; with a last event it may wait for clients.
 * Ownership: `topic`, `last` and its texts stay the caller's. Errors: as `fanfare_hub_finish`, without
 * `FANFARE_ERR_TOPIC`.
 */
fanfare_status fanfare_hub_finish_topic(const fanfare_hub *hub,
                                        const fanfare_topic *topic,
                                        const fanfare_event *last,
                                        uint64_t timeout_ms,
                                        fanfare_event_id *id_out);

/* ---- 10. Rules ---------------------------------------------------------------------------- */

/** What an option of a rule is that says nothing. */
#define FANFARE_UNSET UINT64_MAX

/**
 * The rules of a hub as they were at one moment. Opaque, and always used by pointer. `fanfare_hub_rules`
 * makes it and `fanfare_rules_free` frees it. It does not change, and outlives the hub.
 */
typedef struct fanfare_rules fanfare_rules;

/**
 * What a rule says of its topics. `fanfare_topic_options_defaults` makes one that says nothing; set what
 * the rule is about. An option that is `FANFARE_UNSET`, or for the policy 0, is that of the next rule
 * which matches all of the same topics, or else the hub's.
 *
 * The struct grows at its end only, by options of which zero says nothing.
 */
typedef struct fanfare_topic_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The most events of a topic that are kept for clients that come back; 0 keeps none. In a hub whose
   * own history_events_max is 0 it has to be `FANFARE_UNSET` or 0.
   * Bounds: any. Default: none.
   */
  uint64_t history_events_max;
  /**
   * The most bytes of a topic's events that are kept, each event with 256 bytes more.
   * Bounds: any. Default: none.
   */
  uint64_t history_bytes_max;
  /**
   * How long an event is kept.
   * Bounds: at most 7 days. Default: none.
   */
  uint64_t history_age_max_ms;
  /**
   * How long a topic that was finished is known.
   * Bounds: at most 7 days. Default: none.
   */
  uint64_t finished_age_max_ms;
  /**
   * What happens to a connection that lags too far, if its client chose no policy and all of its
   * subscriptions have the same one by their rules: one of the constants of `fanfare_policy_code`.
   * Bounds: disconnect, drop-oldest or conflate. Default: none.
   */
  fanfare_policy policy;
} fanfare_topic_options;

/**
 * A rule of a hub, and what its topics hold at the moment: those of which no rule is more specific.
 * `fanfare_rule_empty` makes one to be filled.
 *
 * The struct grows at its end only. What the library does not know of it is 0.
 */
typedef struct fanfare_rule {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Its topic, or the filter that its topics match. It is in the memory of the `fanfare_rules`.
   */
  fanfare_text subscription;
  /**
   * As in `fanfare_topic_options`.
   */
  uint64_t history_events_max;
  /**
   * As in `fanfare_topic_options`.
   */
  uint64_t history_bytes_max;
  /**
   * As in `fanfare_topic_options`.
   */
  uint64_t history_age_max_ms;
  /**
   * As in `fanfare_topic_options`.
   */
  uint64_t finished_age_max_ms;
  /**
   * As in `fanfare_topic_options`.
   */
  fanfare_policy policy;
  /**
   * Topics that have a subscriber, or events that are kept, or are finished.
   */
  uint64_t topics;
  /**
   * Topics that are finished.
   */
  uint64_t finished_topics;
  /**
   * Events that are kept.
   */
  uint64_t kept_events;
  /**
   * What they take: their bytes, 256 more for each of them, and 512 for each topic that has such or is
   * finished.
   */
  uint64_t kept_bytes;
} fanfare_rule;

/**
 * Fills in that the rule says nothing. `options->size` has to be set before, and stays as it is. What
 * the library does not know, of a struct that is larger than the library's own, is set to zero.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when `options`
 * is NULL or its size is that of no version.
 */
fanfare_status fanfare_topic_options_init(fanfare_topic_options *options);

/**
 * Finds the first option that `fanfare_hub_set_rule` would refuse in a hub that keeps events, as
 * `fanfare_options_problem` does.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` when a pointer is NULL or the size is that of no version.
 */
fanfare_status fanfare_topic_options_problem(const fanfare_topic_options *options,
                                             fanfare_text *name_out,
                                             fanfare_text *bounds_out);

/**
 * Sets the rule of a topic, or of all topics that match a filter ('+' for one level, '#' at the end for
 * all that follow): how much of each is kept, for how long, and the policy of its streams. Options that
 * were set before for the same topic or filter are replaced, all of them. The topics need not exist;
 * where they do, what the rule allows no longer is forgotten before the call returns. A policy holds for
 * streams that are opened later.
 *
 * The most specific rule that matches a topic applies to it: the topic's own before those of filters; of
 * filters, compared level by level, one with a name before one with '+', and that before one with '#'.
 * The hub's bounds over all topics hold beside those of the rules.
 *
 * Threads: any, several at once. It takes time for the topics that there are whose names begin as the
 * filter does; publishers are held up for a moment at most. Ownership: the text and the options stay the
 * caller's. Errors, after each of which nothing has changed: `FANFARE_ERR_SUBSCRIPTION`;
 * `FANFARE_ERR_OPTIONS`, and `fanfare_topic_options_problem` says which option, unless the hub keeps no
 * events and the rule would; `FANFARE_ERR_LIMIT` when the hub has 1,024 other rules;
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_set_rule(const fanfare_hub *hub,
                                    fanfare_text subscription,
                                    const fanfare_topic_options *options);

/**
 * Removes the rule of a topic or filter. Its topics have the next rule that matches them from then on,
 * or the hub's options. On success `*removed_out`, unless `removed_out` is NULL, is 1 if there was such a
 * rule, and 0 if there was none.
 *
 * Threads: any, several at once; as `fanfare_hub_set_rule`. Ownership: the text stays the caller's.
 * Errors: `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_remove_rule(const fanfare_hub *hub,
                                       fanfare_text subscription,
                                       uint8_t *removed_out);

/**
 * Lists the rules of a hub, in no order, and what the topics of each hold at the moment. On success
 * `*rules_out` is the list and `*count_out` how many rules it has.
 *
 * Threads: any, several at once. Ownership: the list is the caller's, to be freed with
 * `fanfare_rules_free`. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_rules(const fanfare_hub *hub,
                                 fanfare_rules **rules_out,
                                 size_t *count_out);

/**
 * Reads one rule of a list. `rule_out->size` has to be set before, as `fanfare_rule_empty` does, and
 * stays as it is.
 *
 * Threads: any, several at once. Ownership: the struct stays the caller's; its text is the list's, and
 * valid until that is freed. Errors: `FANFARE_ERR_ARGUMENT` when a pointer is NULL, the list has no rule
 * at `index`, or the size is that of no version.
 */
fanfare_status fanfare_rules_at(const fanfare_rules *rules,
                                size_t index,
                                fanfare_rule *rule_out);

/**
 * Frees a list of rules, and the texts that were read of it. NULL does nothing.
 *
 * Threads: any one, while no other call with this list is under way, and none comes afterwards.
 * Ownership: the list is gone. Errors: none.
 */
void fanfare_rules_free(fanfare_rules *rules);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Options of a rule that says nothing yet. */
static inline fanfare_topic_options fanfare_topic_options_defaults(void)
{
  fanfare_topic_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  /* It cannot fail with a size that is right. */
  (void)fanfare_topic_options_init(&options);
  return options;
}

/** A rule to be filled. */
static inline fanfare_rule fanfare_rule_empty(void)
{
  fanfare_rule rule;
  memset(&rule, 0, sizeof rule);
  rule.size = sizeof rule;
  return rule;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 11. Draining ------------------------------------------------------------------------- */

/**
 * How a hub is drained. `fanfare_drain_options_defaults` makes one with every default. With these
 * everything has ended after 6 s: the window, the grace, and the 2 s of a close.
 *
 * The struct grows at its end only, by options of which zero is the default.
 */
typedef struct fanfare_drain_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The connections are closed evenly over this time; 0 closes all at once.
   * Bounds: at most 1 hour. Default: 3 s.
   */
  uint64_t window_ms;
  /**
   * How much longer a connection that lags may take what waits for it, before it is cut.
   * Bounds: at most 1 hour. Default: 1 s.
   */
  uint64_t grace_ms;
  /**
   * Each client is told to come back after a time drawn from this to twice this; 0 tells nothing.
   * Bounds: at most 1 day. Default: 2 s.
   */
  uint64_t retry_ms;
} fanfare_drain_options;

/**
 * What became of a hub's connections when it was drained. `fanfare_drained_empty` makes one to be filled.
 *
 * The struct grows at its end only. What the library does not know of it is 0.
 */
typedef struct fanfare_drained {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Connections that were sent everything, told when to come back, and closed.
   */
  uint64_t told;
  /**
   * Connections that were closed without that, since they did not take what there was for them in
   * time.
   */
  uint64_t cut;
} fanfare_drained;

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is. What the library does
 * not know, of a struct that is larger than the library's own, is set to zero.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when `options`
 * is NULL or its size is that of no version.
 */
fanfare_status fanfare_drain_options_init(fanfare_drain_options *options);

/**
 * Finds the first option that `fanfare_hub_drain` would refuse, as `fanfare_options_problem` does.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` when a pointer is NULL or the size is that of no version.
 */
fanfare_status fanfare_drain_options_problem(const fanfare_drain_options *options,
                                             fanfare_text *name_out,
                                             fanfare_text *bounds_out);

/**
 * Ends a hub without a storm of reconnections: no client is accepted any more, and the connections are
 * closed evenly over a window. Each is first sent everything, and told a random time after which to come
 * back. What is published meanwhile goes to the connections that are left. Then the hub is closed, as by
 * `fanfare_hub_close`, and has to be freed all the same. `options` may be NULL for the defaults. On
 * success `*drained_out`, unless `drained_out` is NULL, says what became of the connections;
 * `drained_out->size` has to be set before, as `fanfare_drained_empty` does.
 *
 * It takes at most the window and the grace of the options, and the 2 s of a close. The options of the
 * first call count; a second call waits for its own time at most.
 *
 * Threads: any, several at once, and while others use the hub. Ownership: the hub and the structs stay
 * the caller's. Errors, after each of which nothing was begun: `FANFARE_ERR_OPTIONS`, and
 * `fanfare_drain_options_problem` says which option; `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_drain(const fanfare_hub *hub,
                                 const fanfare_drain_options *options,
                                 fanfare_drained *drained_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Options of a drain that are all at their defaults. */
static inline fanfare_drain_options fanfare_drain_options_defaults(void)
{
  fanfare_drain_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  /* It cannot fail with a size that is right. */
  (void)fanfare_drain_options_init(&options);
  return options;
}

/** What became of connections, to be filled. */
static inline fanfare_drained fanfare_drained_empty(void)
{
  fanfare_drained drained;
  memset(&drained, 0, sizeof drained);
  drained.size = sizeof drained;
  return drained;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 12. Statistics ----------------------------------------------------------------------- */

/**
 * The values of a `fanfare_disconnect_reason`; none is ever renumbered.
 */
typedef enum fanfare_disconnect_reason_code {
  /**
   * The client closed it, or its half of it.
   */
  FANFARE_DISCONNECT_CLIENT_CLOSED = 1,
  /**
   * The system reported an error that none of the other reasons is for, or the engine has failed.
   */
  FANFARE_DISCONNECT_ERROR = 2,
  /**
   * It lagged by more than the bounds.
   */
  FANFARE_DISCONNECT_LAGGING = 3,
  /**
   * The client sent more than 64 KiB at once after its request.
   */
  FANFARE_DISCONNECT_GARBAGE = 4,
  /**
   * The hub was closed.
   */
  FANFARE_DISCONNECT_CLOSED = 5,
  /**
   * The hub was drained: it had been sent everything, and was told when to come back.
   */
  FANFARE_DISCONNECT_DRAINED = 6,
  /**
   * The network went silent.
   */
  FANFARE_DISCONNECT_TIMED_OUT = 7,
  /**
   * The client or something on the way reset it.
   */
  FANFARE_DISCONNECT_RESET = 8,
  /**
   * The client's system answered, but took nothing for too long.
   */
  FANFARE_DISCONNECT_STALLED = 9,
  /**
   * The host ended it.
   */
  FANFARE_DISCONNECT_KICKED = 10,
  /**
   * It was older than the option connection_age_max_ms.
   */
  FANFARE_DISCONNECT_AGED = 11,
  /**
   * All of its topics were finished, and it was sent everything.
   */
  FANFARE_DISCONNECT_FINISHED = 12,
  /**
   * Its time was over, which its grant has set.
   */
  FANFARE_DISCONNECT_EXPIRED = 13,
} fanfare_disconnect_reason_code;

/**
 * Why a connection ended: one of the constants of `fanfare_disconnect_reason_code`. A newer library
 * may have reasons that this header does not have.
 */
typedef int32_t fanfare_disconnect_reason;

/**
 * Returns a reason's short name, such as "client_closed", for logs and metrics; "unknown" for a
 * number that is none.
 *
 * Threads: any. Ownership: the text is static. Errors: none.
 */
fanfare_text fanfare_disconnect_reason_name(fanfare_disconnect_reason reason);

/**
 * How many reasons a `fanfare_metrics` has room for, and how many buckets.
 */
#define FANFARE_METRICS_REASONS_MAX 32

/**
 * The values of a gap event's reason, by which `fanfare_metrics` counts them; none is ever renumbered.
 */
typedef enum fanfare_gap_reason_code {
  /**
   * The events after the client's last one are not kept any more.
   */
  FANFARE_GAP_EXPIRED = 1,
  /**
   * The id was given by the hub before it was restarted.
   */
  FANFARE_GAP_RESTARTED = 2,
  /**
   * The id is none that the hub knows.
   */
  FANFARE_GAP_UNKNOWN_ID = 3,
  /**
   * The client read too slowly, and events were dropped for it.
   */
  FANFARE_GAP_SLOW = 4,
} fanfare_gap_reason_code;

/**
 * What a hub has counted since it was made, at one moment. `fanfare_metrics_empty` makes one to be
 * filled. Some say how much there is at the moment, such as `connections`; the others only grow, such as
 * `published_events`.
 *
 * The struct grows at its end only. What the library does not know of it is 0.
 */
typedef struct fanfare_metrics {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Shards that serve. Fewer than the option shards when one has failed: restart the program
   * soon. 0 when the hub is closed.
   */
  uint64_t living_shards;
  /**
   * The most connections: the option connections_max, or what the descriptors of the process
   * allow if that is less.
   */
  uint64_t connections_max;
  /**
   * Open event streams.
   */
  uint64_t connections;
  /**
   * Open sockets whose request is not answered yet, or that are being closed.
   */
  uint64_t pending_connections;
  /**
   * Event streams with a socket that has not taken all events for it.
   */
  uint64_t lagging_connections;
  /**
   * Event streams that are being sent what they have missed; they do not count as lagging.
   */
  uint64_t replaying_connections;
  /**
   * Events times event streams that wait for them because they are spread over a time
   * (window_ms). A stream that has ended, or was sent such an event together with a later one,
   * counts until its turn would have come.
   */
  uint64_t spread_deliveries;
  /**
   * Topics that have a subscriber.
   */
  uint64_t topics;
  /**
   * Topics that have a subscriber, or events that are kept, or are finished.
   */
  uint64_t known_topics;
  /**
   * Filters that have a subscriber, each once however many subscribers it has.
   */
  uint64_t filters;
  /**
   * Topics that are finished and not forgotten yet.
   */
  uint64_t finished_topics;
  /**
   * Topics and filters that all connections ask for, each counted with each connection.
   */
  uint64_t subscriptions;
  /**
   * Events that were published.
   */
  uint64_t published_events;
  /**
   * Times that an event found the backlog full. It then waited, or was refused; an event that
   * waits counts again each time that it finds the backlog full.
   */
  uint64_t full_events;
  /**
   * Events times connections that took them.
   */
  uint64_t delivered_events;
  /**
   * Bytes of events that sockets took, as each client is sent them, with the chunks around them;
   * bytes of a replay count when they are handed out.
   */
  uint64_t delivered_bytes;
  /**
   * Events times the connections that were sent them because they had missed them. They count as
   * delivered as well, when they are handed out.
   */
  uint64_t replayed_events;
  /**
   * Parts of history that were gathered to be replayed; one part serves all clients that need
   * the same events.
   */
  uint64_t gathered_parts;
  /**
   * Events that are kept for clients that come back. One that is kept in several topics counts
   * for each.
   */
  uint64_t kept_events;
  /**
   * Bytes that the kept events take, see the option history_total_bytes_max.
   */
  uint64_t kept_bytes;
  /**
   * Heartbeats: comments, or blocks that fire nothing but move the id to resume from.
   */
  uint64_t heartbeats;
  /**
   * Batches that were begun.
   */
  uint64_t batches;
  /**
   * Times that a batch waited for connections that lag too far but get on.
   */
  uint64_t held_batches;
  /**
   * Bytes that wait to be sent, see the option topic_backlog_bytes_max.
   */
  uint64_t backlog_bytes;
  /**
   * Bytes that are kept for connections that lag.
   */
  uint64_t lag_bytes;
  /**
   * Events times lagging connections that skipped them, so that they were never sent.
   */
  uint64_t dropped_events;
  /**
   * Events times lagging connections that were sent a newer event of the same key instead.
   */
  uint64_t conflated_events;
  /**
   * Event streams that were ever opened.
   */
  uint64_t accepted_connections;
  /**
   * Sockets that were turned away because of the bounds on connections.
   */
  uint64_t refused_connections;
  /**
   * Requests for streams that were answered with the status 204, since all of their topics were
   * finished and nothing was to be sent.
   */
  uint64_t finished_answers;
  /**
   * Connections whose request for a stream was put before the program, and that wait for its
   * answer. They count as pending connections as well.
   */
  uint64_t pending_authorizations;
  /**
   * Requests for streams that were refused, that asked for topics which were not granted, or
   * whose grant had expired.
   */
  uint64_t denied_authorizations;
  /**
   * Requests for streams that were answered 503, since the program had not answered in time, or
   * too many waited.
   */
  uint64_t failed_authorizations;
  /**
   * Answers of the program that came when the connection had ceased to wait.
   */
  uint64_t late_authorizations;
  /**
   * Notices of connections that were lost because their queue was full.
   */
  uint64_t lost_notices;
  /**
   * Watchers of interest.
   */
  uint64_t interest_watchers;
  /**
   * Notices of interest that wait for the program to take them, of all watchers.
   */
  uint64_t owed_interest_notices;
  /**
   * Times that a grace time of a watcher ended early, since too many of its subscriptions had
   * one.
   */
  uint64_t cut_graces;
  /**
   * Event streams that ended, by why: at the index of a `fanfare_disconnect_reason_code`.
   */
  uint64_t disconnects[FANFARE_METRICS_REASONS_MAX];
  /**
   * Events by which clients were told that others are missing from their streams, by why: at the
   * index of a `fanfare_gap_reason_code`.
   */
  uint64_t gap_events[FANFARE_METRICS_REASONS_MAX];
  /**
   * How many of the buckets are used, by which it is counted how long events took from being
   * published to a socket's taking them.
   */
  uint64_t latency_buckets;
  /**
   * The most microseconds of each bucket, rising; `UINT64_MAX` for the last one that is used.
   */
  uint64_t latency_bounds_us[FANFARE_METRICS_REASONS_MAX];
  /**
   * How many took at most as long, and longer than the bucket before allows.
   */
  uint64_t latency_counts[FANFARE_METRICS_REASONS_MAX];
  /**
   * The sum of all these times, in nanoseconds.
   */
  uint64_t latency_sum_ns;
} fanfare_metrics;

/**
 * Reads what a hub has counted, also when it is closed. `metrics_out->size` has to be set before, as
 * `fanfare_metrics_empty` does, and stays as it is. It takes a moment for each shard, and no lock that a
 * shard waits for.
 *
 * Threads: any, several at once. Ownership: the struct stays the caller's. Errors:
 * `FANFARE_ERR_ARGUMENT`, also when the size is that of no version, or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_metrics(const fanfare_hub *hub,
                                   fanfare_metrics *metrics_out);

/**
 * Writes what a hub has counted, also when it is closed, as a text for Prometheus, version 0.0.4 of its
 * format, and what the topics of each rule hold. Serve it with the content type "text/plain;
 * version=0.0.4; charset=utf-8". The text has no NUL at its end. `*length_out` is its length, also with
 * `FANFARE_ERR_BUFFER`, when it is the size that the buffer has to have. As the counts grow the text may
 * be some bytes longer the next time: so make the buffer a little larger. 16 KiB are enough without
 * rules.
 *
 * Threads: any, several at once. Ownership: the buffer stays the caller's. Errors: `FANFARE_ERR_BUFFER`
 * when the buffer is too small, which may be NULL if its size is 0; `FANFARE_ERR_ARGUMENT` or
 * `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_prometheus(const fanfare_hub *hub,
                                      char *buffer,
                                      size_t buffer_size,
                                      size_t *length_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Counts to be filled. */
static inline fanfare_metrics fanfare_metrics_empty(void)
{
  fanfare_metrics metrics;
  memset(&metrics, 0, sizeof metrics);
  metrics.size = sizeof metrics;
  return metrics;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FANFARE_H */
