// The package eventsource as the client, and one that does not read.

import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { EventSource } from 'eventsource';
import { join } from 'node:path';
import { Hub } from 'fanfare';

/** Where the repository is, also when the tests have been copied to elsewhere. */
export const repository = process.env.FANFARE_REPOSITORY ?? join(import.meta.dirname, '../../..');

// Long, as a machine may be busy.
const DEADLINE_MS = 30_000;

/** A hub that is closed at the end of the test. */
export function open(t, options) {
  const hub = new Hub(options);
  t.after(() => hub.close());
  return hub;
}

/** A stream that is there until the end of the test; one that is garbage is closed. */
export function subscribe(t, hub, topics, options) {
  const stream = hub.subscribe(topics, options);
  t.after(() => stream.close());
  return stream;
}

/** Closes a server at the end of the test, with its connections. */
export function closing(t, server) {
  t.after(() => {
    server.close();
    server.closeAllConnections?.();
  });
}

/** What a promise resolves to, or an error when that takes too long. */
export async function withDeadline(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until a condition holds, letting everything else run in between. */
export async function until(what, condition) {
  const deadline = Date.now() + DEADLINE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
}

/**
 * Opens a stream and waits until it is open. `next` gives its events one after the other, and null
 * when the stream breaks. `more` is what its query has beside the topics.
 */
export async function listen(t, port, topics, names = ['message'], more = '') {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]));
  const source = new EventSource(`http://127.0.0.1:${port}/events?${query}${more}`);
  t.after(() => source.close());
  const queue = [];
  let wake = () => {};
  const push = (item) => {
    queue.push(item);
    wake();
  };
  for (const name of names) {
    source.addEventListener(name, (e) => push({ name: e.type, data: e.data, id: e.lastEventId }));
  }
  source.addEventListener('error', () => {
    source.close();
    push(null);
  });
  await withDeadline('the stream to open', once(source, 'open'));
  const next = async () => {
    while (queue.length === 0) {
      await withDeadline('an event', new Promise((resolve) => { wake = resolve; }));
    }
    return queue.shift();
  };
  return { next, close: () => source.close() };
}

/** Opens a stream that is not read after its head, until `resume` is called. */
export async function clientThatDoesNotRead(t, port, topic) {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  socket.write(`GET /events?topic=${topic} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await withDeadline('the head', once(socket, 'readable'));
  socket.pause();
  return socket;
}

/** The status of the answer to a client that names a host as the one it asks. */
export async function statusOf(t, port, host) {
  const asking = request({
    port, host: '127.0.0.1', path: '/events?topic=news', headers: { host }, agent: false,
  });
  t.after(() => asking.destroy());
  asking.end();
  const [response] = await withDeadline('an answer', once(asking, 'response'));
  asking.destroy();
  return response.statusCode;
}
