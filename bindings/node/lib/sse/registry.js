'use strict';

// The sessions of a hub: which connection each has, and when it ends.

const { setTimeout } = require('node:timers');

/** How long a session waits for its connection to begin; a client that left before never does. */
const BEGIN_MS = 30_000;
/** Where the events go that are for one session alone. */
const PRIVATE = '$sse';

const registries = new WeakMap();

/** The registry of a hub. */
function registryOf(hub) {
  let registry = registries.get(hub);
  if (registry === undefined) {
    registry = new Registry(hub);
    registries.set(hub, registry);
  }
  return registry;
}

class Registry {
  #hub;
  #sessions = new Map();

  constructor(hub) {
    this.#hub = hub;
    // What is for one client alone is of no use to others; it waits until its connection has begun.
    hub.setRule(`${PRIVATE}/+`, { historyEventsMax: 1000, historyAgeMaxMs: BEGIN_MS });
    hub.on('connected', (notice) => {
      this.#check(notice);
      this.#sessions.get(notice.tag)?.began(notice.connectionId);
    });
    hub.on('disconnected', (notice) => {
      this.#check(notice);
      this.#sessions.get(notice.tag)?.ended(notice.reason);
    });
  }

  /** Takes a session, which is told that it has begun and ended, until it has ended. */
  add(session) {
    this.#sessions.set(session.topic, session);
    const late = setTimeout(() => session.ended('never_connected'), BEGIN_MS).unref();
    session.once('begun', () => clearTimeout(late));
    session.once('disconnected', () => {
      clearTimeout(late);
      this.#sessions.delete(session.topic);
    });
  }

  /** Notices that were lost may have been of connections that ended. */
  #check({ lost }) {
    if (lost === 0) return;
    for (const session of this.#sessions.values()) {
      if (session.connectionId === undefined) continue;
      this.#hub.connection(session.connectionId).catch((error) => {
        if (error.code === 'FANFARE_ERR_STALE' || error.code === 'FANFARE_ERR_CLOSED') session.ended('lost');
      });
    }
  }
}

module.exports = { PRIVATE, registryOf };
