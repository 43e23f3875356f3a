'use strict';

// Where a hub accepts clients.

const native = require('./native.js');
const { handOver, remembered } = require('./socket.js');

/** A listener of a hub, until it or the hub is closed. */
class Listener {
  #hub;
  #id;
  #onClose;

  constructor(nativeHub, { id, port }, onClose) {
    this.#hub = nativeHub;
    this.#id = id;
    this.#onClose = onClose;
    this.port = port;
    this.address = native.listenerAddress(nativeHub, id);
  }

  close() {
    native.listenerClose(this.#hub, this.#id);
    this.#onClose(this);
  }

  admit(socket, read = undefined, from = remembered(socket)) {
    const { addr, peer, isProxy = false } = from ?? {};
    handOver(socket, (fd) => native.listenerAdmit(this.#hub, this.#id, fd, read, addr, peer, isProxy));
  }

  hasStreamsAt(path) {
    return native.listenerHasStreamsAt(this.#hub, this.#id, path);
  }

  isNamed(host) {
    return native.listenerIsNamed(this.#hub, this.#id, host);
  }

  [Symbol.dispose]() {
    this.close();
  }
}

module.exports = { Listener };
