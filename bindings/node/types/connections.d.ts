import type { Policy } from './options.js';

/** A connection, as it was at one moment. */
export interface Connection {
  /** Its id, which no other connection of the hub ever has. */
  id: bigint;
  /** What it is subscribed to, each once, in no order. */
  subscriptions: string[];
  /** The client's address and port; undefined at a Unix domain socket. */
  addr: string | undefined;
  /** What the client calls itself: a label that any client can claim. */
  tag: string | undefined;
  /** Since when it is an event stream, in milliseconds since 1970. */
  since: number;
  /** The number of events that its socket took whole. */
  events: number;
  /** Bytes of events that its socket took, without what HTTP adds. */
  bytes: number;
  /** The number of events that it has yet to be sent, with the one that was begun. */
  lagEvents: number;
  /** Their bytes that it has yet to be sent. */
  lagBytes: number;
  /** How long ago the oldest event was published that it has not taken whole. */
  lagAgeMs: number;
  /** Whether it takes what it is sent, did not take all, or is sent what it has missed. */
  state: 'live' | 'lagging' | 'replaying';
  /** What happens to it when it lags too far. */
  policy: Policy;
}

/** Which connections are listed. */
export interface ConnectionFilter {
  /** Only those with this topic or filter, by its name. */
  subscription?: string | undefined;
  /** Only those with this tag. */
  tag?: string | undefined;
  /** The most that are listed; 0 lists none. Bounds: at most 1,000,000. Default: 1,000. */
  limit?: number | undefined;
  /** Only those that lag or replay. */
  lagging?: boolean | undefined;
  /** Those that lag most, and these first; else any, in no order. */
  slowestFirst?: boolean | undefined;
}

/** A connection at one of the nodes of a cluster. */
export interface ClusterConnection extends Connection {
  /** The name of its node. The id is one of that node's hub, and may be another connection's elsewhere. */
  node: string;
}

/** How many connections the nodes of a cluster have. */
export interface ClusterCount {
  /**
   * How many nodes the cluster has, with the hub that was asked: those that have shown in the last 10
   * seconds that they are there, and have not ended in order since.
   */
  nodes: number;
  /** How many of them have answered in time. */
  answered: number;
  /** How many have not: `count` is that of all nodes only if it is 0. */
  missing: number;
  /** The number of connections at those that have answered, listed or not. */
  count: number;
}

/** How many connections the nodes of a cluster have, and which. */
export interface ClusterConnections extends ClusterCount {
  /** Some of them, at most as many as were asked for. */
  connections: ClusterConnection[];
}

/** How the nodes of a cluster are asked. */
export interface ClusterWaitOptions {
  /**
   * For how long nodes are waited for that do not answer. Bounds: 50 to 10,000; what is beyond them counts
   * as the nearest. Default: 2 s.
   */
  timeoutMs?: number | undefined;
}

/** What clients are told whose connections are ended. */
export interface DisconnectOptions {
  /** To come back after a time drawn from this to twice this, at most 1 day; 0 tells nothing. */
  retryMs?: number | undefined;
}

export interface DrainOptions {
  /** The connections are closed evenly over this time. Bounds: at most 1 hour. Default: 3 s. */
  windowMs?: number | undefined;
  /** How much longer one that lags may take what waits for it. Bounds: at most 1 hour. Default: 1 s. */
  graceMs?: number | undefined;
  /** Each client is told to come back after this to twice this. Bounds: at most 1 day. Default: 2 s. */
  retryMs?: number | undefined;
}

/** What became of a hub's connections when it was drained. */
export interface Drained {
  /** Connections that were sent everything, told when to come back, and closed. */
  told: number;
  /** Connections that were closed without that, since they did not take all in time. */
  cut: number;
}

/** What a rule says; what is left out is as the next rule that matches has it, or the hub. */
export interface RuleOptions {
  /** The most events of a topic that are kept; 0 keeps none. */
  historyEventsMax?: number | undefined;
  historyBytesMax?: number | undefined;
  /** Bounds: at most 7 days. */
  historyAgeMaxMs?: number | undefined;
  /** How long a topic that was finished is known. Bounds: at most 7 days. */
  finishedAgeMaxMs?: number | undefined;
  /** What happens to a connection that lags too far, if its client chose nothing. */
  policy?: Policy | undefined;
}

/** A rule, and what its topics hold: those of which no rule is more specific. */
export interface Rule extends RuleOptions {
  subscription: string;
  /** Topics that have a subscriber, or events that are kept, or are finished. */
  topics: number;
  finishedTopics: number;
  keptEvents: number;
  keptBytes: number;
}
