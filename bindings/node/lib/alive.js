'use strict';

// What keeps the process going: hubs that listen, and streams that are waited for.

const { setInterval } = require('node:timers');

const kept = new Set();
let timer;

/** Keeps the process going, and the object in memory, until `release`. */
function hold(object) {
  kept.add(object);
  timer ??= setInterval(() => {}, 2 ** 31 - 1);
  if (kept.size === 1) timer.ref();
}

function release(object) {
  if (kept.delete(object) && kept.size === 0) timer.unref();
}

module.exports = { hold, release };
