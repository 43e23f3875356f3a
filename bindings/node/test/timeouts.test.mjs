// Times that a call may take: infinite, beyond all timers, negative, and none at all.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Hub } from 'fanfare';
import { open, withDeadline } from './client.mjs';
import { BIG, WAYS, fullHub } from './full.mjs';

/** Times without a bound, and times that are longer than any timer's. */
const ENDLESS = [undefined, Infinity, 1e308, 1e30, 2 ** 53, 2 ** 31];
const NEGATIVE = [-Infinity, -1e30, -1, -0.5, -0];
/** What is no time, with the code of its error. */
const NO_TIMES = [
  [NaN, 'FANFARE_ERR_OPTIONS'], [null, 'ERR_INVALID_ARG_TYPE'], ['5', 'ERR_INVALID_ARG_TYPE'],
  [5n, 'ERR_INVALID_ARG_TYPE'], [true, 'ERR_INVALID_ARG_TYPE'], [{}, 'ERR_INVALID_ARG_TYPE'],
];

const ALL_WAYS = { ...WAYS, ready: (hub, options) => hub.ready('news', options) };

for (const [name, wait] of Object.entries(ALL_WAYS)) {
  test(`${name} waits for space for an endless time`, async (t) => {
    const { hub, readOn } = await fullHub(t);
    const waiting = Promise.allSettled(ENDLESS.map((timeoutMs) => wait(hub, { timeoutMs })));
    // Longer than the shortest timer, which one of no time would have.
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    readOn();
    const refused = (await withDeadline('the space', waiting)).filter(({ status }) => status === 'rejected');
    const codes = name === 'finishAsync' ? ENDLESS.slice(1).map(() => 'FANFARE_ERR_FINISHED') : [];
    assert.deepEqual(refused.map(({ reason }) => reason.code), codes);
  });

  test(`${name} does not wait for a negative time, and refuses what is none`, async (t) => {
    const { hub } = await fullHub(t);
    const before = hub.metrics().publishedEvents;
    for (const timeoutMs of NEGATIVE) {
      await assert.rejects(wait(hub, { timeoutMs }), { code: 'FANFARE_ERR_TIMEOUT' }, `${timeoutMs}`);
    }
    for (const [timeoutMs, code] of NO_TIMES) {
      await assert.rejects(wait(hub, { timeoutMs }), { code, message: /timeoutMs/ }, `${timeoutMs}`);
    }
    const others = name === 'publishManyAsync' ? NEGATIVE.length : 0; // to a topic that has space
    assert.equal(hub.metrics().publishedEvents - before, others);
  });
}

test('those who wait behind others wait for an endless time as well', async (t) => {
  const { hub, readOn } = await fullHub(t);
  const first = hub.publishAsync('news', BIG);
  const behind = ENDLESS.map((timeoutMs) => hub.publishAsync('news', BIG, { timeoutMs }));
  for (const timeoutMs of NEGATIVE) {
    await assert.rejects(hub.publishAsync('news', BIG, { timeoutMs }), { code: 'FANFARE_ERR_TIMEOUT' });
  }
  readOn();
  for (const id of await withDeadline('the space', Promise.all([first, ...behind]))) assert.match(id, /./);
});

test('what was published is written within any time, and flush refuses what is none', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-'));
  const hub = new Hub({ shards: 1, dataDir: join(folder, 'data') });
  t.after(async () => {
    await hub.close();
    await rm(folder, { recursive: true });
  });
  hub.publish('news', 'a');
  for (const timeoutMs of ENDLESS) await withDeadline('the disk', hub.flush({ timeoutMs }));
  for (const [timeoutMs, code] of NO_TIMES) {
    await assert.rejects(withDeadline('a refusal', hub.flush({ timeoutMs })), { code, message: /timeoutMs/ });
  }
});

test('nodes are asked with any time', async (t) => {
  const hub = open(t, { shards: 1 });
  for (const ask of [
    (options) => hub.clusterConnections({}, options), (options) => hub.clusterSubscribers('news', options),
  ]) {
    // The library was asked, and says that the hub is in no cluster.
    for (const timeoutMs of [...ENDLESS, ...NEGATIVE]) {
      await assert.rejects(ask({ timeoutMs }), { code: 'FANFARE_ERR_CLUSTER' });
    }
    for (const [timeoutMs, code] of NO_TIMES) {
      await assert.rejects(ask({ timeoutMs }), { code, message: /timeoutMs/ });
    }
  }
});

test('an authorizer is given a time within its bounds', (t) => {
  const hub = open(t, { shards: 1 });
  for (const timeoutMs of [Infinity, NaN, -1, 1e30, 600_001]) {
    assert.throws(() => hub.authorize(() => true, { timeoutMs }), { code: 'FANFARE_ERR_OPTIONS', message: /timeoutMs/ });
  }
});
