import type { AuthorizeOptions, Decide } from './authorizing.js';
import type {
  ClusterConnections, ClusterCount, ClusterWaitOptions, Connection, ConnectionFilter, DisconnectOptions, DrainOptions,
  Drained, Rule, RuleOptions,
} from './connections.js';
import type {
  Handled, HandleOptions, NodeRequest, NodeResponse, Request, Response, ResponseOptions,
} from './handling.js';
import type { ListenOptions, Listener } from './listening.js';
import type { Metrics } from './metrics.js';
import type {
  Connected, Disconnected, Interest, InterestOptions, Notices, NoticesOptions,
} from './notices.js';
import type { HubOptions, Topics } from './options.js';
import type { Data, Destination, EventOptions, Publication, Topic, WaitOptions } from './publishing.js';
import type { AdoptOptions, Socket, Stream, SubscribeOptions } from './streams.js';

/** What a hub emits. */
export interface HubEvents {
  connected: [notice: Connected];
  disconnected: [notice: Disconnected];
  /** Of `Hub.watchInterest`. */
  wanted: [notice: Interest];
  /** Of `Hub.watchInterest`. */
  unwanted: [notice: Interest];
}

/**
 * A fan-out engine with threads of its own. Close it at the end. It is an `EventEmitter` of Node.js:
 * from the first listener for `connected` or `disconnected` on it is told of connections.
 *
 * What it throws, and what its promises are rejected with, is a `FanfareError`, or a `TypeError` for
 * an argument of the wrong type.
 */
export class Hub {
  /** @throws {FanfareError} FANFARE_ERR_OPTIONS, FANFARE_ERR_SYSTEM */
  constructor(options?: HubOptions);

  /**
   * A handle of a topic, for one that is published to often: its name is checked once.
   *
   * @throws {FanfareError} FANFARE_ERR_TOPIC
   */
  topic(name: string): Topic;

  /**
   * Publishes an event to every client that wants its topic, or one of its topics. Never waits.
   *
   * @returns the hub's id of the event, also when the event has an id of your own: an opaque text,
   * which is empty when the event is published but its id is not known yet. In a cluster ids come from the
   * cluster's server, and each function here that publishes or finishes returns an empty one: `flush` waits
   * until the server has all that was published
   * @throws {FanfareError} FANFARE_ERR_FULL when too many bytes wait to be sent (publish it again once
   * `ready` says so, or use `publishAsync`), FANFARE_ERR_TOPIC, FANFARE_ERR_TOO_MANY, FANFARE_ERR_EVENT,
   * FANFARE_ERR_UTF8, FANFARE_ERR_TOO_LARGE, FANFARE_ERR_FINISHED, FANFARE_ERR_CLOSED; then nothing
   * was published
   */
  publish(topic: Destination, data: Data, options?: EventOptions): string;

  /**
   * Publishes as `publish` does, and waits while too many bytes wait to be sent: until the engine says
   * that there is space, and for nothing if there is. Calls that wait for the same topics come one after
   * the other, in their order. When one is cancelled nothing was published.
   *
   * @throws {FanfareError} FANFARE_ERR_TIMEOUT, FANFARE_ERR_LIMIT when 65,536 wait already, and as of
   * `publish` but for FANFARE_ERR_FULL
   */
  publishAsync(topic: Destination, data: Data, options?: EventOptions & WaitOptions): Promise<string>;

  /**
   * Publishes events one after another, each to its topics, with few calls of the engine. It ends with
   * the first that is refused: the error has the ids of the ones before it in `published`.
   *
   * @returns their ids
   */
  publishMany(publications: Iterable<Publication>): string[];

  /** Publishes as `publishMany` does, and waits as `publishAsync`, for each part of 256 events. */
  publishManyAsync(publications: Iterable<Publication>, options?: WaitOptions): Promise<string[]>;

  /**
   * Finishes a topic, with a last event if one is given: nothing can be published to it any more. A
   * client all of whose topics are finished is sent everything, and then its stream ends; one that
   * comes later and would be sent nothing gets the status 204.
   *
   * @returns the id of the last event, or else of the end, which no client sees
   * @throws {FanfareError} FANFARE_ERR_FINISHED, and as of `publish`
   */
  finish(topic: string | Topic, data?: Data, options?: EventOptions): string;

  /** Finishes a topic as `finish` does, and waits as `publishAsync`, behind those who wait for the topic. */
  finishAsync(topic: string | Topic, data?: Data, options?: EventOptions & WaitOptions): Promise<string>;

  /**
   * Waits until there is space for an event of a topic, or of each of several, or else of the hub: what
   * `publish` has refused with FANFARE_ERR_FULL may be published again. Others may take the space first.
   *
   * @throws {FanfareError} FANFARE_ERR_TIMEOUT, FANFARE_ERR_LIMIT when 65,536 wait for the hub already,
   * FANFARE_ERR_TOPIC, FANFARE_ERR_TOO_MANY, FANFARE_ERR_CLOSED
   */
  ready(topic?: Destination, options?: WaitOptions): Promise<void>;

  /**
   * Waits until all that was published before is as safe as the option `durability` promises: for a program
   * that publishes many events, and then wants to know once. In a cluster it waits until the cluster's server has
   * it. A call waits on a thread of the runtime's pool
   * for 100 ms at a time.
   *
   * @throws {FanfareError} FANFARE_ERR_TIMEOUT; FANFARE_ERR_JOURNAL when it cannot be written, or the hub has
   * neither a `dataDir` nor a cluster; FANFARE_ERR_CLUSTER when the cluster's server cannot be reached. The
   * events are published all the same
   */
  flush(options?: WaitOptions): Promise<void>;

  /**
   * Sets the rule of a topic, or of all topics that match a filter: how much is kept of them, and the
   * policy of their streams. All that was set for it before is replaced.
   *
   * @throws {FanfareError} FANFARE_ERR_SUBSCRIPTION, FANFARE_ERR_OPTIONS, FANFARE_ERR_LIMIT
   */
  setRule(subscription: string, options?: RuleOptions): void;

  /** Removes the rule of a topic or filter, and returns whether there was one. */
  removeRule(subscription: string): boolean;

  /** The rules that there are, in no order. */
  rules(): Rule[];

  /**
   * Accepts clients until the listener or the hub is closed, which keeps the process going. Their
   * streams have the path `/events?topic=NAME`, unless the options say otherwise.
   *
   * @param addr An IP address and a port such as `127.0.0.1:8080`, where the system chooses port 0;
   * `unix:/run/app.sock`, a Unix domain socket; on Linux `unix:@name`, an abstract name; or the
   * descriptor of a socket that listens already, which is the hub's when this returns. By default
   * `127.0.0.1:0`.
   * @throws {FanfareError} FANFARE_ERR_ADDRESS, FANFARE_ERR_OPTIONS, FANFARE_ERR_CLOSED,
   * FANFARE_ERR_SYSTEM
   */
  listen(addr?: string | number, options?: ListenOptions): Listener;
  listen(options: ListenOptions): Listener;

  /**
   * Subscribes the program itself, for a client that its own server sends the stream to. What a
   * client's connection would be sent comes out of it, without the head of a response.
   *
   * @param topics A topic or filter, or 1 to 65,536 of them.
   * @throws {FanfareError} FANFARE_ERR_SUBSCRIPTION, FANFARE_ERR_OPTIONS, FANFARE_ERR_LIMIT,
   * FANFARE_ERR_CLOSED
   */
  subscribe(topics: Topics, options?: SubscribeOptions): Stream;

  /**
   * Makes an event stream of a connection whose request the program has read and authorized. The
   * engine writes the whole answer, its head included.
   *
   * Of a `net.Socket` the hub gets a duplicate, and the socket is destroyed, which does not end the
   * connection. A `ServerResponse` has to let go of it before: `res.detachSocket(socket)`. It works
   * where the runtime tells the socket's descriptor, which Node.js does. After an error the socket is
   * yours and as it was, and you answer the request: by a stream of `subscribe`, or with 503. A
   * descriptor is the hub's when this returns, and yours after an error.
   *
   * @throws {FanfareError} FANFARE_ERR_SOCKET, FANFARE_ERR_SOCKET_TLS, FANFARE_ERR_SOCKET_READ,
   * FANFARE_ERR_SOCKET_UNSENT, FANFARE_ERR_REQUEST, FANFARE_ERR_BUSY, and as of `subscribe`
   */
  adopt(socket: Socket, topics: Topics, options?: AdoptOptions): void;

  /**
   * Answers a request to the program's own server, by `GET` or `POST`, with the stream of the topics
   * that the options name; the program has authorized it. The request and response are those of
   * Node.js' `http`, `https` or `http2`, of Express, Fastify, or Koa (`ctx.request`, `ctx.response`).
   * In Hono give `c.env.incoming` and `c.env.outgoing`, and return `RESPONSE_ALREADY_SENT`.
   *
   * The socket of a plain HTTP/1.1 connection is handed over to the engine, where Node.js lets it:
   * for the program the response is closed then. Otherwise the server sends the stream, until it is
   * closed. Header fields that were set on the response are sent in either case.
   *
   * Too many clients, and a hub that is closed, are answered as `overload` says; topics that are
   * none with 400, and topics that are finished, of which the client has all, with 204.
   *
   * @returns what became of it, once the answer has begun. It is rejected, and the client answered
   * 500, when an option is out of its bounds.
   */
  handle(req: NodeRequest, res: NodeResponse, options: HandleOptions): Promise<Handled>;

  /**
   * The same as a `Response` of the Fetch standard, which the server sends: for route handlers of
   * Next.js, SvelteKit, Hono, Bun and Deno. A client that leaves ends the stream at once.
   */
  response(request: Request, options: ResponseOptions): Response;

  /**
   * Has a function decide on each request for a stream, of listeners that are opened afterwards and
   * have no authorizer of their own. When it throws, the client is told to come again.
   */
  authorize(decide: Decide, options?: AuthorizeOptions): void;

  /** Notices from now on, which wait until the program reads them. */
  notices(options?: NoticesOptions): Notices;

  /**
   * Has `wanted` and `unwanted` emitted for topics and filters. First comes what has a subscriber.
   *
   * @returns what ends it
   */
  watchInterest(subscriptions: Topics, options?: InterestOptions): () => void;

  on<E extends keyof HubEvents>(event: E, listener: (...args: HubEvents[E]) => void): this;
  once<E extends keyof HubEvents>(event: E, listener: (...args: HubEvents[E]) => void): this;
  off<E extends keyof HubEvents>(event: E, listener: (...args: HubEvents[E]) => void): this;

  /** Lists connections. This and what follows asks the engine's threads, for at most 10 seconds. */
  connections(filter?: ConnectionFilter): Promise<Connection[]>;
  /** Describes one connection. FANFARE_ERR_STALE: it has ended. */
  connection(id: bigint): Promise<Connection>;
  /** How many connections get a topic's events, by its name or by filters, each once. */
  subscribers(topic: string): Promise<number>;
  /**
   * Counts the connections at all nodes of the hub's cluster, and lists some: at most 10,000, and of each
   * node what fits into 2 MiB; a `limit` of 0 lists none. That takes some milliseconds if all nodes answer.
   * Those that do not are waited for until the time is over, and are no error, but `missing`. A client
   * that goes from a node to another meanwhile may be counted at both or at neither.
   *
   * A call waits on a thread of the runtime's pool; a process that exits meanwhile ends when that is over.
   * Two calls of a hub do so at once. Those behind them ask in their turn, for what is left of their time,
   * and at least for the shortest.
   *
   * @throws {FanfareError} FANFARE_ERR_CLUSTER when the hub is in no cluster, or the cluster's server is
   * away or passes no question on, FANFARE_ERR_BUSY when 16 questions of the hub are on their way,
   * FANFARE_ERR_SUBSCRIPTION, FANFARE_ERR_OPTIONS, FANFARE_ERR_CLOSED
   */
  clusterConnections(filter?: ConnectionFilter, options?: ClusterWaitOptions): Promise<ClusterConnections>;
  /**
   * How many connections at all nodes of the hub's cluster get a topic's events, by its name or by
   * filters, each once. It asks as `clusterConnections` does.
   *
   * @throws {FanfareError} FANFARE_ERR_TOPIC, and as of `clusterConnections`
   */
  clusterSubscribers(topic: string, options?: ClusterWaitOptions): Promise<ClusterCount>;
  /** The topics and filters with the most subscribers, most first. */
  subscriptionCounts(limit?: number): Promise<Map<string, number>>;
  /** Ends one connection. An `EventSource` comes back by itself. FANFARE_ERR_STALE: it has ended. */
  disconnect(id: bigint, options?: DisconnectOptions): Promise<void>;
  /** Ends all connections with a tag, and tells how many. */
  disconnectTag(tag: string, options?: DisconnectOptions): Promise<number>;
  /** Ends all connections with a topic or filter, by its name, and tells how many. */
  disconnectSubscription(subscription: string, options?: DisconnectOptions): Promise<number>;
  /** Ends all connections, and tells how many. */
  disconnectAll(options?: DisconnectOptions): Promise<number>;
  /** Changes what a connection gets to the events of these topics and filters, between two events. */
  setSubscriptions(id: bigint, topics: Topics): Promise<void>;

  /** What it has counted, also when it is closed. */
  metrics(): Metrics;
  /**
   * The same as a text for Prometheus, to be served with the content type
   * `text/plain; version=0.0.4; charset=utf-8`.
   */
  prometheus(): string;

  /**
   * Closes the hub. What was published is sent for at most two seconds more, then every connection
   * is closed. Closing once more returns the same promise.
   */
  close(): Promise<void>;

  /**
   * Ends the hub without a storm of reconnections, and closes it: no client is accepted any more, and
   * the connections are closed evenly over a window. Each is first sent everything, and told when to
   * come back.
   */
  drain(options?: DrainOptions): Promise<Drained>;

  /** Closes the hub at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
