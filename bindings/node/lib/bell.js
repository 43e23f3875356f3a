'use strict';

// Notices of all hubs of this thread, which the addon's own thread waits for.

const native = require('./native.js');

const handlers = new Map();
let last = 0;

/** A new token for a source of notices. */
function newToken() {
  if (last === 0) native.bellStart(onNotices);
  last += 1;
  return last;
}

/** Has a function called with each notice of a source. It is in memory until `unhandle`. */
function handle(token, handler) {
  handlers.set(token, handler);
}

function unhandle(token) {
  handlers.delete(token);
}

/** Ends a source. */
function remove(token) {
  handlers.delete(token);
  native.removeSource(token);
}

function onNotices(notices) {
  for (const notice of notices) {
    // A token alone: a stream has something to read, or there is space.
    const [token, told] = typeof notice === 'number' ? [notice] : notice;
    try {
      handlers.get(token)?.(told);
    } catch (error) {
      // The notices behind it are for others.
      process.nextTick(() => { throw error; });
    }
  }
}

module.exports = { handle, newToken, remove, unhandle };
