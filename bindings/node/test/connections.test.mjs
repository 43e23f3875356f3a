// A hub's connections, its rules, and what it counts.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { listen, open, repository, subscribe, until, withDeadline } from './client.mjs';

/** Waits until a hub has as many connections. */
const have = (hub, count) => until('the connections', () => hub.metrics().connections === count);

test('connections are listed, described, and counted', async (t) => {
  const hub = open(t, { shards: 2 });
  const before = Date.now();
  for (let i = 0; i < 5; i += 1) subscribe(t, hub, ['a', `user/${i}`], { tag: `${i % 2}`, policy: 'drop-oldest' });
  await have(hub, 5);
  const all = await hub.connections();
  assert.equal(all.length, 5);
  const [{ id, since, state, policy, lagEvents, lagBytes, lagAgeMs, addr }] = all;
  assert.deepEqual([state, policy, lagEvents, lagBytes, lagAgeMs, addr], ['live', 'drop-oldest', 0, 0, 0, undefined]);
  assert.ok(since >= before - 1 && since <= Date.now());
  assert.equal((await hub.connections({ tag: '1' })).length, 2);
  assert.equal((await hub.connections({ subscription: 'user/3' })).length, 1);
  assert.equal((await hub.connections({ limit: 3, slowestFirst: true })).length, 3);
  assert.equal((await hub.connections({ limit: undefined })).length, 5);
  assert.equal((await hub.connections({ limit: 1_000_000 })).length, 5);
  assert.deepEqual(await hub.connections({ limit: 0 }), []);
  assert.deepEqual(await hub.connections({ limit: -0, tag: '1', slowestFirst: true }), []);
  assert.equal((await hub.connections({ lagging: true })).length, 0);
  assert.equal((await hub.connection(id)).id, id);
  assert.equal(await hub.subscribers('a'), 5);
  assert.deepEqual([...await hub.subscriptionCounts(1)], [['a', 5]]);
  assert.equal((await hub.subscriptionCounts()).size, 6);
});

test('connections are ended, by id, tag, subscription, and all', async (t) => {
  const hub = open(t, { shards: 2 });
  for (let i = 0; i < 8; i += 1) subscribe(t, hub, ['a', `user/${i}`], { tag: `${i % 2}` });
  await have(hub, 8);
  const [{ id }] = await hub.connections({ subscription: 'user/0' });
  assert.equal(await hub.disconnect(id, { retryMs: 1 }), undefined);
  await assert.rejects(hub.disconnect(id), { code: 'FANFARE_ERR_STALE' });
  await assert.rejects(hub.connection(id), { code: 'FANFARE_ERR_STALE' });
  assert.equal(await hub.disconnectTag('1'), 4);
  assert.equal(await hub.disconnectSubscription('user/2'), 1);
  assert.equal(await hub.disconnectAll({ retryMs: 5 }), 2);
  assert.equal(await hub.disconnectAll(), 0);
  assert.deepEqual(hub.metrics().disconnects, { kicked: 8 });
});

test('a client that is ended is told when to come back', async (t) => {
  const hub = open(t, { shards: 1 });
  const stream = subscribe(t, hub, 'a');
  await have(hub, 1);
  await hub.disconnectAll({ retryMs: 1000 });
  let text = '';
  for await (const batch of stream) text += batch;
  assert.match(text, /retry: 1\d{3}\n\n$/);
  assert.equal(stream.endReason, 'kicked');
});

test('a connection is given other topics', async (t) => {
  const hub = open(t, { shards: 1 });
  const { next } = await listen(t, hub.listen().port, ['a']);
  const [{ id }] = await hub.connections();
  await hub.setSubscriptions(id, ['b', 'c/#']);
  hub.publish('a', 'not sent');
  hub.publish('c/d', 'sent');
  assert.equal((await next()).data, 'sent');
  await assert.rejects(hub.setSubscriptions(id, []), { code: 'FANFARE_ERR_SUBSCRIPTION' });
  await assert.rejects(hub.setSubscriptions(0n, 'a'), { code: 'FANFARE_ERR_STALE' });
});

test('questions that are wrong are refused', async (t) => {
  const hub = open(t, { shards: 1 });
  for (const [asking, code] of [
    [() => hub.connection(1), 'ERR_INVALID_ARG_TYPE'],
    [() => hub.connection(2n ** 64n), 'FANFARE_ERR_STALE'],
    [() => hub.connection(-1n), 'FANFARE_ERR_STALE'],
    [() => hub.connections({ subscription: '' }), 'FANFARE_ERR_SUBSCRIPTION'],
    [() => hub.connections({ limits: 1 }), 'ERR_INVALID_ARG_TYPE'],
    [() => hub.connections({ subscription: '', limit: 0 }), 'FANFARE_ERR_SUBSCRIPTION'],
    [() => hub.connections({ limit: -1 }), 'FANFARE_ERR_OPTIONS'],
    [() => hub.connections({ limit: 1_000_001 }), 'FANFARE_ERR_OPTIONS'],
    [() => hub.connections({ limit: Infinity }), 'FANFARE_ERR_OPTIONS'],
    [() => hub.subscribers('+'), 'FANFARE_ERR_TOPIC'],
    [() => hub.subscribers(), 'ERR_INVALID_ARG_TYPE'],
    [() => hub.subscriptionCounts(1_000_001), 'FANFARE_ERR_OPTIONS'],
    [() => hub.disconnectTag(''), 'FANFARE_ERR_ARGUMENT'],
    [() => hub.disconnectAll({ retryMs: -1 }), 'FANFARE_ERR_OPTIONS'],
    [() => hub.drain({ windowMs: 3_600_001 }), 'FANFARE_ERR_OPTIONS'],
  ]) {
    await assert.rejects(asking, { code }, `${asking}`);
  }
  await hub.close();
  await assert.rejects(hub.connections(), { code: 'FANFARE_ERR_CLOSED' });
  await assert.rejects(hub.connections({ limit: 0 }), { code: 'FANFARE_ERR_CLOSED' });
});

test('rules are set, listed, and removed', async (t) => {
  const hub = open(t, { shards: 1 });
  hub.setRule('sensor/#', { historyEventsMax: 2, policy: 'conflate' });
  for (let i = 0; i < 5; i += 1) hub.publish('sensor/1', `${i}`);
  assert.deepEqual(hub.rules().map(({ keptBytes, ...rule }) => [keptBytes > 0, rule]), [[true, {
    subscription: 'sensor/#', historyEventsMax: 2, policy: 'conflate', topics: 1, finishedTopics: 0, keptEvents: 2,
  }]]);
  subscribe(t, hub, 'sensor/1');
  await have(hub, 1);
  assert.equal((await hub.connections())[0].policy, 'conflate');
  assert.match(hub.prometheus(), /rule="sensor\/#"/);
  assert.equal(hub.removeRule('sensor/#'), true);
  assert.equal(hub.removeRule('sensor/#'), false);
  assert.deepEqual(hub.rules(), []);
  assert.throws(() => hub.setRule('a', { historyAgeMaxMs: 1e12 }), {
    code: 'FANFARE_ERR_OPTIONS', message: /^the option historyAgeMaxMs is out of bounds: it may be at most 7 days/,
  });
  assert.throws(() => hub.setRule('#/a'), { code: 'FANFARE_ERR_SUBSCRIPTION' });
});

test('counts can be read, also when the hub is closed, and each is typed', async (t) => {
  const hub = open(t, { shards: 1 });
  const { next } = await listen(t, hub.listen().port, ['a']);
  hub.publish('a', 'hello');
  await next();
  await until('the delivery', () => hub.metrics().deliveredEvents === 1);
  const metrics = hub.metrics();
  assert.equal(metrics.publishedEvents, 1);
  assert.equal(metrics.livingShards, 1);
  assert.equal(metrics.latenciesUs.reduce((sum, [, count]) => sum + count, 0), 1);
  assert.equal(metrics.latenciesUs.at(-1)[0], Infinity);
  const types = await readFile(join(repository, 'bindings/node/types/metrics.d.ts'), 'utf8');
  assert.deepEqual(Object.keys(metrics).sort(), [...types.matchAll(/^ {2}(\w+): /gm)].map(([, name]) => name).sort());
  await hub.close();
  assert.equal(hub.metrics().livingShards, 0);
  assert.deepEqual(hub.metrics().disconnects, { closed: 1 });
});

test('a drain tells clients when to come back, and the hub is closed then', async (t) => {
  const hub = open(t, { shards: 1 });
  const { port } = hub.listen();
  const { next } = await listen(t, port, ['a']);
  hub.publish('a', 'last');
  const drained = hub.drain({ windowMs: 10, retryMs: 50 });
  assert.equal((await next()).data, 'last');
  assert.deepEqual(await withDeadline('the drain', drained), { told: 1, cut: 0 });
  assert.equal(await next(), null);
  assert.throws(() => hub.publish('a', 'b'), { code: 'FANFARE_ERR_CLOSED' });
  await assert.rejects(hub.drain(), { code: 'FANFARE_ERR_CLOSED' });
});
