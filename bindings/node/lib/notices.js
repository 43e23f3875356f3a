'use strict';

// Notices: what a hub tells the program of its connections, and of what they are interested in.

const { hold, release } = require('./alive.js');
const bell = require('./bell.js');
const native = require('./native.js');

const CAPACITY = 10_000;
const CAPACITY_MAX = 2 ** 20;
/** The longest time that the end of a closed hub's notices is waited for. */
const END_TIME_MAX_MS = 5000;

/** Notices that wait until the program reads them. Iterate it with `for await`. */
class Notices {
  #onClose;
  #capacity;
  #connections = [];
  #interest = new Map();
  #lost = 0;
  #closed = false;
  #readers = [];
  #isHeld = false;

  constructor(capacity, onClose) {
    this.#capacity = capacity;
    this.#onClose = onClose;
  }

  /** @internal Takes a notice of a connection, of which as many wait as the capacity says. */
  addConnection(notice) {
    if (this.#connections.length >= this.#capacity) {
      this.#lost += 1 + notice.lost;
      return;
    }
    this.#connections.push(this.#lost === 0 ? notice : { ...notice, lost: notice.lost + this.#lost });
    this.#lost = 0;
    this.#wake();
  }

  /** @internal Takes a notice of interest. One that undoes what was not read yet is that one's end. */
  addInterest(notice) {
    if (this.#interest.delete(notice.subscription)) return;
    this.#interest.set(notice.subscription, notice);
    this.#wake();
  }

  async next() {
    for (;;) {
      const [subscription] = this.#interest.keys();
      if (subscription !== undefined) {
        const value = this.#interest.get(subscription);
        this.#interest.delete(subscription);
        return { done: false, value };
      }
      if (this.#connections.length > 0) return { done: false, value: this.#connections.shift() };
      if (this.#closed) return { done: true, value: undefined };
      await new Promise((resolve) => { this.#readers.push(resolve); });
    }
  }

  async return() {
    this.close();
    return { done: true, value: undefined };
  }

  close() {
    this.#connections = [];
    this.#interest.clear();
    this.end();
  }

  /** @internal What waits can still be read. */
  end() {
    if (this.#closed) return;
    this.#closed = true;
    this.unref();
    this.#onClose(this);
    this.#wake();
  }

  ref() {
    if (!this.#closed && !this.#isHeld) hold(this);
    this.#isHeld = !this.#closed;
    return this;
  }

  unref() {
    if (this.#isHeld) release(this);
    this.#isHeld = false;
    return this;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async [Symbol.asyncDispose]() {
    this.close();
  }

  #wake() {
    for (const wake of this.#readers.splice(0)) wake();
  }
}

/** What a hub is told of, for all who want to know. */
class Sources {
  #hub;
  #emit;
  #all = new Set();
  /** Those of them to whom connections, and interest, are still told. */
  #wantConnections = new Set();
  #wantInterest = new Set();
  #connections;
  #interests = new Map();
  #isClosed = false;
  #tokens = new Set();
  #onEnd;

  constructor(nativeHub, emit) {
    this.#hub = nativeHub;
    this.#emit = emit;
  }

  /** Has notices of connections emitted. */
  watchConnections(capacity = CAPACITY) {
    if (this.#connections !== undefined) return;
    const token = bell.newToken();
    native.watchConnections(this.#hub, token, capacity);
    this.#connections = token;
    this.#tokens.add(token);
    bell.handle(token, (notice) => {
      if (notice.type === 'ended') {
        this.#ended(token);
        for (const notices of [...this.#wantConnections]) this.#wantNoMore(this.#wantConnections, notices);
        return;
      }
      // First, since what listens may throw.
      for (const notices of this.#wantConnections) notices.addConnection(notice);
      this.#emit(notice);
    });
  }

  /** Has notices of interest given to a function. Returns what ends that. */
  watchInterest(subscriptions, graceMs, take, onEnd = () => {}) {
    const tokens = new Set();
    const stop = () => {
      for (const token of tokens) {
        bell.remove(token);
        this.#forget(token);
      }
      tokens.clear();
      this.#interests.delete(stop);
    };
    try {
      for (const subscription of typeof subscriptions === 'string' ? [subscriptions] : subscriptions) {
        const token = bell.newToken();
        native.watchInterest(this.#hub, token, subscription, graceMs);
        tokens.add(token);
        this.#tokens.add(token);
        bell.handle(token, (notice) => {
          if (notice.type !== 'ended') return take(notice);
          this.#ended(token);
          tokens.delete(token);
          if (tokens.size === 0) onEnd();
        });
      }
    } catch (error) {
      stop();
      throw error;
    }
    this.#interests.set(stop, onEnd);
    return stop;
  }

  notices({ connections = true, capacity = CAPACITY, interest = [], graceMs = 0 } = {}) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > CAPACITY_MAX) {
      throw Object.assign(new Error('the option capacity is out of bounds: it may be 1 to 1,048,576'), {
        code: 'FANFARE_ERR_OPTIONS',
      });
    }
    if (this.#isClosed) {
      throw Object.assign(new Error('the hub is closed: make a new one'), { code: 'FANFARE_ERR_CLOSED' });
    }
    let stop = () => {};
    const notices = new Notices(capacity, () => {
      stop();
      for (const set of [this.#all, this.#wantConnections, this.#wantInterest]) set.delete(notices);
    });
    if (interest.length > 0) {
      this.#wantInterest.add(notices);
      const onEnd = () => this.#wantNoMore(this.#wantInterest, notices);
      try {
        stop = this.watchInterest(interest, graceMs, (notice) => notices.addInterest(notice), onEnd);
      } catch (error) {
        this.#wantInterest.delete(notices);
        throw error;
      }
    }
    if (connections) {
      try {
        this.watchConnections(Math.max(capacity, CAPACITY));
      } catch (error) {
        this.#wantInterest.delete(notices);
        stop();
        throw error;
      }
      this.#wantConnections.add(notices);
    }
    this.#all.add(notices);
    if (!connections && !this.#wantInterest.has(notices)) notices.end();
    return notices;
  }

  /** Ends all, once the last notices of the hub, which is closed, have come. They can still be read. */
  async close() {
    this.#isClosed = true;
    if (this.#tokens.size > 0) {
      await new Promise((resolve) => {
        const late = setTimeout(resolve, END_TIME_MAX_MS);
        this.#onEnd = () => {
          clearTimeout(late);
          resolve();
        };
      });
    }
    if (this.#connections !== undefined) bell.remove(this.#connections);
    for (const stop of this.#interests.keys()) stop();
    this.#endAll(this.#all);
  }

  #ended(token) {
    bell.unhandle(token);
    this.#forget(token);
  }

  /** Nothing comes from a source any more. */
  #forget(token) {
    this.#tokens.delete(token);
    if (this.#tokens.size === 0) this.#onEnd?.();
  }

  /** One kind of notices has ended; the others may still have some. */
  #wantNoMore(set, notices) {
    set.delete(notices);
    if (!this.#wantConnections.has(notices) && !this.#wantInterest.has(notices)) notices.end();
  }

  #endAll(several) {
    for (const notices of [...several]) notices.end();
  }
}

module.exports = { Sources };
