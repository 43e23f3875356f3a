import type { Headers, Moment, Policy, Start, Topics } from './options.js';

/**
 * What a client may do. A request that names topics beyond it is answered 403; one that names none is
 * subscribed to all of `topics`.
 */
export interface Grant {
  /** The topics and filters that the stream may be subscribed to, at most 1,024. */
  topics?: Topics | undefined;
  /** Header fields of the stream's answer, at most 32 and 4 KiB. */
  headers?: Headers | undefined;
  /** The label by which the connection is found again; by default the request's own. */
  tag?: string | undefined;
  /** When the stream ends; by default never. */
  expiresAt?: Moment | undefined;
  /** Whether the request may name any topics and filters. */
  anyTopics?: boolean | undefined;
  /** What happens when the client reads too slowly, whatever its request says. */
  policy?: Policy | undefined;
  /** Where the stream begins of a client without an id, or whose id is gone. */
  start?: Start | undefined;
}

/** What a client is told that gets no stream. */
export interface Refusal {
  /** 204, which an `EventSource` takes for the end of the stream, or 300 to 599. */
  status: number;
  /** The content: plain text of at most 4 KiB; a 204 has none. */
  text?: string | undefined;
  /** Header fields of the answer, such as `WWW-Authenticate`, at most 32 and 4 KiB. */
  headers?: Headers | undefined;
}

/** A request for a stream, about which a function decides. */
export class StreamRequest {
  private constructor();
  readonly method: string;
  /** The path, percent-encoded. */
  readonly path: string;
  /** The query as it was sent, without its `?`. */
  readonly query: string;
  readonly headers: ReadonlyArray<[name: string, value: string]>;
  /** The content of a `POST`; empty for others. A `Buffer`. */
  readonly content: Uint8Array;
  /** The id of the last event that the client had, if it comes back. It is what the client says. */
  readonly lastEventId: string | undefined;
  /** The client's address and port; undefined at a Unix domain socket. */
  readonly addr: string | undefined;
  /** What the stream would be subscribed to; nothing if the client leaves it to the grant. */
  readonly topics: readonly string[];
  /** The value of the first header field of a name, in whatever case. */
  header(name: string): string | undefined;
}

/** true grants any topics, and false refuses with 403. An object with a status is a refusal. */
export type Verdict = Grant | Refusal | boolean;

export type Decide = (request: StreamRequest) => Verdict | PromiseLike<Verdict>;

export interface AuthorizeOptions {
  /**
   * The most requests that wait at once; one beyond them is told to come again.
   * Bounds: 1 to 65,536. Default: 1,024.
   */
  waitingMax?: number | undefined;
  /**
   * The longest time that a request waits; then it is told to come again.
   * Bounds: 10 ms to 10 min. Default: 5 s.
   */
  timeoutMs?: number | undefined;
  /**
   * Called with what the function throws, or with what is wrong with its verdict; the client is told
   * to come again. By default a warning is emitted.
   */
  onError?: ((error: unknown) => void) | undefined;
}

/** What decides which client gets which stream; several listeners may have the same one. */
export class Authorizer {
  protected constructor();
}

/** Has a function decide. Close it when its listeners are closed. */
export class FunctionAuthorizer extends Authorizer {
  constructor(decide: Decide, options?: AuthorizeOptions);
  /** Asks no more: requests that come to its listeners are told to come again. */
  close(): void;
}
