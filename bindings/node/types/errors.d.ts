export type ErrorCode =
  /** The library has a defect; please report it. */
  | 'FANFARE_ERR_PANIC'
  /** The binding has a defect; please report it. */
  | 'FANFARE_ERR_ARGUMENT'
  /** The hub was made before a fork; make a new one in the child. */
  | 'FANFARE_ERR_FORKED'
  /** The hub is closed. */
  | 'FANFARE_ERR_CLOSED'
  /** Too much waits to be sent; nothing was published, try again a little later. */
  | 'FANFARE_ERR_FULL'
  /** The topic is empty, longer than 256 bytes, or has a forbidden character. */
  | 'FANFARE_ERR_TOPIC'
  /** The event is empty, or a field of it is too long or has a forbidden character. */
  | 'FANFARE_ERR_EVENT'
  /** The event's bytes are not UTF-8. */
  | 'FANFARE_ERR_UTF8'
  /** The event is larger than the option eventBytesMax. */
  | 'FANFARE_ERR_TOO_LARGE'
  /** An option is out of its bounds; the message names both. */
  | 'FANFARE_ERR_OPTIONS'
  /** The address cannot be read, is in use, or may not be bound. */
  | 'FANFARE_ERR_ADDRESS'
  /** The system is out of descriptors, threads or memory. */
  | 'FANFARE_ERR_SYSTEM'
  /** The topic is finished; publish to another one. */
  | 'FANFARE_ERR_FINISHED'
  /** What was waited for did not happen within the time; wait again, or do without it. */
  | 'FANFARE_ERR_TIMEOUT'
  /** A topic or filter to subscribe to is none. */
  | 'FANFARE_ERR_SUBSCRIPTION'
  /** A list has more entries than it may have; give fewer. */
  | 'FANFARE_ERR_TOO_MANY'
  /** The caller's buffer is too small; give a larger one. */
  | 'FANFARE_ERR_BUFFER'
  /** What an id names is not there any more; there is nothing to do. */
  | 'FANFARE_ERR_STALE'
  /** There are as many as the options allow; raise the option, or try again later. */
  | 'FANFARE_ERR_LIMIT'
  /** The engine is asked for more at once than it keeps a queue for; try again a little later. */
  | 'FANFARE_ERR_BUSY'
  /** The descriptor is no connected stream socket. */
  | 'FANFARE_ERR_SOCKET'
  /** The socket speaks TLS, which the engine cannot. */
  | 'FANFARE_ERR_SOCKET_TLS'
  /** The client has sent bytes behind the request, or a body that was not read. */
  | 'FANFARE_ERR_SOCKET_READ'
  /** Bytes that the host has written are not sent yet; wait until they are. */
  | 'FANFARE_ERR_SOCKET_UNSENT'
  /** The request is none that a stream can answer. */
  | 'FANFARE_ERR_REQUEST'
  /** A grant or a refusal is beyond its bounds, or a stream wants what is not granted. */
  | 'FANFARE_ERR_GRANT'
  /** A key cannot be read, is too weak, or is of no algorithm that is taken. */
  | 'FANFARE_ERR_KEY'
  /** The stream has ended; free it. */
  | 'FANFARE_ERR_ENDED'
  /** The program has set a logger of its own; take the library's records from that. */
  | 'FANFARE_ERR_LOGGER'
  /** The token or ticket is not valid, or no longer; answer its client 401. */
  | 'FANFARE_ERR_TOKEN';

/** What the engine refuses is an `Error` with one of these codes. */
export interface FanfareError extends Error {
  code: ErrorCode;
  /** Of `publishMany`: the ids of those that were published before the one that was refused. */
  published?: string[];
}
