'use strict';

// Publishing again and again until there is space.

const { setTimeout: sleep } = require('node:timers/promises');

const FIRST_MS = 1;
const LAST_MS = 16;

/**
 * Calls a function until it does not throw FANFARE_ERR_FULL. Between the calls everything else runs.
 * The engine tells nobody yet when there is space again.
 */
async function untilSpace(call, timeoutMs, signal) {
  const deadline = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
  for (let waitMs = FIRST_MS; ; waitMs = Math.min(waitMs * 2, LAST_MS)) {
    signal?.throwIfAborted();
    try {
      return call();
    } catch (error) {
      if (error.code !== 'FANFARE_ERR_FULL') throw error;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        throw Object.assign(new Error('there was no space within the time; nothing was published'), {
          code: 'FANFARE_ERR_TIMEOUT',
        });
      }
      await sleep(Math.min(waitMs, leftMs), undefined, { signal });
    }
  }
}

module.exports = { untilSpace };
