'use strict';

// A topic by handle.

const native = require('./native.js');
const { checkOptions, dataOf, publicationOf } = require('./event.js');
const { untilSpace } = require('./waiting.js');

const WAITING = ['timeoutMs', 'signal'];

/** A topic of a hub: its name was checked, and each call is faster than by name. */
class Topic {
  #publish;
  #hub;
  #nativeHub;

  constructor(hub, nativeHub, name) {
    this.#hub = hub;
    this.#nativeHub = nativeHub;
    /** @internal */
    Object.defineProperty(this, 'native', { value: native.topic(name) });
    this.#publish = native.publisher(nativeHub, this.native);
    this.name = name;
  }

  publish(data, options) {
    if (options === undefined) return this.#publish(typeof data === 'string' ? data : dataOf(data));
    checkOptions(options);
    const { name, id, key, comment, retryMs, windowMs } = options;
    return this.#publish(dataOf(data), name, id, key, comment, retryMs, windowMs);
  }

  async publishAsync(data, options = {}) {
    const [topics, ...event] = publicationOf([this.native], data, options, WAITING);
    const where = { topics, windowMs: options.windowMs };
    return untilSpace(this.#nativeHub, () => this.#publish(...event), () => where, options);
  }

  finish(data, options) {
    return this.#hub.finish(this, data, options);
  }

  finishAsync(data, options) {
    return this.#hub.finishAsync(this, data, options);
  }
}

module.exports = { Topic };
