'use strict';

// Broadcasts to the sessions that are registered: a topic.

const { EventEmitter } = require('node:events');

/** A topic with the sessions that this process has registered for it. */
class Channel extends EventEmitter {
  #hub;
  #sessions = new Set();

  constructor(hub, topic, state = {}) {
    super();
    this.#hub = hub;
    this.topic = topic;
    this.state = state;
  }

  get activeSessions() {
    return [...this.#sessions];
  }

  get sessionCount() {
    return this.#sessions.size;
  }

  async register(session) {
    this.joined(session);
    await session.subscribe(this.topic);
    return this;
  }

  async deregister(session) {
    if (!this.#sessions.delete(session)) return this;
    this.emit('session-deregistered', session);
    if (session.isConnected) await session.unsubscribe(this.topic);
    return this;
  }

  broadcast(data, name, { eventId, filter } = {}) {
    if (filter === undefined) {
      this.#hub.publish(this.topic, { json: data }, { name, id: eventId });
    } else {
      for (const session of this.#sessions) {
        if (filter(session)) session.push(data, name, eventId);
      }
    }
    this.emit('broadcast', data, name, eventId);
    return this;
  }

  /** @internal A session has its topic. */
  joined(session) {
    if (!session.isConnected || this.#sessions.has(session)) return;
    this.#sessions.add(session);
    session.once('disconnected', () => {
      if (!this.#sessions.delete(session)) return;
      this.emit('session-disconnected', session);
      this.emit('session-deregistered', session);
    });
    this.emit('session-registered', session);
  }
}

module.exports = { Channel };
