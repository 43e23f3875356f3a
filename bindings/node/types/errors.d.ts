export type ErrorCode =
  /** The library has a defect and panicked; please report it. */
  | 'FANFARE_ERR_PANIC'
  /**
   * An argument is NULL, or a length or struct size is impossible; the package has a defect, please
   * report it.
   */
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
   * An option is out of its bounds, or one is set that only a newer library knows; the message
   * names the option and its bounds.
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
  | 'FANFARE_ERR_TOKEN'
  /**
   * The journal in the option data_dir cannot be opened or written; the log says why, mend that and
   * try again.
   */
  | 'FANFARE_ERR_JOURNAL'
  /**
   * The server of the cluster in the option cluster_url does not serve, or passes no question on, or
   * the hub is in no cluster, or the library has none; the log says why, mend that and try again.
   */
  | 'FANFARE_ERR_CLUSTER';

/** What the engine refuses is an `Error` with one of these codes. */
export interface FanfareError extends Error {
  code: ErrorCode;
  /** Of `publishMany`: the ids of those that were published before the one that was refused. */
  published?: string[];
}
