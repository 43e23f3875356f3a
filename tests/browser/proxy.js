// A TCP proxy in front of the program that cuts the event streams that go through it: where the
// bytes say so, and in several ways. No dependencies, so that the clients' tests use it as well.

import { once } from 'node:events';
import net from 'node:net';
import { untilFound } from './server.js';

// What is remembered of what a stream was sent.
const TEXT_CHARS = 10_000;

/** Starts a proxy in front of a server, and ends it with the test `t`. */
export async function startProxy(t, server) {
  const proxy = new Proxy(server);
  proxy.listener.listen(0, '127.0.0.1');
  await once(proxy.listener, 'listening');
  t.after(() => proxy.close());
  return proxy;
}

class Proxy {
  constructor(server) {
    this.server = server;
    /** The heads of the requests for streams, in their order. */
    this.requests = [];
    /** The cuts that are still to be made, one for each of the next streams. */
    this.cuts = [];
    /** Whether each client is sent away at once, as when nothing listens. */
    this.isAway = false;
    this.streams = new Set();
    this.connections = new Set();
    this.sockets = new Set();
    this.listener = net.createServer((client) => this.serve(client));
  }

  /** The address of a stream of these topics, through the proxy. */
  events(...topics) {
    const url = new URL(this.server.events(...topics));
    url.port = this.listener.address().port;
    return url.href;
  }

  /** The address of an empty page, through the proxy. */
  get emptyPage() {
    return `http://127.0.0.1:${this.listener.address().port}/healthz`;
  }

  /** The ids that clients said they had last; `undefined` for clients that said none. */
  get lastIds() {
    return this.requests.map((head) => /^last-event-id: *(.*)\r$/im.exec(head)?.[1]);
  }

  /**
   * Cuts every stream that there is, once all that came from the server was handed on; while away
   * also what a browser keeps open, or has opened, for its next request.
   */
  cut() {
    for (const connection of this.isAway ? this.connections : this.streams) connection.cut('fin');
  }

  /** Waits until the body of a stream, in one piece, matches a form, and returns it. */
  forwarded(form) {
    const matching = () => [...this.streams].map((stream) => stream.body).find((text) => form.test(text));
    return untilFound(`a stream with ${form}`, this.listener, 'forwarded', matching);
  }

  serve(client) {
    if (this.isAway) {
      client.resetAndDestroy();
      return;
    }
    const connection = new Connection(this, client);
    this.connections.add(connection);
    client.once('close', () => this.connections.delete(connection));
    client.on('data', (piece) => {
      const head = piece.toString('latin1');
      if (!head.startsWith('GET /events')) return;
      this.requests.push(head);
      connection.begin(this.cuts.shift());
      this.streams.add(connection);
      client.once('close', () => this.streams.delete(connection));
    });
  }

  close() {
    this.listener.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** A client's connection and the matching one to the server. */
class Connection {
  constructor(proxy, client) {
    this.listener = proxy.listener;
    this.client = client;
    this.upstream = net.connect(Number(new URL(proxy.server.url).port), '127.0.0.1');
    this.begin(undefined);
    this.isCut = false;
    this.isLeft = false;
    client.on('data', (piece) => this.upstream.write(piece));
    this.upstream.on('data', (piece) => this.forward(piece));
    for (const [socket, other] of [[client, this.upstream], [this.upstream, client]]) {
      proxy.sockets.add(socket);
      socket.on('error', () => {}); // a close follows
      socket.on('close', () => { proxy.sockets.delete(socket); if (!this.isLeft) other.destroySoon(); });
      // Neither side is read faster than the other takes it.
      socket.on('data', () => { if (other.writableNeedDrain) socket.pause(); });
      other.on('drain', () => socket.resume());
    }
  }

  /** Begins a stream, which is cut as planned, or not. */
  begin(plan) {
    this.plan = plan;
    this.bytes = 0;
    this.text = '';
  }

  forward(piece) {
    if (this.isCut) return;
    const end = this.endIn(piece);
    this.bytes += piece.length;
    this.text = (this.text + piece.toString('latin1')).slice(-TEXT_CHARS);
    this.client.write(piece.subarray(0, end));
    this.listener.emit('forwarded');
    if (end !== undefined) this.cut(this.plan.how);
  }

  /** What was sent so far of a short stream, without its head and its chunks' sizes. */
  get body() {
    const chunks = this.text.slice(this.text.indexOf('\r\n\r\n') + 2);
    return chunks.replace(/\r\n[0-9a-f]+\r\n/g, '').replace(/\r\n$/, '');
  }

  /** Where in a piece the stream is to be cut: behind the searched text, after `after` bytes. */
  endIn(piece) {
    if (!this.plan || this.bytes + piece.length < this.plan.after) return undefined;
    const { after, behind } = this.plan;
    const at = piece.indexOf(behind, Math.max(0, after - this.bytes), 'latin1');
    return at < 0 ? undefined : at + behind.length;
  }

  /**
   * Ends both connections, in order (`fin`) or not (`rst`, which may lose what was sent); or the
   * client's alone (`left`), as when it has another network, of which the server learns nothing.
   */
  cut(how) {
    this.isCut = true;
    if (how === 'left') {
      this.isLeft = true;
      this.client.resetAndDestroy();
    } else if (how === 'rst') {
      this.client.resetAndDestroy();
      this.upstream.resetAndDestroy();
    } else {
      this.client.destroySoon();
      this.upstream.destroy();
    }
  }
}
