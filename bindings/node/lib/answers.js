'use strict';

// Answers to requests that get no stream, and the head of those that do: the same by each way in.

const { STREAM_HEADERS } = require('./stream.js');

/** The head of a stream that a server sends: what the engine writes itself, too. */
const STREAM_FIELDS = Object.freeze(Object.entries(STREAM_HEADERS));

/** The fields of an answer that are the engine's own. */
const OWN_FIELDS = new Set([
  'allow', 'cache-control', 'connection', 'content-length', 'content-range', 'content-type', 'date',
  'http2-settings', 'keep-alive', 'proxy-connection', 'retry-after', 'te', 'trailer',
  'transfer-encoding', 'upgrade', 'x-accel-buffering', 'x-content-type-options',
]);

/** What the client is told to come again for. */
const OVERLOADED = new Set([
  'FANFARE_ERR_BUSY', 'FANFARE_ERR_CLOSED', 'FANFARE_ERR_LIMIT', 'FANFARE_ERR_SYSTEM',
]);

/** A whole answer: its status, header fields and content. */
function answerOf(status, fields = [], body = '') {
  const length = status === 204 ? [] : [['content-length', `${Buffer.byteLength(body)}`]];
  return {
    status,
    fields: [['cache-control', 'no-store'], ['x-content-type-options', 'nosniff'], ...fields, ...length],
    body,
  };
}

function textAnswer(status, text, fields = []) {
  return answerOf(status, [['content-type', 'text/plain; charset=utf-8'], ...fields], `${text}\n`);
}

/** All topics are finished, and the client has all: an `EventSource` stays away. */
const NOTHING_TO_COME = answerOf(204);
const METHOD_NOT_ALLOWED = textAnswer(405, 'A stream is had by GET or POST.', [['allow', 'GET, POST']]);
const FAILED = textAnswer(500, 'The stream cannot be opened.');

/** As a listener answers: any status but 200 would end an `EventSource` for good. */
function comeAgain(overload, { method, accept }) {
  if (overload === 'comeAgain' && method === 'GET' && accept.toLowerCase().includes('text/event-stream')) {
    const body = `retry: ${10_000 + Math.floor(Math.random() * 10_001)}\n\n`;
    return { status: 200, fields: [...STREAM_FIELDS, ['content-length', `${body.length}`]], body };
  }
  return textAnswer(503, 'There are as many streams as there may be; come again.', [['retry-after', '5']]);
}

/** The request gets an answer in place of a stream. */
class Refused extends Error {
  constructor(answer) {
    super(`the request is answered ${answer.status}`);
    this.answer = answer;
  }
}

module.exports = {
  FAILED, METHOD_NOT_ALLOWED, NOTHING_TO_COME, OVERLOADED, OWN_FIELDS, Refused, STREAM_FIELDS,
  comeAgain, textAnswer,
};
