'use strict';

// Questions to all nodes of a cluster. One waits on a thread of the runtime's pool until its time is over if a node
// does not answer, and cannot be taken back: so few are there at once, and the others wait here. The pool's other
// threads are for the hub's end, files and names of hosts.

const { timeOf } = require('./time.js');

/** How many questions of a hub are on threads of the pool, which has four. */
const AT_ONCE = 2;
/** How many questions of a hub there are, as in the library. */
const QUESTIONS_MAX = 16;
/** The longest time for which the library waits for nodes. */
const TIME_MAX_MS = 10_000;

/** The questions of a hub. */
class Questions {
  #asking = 0;
  /** What wakes those that wait, in their order. */
  #waiting = [];

  /** Asks in its turn, and for what is left of the time then: `question` is called with that. */
  async ask(timeoutMs, question) {
    let leftMs = timeOf(timeoutMs);
    if (this.#asking < AT_ONCE) {
      this.#asking += 1;
    } else {
      if (this.#asking + this.#waiting.length >= QUESTIONS_MAX) throw tooMany();
      const deadline = performance.now() + Math.min(leftMs, TIME_MAX_MS);
      await new Promise((resolve) => { this.#waiting.push(resolve); });
      leftMs = deadline - performance.now();
    }
    try {
      return await question(leftMs);
    } finally {
      this.#asking -= 1;
      this.#wake();
    }
  }

  /** Has all that wait ask now: a hub that is closed refuses them. */
  close() {
    while (this.#waiting.length > 0) this.#wake();
  }

  #wake() {
    const wake = this.#waiting.shift();
    if (wake === undefined) return;
    this.#asking += 1;
    wake();
  }
}

function tooMany() {
  return Object.assign(new Error(`${QUESTIONS_MAX} questions to the nodes are on their way: ask a little later`), {
    code: 'FANFARE_ERR_BUSY',
  });
}

module.exports = { Questions };
