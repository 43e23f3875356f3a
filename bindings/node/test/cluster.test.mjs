// Hubs that have one order of events, by a Redis server.

import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';

import { Hub } from 'fanfare';
import { DEADLINE_MS, redisServer } from './redis.mjs';

test('what a hub of a cluster publishes reaches the clients of another', async (t) => {
  const options = { clusterUrl: await redisServer(t), clusterPrefix: 'node', shards: 1 };
  const [hub, other] = [new Hub(options), new Hub(options)];
  t.after(() => Promise.all([hub.close(), other.close()]));
  const stream = other.subscribe('news');
  const batches = stream[Symbol.asyncIterator]();
  let text = '';
  const expectText = async (wanted) => {
    while (!wanted.test(text)) {
      const { value, done } = await batches.next();
      assert.ok(!done, `${text} has no ${wanted}`);
      text += Buffer.from(value);
    }
  };

  // The ids are the server's, and not known yet.
  assert.equal(hub.publish('news', 'at once'), '');
  assert.equal(await hub.publishAsync('news', 'when there is space', { timeoutMs: DEADLINE_MS }), '');
  assert.deepEqual(hub.publishMany([{ topic: 'news', data: 'many' }]), ['']);
  assert.equal(hub.topic('news').publish('by handle'), '');
  await hub.flush({ timeoutMs: DEADLINE_MS });
  await expectText(/id: \S+\ndata: at once\n\n(.|\n)*data: when there is space\n\n(.|\n)*data: many\n\n(.|\n)*by handle\n/);
  const metrics = hub.metrics();
  assert.ok(metrics.clusterBatches >= 1);
  assert.deepEqual([metrics.clusterFailing, metrics.clusterConnects, metrics.clusterLosses], [0, 1, 0]);
  assert.equal(hub.finish('news', 'the last'), '');
  await expectText(/data: the last\n/);
  assert.throws(() => other.publish('news', 'too late'), { code: 'FANFARE_ERR_FINISHED' });
  stream.close();
});

test('a cluster that cannot be is refused', () => {
  // There is no TLS in the addon.
  assert.throws(() => new Hub({ clusterUrl: 'rediss://127.0.0.1:1' }), { code: 'FANFARE_ERR_CLUSTER' });
  for (const options of [
    { clusterUrl: 'http://127.0.0.1' },
    { clusterUrl: 'redis://127.0.0.1', dataDir: tmpdir() },
    { clusterPrefix: 'a{b}' },
  ]) {
    assert.throws(() => new Hub(options), { code: 'FANFARE_ERR_OPTIONS', message: /^the option cluster/ });
  }
});
