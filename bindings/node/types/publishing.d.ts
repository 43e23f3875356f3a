/** What cancels a call that waits, such as an `AbortSignal`. */
export interface Signal {
  readonly aborted: boolean;
}

/**
 * What is sent. In a string or bytes CR, LF and CRLF are line breaks; bytes have to be UTF-8. `''` is
 * empty data, which a client gets; `null` and `undefined` are no data, which fires nothing. `{json}`
 * is any value that `JSON.stringify` takes.
 */
export type Data = string | Uint8Array | { readonly json: unknown } | null | undefined;

/** What an event has beside its data. */
export interface EventOptions {
  /** 1 to 256 bytes without CR, LF or NUL. Without one it is a "message". */
  name?: string | undefined;
  /**
   * An id of your own, which clients see instead of the hub's: 1 to 256 bytes without control
   * characters, and without a space at either end.
   */
  id?: string | undefined;
  /** What the event is about: of events with one key only the newest matters. 1 to 256 bytes. */
  key?: string | undefined;
  /** A text that clients ignore. */
  comment?: string | undefined;
  /** The reconnection time that clients are to use from now on. Bounds: at most 2^32 - 1. */
  retryMs?: number | undefined;
  /** The clients are sent the event evenly over this time. Bounds: at most 300,000. */
  windowMs?: number | undefined;
}

/** For how long a call waits for space. */
export interface WaitOptions {
  /** The longest time; without one, or if it is infinite, there is no bound. One below 0 is over at once. */
  timeoutMs?: number | undefined;
  signal?: Signal | undefined;
}

/**
 * Where an event goes: a topic, of 1 to 256 bytes of UTF-8 without control characters, `+` and `#`; or
 * a handle; or 1 to 64 of either. An event of several topics is one event: it is published to all of
 * them or to none, and a client that wants several is sent it once.
 */
export type Destination = string | Topic | ReadonlyArray<string | Topic>;

/** An event with its topics, of `publishMany`. */
export interface Publication extends EventOptions {
  topic: Destination;
  data?: Data;
}

/** A topic by handle, which `Hub.topic` makes: its name was checked, so that publishing is faster. */
export class Topic {
  private constructor();
  readonly name: string;
  /** As `Hub.publish`. */
  publish(data: Data, options?: EventOptions): string;
  /** As `Hub.publishAsync`. */
  publishAsync(data: Data, options?: EventOptions & WaitOptions): Promise<string>;
  /** As `Hub.finish`. */
  finish(data?: Data, options?: EventOptions): string;
  /** As `Hub.finishAsync`. */
  finishAsync(data?: Data, options?: EventOptions & WaitOptions): Promise<string>;
}
