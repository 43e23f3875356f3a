// What is published arrives at a real client as it was.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { listen, open, withDeadline } from './client.mjs';

const TEXTS = [
  ['plain text', 'hello'],
  ['text beyond ASCII', 'Grüße, Ελλάδα, 日本語, 🎺'],
  ['several lines', 'a\nb\rc\r\n\r\nd\n', 'a\nb\nc\n\nd\n'],
  ['empty data', ''],
  ['bytes', Buffer.from('Grüße'), 'Grüße'],
  ['empty bytes', new Uint8Array(), ''],
  ['a hundred thousand bytes', '0123456789abcde/'.repeat(6250)],
];

for (const name of [undefined, 'greeting', 'Grüße']) {
  for (const [what, data, arrives = data] of TEXTS) {
    test(`a client gets ${what} as ${name ?? 'a message'}`, async (t) => {
      const hub = open(t, { shards: 1 });
      const { next } = await listen(t, hub.listen().port, ['news'], [name ?? 'message']);
      hub.publish('news', data, name === undefined ? undefined : { name });
      const event = await next();
      assert.equal(event.name, name ?? 'message');
      assert.ok(event.data === arrives, `${event.data.slice(0, 100)} is not what was published`);
    });
  }
}

test("a client gets the publisher's custom id and reconnection time", async (t) => {
  const hub = open(t, { shards: 1 });
  const { next } = await listen(t, hub.listen().port, ['news']);
  const id = hub.publish('news', 'a', { id: 'größe-1', key: 'size' });
  assert.ok(typeof id === 'string' && id !== '' && id !== 'größe-1');
  assert.equal((await next()).id, 'größe-1');
  hub.publish('news', null, { retryMs: 1234 }); // fires nothing
  hub.publish('news', 'b', { name: undefined });
  assert.equal((await next()).data, 'b');
});

test('a client gets only the topics that it asked for, in order', async (t) => {
  const hub = open(t, { shards: 2 });
  const { next } = await listen(t, hub.listen().port, ['a', 'grüße & co/🎺']);
  const ids = [];
  for (let i = 0; i < 30; i += 1) {
    ids.push(hub.publish(['a', 'grüße & co/🎺', 'c'][i % 3], String(i)));
  }
  for (let i = 0; i < 30; i += 1) {
    if (i % 3 === 2) continue;
    const { data, id } = await next();
    assert.deepEqual({ data, id }, { data: String(i), id: ids[i] });
  }
});

test('workers have hubs of their own, and may end without closing them', async (t) => {
  const source = `
    const { parentPort } = require('node:worker_threads');
    import('fanfare').then(({ Hub }) => {
      const hub = new Hub({ shards: 1 });
      parentPort.postMessage(hub.listen().port);
      parentPort.once('message', () => {
        hub.publish('news', 'from a worker');
        process.exit(0);
      });
    });`;
  for (let i = 0; i < 3; i += 1) {
    const worker = new Worker(source, { eval: true });
    t.after(() => worker.terminate());
    const [port] = await withDeadline('the worker', once(worker, 'message'));
    const { next } = await listen(t, port, ['news']);
    worker.postMessage('publish');
    assert.equal((await next()).data, 'from a worker');
    assert.equal(await next(), null);
  }
});
