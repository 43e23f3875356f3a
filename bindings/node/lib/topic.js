'use strict';

// A topic by handle.

const native = require('./native.js');
const { checkOptions, dataOf, publicationOf } = require('./event.js');

const WAITING = ['timeoutMs', 'signal'];

/** A topic of a hub: its name was checked, and each call is faster than by name. */
class Topic {
  #publish;
  #hub;
  #waiting;

  constructor(hub, nativeHub, waiting, name) {
    this.#hub = hub;
    this.#waiting = waiting;
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
    return this.#waiting.untilSpace(placeOf(this, options), () => this.#publish(...event), () => where, options);
  }

  finish(data, options) {
    return this.#hub.finish(this, data, options);
  }

  finishAsync(data, options) {
    return this.#hub.finishAsync(this, data, options);
  }
}

/** Names where those who publish to the same topics wait for space. No name of a topic has a line break. */
function placeOf(topics, { windowMs } = {}) {
  const names = [topics].flat().map((topic) => (topic instanceof Topic ? topic.name : String(topic)));
  return names.join('\n') + (windowMs > 0 ? '\n\n' : '');
}

module.exports = { Topic, placeOf };
