'use strict';

// Who decides which client gets which stream.

const bell = require('./bell.js');
const { invalid } = require('./event.js');
const native = require('./native.js');

/** What decides on streams; several listeners may have the same one. */
class Authorizer {
  constructor(made) {
    /** @internal */
    Object.defineProperty(this, 'native', { value: made });
  }
}

/** A request for a stream, about which a function decides. */
class StreamRequest {
  constructor({ request = {}, addr, topics }) {
    this.method = request.method ?? '';
    this.path = request.path ?? '';
    this.query = request.query ?? '';
    this.headers = request.headers ?? [];
    this.content = request.content ?? Buffer.alloc(0);
    this.lastEventId = request.lastEventId;
    this.addr = addr;
    this.topics = topics;
  }

  /** The value of the first header field of a name, in whatever case. */
  header(name) {
    const sought = name.toLowerCase();
    return this.headers.find(([field]) => field.toLowerCase() === sought)?.[1];
  }
}

/** Has a function decide on each request for a stream. */
class FunctionAuthorizer extends Authorizer {
  #decide;
  #token;
  #onError;

  constructor(decide, options = {}) {
    if (typeof decide !== 'function') throw invalid('what decides on streams must be a function');
    const { onError = warn, ...bounds } = options;
    const token = bell.newToken();
    super(native.authorizerAsk(token, bounds));
    this.#token = token;
    this.#decide = decide;
    this.#onError = onError;
    // Clients beyond the option waitingMax do not come here.
    bell.handle(token, (notice) => {
      if (notice.type === 'authorization') this.#answer(notice);
    });
  }

  close() {
    bell.remove(this.#token);
  }

  async #answer(notice) {
    try {
      const verdict = await this.#decide(new StreamRequest(notice));
      if (verdict === true) native.authorizerAllow(this.native, notice.id, { anyTopics: true });
      else if (verdict === false) native.authorizerRefuse(this.native, notice.id, { status: 403 });
      else if (typeof verdict !== 'object' || verdict === null) {
        throw invalid('an authorizer returns a grant, a refusal or a boolean');
      } else if ('status' in verdict) native.authorizerRefuse(this.native, notice.id, verdict);
      else native.authorizerAllow(this.native, notice.id, verdict);
    } catch (error) {
      native.authorizerGiveUp(this.native, notice.id);
      this.#onError(error);
    }
  }
}

function warn(error) {
  process.emitWarning(
    `the authorizer has failed, and the client was told to come again: ${error?.stack ?? error}`,
    'FanfareWarning',
  );
}

module.exports = { Authorizer, FunctionAuthorizer, StreamRequest };
