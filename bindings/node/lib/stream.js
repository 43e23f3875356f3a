'use strict';

// Streams that the program reads.

const { hold, release } = require('./alive.js');
const bell = require('./bell.js');
const native = require('./native.js');

/** The header fields of a response that is a stream. */
const STREAM_HEADERS = Object.freeze(Object.fromEntries(native.streamHeaders()));

/** The event stream of one client, which the program sends by its own server. */
class Stream {
  #native;
  #token;
  #wake;
  #end;

  constructor(nativeStream) {
    this.#native = nativeStream;
  }

  /** Reads a batch, or gives null when none waits. */
  tryRead() {
    if (this.#end === undefined) {
      const batch = native.streamNext(this.#native);
      if (batch !== undefined) return batch;
      this.#end = native.streamEnd(this.#native);
    }
    const { reason, isCut } = this.#end;
    throw Object.assign(new Error(`the stream ${isCut ? 'was cut' : 'has ended'}: ${reason}`), {
      code: 'FANFARE_ERR_ENDED', reason, isCut,
    });
  }

  async read() {
    if (this.#wake !== undefined) {
      throw Object.assign(new Error('the stream is being read already'), { code: 'FANFARE_ERR_BUSY' });
    }
    for (;;) {
      const batch = this.tryRead();
      if (batch !== null) return batch;
      await new Promise((resolve) => { this.#wait(resolve); });
    }
  }

  async next() {
    try {
      return { done: false, value: await this.read() };
    } catch (error) {
      if (error.code !== 'FANFARE_ERR_ENDED' || error.isCut) throw error;
      return { done: true, value: undefined };
    }
  }

  async return() {
    this.close();
    return { done: true, value: undefined };
  }

  close() {
    if (this.#end === undefined) this.#end = { reason: 'closed', isCut: false };
    native.streamClose(this.#native);
    this.#wake?.();
  }

  get headers() {
    return STREAM_HEADERS;
  }

  get connectionId() {
    return native.streamId(this.#native);
  }

  get isComplete() {
    return native.streamIsComplete(this.#native);
  }

  get endReason() {
    return this.#end?.reason;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async [Symbol.asyncDispose]() {
    this.close();
  }

  /** Calls a function once when there is something to read, or the stream is closed. */
  #wait(resolve) {
    this.#wake = () => {
      this.#wake = undefined;
      bell.unhandle(this.#token);
      release(this);
      resolve();
    };
    const isNew = this.#token === undefined;
    if (isNew) this.#token = bell.newToken();
    bell.handle(this.#token, this.#wake);
    hold(this);
    if (isNew) native.streamNotify(this.#native, this.#token);
  }
}

module.exports = { STREAM_HEADERS, Stream };
