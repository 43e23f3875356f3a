import type { RuleOptions } from './connections.js';
import type { Handled, HandleOptions, NodeRequest, NodeResponse, Request, Response, ResponseOptions } from './handling.js';
import type { Hub } from './hub.js';

/** What `resumable-stream` publishes with, in place of a client of Redis. */
export class Publisher {
  private constructor();
  connect(): Promise<void>;
  /** Publishes, and waits while there is no space. Messages of one channel stay in order. */
  publish(channel: string, message: string): Promise<number>;
  /** Keys are in this process' memory, at most 100,000. `EX`: for how many seconds. */
  set(key: string, value: string, options?: { EX?: number }): Promise<'OK'>;
  get(key: string): Promise<string | null>;
  incr(key: string): Promise<number>;
}

/** What `resumable-stream` subscribes with. */
export class Subscriber {
  private constructor();
  connect(): Promise<void>;
  subscribe(channel: string, callback: (message: string) => void): Promise<number>;
  unsubscribe(channel: string): Promise<void>;
}

export interface ResumableOptions {
  /** What the topics of the channels begin with. Default: `$resumable`. */
  prefix?: string | undefined;
}

/**
 * The publisher and subscriber that `createResumableStreamContext` of `resumable-stream/generic`
 * takes. They are for the processes that share this hub: one.
 */
export function resumable(hub: Hub, options?: ResumableOptions): { publisher: Publisher; subscriber: Subscriber };

/** Makes a run's chunks, such as those of `toUIMessageStream`; `signal` is aborted when it is stopped. */
export type MakeStream<Chunk = unknown> =
  (run: { signal: any }) => AsyncIterable<Chunk> | PromiseLike<AsyncIterable<Chunk>>;

export interface ChatsOptions {
  /** What the topics of the runs begin with, one level. Default: `$chat`. */
  prefix?: string | undefined;
  /**
   * What is kept of a run. Default: 100,000 events and 16 MiB for an hour, and for a minute after
   * the end.
   */
  rule?: RuleOptions | undefined;
  /** The text that a client is told of what a run throws. Default: that an error occurred. */
  onError?: ((error: unknown) => string) | undefined;
}

/**
 * The runs of chats for the chat transport of the AI SDK, one at a time for each chat: a POST begins
 * a run and streams it, and a GET resumes it from its beginning, or is answered 204. A run goes on
 * when its clients leave.
 */
export class Chats {
  constructor(hub: Hub, options?: ChatsOptions);
  /** Begins a run, and stops the one before it. @returns its topic */
  start(chatId: string, makeStream: MakeStream): string;
  /** Whether a chat has a run that has not ended. */
  isActive(chatId: string): boolean;
  /** Stops the run of a chat: its clients are told `abort`. @returns whether there was one */
  stop(chatId: string): boolean;
  post(
    req: NodeRequest, res: NodeResponse, chatId: string, makeStream: MakeStream,
    options?: Omit<HandleOptions, 'topics'>,
  ): Promise<Handled>;
  get(req: NodeRequest, res: NodeResponse, chatId: string, options?: Omit<HandleOptions, 'topics'>): Promise<Handled>;
  postResponse(
    request: Request, chatId: string, makeStream: MakeStream, options?: Omit<ResponseOptions, 'topics'>,
  ): Response;
  getResponse(request: Request, chatId: string, options?: Omit<ResponseOptions, 'topics'>): Response;
}
