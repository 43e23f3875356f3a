import type { Envelope, Headers, HeartbeatForm, Moment, Policy, Start } from './options.js';

/** How a stream begins, and how it is served, that the program opens for a client itself. */
export interface ServeOptions {
  /**
   * The client's `Last-Event-ID`: its stream begins behind that event. At most 4 KiB; one that no
   * event can have is one that is gone, and an empty one is none.
   */
  lastEventId?: string | undefined;
  /** A label by which the connection is found again, 1 to 256 bytes without control characters. */
  tag?: string | undefined;
  /** The client's address, which counts against limits per address, with or without a port. */
  addr?: string | undefined;
  /** Where the stream of a client without an id begins. Default: `now`. */
  start?: Start | undefined;
  /** Where it begins if the id is gone. Default: by the gap's reason. */
  gapStart?: Start | undefined;
  /** What happens when it lags too far. Default: that of the rules of its topics, or the hub's. */
  policy?: Policy | undefined;
  /** The form of heartbeats. Default: the hub's. */
  heartbeatForm?: HeartbeatForm | undefined;
  /** What is around the data of events. Default: `none`. */
  envelope?: Envelope | undefined;
  /** When the stream ends. Default: never. */
  expiresAt?: Moment | undefined;
}

export interface SubscribeOptions extends ServeOptions {
  /** The most bytes that wait to be read. Bounds: 1 byte to 16 MiB. Default: 128 KiB. */
  queueBytesMax?: number | undefined;
}

export interface AdoptOptions extends ServeOptions {
  /** `GET`, or `POST` whose content was read whole. Default: `GET`. */
  method?: string | undefined;
  /** The request's version of HTTP, such as `HTTP/1.1` or `1.0`. Default: `HTTP/1.1`. */
  version?: string | undefined;
  /** Header fields of the answer beside the engine's own, at most 32 and 4 KiB. */
  headers?: Headers | undefined;
  /**
   * How many bytes behind the request the server has read; more than 0 are refused. Default: 0, or
   * what a `net.Socket` has to be read.
   */
  readAheadBytes?: number | undefined;
  /** Whether the server encrypts the connection, which is refused. Default: what the socket says. */
  isTls?: boolean | undefined;
  /** Whether some of the request's content was not read, which is refused. */
  hasUnreadContent?: boolean | undefined;
}

/** A `net.Socket`, or a descriptor. */
export type Socket = number | { destroy(): unknown };

/** The header fields of a response that is a stream, as `res.writeHead` takes them. */
export const STREAM_HEADERS: Readonly<Record<string, string>>;

/**
 * The event stream of one client, which the program sends to it by its own server. Iterate it with
 * `for await`: each item is the bytes of some whole events, as they are to be sent. The iteration ends
 * when the stream ends in order, and rejects when it was cut, which a server passes on as a broken
 * response. To leave the iteration closes the stream.
 *
 * One reader reads it at a time. A read that waits keeps the process going.
 */
export class Stream implements AsyncIterableIterator<Uint8Array> {
  private constructor();
  /**
   * Reads the next batch, a `Buffer` of the caller's own, and waits for it.
   *
   * @throws {EndedError} The stream has ended.
   * @throws {FanfareError} FANFARE_ERR_BUSY while another read waits
   */
  read(): Promise<Uint8Array>;
  /**
   * Reads the next batch if there is one, and else gives null.
   *
   * @throws {EndedError} The stream has ended.
   */
  tryRead(): Uint8Array | null;
  next(): Promise<IteratorResult<Uint8Array, undefined>>;
  return(): Promise<IteratorResult<Uint8Array, undefined>>;
  /** Ends the stream: its client is gone. What reads it is told that it has ended. */
  close(): void;
  /** The same as `STREAM_HEADERS`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Its id among the hub's connections; 0n until its first batch has come. */
  readonly connectionId: bigint;
  /**
   * Whether it is empty, and always was: all topics are finished, and its client has all. A server
   * answers the status 204, after which an `EventSource` does not come back.
   */
  readonly isComplete: boolean;
  /** Why it has ended, such as `finished`, once all of it was read. */
  readonly endReason: string | undefined;
  [Symbol.asyncIterator](): this;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A stream has ended. */
export interface EndedError extends Error {
  code: 'FANFARE_ERR_ENDED';
  /** Why, such as `finished`. */
  reason: string;
  /** Whether something may be missing at its end: break the response off. */
  isCut: boolean;
}
