'use strict';

// The hub: what a program publishes to and clients listen to.

const { EventEmitter } = require('node:events');
const { hold, release } = require('./alive.js');
const { Authorizer, FunctionAuthorizer } = require('./authorize.js');
const { checkOptions, dataOf, invalid, publicationOf } = require('./event.js');
const { Fallback } = require('./fallback.js');
const { handle } = require('./handle.js');
const { Listener } = require('./listener.js');
const native = require('./native.js');
const { Sources } = require('./notices.js');
const { Questions } = require('./questions.js');
const { response } = require('./response.js');
const { handOver } = require('./socket.js');
const { Stream } = require('./stream.js');
const { deadlineOf } = require('./time.js');
const { Topic, placeOf } = require('./topic.js');
const { Waiting } = require('./waiting.js');

const WAITING = ['timeoutMs', 'signal'];
/** The most events that the library is handed at once, while JavaScript's thread does nothing else. */
const PART_MAX = 256;

/** How long a thread of the runtime's pool waits at a time. */
const FLUSH_SLICE_MS = 100;
/** How long the nodes of a cluster are waited for. */
const NODES_WAIT_MS = 2000;

/** The engine, with its own threads. index.d.ts documents each item. */
class Hub extends EventEmitter {
  #native;
  #publish;
  #closed;
  #listeners = new Set();
  #sources;
  #authorizer;
  #isOpenToAll = false;
  #waiting;
  #questions = new Questions();

  constructor(options = {}) {
    super();
    this.#native = native.open(options);
    this.#publish = native.publisher(this.#native);
    this.#waiting = new Waiting(this.#native);
    this.#sources = new Sources(this.#native, (notice) => this.emit(notice.type, notice));
    this.on('newListener', (event) => {
      if (event === 'connected' || event === 'disconnected') this.#sources.watchConnections();
    });
  }

  // ---- publishing ----

  topic(name) {
    return new Topic(this, this.#native, this.#waiting, name);
  }

  publish(topic, data, options) {
    if (typeof topic !== 'string') return this.#publishTo(topic, data, options);
    if (options === undefined) return this.#publish(topic, typeof data === 'string' ? data : dataOf(data));
    checkOptions(options);
    const { name, id, key, comment, retryMs, windowMs } = options;
    return this.#publish(topic, dataOf(data), name, id, key, comment, retryMs, windowMs);
  }

  async publishAsync(topic, data, options = {}) {
    const part = [publicationOf(topicsOf(topic), data, options, WAITING)];
    const publish = () => this.#publishPart(part)[0];
    return this.#waiting.untilSpace(placeOf(topic, options), publish, () => whereOf(part), options);
  }

  publishMany(publications) {
    const ids = [];
    for (const part of partsOf(publications)) ids.push(...this.#publishPart(part, ids));
    return ids;
  }

  async publishManyAsync(publications, options = {}) {
    const ids = [];
    try {
      for (const part of partsOf(publications)) {
        let left = part;
        // A place of its own: each of its events has other topics.
        await this.#waiting.untilSpace(ids, () => {
          const { ids: published, error } = native.publishMany(this.#native, left);
          ids.push(...published);
          left = left.slice(published.length);
          if (error !== undefined) throw error;
        }, () => whereOf(left), options);
      }
    } catch (error) {
      throw Object.assign(error, { published: ids });
    }
    return ids;
  }

  finish(topic, data, options) {
    const topics = topicsOf(topic);
    if (topics.length !== 1) throw invalid('one topic is finished at a time');
    const hasLast = (data !== undefined && data !== null)
      || Object.values(options ?? {}).some((option) => option !== undefined);
    return native.finish(this.#native, publicationOf(topics, data, options), hasLast);
  }

  async finishAsync(topic, data, options) {
    const { timeoutMs, signal, ...last } = options ?? {};
    const where = () => ({ topics: topicsOf(topic) });
    return this.#waiting.untilSpace(placeOf(topic), () => this.finish(topic, data, last), where, { timeoutMs, signal });
  }

  async ready(topic, options) {
    await this.#waiting.ready(topic === undefined ? undefined : topicsOf(topic), options);
    // There is nothing to wait for any more then.
    if (this.#closed !== undefined || this.metrics().livingShards === 0) {
      throw Object.assign(new Error('the hub is closed: make a new one'), { code: 'FANFARE_ERR_CLOSED' });
    }
  }

  async flush({ timeoutMs, signal } = {}) {
    const deadline = deadlineOf(timeoutMs);
    for (;;) {
      signal?.throwIfAborted();
      const leftMs = Math.max(0, Math.ceil(deadline - performance.now()));
      try {
        return await native.flush(this.#native, Math.min(leftMs, FLUSH_SLICE_MS));
      } catch (error) {
        if (error.code !== 'FANFARE_ERR_TIMEOUT' || leftMs === 0) throw error;
      }
    }
  }

  #publishTo(topic, data, options) {
    if (topic instanceof Topic) return topic.publish(data, options);
    return this.#publishPart([publicationOf(topicsOf(topic), data, options)])[0];
  }

  #publishPart(part, before = []) {
    const { ids, error } = native.publishMany(this.#native, part);
    if (error !== undefined) throw Object.assign(error, { published: [...before, ...ids] });
    return ids;
  }

  // ---- rules ----

  setRule(subscription, options = {}) {
    native.setRule(this.#native, subscription, options);
  }

  removeRule(subscription) {
    return native.removeRule(this.#native, subscription);
  }

  rules() {
    return native.rules(this.#native);
  }

  // ---- ways in for clients ----

  listen(addr, options) {
    if (typeof addr === 'object' && addr !== null) return this.listen(undefined, addr);
    const { addr: named, authorizer = this.#authorizer, fallback, ...others } = options ?? {};
    const given = {
      ...others,
      authorizer: nativeOf('authorizer', authorizer, Authorizer),
      fallback: nativeOf('fallback', fallback, Fallback),
    };
    const made = native.listen(this.#native, addr ?? named ?? '127.0.0.1:0', given);
    // As a server does, it keeps the process going until it is closed.
    hold(this);
    if (authorizer === undefined) this.#isOpenToAll = true;
    const listener = new Listener(this.#native, made, () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) release(this);
    });
    this.#listeners.add(listener);
    return listener;
  }

  subscribe(topics, options = {}) {
    return new Stream(native.subscribe(this.#native, topics, options));
  }

  adopt(socket, topics, options = {}) {
    const { isTls = socket?.encrypted === true, readAheadBytes = socket?.readableLength ?? 0 } = options;
    if (socket?.writableLength > 0) {
      throw Object.assign(new Error('bytes that the program has written are not sent yet'), {
        code: 'FANFARE_ERR_SOCKET_UNSENT',
      });
    }
    const given = { ...options, isTls, readAheadBytes };
    if (isTls && typeof socket !== 'number') {
      throw Object.assign(new Error('the socket speaks TLS, which the engine cannot: use subscribe'), {
        code: 'FANFARE_ERR_SOCKET_TLS',
      });
    }
    handOver(socket, (fd) => native.adopt(this.#native, fd, topics, given));
  }

  handle(req, res, options) {
    return handle(this, req, res, options);
  }

  response(request, options) {
    return response(this, request, options);
  }

  authorize(decide, options = {}) {
    if (this.#authorizer !== undefined) throw new Error('the hub has an authorizer already');
    if (this.#isOpenToAll) throw new Error('a listener is open to all: authorize before you listen');
    this.#authorizer = new FunctionAuthorizer(decide, options);
  }

  // ---- notices ----

  notices(options) {
    return this.#sources.notices(options);
  }

  watchInterest(subscriptions, { graceMs = 0 } = {}) {
    return this.#sources.watchInterest(subscriptions, graceMs, (notice) => this.emit(notice.type, notice));
  }

  // ---- connections ----

  async connections(filter = {}) {
    return native.connections(this.#native, filter);
  }

  async connection(id) {
    return native.connection(this.#native, id);
  }

  async subscribers(topic) {
    return native.subscribers(this.#native, topic);
  }

  async clusterConnections(filter = {}, { timeoutMs = NODES_WAIT_MS } = {}) {
    return this.#questions.ask(timeoutMs, (leftMs) => native.clusterConnections(this.#native, filter, leftMs));
  }

  async clusterSubscribers(topic, { timeoutMs = NODES_WAIT_MS } = {}) {
    return this.#questions.ask(timeoutMs, (leftMs) => native.clusterSubscribers(this.#native, topic, leftMs));
  }

  async subscriptionCounts(limit = 1000) {
    return new Map(await native.subscriptionCounts(this.#native, limit));
  }

  async disconnect(id, { retryMs = 0 } = {}) {
    return native.disconnect(this.#native, id, retryMs);
  }

  async disconnectTag(tag, { retryMs = 0 } = {}) {
    return native.disconnectTag(this.#native, retryMs, tag);
  }

  async disconnectSubscription(subscription, { retryMs = 0 } = {}) {
    return native.disconnectSubscription(this.#native, retryMs, subscription);
  }

  async disconnectAll({ retryMs = 0 } = {}) {
    return native.disconnectAll(this.#native, retryMs);
  }

  async setSubscriptions(id, topics) {
    return native.setSubscriptions(this.#native, id, topics);
  }

  // ---- counts ----

  metrics() {
    return native.metrics(this.#native);
  }

  prometheus() {
    return native.prometheus(this.#native);
  }

  // ---- its end ----

  close() {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async drain(options = {}) {
    const drained = await native.drain(this.#native, options);
    await this.close();
    return drained;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  async #close() {
    const closed = native.close(this.#native);
    this.#questions.close();
    try {
      await closed;
    } finally {
      await this.#sources.close();
      this.#authorizer?.close();
      this.#listeners.clear();
      release(this);
    }
  }
}

function topicsOf(topic) {
  return (Array.isArray(topic) ? topic : [topic]).map((each) => (each instanceof Topic ? each.native : each));
}

/** Where the first of some publications, which found no space, needs it. */
function whereOf([[topics, ...event]]) {
  return { topics, windowMs: event.at(-1) };
}

function nativeOf(option, given, kind) {
  if (given === undefined || given instanceof kind) return given?.native;
  throw invalid(`${option} must be of the class ${kind.name}`);
}

/** Parts of what is to be published, as the addon takes them. */
function* partsOf(publications) {
  let part = [];
  for (const { topic, data, ...options } of publications) {
    part.push(publicationOf(topicsOf(topic), data, options));
    if (part.length === PART_MAX) {
      yield part;
      part = [];
    }
  }
  if (part.length > 0) yield part;
}

module.exports = { Hub };
