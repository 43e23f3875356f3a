// Fan-out of Server-Sent Events to very many clients, inside your program.

import { createRequire } from 'node:module';

const native = load();

/** The engine, with its own threads. index.d.ts documents each item. */
export class Hub {
  #native;
  #closed;
  #keepAlive;

  constructor(options = {}) {
    this.#native = native.open(options);
  }

  listen(addr = '127.0.0.1:0') {
    const port = native.listen(this.#native, addr);
    // As a server does, it keeps the process going until it is closed.
    this.#keepAlive ??= setInterval(() => this, 2 ** 31 - 1);
    return port;
  }

  publish(topic, event) {
    if (typeof event === 'string' || event instanceof Uint8Array) {
      return native.publish(this.#native, topic, event);
    }
    const { data, name, id, key, retryMs } = event;
    return native.publish(this.#native, topic, data, name, id, key, retryMs);
  }

  close() {
    this.#closed ??= native.close(this.#native).finally(() => clearInterval(this.#keepAlive));
    return this.#closed;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

function load() {
  const path = './build/fanfare.node';
  try {
    return createRequire(import.meta.url)(path);
  } catch (cause) {
    throw new Error(
      `fanfare's addon cannot be loaded: ${cause.message.split('\n')[0]}. Build it: \`make capi\` in `
        + "fanfare's repository, and then `npm ci` and `npm run build` in its bindings/node.",
      { cause },
    );
  }
}
