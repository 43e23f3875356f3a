// Publishing that waits for space: the engine tells, and nothing is tried meanwhile.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Hub } from 'fanfare';
import { clientThatDoesNotRead, until, withDeadline } from './client.mjs';

const BIG = 'a'.repeat(4096);
/** A client that does not read is waited for, longer than any test. */
const PATIENT = {
  shards: 1, topicBacklogBytesMax: 1, lagBytesMax: 2 ** 16, lagAgeMaxMs: 600_000,
  lagGraceMs: 600_000, lagGracePercent: 100,
};

/** A hub whose topic "news" is full until its client reads. */
async function fullHub(t, options = {}) {
  const hub = new Hub({ ...PATIENT, ...options });
  const readOn = () => client.on('data', () => {}).resume();
  t.after(() => {
    // First, since a close waits for what the client has not read.
    readOn();
    return hub.close();
  });
  const client = await clientThatDoesNotRead(t, hub.listen().port, 'news');
  let inARow = 0;
  await until('the topic to stay full', () => {
    try {
      hub.publish('news', BIG);
      inARow = 0;
    } catch (error) {
      assert.equal(error.code, 'FANFARE_ERR_FULL');
      inARow += 1;
    }
    return inARow > 50;
  });
  return { hub, readOn, attempts: () => hub.metrics().fullEvents };
}

const WAYS = {
  publishAsync: (hub, options) => hub.publishAsync('news', BIG, options),
  'publishAsync of several topics': (hub, options) => hub.publishAsync(['sports', 'news'], BIG, options),
  'publishAsync of a handle': (hub, options) => hub.topic('news').publishAsync(BIG, options),
  publishManyAsync: async (hub, options) => (await hub.publishManyAsync([{ topic: 'sports', data: 'a' }, { topic: 'news', data: BIG }], options))[1],
  finishAsync: (hub, options) => hub.finishAsync('news', BIG, options),
};

for (const [name, publish] of Object.entries(WAYS)) {
  test(`${name} waits without trying, until there is space`, async (t) => {
    const { hub, readOn, attempts } = await fullHub(t);
    const before = attempts();
    const began = performance.now();
    await assert.rejects(publish(hub, { timeoutMs: 120 }), { code: 'FANFARE_ERR_TIMEOUT' });
    assert.ok(performance.now() - began >= 119);
    assert.equal(attempts() - before, 1);
    await assert.rejects(publish(hub, { timeoutMs: 0 }), { code: 'FANFARE_ERR_TIMEOUT' });
    assert.equal(attempts() - before, 2);
    const waiting = publish(hub);
    let isDone = false;
    waiting.then(() => { isDone = true; });
    await new Promise((resolve) => { setImmediate(resolve); });
    assert.deepEqual([isDone, attempts() - before], [false, 3]);
    readOn();
    assert.match(await withDeadline('the space', waiting), /./);
  });
}

test('a topic is finished without a last event, with options of waiting or none', async (t) => {
  const { hub } = await fullHub(t);
  const before = hub.metrics().publishedEvents;
  assert.match(await hub.finishAsync('news', undefined, { timeoutMs: 30_000 }), /./);
  assert.match(hub.finish('sports', null, { name: undefined }), /./);
  assert.equal(hub.metrics().publishedEvents, before);
});

test('ready resolves when there is space, of topics and of the hub', async (t) => {
  const { hub, readOn } = await fullHub(t);
  const of = { timeoutMs: 20 };
  await withDeadline('the hub', hub.ready());
  await withDeadline('another topic', hub.ready('sports'));
  await withDeadline('a handle', hub.ready(hub.topic('sports')));
  await assert.rejects(hub.ready('news', of), { code: 'FANFARE_ERR_TIMEOUT' });
  await assert.rejects(hub.ready(['sports', hub.topic('news')], of), { code: 'FANFARE_ERR_TIMEOUT' });
  for (const [wrong, code] of [
    ['a/+', 'FANFARE_ERR_TOPIC'], [1, 'ERR_INVALID_ARG_TYPE'], [Array(65).fill('a'), 'FANFARE_ERR_TOO_MANY'],
  ]) {
    await assert.rejects(hub.ready(wrong), { code });
  }
  const waiting = hub.ready('news');
  readOn();
  await withDeadline('the space', waiting);
});

test('ready waits for a hub that is full as a whole', async (t) => {
  const { hub, readOn } = await fullHub(t, { topicBacklogBytesMax: 2 ** 20, backlogBytesMax: 1 });
  await assert.rejects(hub.ready(undefined, { timeoutMs: 20 }), { code: 'FANFARE_ERR_TIMEOUT' });
  const waiting = Promise.all([hub.ready(), hub.ready('sports')]);
  readOn();
  await withDeadline('the space', waiting);
});

test('who waits is told of an abort, of the end of the topic and of the hub', async (t) => {
  const { hub } = await fullHub(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = [
    hub.publishAsync('news', BIG, { signal: controller.signal }),
    hub.ready('news', { signal: controller.signal }),
  ];
  setImmediate(() => controller.abort(reason));
  for (const aborted of waiting) await assert.rejects(withDeadline('the abort', aborted), reason);
  await assert.rejects(hub.ready('sports', { signal: controller.signal }), reason);
  const others = [hub.publishAsync('news', BIG), hub.ready('news')];
  const settled = Promise.allSettled(others);
  hub.close();
  for (const { reason: error } of await withDeadline('the end', settled)) assert.equal(error.code, 'FANFARE_ERR_CLOSED');
  await assert.rejects(hub.ready(), { code: 'FANFARE_ERR_CLOSED' });
});

test('a publisher that waits for a topic is told that another one has finished it', async (t) => {
  const { hub, readOn } = await fullHub(t);
  const finishing = hub.finishAsync('news', 'last');
  const waiting = Array.from({ length: 100 }, () => hub.publishAsync('news', BIG));
  const settled = Promise.allSettled(waiting);
  readOn();
  await withDeadline('the end', finishing);
  for (const { status, value, reason } of await withDeadline('the publishers', settled)) {
    if (status === 'fulfilled') assert.match(value, /./);
    else assert.equal(reason.code, 'FANFARE_ERR_FINISHED');
  }
});

test('what waits for space keeps the process going', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', `
    const { connect } = require('node:net');
    const { Hub } = require('fanfare');
    const hub = new Hub(${JSON.stringify(PATIENT)});
    const listener = hub.listen();
    const socket = connect(listener.port, '127.0.0.1', () => socket.write('GET /events?topic=news HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'));
    socket.once('readable', async () => {
      socket.pause();
      socket.unref();
      listener.close();
      for (let i = 0; i < 100; i += 1) {
        await hub.publishAsync('news', 'a'.repeat(4096), { timeoutMs: 200 }).catch((error) => {
          if (error.code !== 'FANFARE_ERR_TIMEOUT') throw error;
          i = 100;
        });
      }
      setTimeout(() => hub.close(), 50).unref();
      const ends = await Promise.allSettled([hub.publishAsync('news', 'a'), hub.ready('news')]);
      for (const { reason } of ends) console.log(reason.code);
      socket.resume();
    });
  `], { cwd: join(import.meta.dirname, '..') });
  assert.deepEqual(stdout.trim().split('\n'), ['FANFARE_ERR_CLOSED', 'FANFARE_ERR_CLOSED']);
});
