// Hubs that have one order of events, by a Redis server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { test } from 'node:test';

import { Hub } from 'fanfare';
import { open, subscribe, withDeadline } from './client.mjs';
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

/** Asks until so many nodes have answered: a node shows itself a moment after it has come. */
async function askNodes(nodes, ask) {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await ask();
    if (found.answered === nodes && found.missing === 0) return found;
    assert.ok(performance.now() < deadline, `${found.answered} of ${found.nodes} nodes, not ${nodes}, have answered`);
  }
}

test('any node counts the connections of all by topic and by tag, and lists them', async (t) => {
  const options = { clusterUrl: await redisServer(t), clusterPrefix: 'node', shards: 1 };
  const [hub, other] = [open(t, options), open(t, options)];
  subscribe(t, hub, ['rooms/1', 'news'], { tag: '7' });
  subscribe(t, other, 'rooms/1', { tag: '7' });
  subscribe(t, other, 'rooms/#', { tag: '8', policy: 'drop-oldest' });
  subscribe(t, other, 'rooms/2');
  const wait = { timeoutMs: 10_000 };
  const nodes = { nodes: 2, answered: 2, missing: 0 };
  const names = new Set();
  for (const asked of [hub, other]) {
    assert.deepEqual(await askNodes(2, () => asked.clusterSubscribers('rooms/1', wait)), { ...nodes, count: 3 });
    assert.deepEqual(await asked.clusterSubscribers('rooms/2', wait), { ...nodes, count: 2 });
    assert.deepEqual(await asked.clusterSubscribers('elsewhere', wait), { ...nodes, count: 0 });

    const { connections, ...all } = await asked.clusterConnections({}, wait);
    assert.deepEqual(all, { ...nodes, count: 4 });
    // Each node is named, and what it says of a connection is what its own hub says.
    const own = await hub.connections();
    const nodeOfHub = connections.find(({ id, tag, subscriptions }) => (
      id === own[0].id && tag === '7' && subscriptions.length === 2)).node;
    assert.match(nodeOfHub, /^[0-9a-f]{16}$/);
    const ofHub = connections.filter(({ node }) => node === nodeOfHub);
    assert.deepEqual(sorted(ofHub), sorted(own.map((connection) => ({ ...connection, node: nodeOfHub }))));
    const ofOther = connections.filter(({ node }) => node !== nodeOfHub);
    const [{ node }] = ofOther;
    assert.deepEqual(sorted(ofOther), sorted((await other.connections()).map((each) => ({ ...each, node }))));
    names.add(nodeOfHub).add(node);

    const ofTag = await asked.clusterConnections({ tag: '7' }, wait);
    assert.equal(ofTag.count, 2);
    assert.deepEqual(new Set(ofTag.connections.map((each) => each.node)), names);
    const ofTopic = await asked.clusterConnections({ subscription: 'rooms/1', limit: 1 }, wait);
    assert.deepEqual([ofTopic.count, ofTopic.connections.length], [2, 1]);
    assert.deepEqual(await asked.clusterConnections({ tag: '8', limit: 0 }, wait), { ...nodes, count: 1, connections: [] });
    assert.deepEqual(await asked.clusterConnections({ lagging: true }, wait), { ...nodes, count: 0, connections: [] });
    assert.equal((await askNodes(2, () => asked.clusterConnections())).connections.length, 4);
  }
  assert.equal(names.size, 2);
  // A list of one node does not say which.
  assert.ok(!('node' in (await hub.connections())[0]));
});

function sorted(connections) {
  return connections.toSorted((a, b) => Number(a.id - b.id));
}

test('a node that was killed is missing, and nothing else waits for it', async (t) => {
  const clusterUrl = await redisServer(t);
  const [hub, leaving] = [open(t, { clusterUrl, shards: 1 }), open(t, { clusterUrl, shards: 1 })];
  subscribe(t, hub, 'news');
  const node = await nodeElsewhere(t, clusterUrl, 'news');
  await askNodes(3, () => hub.clusterSubscribers('news', { timeoutMs: 10_000 }));
  node.kill('SIGKILL');
  await once(node, 'exit');

  const started = performance.now();
  const asking = Promise.all([
    hub.clusterSubscribers('news', { timeoutMs: 2000 }),
    hub.clusterConnections({ subscription: 'news' }, { timeoutMs: 2000 }),
  ]);
  const untilThen = leaving.clusterSubscribers('news', { timeoutMs: 8000 });
  let turns = 0;
  const counting = setInterval(() => { turns += 1; }, 1);
  const [counted, listed] = await asking;
  clearInterval(counting);
  assert.ok(performance.now() - started >= 1950, 'the time that was to be waited');
  assert.ok(turns > 10, `the event loop went on, ${turns} times`);
  assert.deepEqual(counted, { nodes: 3, answered: 2, missing: 1, count: 1 });
  assert.deepEqual([listed.missing, listed.count, listed.connections.length], [1, 1, 1]);

  // A hub that is closed meanwhile does not wait for its question, which has its answer all the same.
  const first = await Promise.race([untilThen.then(() => 'the answer'), leaving.close().then(() => 'closed')]);
  assert.equal(first, 'closed');
  assert.deepEqual(await untilThen, { nodes: 3, answered: 2, missing: 1, count: 1 });
  await assert.rejects(leaving.clusterSubscribers('news'), { code: 'FANFARE_ERR_CLOSED' });
  await assert.rejects(leaving.clusterConnections(), { code: 'FANFARE_ERR_CLOSED' });
});

/** A process with a node of the cluster, and a subscriber of its own. */
async function nodeElsewhere(t, clusterUrl, topic) {
  const program = `import { Hub } from 'fanfare';
    const hub = new Hub({ clusterUrl: ${JSON.stringify(clusterUrl)}, shards: 1 });
    hub.listen();
    globalThis.stream = hub.subscribe(${JSON.stringify(topic)});
    console.log('there');`;
  const node = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => node.kill('SIGKILL'));
  await withDeadline('the node', once(node.stdout, 'data'));
  return node;
}

test('questions to nodes that cannot be asked are refused', async (t) => {
  const alone = open(t, { shards: 1 });
  await assert.rejects(alone.clusterConnections(), { code: 'FANFARE_ERR_CLUSTER' });
  await assert.rejects(alone.clusterSubscribers('news'), { code: 'FANFARE_ERR_CLUSTER' });

  const hub = open(t, { clusterUrl: await redisServer(t), shards: 1 });
  for (const [asking, code] of [
    [() => hub.clusterConnections({ subscription: '' }), 'FANFARE_ERR_SUBSCRIPTION'],
    [() => hub.clusterConnections({ limits: 1 }), 'ERR_INVALID_ARG_TYPE'],
    [() => hub.clusterConnections({ limit: -1 }), 'FANFARE_ERR_OPTIONS'],
    [() => hub.clusterConnections({}, { timeoutMs: '1' }), 'ERR_INVALID_ARG_TYPE'],
    [() => hub.clusterConnections({}, { timeoutMs: NaN }), 'FANFARE_ERR_OPTIONS'],
    [() => hub.clusterSubscribers('+'), 'FANFARE_ERR_TOPIC'],
    [() => hub.clusterSubscribers(), 'ERR_INVALID_ARG_TYPE'],
    [() => hub.clusterSubscribers('news', { timeoutMs: null }), 'ERR_INVALID_ARG_TYPE'],
  ]) {
    await assert.rejects(asking, { code }, `${asking}`);
  }
  // The library has bounds for the time, and what is left until a deadline is none of its errors.
  for (const timeoutMs of [-0.5, 0, 99.5, Infinity]) {
    // The shortest may be too short for a busy machine.
    const asking = hub.clusterSubscribers('news', { timeoutMs });
    await asking.catch(({ code }) => assert.equal(code, 'FANFARE_ERR_CLUSTER'));
  }
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
