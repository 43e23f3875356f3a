'use strict';

// What the engine logs. Its threads put copies into a bounded queue, and none enters JavaScript.

const bell = require('./bell.js');
const { invalid } = require('./event.js');
const native = require('./native.js');

/** By their numbers in the C ABI, where 0 is none. */
const LEVELS = ['off', 'error', 'warn', 'info', 'debug', 'trace'];
const CAPACITY = 1000;

let current;

function logTo(take, { level = 'warn', capacity = CAPACITY } = {}) {
  if (take === null || take === undefined) return replace(undefined);
  if (typeof take !== 'function') throw invalid('a function is given the log, or null for none');
  const number = LEVELS.indexOf(level);
  if (number < 1) {
    throw Object.assign(new Error('the option level is out of bounds: it may be error, warn, info, debug or trace'), {
      code: 'FANFARE_ERR_OPTIONS',
    });
  }
  const token = bell.newToken();
  native.logWatch(token, number, capacity);
  bell.handle(token, ({ level: told, target, message, isCut, at, lost }) => {
    take({ level: LEVELS[told], target, message, isCut, at, lost });
  });
  replace(token);
}

function replace(token) {
  if (current !== undefined) bell.remove(current);
  current = token;
}

module.exports = { logTo };
