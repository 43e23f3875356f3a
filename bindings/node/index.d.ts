/** How a hub behaves and where its bounds are. What is left out has its default. */
export interface HubOptions {
  /**
   * Threads that each own a share of the connections.
   * Bounds: 1 to 256. Default: one for each core.
   */
  shards?: number | undefined;
  /**
   * How long a connection may be silent before it gets a heartbeat; 0 turns heartbeats off.
   * Bounds: 0, or 100 ms to 1 day. Default: 15 s.
   */
  heartbeatMs?: number | undefined;
  /**
   * The reconnection time that a client is told when it connects, drawn for each from this to twice
   * this; 0 tells nothing.
   * Bounds: at most 1 day. Default: 2 s.
   */
  retryMs?: number | undefined;
  /** The most bytes of data in one event. Bounds: at most 64 MiB. Default: 1 MiB. */
  eventBytesMax?: number | undefined;
  /** The most bytes that are gathered into one batch. Bounds: 1 byte to 16 MiB. Default: 40 KiB. */
  batchBytesMax?: number | undefined;
  /**
   * A topic is full when this many bytes of its events wait to be sent.
   * Bounds: at least 1 byte. Default: 40 KiB.
   */
  topicBacklogBytesMax?: number | undefined;
  /**
   * The hub is full when this many bytes over all topics wait to be sent.
   * Bounds: at least 1 byte. Default: 64 MiB.
   */
  backlogBytesMax?: number | undefined;
  /**
   * The most events of a topic that are kept for clients that come back; 0 keeps none.
   * Bounds: any. Default: 1,000.
   */
  historyEventsMax?: number | undefined;
  /** The most bytes of a topic's events that are kept. Bounds: any. Default: 1 MiB. */
  historyBytesMax?: number | undefined;
  /** How long an event is kept. Bounds: at most 7 days. Default: 5 min. */
  historyAgeMaxMs?: number | undefined;
  /** The most bytes of events that are kept over all topics. Bounds: any. Default: 64 MiB. */
  historyTotalBytesMax?: number | undefined;
  /**
   * The most bytes that a connection may lag before its policy is applied, which is to disconnect
   * unless its query names another one.
   * Bounds: any. Default: 1 MiB.
   */
  lagBytesMax?: number | undefined;
  /** The longest time that a connection may lag. Bounds: at least lagGraceMs. Default: 30 s. */
  lagAgeMaxMs?: number | undefined;
  /**
   * How long a connection that lags too far is waited for when the publisher is faster than the
   * network; 0 waits for none.
   * Bounds: at most lagAgeMaxMs. Default: 1 s.
   */
  lagGraceMs?: number | undefined;
  /**
   * The share of the time for which such connections are waited for, in percent; beyond it they are
   * disconnected. At 100 all are waited for, however long that is: for a hub whose clients are
   * trusted.
   * Bounds: 0 to 100. Default: 5.
   */
  lagGracePercent?: number | undefined;
  /**
   * The most bytes that are kept for all connections that lag.
   * Bounds: at least 1 byte. Default: 256 MiB.
   */
  lagTotalBytesMax?: number | undefined;
  /**
   * How long a connection's socket may take nothing while there is something to send to it, before
   * the connection is disconnected; 0 for no bound.
   * Bounds: 0, or 100 ms to 1 day. Default: 30 s.
   */
  stallTimeMaxMs?: number | undefined;
  /** The most connections. Bounds: 1 to 10,000,000. Default: 100,000. */
  connectionsMax?: number | undefined;
  /**
   * The most connections from one address (from one /64 network in IPv6); 0 for no bound.
   * Bounds: any. Default: 0.
   */
  connectionsPerAddressMax?: number | undefined;
  /**
   * The most topics and filters that all connections may ask for together.
   * Bounds: 1 to 100,000,000. Default: 1,000,000.
   */
  subscriptionsMax?: number | undefined;
  /** The same for the connections from one address; 0 for no bound. Bounds: any. Default: 0. */
  subscriptionsPerAddressMax?: number | undefined;
  /**
   * How old a connection may get before it is closed, to come back; 0 for any age.
   * Bounds: 0, or 1 s to 30 days. Default: 0.
   */
  connectionAgeMaxMs?: number | undefined;
  /**
   * true: listeners on a loopback address serve requests whatever `Host` they name. false: only
   * those that name an IP address, `localhost` or a name below it; others get 421. For listeners
   * behind a proxy on the same machine that passes on its clients' `Host`. It gives up what keeps a
   * web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from reading streams
   * through a browser on this machine. On other addresses any `Host` is served.
   * Bounds: true or false. Default: false.
   */
  anyHost?: boolean | undefined;
  /**
   * How long a topic that was finished is known: nothing can be published to it, and a client that
   * comes late is sent what is kept, and the end. Then its name is free.
   * Bounds: at most 7 days. Default: 5 min.
   */
  finishedAgeMaxMs?: number | undefined;
}

/** What is published. It needs data or a reconnection time. */
export interface Event {
  /**
   * CR, LF and CRLF in it are line breaks. `''` is empty data, which a client gets; without data
   * nothing fires. Bytes have to be UTF-8.
   */
  data?: string | Uint8Array | undefined;
  /** 1 to 256 bytes without CR, LF or NUL. Without one it is a "message". */
  name?: string | undefined;
  /** An id of your own, instead of the hub's. */
  id?: string | undefined;
  /** What the event is about: of events with one key only the newest matters. */
  key?: string | undefined;
  /** The reconnection time that clients are to use from now on. */
  retryMs?: number | undefined;
}

export type ErrorCode =
  /** The library has a defect and panicked; please report it. */
  | 'FANFARE_ERR_PANIC'
  /** An argument is NULL, or a length or struct size is impossible; correct the call. */
  | 'FANFARE_ERR_ARGUMENT'
  /** The hub, or what else the call is for, was made before a fork; make a new one in the child. */
  | 'FANFARE_ERR_FORKED'
  /** The hub is closed, or is being drained and takes no more clients; make a new one. */
  | 'FANFARE_ERR_CLOSED'
  /** Too many bytes wait to be sent; try again a little later. */
  | 'FANFARE_ERR_FULL'
  /** The topic must be 1 to 256 bytes of UTF-8 without control characters, '+' and '#'. */
  | 'FANFARE_ERR_TOPIC'
  /**
   * The event is empty, or its name, id or key is empty, longer than 256 bytes, has a forbidden
   * character or is reserved, or its window is too long, or a field is set that only a newer
   * library knows; correct the event.
   */
  | 'FANFARE_ERR_EVENT'
  /** A text is not UTF-8; encode it as UTF-8. */
  | 'FANFARE_ERR_UTF8'
  /**
   * The event is larger than the option eventBytesMax, or more than 4 MiB were read of a
   * connection, or a token would have more than 8 KiB; publish less data or raise the option, read
   * less, or grant fewer topics.
   */
  | 'FANFARE_ERR_TOO_LARGE'
  /**
   * An option is out of its bounds, or one is set that only a newer library knows; the function
   * fanfare_..._problem of the struct says which, correct it.
   */
  | 'FANFARE_ERR_OPTIONS'
  /**
   * The address must be an IP address and a port such as 127.0.0.1:8080, or unix: and a path,
   * which is not in use and may be bound.
   */
  | 'FANFARE_ERR_ADDRESS'
  /** The system is out of descriptors, threads or memory; raise its limits or use less. */
  | 'FANFARE_ERR_SYSTEM'
  /** The topic is finished; publish to another one. */
  | 'FANFARE_ERR_FINISHED'
  /** It did not happen within the time; wait again, or do without it. */
  | 'FANFARE_ERR_TIMEOUT'
  /**
   * A subscription must be a topic, or a filter with '+' as a whole level or '#' as the last one;
   * correct it.
   */
  | 'FANFARE_ERR_SUBSCRIPTION'
  /** A list has more entries than it may have; give fewer. */
  | 'FANFARE_ERR_TOO_MANY'
  /** The buffer is too small; give one of the size that was written. */
  | 'FANFARE_ERR_BUFFER'
  /**
   * What the id, the listener or the token names is not there any more: it has ended, was closed,
   * or was answered; there is nothing to do.
   */
  | 'FANFARE_ERR_STALE'
  /**
   * There are as many connections, subscriptions, rules, tickets or sources of notices as are
   * allowed; raise the option, or try again later.
   */
  | 'FANFARE_ERR_LIMIT'
  /**
   * The engine is asked for more at once than it keeps a queue for, or the stream or the ticket is
   * in use, or the call is in the log's callback; try again a little later.
   */
  | 'FANFARE_ERR_BUSY'
  /**
   * The descriptor must be a connected stream socket of TCP or of a Unix domain; hand such a one
   * over.
   */
  | 'FANFARE_ERR_SOCKET'
  /** The socket speaks TLS, which the engine cannot; use a pull stream instead. */
  | 'FANFARE_ERR_SOCKET_TLS'
  /**
   * The client has sent bytes behind the request, or a body that was not read; read the request
   * whole before handing the socket over.
   */
  | 'FANFARE_ERR_SOCKET_READ'
  /**
   * Bytes that the host has written are not sent yet; write nothing before handing the socket
   * over.
   */
  | 'FANFARE_ERR_SOCKET_UNSENT'
  /**
   * The request is none that a stream can answer, by its method, query, header or version; answer
   * the client in another way.
   */
  | 'FANFARE_ERR_REQUEST'
  /** A grant or refusal is beyond its bounds, or a stream wants what is not granted; correct it. */
  | 'FANFARE_ERR_GRANT'
  /** A key cannot be read, is too weak, or is of no algorithm that is taken; give another. */
  | 'FANFARE_ERR_KEY'
  /** The stream has ended and nothing more will come; free it. */
  | 'FANFARE_ERR_ENDED'
  /** The program has set a logger of its own; take the library's records from that. */
  | 'FANFARE_ERR_LOGGER'
  /** The token or ticket is not valid, or no longer; answer its client 401. */
  | 'FANFARE_ERR_TOKEN';

/** What the engine refuses is an `Error` with one of these codes. */
export interface FanfareError extends Error {
  code: ErrorCode;
}

/** A fan-out engine with threads of its own. Close it at the end. */
export class Hub {
  /** @throws {FanfareError} FANFARE_ERR_OPTIONS, FANFARE_ERR_SYSTEM */
  constructor(options?: HubOptions);

  /**
   * Accepts clients on an address such as `127.0.0.1:8080`, by default one of the system's choice
   * on this machine only. Their streams have the path `/events?topic=NAME`. Keeps the process going
   * until the hub is closed.
   *
   * @returns the port
   * @throws {FanfareError} FANFARE_ERR_ADDRESS, FANFARE_ERR_CLOSED, FANFARE_ERR_SYSTEM
   */
  listen(addr?: string): number;

  /**
   * Publishes an event, or data only, to every client that wants the topic. Never blocks.
   *
   * @param topic 1 to 256 bytes of UTF-8 without control characters, `+` and `#`
   * @returns the hub's id of the event, also when the event has an id of your own: an opaque text,
   * which is empty when the event is published but its id is not known yet
   * @throws {FanfareError} FANFARE_ERR_FULL when too many bytes wait to be sent (try again a little
   * later), FANFARE_ERR_TOPIC, FANFARE_ERR_EVENT, FANFARE_ERR_UTF8, FANFARE_ERR_TOO_LARGE,
   * FANFARE_ERR_CLOSED; then nothing was published
   */
  publish(topic: string, event: string | Uint8Array | Event): string;

  /**
   * Closes the hub. What was published is sent for at most two seconds more, then every connection
   * is closed. Closing once more returns the same promise.
   */
  close(): Promise<void>;

  /** Closes the hub at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
