'use strict';

// A socket of Node's own HTTP server, which the engine takes over.

const { OWN_FIELDS } = require('./answers.js');
const { descriptorOf } = require('./socket.js');

/** What the engine refuses although a stream that the server sends would do. */
const NEEDS_SERVER = new Set([
  'FANFARE_ERR_REQUEST', 'FANFARE_ERR_SOCKET', 'FANFARE_ERR_SOCKET_READ', 'FANFARE_ERR_SOCKET_TLS',
  'FANFARE_ERR_SOCKET_UNSENT',
]);

/** Why a connection cannot be handed over, or undefined. */
function obstacleOf(req, res) {
  const { socket } = req;
  if (req.httpVersionMajor !== 1) return 'it is a request of another version than HTTP/1.1';
  if (socket.encrypted) return 'the connection is encrypted';
  if (typeof res.detachSocket !== 'function' || descriptorOf(socket) === undefined) {
    return 'this runtime does not tell the descriptor of the socket';
  }
  if (res.socket !== socket) return 'the answer to an earlier request is not sent yet';
  if (hasReadAhead(req)) return 'the client has sent another request behind it';
  return undefined;
}

/**
 * Whether the parser has read more than the request. Otherwise it has read that whole, the newest
 * request whose head it has is this one, and it is not among those that have begun another. Where the
 * server does not tell that, it may have.
 */
function hasReadAhead(req) {
  const { parser, server } = req.socket;
  const connections = connectionsOf(server);
  if (!req.complete || !parser || typeof connections?.active !== 'function') return true;
  const isNewest = parser.incoming === req || !parser.incoming;
  return !isNewest || req.socket.readableLength > 0 || connections.active().includes(parser);
}

/** The name of a server's list of its connections, once it is known. */
let connectionsKey;

/**
 * A server's list of its connections, by which Node.js itself finds requests that take too long. It is
 * no public interface.
 */
function connectionsOf(server) {
  if (server === undefined) return undefined;
  connectionsKey ??= Object.getOwnPropertySymbols(server).find(({ description }) => description === 'http.server.connections');
  return server[connectionsKey];
}

/** Why the head that the program has made cannot be the engine's, or undefined. */
function obstacleIn(fields) {
  for (const [name, value] of fields) {
    if (name.toLowerCase() === 'content-encoding') return 'the content is to be encoded';
    if (!/^[\t\x20-\x7e]*$/.test(value)) return `the header field ${name} is not ASCII`;
  }
  return undefined;
}

/** The header fields that the program has set on a response, but for those of the engine. */
function fieldsOf(res) {
  const fields = [];
  for (const name of res.getRawHeaderNames?.() ?? res.getHeaderNames()) {
    if (OWN_FIELDS.has(name.toLowerCase())) continue;
    for (const value of [res.getHeader(name)].flat()) fields.push([name, `${value}`]);
  }
  return fields;
}

/**
 * Hands the socket of a request over, and has the server forget it. Throws what `Hub.adopt` does;
 * then the response is as it was.
 */
function takeOver(hub, req, res, topics, options) {
  const { socket } = req;
  // What `adopt` looks at, and how it has the server let go: closed, and not shut down.
  hub.adopt({
    _handle: socket._handle,
    writableLength: socket.writableLength,
    destroy() {
      res.detachSocket(socket);
      socket.destroy();
    },
  }, topics, { ...options, method: req.method, version: `HTTP/${req.httpVersion}` });
  // For the program and its frameworks the response is over.
  res.destroyed = true;
  res.emit('close');
}

module.exports = { NEEDS_SERVER, fieldsOf, obstacleIn, obstacleOf, takeOver };
