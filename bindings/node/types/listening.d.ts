import type { Authorizer } from './authorizing.js';
import type { Envelope, Headers, Policy, Start, Topics } from './options.js';
import type { Socket } from './streams.js';

/**
 * A path of a listener with streams of its own. In `path`, such as `/runs/{id}/events`, `{name}` is the
 * place of a value, which goes where a subscription has the same `{name}`.
 */
export interface Route {
  path: string;
  /** What every stream of this path subscribes to, such as `run/{id}`. None: what the query names. */
  subscriptions?: Topics | undefined;
  /** Header fields of the streams' answers, which replace the listener's of their names. */
  headers?: Headers | undefined;
  /** Whether `POST` opens a stream as well. */
  post?: boolean | undefined;
  /** Whether a query may name topics beside these. Default: `any` if there are none, else `none`. */
  queryTopics?: 'none' | 'any' | undefined;
}

/** How a listener speaks to its clients, and its bounds. */
export interface ListenOptions {
  /** The address, where `listen` is given none. */
  addr?: string | number | undefined;
  /** The path of the streams whose topics the query names; `''` for none. Default: `/events`. */
  path?: string | undefined;
  /** A path whose `GET` is answered 200 while all shards live and else 503. Default: none. */
  healthPath?: string | undefined;
  /** More paths that have streams, at most 256. */
  routes?: readonly Route[] | undefined;
  /** Header fields of all streams' answers, at most 32 and 4 KiB in an answer. */
  headers?: Headers | undefined;
  /** The other origins whose pages may read the streams. Default: none. */
  corsOrigins?: Topics | undefined;
  /**
   * The header fields that a page's `fetch` may set. Default: `Last-Event-ID`, `Authorization`,
   * `Cache-Control` and `Content-Type`.
   */
  corsRequestHeaders?: Topics | undefined;
  /** The header fields of an answer that a page may read. Default: none. */
  corsExposedHeaders?: Topics | undefined;
  /**
   * The names by which the listener may be addressed, besides IP addresses and `localhost`; `*` for
   * any. On a loopback address it is always checked. Default: none, or `*` if the hub's anyHost is true.
   */
  hosts?: Topics | undefined;
  /** The proxies whose connections begin with a header of the PROXY protocol, at most 256. */
  proxyProtocolFrom?: Topics | undefined;
  /** The proxies that are believed about their clients, at most 256. */
  trustedProxies?: Topics | undefined;
  /** What decides which client gets which stream. By default that of `Hub.authorize`, if any. */
  authorizer?: Authorizer | undefined;
  /**
   * Where connections go whose requests are for paths without streams. Keep it for as long as the
   * listener: once it is closed, or garbage, they are answered 503. Without one they are answered 404.
   */
  fallback?: Fallback | undefined;
  /** Pages of the origins may send cookies along; not with `*` or `null`. Default: false. */
  corsCredentials?: boolean | undefined;
  /** The field in which `trustedProxies` say who their client is. */
  forwardedHeader?: 'x-forwarded-for' | 'forwarded' | undefined;
  /** The permission bits of a Unix domain socket's file. Bounds: at most 0o777. Default: 0o600. */
  socketMode?: number | undefined;
  /** What clients are told that are too many: to come again with status 200, or 503. */
  overload?: 'come-again' | 'unavailable' | undefined;
  /** Where the stream of a client begins that says no id and no beginning. Default: `now`. */
  start?: Start | undefined;
  /** Where the stream of a client begins whose id is gone. Default: by the gap's reason. */
  gapStart?: Start | undefined;
  /** Which policies a client may choose. Default: those that cost others no more than the hub's. */
  policies?: readonly Policy[] | undefined;
  /** What is around an event's data for a client that does not say it. Default: `none`. */
  envelope?: Envelope | undefined;
  /** How long a browser may remember what it was told of CORS. Bounds: at most 1 day. Default: 10 min. */
  corsMaxAgeMs?: number | undefined;
  /** The most bytes of a request's head. Bounds: 64 bytes to 1 MiB. Default: 16 KiB. */
  headBytesMax?: number | undefined;
  /** The most header fields of a request. Bounds: 8 to 4,096. Default: 128. */
  headFieldsMax?: number | undefined;
  /** The most bytes of the content of a `POST`. Bounds: at most 1 MiB. Default: 64 KiB. */
  bodyBytesMax?: number | undefined;
  /** The longest time for a request's head. Bounds: 1 ms to 1 hour. Default: 10 s. */
  headTimeMaxMs?: number | undefined;
  /** The most topics and filters of one connection. Bounds: 1 to 65,536. Default: 64. */
  subscriptionsPerConnectionMax?: number | undefined;
  /** The most filters of one that begin with a wildcard. Bounds: at most 65,536. Default: 4. */
  wideFiltersMax?: number | undefined;
  /** How many bytes may wait in the kernel for a connection. Bounds: at most 1 GiB. Default: 16 KiB. */
  notsentLowatBytes?: number | undefined;
  /** The kernel's send buffer of a connection. Bounds: 0, or 1 KiB to 1 GiB. Default: 0. */
  sendBufferBytes?: number | undefined;
  /**
   * For how long nothing may have come from a client before it is probed; 0 never probes.
   * Bounds: 0, or 1 s to 9 hours. Default: 15 s.
   */
  keepaliveMs?: number | undefined;
  /**
   * For how long what was sent may stay without acknowledgement; 0 leaves it to the system.
   * Bounds: 0, or 1 s to 1 day, and at least twice keepaliveMs. Default: 30 s.
   */
  userTimeoutMs?: number | undefined;
}

/** Where a connection is from that a listener is to serve. */
export interface From {
  /** The client's address and port, such as `192.0.2.1:50000`. Default: the socket's peer. */
  addr?: string | undefined;
  /**
   * Where the connection is from, if that is another address: a proxy of trustedProxies, whose header
   * field says anew with each request who the client is. Default: `addr`.
   */
  peer?: string | undefined;
  /** Whether it is from a proxy that speaks for clients which it does not name. Default: false. */
  isProxy?: boolean | undefined;
}

/**
 * Where a listener's connections go whose requests are for paths without streams, so that a server of
 * the program's own answers them on the same port.
 */
export class Fallback {
  /**
   * @param server An `http.Server`, which need not listen, in Node.js; or a function that is given the
   * descriptor of each connection, which is its own then, what was read of it, and where it is from:
   * `Listener.admit` takes these three as they are.
   * @param options `capacity`: the most connections that wait. Bounds: 1 to 65,536. Default: 1,024.
   */
  constructor(
    server: { emit(event: 'connection', socket: never): unknown }
      | ((fd: number, read: Uint8Array, from: From) => void),
    options?: { capacity?: number | undefined },
  );
  /** Takes no more, and closes the connections that wait. */
  close(): void;
}

/** Where a hub accepts clients, until it or the hub is closed. */
export class Listener {
  private constructor();
  /** The port, which the system has chosen if it was 0; 0 for a Unix domain socket. */
  readonly port: number;
  /** Where it listens, such as `127.0.0.1:4711` or `unix:/run/app.sock`. */
  readonly address: string;
  /** Accepts no more clients, and frees the address. Streams that are open stay open. */
  close(): void;
  /**
   * Serves a connection that the program has accepted, as if the listener had accepted it. It is as
   * of `Hub.adopt`.
   *
   * @param read What was read of the request so far, at most 4 MiB.
   * @param from Where it is from. Default: what the fallback was told of it that has made the socket,
   * or else the socket's peer.
   * @throws {FanfareError} FANFARE_ERR_STALE when it is closed, FANFARE_ERR_SOCKET,
   * FANFARE_ERR_TOO_LARGE, FANFARE_ERR_ADDRESS, FANFARE_ERR_BUSY, FANFARE_ERR_CLOSED
   */
  admit(socket: Socket, read?: string | Uint8Array, from?: From): void;
  /** Whether it has streams at a path, percent-encoded and without a query. */
  hasStreamsAt(path: string): boolean;
  /** Whether a request with this `Host` is for it, as its option hosts says. */
  isNamed(host: string): boolean;
  [Symbol.dispose](): void;
}
