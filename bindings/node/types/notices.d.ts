import type { Topics } from './options.js';

/** What all notices have. */
export interface NoticeBase {
  /** When it happened, in milliseconds since 1970. */
  at: number;
  /** The notices that were lost since the one before, because too many waited. */
  lost: number;
}

/** A connection became an event stream. */
export interface Connected extends NoticeBase {
  type: 'connected';
  connectionId: bigint;
  /** What the client calls itself: a label that any client can claim. */
  tag: string | undefined;
  /** The client's address and port; undefined at a Unix domain socket. */
  addr: string | undefined;
  /** What it is subscribed to, each once, in no order. */
  subscriptions: string[];
}

/** A connection ended. */
export interface Disconnected extends Omit<Connected, 'type'> {
  type: 'disconnected';
  /** Why, such as `client_closed`. */
  reason: string;
  /** For how long it was an event stream. */
  lastedMs: number;
  /** The number of events that its socket took whole. */
  events: number;
  /** Bytes of events that its socket took, without what HTTP adds. */
  bytes: number;
}

/** A topic or filter got its first subscriber, or has had none for the grace time. */
export interface Interest extends NoticeBase {
  type: 'wanted' | 'unwanted';
  subscription: string;
}

export type Notice = Connected | Disconnected | Interest;

export interface InterestOptions {
  /** How long a topic has to be without subscribers before that is told. Bounds: at most 1 hour. */
  graceMs?: number | undefined;
}

export interface NoticesOptions extends InterestOptions {
  /** Whether to tell of connections that begin and end. Default: true. */
  connections?: boolean | undefined;
  /**
   * How many notices of connections may wait to be read; the next one counts those that were lost.
   * Bounds: 1 to 1,048,576. Default: 10,000.
   */
  capacity?: number | undefined;
  /**
   * Topics and filters: tells when a topic that matches gets its first subscriber, or has lost its
   * last. First comes what has one already. None is lost; one that undoes a notice that was not read
   * takes its place.
   */
  interest?: Topics | undefined;
}

/** Notices, to be iterated with `for await`, until the hub or this is closed. */
export class Notices implements AsyncIterableIterator<Notice> {
  private constructor();
  next(): Promise<IteratorResult<Notice, undefined>>;
  return(): Promise<IteratorResult<Notice, undefined>>;
  /** Ends them; those that were not read are dropped. */
  close(): void;
  /** Has them keep the process going, which they do not by themselves. */
  ref(): this;
  unref(): this;
  [Symbol.asyncIterator](): this;
  [Symbol.asyncDispose](): Promise<void>;
}
