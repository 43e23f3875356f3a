// Bytes that another thread writes to while they are published.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { open, until, withDeadline } from './client.mjs';

// Long enough that the worker comes between two looks at the same byte.
const BYTES = 1 << 16;
const EVENTS = 300;
const ROOM = 1 << 26;

const WORKER = `
  const { parentPort, workerData: shared } = require('node:worker_threads');
  const bytes = new Uint8Array(shared);
  const over = new Int32Array(shared, 0, 1);
  const middle = bytes.length / 2;
  const x = 'x'.charCodeAt(0);
  parentPort.postMessage('it writes');
  while (Atomics.load(over, 0) === 0) {
    for (const byte of [0xff, x, 0x0a, x]) {
      bytes[middle] = byte;
      for (let i = 0; i < 300; i += 1) Atomics.load(over, 0);
    }
  }`;

/** Everything that a client of the topic gets, as the bytes of an event stream. */
async function bytesOf(t, port, topic) {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(`GET /events?topic=${topic} HTTP/1.0\r\n\r\n`);
  await until('the head', () => Buffer.concat(chunks).includes('\r\n\r\n'));
  return chunks;
}

test('an event of shared memory is what was checked, whatever a worker writes to it', async (t) => {
  const hub = open(t, { shards: 1, topicBacklogBytesMax: ROOM, lagBytesMax: ROOM, lagAgeMaxMs: 600_000 });
  const chunks = await bytesOf(t, hub.listen().port, 'news');
  const received = () => chunks.reduce((bytes, chunk) => bytes + chunk.length, 0);

  const shared = new SharedArrayBuffer(8 + BYTES);
  const over = new Int32Array(shared, 0, 1);
  const data = new Uint8Array(shared, 8);
  data.fill('x'.charCodeAt(0));
  const worker = new Worker(WORKER, { eval: true, workerData: shared });
  t.after(() => worker.terminate());
  await withDeadline('the worker', once(worker, 'message'));

  let taken = 0;
  let refused = 0;
  await until('events to be taken and refused', () => {
    // The client, which is read by this thread, has the most of it.
    const waiting = taken * BYTES - received();
    for (let i = 0; i < 20 && waiting < ROOM / 4; i += 1) {
      try {
        hub.publish('news', data);
        taken += 1;
      } catch (error) {
        assert.equal(error.code, 'FANFARE_ERR_UTF8');
        refused += 1;
      }
    }
    return taken >= EVENTS && refused > 0;
  });
  Atomics.store(over, 0, 1);
  hub.publish('news', 'the end');
  await until('the last event', () => Buffer.concat(chunks.slice(-2)).includes('the end'));

  const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  const blocks = text.slice(text.indexOf('\r\n\r\n') + 4).split('\n\n');
  const events = blocks.filter((block) => block.includes('data: '));
  assert.equal(events.length, taken + 1);
  for (const event of events.slice(0, -1)) {
    const [id, ...lines] = event.split('\n');
    assert.match(id, /^id: [\w-]+$/);
    for (const line of lines) assert.match(line, /^data: x*$/);
    assert.equal(lines.join('\n').replaceAll('data: ', '').length, BYTES);
  }
});
