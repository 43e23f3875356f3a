'use strict';

// A publisher and a subscriber in the shape that the package resumable-stream expects of Redis.

const { createHash } = require('node:crypto');

/** Beyond this many keys the oldest are forgotten. */
const KEYS_MAX = 100_000;
/** The most characters of a message in one event: of at most 6 bytes each, as JSON has them. */
const PART_CHARS = 100_000;
/** What all parts of a message but its last are named. */
const PART = 'part';

/** The publisher and the subscriber of a hub. They share channels, which are topics of the hub, and keys. */
function resumable(hub, { prefix = '$resumable' } = {}) {
  return { publisher: new Publisher(hub, prefix), subscriber: new Subscriber(hub, prefix) };
}

class Publisher {
  #hub;
  #prefix;
  #keys = new Map();
  /** The messages of one channel go one after another, also when one waits for space. */
  #sending = new Map();

  constructor(hub, prefix) {
    this.#hub = hub;
    this.#prefix = prefix;
  }

  async connect() {}

  async publish(channel, message) {
    const topic = topicOf(this.#prefix, channel);
    const sent = (this.#sending.get(topic) ?? Promise.resolve()).then(() => this.#send(topic, `${message}`));
    const settled = sent.catch(() => {}).then(() => {
      if (this.#sending.get(topic) === settled) this.#sending.delete(topic);
    });
    this.#sending.set(topic, settled);
    await sent;
    return 1;
  }

  async set(key, value, { EX } = {}) {
    this.#keys.delete(key);
    this.#keys.set(key, { value: `${value}`, until: EX === undefined ? Infinity : Date.now() + EX * 1000 });
    this.#forget();
    return 'OK';
  }

  async get(key) {
    return this.#kept(key)?.value ?? null;
  }

  async incr(key) {
    const entry = this.#kept(key) ?? { value: '0', until: Infinity };
    if (!/^-?\d{1,15}$/.test(entry.value)) throw new Error('ERR value is not an integer or out of range');
    const value = Number(entry.value) + 1;
    this.#keys.set(key, { ...entry, value: `${value}` });
    this.#forget();
    return value;
  }

  async #send(topic, message) {
    for (let at = 0; at + PART_CHARS < message.length; at += PART_CHARS) {
      await this.#hub.publishAsync(topic, { json: message.slice(at, at + PART_CHARS) }, { name: PART });
    }
    const last = message.length === 0 ? 0 : Math.floor((message.length - 1) / PART_CHARS) * PART_CHARS;
    await this.#hub.publishAsync(topic, { json: message.slice(last) });
  }

  #kept(key) {
    const entry = this.#keys.get(key);
    if (entry === undefined || entry.until > Date.now()) return entry;
    this.#keys.delete(key);
    return undefined;
  }

  #forget() {
    for (const [key] of this.#keys) {
      if (this.#keys.size <= KEYS_MAX) return;
      this.#keys.delete(key);
    }
  }
}

class Subscriber {
  #hub;
  #prefix;
  #streams = new Map();

  constructor(hub, prefix) {
    this.#hub = hub;
    this.#prefix = prefix;
  }

  async connect() {}

  async subscribe(channel, callback) {
    await this.unsubscribe(channel);
    const stream = this.#hub.subscribe(topicOf(this.#prefix, channel));
    this.#streams.set(channel, stream);
    deliver(stream, callback).catch((error) => {
      process.emitWarning(`the channel ${channel} was cut: ${error?.stack ?? error}`, 'FanfareWarning');
    }).finally(() => {
      if (this.#streams.get(channel) === stream) this.#streams.delete(channel);
    });
    return 1;
  }

  async unsubscribe(channel) {
    this.#streams.get(channel)?.close();
    this.#streams.delete(channel);
  }
}

/** Calls a function with each message of a stream. */
async function deliver(stream, callback) {
  const decoder = new TextDecoder();
  let rest = '';
  let message = '';
  let isPart = false;
  for await (const batch of stream) {
    const lines = (rest + decoder.decode(batch, { stream: true })).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith('event: ')) isPart = line === `event: ${PART}`;
      else if (line.startsWith('data: ')) {
        // Its subscription was ended by the message before.
        if (stream.endReason === 'closed') return;
        message += JSON.parse(line.slice(6));
        if (!isPart) {
          callback(message);
          message = '';
        }
      } else if (line === '') isPart = false;
    }
  }
}

/** The topic of a channel, whose name may be any text. */
function topicOf(prefix, channel) {
  const name = `${prefix}/${encodeURIComponent(channel)}`;
  return name.length <= 200 ? name : `${prefix}/${createHash('sha256').update(channel).digest('hex')}`;
}

module.exports = { Publisher, Subscriber, resumable };
