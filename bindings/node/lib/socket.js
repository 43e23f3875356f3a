'use strict';

// Connections that the program hands over.

const native = require('./native.js');
const { invalid } = require('./event.js');

/** Who sends what comes on a socket of a fallback: what its listener says of it. */
const froms = new WeakMap();

/** Has a socket given back to a listener with what the fallback was told of it. */
function remember(socket, from) {
  froms.set(socket, from);
}

function remembered(socket) {
  return froms.get(socket);
}

/**
 * The descriptor of a net.Socket, or undefined where the runtime does not tell it (Bun and Deno, and
 * pipes of other systems). It is no public interface of Node.js, and has been there for a decade.
 */
function descriptorOf(socket) {
  const fd = socket?._handle?.fd;
  return Number.isInteger(fd) && fd >= 0 ? fd : undefined;
}

/**
 * Calls a function with a descriptor that it may keep, unless it throws: the program's own, or a
 * duplicate of a net.Socket's, which is destroyed afterwards without a byte being written to it.
 */
function handOver(socket, call) {
  if (typeof socket === 'number') {
    call(socket);
    return;
  }
  const fd = descriptorOf(socket);
  if (fd === undefined) {
    throw typeof socket?.destroy === 'function'
      ? Object.assign(new Error('this runtime does not tell the descriptor of the socket'), { code: 'FANFARE_ERR_SOCKET' })
      : invalid('the socket must be a net.Socket or a descriptor');
  }
  const duplicate = native.duplicate(fd);
  try {
    call(duplicate);
  } catch (error) {
    // After a panic nobody knows whose it is.
    if (error.code !== 'FANFARE_ERR_PANIC') native.closeDescriptor(duplicate);
    throw error;
  }
  // It closes its own descriptor, and does not shut the connection down.
  socket.destroy();
}

module.exports = { descriptorOf, handOver, remember, remembered };
