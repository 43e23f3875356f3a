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
 *             status = fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), NULL, NULL, &port);
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
 * docs/c.md is the way from nothing to such a program, the ways to bring clients in, and a table of what
 * to do about each error. examples/c has programs. For C++17 there is fanfare.hpp beside this header.
 *
 * Contents: rules that hold for every function; then, each with its functions, 1. version, 2.
 * status, 3. text, 4. options, 5. event, 6. topic, 7. hub, 8. publishing, 9. finishing, 10. rules,
 * 11. notices, 12. listeners, 13. grants, refusals and questions, 14. tokens and tickets, 15.
 * streams that the program reads, 16. connections that the program hands over, 17. connections,
 * 18. draining, 19. statistics, 20. log.
 *
 * Threads and ownership
 *
 *   function                 from which thread    may wait for        owner afterwards
 *   -----------------------  -------------------  ------------------  ----------------------------
 *   fanfare_abi_version      any                  nothing             -
 *
 *   fanfare_strerror         any                  nothing             its text is static
 *
 *   fanfare_options_init     any                  nothing             the struct: the caller
 *   fanfare_options_problem  any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *
 *   fanfare_topic_new        any                  nothing             the topic: the caller
 *   fanfare_topic_free       one, after all other nothing             none: the topic is gone
 *                            calls with it
 *   fanfare_subscription_covers
 *                            any                  nothing             what was passed: the caller
 *
 *   fanfare_hub_new          any                  threads to start,   the hub: the caller
 *                                                 the disk, and the
 *                                                 cluster's server
 *   fanfare_hub_close        any, several at once 2 s, for clients    the hub: the caller
 *   fanfare_hub_free         one, after all other 2 s, for clients    none: the hub is gone
 *                            calls with the hub
 *
 *   fanfare_hub_publish      any, several at once another publisher   what was passed: the caller
 *   fanfare_hub_publish_to   any, several at once another publisher   what was passed: the caller
 *   fanfare_hub_publish_wait any, several at once clients that lag,   what was passed: the caller
 *                                                 the disk and the
 *                                                 cluster's server,
 *                                                 for its timeout
 *   fanfare_hub_publish_many any, several at once the same            what was passed: the caller
 *
 *   fanfare_hub_flush        any, several at once the disk or the     the hub: the caller
 *                                                 cluster's server,
 *                                                 for its timeout
 *
 *   fanfare_hub_finish       any, several at once clients that lag,   what was passed: the caller
 *                                                 for its timeout
 *   fanfare_hub_finish_topic any, several at once clients that lag,   what was passed: the caller
 *                                                 for its timeout
 *
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
 *   fanfare_rules_count      any, several at once nothing             -
 *   fanfare_rules_get        any, several at once nothing             the struct: the caller; its
 *                                                                     text: the list
 *   fanfare_rules_free       one, after all other nothing             none: the list is gone
 *                            calls with it
 *
 *   fanfare_disconnect_reason_name
 *                            any                  nothing             its text is static
 *   fanfare_gap_reason_name  any                  nothing             its text is static
 *   fanfare_notices_new      any                  nothing             the queue: the caller
 *   fanfare_notices_free     one, after all other callbacks of the    none: the queue is gone
 *                            calls with it        log, if it gets that
 *   fanfare_notices_doorbell any                  nothing             the descriptor: the queue
 *   fanfare_notices_drain    one at a time        nothing             the array: the caller; its
 *                                                                     texts: the queue, until its
 *                                                                     next drain
 *   fanfare_notices_remove   any, several at once a drain, callbacks  -
 *                                                 of the log
 *   fanfare_hub_watch_connections
 *                            any, several at once a drain             what was passed: the caller
 *   fanfare_hub_watch_interest
 *                            any, several at once a drain             what was passed: the caller
 *   fanfare_hub_notify_space any, several at once a drain, another    what was passed: the caller
 *                                                 publisher
 *
 *   fanfare_authorizer_free  one, after all other nothing             none: the authorizer is gone
 *                            calls with it
 *   fanfare_fallback_new     any                  a drain             the fallback: the caller
 *   fanfare_fallback_take    any, several at once nothing             the descriptor: the caller
 *   fanfare_fallback_free    one, after all other nothing             none: the fallback is gone
 *                            calls with it
 *   fanfare_listen_options_init
 *                            any                  nothing             the struct: the caller
 *   fanfare_listen_options_problem
 *                            any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_hub_listen       any, several at once the system's bind   the listener: the hub
 *   fanfare_hub_listen_on    any, several at once nothing             fd: the hub, if it succeeds
 *   fanfare_listener_address any, several at once nothing             the buffer: the caller
 *   fanfare_listener_close   any, several at once nothing             none: the listener is gone
 *
 *   fanfare_grant_problem    any                  nothing             the struct: the caller; its
 *   fanfare_refusal_problem  any                  nothing             texts are static
 *   fanfare_ask_options_init any                  nothing             the struct: the caller
 *   fanfare_ask_options_problem
 *                            any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_authorizer_new_ask
 *                            any                  a drain             the authorizer: the caller
 *   fanfare_authorizer_allow any, several at once nothing             the grant: the caller
 *   fanfare_authorizer_refuse
 *                            any, several at once nothing             the refusal: the caller
 *   fanfare_authorizer_give_up
 *                            any, several at once nothing             -
 *
 *   fanfare_granted_grant    any, several at once nothing             the struct: the caller; its
 *                                                                     texts: what is granted
 *   fanfare_granted_is_current
 *                            any, several at once nothing             -
 *   fanfare_granted_free     one, after all other nothing             none: it is gone
 *                            calls with it
 *   fanfare_token_options_init
 *                            any                  nothing             the struct: the caller
 *   fanfare_token_options_problem
 *                            any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_keys_problem     any                  nothing             the buffer: the caller
 *   fanfare_tokens_new       any                  nothing             the tokens: the caller
 *   fanfare_tokens_set_keys  any, several at once a token's check     the keys: the caller
 *   fanfare_tokens_verify    any, several at once nothing             what is granted: the caller
 *   fanfare_tokens_free      one, after all other nothing             none: the tokens are gone
 *                            calls with them
 *   fanfare_ticket_options_init
 *                            any                  nothing             the struct: the caller
 *   fanfare_ticket_options_problem
 *                            any                  nothing             the struct: the caller; its
 *   fanfare_access_options_problem                                    texts are static
 *   fanfare_tickets_new      any                  nothing             the tickets: the caller
 *   fanfare_tickets_issue    any, several at once another such call   the ticket: by value
 *   fanfare_tickets_look_up  any, several at once another such call   what is granted: the caller
 *   fanfare_tickets_redeem   any, several at once another such call   what is granted: the caller
 *   fanfare_tickets_free     one, after all other nothing             none: the tickets are gone
 *                            calls with them
 *   fanfare_authorizer_new_tickets
 *                            any                  nothing             the authorizer: the caller
 *   fanfare_signing_key_new  any                  nothing             the key: the caller
 *   fanfare_signing_key_sign any, several at once nothing             the buffer: the caller
 *   fanfare_signing_key_free one, after all other nothing             none: the key is gone
 *                            calls with it
 *
 *   fanfare_stream_options_init
 *                            any                  nothing             the struct: the caller
 *   fanfare_stream_options_problem
 *                            any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_hub_subscribe    any, several at once nothing             the stream: the caller
 *   fanfare_stream_next      any, one at a time   timeout_ms          the batch: the stream
 *   fanfare_stream_notify    any, one at a time   a drain             -
 *   fanfare_stream_id        any, several at once nothing             -
 *   fanfare_stream_end       any, several at once nothing             -
 *   fanfare_stream_is_complete
 *                            any, several at once nothing             -
 *   fanfare_stream_headers   any                  nothing             the header fields are static
 *   fanfare_stream_free      one, after all other a drain             none: the stream is gone
 *                            calls with the stream
 *
 *   fanfare_listener_admit   any, several at once nothing             fd: the hub, if it succeeds
 *   fanfare_listener_has_streams_at
 *                            any, several at once nothing             what was passed: the caller
 *   fanfare_listener_is_named
 *                            any, several at once nothing             what was passed: the caller
 *   fanfare_hub_adopt        any, several at once nothing             fd: the hub, if it succeeds
 *
 *   fanfare_connection_state_name
 *                            any                  nothing             its text is static
 *   fanfare_hub_connections  any, several at once 10 s, for the hub   the list: the caller
 *   fanfare_hub_connection   any, several at once 10 s, for the hub   the list: the caller
 *   fanfare_connections_count
 *                            any, several at once nothing             -
 *   fanfare_connections_get  any, several at once nothing             the struct: the caller; its
 *                                                                     texts: the list
 *   fanfare_connections_free one, after all other nothing             none: the list is gone
 *                            calls with it
 *   fanfare_hub_subscribers  any, several at once 10 s, for the hub   -
 *   fanfare_hub_subscription_counts
 *                            any, several at once 10 s, for the hub   the list: the caller
 *   fanfare_subscription_counts_count
 *                            any, several at once nothing             -
 *   fanfare_subscription_counts_get
 *                            any, several at once nothing             the struct: the caller; its
 *                                                                     texts: the list
 *   fanfare_subscription_counts_free
 *                            one, after all other nothing             none: the list is gone
 *                            calls with it
 *   fanfare_hub_cluster_connections
 *                            any, several at once timeout, for nodes  the list and structs: the
 *                                                                     caller
 *   fanfare_hub_cluster_subscribers
 *                            any, several at once timeout, for nodes  what was passed: the caller
 *   fanfare_hub_disconnect   any, several at once 10 s, for the hub   -
 *   fanfare_hub_disconnect_tag
 *                            any, several at once 10 s, for the hub   what was passed: the caller
 *   fanfare_hub_disconnect_subscription
 *                            any, several at once 10 s, for the hub   what was passed: the caller
 *   fanfare_hub_disconnect_all
 *                            any, several at once 10 s, for the hub   -
 *   fanfare_hub_set_subscriptions
 *                            any, several at once 10 s, for the hub   what was passed: the caller
 *
 *   fanfare_drain_options_init
 *                            any                  nothing             the struct: the caller
 *   fanfare_drain_options_problem
 *                            any                  nothing             the struct: the caller; its
 *                                                                     texts are static
 *   fanfare_hub_drain        any, several at once its window and grace, the hub: the caller
 *                                                 and 2 s, for clients
 *
 *   fanfare_hub_metrics      any, several at once another publisher   the struct: the caller
 *   fanfare_hub_prometheus   any, several at once another publisher   the buffer: the caller
 *
 *   fanfare_log_set          any, several at once callbacks that run  the user data: the callback,
 *                                                                     until its destructor
 *   fanfare_log_watch        any, several at once callbacks that run, -
 *                                                 a drain
 *
 * The inline functions, from fanfare_text_of on, only put a struct together, those that end with
 * _defaults by a call of its _init if it has one: any thread, no waiting, nothing to free. No
 * function may be called from a signal handler. No thread of the library calls into the program, but
 * for the log's callback if there is one, and the library keeps no pointer to the program's memory
 * after a call, but for that callback's user data.
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
 * changed nothing, unless its comment says otherwise. The exception is FANFARE_ERR_PANIC, a defect of
 * the library, which any function that returns a status may return, and which is not repeated below.
 *
 * Structs that may grow begin with their size. Zero is the default of each field that a later
 * version adds, so that a program may be older or newer than the library that it finds.
 *
 * Of the fields that there are, zero is the default in an enumeration, a text, a list and a flag. A number
 * is what it says: 0 is none, or no bound, or no time, as its description has it, and its default is what
 * the struct's _init or _defaults puts there. Where 0 of a number stands for another one, its description
 * says so. A number of fanfare_topic_options that says nothing is FANFARE_UNSET, since 0 keeps nothing. A
 * field named reserved has to be 0.
 *
 * Fork
 *
 * The child of a fork has the memory of a hub, but not its threads. In the child each call with
 * such a hub returns FANFARE_ERR_FORKED and does nothing, and fanfare_hub_free leaves it as it is.
 * The child makes a hub of its own; the parent's goes on. The same holds for queues of notices,
 * streams, authorizers, fallbacks, tokens, tickets, signing keys and what is granted. Handles of topics,
 * and lists (of connections, of counts of subscribers, of rules), belong to no process: they work in the
 * child as well, which frees its own.
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
 */

#ifndef FANFARE_H
#define FANFARE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 1. Version ----------------------------------------------------------------------------- */

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

/* ---- 2. Status ------------------------------------------------------------------------------ */

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
   * The hub, or what else the call is for, was made before a fork. Make a new one in the child.
   */
  FANFARE_ERR_FORKED = -3,
  /**
   * The hub is closed; or it is being drained, and the call would bring a client in, as
   * `fanfare_hub_listen`, `fanfare_hub_subscribe` and `fanfare_hub_adopt` do. Make a new one.
   */
  FANFARE_ERR_CLOSED = -4,
  /**
   * Too many bytes wait to be sent, and nothing was published. Try again a little later, or when
   * `fanfare_hub_notify_space` says so.
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
   * A text is not UTF-8. Encode it as UTF-8.
   */
  FANFARE_ERR_UTF8 = -8,
  /**
   * The event is larger than the option event_bytes_max; or more than 4 MiB were read of a connection
   * that a listener is to admit; or a token would have more than 8 KiB. Publish less or raise the option;
   * read less; grant fewer topics.
   */
  FANFARE_ERR_TOO_LARGE = -9,
  /**
   * An option is out of its bounds, or one is set that only a newer library knows.
   * The function of the struct that ends with _problem, if it has one, says which. Correct it.
   */
  FANFARE_ERR_OPTIONS = -10,
  /**
   * The address cannot be read, is in use, or may not be bound. Give one such as 127.0.0.1:8080
   * or unix:/run/app.sock that is free.
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
   * What an id, a listener or a token names is not there any more: the connection has ended; the
   * listener is closed; the request was answered, has waited for too long, or its client has left; or no
   * source of notices has the token. There is nothing to do.
   */
  FANFARE_ERR_STALE = -18,
  /**
   * As many connections, subscriptions, rules, tickets, sources of notices, asks for space or queues that
   * get the log are there as are allowed.
   * Raise the option, if there is one, or try again when there are fewer.
   */
  FANFARE_ERR_LIMIT = -19,
  /**
   * The engine is asked for more at once than it keeps a queue for; or another thread is in a call with
   * the same stream; or the client whose subscriptions are to change is still being sent what it has
   * missed; or the ticket's stream is connected; or the call is in the log's callback. Try again a little
   * later, and in the last case from elsewhere.
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
  /**
   * The program has set a logger of its own, in Rust. Take the library's records from that.
   */
  FANFARE_ERR_LOGGER = -29,
  /**
   * The token or the ticket is not valid, or no longer. Answer its client 401.
   */
  FANFARE_ERR_TOKEN = -30,
  /**
   * The journal in the option data_dir cannot be opened, since another hub has it, say, or is damaged; or
   * it could not be written for ten seconds, and nothing was published; or the hub has none. The log says
   * why: mend that, and try again.
   */
  FANFARE_ERR_JOURNAL = -31,
  /**
   * The hub could not join the cluster of the option cluster_url, since the server does not serve it or
   * the library was built without clusters; or the server has taken nothing for ten seconds, and nothing
   * was published; or it does not pass a question on, or the hub is in no cluster. The log says why: mend
   * that, and try again.
   */
  FANFARE_ERR_CLUSTER = -32,
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

/* ---- 3. Text -------------------------------------------------------------------------------- */

/**
 * A text, or bytes, by pointer and length: UTF-8 that needs no NUL at its end, and in which a NUL
 * is a character like any other.
 *
 * {NULL, 0} is no text at all. A pointer that is not NULL with a length of 0 is the empty text;
 * where a text may be absent, such as in an event, the two differ. NULL with any other length is
 * `FANFARE_ERR_ARGUMENT`, as is a length of more than half of the address space.
 *
 * A text that is passed to a function stays the caller's. It is copied before the function
 * returns, and need not live longer. A text that a function gives out is never freed by itself: it is
 * static, or in the memory of an object or a struct, as the function or the struct says, and valid as
 * long as that.
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

/* ---- 4. Options ----------------------------------------------------------------------------- */

/**
 * The bit in a set of policies that says that the set is to be taken as it is.
 */
#define FANFARE_POLICIES_THESE 1

/**
 * The values of a `fanfare_envelope`.
 */
typedef enum fanfare_envelope_code {
  /**
   * Nothing.
   */
  FANFARE_ENVELOPE_NONE = 1,
  /**
   * A JSON object that says the event's topic.
   */
  FANFARE_ENVELOPE_JSON = 2,
} fanfare_envelope_code;

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
 * The values of a `fanfare_durability`. Publishers that wait are answered when it holds.
 */
typedef enum fanfare_durability_code {
  /**
   * Events survive the process, but not a machine that loses its power.
   */
  FANFARE_DURABILITY_OS = 1,
  /**
   * The same; and the disk has each event at most the option sync_interval_ms later.
   */
  FANFARE_DURABILITY_INTERVAL = 2,
  /**
   * The disk has the event.
   */
  FANFARE_DURABILITY_ALWAYS = 3,
} fanfare_durability_code;

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
 * The values of a `fanfare_start`.
 */
typedef enum fanfare_start_code {
  /**
   * With what is published from now on.
   */
  FANFARE_START_NOW = 1,
  /**
   * With the newest event of each topic that is kept.
   */
  FANFARE_START_LATEST = 2,
  /**
   * With as many of the newest events as the field beside this one says.
   */
  FANFARE_START_LAST = 3,
  /**
   * With all events that are kept.
   */
  FANFARE_START_EARLIEST = 4,
} fanfare_start_code;

/**
 * What is around an event's data in a stream: one of the constants of `fanfare_envelope_code`, or 0,
 * which is FANFARE_ENVELOPE_NONE.
 */
typedef uint32_t fanfare_envelope;

/**
 * What a stream is sent when there is nothing else: one of the constants of `fanfare_heartbeat_code`,
 * or 0 for the hub's.
 */
typedef uint32_t fanfare_heartbeat;

/**
 * What is promised of events that a hub with a data_dir has accepted: one of the constants of
 * `fanfare_durability_code`, or 0 for the default.
 */
typedef uint32_t fanfare_durability;

/**
 * What happens to a connection that lags too far: one of the constants of `fanfare_policy_code`, or 0
 * for what decides otherwise.
 */
typedef uint32_t fanfare_policy;

/**
 * Where a stream begins: one of the constants of `fanfare_start_code`, or 0 for what decides
 * otherwise. Beside it is the number of events that FANFARE_START_LAST takes.
 */
typedef uint32_t fanfare_start;

/**
 * How a hub behaves and where its bounds are. `fanfare_options_defaults` makes one with every
 * default; change what should differ. Without that helper set `size` to
 * `sizeof(fanfare_options)` and call `fanfare_options_init`.
 *
 * The names, units, bounds and defaults are those of docs/options.md, with the unit of a time at
 * the end of its name. The text stays the caller's.
 *
 * The struct grows at its end only. So a program that was built with a newer header runs with this library
 * as long as it sets no option that the library does not know, which `fanfare_options_init` leaves
 * zero: one that is not zero is refused with `FANFARE_ERR_OPTIONS`.
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
  uint32_t any_host;
  /**
   * 0; keeps the fields behind it where they are on every system.
   */
  uint32_t reserved;
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
  /**
   * The path of a folder in which the hub keeps what it keeps in memory as well, so that a hub which is
   * started with it later has the same events, finished topics and rules, and clients come back with
   * the ids that they had. It is made if it is missing, and belongs to one hub at a time. {NULL, 0}
   * is none: then everything ends with the process.
   * Bounds: a folder that can be written, or that can be made. Default: none.
   */
  fanfare_text data_dir;
  /**
   * What is promised of events that were accepted, if there is a data_dir: one of the constants of
   * `fanfare_durability_code`, or 0.
   * Bounds: os, interval or always. Default: interval.
   */
  fanfare_durability durability;
  /**
   * 0; keeps the fields behind it where they are on every system.
   */
  uint32_t reserved_too;
  /**
   * How long an event may be with the operating system alone before the disk is told to take it, if the
   * durability is interval.
   * Bounds: 1 ms to 1 min. Default: 50 ms.
   */
  uint64_t sync_interval_ms;
  /**
   * A publisher finds the hub full when this many bytes wait to be written into the data_dir.
   * Bounds: at least 1 byte. Default: 16 MiB.
   */
  uint64_t journal_backlog_bytes_max;
  /**
   * The URL of the Redis or Valkey server of a cluster, version 6.2 or later: hubs that have the same server
   * and the same cluster_prefix have one order of events, and what is published at one of them reaches the
   * clients of all. redis://USER:PASSWORD@HOST:PORT/DATABASE, of which the host alone is needed,
   * redis+unix:///PATH, or by Sentinels redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DATABASE.
   * {NULL, 0} is no cluster. Not together with data_dir. A library without clusters, or without TLS for rediss:// and rediss+sentinel://,
   * refuses to make the hub.
   * At most 4,096 bytes.
   * Bounds: redis://, rediss://, redis+unix://, redis+sentinel:// or rediss+sentinel:// with a host. Default: none.
   */
  fanfare_text cluster_url;
  /**
   * What the names of all keys begin with, in braces, on the cluster's server. {NULL, 0} is the default.
   * Bounds: 1 to 128 letters, digits and -_.:. Default: fanfare.
   */
  fanfare_text cluster_prefix;
  /**
   * The path of a file with the certificates, in PEM, of those who may vouch for the server's certificate, for
   * a library with TLS. {NULL, 0} stands for those that the system has.
   * Bounds: the path of a file. Default: none.
   */
  fanfare_text cluster_ca_file;
  /**
   * How many events the cluster's stream keeps at least, for hubs that come late.
   * Bounds: 1,000 to 1,000,000,000. Default: 1,000,000.
   */
  uint64_t cluster_stream_events_max;
  /**
   * After how many bytes the cluster's stream is cut all the same, without what the server adds.
   * Bounds: at least 1 MiB. Default: 1 GiB.
   */
  uint64_t cluster_stream_bytes_max;
  /**
   * A publisher finds the hub full when this many bytes of its events are on their way through the
   * cluster's server.
   * Bounds: at least 64 KiB. Default: 16 MiB.
   */
  uint64_t cluster_backlog_bytes_max;
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

/* ---- 5. Event ------------------------------------------------------------------------------- */

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
 * A length of 0 means that the event is accepted but its id is not known yet. A hub of its own knows every
 * id at once. A hub of a cluster gets its ids from the cluster's server: `fanfare_hub_publish`,
 * `fanfare_hub_publish_to`, and other functions with a timeout of 0, return before the id is known; those
 * that wait know it, unless their time was over before.
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

/* ---- 6. Topic ------------------------------------------------------------------------------- */

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

/**
 * Tells whether a topic or filter stands for all that another one stands for: `*covers_out` is 1 then,
 * and else 0. A grant of the first allows a stream of the other, as listeners decide it: `a/#` covers `a`,
 * `a/b`, `a/+` and `a/b/#`, a topic covers itself alone, and neither `#` nor `+/b` covers what begins with
 * `$`. The two are compared level by level, so that `+/#` does not cover `#`.
 *
 * Threads: any. Ownership: what is passed stays the caller's. Errors: `FANFARE_ERR_SUBSCRIPTION` when one
 * of the two is neither a topic nor a filter, `FANFARE_ERR_ARGUMENT`, or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_subscription_covers(fanfare_text subscription,
                                           fanfare_text other,
                                           uint32_t *covers_out);

/* ---- 7. Hub --------------------------------------------------------------------------------- */

/**
 * The engine: one order of events, the threads that serve its connections, and its listeners.
 * Opaque, and always used by pointer. `fanfare_hub_new` makes it and `fanfare_hub_free` frees it;
 * in between every other function may be called with it from any thread at once.
 */
typedef struct fanfare_hub fanfare_hub;

/**
 * Makes a hub and starts its threads. `options` may be NULL for the defaults. On success
 * `*hub_out` is the hub. With the option data_dir it reads what is there before; with cluster_url it waits
 * for at most 10 s for the cluster's server, and then until it has read what the cluster's stream has.
 *
 * Threads: any. Ownership: the options stay the caller's; the hub is the caller's, to be freed with
 * `fanfare_hub_free`. Errors: `FANFARE_ERR_ARGUMENT`; `FANFARE_ERR_OPTIONS`, and
 * `fanfare_options_problem` says which option; `FANFARE_ERR_SYSTEM`; `FANFARE_ERR_JOURNAL` and
 * `FANFARE_ERR_CLUSTER`, and the log says why.
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

/* ---- 8. Publishing -------------------------------------------------------------------------- */

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
 * publisher's. In a cluster it has the length 0: the event is on its way to the cluster's server, which gives
 * it its id.
 *
 * Threads: any, several at once; every client gets all events in one order. Ownership: `topic`,
 * `event` and its texts stay the caller's. Errors, after each of which nothing was published to
 * any client: `FANFARE_ERR_FULL` when too many bytes wait to be sent (try again a little later, or when
 * `fanfare_hub_notify_space` says so),
 * `FANFARE_ERR_TOPIC`, `FANFARE_ERR_EVENT`, `FANFARE_ERR_UTF8`, `FANFARE_ERR_TOO_LARGE`,
 * `FANFARE_ERR_FINISHED`, `FANFARE_ERR_JOURNAL` or `FANFARE_ERR_CLUSTER` when the disk or the cluster's
 * server has taken nothing for ten seconds, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED`,
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
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
 * Within the same time it then waits until the event is as safe as the option durability promises, or in a
 * cluster until the event's id is known. When that time is over the event is published all the same, and the
 * call succeeds.
 *
 * With a timeout a topic is looked up by its name, also when its handle is given. A program that
 * publishes to a topic often tries `fanfare_hub_publish_to` first, and calls this after
 * `FANFARE_ERR_FULL` alone.
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
 * behind it are not. The whole call waits for at most `timeout_ms`, as `fanfare_hub_publish_wait` does;
 * only with 0 is the topic of a single handle found without its name. With a timeout each event is waited for
 * before the next: with a data_dir or in a cluster it is faster to publish them with 0, and then to call
 * `fanfare_hub_flush`.
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

/* ---- 9. Finishing --------------------------------------------------------------------------- */

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

/**
 * Waits until everything that was published before, by any thread, is as safe as the option durability
 * promises, for at most `timeout_ms`; 0 does not wait, and `UINT64_MAX` has no bound. It is for a
 * program that publishes many events without waiting and then wants to know once;
 * `fanfare_hub_publish_wait` waits for its own event already, within its time. In a cluster it waits until
 * the cluster's server has everything that was published here.
 *
 * Threads: any, several at once; it may wait for the disk, or the cluster's server. Ownership: the hub stays
 * the caller's. Errors, after each of which the events are published all the same: `FANFARE_ERR_TIMEOUT`
 * when they were not written within the time; `FANFARE_ERR_JOURNAL` when they cannot be written, or the hub
 * has neither a data_dir nor a cluster; `FANFARE_ERR_CLUSTER` when the cluster's server cannot be reached;
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_flush(const fanfare_hub *hub,
                                 uint64_t timeout_ms);

/* ---- 10. Rules ------------------------------------------------------------------------------ */

/** What a number of `fanfare_topic_options` is that says nothing: `UINT64_MAX`. */
#define FANFARE_UNSET 18446744073709551615u

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
  /**
   * 0; keeps the struct's end where it is on every system.
   */
  uint32_t reserved;
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
                                       uint32_t *removed_out);

/**
 * Lists the rules of a hub, in no order, and what the topics of each hold at the moment. On success
 * `*list_out` is the list.
 *
 * Threads: any, several at once. Ownership: the list is the caller's, to be freed with
 * `fanfare_rules_free`. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_hub_rules(const fanfare_hub *hub, fanfare_rules **list_out);

/**
 * Returns the length of a list; 0 for NULL.
 *
 * Threads: any, several at once. Errors: none.
 */
size_t fanfare_rules_count(const fanfare_rules *list);

/**
 * Reads one rule of a list. `rule_out->size` has to be set before, as `fanfare_rule_empty` does, and
 * stays as it is.
 *
 * Threads: any, several at once. Ownership: the struct stays the caller's; its text is the list's, and
 * valid until that is freed. Errors: `FANFARE_ERR_ARGUMENT` when a pointer is NULL, the list has no rule
 * at `index`, or the size is that of no version.
 */
fanfare_status fanfare_rules_get(const fanfare_rules *list,
                                 size_t index,
                                 fanfare_rule *rule_out);

/**
 * Frees a list of rules, and the texts that were read of it. NULL does nothing.
 *
 * Threads: any one, while no other call with this list is under way, and none comes afterwards.
 * Ownership: the list is gone. Errors: none.
 */
void fanfare_rules_free(fanfare_rules *list);

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

/* ---- 11. Notices ---------------------------------------------------------------------------- */

/**
 * A header field of HTTP: a name and a value. It never grows, so that it has no size.
 */
typedef struct fanfare_header {
  /**
   * Its name, such as `X-Robots-Tag`.
   */
  fanfare_text name;
  /**
   * Its value: visible ASCII, spaces and tabs.
   */
  fanfare_text value;
} fanfare_header;

#ifndef FANFARE_DECLARATIONS_ONLY

/** A header field of these texts. */
static inline fanfare_header fanfare_header_of(fanfare_text name, fanfare_text value)
{
  fanfare_header header;
  header.name = name;
  header.value = value;
  return header;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* What a hub tells its host goes through a queue. A host that waits in poll:
 *
 *     fanfare_notice batch[64];
 *     struct pollfd doorbell = {-1, POLLIN, 0};
 *     size_t count, i;
 *
 *     fanfare_notices_doorbell(notices, &doorbell.fd);
 *     while (poll(&doorbell, 1, -1) == 1) {
 *         fanfare_notices_drain(notices, batch, sizeof batch[0], 64, &count);
 *         for (i = 0; i < count; i++)
 *             if (batch[i].kind == FANFARE_NOTICE_CONNECTED)
 *                 printf("%.*s has come\n", (int)batch[i].addr.length, batch[i].addr.data);
 *     }
 */

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
 * The values of a `fanfare_gap_reason`, by which `fanfare_metrics` counts them; none is ever renumbered.
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
  /**
   * Events were published, and lost with the hub's process or machine before its journal had them as
   * safely as the option durability promises; or they were lost with the cluster's server, or cut off
   * its stream before the hub had read them.
   */
  FANFARE_GAP_LOST = 5,
} fanfare_gap_reason_code;

/**
 * Why a connection ended: one of the constants of `fanfare_disconnect_reason_code`. A newer library
 * may have reasons that this header does not have.
 */
typedef int32_t fanfare_disconnect_reason;

/**
 * Why a client is told of a gap: one of the constants of `fanfare_gap_reason_code`. A newer library may
 * have reasons that this header does not have.
 */
typedef int32_t fanfare_gap_reason;

/**
 * Returns a reason's short name, such as "client_closed", for logs and metrics; "unknown" for a
 * number that is none.
 *
 * Threads: any. Ownership: the text is static. Errors: none.
 */
fanfare_text fanfare_disconnect_reason_name(fanfare_disconnect_reason reason);

/**
 * Returns the short name that a gap's reason has in gap events and metrics, such as "expired";
 * "unknown" for a number that is none.
 *
 * Threads: any. Ownership: the text is static. Errors: none.
 */
fanfare_text fanfare_gap_reason_name(fanfare_gap_reason reason);

/**
 * The most bytes of a record's message.
 */
#define FANFARE_LOG_BYTES_MAX 1024

/**
 * The values of a `fanfare_log_level`. Each has those before it as well.
 */
typedef enum fanfare_log_level_code {
  /**
   * Nothing.
   */
  FANFARE_LOG_OFF = 0,
  /**
   * Something has failed that clients notice.
   */
  FANFARE_LOG_ERROR = 1,
  /**
   * Something that an operator should know. Clients do not set the rate of records up to the next
   * level.
   */
  FANFARE_LOG_WARN = 2,
  /**
   * What happens seldom, and is in order.
   */
  FANFARE_LOG_INFO = 3,
  /**
   * What happens with each connection.
   */
  FANFARE_LOG_DEBUG = 4,
  /**
   * Everything.
   */
  FANFARE_LOG_TRACE = 5,
} fanfare_log_level_code;

/**
 * How much is logged, or how important a record is: one of the constants of
 * `fanfare_log_level_code`.
 */
typedef int32_t fanfare_log_level;

/**
 * One record of the log, which is there until the callback returns, or, of a notice, until the next
 * drain of its queue. The struct grows at its end only.
 */
typedef struct fanfare_log_record {
  /**
   * The size of the struct as the library knows it, in bytes: what is beyond it is not there.
   */
  size_t size;
  /**
   * The part of the library that it is from, such as fanfare::hub.
   */
  fanfare_text target;
  /**
   * What has happened: UTF-8 on one line, of at most `FANFARE_LOG_BYTES_MAX` bytes.
   */
  fanfare_text message;
  /**
   * How important it is.
   */
  fanfare_log_level level;
  /**
   * 1 if the message was longer and was cut at the end of a character; else 0.
   */
  uint32_t is_cut;
} fanfare_log_record;

/**
 * The values of a `fanfare_notice_kind`.
 */
typedef enum fanfare_notice_kind_code {
  /**
   * A connection became an event stream: `id`, `tag`, `addr` and `subscriptions` are its own.
   */
  FANFARE_NOTICE_CONNECTED = 1,
  /**
   * A connection ended: also `reason`, `lasted_ms`, `events` and `bytes` are set.
   */
  FANFARE_NOTICE_DISCONNECTED = 2,
  /**
   * What `subscriptions` has, one topic or filter, got its first subscriber.
   */
  FANFARE_NOTICE_WANTED = 3,
  /**
   * What `subscriptions` has, one topic or filter, has had no subscriber for the grace time.
   */
  FANFARE_NOTICE_UNWANTED = 4,
  /**
   * A request for a stream waits for the host's answer: `id` is the request's, `request` what it
   * says, `addr` its client's, and `subscriptions` what the stream would be subscribed to, which is
   * nothing if the client leaves it to the grant. `fanfare_authorizer_new_ask` says how it is
   * answered.
   */
  FANFARE_NOTICE_AUTHORIZATION = 5,
  /**
   * A stream that the host reads has something to read, or has ended. It comes once, and again
   * only after the host has read all there was.
   */
  FANFARE_NOTICE_READABLE = 6,
  /**
   * No more notices of the source with this token come: its hub is closed, or the connections'
   * notices of the hub go elsewhere.
   */
  FANFARE_NOTICE_ENDED = 7,
  /**
   * A connection with a request for a path without streams waits for the host: `id` is the
   * connection's, `addr` its client's, `peer` and `is_proxy` say who sends it, and `request->content`,
   * of which nothing else is set, is what was read of it: at least the request's head.
   * `fanfare_fallback_new` says how it is taken.
   */
  FANFARE_NOTICE_UNHANDLED = 8,
  /**
   * There is space for what a publisher has found no space for, see `fanfare_hub_notify_space`. It
   * comes once.
   */
  FANFARE_NOTICE_SPACE = 9,
  /**
   * A record of the library's log, `log`; see `fanfare_log_watch`.
   */
  FANFARE_NOTICE_LOG = 10,
} fanfare_notice_kind_code;

/**
 * Names one connection of a hub for as long as it lives, and nothing afterwards: the id of a
 * connection that has ended is refused with `FANFARE_ERR_STALE`, also when another connection has
 * its place. 0 is the id of none. Ids have no order, and each hub has its own.
 */
typedef uint64_t fanfare_connection_id;

/**
 * What a notice is about: one of the constants of `fanfare_notice_kind_code`. A newer library may
 * have kinds that this header does not have; leave those out.
 */
typedef int32_t fanfare_notice_kind;

/**
 * What a request for a stream says. Its texts are the queue's, and valid until the next drain.
 */
typedef struct fanfare_request {
  /**
   * The size of the struct as the library knows it, in bytes.
   */
  size_t size;
  /**
   * The method: `GET`, `HEAD`, or `POST` where the route has it.
   */
  fanfare_text method;
  /**
   * The path of the target, percent-encoded.
   */
  fanfare_text path;
  /**
   * The query of the target as it was sent, without its `?`.
   */
  fanfare_text query;
  /**
   * All header fields, in their order. A value that is not UTF-8 is read as ISO-8859-1.
   */
  const fanfare_header *headers;
  /**
   * How many there are.
   */
  size_t headers_count;
  /**
   * The content of a `POST`; the empty text for `GET`. It may be any bytes.
   */
  fanfare_text content;
  /**
   * The id of the last event that the client had, if it comes back. It is what the client says.
   */
  fanfare_text last_event_id;
} fanfare_request;

/**
 * Something that happened, as `fanfare_notices_drain` writes it. What a kind does not have is zero,
 * or {NULL, 0}. The texts are the queue's, and valid until the next drain of the queue.
 *
 * The struct grows at its end only.
 */
typedef struct fanfare_notice {
  /**
   * What happened; it says which of the fields are set.
   */
  fanfare_notice_kind kind;
  /**
   * Why a connection ended.
   */
  fanfare_disconnect_reason reason;
  /**
   * What the host has given with the source, such as the hub that it belongs to.
   */
  uint64_t token;
  /**
   * The connection, a `fanfare_connection_id`, or the request for a stream.
   */
  uint64_t id;
  /**
   * When it happened, in milliseconds since 1970-01-01 00:00 UTC.
   */
  uint64_t at_unix_ms;
  /**
   * The notices of this source that were lost since the one before, because its queue was full.
   */
  uint64_t lost;
  /**
   * What the client calls itself. A label that any client can claim; no text if it has none.
   */
  fanfare_text tag;
  /**
   * The client's address and port, such as `192.0.2.7:50000` or `[2001:db8::7]:50000`; no text if it
   * has none, as at a Unix domain socket.
   */
  fanfare_text addr;
  /**
   * What a connection is, or was, subscribed to, each once, in no order.
   */
  const fanfare_text *subscriptions;
  /**
   * The number of these.
   */
  size_t subscriptions_count;
  /**
   * For how long a connection was an event stream, in milliseconds.
   */
  uint64_t lasted_ms;
  /**
   * The number of events that its socket took whole.
   */
  uint64_t events;
  /**
   * Bytes of events that its socket took, without what HTTP adds, and without heartbeats.
   */
  uint64_t bytes;
  /**
   * What a request for a stream says; NULL where there is none.
   */
  const fanfare_request *request;
  /**
   * Where a connection of a fallback is from, if a header field of the request has said `addr`: then it
   * is a proxy's, and a later request on it may be another client's. Otherwise the same as `addr`.
   */
  fanfare_text peer;
  /**
   * 1: the `addr` of a connection of a fallback is that of a trusted proxy which names no client. 0: it
   * is a client's.
   */
  uint32_t is_proxy;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * A record of the log; NULL where there is none.
   */
  const fanfare_log_record *log;
} fanfare_notice;

/**
 * A queue of notices: what a host is told of its hubs. Opaque, and always used by pointer.
 * `fanfare_notices_new` makes it and `fanfare_notices_free` frees it.
 *
 * A host adds what it wants to be told of, each with a token of its own choice, which comes back
 * in each notice; waits until the doorbell, a descriptor, is readable; and drains the queue. No
 * thread of the library waits for that or calls the host: what a slow host cannot be told is
 * bounded, and counted in the next notice.
 *
 * The doorbell is readable from the first notice that waits until a drain has taken the last one.
 * It is one end of a pair of connected stream sockets that do not block, so that every event loop
 * takes it:
 *
 * - poll, epoll, kqueue, select, asyncio's add_reader: wait until it is readable, drain, wait
 *   again. Nothing has to be read from it; a drain empties it. Edge-triggered works as well: each
 *   drain that leaves notices makes a new edge.
 * - Runtimes that read what they wait at, such as libuv's streams, Node.js's net.Socket and Go's
 *   os.File: drain after each read, whatever was read. A drain that leaves notices sends a byte
 *   again, so that one drain for each read is enough.
 * - Threads: one thread that waits in poll and drains.
 *
 * The descriptor is the queue's, which closes it when it is freed. A runtime that closes what it
 * waits at gets a duplicate, made by dup, which is as good. Do not write to it or shut it down. It
 * may be readable although nothing waits: a drain then gives 0 notices.
 */
typedef struct fanfare_notices fanfare_notices;

/**
 * Makes a queue of notices, which is told of nothing yet. On success `*notices_out` is the queue.
 *
 * Threads: any. Ownership: the queue is the caller's, to be freed with `fanfare_notices_free`. It
 * is independent of hubs: one queue may be told of several, and either may be freed first.
 * Errors: `FANFARE_ERR_ARGUMENT`; `FANFARE_ERR_SYSTEM` when there are no descriptors.
 */
fanfare_status fanfare_notices_new(fanfare_notices **notices_out);

/**
 * Frees a queue with all that it was to be told of, and closes its descriptor. NULL does nothing.
 *
 * Threads: any one, while no other call with this queue is under way, and none comes afterwards; of a
 * queue that gets the log it waits for callbacks of the log that run.
 * Ownership: the queue is gone, with the texts of the last drain. Errors: none. In a child of the
 * process that has made it, it is left as it is.
 */
void fanfare_notices_free(fanfare_notices *notices);

/**
 * Gives the descriptor that is readable while notices wait. `*fd_out` is the same each time.
 *
 * Threads: any. Ownership: the descriptor is the queue's: do not close it, see `fanfare_notices`.
 * Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_notices_doorbell(const fanfare_notices *notices, int *fd_out);

/**
 * Takes the next notices, at most `capacity`, into an array of the caller's. `notice_size` is the
 * size of each of its elements as the caller knows it: `sizeof(fanfare_notice)`. What the library
 * does not know of a larger one is set to zero. On success `*count_out` is the number of notices,
 * which may be 0. If more wait, the doorbell stays readable, so that the caller may do something
 * else before the next drain.
 *
 * Notices of one source come in their order; sources take turns.
 *
 * Threads: any one at a time, since each drain ends the life of what the one before has given.
 * Never waits for a notice. Ownership: the array is the caller's, and the texts in the notices are
 * the queue's, valid until its next drain or its end. Errors: `FANFARE_ERR_ARGUMENT`, also for a
 * `notice_size` that no version has; `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_notices_drain(const fanfare_notices *notices,
                                     fanfare_notice *array,
                                     size_t notice_size,
                                     size_t capacity,
                                     size_t *count_out);

/**
 * Ends all sources with a token: nothing more is told of them, and what was not drained is
 * dropped. A stream that the host reads is not ended by this.
 *
 * Threads: any, several at once; waits for a drain that is under way, and of a source of the log for
 * callbacks of the log that run. Errors: `FANFARE_ERR_STALE` when no source has the token; `FANFARE_ERR_ARGUMENT` or
 * `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_notices_remove(const fanfare_notices *notices,
                                      uint64_t token);

/**
 * From now on, a notice of each connection of a hub that becomes an event stream, and of each that
 * ends: `FANFARE_NOTICE_CONNECTED` and `FANFARE_NOTICE_DISCONNECTED`, in this order for each
 * connection, with `token`. Connections that are there already are told of when they end. At most
 * `capacity` notices wait, up to 1,048,576; 0 is 10,000. One that finds as many waiting is lost; the
 * next one has in `lost` how many were.
 *
 * A hub tells one queue: where it has told another one before, that gets
 * `FANFARE_NOTICE_ENDED` and nothing more.
 *
 * Threads: any. Ownership: both stay the caller's. Errors, after each of which the queue of before is
 * told as it was: `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED`, `FANFARE_ERR_CLOSED`, or
 * `FANFARE_ERR_LIMIT` when the queue has 1,048,576 sources.
 */
fanfare_status fanfare_hub_watch_connections(const fanfare_hub *hub,
                                             const fanfare_notices *notices,
                                             uint64_t token,
                                             size_t capacity);

/**
 * From now on, a notice when a topic gets its first subscriber and when it has lost its last:
 * `FANFARE_NOTICE_WANTED` and `FANFARE_NOTICE_UNWANTED`, which alternate for each topic and filter,
 * with `token`; so that a host produces only what is watched. `subscription` says which topics:
 * one, or all of a filter such as `sensor/#`. First of all comes what has a subscriber already.
 * Clients' filters that could match such a topic are told as they are, and the host compares them
 * with its own topics.
 *
 * `grace_ms`, at most 3,600,000, is how long a topic has to be without subscribers before that is
 * told: a client that comes back within it changes nothing. No notice is lost; a host that drains
 * slowly is told how it is now, and not of what came and went meanwhile. When the hub is closed,
 * all that was wanted is told as unwanted, and then comes `FANFARE_NOTICE_ENDED`.
 *
 * Threads: any, several at once; visits all topics that begin as `subscription` does, some 6 ms per
 * 10,000. Ownership: both stay the caller's. `fanfare_notices_remove` ends it. Errors:
 * `FANFARE_ERR_SUBSCRIPTION`; `FANFARE_ERR_LIMIT` when the hub has 64 of these or the queue
 * 1,048,576 sources; `FANFARE_ERR_ARGUMENT`, also for a `grace_ms` that is too long;
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_watch_interest(const fanfare_hub *hub,
                                          const fanfare_notices *notices,
                                          uint64_t token,
                                          fanfare_text subscription,
                                          uint64_t grace_ms);

/**
 * Asks to be told once when there is space for what was refused with `FANFARE_ERR_FULL`: by
 * `FANFARE_NOTICE_SPACE` with `token`. It is for event loops, which neither wait in
 * `fanfare_hub_publish_wait` nor try again from time to time. The publication is the one that was
 * refused, for its topics, and for whether its event is spread over a time; its event may be NULL, for
 * an event that is not, or for the end of a topic. Without topics the ask is for space of the hub alone.
 *
 * The notice comes when each of the topics and the hub have space at the same time, whatever the size of
 * the event: at once if they have already. Another publisher may be faster then, so publish, and ask
 * again if that is refused. The notice also comes when there is nothing to wait for any more: when the hub
 * is closed, and when one of the topics is finished. It comes once and no other follows it;
 * `fanfare_notices_remove` takes the ask back.
 *
 * Threads: any, several at once; waits for a drain of the queue that is under way, and for another
 * publisher. Ownership: what is passed stays the caller's. Errors: `FANFARE_ERR_LIMIT` when 65,536 asks
 * of the hub wait, or the queue has 1,048,576 sources; `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_TOPIC`,
 * `FANFARE_ERR_EVENT` and `FANFARE_ERR_ARGUMENT` as of `fanfare_hub_publish_wait`;
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_hub_notify_space(const fanfare_hub *hub,
                                        const fanfare_notices *notices,
                                        uint64_t token,
                                        const fanfare_publication *publication);

/* ---- 12. Listeners -------------------------------------------------------------------------- */

/**
 * What decides which client gets which stream; a listener's options take it. Opaque, and always used
 * by pointer, `fanfare_authorizer_free` frees it. Several listeners may have the same one.
 */
typedef struct fanfare_authorizer fanfare_authorizer;

/**
 * Frees an authorizer. Listeners that have it keep it; of one that asks, requests that wait, and
 * those that come to its listeners afterwards, are told to come again. NULL does nothing.
 *
 * Threads: any one, while no other call with this authorizer is under way, and none comes afterwards.
 * Ownership: the authorizer is gone. Errors: none. In a child of the process one of the parent's is
 * left as it is.
 */
void fanfare_authorizer_free(fanfare_authorizer *authorizer);

/**
 * Where a listener's connections go whose requests are for paths without streams, so that a server of
 * the program's own answers them on the same port; a listener's options take it. Opaque, and always
 * used by pointer. `fanfare_fallback_new` makes it and `fanfare_fallback_free` frees it. Several
 * listeners may have the same one.
 */
typedef struct fanfare_fallback fanfare_fallback;

/**
 * Makes a fallback: each connection with a request for a path without streams comes as a notice
 * FANFARE_NOTICE_UNHANDLED with `token`, whose `id` is the connection's, and waits until the program
 * takes its descriptor with `fanfare_fallback_take`. At most `capacity` connections wait to be told of,
 * and as many to be taken, 1 to 65,536; requests beyond them are answered 503. They do not count as
 * connections of the hub. On success `*fallback_out` is the fallback.
 *
 * Threads: any; waits for a drain of the queue that is under way. Ownership: the fallback is the
 * caller's, to be freed with `fanfare_fallback_free`. Errors: `FANFARE_ERR_OPTIONS` when the capacity is
 * out of its bounds; `FANFARE_ERR_LIMIT` when the queue has too many sources; `FANFARE_ERR_ARGUMENT` or
 * `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_fallback_new(const fanfare_notices *notices,
                                    uint64_t token,
                                    size_t capacity,
                                    fanfare_fallback **fallback_out);

/**
 * Takes the descriptor of a connection that a notice has told of: `*fd_out` is its socket, which is
 * non-blocking. What was read of it is in the notice, `request->content`. A client that asks for events
 * on it later is given back with `fanfare_listener_admit`, and the notice's `addr`, `peer` and `is_proxy`.
 *
 * A connection that a notice has told of is held until it is taken, without a limit of time, also when
 * the fallback's token is removed from the queue meanwhile; `fanfare_fallback_free` closes those that are
 * left.
 *
 * Threads: any, several at once. Ownership: the descriptor is the caller's. Errors: `FANFARE_ERR_STALE`
 * when it was taken already; `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_fallback_take(const fanfare_fallback *fallback,
                                     uint64_t id,
                                     int *fd_out);

/**
 * Frees a fallback, and closes the connections that wait to be taken. Requests that come afterwards to
 * listeners that have it are answered 503. NULL does nothing.
 *
 * Threads: any one, while no other call with this fallback is under way, and none comes afterwards.
 * Ownership: the fallback is gone. Errors: none. In a child of the process one of the parent's is left
 * as it is.
 */
void fanfare_fallback_free(fanfare_fallback *fallback);

/**
 * A request's query may name no topics; one that does is answered 403.
 */
#define FANFARE_QUERY_TOPICS_NONE 1

/**
 * A request's query may name topics beside those of the route.
 */
#define FANFARE_QUERY_TOPICS_ANY 2

/**
 * Clients that are too many are told to come again with status 200, which a browser's `EventSource`
 * does. This is the default.
 */
#define FANFARE_OVERLOAD_COME_AGAIN 1

/**
 * Clients that are too many are answered 503.
 */
#define FANFARE_OVERLOAD_UNAVAILABLE 2

/**
 * `X-Forwarded-For: 192.0.2.1, 10.0.0.1`. This is the default.
 */
#define FANFARE_FORWARDED_X_FORWARDED_FOR 1

/**
 * `Forwarded: for=192.0.2.1` (RFC 7239).
 */
#define FANFARE_FORWARDED_FORWARDED 2

/**
 * A path of a listener with streams of its own. Set all of it to zero, and `size` to
 * `sizeof(fanfare_route)`; then at least the path. In the path `{name}` is the place of a value, which
 * goes where a subscription has the same `{name}`.
 *
 * The structs of an array all have the same size.
 */
typedef struct fanfare_route {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The path, at most 1,024 bytes, percent-encoded and without a query: `/runs/{id}/events`.
   */
  fanfare_text path;
  /**
   * What every stream of this path subscribes to, such as `run/{id}`. None: what the query names.
   */
  const fanfare_text *subscriptions;
  /**
   * How many there are, at most as many as a connection may have.
   */
  size_t subscriptions_count;
  /**
   * Header fields of the streams' answers, which replace the listener's of their names.
   */
  const fanfare_header *headers;
  /**
   * How many there are, at most 32 with the listener's.
   */
  size_t headers_count;
  /**
   * 1: `POST` opens a stream as well, and what it sends is read and ignored.
   */
  uint32_t post;
  /**
   * Whether a request's query may name topics beside `subscriptions`: one of
   * `FANFARE_QUERY_TOPICS_...`, or 0 for no if there are `subscriptions` and else yes.
   */
  uint32_t query_topics;
} fanfare_route;

/**
 * How a listener speaks to its clients, and its bounds. `fanfare_listen_options_defaults` makes one
 * with every default; change what should differ. Without that helper set `size` to
 * `sizeof(fanfare_listen_options)` and call `fanfare_listen_options_init`.
 *
 * A text of {NULL, 0} and a list of {NULL, 0} are the default. The struct grows at its end only, as
 * `fanfare_options` does. docs/options.md and docs/routes.md say more of each.
 */
typedef struct fanfare_listen_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The path of the streams whose topics the query names; the empty text for none, where there are
   * routes. Default: `/events`.
   */
  fanfare_text path;
  /**
   * A path whose `GET` is answered 200 while all shards live and else 503. Default: none.
   */
  fanfare_text health_path;
  /**
   * More paths that have streams.
   */
  const fanfare_route *routes;
  /**
   * How many there are, at most 256.
   */
  size_t routes_count;
  /**
   * Header fields of all streams' answers.
   */
  const fanfare_header *headers;
  /**
   * How many there are, at most 32 in an answer, and 4 KiB.
   */
  size_t headers_count;
  /**
   * The other origins whose pages may read the streams: `https://example.com`, `*` or `null`.
   * Default: none.
   */
  const fanfare_text *cors_origins;
  /**
   * How many there are, at most 1,024.
   */
  size_t cors_origins_count;
  /**
   * The header fields that a page's `fetch` may set. Default: `Last-Event-ID`, `Authorization`,
   * `Cache-Control` and `Content-Type`. A list that is not NULL and has no entry is none.
   */
  const fanfare_text *cors_request_headers;
  /**
   * How many there are, at most 64.
   */
  size_t cors_request_headers_count;
  /**
   * The header fields of an answer that a page may read. Default: none.
   */
  const fanfare_text *cors_exposed_headers;
  /**
   * How many there are, at most 64.
   */
  size_t cors_exposed_headers_count;
  /**
   * The names by which the listener may be addressed, besides IP addresses and `localhost`; `*` for
   * any. On a loopback address it is always checked. Default: none, or `*` if the hub's option
   * `any_host` is 1.
   */
  const fanfare_text *hosts;
  /**
   * How many there are, at most 1,024.
   */
  size_t hosts_count;
  /**
   * The proxies whose connections begin with a header of the PROXY protocol: addresses, networks
   * such as `10.0.0.0/8`, and `unix`. Default: none.
   */
  const fanfare_text *proxy_protocol_from;
  /**
   * How many there are, at most 256.
   */
  size_t proxy_protocol_from_count;
  /**
   * The proxies that are believed about their clients in the field that `forwarded_header` names.
   * Default: none.
   */
  const fanfare_text *trusted_proxies;
  /**
   * How many there are, at most 256.
   */
  size_t trusted_proxies_count;
  /**
   * What decides which client gets which stream. One of tokens and tickets may be freed afterwards; the
   * program keeps one that asks for as long as it answers, since clients are told to come again once
   * that is freed. NULL: every client gets what it asks for.
   */
  const fanfare_authorizer *authorizer;
  /**
   * Where connections go whose requests are for paths without streams. The program keeps it for as
   * long as it takes them: once it is freed they are answered 503. NULL: they are answered 404.
   */
  const fanfare_fallback *fallback;
  /**
   * 1: pages of the origins may send cookies along; not with `*` or `null`. Default: 0.
   */
  uint32_t cors_credentials;
  /**
   * The field in which `trusted_proxies` say who their client is: one of `FANFARE_FORWARDED_...`.
   */
  uint32_t forwarded_header;
  /**
   * The permission bits of the file of a Unix domain socket, at most 0777. Default: 0600.
   */
  uint32_t socket_mode;
  /**
   * What clients are told that are too many: one of `FANFARE_OVERLOAD_...`.
   */
  uint32_t overload;
  /**
   * Where the stream of a client begins that says no id and no beginning. Default: now.
   */
  fanfare_start start;
  /**
   * For `FANFARE_START_LAST`.
   */
  uint32_t start_last;
  /**
   * Where the stream of a client begins whose id is gone. Default: by the gap's reason.
   */
  fanfare_start gap_start;
  /**
   * For `FANFARE_START_LAST`.
   */
  uint32_t gap_start_last;
  /**
   * Which policies a client may choose: the bits `1u << FANFARE_POLICY_...`, and
   * `FANFARE_POLICIES_THESE` alone for none. Default: those that cost others no more than the hub's.
   */
  uint32_t policies;
  /**
   * What is around an event's data for a client that does not say it. Default: nothing.
   */
  fanfare_envelope envelope;
  /**
   * How long a browser may remember what it was told of CORS.
   * Bounds: at most 1 day. Default: 10 min.
   */
  uint64_t cors_max_age_ms;
  /**
   * The most bytes of a request's head.
   * Bounds: 64 bytes to 1 MiB. Default: 16 KiB.
   */
  uint64_t head_bytes_max;
  /**
   * The most header fields of a request.
   * Bounds: 8 to 4,096. Default: 128.
   */
  uint64_t head_fields_max;
  /**
   * The most bytes of the content of a `POST`.
   * Bounds: at most 1 MiB. Default: 64 KiB.
   */
  uint64_t body_bytes_max;
  /**
   * The longest time that a client may take for its request's head.
   * Bounds: 1 ms to 1 hour. Default: 10 s.
   */
  uint64_t head_time_max_ms;
  /**
   * The most topics and filters that one connection may want.
   * Bounds: 1 to 65,536. Default: 64.
   */
  uint64_t subscriptions_per_connection_max;
  /**
   * The most filters of one connection that begin with a wildcard.
   * Bounds: at most 65,536. Default: 4.
   */
  uint64_t wide_filters_max;
  /**
   * How many bytes may wait in the kernel for a connection; 0 leaves it to the system.
   * Bounds: at most 1 GiB. Default: 16 KiB.
   */
  uint64_t notsent_lowat_bytes;
  /**
   * The kernel's send buffer of a connection; 0 leaves it to the system.
   * Bounds: 0, or 1 KiB to 1 GiB. Default: 0.
   */
  uint64_t send_buffer_bytes;
  /**
   * For how long nothing may have come from a client before it is probed; 0 never probes.
   * Bounds: 0, or 1 s to 9 hours. Default: 15 s.
   */
  uint64_t keepalive_ms;
  /**
   * For how long what was sent may stay without acknowledgement; 0 leaves it to the system.
   * Bounds: 0, or 1 s to 1 day, and at least twice keepalive_ms. Default: 30 s.
   */
  uint64_t user_timeout_ms;
} fanfare_listen_options;

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
 * `options` is NULL or its size is that of no version.
 */
fanfare_status fanfare_listen_options_init(fanfare_listen_options *options);

/**
 * Finds the first option that `fanfare_hub_listen` would refuse: `*name_out` is its name in the
 * struct, and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
 * Of a list the name is the list's, and of a route's parts it is `routes`.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` for an authorizer or fallback of the parent's, or
 * `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_listen_options_problem(const fanfare_listen_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Options of a listener that are all at their defaults. */
static inline fanfare_listen_options fanfare_listen_options_defaults(void)
{
  fanfare_listen_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  /* It cannot fail with a size that is right. */
  (void)fanfare_listen_options_init(&options);
  return options;
}

/** A route that has this path, and whose topics the query names. */
static inline fanfare_route fanfare_route_of(fanfare_text path)
{
  fanfare_route route;
  memset(&route, 0, sizeof route);
  route.size = sizeof route;
  route.path = path;
  return route;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/**
 * A listener of a hub, by value: it need not be freed, and one that is closed is an error and nothing
 * worse. No hub has one whose `id` is 0.
 */
typedef struct fanfare_listener {
  /**
   * What tells it from the hub's others; it is never used again.
   */
  uint64_t id;
} fanfare_listener;

/**
 * Accepts clients on an address: an IP address and a port such as `127.0.0.1:8080` or `[::]:8080`;
 * `unix:/run/app.sock`, a Unix domain socket, whose file has the permissions of the options and is
 * removed with the listener; or, on Linux, `unix:@name`, an abstract name. At most 256 bytes; the name
 * of a host is refused, since looking one up could block. With port 0 the system chooses a port.
 *
 * `options` may be NULL for the defaults: streams at `/events?topic=NAME`. On success `*listener_out`
 * is the listener, and `*port_out` its port, or 0 for a Unix domain socket; either may be NULL. The
 * listener is there until `fanfare_listener_close`, or until the hub is closed. A hub may have several.
 *
 * Threads: any, several at once. Ownership: `addr` and `options` stay the caller's, the listener is the
 * hub's. Errors: `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_ADDRESS`, `FANFARE_ERR_CLOSED`,
 * `FANFARE_ERR_FORKED`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_SYSTEM`; or `FANFARE_ERR_OPTIONS`, and
 * `fanfare_listen_options_problem` says which.
 */
fanfare_status fanfare_hub_listen(const fanfare_hub *hub,
                                  fanfare_text addr,
                                  const fanfare_listen_options *options,
                                  fanfare_listener *listener_out,
                                  uint16_t *port_out);

/**
 * Accepts clients at a socket that listens already, of TCP or a Unix domain: one that the program has
 * bound, or that systemd has handed to it. It is made non-blocking and close-on-exec. When the listener
 * is closed the socket is closed but not shut down, so that another process that has it goes on to
 * accept, and no file is removed.
 *
 * Threads: any, several at once. Ownership: `fd` is the hub's when this returns `FANFARE_OK`, and
 * nobody else may close it; otherwise it stays the caller's, and may be non-blocking and close-on-exec
 * then. The one exception is `FANFARE_ERR_PANIC`, after which the caller must neither use nor close it.
 * Errors: `FANFARE_ERR_ADDRESS` when it is no socket that listens, and as of `fanfare_hub_listen`.
 */
fanfare_status fanfare_hub_listen_on(const fanfare_hub *hub,
                                     int fd,
                                     const fanfare_listen_options *options,
                                     fanfare_listener *listener_out,
                                     uint16_t *port_out);

/**
 * Writes where a listener listens into a buffer of `size` bytes, as `fanfare_hub_listen` takes it:
 * `127.0.0.1:4711`, `unix:/run/app.sock`. There is no NUL at its end. `*length_out` is its length, also
 * when the buffer is too small; `buffer` may be NULL if `size` is 0. The bytes of a path and of an
 * abstract name, `unix:@NAME`, are as they are in the system: they need not be UTF-8, and an abstract name
 * may have NULs in it.
 *
 * Threads: any, several at once. Ownership: the buffer stays the caller's. Errors:
 * `FANFARE_ERR_BUFFER`, `FANFARE_ERR_STALE` when the listener is closed, `FANFARE_ERR_ARGUMENT` or
 * `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_listener_address(const fanfare_hub *hub,
                                        fanfare_listener listener,
                                        char *buffer,
                                        size_t size,
                                        size_t *length_out);

/**
 * Closes a listener: no more clients are accepted there, and its address is free. Streams that are
 * open stay open.
 *
 * Threads: any, several at once. Ownership: the listener is gone. Errors: `FANFARE_ERR_STALE` when it
 * is closed already, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_listener_close(const fanfare_hub *hub,
                                      fanfare_listener listener);

/* ---- 13. Grants, refusals and questions ----------------------------------------------------- */

/**
 * What a client may do whose request for a stream is authorized. `fanfare_grant_of` makes one for some
 * topics; without that helper set all of it to zero, and `size` to `sizeof(fanfare_grant)`.
 *
 * A request that names topics and filters has to stay within `topics`: otherwise its client is answered
 * 403. A request that names none is subscribed to all of `topics`.
 */
typedef struct fanfare_grant {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The topics and filters that the stream may be subscribed to.
   */
  const fanfare_text *topics;
  /**
   * How many there are, at most 1,024.
   */
  size_t topics_count;
  /**
   * Header fields of the stream's answer, which replace the listener's of their names.
   */
  const fanfare_header *headers;
  /**
   * How many there are, at most 32, and 4 KiB of them.
   */
  size_t headers_count;
  /**
   * The label by which the connection is found again, 1 to 256 bytes without control characters.
   * Default: the request's own.
   */
  fanfare_text tag;
  /**
   * When the stream ends, in milliseconds since 1970; 0 for never.
   */
  uint64_t expires_at_unix_ms;
  /**
   * 1: the request may name any topics and filters.
   */
  uint32_t any_topics;
  /**
   * What happens to the connection when it lags too far. Default: what the request and the hub say.
   */
  fanfare_policy policy;
  /**
   * Where the stream begins of a client without an id, and of one whose id is gone, whatever its
   * request says. Default: what the request and the listener say.
   */
  fanfare_start start;
  /**
   * For `FANFARE_START_LAST`.
   */
  uint32_t start_last;
} fanfare_grant;

/**
 * What a client is told that gets no stream. `fanfare_refusal_of` makes one of a status; without that
 * helper set all of it to zero, and `size` to `sizeof(fanfare_refusal)`.
 */
typedef struct fanfare_refusal {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Header fields of the answer, such as `WWW-Authenticate` of a 401, or `Retry-After`.
   */
  const fanfare_header *headers;
  /**
   * How many there are, at most 32, and 4 KiB of them.
   */
  size_t headers_count;
  /**
   * The content, plain text of at most 4 KiB; a 204 has none.
   */
  fanfare_text text;
  /**
   * The status: 204, which an `EventSource` takes for the end of the stream, or 300 to 599.
   */
  uint32_t status;
  /**
   * 0; keeps the struct's end where it is on every system.
   */
  uint32_t reserved;
} fanfare_refusal;

/**
 * Finds the first part of a grant that is wrong: `*name_out` is its name in the struct, and
 * `*bounds_out` what it may be. Both are {NULL, 0} when all is within its bounds. A time that has
 * passed is no error: such a grant allows nothing.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_grant_problem(const fanfare_grant *grant,
                                     fanfare_text *name_out,
                                     fanfare_text *bounds_out);

/**
 * Finds the first part of a refusal that is wrong, as `fanfare_grant_problem` does.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_refusal_problem(const fanfare_refusal *refusal,
                                       fanfare_text *name_out,
                                       fanfare_text *bounds_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** A grant of `count` topics and filters, without an end. */
static inline fanfare_grant fanfare_grant_of(const fanfare_text *topics, size_t count)
{
  fanfare_grant grant;
  memset(&grant, 0, sizeof grant);
  grant.size = sizeof grant;
  grant.topics = topics;
  grant.topics_count = count;
  return grant;
}

/** A refusal that has this status and nothing else. */
static inline fanfare_refusal fanfare_refusal_of(uint32_t status)
{
  fanfare_refusal refusal;
  memset(&refusal, 0, sizeof refusal);
  refusal.size = sizeof refusal;
  refusal.status = status;
  return refusal;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* A program that is asked has the requests among its notices (section 11). With an authorizer of
 * fanfare_authorizer_new_ask in the options of its listener:
 *
 *     if (notice.kind == FANFARE_NOTICE_AUTHORIZATION) {
 *         if (is_logged_in(notice.request)) {
 *             fanfare_text topics[1] = {topic_of(notice.request)};
 *             fanfare_grant grant = fanfare_grant_of(topics, 1);
 *             status = fanfare_authorizer_allow(authorizer, notice.id, &grant);
 *         } else {
 *             fanfare_refusal refusal = fanfare_refusal_of(403);
 *             status = fanfare_authorizer_refuse(authorizer, notice.id, &refusal);
 *         }
 *         // FANFARE_ERR_STALE: its client has left, or has waited for too long; that is no error
 *     }
 */

/**
 * What bounds the requests that the program is asked about. `fanfare_ask_options_defaults` makes one
 * with every default.
 */
typedef struct fanfare_ask_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The most requests that wait for an answer at once, of all listeners with the authorizer. One
   * beyond them is told to come again, as by `fanfare_authorizer_give_up`.
   * Bounds: 1 to 65,536. Default: 1,024.
   */
  uint64_t waiting_max;
  /**
   * The longest time that a request waits for its answer. Then its client is told to come again.
   * Bounds: 10 ms to 10 min. Default: 5 s.
   */
  uint64_t timeout_ms;
} fanfare_ask_options;

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
 * `options` is NULL or its size is that of no version.
 */
fanfare_status fanfare_ask_options_init(fanfare_ask_options *options);

/**
 * Finds the first option that `fanfare_authorizer_new_ask` would refuse: `*name_out` is its name in the
 * struct, and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT`.
 */
fanfare_status fanfare_ask_options_problem(const fanfare_ask_options *options,
                                           fanfare_text *name_out,
                                           fanfare_text *bounds_out);

/**
 * Makes an authorizer that asks the program: each request for a stream of a listener that has it comes
 * as a notice FANFARE_NOTICE_AUTHORIZATION with `token`, whose `id` is the request's, and the client
 * waits until it is answered with `fanfare_authorizer_allow` or `fanfare_authorizer_refuse`. A client
 * that waits for longer than the options allow is told to come again, as by
 * `fanfare_authorizer_give_up`. `options` may be NULL for the defaults. On success `*authorizer_out` is the authorizer.
 *
 * The program keeps the authorizer for as long as it answers. When it is freed, or its token is removed
 * from the queue, or the queue is freed, clients that come afterwards are told to come again.
 *
 * Threads: any; waits for a drain of the queue that is under way. Ownership: the options stay the
 * caller's; the authorizer is the caller's, to be freed with `fanfare_authorizer_free`. Errors:
 * `FANFARE_ERR_OPTIONS`, and `fanfare_ask_options_problem` says which; `FANFARE_ERR_LIMIT` when the queue
 * has too many sources; `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_authorizer_new_ask(const fanfare_notices *notices,
                                          uint64_t token,
                                          const fanfare_ask_options *options,
                                          fanfare_authorizer **authorizer_out);

/**
 * Lets the client of a request have a stream within a grant. A request for topics that the grant does
 * not cover is answered 403, and so is one whose grant has expired. Never waits.
 *
 * Threads: any, several at once; of several answers to one request the first counts. Ownership: the
 * grant stays the caller's. Errors: `FANFARE_ERR_STALE` when the request was answered, has waited for
 * too long, or its client has left; `FANFARE_ERR_GRANT`, and `fanfare_grant_problem` says why, after
 * which the request still waits; `FANFARE_ERR_ARGUMENT`, also for an authorizer that does not ask;
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_authorizer_allow(const fanfare_authorizer *authorizer,
                                        uint64_t id,
                                        const fanfare_grant *grant);

/**
 * Refuses the client of a request a stream. Never waits.
 *
 * Threads: any, several at once; of several answers to one request the first counts. Ownership: the
 * refusal stays the caller's. Errors: `FANFARE_ERR_STALE` as of `fanfare_authorizer_allow`;
 * `FANFARE_ERR_GRANT`, and `fanfare_refusal_problem` says why, after which the request still waits;
 * `FANFARE_ERR_ARGUMENT`, also for an authorizer that does not ask; `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_authorizer_refuse(const fanfare_authorizer *authorizer,
                                         uint64_t id,
                                         const fanfare_refusal *refusal);

/**
 * Gives up a request, about which the program cannot decide now: its client is told to come again, at
 * once. A 503 would keep an `EventSource` away for good, so a `GET` that names `text/event-stream` in
 * its `Accept` is told as `overload` of the listener's options says, and any other request 503 with
 * `Retry-After`. Never waits.
 *
 * Threads: any, several at once; of several answers to one request the first counts. Ownership:
 * nothing changes. Errors: `FANFARE_ERR_STALE` as of `fanfare_authorizer_allow`;
 * `FANFARE_ERR_ARGUMENT`, also for an authorizer that does not ask; or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_authorizer_give_up(const fanfare_authorizer *authorizer,
                                          uint64_t id);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Options of how the program is asked that are all at their defaults. */
static inline fanfare_ask_options fanfare_ask_options_defaults(void)
{
  fanfare_ask_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  /* It cannot fail with a size that is right. */
  (void)fanfare_ask_options_init(&options);
  return options;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 14. Tokens and tickets ----------------------------------------------------------------- */

/* A library that was built without the feature `tickets` lacks the functions of this section; those
 * of `make capi` and `make dist` have them. */

/**
 * What a token or a ticket grants. Opaque, and always used by pointer; `fanfare_granted_free` frees it.
 * That of a ticket that was redeemed also says, for as long as it is not freed, that the ticket's stream is
 * connected: a program that opens streams itself keeps it as long as the stream's connection.
 */
typedef struct fanfare_granted fanfare_granted;

/**
 * Writes what is granted into a struct of the caller's, of which `size` has to be set. Its texts and
 * lists are those of what is granted.
 *
 * Threads: any, several at once. Ownership: the struct is the caller's, its texts and lists are valid
 * until `fanfare_granted_free`. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_granted_grant(const fanfare_granted *granted,
                                     fanfare_grant *grant_out);

/**
 * Tells whether a ticket's stream is still that of this connection: `*is_current_out` is 0 when the
 * client has come back with the same ticket, and this connection is to be ended. It is 1 for a token, and
 * for a ticket that was looked up.
 *
 * Threads: any, several at once. Ownership: nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or
 * `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_granted_is_current(const fanfare_granted *granted,
                                          uint32_t *is_current_out);

/**
 * Frees what was granted. That of a ticket that was redeemed says with this that the stream's connection
 * has ended, and the ticket may be used again. NULL does nothing.
 *
 * Threads: any one, while no other call with it is under way, and none comes afterwards. Ownership: it
 * is gone, with its texts and lists. Errors: none. In a child of the process that of the parent's is
 * left as it is.
 */
void fanfare_granted_free(fanfare_granted *granted);

/**
 * A public key in PEM, of P-256, Ed25519 or RSA with 2,048 bits or more; or else a secret of at least
 * 32 bytes, for HS256, whose line end at the end is no part of it.
 */
#define FANFARE_KEY_FILE 1

/**
 * A JWK set (RFC 7517): `{"keys":[...]}`.
 */
#define FANFARE_KEY_JWKS 2

/**
 * What checks tokens: keys, which can be replaced, and options. Opaque, and always used by pointer.
 * `fanfare_tokens_new` makes it and `fanfare_tokens_free` frees it; authorizers that have it keep it.
 */
typedef struct fanfare_tokens fanfare_tokens;

/**
 * How tokens are checked. `fanfare_token_options_defaults` makes one with every default.
 */
typedef struct fanfare_token_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Of a token's `aud` one has to be among these. Default: none, and a token must not have one.
   */
  const fanfare_text *audiences;
  /**
   * How many there are, at most 64.
   */
  size_t audiences_count;
  /**
   * A token's `iss` has to be among these. Default: none, and it is not looked at.
   */
  const fanfare_text *issuers;
  /**
   * How many there are, at most 64.
   */
  size_t issuers_count;
  /**
   * The name of the claim that says what is granted, 1 to 256 bytes. Default: `fanfare`.
   */
  fanfare_text claim;
  /**
   * How much earlier than its `nbf` a token may be used.
   * Bounds: at most 5 min. Default: 5 s.
   */
  uint64_t leeway_ms;
} fanfare_token_options;

/**
 * A key that tokens are checked with, or several: the content of a file. It never grows, so that it
 * has no size.
 */
typedef struct fanfare_key {
  /**
   * The content, at most 256 KiB.
   */
  fanfare_text bytes;
  /**
   * What it is: one of `FANFARE_KEY_...`.
   */
  uint32_t form;
  /**
   * 0; keeps the struct's end where it is on every system.
   */
  uint32_t reserved;
} fanfare_key;

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
 * `options` is NULL or its size is that of no version.
 */
fanfare_status fanfare_token_options_init(fanfare_token_options *options);

/**
 * Finds the first option that `fanfare_tokens_new` would refuse: `*name_out` is its name in the struct,
 * and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_token_options_problem(const fanfare_token_options *options,
                                             fanfare_text *name_out,
                                             fanfare_text *bounds_out);

/**
 * Writes a sentence that says why keys are refused and what to do about it into a buffer of `size`
 * bytes, without a NUL at its end. `*length_out` is its length, also when the buffer is too small, and
 * 0 when the keys are taken. It never has a part of a key in it.
 *
 * Threads: any. Ownership: the keys and the buffer stay the caller's. Errors: `FANFARE_ERR_BUFFER`,
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_TOO_MANY` for more than 64 keys, or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_keys_problem(const fanfare_key *keys,
                                    size_t keys_count,
                                    char *buffer,
                                    size_t size,
                                    size_t *length_out);

/**
 * Makes what checks tokens with some keys, 1 to 64. `options` may be NULL for the defaults. On success
 * `*tokens_out` is it.
 *
 * Threads: any. Ownership: what is passed stays the caller's, and no copy of the file's content is kept
 * but the keys; the tokens are the caller's, to be freed with `fanfare_tokens_free`. Errors:
 * `FANFARE_ERR_KEY`, and `fanfare_keys_problem` says why; `FANFARE_ERR_OPTIONS`, and
 * `fanfare_token_options_problem` says which; `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_ARGUMENT` or
 * `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_tokens_new(const fanfare_key *keys,
                                  size_t keys_count,
                                  const fanfare_token_options *options,
                                  fanfare_tokens **tokens_out);

/**
 * Replaces the keys that tokens are checked with, 1 to 64. Streams that are open stay open.
 *
 * Threads: any, several at once, also while listeners check tokens. Ownership: what is passed stays the
 * caller's. Errors, after which the keys are those of before: `FANFARE_ERR_KEY`, `FANFARE_ERR_TOO_MANY`,
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_tokens_set_keys(const fanfare_tokens *tokens,
                                       const fanfare_key *keys,
                                       size_t keys_count);

/**
 * Checks a token, of at most 8 KiB, for a program that opens streams itself. On success
 * `*granted_out` is what the token grants.
 *
 * Threads: any, several at once. Ownership: the token stays the caller's; what is granted is the
 * caller's, to be freed with `fanfare_granted_free`. Errors: `FANFARE_ERR_TOKEN` when it is not valid;
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_tokens_verify(const fanfare_tokens *tokens,
                                     fanfare_text token,
                                     fanfare_granted **granted_out);

/**
 * Frees what checks tokens. Authorizers that have it keep it. NULL does nothing.
 *
 * Threads: any one, while no other call with it is under way, and none comes afterwards. Ownership: it
 * is gone. Errors: none. In a child of the process that of the parent's is left as it is.
 */
void fanfare_tokens_free(fanfare_tokens *tokens);

#ifndef FANFARE_DECLARATIONS_ONLY

/** A key of a file's content, of one of the forms FANFARE_KEY_.... */
static inline fanfare_key fanfare_key_of(uint32_t form, fanfare_text bytes)
{
  fanfare_key key;
  memset(&key, 0, sizeof key);
  key.bytes = bytes;
  key.form = form;
  return key;
}

/** Options of tokens that are all at their defaults. */
static inline fanfare_token_options fanfare_token_options_defaults(void)
{
  fanfare_token_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  /* It cannot fail with a size that is right. */
  (void)fanfare_token_options_init(&options);
  return options;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/**
 * The most bytes of a `fanfare_ticket`.
 */
#define FANFARE_TICKET_BYTES_MAX 63

/**
 * The tickets that were issued and are not over, bounded in number. Opaque, and always used by pointer.
 * `fanfare_tickets_new` makes them and `fanfare_tickets_free` frees them; authorizers that have them
 * keep them.
 */
typedef struct fanfare_tickets fanfare_tickets;

/**
 * The bounds of tickets. `fanfare_ticket_options_defaults` makes one with every default.
 */
typedef struct fanfare_ticket_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The most tickets that there are at once. One that was used is kept for its stream's reconnects,
   * until its grant expires.
   * Bounds: 1 to 10,000,000. Default: 65,536.
   */
  uint64_t tickets_max;
  /**
   * How long a ticket may be unused before it is forgotten.
   * Bounds: 1 s to 1 hour. Default: 60 s.
   */
  uint64_t first_use_time_max_ms;
} fanfare_ticket_options;

/**
 * How clients show tokens and tickets to a listener, and where they get tickets.
 * `fanfare_access_options_defaults` makes one with every default, which is all of it at zero but for
 * the size.
 */
typedef struct fanfare_access_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The name of a cookie that has a token, which counts for pages of the server's own origin, and of
   * `cookie_origins`. Default: none.
   */
  fanfare_text cookie;
  /**
   * The other origins whose pages may use the cookie; the listener's CORS has to have them as well.
   * Default: none.
   */
  const fanfare_text *cookie_origins;
  /**
   * How many there are, at most 64.
   */
  size_t cookie_origins_count;
  /**
   * The path at which a client gets a ticket for its token, with `POST`; the empty text for none.
   * Default: `/tickets`.
   */
  fanfare_text exchange_path;
} fanfare_access_options;

/**
 * A ticket: what a client shows in its query, `ticket=...`, to have a stream. Letters, digits, '-' and
 * '_'. A client that has it may use it, so it belongs into no log. By value: nothing to free.
 */
typedef struct fanfare_ticket {
  /**
   * The length of the text in bytes.
   */
  uint8_t length;
  /**
   * The text. The bytes after its length are zero.
   */
  char text[FANFARE_TICKET_BYTES_MAX];
} fanfare_ticket;

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
 * `options` is NULL or its size is that of no version.
 */
fanfare_status fanfare_ticket_options_init(fanfare_ticket_options *options);

/**
 * Finds the first option that `fanfare_tickets_new` would refuse: `*name_out` is its name in the
 * struct, and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT`.
 */
fanfare_status fanfare_ticket_options_problem(const fanfare_ticket_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);

/**
 * Finds the first option that `fanfare_authorizer_new_tickets` would refuse, as
 * `fanfare_ticket_options_problem` does.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_access_options_problem(const fanfare_access_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);

/**
 * Makes a table of tickets, without any yet. `options` may be NULL for the defaults. On success
 * `*tickets_out` is it.
 *
 * Threads: any. Ownership: the options stay the caller's; the tickets are the caller's, to be freed
 * with `fanfare_tickets_free`. Errors: `FANFARE_ERR_OPTIONS`, and `fanfare_ticket_options_problem` says
 * which; `FANFARE_ERR_ARGUMENT`.
 */
fanfare_status fanfare_tickets_new(const fanfare_ticket_options *options,
                                   fanfare_tickets **tickets_out);

/**
 * Issues a ticket for what is granted, which has to expire. On success `*ticket_out` is the ticket. It
 * is to be used within the option first_use_time_max_ms, by one stream at a time, and by that stream's
 * reconnects until its grant expires.
 *
 * Threads: any, several at once. Ownership: the grant stays the caller's. Errors: `FANFARE_ERR_GRANT`
 * when it is out of its bounds, does not expire or has expired; `FANFARE_ERR_LIMIT` when there are too
 * many tickets; `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_tickets_issue(const fanfare_tickets *tickets,
                                     const fanfare_grant *grant,
                                     fanfare_ticket *ticket_out);

/**
 * Says what a ticket grants that a client shows, and uses nothing up: for a program that opens streams
 * itself, and first asks whether the client's request is within the grant. `goes_on` is as of
 * `fanfare_tickets_redeem`, which gives the stream to the client then, and may still refuse it. On success
 * `*granted_out` is what the ticket grants. To keep it does not make the ticket's stream a connected one,
 * and to free it ends none.
 *
 * Threads: any, several at once. Ownership: the ticket stays the caller's; what is granted is the
 * caller's. Errors: as `fanfare_tickets_redeem`.
 */
fanfare_status fanfare_tickets_look_up(const fanfare_tickets *tickets,
                                       fanfare_text ticket,
                                       uint32_t goes_on,
                                       fanfare_granted **granted_out);

/**
 * Takes a ticket that a client shows, for a program that opens streams itself. `goes_on` is 1 when the
 * client's request has the id of an event, so that its stream goes on: an older connection of the
 * stream is then no longer current (`fanfare_granted_is_current`). On success `*granted_out` is what
 * the ticket grants; freeing it says that the stream's connection has ended.
 *
 * Threads: any, several at once. Ownership: the ticket stays the caller's; what is granted is the
 * caller's. Errors: `FANFARE_ERR_TOKEN` when the ticket is not valid, or no longer; `FANFARE_ERR_BUSY`
 * when its stream is connected, and the request does not go on; `FANFARE_ERR_ARGUMENT`,
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_tickets_redeem(const fanfare_tickets *tickets,
                                      fanfare_text ticket,
                                      uint32_t goes_on,
                                      fanfare_granted **granted_out);

/**
 * Frees a table of tickets. Authorizers that have it keep it. NULL does nothing.
 *
 * Threads: any one, while no other call with it is under way, and none comes afterwards. Ownership: it
 * is gone. Errors: none. In a child of the process that of the parent's is left as it is.
 */
void fanfare_tickets_free(fanfare_tickets *tickets);

/**
 * Makes an authorizer that gives a client the stream that its token or its ticket is for. A client
 * shows a token in `Authorization: Bearer TOKEN`, or in a cookie if the options say so; or a ticket in
 * its query, `ticket=...`, which it gets with `POST` to the options' exchange_path and its token, or
 * from the program (`fanfare_tickets_issue`). A client that shows nothing that is valid is answered
 * 401; one whose ticket's stream is connected 409; one for topics that are not granted 403. `options`
 * may be NULL for the defaults. On success `*authorizer_out` is the authorizer.
 *
 * Threads: any. Ownership: what is passed stays the caller's, and the authorizer keeps `tokens` and
 * `tickets`, so that keys that are set later hold for it; the authorizer is the caller's, to be freed
 * with `fanfare_authorizer_free`. Errors: `FANFARE_ERR_OPTIONS`, and `fanfare_access_options_problem`
 * says which; `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_authorizer_new_tickets(const fanfare_tokens *tokens,
                                              const fanfare_tickets *tickets,
                                              const fanfare_access_options *options,
                                              fanfare_authorizer **authorizer_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** The text of a ticket. It is in the ticket's struct, and lives as long as that. */
static inline fanfare_text fanfare_ticket_text(const fanfare_ticket *ticket)
{
  return fanfare_text_of(ticket->text, ticket->length);
}

/** Options of tickets that are all at their defaults. */
static inline fanfare_ticket_options fanfare_ticket_options_defaults(void)
{
  fanfare_ticket_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  /* It cannot fail with a size that is right. */
  (void)fanfare_ticket_options_init(&options);
  return options;
}

/** Options of how clients show tokens and tickets that are all at their defaults. */
static inline fanfare_access_options fanfare_access_options_defaults(void)
{
  fanfare_access_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  return options;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/**
 * A key that signs tokens. Opaque, and always used by pointer. `fanfare_signing_key_new` makes it and
 * `fanfare_signing_key_free` frees it.
 */
typedef struct fanfare_signing_key fanfare_signing_key;

/**
 * What a token says beside what it grants and when it expires. Set all of it to zero, and `size` to
 * `sizeof(fanfare_token_claims)`; {NULL, 0} is what the token does not have. Each is at most 1 KiB.
 */
typedef struct fanfare_token_claims {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The audience (`aud`).
   */
  fanfare_text audience;
  /**
   * The issuer (`iss`).
   */
  fanfare_text issuer;
  /**
   * The subject (`sub`).
   */
  fanfare_text subject;
  /**
   * The id of the key (`kid`).
   */
  fanfare_text kid;
  /**
   * The name of the claim that says what is granted. Default: `fanfare`.
   */
  fanfare_text claim;
  /**
   * Since when it is valid (`nbf`), in milliseconds since 1970, whole seconds of which count; 0 for
   * always.
   */
  uint64_t not_before_unix_ms;
} fanfare_token_claims;

/**
 * Makes a key of a file's content: a private key in PEM without a passphrase, of P-256, Ed25519 or
 * RSA with 2,048 bits or more; or else a secret of at least 32 bytes, for HS256. On success `*key_out`
 * is the key.
 *
 * Threads: any. Ownership: the bytes stay the caller's; the key is the caller's, to be freed with
 * `fanfare_signing_key_free`. Errors: `FANFARE_ERR_KEY`, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_signing_key_new(fanfare_text bytes,
                                       fanfare_signing_key **key_out);

/**
 * Signs a token for what is granted: topics, of which there may be 1 to 256, tag and policy, and when
 * it expires, whole seconds of which count; a grant with anything else is refused. `claims` may be
 * NULL for none. The token is written into a buffer of `size` bytes, without a NUL at its end, and
 * `*length_out` is its length, also when the buffer is too small.
 *
 * Threads: any, several at once. Ownership: what is passed stays the caller's. Errors:
 * `FANFARE_ERR_GRANT`, also when it does not expire; `FANFARE_ERR_BUFFER`, `FANFARE_ERR_TOO_LARGE` when
 * the token would have more than 8 KiB; `FANFARE_ERR_OPTIONS` when a claim is too long, is not UTF-8, or
 * one is set that only a newer library knows; `FANFARE_ERR_KEY` when the key cannot sign;
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_signing_key_sign(const fanfare_signing_key *key,
                                        const fanfare_grant *grant,
                                        const fanfare_token_claims *claims,
                                        char *buffer,
                                        size_t size,
                                        size_t *length_out);

/**
 * Frees a key. NULL does nothing.
 *
 * Threads: any one, while no other call with the key is under way, and none comes afterwards.
 * Ownership: the key is gone. Errors: none. In a child of the process a key of the parent's is left as it
 * is.
 */
void fanfare_signing_key_free(fanfare_signing_key *key);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Claims of a token that say nothing. */
static inline fanfare_token_claims fanfare_token_claims_none(void)
{
  fanfare_token_claims claims;
  memset(&claims, 0, sizeof claims);
  claims.size = sizeof claims;
  return claims;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 15. Streams that the program reads ----------------------------------------------------- */

/**
 * How a stream begins, and how it is served, that the program opens for a client itself, by a
 * subscription or a hand-over: what a listener reads from a client's request, the program says here.
 * `fanfare_stream_options_defaults` makes one with every default, which is all of it at zero but for
 * the size.
 */
typedef struct fanfare_stream_options {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The client's `Last-Event-ID`: its stream begins behind that event. Any text of at most 4 KiB;
   * an empty one is none, and one that no event can have is one that is gone. Default: none.
   */
  fanfare_text last_event_id;
  /**
   * A label by which the connection is found again, 1 to 256 bytes without control characters.
   * Default: none.
   */
  fanfare_text tag;
  /**
   * The client's address, by which it is listed, and counts against limits per address: an IP
   * address, with or without a port. Default: none; of a socket that is handed over its peer's.
   */
  fanfare_text addr;
  /**
   * Where the stream of a client without an id begins. Default: now.
   */
  fanfare_start start;
  /**
   * For `FANFARE_START_LAST`.
   */
  uint32_t start_last;
  /**
   * Where the stream of a client begins whose id is gone. Default: by the gap's reason.
   */
  fanfare_start gap_start;
  /**
   * For `FANFARE_START_LAST`.
   */
  uint32_t gap_start_last;
  /**
   * What happens to the connection when it lags too far. Default: that of the rules of its topics, or
   * the hub's.
   */
  fanfare_policy policy;
  /**
   * The form of heartbeats. Default: the hub's.
   */
  fanfare_heartbeat heartbeat_form;
  /**
   * What is around the data of events. Default: nothing.
   */
  fanfare_envelope envelope;
  /**
   * 0; keeps the next field where it is on every system.
   */
  uint32_t reserved;
  /**
   * When the stream ends, in milliseconds since 1970; 0 for never.
   */
  uint64_t expires_at_unix_ms;
  /**
   * The most bytes that wait to be read of a stream that the program reads itself; 0 for 128 KiB.
   * Bounds: 0, or 1 byte to 16 MiB. Default: 0.
   */
  uint64_t queue_bytes_max;
} fanfare_stream_options;

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is.
 *
 * Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
 * `options` is NULL or its size is that of no version.
 */
fanfare_status fanfare_stream_options_init(fanfare_stream_options *options);

/**
 * Finds the first option that `fanfare_hub_subscribe` or `fanfare_hub_adopt` would refuse:
 * `*name_out` is its name in the struct, and `*bounds_out` what it may be. Both are {NULL, 0} when
 * every option is within its bounds.
 *
 * Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_stream_options_problem(const fanfare_stream_options *options,
                                              fanfare_text *name_out,
                                              fanfare_text *bounds_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** Options of a stream that are all at their defaults. */
static inline fanfare_stream_options fanfare_stream_options_defaults(void)
{
  fanfare_stream_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  return options;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* A stream that is sent by a server of the program's own, one thread each:
 *
 *     fanfare_text batch;
 *
 *     while ((status = fanfare_stream_next(stream, 60000, &batch)) != FANFARE_ERR_ENDED)
 *         if (status == FANFARE_OK && !send_all(client, batch.data, batch.length))
 *             break;
 *     fanfare_stream_free(stream);
 *
 * With an event loop, fanfare_stream_notify puts it among the notices, and fanfare_stream_next with a
 * timeout of 0 reads until it returns FANFARE_ERR_TIMEOUT.
 */

/**
 * The event stream of one client, which the program sends to it by its own server, over any protocol:
 * HTTP/2, TLS, a connection of another kind. Opaque, and always used by pointer.
 * `fanfare_hub_subscribe` makes it and `fanfare_stream_free` frees it. It may outlive its hub, and
 * ends then.
 */
typedef struct fanfare_stream fanfare_stream;

/**
 * Subscribes the program itself to topics and filters, of which there may be 1 to 65,536: what a
 * client's connection would be sent, without the head of a response, comes out of the stream. What is
 * published after this has returned is in it; but a hub that keeps few events or none may tell a gap
 * instead of what was published before its thread has begun the stream. It counts as a connection, and
 * the same bounds, policies, heartbeats and notices hold for it. `options` may be NULL. Waits for nothing. On success
 * `*stream_out` is the stream.
 *
 * Threads: any, several at once. Ownership: what is passed stays the caller's; the stream is the
 * caller's, to be freed with `fanfare_stream_free`. Errors: `FANFARE_ERR_SUBSCRIPTION`,
 * `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_LIMIT`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED`,
 * `FANFARE_ERR_FORKED`, `FANFARE_ERR_SYSTEM`; or `FANFARE_ERR_OPTIONS`, and
 * `fanfare_stream_options_problem` says which.
 */
fanfare_status fanfare_hub_subscribe(const fanfare_hub *hub,
                                     const fanfare_text *topics,
                                     size_t topics_count,
                                     const fanfare_stream_options *options,
                                     fanfare_stream **stream_out);

/**
 * Takes the next batch: bytes of whole events, as they are to be sent. Waits at most `timeout_ms` for
 * it; 0 does not wait at all, and `UINT64_MAX` has no bound. On success `*batch_out` is the batch, which
 * is shared with other streams and was not copied: it may be read until the next call of this function
 * with the stream, or until the stream is freed, and must not be written to.
 *
 * Threads: any, one at a time. Ownership: the batch is the stream's. Errors: `FANFARE_ERR_TIMEOUT` when
 * none came in this time; `FANFARE_ERR_ENDED` when none will come, and `fanfare_stream_end` says why;
 * `FANFARE_ERR_BUSY` when another thread is in a call with the stream; `FANFARE_ERR_ARGUMENT` or
 * `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_stream_next(const fanfare_stream *stream,
                                   uint64_t timeout_ms,
                                   fanfare_text *batch_out);

/**
 * Has a queue of notices tell when there is something to read of a stream, or it has ended: by
 * FANFARE_NOTICE_READABLE with `token`, at first in any case. It comes again only after
 * `fanfare_stream_next` has returned `FANFARE_ERR_TIMEOUT`: so read until then. A stream tells one
 * queue; another call takes it from the queue of before.
 *
 * Threads: any, one at a time; waits for a drain of the queue that is under way. Ownership: nothing
 * changes; the stream may be freed, and the queue, in any order. Errors: `FANFARE_ERR_LIMIT` when the
 * queue has too many sources; `FANFARE_ERR_BUSY` when another thread is in a call with the stream;
 * `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_stream_notify(const fanfare_stream *stream,
                                     const fanfare_notices *notices,
                                     uint64_t token);

/**
 * Gives the id of a stream among the hub's connections. `*id_out` is 0 as long as the engine has not
 * taken it over, which is before its first batch comes.
 *
 * Threads: any, several at once, also while another thread waits in `fanfare_stream_next`. Ownership:
 * nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_stream_id(const fanfare_stream *stream,
                                 fanfare_connection_id *id_out);

/**
 * Tells why a stream has ended, once all of it was read: `*reason_out` is the reason, or 0 as long as
 * there is, or may be, something to read. `*is_cut_out`, unless it is NULL, is 1 when something may be
 * missing at the end, which a server passes on as a broken response: an HTTP/2 stream that is reset, a
 * body without its last chunk. It is 0 for an end that is in order.
 *
 * Threads: any, several at once, also while another thread waits in `fanfare_stream_next`. Ownership:
 * nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_stream_end(const fanfare_stream *stream,
                                  fanfare_disconnect_reason *reason_out,
                                  uint32_t *is_cut_out);

/**
 * Tells whether a stream is empty, and always was: all of its topics were finished before, and its
 * client has had everything. `*is_complete_out` is 1 then, and else 0. A server answers the request
 * with the status 204, so that an `EventSource` does not come back.
 *
 * Threads: any, several at once, also while another thread waits in `fanfare_stream_next`. Ownership:
 * nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
 */
fanfare_status fanfare_stream_is_complete(const fanfare_stream *stream,
                                          uint32_t *is_complete_out);

/**
 * Gives the header fields of a response that is a stream: its type, which browsers are not to guess,
 * and what keeps proxies and caches from storing, compressing or holding back the events.
 * `*headers_out` are `*count_out` of them.
 *
 * Threads: any. Ownership: the header fields are static. Errors: `FANFARE_ERR_ARGUMENT`.
 */
fanfare_status fanfare_stream_headers(const fanfare_header **headers_out,
                                      size_t *count_out);

/**
 * Frees a stream, which ends its connection: its client is gone. NULL does nothing.
 *
 * Threads: any one, while no other call with this stream is under way, and none comes afterwards; waits
 * for a drain of the queue of `fanfare_stream_notify` that is under way. Ownership: the stream and its
 * batch are gone. Errors: none. In a child of the process a stream of the parent's is left as it is.
 */
void fanfare_stream_free(fanfare_stream *stream);

/* ---- 16. Connections that the program hands over -------------------------------------------- */

/**
 * A connection that the program's own server has accepted, or has taken of a fallback, and that a
 * listener is to serve. `fanfare_admit_request_of` makes one of what was read; fill in what else there
 * is. Without that helper set all of it to zero, and `size` to `sizeof(fanfare_admit_request)`.
 *
 * A connection of a fallback's notice is given back as the notice says: with its `addr`, `peer` and
 * `is_proxy`. They are the connection's also for its later requests.
 */
typedef struct fanfare_admit_request {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * What was read of the connection and not answered: nothing, or the beginning of a request, or all
   * of one; at most 4 MiB. A header of the PROXY protocol is not a part of it.
   */
  fanfare_text read;
  /**
   * The client's address and port, such as `192.0.2.1:50000`. Default: the socket's peer.
   */
  fanfare_text addr;
  /**
   * Where the connection is from, if that is another address: a proxy of the listener's option
   * trusted_proxies, whose header field says anew with each request who the client is. Default:
   * `addr`.
   */
  fanfare_text peer;
  /**
   * 1: the connection is from a proxy that speaks for clients which it does not name, and no bound
   * per address holds for it. 0: it is not.
   */
  uint32_t is_proxy;
  /**
   * 0; keeps the struct's end where it is on every system.
   */
  uint32_t reserved;
} fanfare_admit_request;

/**
 * Has a listener serve a connection as if it had just accepted it: for a client that asks for events on
 * a connection that the program's own server has accepted. The listener reads the request, asks its
 * authorizer, and answers. Never blocks.
 *
 * Threads: any, several at once. Ownership: `fd` is the hub's when this returns `FANFARE_OK`, and nobody
 * else may close it; otherwise it stays the caller's, and may be non-blocking then. The one exception is
 * `FANFARE_ERR_PANIC`, after which the caller must neither use nor close it. What else is passed stays the
 * caller's. Errors:
 * `FANFARE_ERR_STALE` when the listener is closed; `FANFARE_ERR_SOCKET` when it is no connected socket of
 * TCP or of a Unix domain; `FANFARE_ERR_TOO_LARGE` when more than 4 MiB were read;
 * `FANFARE_ERR_ADDRESS` for `addr` or `peer`; `FANFARE_ERR_REQUEST` when is_proxy or reserved is out of
 * its bounds, or something is set that only a newer library knows; `FANFARE_ERR_BUSY`,
 * `FANFARE_ERR_CLOSED`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_listener_admit(const fanfare_hub *hub,
                                      fanfare_listener listener,
                                      int fd,
                                      const fanfare_admit_request *request);

/**
 * Tells whether a listener has streams at a path: `*has_out` is 1 then, and else 0. The path is that of
 * a request's target, percent-encoded and without the query. Requests for such a path, with any method,
 * are for `fanfare_listener_admit`.
 *
 * Threads: any, several at once. Ownership: what is passed stays the caller's. Errors:
 * `FANFARE_ERR_STALE` when the listener is closed, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_listener_has_streams_at(const fanfare_hub *hub,
                                               fanfare_listener listener,
                                               fanfare_text path,
                                               uint32_t *has_out);

/**
 * Tells whether a request with this `Host`, with or without a port, is for a listener, as its option
 * `hosts` says: `*is_out` is 1 then, and else 0, also for what is no host.
 *
 * Threads: any, several at once. Ownership: what is passed stays the caller's. Errors:
 * `FANFARE_ERR_STALE` when the listener is closed, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_listener_is_named(const fanfare_hub *hub,
                                         fanfare_listener listener,
                                         fanfare_text host,
                                         uint32_t *is_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** A connection of which this was read. */
static inline fanfare_admit_request fanfare_admit_request_of(fanfare_text read)
{
  fanfare_admit_request request;
  memset(&request, 0, sizeof request);
  request.size = sizeof request;
  request.read = read;
  return request;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/**
 * A request for a stream that the program's own server has read and authorized, and whose connection
 * it hands over. `fanfare_adopt_request_of` makes a `GET` of HTTP/1.1 for some topics; fill in what
 * else there is. Without that helper set all of it to zero, and `size` to
 * `sizeof(fanfare_adopt_request)`.
 */
typedef struct fanfare_adopt_request {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The topics and filters that the stream is subscribed to.
   */
  const fanfare_text *topics;
  /**
   * How many there are: 1 to 65,536.
   */
  size_t topics_count;
  /**
   * Where the stream begins, and how it is served; NULL for the defaults.
   */
  const fanfare_stream_options *options;
  /**
   * The request's method: `GET`, or `POST` whose content was read whole. Default: `GET`.
   */
  fanfare_text method;
  /**
   * The request's version of HTTP as servers name it: `HTTP/1.1`, `1.0`. Default: HTTP/1.1.
   */
  fanfare_text version;
  /**
   * Header fields of the answer beside the engine's own, those of CORS and `Vary` included.
   */
  const fanfare_header *headers;
  /**
   * How many there are, at most 32, and 4 KiB of them.
   */
  size_t headers_count;
  /**
   * How many bytes behind the request the server has read from the socket into a buffer of its own:
   * more than 0 are refused.
   */
  uint64_t read_ahead_bytes;
  /**
   * 1: the connection is encrypted by the server, and is refused.
   */
  uint32_t is_tls;
  /**
   * 1: some of the request's content was not read from the socket, and it is refused.
   */
  uint32_t has_unread_content;
} fanfare_adopt_request;

/**
 * Makes an event stream of a connection that the program's own server has accepted, and whose request
 * it has read and authorized: a connected socket of TCP or of a Unix domain, of plain HTTP/1.1 or
 * HTTP/1.0, with nothing written to it that is not sent and nothing that waits to be read. The engine
 * writes the whole answer, its head included. Duplicates of the descriptor may stay open, but nobody
 * else may read from the socket, write to it or shut it down any more. Never blocks.
 *
 * Threads: any, several at once. Ownership: `fd` is the hub's when this returns `FANFARE_OK`, and nobody
 * else may close it. Otherwise it stays the caller's, nothing was written to it, and the caller answers
 * the request, as a rule with 503 or 500. The one exception is `FANFARE_ERR_PANIC`, after which the
 * caller must neither use nor close it. What else is passed stays the caller's. Errors:
 * `FANFARE_ERR_SOCKET`, `FANFARE_ERR_SOCKET_TLS`, `FANFARE_ERR_SOCKET_READ`,
 * `FANFARE_ERR_SOCKET_UNSENT`; `FANFARE_ERR_REQUEST` for a method, a version or a header field;
 * `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_OPTIONS` as of
 * `fanfare_hub_subscribe`; `FANFARE_ERR_LIMIT`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_CLOSED`,
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_hub_adopt(const fanfare_hub *hub,
                                 int fd,
                                 const fanfare_adopt_request *request);

#ifndef FANFARE_DECLARATIONS_ONLY

/** A `GET` of HTTP/1.1 for `count` topics and filters. */
static inline fanfare_adopt_request fanfare_adopt_request_of(const fanfare_text *topics, size_t count)
{
  fanfare_adopt_request request;
  memset(&request, 0, sizeof request);
  request.size = sizeof request;
  request.topics = topics;
  request.topics_count = count;
  return request;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/* ---- 17. Connections ------------------------------------------------------------------------ */

/**
 * The values of a `fanfare_connection_state`.
 */
typedef enum fanfare_connection_state_code {
  /**
   * It takes what it is sent.
   */
  FANFARE_CONNECTION_LIVE = 1,
  /**
   * Its socket did not take all there was for it.
   */
  FANFARE_CONNECTION_LAGGING = 2,
  /**
   * It is sent what it has missed.
   */
  FANFARE_CONNECTION_REPLAYING = 3,
} fanfare_connection_state_code;

/**
 * A list of connections, as they were when it was made. Opaque, and always used by pointer.
 * `fanfare_hub_connections` and `fanfare_hub_cluster_connections` make it and `fanfare_connections_free`
 * frees it.
 */
typedef struct fanfare_connections fanfare_connections;

/**
 * A list of topics and filters with their numbers of subscribers. Opaque, and always used by
 * pointer. `fanfare_hub_subscription_counts` makes it and `fanfare_subscription_counts_free` frees
 * it.
 */
typedef struct fanfare_subscription_counts fanfare_subscription_counts;

/**
 * How a connection is doing: one of the constants of `fanfare_connection_state_code`.
 */
typedef int32_t fanfare_connection_state;

/**
 * Which connections are listed, and how many at most. `fanfare_connection_filter_of_all` makes one
 * that lists any; set what should differ. Without that helper set all of it to zero, and `size` to
 * `sizeof(fanfare_connection_filter)`. The struct grows at its end only.
 */
typedef struct fanfare_connection_filter {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Only connections with this subscription: a connection that gets a topic by a filter is found
   * by the filter. {NULL, 0}: all.
   */
  fanfare_text subscription;
  /**
   * Only connections with this tag. {NULL, 0}: all.
   */
  fanfare_text tag;
  /**
   * The most that are listed, at most 1,000,000; 0 is 1,000.
   */
  uint64_t limit;
  /**
   * 1: only connections that lag or replay. 0: all.
   */
  uint32_t lagging;
  /**
   * 1: those that lag most are listed, and first, by age and then by events. 0: any, in no order.
   */
  uint32_t slowest_first;
} fanfare_connection_filter;

/**
 * A connection, as it was at one moment. The struct grows at its end only.
 */
typedef struct fanfare_connection {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Its id.
   */
  fanfare_connection_id id;
  /**
   * What it is subscribed to, each once, in no order.
   */
  const fanfare_text *subscriptions;
  /**
   * The number of these.
   */
  size_t subscriptions_count;
  /**
   * The client's address and port; no text if it has none, as at a Unix domain socket.
   */
  fanfare_text addr;
  /**
   * What the client calls itself. A label that any client can claim; no text if it has none.
   */
  fanfare_text tag;
  /**
   * Since when it is an event stream, in milliseconds since 1970-01-01 00:00 UTC.
   */
  uint64_t since_unix_ms;
  /**
   * The number of events that its socket took whole.
   */
  uint64_t events;
  /**
   * Bytes of events that its socket took, without what HTTP adds, and without heartbeats.
   */
  uint64_t bytes;
  /**
   * The number of events that it has yet to be sent, with the one that was begun.
   */
  uint64_t lag_events;
  /**
   * Their bytes that it has yet to be sent.
   */
  uint64_t lag_bytes;
  /**
   * How long ago the oldest event was published that it has not taken whole; 0 when there is none.
   */
  uint64_t lag_age_ms;
  /**
   * How it is doing.
   */
  fanfare_connection_state state;
  /**
   * What happens to it when it lags too far: 1 it is disconnected, 2 the oldest events are
   * dropped, 3 events are conflated by key.
   */
  fanfare_policy policy;
  /**
   * The name of its node, in a list of `fanfare_hub_cluster_connections`, to whose hub the id belongs;
   * no text in other lists.
   */
  fanfare_text node;
} fanfare_connection;

/**
 * A topic or filter that has subscribers. The struct grows at its end only.
 */
typedef struct fanfare_subscription_count {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The topic, or the filter.
   */
  fanfare_text subscription;
  /**
   * The number of connections that asked for it by this name.
   */
  uint64_t subscribers;
} fanfare_subscription_count;

/**
 * Returns the short name of a connection's state, such as "lagging"; "unknown" for a number that is
 * none.
 *
 * Threads: any. Ownership: the text is static. Errors: none.
 */
fanfare_text fanfare_connection_state_name(fanfare_connection_state state);

/**
 * Lists connections. `filter` may be NULL for any 1,000. Each is described as it is at that moment;
 * connections that come and go meanwhile are listed or not. On success `*list_out` is the list.
 *
 * Threads: any, several at once; blocks for about a millisecond per 10,000 connections, and at most
 * 10 seconds. Ownership: the filter stays the caller's; the list is the caller's, to be freed with
 * `fanfare_connections_free`. It needs no hub. Errors: `FANFARE_ERR_SUBSCRIPTION`;
 * `FANFARE_ERR_OPTIONS` when a flag is neither 0 nor 1, or something is set that only a newer
 * library knows; `FANFARE_ERR_BUSY` when 64 such questions wait already; `FANFARE_ERR_TIMEOUT`;
 * `FANFARE_ERR_UTF8` for a tag that is not; `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED`,
 * `FANFARE_ERR_CLOSED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_hub_connections(const fanfare_hub *hub,
                                       const fanfare_connection_filter *filter,
                                       fanfare_connections **list_out);

/**
 * Describes one connection, as a list of one.
 *
 * Threads: any, several at once; blocks for a moment, and at most 10 seconds. Ownership: the list is
 * the caller's, to be freed with `fanfare_connections_free`. Errors: `FANFARE_ERR_STALE` when the
 * connection has ended; `FANFARE_ERR_BUSY`, `FANFARE_ERR_TIMEOUT`, `FANFARE_ERR_ARGUMENT`,
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_connection(const fanfare_hub *hub,
                                      fanfare_connection_id id,
                                      fanfare_connections **list_out);

/**
 * Returns the length of a list; 0 for NULL.
 *
 * Threads: any, several at once. Errors: none.
 */
size_t fanfare_connections_count(const fanfare_connections *list);

/**
 * Reads the connection at an index of a list. `connection_out->size` has to be set before, and
 * stays as it is.
 *
 * Threads: any, several at once. Ownership: the struct stays the caller's; the texts in it are the
 * list's, until that is freed. Errors: `FANFARE_ERR_ARGUMENT` when a pointer is NULL, the size is
 * that of no version, or the index is beyond the list.
 */
fanfare_status fanfare_connections_get(const fanfare_connections *list,
                                       size_t index,
                                       fanfare_connection *connection_out);

/**
 * Frees a list with its texts. NULL does nothing.
 *
 * Threads: any one, while no other call with this list is under way, and none comes afterwards.
 * Ownership: the list is gone. Errors: none.
 */
void fanfare_connections_free(fanfare_connections *list);

/**
 * Counts the connections that get a topic's events, by its name or by filters, each once. On success
 * `*count_out` is their number.
 *
 * Threads: any, several at once; blocks for a moment, and at most 10 seconds. Ownership: `topic`
 * stays the caller's. Errors: `FANFARE_ERR_TOPIC`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_TIMEOUT`,
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_subscribers(const fanfare_hub *hub,
                                       fanfare_text topic,
                                       uint64_t *count_out);

/**
 * Lists the topics and filters with the most subscribers, most first, at most `limit`. On success
 * `*list_out` is the list.
 *
 * Threads: any, several at once; blocks as `fanfare_hub_connections` does. Ownership: the list is
 * the caller's, to be freed with `fanfare_subscription_counts_free`. Errors: `FANFARE_ERR_BUSY`,
 * `FANFARE_ERR_TIMEOUT`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_subscription_counts(const fanfare_hub *hub,
                                               size_t limit,
                                               fanfare_subscription_counts **list_out);

/**
 * Returns the length of a list; 0 for NULL.
 *
 * Threads: any, several at once. Errors: none.
 */
size_t fanfare_subscription_counts_count(const fanfare_subscription_counts *list);

/**
 * Reads the topic or filter at an index of a list. `count->size` has to be set before, and stays as
 * it is.
 *
 * Threads: any, several at once. Ownership: the struct stays the caller's; the text in it is the
 * list's, until that is freed. Errors: `FANFARE_ERR_ARGUMENT` when a pointer is NULL, the size is
 * that of no version, or the index is beyond the list.
 */
fanfare_status fanfare_subscription_counts_get(const fanfare_subscription_counts *list,
                                               size_t index,
                                               fanfare_subscription_count *count);

/**
 * Frees a list with its texts. NULL does nothing.
 *
 * Threads: any one, while no other call with this list is under way, and none comes afterwards.
 * Ownership: the list is gone. Errors: none.
 */
void fanfare_subscription_counts_free(fanfare_subscription_counts *list);

#ifndef FANFARE_DECLARATIONS_ONLY

/** A filter for any connections, 1,000 of them at most. */
static inline fanfare_connection_filter fanfare_connection_filter_of_all(void)
{
  fanfare_connection_filter filter;
  memset(&filter, 0, sizeof filter);
  filter.size = sizeof filter;
  return filter;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/**
 * How many connections the nodes of a cluster have, and how many nodes have said so. The struct grows at
 * its end only.
 */
typedef struct fanfare_cluster_count {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * How many nodes the cluster has, with the hub that was asked: those that have shown in the last 10
   * seconds that they are there, and have not ended in order since.
   */
  uint64_t nodes;
  /**
   * How many of them have answered in time. The others are missing in `count`.
   */
  uint64_t answered;
  /**
   * The number of connections at those that have answered, listed or not.
   */
  uint64_t count;
} fanfare_cluster_count;

/**
 * Counts the connections at all nodes of the hub's cluster, and lists some: at most 10,000, and of each
 * node what fits into 2 MiB; `filter->limit` 0 is 1,000. `filter` may be NULL for any. The nodes are
 * waited for until `timeout_ms` is over, from 50 ms to 10 s, whatever it says; nodes that have not
 * answered by then are no error, but `answered` is less than `nodes`. On success `*count_out` says how
 * many there are, and `*list_out` is the list; with NULL for `list_out` there is none.
 *
 * Threads: any, several at once; blocks for `timeout_ms`, and a quarter of a second more at most.
 * Ownership: the filter and `*count_out` stay the caller's; the list is the caller's, to be freed with
 * `fanfare_connections_free`. Errors: `FANFARE_ERR_CLUSTER` when the hub is in no cluster, or the
 * cluster's server does not pass the question on; `FANFARE_ERR_BUSY` when 16 questions of the hub are on
 * their way; `FANFARE_ERR_SUBSCRIPTION`; `FANFARE_ERR_OPTIONS` as for `fanfare_hub_connections`;
 * `FANFARE_ERR_UTF8` for a tag that is not; `FANFARE_ERR_ARGUMENT`, also when the size of `*count_out` is
 * that of no version; `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_cluster_connections(const fanfare_hub *hub,
                                               const fanfare_connection_filter *filter,
                                               uint64_t timeout_ms,
                                               fanfare_cluster_count *count_out,
                                               fanfare_connections **list_out);

/**
 * Counts the connections at all nodes of the hub's cluster that get a topic's events, by its name or by
 * filters, each once. Waits for the nodes, and says how many have answered, as
 * `fanfare_hub_cluster_connections`.
 *
 * Threads: any, several at once; blocks for `timeout_ms`, and a quarter of a second more at most.
 * Ownership: `topic` and `*count_out` stay the caller's. Errors: `FANFARE_ERR_TOPIC`,
 * `FANFARE_ERR_CLUSTER`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_cluster_subscribers(const fanfare_hub *hub,
                                               fanfare_text topic,
                                               uint64_t timeout_ms,
                                               fanfare_cluster_count *count_out);

#ifndef FANFARE_DECLARATIONS_ONLY

/** A count of the connections of a cluster, to be filled. */
static inline fanfare_cluster_count fanfare_cluster_count_empty(void)
{
  fanfare_cluster_count count;
  memset(&count, 0, sizeof count);
  count.size = sizeof count;
  return count;
}

#endif /* FANFARE_DECLARATIONS_ONLY */

/**
 * Ends one connection. Its client is told to come back after a random time, from `retry_ms` to twice
 * that, at most 1 day; 0 tells nothing. Then its stream ends, for the reason
 * `FANFARE_DISCONNECT_KICKED`. An `EventSource` comes back by itself, so this alone keeps no client
 * out.
 *
 * Threads: any, several at once; blocks for a moment, and at most 10 seconds. Errors:
 * `FANFARE_ERR_STALE` when it has ended already; `FANFARE_ERR_BUSY` when 64 such questions wait
 * already; `FANFARE_ERR_TIMEOUT`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_disconnect(const fanfare_hub *hub,
                                      fanfare_connection_id id,
                                      uint64_t retry_ms);

/**
 * Ends all connections with a tag, as `fanfare_hub_disconnect` does: those that are there when it is
 * called, and none that has come back meanwhile. On success `*count_out`, unless `count_out` is
 * NULL, is how many those were, which may be 0.
 *
 * Threads: any, several at once; blocks as `fanfare_hub_connections` does. Ownership: `tag` stays
 * the caller's. Errors, after which some may have been ended: `FANFARE_ERR_BUSY` or
 * `FANFARE_ERR_TIMEOUT`. Others: `FANFARE_ERR_UTF8` for a tag that is not, `FANFARE_ERR_ARGUMENT`,
 * also for no tag and for one that no client can have, which is empty, longer than 256 bytes or has a
 * control character, `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_disconnect_tag(const fanfare_hub *hub,
                                          fanfare_text tag,
                                          uint64_t retry_ms,
                                          uint64_t *count_out);

/**
 * Ends all connections with a subscription, as `fanfare_hub_disconnect` does: those that are there
 * when it is called. A connection that gets a topic by a filter is meant by that filter, and not by
 * the topic. On success `*count_out`, unless `count_out` is NULL, is how many those were, which may
 * be 0.
 *
 * Threads: any, several at once; blocks as `fanfare_hub_connections` does. Ownership: `subscription`
 * stays the caller's. Errors, after which some may have been ended: `FANFARE_ERR_BUSY` or
 * `FANFARE_ERR_TIMEOUT`. Others: `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_ARGUMENT`,
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_disconnect_subscription(const fanfare_hub *hub,
                                                   fanfare_text subscription,
                                                   uint64_t retry_ms,
                                                   uint64_t *count_out);

/**
 * Ends all connections, as `fanfare_hub_disconnect` does: those that are there when it is called.
 * On success `*count_out`, unless `count_out` is NULL, is how many those were.
 *
 * Threads: any, several at once; blocks as `fanfare_hub_connections` does. Errors, after which some
 * may have been ended: `FANFARE_ERR_BUSY` or `FANFARE_ERR_TIMEOUT`. Others: `FANFARE_ERR_ARGUMENT`,
 * `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
 */
fanfare_status fanfare_hub_disconnect_all(const fanfare_hub *hub,
                                          uint64_t retry_ms,
                                          uint64_t *count_out);

/**
 * Changes what a connection gets to the events of these topics and filters, from 1 to 65,536 of
 * them; one that is there twice counts once. It happens between two events: what was published
 * before goes by the old ones, what is published after it by the new ones, and of a topic that it
 * keeps nothing is lost or doubled. The client is not told, and asks for the topics of its URL when
 * it comes back.
 *
 * Threads: any, several at once; blocks for a moment, and at most 10 seconds. Ownership: the list
 * and its texts stay the caller's. Errors: `FANFARE_ERR_STALE` when the connection has ended;
 * `FANFARE_ERR_SUBSCRIPTION` when one is no topic and no filter, or there is none;
 * `FANFARE_ERR_TOO_MANY`; `FANFARE_ERR_BUSY`, also when the client is still being sent what it has
 * missed; `FANFARE_ERR_TIMEOUT`, after which it may have been changed; `FANFARE_ERR_ARGUMENT`,
 * `FANFARE_ERR_FORKED`, `FANFARE_ERR_CLOSED` or `FANFARE_ERR_SYSTEM`.
 */
fanfare_status fanfare_hub_set_subscriptions(const fanfare_hub *hub,
                                             fanfare_connection_id id,
                                             const fanfare_text *subscriptions,
                                             size_t subscriptions_count);

/* ---- 18. Draining --------------------------------------------------------------------------- */

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
 * closed evenly over a window. A listener of `fanfare_hub_listen_on` is closed at once, since the system
 * would go on to take connections for its socket. Each is first sent everything, and told a random time after which to come
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

/* ---- 19. Statistics ------------------------------------------------------------------------- */


/**
 * How many reasons a `fanfare_metrics` has room for, and how many buckets.
 */
#define FANFARE_METRICS_REASONS_MAX 32

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
  /**
   * 1 while the journal in the option data_dir cannot be written; the log says why.
   */
  uint64_t journal_failing;
  /**
   * Bytes that the journal takes on the disk.
   */
  uint64_t journal_disk_bytes;
  /**
   * Bytes that wait until the journal holds them as safely as the option durability promises.
   */
  uint64_t journal_waiting_bytes;
  /**
   * Records that were written into the journal: events, marks and rules.
   */
  uint64_t journal_records;
  /**
   * Times that the disk was told to take what was written.
   */
  uint64_t journal_syncs;
  /**
   * Writes of the journal, and the like, that failed.
   */
  uint64_t journal_errors;
  /**
   * 1 while the server of the cluster in the option cluster_url does not serve; the log says why.
   */
  uint64_t cluster_failing;
  /**
   * Bytes of this hub's events that are on their way to the cluster's stream and back.
   */
  uint64_t cluster_backlog_bytes;
  /**
   * Batches of events that the cluster's server has taken from this hub.
   */
  uint64_t cluster_batches;
  /**
   * Events, ends and rules that this hub has read from the cluster's stream.
   */
  uint64_t cluster_items;
  /**
   * Of these, those that were refused, by each hub alike: another hub had finished their topic before.
   */
  uint64_t cluster_refused_items;
  /**
   * Times that this hub has connected to append to the cluster's stream.
   */
  uint64_t cluster_connects;
  /**
   * Times that items of the cluster's stream were lost or cut off before this hub had read them; its
   * clients were told.
   */
  uint64_t cluster_losses;
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

/* ---- 20. Log -------------------------------------------------------------------------------- */

/**
 * What is called with each record, see `fanfare_log_set`.
 */
typedef void (*fanfare_log_callback)(void *user_data, const fanfare_log_record *record);

/**
 * What is called with a callback's user data when the callback will not be called any more.
 */
typedef void (*fanfare_log_destructor)(void *user_data);

/**
 * Sets what is called with each record of the library's log up to a level: the one callback of the
 * process, for all hubs. A program that no thread of the engine may enter has `fanfare_log_watch`
 * instead. With a `callback` of NULL none is called, as it is at first; the level has to be one all the
 * same, and the user data and the destructor are not used.
 *
 * The callback that was set before is not called any more when this returns, and its destructor,
 * unless that is NULL, was called with its user data, in this thread. At the process's end nothing
 * is called.
 *
 * The callback is called from any thread: from the engine's, which serve clients and wait until it
 * returns, and from those that call the library; from several at once. So it has to be quick, and
 * at best only puts a copy of the record into a queue of its own. It must not
 *
 * - call the library, but for `fanfare_strerror`, `fanfare_abi_version`,
 *   those that end with `_name` and the inline functions, but for those that end with `_defaults`:
 *   the caller may hold the hub's locks.
 *   (`fanfare_log_set` and `fanfare_log_watch` return `FANFARE_ERR_BUSY` there.) What it has the library
 *   log is left out;
 * - wait for a lock under which the program calls the library, such as an interpreter's;
 * - throw an exception or call longjmp: an exception that leaves it ends the process.
 *
 * Threads: any, several at once; waits for callbacks that run. Ownership: `user_data` is the
 * callback's until its destructor is called, or, after an error, the caller's still. Errors:
 * `FANFARE_ERR_ARGUMENT` when the level is none; `FANFARE_ERR_BUSY` in a callback;
 * `FANFARE_ERR_LOGGER` when the program is written in Rust, has this library as a crate and has set
 * a logger of its own, which then gets all records. A program in Rust that calls this first can set
 * no logger of its own afterwards.
 *
 * The child of a fork has no callback, and may set one.
 */
fanfare_status fanfare_log_set(fanfare_log_level level,
                               fanfare_log_callback callback,
                               void *user_data,
                               fanfare_log_destructor destructor);

/**
 * From now on, a notice `FANFARE_NOTICE_LOG` with `token` of each record of the library's log up to a
 * level, from `FANFARE_LOG_ERROR` to `FANFARE_LOG_TRACE`, of all hubs: for a program that no thread of the
 * engine may enter, such as an interpreter. The notice's `log` is the record, and `at_unix_ms` when it was
 * made. At most `capacity` records wait, up to 65,536; 0 is 1,000. One that finds as many waiting is lost;
 * the next one has in `lost` how many were. What the program's own callback (`fanfare_log_set`) gets does
 * not depend on this. `fanfare_notices_remove` ends it.
 *
 * Threads: any, several at once; waits for callbacks that run, and for a drain of the queue that is under
 * way. Ownership: the queue stays the caller's. Errors: `FANFARE_ERR_ARGUMENT`, also when the level is
 * none of these or the capacity is too large; `FANFARE_ERR_LIMIT` when 16 queues get the log, or the queue
 * has 1,048,576 sources; `FANFARE_ERR_BUSY` in a callback of the log; `FANFARE_ERR_LOGGER` as of
 * `fanfare_log_set`; `FANFARE_ERR_FORKED`.
 *
 * The child of a fork has no such notices, and may ask for its own with a queue of its own.
 */
fanfare_status fanfare_log_watch(const fanfare_notices *notices,
                                 uint64_t token,
                                 fanfare_log_level level,
                                 size_t capacity);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FANFARE_H */
