'use strict';

/** What waits in its order. Any of it may leave, which takes the same time however much waits. */
class Queue {
  size = 0;
  /** A ring of links, which begins and ends here. */
  #ends = {};

  constructor() {
    this.#ends.next = this.#ends.previous = this.#ends;
  }

  /** Returns the link, with which it may leave. */
  add(value) {
    const link = { value, next: this.#ends, previous: this.#ends.previous };
    link.previous.next = link.next.previous = link;
    this.size += 1;
    return link;
  }

  /** Takes a link out that is in. */
  remove(link) {
    link.previous.next = link.next;
    link.next.previous = link.previous;
    this.size -= 1;
  }

  /** Takes the first out, and returns what it has; undefined if there is none. */
  take() {
    if (this.size === 0) return undefined;
    const first = this.#ends.next;
    this.remove(first);
    return first.value;
  }
}

module.exports = { Queue };
