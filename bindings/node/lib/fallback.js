'use strict';

// Requests for paths without streams, which a server of the program's own answers on the same port.

const { Socket } = require('node:net');
const bell = require('./bell.js');
const { invalid } = require('./event.js');
const native = require('./native.js');
const { remember } = require('./socket.js');

/** Where a listener's connections go whose requests are for paths without streams. */
class Fallback {
  #token;

  constructor(server, { capacity = 1024 } = {}) {
    const take = typeof server === 'function' ? server : toServer(server);
    const token = bell.newToken();
    /** @internal */
    Object.defineProperty(this, 'native', { value: native.fallback(token, capacity) });
    this.#token = token;
    bell.handle(token, ({ type, id, read, addr, peer, isProxy }) => {
      if (type === 'unhandled') take(native.fallbackTake(this.native, id), read, { addr, peer, isProxy });
    });
  }

  close() {
    bell.remove(this.#token);
    native.fallbackClose(this.native);
  }
}

/** Gives connections to an `http.Server`, or to another one that takes sockets by this event. */
function toServer(server) {
  if (typeof server?.emit !== 'function') throw invalid('a fallback is for a server, or a function');
  return (fd, read, from) => {
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    remember(socket, from);
    socket.unshift(read);
    server.emit('connection', socket);
  };
}

module.exports = { Fallback };
