'use strict';

// Waiting for space: the engine tells once when there is some, and nothing is tried meanwhile.

const { hold, release } = require('./alive.js');
const bell = require('./bell.js');
const native = require('./native.js');
const { Queue } = require('./queue.js');
const { deadlineOf } = require('./time.js');

/** The longest time that a timer of JavaScript's has. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** The most publishers that wait for one place, as of a hub's in the engine. */
const WAITING_MAX = 65_536;

/** Those who wait for space in a hub. */
class Waiting {
  #hub;
  /** By their place: those behind the one who asks the engine, in their order. */
  #queues = new Map();

  constructor(nativeHub) {
    this.#hub = nativeHub;
  }

  /**
   * Calls a function until it does not throw FANFARE_ERR_FULL: again when there is space. `where` gives
   * the topics that have to have some, and over which time the event is spread. Calls with one place
   * come one after the other, so that few find no space when there is some. Meanwhile all else runs.
   */
  async untilSpace(place, call, where, { timeoutMs, signal } = {}) {
    const deadline = deadlineOf(timeoutMs);
    signal?.throwIfAborted();
    const before = this.#queues.get(place);
    if (before !== undefined) {
      await turn(before, deadline, signal);
    } else {
      try {
        return call();
      } catch (error) {
        if (!isFull(error)) throw error;
      }
      this.#queues.set(place, new Queue());
    }
    try {
      for (let hasTried = before === undefined; ; hasTried = true) {
        if (hasTried) await space(this.#hub, where(), deadline, signal);
        signal?.throwIfAborted();
        try {
          return call();
        } catch (error) {
          if (!isFull(error)) throw error;
        }
      }
    } finally {
      this.#passOn(place);
    }
  }

  /** Waits until there is space in topics, or without any in the hub. It is gone when others take it. */
  async ready(topics, { timeoutMs, signal } = {}) {
    signal?.throwIfAborted();
    await space(this.#hub, { topics: topics ?? [] }, deadlineOf(timeoutMs), signal);
  }

  #passOn(place) {
    const next = this.#queues.get(place).take();
    if (next === undefined) this.#queues.delete(place);
    else next();
  }
}

function isFull({ code }) {
  return code === 'FANFARE_ERR_FULL';
}

/** Waits behind others. */
function turn(queue, deadline, signal) {
  if (queue.size >= WAITING_MAX) {
    throw Object.assign(new Error('too many publishers wait for space: let fewer wait at once'), {
      code: 'FANFARE_ERR_LIMIT',
    });
  }
  return within(deadline, signal, (done) => {
    const link = queue.add(done);
    return () => { queue.remove(link); };
  });
}

/** Waits for the engine's notice. */
function space(nativeHub, { topics, windowMs }, deadline, signal) {
  return within(deadline, signal, (done) => {
    const token = bell.newToken();
    native.notifySpace(nativeHub, token, topics, windowMs);
    bell.handle(token, () => {
      bell.unhandle(token);
      done();
    });
    return () => { bell.remove(token); };
  });
}

/** Waits for what `begin` is to call, which returns how that is taken back. It keeps the process going. */
function within(deadline, signal, begin) {
  return new Promise((resolve, reject) => {
    const leftMs = Math.ceil(deadline - performance.now());
    if (leftMs <= 0) {
      reject(tooLate());
      return;
    }
    const end = (settle, value) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      release(end);
      settle(value);
    };
    const takeBack = begin(() => end(resolve));
    const giveUp = (error) => {
      takeBack();
      end(reject, error);
    };
    const onAbort = () => giveUp(signal.reason);
    // A time that is longer than a timer's is as good as none.
    const timer = leftMs > TIMER_MAX_MS ? undefined : setTimeout(() => giveUp(tooLate()), leftMs);
    signal?.addEventListener('abort', onAbort);
    hold(end);
  });
}

function tooLate() {
  return Object.assign(new Error('there was no space within the time; nothing was published'), {
    code: 'FANFARE_ERR_TIMEOUT',
  });
}

module.exports = { Waiting };
