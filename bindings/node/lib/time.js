'use strict';

// For how long a call waits, as a program says it.

const { invalid } = require('./event.js');

/**
 * A time in milliseconds; without one it has no bound. One below 0 is over at once, and an infinite one never.
 * Others are refused: with NaN no comparison holds, so that a wait would end at once, or go on for ever.
 */
function timeOf(timeoutMs) {
  if (timeoutMs === undefined) return Infinity;
  if (typeof timeoutMs !== 'number') throw invalid('timeoutMs must be a number');
  if (Number.isNaN(timeoutMs)) {
    throw Object.assign(new Error('the option timeoutMs is out of bounds: it may be a number of milliseconds'), {
      code: 'FANFARE_ERR_OPTIONS',
    });
  }
  return timeoutMs;
}

/** When that time is over, on the clock of `performance.now()`. */
function deadlineOf(timeoutMs) {
  return performance.now() + timeOf(timeoutMs);
}

module.exports = { deadlineOf, timeOf };
