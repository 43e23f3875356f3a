'use strict';

// Streams as answers of the program's own server: handed over to the engine, or sent by the server.

const {
  FAILED, METHOD_NOT_ALLOWED, NOTHING_TO_COME, STREAM_FIELDS, Refused, textAnswer,
} = require('./answers.js');
const { invalid } = require('./event.js');
const { NEEDS_SERVER, fieldsOf, obstacleIn, obstacleOf, takeOver } = require('./handover.js');
const { isOver, send } = require('./sending.js');
const { Terms } = require('./terms.js');

/** The most bytes of a request's content that are read, and thrown away, if the program has not read it. */
const CONTENT_BYTES_MAX = 1_048_576;

/**
 * Answers a request with a stream. Gives `handover`, `stream` or `answer`, whichever it became, or
 * `gone` if the client has left.
 */
function handle(hub, req, res, options = {}) {
  const { handover = 'auto' } = options;
  if (!['auto', 'never', 'require'].includes(handover)) throw invalid('handover may be auto, never or require');
  const terms = new Terms(options, ['handover']);
  return respond(hub, ofNode(req, res), terms, handover);
}

/** Answers a request without a stream. */
function answerWith(req, res, given) {
  return answer(ofNode(req, res).res, given);
}

/** Node's own request and response, of which a framework is told that they are answered here. */
function ofNode(req, res) {
  if (req?.ctx?.app !== undefined && res?.ctx !== undefined) {
    // Of Koa.
    res.ctx.respond = false;
    return { req: res.ctx.req, res: res.ctx.res, fields: [] };
  }
  if (typeof res?.hijack === 'function' && res.raw !== undefined) {
    // Of Fastify, which keeps header fields itself.
    const fields = Object.entries(res.getHeaders());
    res.hijack();
    return { req: req.raw, res: res.raw, fields };
  }
  if (typeof req?.method !== 'string' || typeof res?.writeHead !== 'function') {
    throw invalid('a request and a response of Node.js, Express, Fastify or Koa are handled');
  }
  return { req, res, fields: [] };
}

async function respond(hub, { req, res, fields }, terms, handover) {
  // A framework's content parser may have made the request's query another thing.
  const request = { method: req.method, accept: req.headers.accept ?? '' };
  // Until the client leaves there may be no one else to be told of an error of the connection.
  req.on('error', () => {});
  for (const [name, value] of fields) res.setHeader(name, value);
  try {
    if (request.method === 'HEAD') return answer(res, { status: 200, fields: [...terms.fields, ...STREAM_FIELDS] });
    if (request.method !== 'GET' && request.method !== 'POST') throw new Refused(METHOD_NOT_ALLOWED);
    // The parser is to be done with what has come, and the client with its content.
    await untilRead(req);
    if (isGone(req, res)) return 'gone';
    const { topics, options } = terms.of({
      query: queryOf(req.originalUrl ?? req.url),
      lastEventId: fromBytes(req.headers['last-event-id']),
      client: req.socket?.remoteAddress,
    });
    setFields(res, terms.fields);
    if (handover !== 'never') {
      const why = handOver(hub, req, res, topics, options);
      if (why === undefined) return 'handover';
      if (isGone(req, res)) return 'gone';
      if (handover === 'require') {
        return answer(res, textAnswer(503, `The stream cannot be sent: ${why}.`));
      }
    }
    return sendStream(hub, req, res, terms, topics, options);
  } catch (error) {
    if (res.headersSent) throw error;
    let refusal;
    try {
      refusal = terms.refusal(error, request);
    } catch (fault) {
      answer(res, FAILED);
      throw fault;
    }
    return answer(res, refusal);
  }
}

/** Hands the socket over, or tells why it cannot. Throws what no other way would help against. */
function handOver(hub, req, res, topics, options) {
  const why = obstacleOf(req, res);
  if (why !== undefined) return why;
  const undo = settle(res);
  const fields = fieldsOf(res);
  const problem = obstacleIn(fields);
  if (problem === undefined) {
    try {
      takeOver(hub, req, res, topics, { ...options, headers: fields });
      return undefined;
    } catch (error) {
      undo();
      if (NEEDS_SERVER.has(error.code)) return error.message;
      throw error;
    }
  }
  undo();
  return problem;
}

/**
 * Has those middlewares set their header fields that do it when the head is written, such as one of
 * sessions, without writing it.
 */
function settle(res) {
  if (!Object.hasOwn(res, 'writeHead')) return () => {};
  for (const [name, value] of STREAM_FIELDS) res.setHeader(name, value);
  res.writeHead(200);
  return () => { res._header = null; };
}

function sendStream(hub, req, res, terms, topics, options) {
  const stream = hub.subscribe(topics, { ...options, ...terms.pulled });
  if (stream.isComplete) {
    stream.close();
    return answer(res, NOTHING_TO_COME);
  }
  for (const [name, value] of STREAM_FIELDS) res.setHeader(name, value);
  res.removeHeader('content-length');
  res.statusCode = 200;
  res.flushHeaders?.();
  res.socket?.setNoDelay?.(true);
  // The server goes on with it; what it ends by is nobody's error.
  send(stream, req, res);
  return 'stream';
}

/** Sends a whole answer, with the fields that the program has set beside its own. */
function answer(res, { status, fields, body = '' }) {
  if (isOver(res)) return 'gone';
  for (const name of ['content-type', 'content-length', 'content-encoding']) res.removeHeader(name);
  for (const [name, value] of fields) res.setHeader(name, value);
  res.statusCode = status;
  res.end(body);
  return 'answer';
}

function setFields(res, fields) {
  const made = new Map();
  for (const [name, value] of fields) {
    const key = name.toLowerCase();
    const [, values] = made.get(key) ?? [name, []];
    made.set(key, [name, [...values, value]]);
  }
  for (const [key, [name, values]] of made) {
    // Those that others have set stay, of fields that there may be several of.
    const before = key === 'set-cookie' || key === 'vary' ? [res.getHeader(name) ?? []].flat() : [];
    const all = [...before, ...values];
    res.setHeader(name, all.length === 1 ? all[0] : all);
  }
}

/** Waits until the request was read whole, its content too, or its client has left. */
async function untilRead(req) {
  // The parser may be within the chunk that the request's head is in.
  await undefined;
  if (req.readableEnded || req.destroyed) return;
  let bytes = 0;
  await new Promise((resolve, reject) => {
    const count = (chunk) => {
      bytes += chunk.length;
      if (bytes <= CONTENT_BYTES_MAX) return;
      req.pause();
      req.off('data', count);
      reject(new Refused(textAnswer(413, `The content has more than ${CONTENT_BYTES_MAX} bytes.`, [['connection', 'close']])));
    };
    req.once('end', resolve);
    req.once('close', resolve);
    req.on('data', count);
    req.resume();
  });
}

function isGone(req, res) {
  return req.aborted || isOver(res) || req.socket?.destroyed === true;
}

/** The value of a header field, which Node.js reads as Latin-1, as the UTF-8 that it is. */
function fromBytes(value) {
  return value === undefined ? undefined : Buffer.from(value, 'latin1').toString();
}

function queryOf(url) {
  const at = url.indexOf('?');
  return at < 0 ? '' : url.slice(at + 1);
}

module.exports = { answerWith, handle };
