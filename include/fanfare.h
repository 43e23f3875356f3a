/* fanfare.h - the C ABI of fanfare, an embeddable Server-Sent Events fan-out engine.
 *
 * Generated from src/ffi by cbindgen: do not edit, run `make header`.
 *
 * Functions that can fail return FANFARE_OK or a negative FANFARE_ERR_ code, of which
 * fanfare_strerror says what it means. Texts are pointer and length, need no NUL, and are copied
 * before a call returns. Outputs come last and are written on success only. No callback ever comes
 * from a thread of the library's. Each function says whether it may be called from any thread.
 *
 * What a caller lends for a call (texts, and structs that are read) has to be readable until the
 * call returns, and not more. Each byte is read once, and only the copy is checked and used. So
 * memory that others write to at the same time does no harm: the call uses some mixture of what was
 * there before and after, or refuses it. What a call writes to must be the caller's alone meanwhile.
 */

#ifndef FANFARE_H
#define FANFARE_H

#include <stddef.h>
#include <stdint.h>

#define FANFARE_VERSION_MAJOR 0
#define FANFARE_VERSION_MINOR 1
#define FANFARE_VERSION_PATCH 0


/**
 * The version of this header's ABI. It changes when a program built with an older header could
 * not run with a newer library; compare it with what `fanfare_abi_version` returns.
 */
#define FANFARE_ABI_VERSION 1

/**
 * All went well.
 */
#define FANFARE_OK 0

/**
 * The library has a defect and panicked; the call may have had no effect.
 */
#define FANFARE_ERR_PANIC (-1)

/**
 * A pointer is NULL that must not be, a length is impossible, or a struct's size is unknown.
 */
#define FANFARE_ERR_ARGUMENT (-2)

/**
 * The hub was made before a fork; make a new one in the child.
 */
#define FANFARE_ERR_FORKED (-3)

/**
 * The hub is closed.
 */
#define FANFARE_ERR_CLOSED (-4)

/**
 * Too much waits to be sent; nothing was published, try again a little later.
 */
#define FANFARE_ERR_FULL (-5)

/**
 * The topic is empty, longer than 256 bytes, not UTF-8, or has a forbidden character.
 */
#define FANFARE_ERR_TOPIC (-6)

/**
 * The event is empty, a field of it is too long or has a character that no client gets back, its
 * name is that of the engine's own events, or it has a field that only a newer library knows.
 */
#define FANFARE_ERR_EVENT (-7)

/**
 * The event's text is not UTF-8.
 */
#define FANFARE_ERR_UTF8 (-8)

/**
 * The event is larger than the option event_bytes_max.
 */
#define FANFARE_ERR_TOO_LARGE (-9)

/**
 * An option is out of its bounds, or one is set that only a newer library knows.
 */
#define FANFARE_ERR_OPTIONS (-10)

/**
 * The address is not one, is in use, or may not be bound.
 */
#define FANFARE_ERR_ADDRESS (-11)

/**
 * The system is out of descriptors, threads or memory.
 */
#define FANFARE_ERR_SYSTEM (-12)

/**
 * The engine. Made by `fanfare_hub_new`, freed by `fanfare_hub_free`; all other functions may be
 * called with it from any thread at once.
 */
typedef struct fanfare_hub fanfare_hub;

/**
 * How a hub behaves and where its bounds are. Set `size` to `sizeof(fanfare_options)`, call
 * `fanfare_options_init`, and then change what should differ.
 *
 * The struct grows at its end only, by options of which zero is the default. So a program that was
 * built with a newer header runs with this library as long as it sets none that the library does
 * not know: one that is not zero is refused, with `FANFARE_ERR_OPTIONS`.
 *
 * What is not among these has the default that it has in Rust. So the newest events of each topic
 * are kept for clients that come back, 1,000 or 1 MiB at most and for five minutes, and 64 MiB over
 * all topics.
 */
typedef struct {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * Threads that each own a share of the connections, 1 to 256. Default: the cores.
   */
  uint64_t shards;
  /**
   * How long a connection may be silent before it gets a heartbeat, 100 ms to 1 day; 0 turns
   * heartbeats off. Default: 15,000 ms.
   */
  uint64_t heartbeat_ms;
  /**
   * The reconnection time that clients are told, each one drawn from this to twice this; at
   * most 1 day, 0 tells nothing. Default: 2,000 ms.
   */
  uint64_t retry_ms;
  /**
   * The most bytes in one event, at most 64 MiB. Default: 1 MiB.
   */
  uint64_t event_bytes_max;
  /**
   * The most bytes that are gathered into one batch, 1 byte to 16 MiB. Default: 40 KiB.
   */
  uint64_t batch_bytes_max;
  /**
   * A topic is full when so many bytes of it wait to be sent, at least 1. Default:
   * 40 KiB.
   */
  uint64_t topic_backlog_bytes_max;
  /**
   * The hub is full when so many bytes wait to be sent, at least 1. Default: 64 MiB.
   */
  uint64_t backlog_bytes_max;
  /**
   * The most bytes that a connection may lag before it is disconnected, or what the policy does
   * that its query names. Default: 1 MiB.
   */
  uint64_t lag_bytes_max;
  /**
   * The longest time that a connection may lag. Default: 30,000 ms.
   */
  uint64_t lag_age_max_ms;
  /**
   * How long a connection that lags too far is waited for when the publisher is faster than
   * the network, at most lag_age_max_ms. Default: 1,000 ms.
   */
  uint64_t lag_grace_ms;
  /**
   * The most bytes kept for all connections that lag, at least 1. Default: 256 MiB.
   */
  uint64_t lag_total_bytes_max;
  /**
   * The most connections, at least 1. Default: 100,000.
   */
  uint64_t connections_max;
  /**
   * The most connections from one address; 0 for no bound. Default: 0.
   */
  uint64_t connections_per_address_max;
  /**
   * The share of the time for which connections that lag too far are waited for, in percent, 1
   * to 100; beyond it they are disconnected. At 100 all are waited for, however long that is: for
   * a hub whose clients are trusted. 0 stands for the default, which is 5.
   */
  uint64_t lag_grace_percent;
  /**
   * 1: listeners on a loopback address serve requests whatever `Host` they name, 0: only those
   * that name an IP address, `localhost` or a name below it; others get 421. For listeners
   * behind a proxy on the same machine that passes on its clients' `Host`. It gives up what keeps
   * a web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from reading streams
   * through a browser on this machine. On other addresses any `Host` is served. Default: 0.
   */
  uint64_t any_host;
} fanfare_options;

/**
 * What is published. Set `size` to `sizeof(fanfare_event)` and everything else to zero, and then
 * fill in what the event has. All texts are UTF-8, need no NUL at their end, stay the caller's,
 * and are copied before the call returns. A NULL text is one that the event does not have; its
 * length has to be 0.
 *
 * The struct grows at its end only, by fields of which zero means what it is without them. An event
 * with a field that the library does not know and that is not zero is refused, with
 * `FANFARE_ERR_EVENT`.
 */
typedef struct {
  /**
   * The size of the struct as the caller knows it, in bytes.
   */
  size_t size;
  /**
   * The data. CR, LF and CRLF in it are line breaks. With a length of 0, a pointer that is not
   * NULL is empty data, which a client gets, and NULL is none at all, which fires nothing.
   */
  const char *data;
  /**
   * Its length in bytes, at most the option event_bytes_max.
   */
  size_t data_len;
  /**
   * The event's name: 1 to 256 bytes without CR, LF or NUL. Without one it is a "message".
   */
  const char *name;
  /**
   * Its length in bytes.
   */
  size_t name_len;
  /**
   * An id of the publisher's own, instead of the hub's: 1 to 256 bytes without control
   * characters, and without a space at either end.
   */
  const char *id;
  /**
   * Its length in bytes.
   */
  size_t id_len;
  /**
   * What the event is about: of events with one key only the newest matters. 1 to 256 bytes.
   */
  const char *key;
  /**
   * Its length in bytes.
   */
  size_t key_len;
  /**
   * The reconnection time that clients are to use from now on, in milliseconds; 0 for none.
   */
  uint32_t retry_ms;
} fanfare_event;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns `FANFARE_ABI_VERSION` of the library that is loaded. Thread-safe.
 */
uint32_t fanfare_abi_version(void);

/**
 * Returns a sentence that says what a code means and what to do. The text is static: it is never
 * freed, and never NULL, whatever the code. Thread-safe.
 */
const char *fanfare_strerror(int32_t code);

/**
 * Fills in the defaults. `options->size` has to be set before, and stays as it is. What the library
 * does not know, of a struct that is larger than this header's, is set to zero.
 *
 * Returns `FANFARE_OK`, or `FANFARE_ERR_ARGUMENT` when `options` is NULL or its size is that of no
 * version: smaller than in the first, or more than 4,096 bytes. The struct stays the caller's.
 * Thread-safe.
 */
int32_t fanfare_options_init(fanfare_options *options);

/**
 * Makes a hub and starts its threads. `options` may be NULL for the defaults, and stays the
 * caller's. On success `*hub_out` is a hub that the caller owns and has to free with
 * `fanfare_hub_free`.
 *
 * Returns `FANFARE_OK`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_OPTIONS` or `FANFARE_ERR_SYSTEM`.
 * Thread-safe.
 */
int32_t fanfare_hub_new(const fanfare_options *options, fanfare_hub **hub_out);

/**
 * Closes a hub and frees it: what was published is sent for at most two seconds more, then every
 * connection is closed and the threads have ended when this returns. NULL does nothing. No other
 * call with this hub may be under way, or come afterwards.
 *
 * In a child of the process, whether `fork`, `_Fork` or the system call has made it, a hub of the
 * parent's is left as it is. The child has the connections' sockets as well, until it ends or
 * executes another program. After a `fork` the parent's disconnections reach clients even so; after
 * the others, of which the library is not told, only once the child has the sockets no longer.
 */
void fanfare_hub_free(fanfare_hub *hub);

/**
 * Accepts clients on an address such as `127.0.0.1:8080` or `[::]:8080`, until the hub is freed;
 * streams have the path `/events?topic=NAME`. On a loopback address only requests are served whose
 * `Host` is right there, see `any_host`. With port 0 the system chooses one. On success
 * `*port_out`, unless `port_out` is NULL, is the port. `addr` is an address and a port, not a name,
 * of `addr_len` bytes; it needs no NUL, and stays the caller's.
 *
 * Returns `FANFARE_OK`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_ADDRESS`, `FANFARE_ERR_FORKED` or
 * `FANFARE_ERR_SYSTEM`. Thread-safe.
 */
int32_t fanfare_hub_listen(const fanfare_hub *hub,
                           const char *addr,
                           size_t addr_len,
                           uint16_t *port_out);

/**
 * Publishes an event to a topic, to every client that wants it. Never blocks. `topic` is 1 to
 * 256 bytes of UTF-8 without control characters, '+' and '#'; it and `event` stay the caller's.
 * On success `*sequence_out`, unless `sequence_out` is NULL, is the event's number in the hub's
 * total order, from 1.
 *
 * Returns `FANFARE_OK`, or `FANFARE_ERR_FULL` when too much waits to be sent (try again a little
 * later), `FANFARE_ERR_TOPIC`, `FANFARE_ERR_EVENT`, `FANFARE_ERR_UTF8`, `FANFARE_ERR_TOO_LARGE`,
 * `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED` or `FANFARE_ERR_FORKED`; then nothing was
 * published anywhere. Thread-safe.
 */
int32_t fanfare_hub_publish(const fanfare_hub *hub,
                            const char *topic,
                            size_t topic_len,
                            const fanfare_event *event,
                            uint64_t *sequence_out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FANFARE_H */
