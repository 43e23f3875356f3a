'use strict';

// Waiting for space: the engine tells once when there is some, and nothing is tried meanwhile.

const { hold, release } = require('./alive.js');
const bell = require('./bell.js');
const native = require('./native.js');

/** The longest time that a timer of JavaScript's has. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** Nobody publishes to it, so that it has space whenever its hub has: the engine asks for a topic. */
const NO_TOPIC = 'fanfare: no topic';

/**
 * Calls a function until it does not throw FANFARE_ERR_FULL: again whenever there is space. `where`
 * gives the topics that have to have some, and over which time the event is spread. Meanwhile
 * everything else runs.
 */
async function untilSpace(nativeHub, call, where, { timeoutMs, signal } = {}) {
  const deadline = deadlineOf(timeoutMs);
  for (;;) {
    signal?.throwIfAborted();
    try {
      return call();
    } catch (error) {
      if (error.code !== 'FANFARE_ERR_FULL') throw error;
    }
    await space(nativeHub, where(), deadline, signal);
  }
}

/** Waits until there is space in topics, or without any in the hub. It is gone when others take it. */
async function ready(nativeHub, topics, { timeoutMs, signal } = {}) {
  signal?.throwIfAborted();
  await space(nativeHub, { topics: topics ?? [NO_TOPIC] }, deadlineOf(timeoutMs), signal);
}

function deadlineOf(timeoutMs) {
  return timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
}

function space(nativeHub, { topics, windowMs }, deadline, signal) {
  return new Promise((resolve, reject) => {
    const leftMs = Math.ceil(deadline - performance.now());
    if (leftMs <= 0) {
      reject(tooLate());
      return;
    }
    const token = bell.newToken();
    native.notifySpace(nativeHub, token, topics, windowMs);
    const end = (settle, value) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      release(end);
      settle(value);
    };
    const giveUp = (error) => {
      bell.remove(token);
      end(reject, error);
    };
    const onAbort = () => giveUp(signal.reason);
    // A time that is longer than a timer's is as good as none.
    const timer = leftMs > TIMER_MAX_MS ? undefined : setTimeout(() => giveUp(tooLate()), leftMs);
    signal?.addEventListener('abort', onAbort);
    hold(end);
    bell.handle(token, () => {
      bell.unhandle(token);
      end(resolve);
    });
  });
}

function tooLate() {
  return Object.assign(new Error('there was no space within the time; nothing was published'), {
    code: 'FANFARE_ERR_TIMEOUT',
  });
}

module.exports = { ready, untilSpace };
