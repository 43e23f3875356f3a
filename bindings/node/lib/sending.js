'use strict';

// Streams that Node's own server sends, where the engine cannot have the socket.

const { setInterval } = require('node:timers');

/** How long a client may take nothing of a stream while there is something to send. */
const STALL_MS = 30_000;
/** How often servers are asked whether they still listen. */
const CLOSING_MS = 500;

/** Sends a stream until it ends, its client leaves, or the server is closed. */
async function send(stream, req, res) {
  const leave = () => stream.close();
  res.on('close', leave);
  // A client that breaks the connection off is one that has left.
  res.on('error', leave);
  const server = serverOf(req);
  const forget = closeWith(server, leave);
  try {
    for (;;) {
      const { done, value } = await stream.next();
      if (done || isOver(res)) break;
      const hasSpace = res.write(value);
      // A compressing middleware keeps what it has otherwise.
      res.flush?.();
      if (!hasSpace && !isOver(res)) await untilDrained(res);
    }
    if (!isOver(res)) res.end(() => closeIdle(server));
  } catch {
    // Some of it may be missing, so the response is not to look complete.
    breakOff(res);
  } finally {
    forget();
    stream.close();
    res.off('close', leave);
  }
}

function isOver(res) {
  return res.destroyed || res.closed || res.writableEnded || res.stream?.destroyed === true;
}

/** Waits until the client has taken what was written, or is gone; one that takes nothing is cut off. */
function untilDrained(res) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => breakOff(res), STALL_MS);
    const done = () => {
      clearTimeout(timer);
      res.off('drain', done);
      res.off('close', done);
      resolve();
    };
    res.on('drain', done);
    res.on('close', done);
  });
}

function breakOff(res) {
  // NGHTTP2_INTERNAL_ERROR; without a code HTTP/2 would end the stream in order.
  if (typeof res.stream?.close === 'function') res.stream.close(2);
  else res.destroy();
}

// ---- servers that are closed ----

/** Of each server that has streams, what ends them. */
const servers = new Map();
let timer;

function serverOf(req) {
  const { server } = req.socket ?? {};
  return typeof server?.listening === 'boolean' ? server : undefined;
}

/**
 * Has a function called when a server does not listen any more: `server.close()` waits for streams,
 * which have no end of their own, and tells nobody that it was called.
 */
function closeWith(server, leave) {
  if (server === undefined || !server.listening) return () => {};
  const leaving = servers.get(server) ?? new Set();
  servers.set(server, leaving.add(leave));
  timer ??= setInterval(closeStreams, CLOSING_MS).unref();
  return () => {
    leaving.delete(leave);
    if (leaving.size === 0 && servers.get(server) === leaving) servers.delete(server);
    if (servers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Has a server that is closed not wait for a client that might ask for something else. */
function closeIdle(server) {
  if (server?.listening === false) setImmediate(() => server.closeIdleConnections?.());
}

function closeStreams() {
  for (const [server, leaving] of servers) {
    if (!server.listening) for (const leave of leaving) leave();
  }
}

module.exports = { isOver, send };
