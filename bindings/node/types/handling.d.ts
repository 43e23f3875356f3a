import type { Headers, Topics } from './options.js';
import type { ServeOptions } from './streams.js';

/** Which stream a request gets, in the words of a grant. */
export interface ResponseOptions extends ServeOptions {
  /** The topics and filters of the stream. */
  topics?: Topics | undefined;
  /** Whether the request's query may name any topics: `?topic=a&topic=b`. Default: false. */
  anyTopics?: boolean | undefined;
  /**
   * Whether the request's query may name topics among those of `topics`: it gets these then, and 403
   * if one is not granted. One that names none gets all. Default: what `anyTopics` is.
   */
  queryTopics?: boolean | undefined;
  /**
   * Header fields of the answer beside the stream's own, at most 32 and 4 KiB. One that is undefined is
   * left out.
   */
  headers?: Headers | Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  /**
   * What clients are told that are too many: to come again by an answer that has the status 200, which
   * an `EventSource` does, or 503. Default: `comeAgain`.
   */
  overload?: 'comeAgain' | 'unavailable' | undefined;
  /**
   * The most bytes that wait to be sent, of a stream that the server sends.
   * Bounds: 1 byte to 16 MiB. Default: 128 KiB.
   */
  queueBytesMax?: number | undefined;
}

export interface HandleOptions extends ResponseOptions {
  /**
   * Whether the client's socket is handed over to the engine: where it can be, not at all, or always,
   * so that a request whose socket cannot be is answered 503. Default: `auto`.
   */
  handover?: 'auto' | 'never' | 'require' | undefined;
}

/**
 * What became of a request: the engine has its socket, the server sends the stream, it got another
 * answer, or its client has left.
 */
export type Handled = 'handover' | 'stream' | 'answer' | 'gone';

/** A request of Node.js or Express, or one that has it, as in Fastify and Koa. */
export type NodeRequest = { readonly method?: string | undefined };

/** A response of Node.js or Express, Fastify's reply, or Koa's response. */
export type NodeResponse =
  | { writeHead(status: number): unknown }
  | { hijack(): unknown }
  | { readonly ctx: object };

/** What is used of a request of the Fetch standard. */
export interface Request {
  readonly url: string;
  readonly method: string;
  readonly headers: { get(name: string): string | null };
  readonly signal?: object | null | undefined;
}

/** The runtime's own `Response`, if its types are known. */
export type Response = typeof globalThis extends { Response: { prototype: infer R } } ? R : object;
