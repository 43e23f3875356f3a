// Streams that the program reads.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { STREAM_HEADERS } from 'fanfare';
import { closing, open, until, withDeadline } from './client.mjs';

const textOf = (batches) => Buffer.concat(batches).toString();
const dataOf = (batches) => [...textOf(batches).matchAll(/^data: (.*)$/gm)].map(([, data]) => data);

/** What a stream gives until some data has come. */
async function readUntil(stream, last) {
  const batches = [];
  while (!dataOf(batches).includes(last)) batches.push(await withDeadline(last, stream.read()));
  return dataOf(batches);
}

async function readAll(stream) {
  const batches = [];
  for await (const batch of stream) batches.push(batch);
  return dataOf(batches);
}

test('a stream is iterated until it ends in order', async (t) => {
  const hub = open(t, { shards: 1 });
  const stream = hub.subscribe(['run/1', 'run/+'], { tag: 'me' });
  hub.publish('run/1', 'a');
  assert.deepEqual(await readUntil(stream, 'a'), ['a']);
  assert.equal(typeof stream.connectionId, 'bigint');
  assert.notEqual(stream.connectionId, 0n);
  assert.equal(stream.endReason, undefined);
  assert.equal(stream.isComplete, false);
  assert.equal(stream.tryRead(), null);
  const [{ id, tag }] = await hub.connections();
  assert.deepEqual([id, tag], [stream.connectionId, 'me']);
  hub.publish('run/1', 'b');
  assert.deepEqual(await hub.drain({ windowMs: 0 }), { told: 1, cut: 0 });
  assert.deepEqual(await withDeadline('the end', readAll(stream)), ['b']);
  assert.equal(stream.endReason, 'drained');
  await assert.rejects(stream.read(), {
    code: 'FANFARE_ERR_ENDED', message: 'the stream has ended: drained', reason: 'drained', isCut: false,
  });
});

test('a batch is the own memory of the reader', async (t) => {
  const hub = open(t, { shards: 1 });
  const [one, two] = [hub.subscribe('news'), hub.subscribe('news')];
  hub.publish('news', 'a');
  const batches = [];
  while (!dataOf(batches).includes('a')) {
    const batch = await one.read();
    batches.push(Buffer.from(batch));
    batch.fill(0);
  }
  assert.deepEqual(await readUntil(two, 'a'), ['a']);
});

test('a stream of a finished topic ends, or is complete from the beginning', async (t) => {
  const hub = open(t, { shards: 1 });
  hub.publish('run/1', 'a');
  const last = hub.finish('run/1', 'last');
  assert.deepEqual(await readAll(hub.subscribe('run/1', { start: 'earliest' })), ['a', 'last']);
  assert.deepEqual(await readAll(hub.subscribe('run/1', { start: 1 })), ['last']);
  const stream = hub.subscribe('run/1', { lastEventId: last });
  assert.deepEqual(await readAll(stream), []);
  assert.equal(stream.isComplete, true);
  assert.equal(stream.endReason, 'finished');
});

test('a stream that is cut rejects', async (t) => {
  const hub = open(t, { shards: 1, lagBytesMax: 1000, lagGraceMs: 0 });
  const stream = hub.subscribe('news', { queueBytesMax: 500 });
  await until('the stream to be cut', () => {
    try {
      hub.publish('news', 'a'.repeat(400));
    } catch (error) {
      assert.equal(error.code, 'FANFARE_ERR_FULL');
    }
    return Object.keys(hub.metrics().disconnects).length > 0;
  });
  await assert.rejects(readAll(stream), {
    code: 'FANFARE_ERR_ENDED', message: 'the stream was cut: lagging', reason: 'lagging', isCut: true,
  });
});

test('a read that waits is told of a close, and a second read is refused', async (t) => {
  const hub = open(t, { shards: 1, heartbeatMs: 0 });
  const stream = hub.subscribe('news');
  await readUntilNothing(stream);
  const waiting = stream.read();
  await assert.rejects(stream.read(), { code: 'FANFARE_ERR_BUSY' });
  stream.close();
  await assert.rejects(waiting, { code: 'FANFARE_ERR_ENDED', reason: 'closed' });
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  stream.close();
  await until('the connection to end', () => hub.metrics().connections === 0);
  assert.deepEqual(hub.metrics().disconnects, { client_closed: 1 });
});

test('to leave the iteration closes the stream', async (t) => {
  const hub = open(t, { shards: 1 });
  hub.publish('news', 'a');
  for await (const batch of hub.subscribe('news', { start: 'latest' })) {
    if (batch.includes('data: a')) break;
  }
  await until('the connection to end', () => hub.metrics().connections === 0);
});

test('a hub that is closed ends its streams', async (t) => {
  const hub = open(t, { shards: 1 });
  const stream = hub.subscribe('news');
  const waiting = readAll(stream);
  hub.publish('news', 'a');
  await hub.close();
  assert.deepEqual(await withDeadline('the end', waiting), ['a']);
  assert.equal(stream.endReason, 'closed');
  assert.throws(() => hub.subscribe('news'), { code: 'FANFARE_ERR_CLOSED' });
});

test('many streams wait at once, and each gets every event in order', async (t) => {
  const hub = open(t, { shards: 2 });
  const streams = Array.from({ length: 300 }, () => hub.subscribe('news'));
  const reading = streams.map((stream) => readUntil(stream, 'the end'));
  const sent = [...Array.from({ length: 50 }, (_, i) => `${i}`), 'the end'];
  for (const data of sent) {
    await hub.publishAsync('news', data);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  for (const got of await Promise.all(reading)) assert.deepEqual(got, sent);
  for (const stream of streams) stream.close();
});

test('options out of their bounds, and topics that are none, are refused', (t) => {
  const hub = open(t, { shards: 1 });
  const refused = [
    [{ queueBytesMax: 2 ** 24 + 1 }, 'FANFARE_ERR_OPTIONS', /the option queueBytesMax is out of bounds/],
    [{ policy: 'drop' }, 'FANFARE_ERR_OPTIONS', /it may be disconnect, drop-oldest or conflate/],
    [{ start: 'then' }, 'FANFARE_ERR_OPTIONS', /now, latest, earliest or a number of events/],
    [{ tag: '' }, 'FANFARE_ERR_OPTIONS', /the option tag is out of bounds/],
    [{ expiresAt: NaN }, 'FANFARE_ERR_OPTIONS', /the option expiresAt is out of bounds/],
    [{ tags: 'a' }, 'ERR_INVALID_ARG_TYPE', /a stream has no option tags/],
    [{ tag: 1 }, 'ERR_INVALID_ARG_TYPE', /tag must be a string/],
  ];
  for (const [options, code, message] of refused) {
    assert.throws(() => hub.subscribe('news', options), { code, message });
  }
  assert.throws(() => hub.subscribe('a/#/b'), { code: 'FANFARE_ERR_SUBSCRIPTION' });
  assert.throws(() => hub.subscribe([]), { code: 'FANFARE_ERR_SUBSCRIPTION' });
  assert.throws(() => hub.subscribe([1]), { code: 'ERR_INVALID_ARG_TYPE', message: 'each of topics must be a string' });
  assert.throws(() => hub.subscribe(1), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('a stream expires', async (t) => {
  const hub = open(t, { shards: 1 });
  const stream = hub.subscribe('news', { expiresAt: new Date(Date.now() + 50) });
  await withDeadline('the end', readAll(stream));
  assert.equal(stream.endReason, 'expired');
});

test('a server sends a stream as the body of its response', async (t) => {
  const hub = open(t, { shards: 1 });
  const server = createServer((req, res) => {
    const stream = hub.subscribe('news', { lastEventId: req.headers['last-event-id'] });
    res.writeHead(200, stream.headers);
    res.on('close', () => stream.close());
    Readable.from(stream).pipe(res);
  });
  closing(t, server);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
  for (const [name, value] of Object.entries(STREAM_HEADERS)) assert.equal(response.headers.get(name), value);
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  hub.publish('news', 'a');
  hub.finish('news', 'b');
  const text = await withDeadline('the end', response.text());
  assert.deepEqual(dataOf([Buffer.from(text)]), ['a', 'b']);
});

async function readUntilNothing(stream) {
  await until('the stream to have begun', () => {
    while (stream.tryRead() !== null);
    return stream.connectionId !== 0n;
  });
  while (stream.tryRead() !== null);
}
