/**
 * What a hub has counted since it was made, at one moment. Some say how much there is at the moment,
 * such as `connections`; the others only grow, such as `publishedEvents`.
 */
export interface Metrics {
  /**
   * Shards that serve. Fewer than the option shards when one has failed: restart the program soon.
   * 0 when the hub is closed.
   */
  livingShards: number;
  /**
   * The most connections: the option connectionsMax, or what the descriptors of the process allow
   * if that is less.
   */
  connectionsMax: number;
  /** Open event streams. */
  connections: number;
  /** Open sockets whose request is not answered yet, or that are being closed. */
  pendingConnections: number;
  /** Event streams with a socket that has not taken all events for it. */
  laggingConnections: number;
  /** Event streams that are being sent what they have missed; they do not count as lagging. */
  replayingConnections: number;
  /**
   * Events times event streams that wait for them because they are spread over a time (windowMs).
   * A stream that has ended, or was sent such an event together with a later one, counts until its
   * turn would have come.
   */
  spreadDeliveries: number;
  /** Topics that have a subscriber. */
  topics: number;
  /** Topics that have a subscriber, or events that are kept, or are finished. */
  knownTopics: number;
  /** Filters that have a subscriber, each once however many subscribers it has. */
  filters: number;
  /** Topics that are finished and not forgotten yet. */
  finishedTopics: number;
  /** Topics and filters that all connections ask for, each counted with each connection. */
  subscriptions: number;
  /** Events that were published. */
  publishedEvents: number;
  /**
   * Times that an event found the backlog full. It then waited, or was refused; an event that
   * waits counts again each time that it finds the backlog full.
   */
  fullEvents: number;
  /** Events times connections that took them. */
  deliveredEvents: number;
  /**
   * Bytes of events that sockets took, as each client is sent them, with the chunks around them;
   * bytes of a replay count when they are handed out.
   */
  deliveredBytes: number;
  /**
   * Events times the connections that were sent them because they had missed them. They count as
   * delivered as well, when they are handed out.
   */
  replayedEvents: number;
  /**
   * Parts of history that were gathered to be replayed; one part serves all clients that need the
   * same events.
   */
  gatheredParts: number;
  /**
   * Events that are kept for clients that come back. One that is kept in several topics counts for
   * each.
   */
  keptEvents: number;
  /** Bytes that the kept events take, see the option historyTotalBytesMax. */
  keptBytes: number;
  /** Heartbeats: comments, or blocks that fire nothing but move the id to resume from. */
  heartbeats: number;
  /** Batches that were begun. */
  batches: number;
  /** Times that a batch waited for connections that lag too far but get on. */
  heldBatches: number;
  /** Bytes that wait to be sent, see the option topicBacklogBytesMax. */
  backlogBytes: number;
  /** Bytes that are kept for connections that lag. */
  lagBytes: number;
  /** Events times lagging connections that skipped them, so that they were never sent. */
  droppedEvents: number;
  /** Events times lagging connections that were sent a newer event of the same key instead. */
  conflatedEvents: number;
  /** Event streams that were ever opened. */
  acceptedConnections: number;
  /** Sockets that were turned away because of the bounds on connections. */
  refusedConnections: number;
  /**
   * Requests for streams that were answered with the status 204, since all of their topics were
   * finished and nothing was to be sent.
   */
  finishedAnswers: number;
  /**
   * Connections whose request for a stream was put before the program, and that wait for its
   * answer. They count as pending connections as well.
   */
  pendingAuthorizations: number;
  /**
   * Requests for streams that were refused, that asked for topics which were not granted, or whose
   * grant had expired.
   */
  deniedAuthorizations: number;
  /**
   * Requests for streams that were answered 503, since the program had not answered in time, or
   * too many waited.
   */
  failedAuthorizations: number;
  /** Answers of the program that came when the connection had ceased to wait. */
  lateAuthorizations: number;
  /** Notices of connections that were lost because their queue was full. */
  lostNotices: number;
  /** Watchers of interest. */
  interestWatchers: number;
  /** Notices of interest that wait for the program to take them, of all watchers. */
  owedInterestNotices: number;
  /** Times that a grace time of a watcher ended early, since too many of its subscriptions had one. */
  cutGraces: number;
  /** 1 while the journal in `dataDir` cannot be written; the log says why. */
  journalFailing: number;
  /** Bytes that the journal takes on the disk. */
  journalDiskBytes: number;
  /** Bytes that wait until the journal holds them as safely as `durability` promises. */
  journalWaitingBytes: number;
  /** Records that were written into the journal: events, marks and rules. */
  journalRecords: number;
  /** Times that the disk was told to take what was written. */
  journalSyncs: number;
  /** Writes of the journal, and the like, that failed. */
  journalErrors: number;
  /** 1 while the server of the cluster in `clusterUrl` does not serve; the log says why. */
  clusterFailing: number;
  /** Bytes of this hub's events that are on their way to the cluster's stream and back. */
  clusterBacklogBytes: number;
  /** Batches of events that the cluster's server has taken from this hub. */
  clusterBatches: number;
  /** Events, ends and rules that this hub has read from the cluster's stream. */
  clusterItems: number;
  /** Of these, those that were refused, by each hub alike: another hub had finished their topic before. */
  clusterRefusedItems: number;
  /** Times that this hub has connected to append to the cluster's stream. */
  clusterConnects: number;
  /**
   * Times that items of the cluster's stream were lost or cut off before this hub had read them; its
   * clients were told.
   */
  clusterLosses: number;
  /** The sum of how long events took from being published to a socket's taking them, in nanoseconds. */
  latencySumNs: number;
  /** Event streams that ended, by why, such as `client_closed`; without those that are 0. */
  disconnects: Record<string, number>;
  /** Events by which clients were told that others are missing, by why; without those that are 0. */
  gapEvents: Record<string, number>;
  /**
   * How long events took from being published to a socket's taking them: for each bucket the most
   * microseconds, and how many took at most as long and longer than the bucket before allows.
   */
  latenciesUs: Array<[mostUs: number, count: number]>;
}
