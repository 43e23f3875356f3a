import type { Hub } from './hub.js';
import type { HandleOptions, NodeRequest, NodeResponse, Request, Response, ResponseOptions } from './handling.js';
import type { DisconnectOptions } from './connections.js';

/** Which pages of other origins may read a stream: all (`true`), or those of some origins. */
export type Cors =
  | boolean
  | { readonly origins: '*' | string | readonly string[]; readonly credentials?: boolean | undefined };

interface SessionParts<State> {
  /** The hub; by default one of this module's own, which listens nowhere. */
  hub?: Hub | undefined;
  /** Channels that the session is registered with from its beginning. */
  channels?: ReadonlyArray<Channel<any, State>> | undefined;
  /** The reconnection time that the client is told, in milliseconds. */
  retry?: number | undefined;
  cors?: Cors | undefined;
  /** Kept as `state` of the session. Default: `{}`. */
  state?: State | undefined;
}

export type SessionOptions<State = any> =
  & Omit<HandleOptions, 'tag' | 'lastEventId'> & SessionParts<State>;
export type ResponseSessionOptions<State = any> =
  & Omit<ResponseOptions, 'tag' | 'lastEventId'> & SessionParts<State>;

/** One client's stream, to which the program also sends events of its own. */
export class Session<State = any> {
  private constructor();
  readonly id: string;
  /** The topic that is the session's alone. */
  readonly topic: string;
  /** The other topics and filters of its stream. */
  readonly topics: string[];
  /** The id among the hub's connections, once it has begun. */
  readonly connectionId: bigint | undefined;
  readonly isConnected: boolean;
  /** The request's `Last-Event-ID`, or an empty text. */
  readonly lastId: string;
  state: State;
  /**
   * Sends the client an event: a string as it is, and other values as JSON. Without an id of yours it
   * has one of the hub's.
   *
   * @throws {FanfareError} FANFARE_ERR_STALE: the session has ended; and as of `Hub.publish`
   */
  sendEvent(data: unknown, name?: string, id?: string): this;
  /** Sends the client an event whose data is JSON, also of a string. */
  push(data: unknown, name?: string, id?: string): this;
  sendComment(comment: string): this;
  sendRetry(retryMs: number): this;
  /** Pushes each item, and waits while there is no space. */
  iterate(events: Iterable<unknown> | AsyncIterable<unknown>, options?: { eventName?: string | undefined }): Promise<void>;
  /** Pushes each chunk of a stream of Node.js or of the Web, those of bytes as texts. */
  stream(
    readable: AsyncIterable<unknown>, options?: { eventName?: string | undefined },
  ): Promise<boolean>;
  /** Adds a topic or filter. What is published to it once the promise resolves reaches the client. */
  subscribe(topic: string): Promise<void>;
  unsubscribe(topic: string): Promise<void>;
  /** Ends the stream. */
  close(options?: DisconnectOptions): Promise<void>;
  /** Told once, with the reason such as `client_closed`. */
  on(event: 'disconnected', listener: (reason: string) => void): this;
  once(event: 'disconnected', listener: (reason: string) => void): this;
  off(event: 'disconnected', listener: (reason: string) => void): this;
}

export interface BroadcastOptions<State = any> {
  eventId?: string | undefined;
  /** Sends it to those sessions of this process alone for which the function gives true. */
  filter?: ((session: Session<State>) => boolean) | undefined;
}

export interface ChannelEvents<State = any> {
  'session-registered': [session: Session<State>];
  'session-deregistered': [session: Session<State>];
  'session-disconnected': [session: Session<State>];
  'broadcast': [data: unknown, name: string | undefined, eventId: string | undefined];
}

/** A topic, with the sessions that are registered for it. */
export class Channel<State = any, SessionState = any> {
  private constructor();
  readonly topic: string;
  state: State;
  readonly activeSessions: ReadonlyArray<Session<SessionState>>;
  readonly sessionCount: number;
  /** What is broadcast once the promise resolves reaches the session. */
  register(session: Session<SessionState>): Promise<this>;
  deregister(session: Session<SessionState>): Promise<this>;
  /** Publishes an event whose data is JSON, without a loop over the sessions. */
  broadcast(data: unknown, name?: string, options?: BroadcastOptions<SessionState>): this;
  on<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents<SessionState>[E]) => void): this;
  once<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents<SessionState>[E]) => void): this;
  off<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents<SessionState>[E]) => void): this;
}

export interface ChannelOptions<State = any> {
  hub?: Hub | undefined;
  /** Default: a name of its own. */
  topic?: string | undefined;
  state?: State | undefined;
}

export function createChannel<State = any, SessionState = any>(options?: ChannelOptions<State>): Channel<State, SessionState>;

/**
 * Answers a request with a stream, as `Hub.handle` does, and gives its session; or undefined when the
 * client got another answer, or has left.
 */
export function createSession<State = any>(
  req: NodeRequest, res: NodeResponse, options?: SessionOptions<State>,
): Promise<Session<State> | undefined>;

/** The same as a `Response` of the Fetch standard. The function is called with the session. */
export function createResponse<State = any>(
  request: Request, options?: ResponseSessionOptions<State>, begin?: (session: Session<State>) => void,
): Response;

export interface MiddlewareOptions extends SessionOptions {
  /** Without a hub: how long a client may be silent before it gets a heartbeat, in milliseconds. */
  heartbeat?: number | undefined;
}

/** What the middleware gives responses. The three `send` functions are there once `sse` was called. */
export interface SseResponse {
  sse<State = any>(options?: Omit<SessionOptions<State>, 'hub'>): Promise<Session<State> | undefined>;
  sendEvent(data: unknown, name?: string, id?: string): void;
  sendComment(comment: string): void;
  sendRetry(retryMs: number): void;
}

export interface SseMiddleware {
  (req: any, res: any, next?: () => void): void;
  readonly hub: Hub;
  channel(topic: string, options?: { state?: unknown }): Channel;
  /** Publishes to a topic: a string as it is, and other values as JSON. */
  broadcast(topic: string, data: unknown, name?: string, id?: string): void;
}

/** A middleware of Express, and of other servers with `(req, res, next)`. */
export function sse(options?: MiddlewareOptions): SseMiddleware;
