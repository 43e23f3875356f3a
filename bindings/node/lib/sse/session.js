'use strict';

// One client's stream, to which the program also sends events of its own.

const { randomUUID } = require('node:crypto');
const { EventEmitter } = require('node:events');
const { hold, release } = require('../alive.js');
const { invalid } = require('../event.js');
const { pairsOf } = require('../terms.js');
const { PRIVATE, registryOf } = require('./registry.js');

/** One client's stream. It emits `disconnected` once, with the reason. */
class Session extends EventEmitter {
  #hub;
  #topics;
  #send;
  #changed;
  #waiting = 0;

  constructor(hub, topics, lastId, state) {
    super();
    // Each channel listens.
    this.setMaxListeners(0);
    this.#hub = hub;
    this.#topics = new Set(topics);
    this.id = randomUUID();
    this.topic = `${PRIVATE}/${this.id}`;
    this.#send = hub.topic(this.topic);
    this.connectionId = undefined;
    this.isConnected = true;
    this.lastId = lastId;
    this.state = state;
    registryOf(hub).add(this);
  }

  get topics() {
    return [...this.#topics];
  }

  sendEvent(data, name, id) {
    return this.#publish(typeof data === 'string' ? data : { json: data }, { name, id });
  }

  push(data, name, id) {
    return this.#publish({ json: data }, { name, id });
  }

  sendComment(comment) {
    return this.#publish(undefined, { comment });
  }

  sendRetry(retryMs) {
    return this.#publish(undefined, { retryMs });
  }

  async iterate(events, { eventName } = {}) {
    for await (const data of events) {
      if (!this.isConnected) return;
      await this.#send.publishAsync({ json: data }, { name: eventName });
    }
  }

  async stream(readable, options) {
    await this.iterate(textsOf(readable), options);
    return true;
  }

  async subscribe(topic) {
    this.#topics.add(topic);
    return this.#change();
  }

  async unsubscribe(topic) {
    this.#topics.delete(topic);
    return this.#change();
  }

  async close({ retryMs } = {}) {
    if (!this.isConnected) return;
    await this.#begun();
    if (!this.isConnected) return;
    await this.#hub.disconnect(this.connectionId, { retryMs }).catch(notStale);
  }

  /** @internal Its connection has begun. */
  began(connectionId) {
    this.connectionId = connectionId;
    this.emit('begun');
  }

  /** @internal Its connection has ended. */
  ended(reason) {
    if (!this.isConnected) return;
    this.isConnected = false;
    this.emit('disconnected', reason);
  }

  #publish(data, options) {
    if (!this.isConnected) throw Object.assign(new Error('the session has ended'), { code: 'FANFARE_ERR_STALE' });
    this.#send.publish(data, options);
    return this;
  }

  /** Has the engine know its topics: the newest ones, however often they were changed meanwhile. */
  #change() {
    this.#changed ??= this.#begun().then(async () => {
      this.#changed = undefined;
      if (!this.isConnected) return;
      await this.#hub.setSubscriptions(this.connectionId, [this.topic, ...this.#topics]).catch(notStale);
    });
    return this.#changed;
  }

  #begun() {
    if (this.connectionId !== undefined || !this.isConnected) return Promise.resolve();
    // What is waited for keeps the process going.
    this.#waiting += 1;
    hold(this);
    return new Promise((resolve) => {
      const done = () => {
        this.off('begun', done);
        this.off('disconnected', done);
        this.#waiting -= 1;
        if (this.#waiting === 0) release(this);
        resolve();
      };
      this.on('begun', done);
      this.on('disconnected', done);
    });
  }
}

/** The chunks of a stream, those of bytes as texts. */
async function* textsOf(readable) {
  const decoder = new TextDecoder();
  for await (const chunk of readable) {
    const text = chunk instanceof Uint8Array ? decoder.decode(chunk, { stream: true }) : chunk;
    // A character may be in two chunks.
    if (text !== '') yield text;
  }
}

function notStale(error) {
  if (error.code !== 'FANFARE_ERR_STALE') throw error;
}

/** What opens a session for a request: its options for `Hub.handle`, and the session once it is open. */
function opening(hub, options, { origin, lastId }) {
  const { retry, cors, state = {}, channels = [], topics = [], headers = {}, ...others } = options;
  for (const name of ['tag', 'lastEventId']) {
    if (name in others) throw invalid(`a session has no option ${name}`);
  }
  const named = [topics].flat().concat(channels.map((channel) => channel.topic));
  const session = new Session(hub, named, lastId, state);
  const given = {
    ...others,
    topics: [session.topic, ...named],
    tag: session.topic,
    headers: [...pairsOf(headers), ...corsFields(cors, origin)],
  };
  return {
    given,
    session,
    open() {
      if (retry !== undefined) session.sendRetry(retry);
      for (const channel of channels) channel.joined(session);
      return session;
    },
  };
}

/** The fields of the answer that let pages of other origins read it. */
function corsFields(cors, origin) {
  if (cors === undefined || cors === false) return [];
  if (cors === true) return [['access-control-allow-origin', '*']];
  const { origins, credentials = false } = cors;
  const fields = [['vary', 'Origin']];
  if (origin === undefined || !(origins === '*' || [origins].flat().includes(origin))) return fields;
  if (origins === '*' && credentials) throw invalid('cors: name the origins that may send credentials');
  fields.push(['access-control-allow-origin', origin]);
  if (credentials) fields.push(['access-control-allow-credentials', 'true']);
  return fields;
}

module.exports = { Session, opening };
