'use strict';

// Sessions, channels and `res.sse()`: what other packages for Server-Sent Events have, on a hub.

const { invalid } = require('../event.js');
const { Hub } = require('../hub.js');
const { Channel } = require('./channel.js');
const { Session, opening } = require('./session.js');

let own;

/** The hub of those who name none. */
function hubOf(hub) {
  if (hub === undefined) return own ??= new Hub();
  if (hub instanceof Hub) return hub;
  throw invalid('hub must be a Hub');
}

/**
 * Answers a request with a stream, and gives its session; or undefined when the client got another
 * answer, or has left.
 */
async function createSession(req, res, { hub, ...options } = {}) {
  const raw = req.raw ?? req.req ?? req;
  const { session, given, open } = opening(hubOf(hub), options, {
    origin: raw.headers.origin, lastId: raw.headers['last-event-id'] ?? '',
  });
  try {
    const handled = await hubOf(hub).handle(req, res, given);
    if (handled === 'handover' || handled === 'stream') return open();
    session.ended(handled);
    return undefined;
  } catch (error) {
    session.ended('refused');
    throw error;
  }
}

/** The same as a `Response` of the Fetch standard; the function is called with the session. */
function createResponse(request, { hub, ...options } = {}, begin = () => {}) {
  const { session, given, open } = opening(hubOf(hub), options, {
    origin: request.headers.get('origin') ?? undefined, lastId: request.headers.get('last-event-id') ?? '',
  });
  try {
    const response = hubOf(hub).response(request, given);
    const isStream = response.status === 200 && response.body !== null && !response.headers.has('content-length');
    if (isStream) begin(open());
    else session.ended('answer');
    return response;
  } catch (error) {
    session.ended('refused');
    throw error;
  }
}

/** A channel: a topic to which sessions are registered. */
function createChannel({ hub, topic = `$channel/${globalThis.crypto.randomUUID()}`, state } = {}) {
  return new Channel(hubOf(hub), topic, state);
}

/**
 * A middleware of Express and of other servers with `(req, res, next)`, which gives responses the
 * function `sse`, and `sendEvent`, `sendComment` and `sendRetry` once that was called.
 */
function sse({ hub, heartbeat, ...defaults } = {}) {
  if (hub !== undefined && heartbeat !== undefined) {
    throw invalid('heartbeat is for a middleware without a hub: a hub has it as heartbeatMs');
  }
  const of = heartbeat === undefined ? hubOf(hub) : new Hub({ heartbeatMs: heartbeat });
  const middleware = (req, res, next) => {
    res.sse = async (options = {}) => {
      const session = await createSession(req, res, { ...defaults, ...options, hub: of });
      for (const name of ['sendEvent', 'sendComment', 'sendRetry']) {
        // For a client that has left, there is nobody to send it to.
        res[name] = (...args) => { if (session?.isConnected) session[name](...args); };
      }
      return session;
    };
    next?.();
  };
  middleware.hub = of;
  middleware.channel = (topic, options) => createChannel({ ...options, hub: of, topic });
  middleware.broadcast = (topic, data, name, id) => {
    of.publish(topic, typeof data === 'string' ? data : { json: data }, { name, id });
  };
  return middleware;
}

module.exports = { Channel, Session, createChannel, createResponse, createSession, sse };
