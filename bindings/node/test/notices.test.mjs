// Notices, as events and iterated.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { listen, open, subscribe, until, withDeadline } from './client.mjs';

const folder = join(import.meta.dirname, '..');

/** The next notices, as many as are wanted. */
async function take(notices, count) {
  const taken = [];
  while (taken.length < count) {
    const { done, value } = await withDeadline('a notice', notices.next());
    if (done) break;
    taken.push(value);
  }
  return taken;
}

test('connections are told of as they come and go', async (t) => {
  const hub = open(t, { shards: 1 });
  const notices = hub.notices();
  const events = [];
  hub.on('connected', (notice) => events.push(notice));
  hub.on('disconnected', (notice) => events.push(notice));
  const { port } = hub.listen();
  const before = Date.now();
  const { next, close } = await listen(t, port, ['a', 'b'], ['message'], '&tag=me');
  const [connected] = await take(notices, 1);
  assert.equal(connected.type, 'connected');
  assert.deepEqual(connected.subscriptions.sort(), ['a', 'b']);
  assert.match(connected.addr, /^127\.0\.0\.1:\d+$/);
  assert.ok(connected.at >= before - 1 && connected.at <= Date.now(), `${connected.at}`);
  assert.equal(connected.lost, 0);
  hub.publish('a', 'hello');
  await next();
  close();
  const [disconnected] = await take(notices, 1);
  assert.equal(disconnected.type, 'disconnected');
  assert.equal(disconnected.connectionId, connected.connectionId);
  assert.match(disconnected.reason, /^(client_closed|reset)$/);
  assert.equal(disconnected.events, 1);
  assert.ok(disconnected.bytes > 0 && disconnected.lastedMs >= 0);
  assert.deepEqual(events, [connected, disconnected]);
});

test('several readers get all notices, and one that is closed gets no more', async (t) => {
  const hub = open(t, { shards: 1 });
  const [one, two] = [hub.notices(), hub.notices()];
  const stream = subscribe(t, hub, 'a', { tag: 'x' });
  assert.deepEqual((await take(one, 1)).map(({ tag }) => tag), ['x']);
  one.close();
  assert.deepEqual(await one.next(), { done: true, value: undefined });
  await until('the stream to have begun', () => hub.metrics().connections === 1);
  stream.close();
  assert.deepEqual((await take(two, 2)).map(({ type }) => type), ['connected', 'disconnected']);
  await hub.close();
  assert.deepEqual(await withDeadline('the end', two.next()), { done: true, value: undefined });
  assert.throws(() => hub.notices(), { code: 'FANFARE_ERR_CLOSED' });
});

test('the notices of the connections that a close ends can be read after it', async (t) => {
  const hub = open(t, { shards: 1 });
  const notices = hub.notices();
  for (let i = 0; i < 300; i += 1) subscribe(t, hub, 'a');
  await until('the streams to have begun', () => hub.metrics().connections === 300);
  await hub.close();
  const ends = (await take(notices, 1000)).filter(({ type }) => type === 'disconnected');
  assert.equal(ends.length, 300);
  assert.ok(ends.every(({ reason }) => reason === 'closed'));
});

test('notices that nobody reads are bounded, and counted in the next one', async (t) => {
  const hub = open(t, { shards: 1 });
  const notices = hub.notices({ capacity: 3 });
  const seen = hub.notices();
  for (let i = 0; i < 10; i += 1) subscribe(t, hub, 'a', { tag: `${i}` });
  const first = (await take(seen, 10)).slice(0, 3);
  assert.deepEqual(await take(notices, 3), first);
  subscribe(t, hub, 'a', { tag: 'next' });
  const [{ tag, lost }] = await take(notices, 1);
  assert.deepEqual({ tag, lost }, { tag: 'next', lost: 7 });
});

test('interest is told of: what is there first, then what changes', async (t) => {
  const hub = open(t, { shards: 1 });
  const first = subscribe(t, hub, 'sensor/1');
  await until('the stream to have begun', () => hub.metrics().connections === 1);
  const notices = hub.notices({ connections: false, interest: ['sensor/#'] });
  const told = async (count) => (await take(notices, count)).map(({ type, subscription }) => [type, subscription]);
  assert.deepEqual(await told(1), [['wanted', 'sensor/1']]);
  const emitted = [];
  hub.on('wanted', ({ subscription }) => emitted.push(subscription));
  const stop = hub.watchInterest('sensor/2');
  subscribe(t, hub, 'other');
  const second = subscribe(t, hub, 'sensor/2');
  assert.deepEqual(await told(1), [['wanted', 'sensor/2']]);
  await until('the event', () => emitted.length > 0);
  assert.deepEqual(emitted, ['sensor/2']);
  stop();
  first.close();
  assert.deepEqual(await told(1), [['unwanted', 'sensor/1']]);
  // What undoes a notice that was not read takes its place.
  second.close();
  await until('it to be unwanted', () => hub.metrics().connections === 1);
  subscribe(t, hub, 'sensor/2');
  subscribe(t, hub, 'sensor/3');
  await hub.close();
  await notices.return();
});

test('bounds of notices are checked by name', (t) => {
  const hub = open(t, { shards: 1 });
  for (const [options, name] of [
    [{ capacity: 0 }, 'capacity'], [{ capacity: 2 ** 20 + 1 }, 'capacity'],
    [{ interest: 'a', graceMs: 3_600_001 }, 'graceMs'],
  ]) {
    assert.throws(() => hub.notices(options), {
      code: 'FANFARE_ERR_OPTIONS', message: new RegExp(`^the option ${name} is out of bounds`),
    });
  }
  assert.throws(() => hub.notices({ interest: 'a/#/b' }), { code: 'FANFARE_ERR_SUBSCRIPTION' });
});

test('a hub that is closed ends its notices of both kinds at once, after the last of each', async (t) => {
  // Which kind ends first is not said.
  for (let i = 0; i < 20; i += 1) {
    const hub = open(t, { shards: 1 });
    const notices = hub.notices({ interest: ['a', 'b'] });
    if (i % 2 === 0) hub.on('connected', () => {});
    const streams = [hub.subscribe('a'), hub.subscribe('b')];
    await until('the streams', () => hub.metrics().connections === 2);
    const began = performance.now();
    await hub.close();
    // 5 seconds are the longest that it waits for notices which do not come.
    assert.ok(performance.now() - began < 4500);
    let connected = 0;
    for await (const { type } of notices) connected += type === 'connected' ? 1 : 0;
    assert.equal(connected, 2);
    for (const stream of streams) stream.close();
  }
});

test('a listener that throws keeps no notice from the others', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', `
    const { Hub } = require('fanfare');
    const hub = new Hub({ shards: 1 });
    process.on('uncaughtException', (error) => console.log(error.message));
    const notices = hub.notices();
    hub.on('connected', ({ tag }) => { throw new Error('thrown for ' + tag); });
    const one = hub.subscribe('a', { tag: 'one' });
    const two = hub.subscribe('a', { tag: 'two' });
    (async () => {
      notices.ref();
      const tags = [(await notices.next()).value.tag, (await notices.next()).value.tag];
      console.log(tags.sort().join(' '));
      await hub.close();
      one.close();
      two.close();
    })();
  `], { cwd: folder });
  assert.deepEqual(stdout.trim().split('\n').sort(), ['one two', 'thrown for one', 'thrown for two']);
});

test('notices alone do not keep the process going, unless they are told to', async () => {
  const run = async (source) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', `
      const { Hub } = require('fanfare');
      const hub = new Hub({ shards: 1 });
      const notices = hub.notices();
      ${source}
    `], { cwd: folder });
    return stdout.trim();
  };
  assert.equal(await run("notices.next().then(() => console.log('told')); console.log('over')"), 'over');
  assert.equal(await run(`
    notices.ref();
    notices.next().then(({ value }) => { console.log(value.type); notices.close(); });
    setTimeout(() => { globalThis.stream = hub.subscribe('a'); }, 10).unref();
    setTimeout(() => {}, 50);
  `), 'connected');
});

test('a read of a stream that waits keeps the process going', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', `
    const { Hub } = require('fanfare');
    const hub = new Hub({ shards: 1, heartbeatMs: 100 });
    const stream = hub.subscribe('a', { heartbeatForm: 'event', expiresAt: Date.now() + 500 });
    (async () => {
      let text = '';
      for await (const batch of stream) text += batch;
      console.log(text.includes('fanfare-heartbeat'), stream.endReason);
    })();
  `], { cwd: folder });
  assert.equal(stdout.trim(), 'true expired');
});
