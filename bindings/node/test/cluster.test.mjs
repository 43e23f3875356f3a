// Hubs that have one order of events, by a Redis server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
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

/** In an order, without what is measured anew each time. */
function sorted(connections) {
  return connections.map(({ since, ...others }) => {
    assert.ok(Math.abs(Date.now() - since) < 10 * DEADLINE_MS, `since ${since}`);
    return others;
  }).sort((a, b) => Number(a.id - b.id));
}

test('a node that was killed is missing, and the event loop does not wait for it', async (t) => {
  const [hub] = await killedAmongThree(t);
  let turns = 0;
  const counting = setInterval(() => { turns += 1; }, 1);
  const wait = { timeoutMs: 3000 };
  const started = performance.now();
  const [counted, listed, ...behind] = await Promise.allSettled([
    hub.clusterSubscribers('news', wait),
    hub.clusterConnections({ subscription: 'news' }, wait),
    // Two ask at a time, and those behind them get no more time for that.
    hub.clusterSubscribers('news', wait),
    hub.clusterConnections({}, wait),
  ]);
  const took = performance.now() - started;
  clearInterval(counting);
  assert.ok(took >= 2950 && took < 5900, `the time was waited once: ${took}`);
  assert.ok(turns > 10, `the event loop went on: ${turns}`);
  assert.deepEqual(counted.value, { nodes: 3, answered: 2, missing: 1, count: 1 });
  assert.equal(listed.value.connections.length, 1);
  assert.deepEqual(listed.value, { ...counted.value, connections: listed.value.connections });
  for (const { value, reason } of behind) {
    // What was left may have been too short to reach the server from a busy machine.
    assert.ok(reason?.code === 'FANFARE_ERR_CLUSTER' || value.missing >= 1, reason);
  }
});

test('a hub is closed while its questions wait for nodes', async (t) => {
  const [hub, leaving] = await killedAmongThree(t);
  const asking = Array.from({ length: 16 }, () => leaving.clusterSubscribers('news', { timeoutMs: 5000 }));
  const answered = Promise.allSettled(asking);
  await assert.rejects(leaving.clusterConnections(), { code: 'FANFARE_ERR_BUSY' });
  // It begins after two of these, which have been asked long since when its time is over.
  assert.equal((await hub.clusterSubscribers('news', { timeoutMs: 1000 })).missing, 1);
  // The hub's end does not wait for them, nor do those behind them, and what else needs the runtime's pool.
  const ended = [leaving.close(), Promise.allSettled(asking.slice(2)), stat('.')];
  const closed = Promise.all(ended).then(() => 'closed');
  assert.equal(await Promise.race([asking[0].then(() => 'answered'), asking[1].then(() => 'answered'), closed]), 'closed');
  const [first, second, ...others] = await answered;
  for (const { value } of [first, second]) assert.deepEqual(value, { nodes: 3, answered: 2, missing: 1, count: 1 });
  assert.deepEqual(others.map(({ reason }) => reason?.code), others.map(() => 'FANFARE_ERR_CLOSED'));
  await assert.rejects(leaving.clusterSubscribers('news'), { code: 'FANFARE_ERR_CLOSED' });
  await assert.rejects(leaving.clusterConnections(), { code: 'FANFARE_ERR_CLOSED' });
});

/** Two hubs, of which the first has a connection, and whose cluster has a third node that was killed just now. */
async function killedAmongThree(t) {
  const clusterUrl = await redisServer(t);
  const hubs = [open(t, { clusterUrl, shards: 1 }), open(t, { clusterUrl, shards: 1 })];
  subscribe(t, hubs[0], 'news');
  const node = await nodeElsewhere(t, clusterUrl);
  await askNodes(3, () => hubs[0].clusterSubscribers('news', { timeoutMs: 10_000 }));
  node.kill('SIGKILL');
  await once(node, 'exit');
  return hubs;
}

/** A process with a node of the cluster. */
async function nodeElsewhere(t, clusterUrl) {
  const program = `import { Hub } from 'fanfare';
    new Hub({ clusterUrl: ${JSON.stringify(clusterUrl)}, shards: 1 }).listen();
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
