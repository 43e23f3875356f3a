// Publishing that waits for space: the engine tells, and nothing is tried meanwhile.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { until, withDeadline } from './client.mjs';
import { BIG, PATIENT, WAYS, fullHub } from './full.mjs';

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

test('those who wait for a topic come in their order, by few attempts, and before its end', async (t) => {
  const { hub, client, readOn, attempts } = await fullHub(t);
  const before = attempts();
  const controller = new AbortController();
  const handle = hub.topic('news');
  const ends = [];
  const told = (name) => [() => ends.push(name), ({ code }) => ends.push(code)];
  const waiting = Array.from({ length: 200 }, (_, i) => [hub, handle][i % 2]
    .publishAsync(...[['news'], []][i % 2], `${i} ${BIG}`).then(...told(i)));
  waiting.push(hub.publishAsync('news', 'never', { signal: controller.signal }).then(...told('never')));
  waiting.push(hub.publishAsync('news', 'late', { timeoutMs: 1 }).then(...told('late')));
  waiting.push(hub.finishAsync('news', 'last').then(...told('last')));
  waiting.push(hub.publishAsync('news', 'behind').then(...told('behind')));
  controller.abort(Object.assign(new Error('enough'), { code: 'enough' }));
  await until('the one whose time is over', () => ends.length === 2);
  assert.deepEqual(ends.splice(0), ['enough', 'FANFARE_ERR_TIMEOUT']);
  assert.equal(attempts() - before, 1);
  let got = '';
  client.on('data', (chunk) => { got += chunk; });
  readOn();
  await withDeadline('the publishers', Promise.all(waiting));
  assert.deepEqual(ends, [...Array(200).keys(), 'last', 'FANFARE_ERR_FINISHED']);
  assert.ok(attempts() - before < 600, `${attempts() - before} attempts`);
  await until('the last event', () => got.includes('data: last'));
  assert.deepEqual([...got.matchAll(/data: (\d+) a/g)].map(([, i]) => Number(i)), [...Array(200).keys()]);
});

test('publishers that are too many are refused, and those of another topic are not', async (t) => {
  const { hub } = await fullHub(t);
  const settled = Promise.allSettled(Array.from({ length: 65_537 }, () => hub.publishAsync('news', 'a')));
  await assert.rejects(hub.publishAsync('news', 'a'), { code: 'FANFARE_ERR_LIMIT' });
  assert.match(await hub.publishAsync('sports', 'a'), /./);
  hub.close();
  assert.ok((await withDeadline('the end', settled)).every(({ reason }) => reason?.code === 'FANFARE_ERR_CLOSED'));
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
