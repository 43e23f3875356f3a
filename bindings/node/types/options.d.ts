/** A form of heartbeats: an id alone, a comment, or an event that a page sees. */
export type HeartbeatForm = 'id' | 'comment' | 'event';

/** What happens to a connection that lags too far. */
export type Policy = 'disconnect' | 'drop-oldest' | 'conflate';

/**
 * What is promised of events that a hub with a `dataDir` has accepted: that they survive the process; that
 * the disk is told to take them within `syncIntervalMs` as well; or that the disk has them.
 */
export type Durability = 'os' | 'interval' | 'always';

/** What is around an event's data in a stream: nothing, or a JSON object that says its topic. */
export type Envelope = 'none' | 'json';

/** Where a stream begins; a number is how many of the newest events. */
export type Start = 'now' | 'latest' | 'earliest' | number;

/** A topic or filter, or several. */
export type Topics = string | readonly string[];

/** Header fields of HTTP. */
export type Headers = Readonly<Record<string, string>> | ReadonlyArray<readonly [name: string, value: string]>;

/** A point in time: a `Date`, or milliseconds since 1970. */
export type Moment = Date | number;

/** How a hub behaves and where its bounds are. What is left out has its default. */
export interface HubOptions {
  /**
   * Threads that each own a share of the connections.
   * Bounds: 1 to 256. Default: one for each core.
   */
  shards?: number | undefined;
  /**
   * How long a connection may be silent before it gets a heartbeat; 0 turns heartbeats off.
   * Bounds: 0, or 100 ms to 1 day. Default: 15 s.
   */
  heartbeatMs?: number | undefined;
  /**
   * The reconnection time that a client is told when it connects, drawn for each from this to twice
   * this; 0 tells nothing.
   * Bounds: at most 1 day. Default: 2 s.
   */
  retryMs?: number | undefined;
  /** The most bytes of data in one event. Bounds: at most 64 MiB. Default: 1 MiB. */
  eventBytesMax?: number | undefined;
  /** The most bytes that are gathered into one batch. Bounds: 1 byte to 16 MiB. Default: 40 KiB. */
  batchBytesMax?: number | undefined;
  /**
   * A topic is full when this many bytes of its events wait to be sent.
   * Bounds: at least 1 byte. Default: 40 KiB.
   */
  topicBacklogBytesMax?: number | undefined;
  /**
   * The hub is full when this many bytes over all topics wait to be sent.
   * Bounds: at least 1 byte. Default: 64 MiB.
   */
  backlogBytesMax?: number | undefined;
  /**
   * The most events of a topic that are kept for clients that come back; 0 keeps none.
   * Bounds: any. Default: 1,000.
   */
  historyEventsMax?: number | undefined;
  /** The most bytes of a topic's events that are kept. Bounds: any. Default: 1 MiB. */
  historyBytesMax?: number | undefined;
  /** How long an event is kept. Bounds: at most 7 days. Default: 5 min. */
  historyAgeMaxMs?: number | undefined;
  /** The most bytes of events that are kept over all topics. Bounds: any. Default: 64 MiB. */
  historyTotalBytesMax?: number | undefined;
  /**
   * The most bytes that a connection may lag before its policy is applied, which is to disconnect
   * unless its query names another one.
   * Bounds: any. Default: 1 MiB.
   */
  lagBytesMax?: number | undefined;
  /** The longest time that a connection may lag. Bounds: at least lagGraceMs. Default: 30 s. */
  lagAgeMaxMs?: number | undefined;
  /**
   * How long a connection that lags too far is waited for when the publisher is faster than the
   * network; 0 waits for none.
   * Bounds: at most lagAgeMaxMs. Default: 1 s.
   */
  lagGraceMs?: number | undefined;
  /**
   * The share of the time for which such connections are waited for, in percent; beyond it they are
   * disconnected. At 100 all are waited for, however long that is: for a hub whose clients are
   * trusted.
   * Bounds: 0 to 100. Default: 5.
   */
  lagGracePercent?: number | undefined;
  /**
   * The most bytes that are kept for all connections that lag.
   * Bounds: at least 1 byte. Default: 256 MiB.
   */
  lagTotalBytesMax?: number | undefined;
  /**
   * How long a connection's socket may take nothing while there is something to send to it, before
   * the connection is disconnected; 0 for no bound.
   * Bounds: 0, or 100 ms to 1 day. Default: 30 s.
   */
  stallTimeMaxMs?: number | undefined;
  /** The most connections. Bounds: 1 to 10,000,000. Default: 100,000. */
  connectionsMax?: number | undefined;
  /**
   * The most connections from one address (from one /64 network in IPv6); 0 for no bound.
   * Bounds: any. Default: 0.
   */
  connectionsPerAddressMax?: number | undefined;
  /**
   * The most topics and filters that all connections may ask for together.
   * Bounds: 1 to 100,000,000. Default: 1,000,000.
   */
  subscriptionsMax?: number | undefined;
  /** The same for the connections from one address; 0 for no bound. Bounds: any. Default: 0. */
  subscriptionsPerAddressMax?: number | undefined;
  /**
   * How old a connection may get before it is closed, to come back; 0 for any age.
   * Bounds: 0, or 1 s to 30 days. Default: 0.
   */
  connectionAgeMaxMs?: number | undefined;
  /**
   * true: listeners on a loopback address serve requests whatever `Host` they name. false: only
   * those that name an IP address, `localhost` or a name below it; others get 421. For listeners
   * behind a proxy on the same machine that passes on its clients' `Host`. It gives up what keeps a
   * web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from reading streams
   * through a browser on this machine. On other addresses any `Host` is served.
   * Bounds: true or false. Default: false.
   */
  anyHost?: boolean | undefined;
  /**
   * How long a topic that was finished is known: nothing can be published to it, and a client that
   * comes late is sent what is kept, and the end. Then its name is free.
   * Bounds: at most 7 days. Default: 5 min.
   */
  finishedAgeMaxMs?: number | undefined;
  /**
   * What a connection is sent when it has been silent for heartbeatMs, and what its stream begins
   * with, unless its query names another form.
   * Bounds: `id`, `comment` or `event`. Default: `id`.
   */
  heartbeatForm?: HeartbeatForm | undefined;
  /**
   * What happens to a connection that lags by more than lagBytesMax or lagAgeMaxMs, unless its query
   * or a rule names another policy.
   * Bounds: `disconnect`, `drop-oldest` or `conflate`. Default: `disconnect`.
   */
  policy?: Policy | undefined;
  /**
   * The name of the event by which a client is told that events are missing from its stream; no
   * event of this name can be published.
   * Bounds: 1 to 256 bytes without CR, LF or NUL, and none of message, open, error and
   * fanfare-heartbeat. Default: `fanfare-gap`.
   */
  gapEvent?: string | undefined;
  /**
   * A folder in which the hub keeps what it keeps in memory as well, so that a hub which is made with it
   * later has the same events, finished topics and rules, and clients come back with the ids that they
   * had. It is made if it is missing, and belongs to one hub at a time.
   * Bounds: a folder that can be written, or that can be made. Default: none.
   */
  dataDir?: string | undefined;
  /**
   * What is promised of events that were accepted, if there is a `dataDir`; `hub.flush()` waits until it
   * holds.
   * Bounds: os, interval or always. Default: interval.
   */
  durability?: Durability | undefined;
  /**
   * How long an event may be with the operating system alone before the disk is told to take it, if the
   * durability is `interval`.
   * Bounds: 1 ms to 1 min. Default: 50 ms.
   */
  syncIntervalMs?: number | undefined;
  /**
   * A publisher finds the hub full when this many bytes wait to be written into the `dataDir`.
   * Bounds: at least 1 byte. Default: 16 MiB.
   */
  journalBacklogBytesMax?: number | undefined;
  /**
   * Where the Redis or Valkey server of a cluster is, version 6.2 or later. Hubs that have the same server and
   * the same `clusterPrefix` have one order of events, and what is published at one of them reaches the
   * clients of all. redis://[[user]:password@]host[:port][/db], redis+unix:///path, or by Sentinels
   * redis+sentinel://[[user]:password@]host[:port][,host[:port]]/service[/db]; the addon has no TLS to it.
   * `new Hub` waits for at most 10 s for the server, and blocks meanwhile. Not together with `dataDir`.
   * Bounds: such a URL, of at most 4,096 bytes. Default: none.
   */
  clusterUrl?: string | undefined;
  /**
   * What the names of all keys begin with, in braces, on the cluster's server.
   * Bounds: 1 to 128 letters, digits and -_.:. Default: `fanfare`.
   */
  clusterPrefix?: string | undefined;
  /**
   * A file with the certificates, in PEM, of those who may vouch for the server's certificate, for an addon
   * with TLS.
   * Bounds: the path of a file. Default: none.
   */
  clusterCaFile?: string | undefined;
  /**
   * How many events the cluster's stream keeps at least, for hubs that come late.
   * Bounds: 1,000 to 1,000,000,000. Default: 1,000,000.
   */
  clusterStreamEventsMax?: number | undefined;
  /**
   * After how many bytes the cluster's stream is cut all the same, without what the server adds.
   * Bounds: at least 1 MiB. Default: 1 GiB.
   */
  clusterStreamBytesMax?: number | undefined;
  /**
   * A publisher finds the hub full when this many bytes of its events are on their way through the
   * cluster's server.
   * Bounds: at least 64 KiB. Default: 16 MiB.
   */
  clusterBacklogBytesMax?: number | undefined;
}
