// What has to work in every runtime: with plain assertions and no test runner.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { Hub, STREAM_HEADERS, logTo } from 'fanfare';

const runtime = globalThis.Deno ? 'Deno' : globalThis.Bun ? 'Bun' : 'Node.js';
const decoder = new TextDecoder();

const late = setTimeout(() => {
  console.error('it takes too long');
  process.exit(1);
}, 60_000);

/** Reads a stream or a body until some text has come. */
async function readUntil(read, text) {
  let got = '';
  while (!got.includes(text)) got += decoder.decode(await read());
  return got;
}

assert.equal(createRequire(import.meta.url)('fanfare').Hub, Hub);

const hub = new Hub({ shards: 1 });
hub.authorize(async (request) => {
  await new Promise((resolve) => { setTimeout(resolve, 1); });
  return request.header('x-token') === 'secret' ? { topics: ['news', 'run/#'], tag: 'me' } : { status: 401 };
});
const { port } = hub.listen();
const url = `http://127.0.0.1:${port}/events?topic=news`;

// Publishing, and reading a stream.
const stream = hub.subscribe('news');
const topic = hub.topic('news');
assert.match(hub.publish('news', 'a'), /./);
topic.publish(new TextEncoder().encode('b'), { name: 'named' });
hub.publish([topic, 'other'], { json: { c: [1] } });
assert.match(await readUntil(() => stream.read(), '{"c":[1]}'), /data: a\n[^]*event: named\ndata: b\n/);
assert.throws(() => hub.publish('+', 'a'), { code: 'FANFARE_ERR_TOPIC' });
assert.throws(() => new Hub({ shards: 0 }), { code: 'FANFARE_ERR_OPTIONS' });
setTimeout(() => topic.publish('later'), 20);
await readUntil(() => stream.read(), 'data: later');

// Waiting for space, and the log.
await hub.ready();
await hub.ready([topic, 'other'], { timeoutMs: 10_000 });
await assert.rejects(hub.ready('+'), { code: 'FANFARE_ERR_TOPIC' });
const logged = new Promise((resolve) => { logTo(resolve); });
await new Hub({ shards: 1, connectionsMax: 10_000_000 }).close();
const { level, message } = await logged;
assert.equal(level, 'warn');
assert.match(message, /connections_max/);
logTo(null);

// Notices, and clients of a listener that asks.
const events = [];
hub.on('connected', (notice) => events.push(notice));
const notices = hub.notices({ interest: 'run/#' });
assert.equal((await fetch(url)).status, 401);
const response = await fetch(`${url}&topic=run/1`, { headers: { 'X-Token': 'secret' } });
assert.equal(response.status, 200);
assert.equal(response.headers.get('content-type'), STREAM_HEADERS['content-type']);
const told = [(await notices.next()).value, (await notices.next()).value];
assert.deepEqual(told.map(({ type }) => type).sort(), ['connected', 'wanted']);
assert.deepEqual(events.map(({ tag }) => tag), ['me']);
const body = response.body.getReader();
hub.publish('news', 'fetched');
await readUntil(async () => (await body.read()).value, 'data: fetched');

// Connections.
const found = await hub.connections({ tag: 'me' });
assert.deepEqual(found.map(({ subscriptions }) => subscriptions.sort()), [['news', 'run/1']]);
assert.equal(await hub.subscribers('news'), 2);
await hub.disconnect(found[0].id);
await readUntil(async () => (await body.read()).value ?? new TextEncoder().encode('the end'), 'the end');

// A worker has an instance of its own, and is terminated with a stream that waits.
const worker = new Worker(new URL('./smoke-worker.mjs', import.meta.url));
const workerPort = await new Promise((resolve, reject) => {
  worker.once('message', resolve);
  worker.once('error', reject);
});
const fromWorker = await fetch(`http://127.0.0.1:${workerPort}/events?topic=news`);
const workerBody = fromWorker.body.getReader();
await workerBody.read();
await worker.terminate();
if (runtime === 'Node.js') {
  // Bun and Deno do not say when.
  try {
    while (!(await workerBody.read()).done);
  } catch {
    // Its end may be cut.
  }
}
workerBody.cancel().catch(() => {});

// Its end.
assert.deepEqual(await hub.drain({ windowMs: 0 }), { told: 1, cut: 0 });
for await (const batch of stream) assert.ok(batch.length > 0);
assert.equal(stream.endReason, 'drained');
assert.equal(hub.metrics().connections, 0);
assert.match(hub.prometheus(), /fanfare_/);
clearTimeout(late);
console.log(`${runtime}: all is well`);
