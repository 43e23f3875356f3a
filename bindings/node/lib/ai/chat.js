'use strict';

// Answers of language models and agents that are resumed: a pair of handlers for the chat transport of
// the AI SDK. Each run is a topic, which is finished when the run ends.

const { randomUUID } = require('node:crypto');
const { NOTHING_TO_COME } = require('../answers.js');
const { invalid } = require('../event.js');
const { answerWith } = require('../handle.js');
const { pairsOf } = require('../terms.js');

/** What the AI SDK's client knows its streams by. */
const STREAM_FIELDS = [['x-vercel-ai-ui-message-stream', 'v1']];
const DONE = '[DONE]';
const KEPT = { historyEventsMax: 100_000, historyBytesMax: 16 * 2 ** 20, historyAgeMaxMs: 3_600_000, finishedAgeMaxMs: 60_000 };

/** The runs of chats on a hub, of which each chat has one at a time. */
class Chats {
  #hub;
  #prefix;
  #onError;
  #runs = new Map();

  constructor(hub, { prefix = '$chat', rule = {}, onError = () => 'An error occurred.' } = {}) {
    this.#hub = hub;
    this.#prefix = prefix;
    this.#onError = onError;
    hub.setRule(`${prefix}/+`, { ...KEPT, ...rule });
  }

  /** Begins a run, and stops the one before it. It goes on when its client leaves. */
  start(chatId, makeStream) {
    if (typeof chatId !== 'string') throw invalid('the id of a chat must be a string');
    this.stop(chatId);
    const run = { topic: `${this.#prefix}/${randomUUID()}`, abort: new AbortController() };
    this.#runs.set(chatId, run);
    run.done = this.#produce(chatId, run, makeStream);
    return run.topic;
  }

  /** Whether a chat has a run that has not ended. */
  isActive(chatId) {
    return this.#runs.has(chatId);
  }

  /** Stops the run of a chat, and tells whether there was one. */
  stop(chatId) {
    const run = this.#runs.get(chatId);
    run?.abort.abort();
    this.#runs.delete(chatId);
    return run !== undefined;
  }

  /** Answers the POST of a chat: begins a run and streams it. */
  async post(req, res, chatId, makeStream, options = {}) {
    return this.#hub.handle(req, res, this.#options(this.start(chatId, makeStream), options));
  }

  /** Answers the GET of a chat: its run from the beginning, or 204 if it has none. */
  async get(req, res, chatId, options = {}) {
    const run = this.#runs.get(chatId);
    if (run !== undefined) return this.#hub.handle(req, res, this.#options(run.topic, options));
    return answerWith(req, res, NOTHING_TO_COME);
  }

  /** The same as `post`, as a `Response` of the Fetch standard. */
  postResponse(request, chatId, makeStream, options = {}) {
    return this.#hub.response(request, this.#options(this.start(chatId, makeStream), options));
  }

  /** The same as `get`, as a `Response` of the Fetch standard. */
  getResponse(request, chatId, options = {}) {
    const run = this.#runs.get(chatId);
    if (run !== undefined) return this.#hub.response(request, this.#options(run.topic, options));
    return new Response(null, { status: 204, headers: { 'cache-control': 'no-store' } });
  }

  #options(topics, { headers = [], ...others }) {
    return { start: 'earliest', ...others, topics, headers: [...pairsOf(headers), ...STREAM_FIELDS] };
  }

  /** Publishes what a run makes, and finishes its topic. */
  async #produce(chatId, run, makeStream) {
    const { topic, abort: { signal } } = run;
    try {
      await this.#copy(topic, makeStream, signal);
      if (signal.aborted) await this.#publish(topic, { type: 'abort' });
    } catch (error) {
      const chunk = signal.aborted ? { type: 'abort' } : { type: 'error', errorText: this.#onError(error) };
      await this.#publish(topic, chunk).catch(() => {});
    } finally {
      await this.#hub.finishAsync(topic, DONE).catch(() => {});
      if (this.#runs.get(chatId) === run) this.#runs.delete(chatId);
    }
  }

  async #copy(topic, makeStream, signal) {
    let wake;
    signal.addEventListener('abort', () => wake({ done: true }), { once: true });
    // What a run waits for may not end when it is told to.
    const unlessAborted = (promise) => new Promise((resolve, reject) => {
      wake = resolve;
      if (signal.aborted) wake({ done: true });
      promise.then(resolve, reject);
    });
    const leave = (iterator) => { Promise.resolve(iterator.return?.()).catch(() => {}); };
    const begun = (async () => (await makeStream({ signal }))[Symbol.asyncIterator]())();
    const { value: chunks } = await unlessAborted(begun.then((value) => ({ done: false, value })));
    if (signal.aborted) {
      begun.then(leave, () => {});
      return;
    }
    for (;;) {
      const { done, value } = await unlessAborted(chunks.next());
      if (signal.aborted) leave(chunks);
      if (done || signal.aborted) return;
      await this.#publish(topic, value);
    }
  }

  #publish(topic, chunk) {
    return this.#hub.publishAsync(topic, { json: chunk });
  }
}

module.exports = { Chats };
