// Several instances of the addon, and ends at bad moments.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Hub } from 'fanfare';
import { listen, open, until, withDeadline } from './client.mjs';

const folder = join(import.meta.dirname, '..');
const run = (source, args = []) => promisify(execFile)(process.execPath, [...args, '-e', source], { cwd: folder });

const SERVING = `
  const { parentPort } = require('node:worker_threads');
  const { Hub } = require('fanfare');
  const hub = new Hub({ shards: 1 });
  hub.authorize(async () => true);
  hub.on('connected', () => parentPort.postMessage('connected'));
  const streams = Array.from({ length: 10 }, () => hub.subscribe('news'));
  for (const stream of streams) (async () => { for await (const batch of stream); })();
  const notices = hub.notices({ interest: '#' }).ref();
  (async () => { for await (const notice of notices); })();
  setInterval(() => { try { hub.publish('news', 'tick'); } catch {} }, 1);
  parentPort.postMessage(hub.listen().port);
`;

test('a worker is terminated while clients are connected, streams wait and notices come', async (t) => {
  for (let i = 0; i < 5; i += 1) {
    const worker = new Worker(SERVING, { eval: true });
    t.after(() => worker.terminate());
    const [port] = await withDeadline('the worker', once(worker, 'message'));
    const clients = await Promise.all([1, 2, 3].map(() => listen(t, port, ['news'])));
    await clients[0].next();
    await withDeadline('the worker to end', worker.terminate());
    for (const { next } of clients) while (await next() !== null);
  }
});

test('a worker is terminated while its server has streams, handed over and its own', async (t) => {
  for (let i = 0; i < 3; i += 1) {
    const worker = new Worker(`
      const { createServer } = require('node:http');
      const { parentPort } = require('node:worker_threads');
      const { Hub } = require('fanfare');
      const hub = new Hub({ shards: 1 });
      const server = createServer(async (req, res) => {
        const handover = req.url.startsWith('/never') ? 'never' : 'require';
        parentPort.postMessage(await hub.handle(req, res, { topics: 'news', start: 'latest', handover }));
      });
      server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
      hub.publish('news', 'hello');
      setInterval(() => { try { hub.publish('news', 'x'.repeat(10_000)); } catch {} }, 1);`, { eval: true });
    t.after(() => worker.terminate());
    const [port] = await withDeadline('the worker', once(worker, 'message'));
    const clients = await Promise.all(['never', 'require', 'never', 'require'].map(async (way) => {
      const socket = connect({ port, host: '127.0.0.1' });
      t.after(() => socket.destroy());
      const got = { text: '', ended: false };
      socket.on('data', (chunk) => { got.text += chunk; });
      for (const event of ['end', 'error']) socket.on(event, () => { got.ended = true; });
      socket.write(`GET /${way} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      await until('the stream', () => got.text.includes('data: '));
      return got;
    }));
    await withDeadline('the worker to end', worker.terminate());
    await until('the streams to end', () => clients.every(({ ended }) => ended));
  }
});

test('a worker is terminated while a close, a drain and questions are under way', async (t) => {
  for (const last of ['hub.close()', 'hub.drain({ windowMs: 0, graceMs: 0 })', 'for (let i = 0; i < 20; i += 1) hub.connections()']) {
    const worker = new Worker(`${SERVING}
      parentPort.once('message', () => { ${last}; parentPort.postMessage('begun'); });`, { eval: true });
    t.after(() => worker.terminate());
    await withDeadline('the worker', once(worker, 'message'));
    worker.postMessage('begin');
    await withDeadline('the call', once(worker, 'message'));
    await withDeadline('the worker to end', worker.terminate());
  }
});

test('workers and this thread have notices of their own at once', async (t) => {
  const hub = open(t, { shards: 1 });
  const workers = Array.from({ length: 4 }, () => new Worker(`
    const { parentPort } = require('node:worker_threads');
    const { Hub } = require('fanfare');
    const hub = new Hub({ shards: 1 });
    const notices = hub.notices().ref();
    const stream = hub.subscribe('a', { tag: 'worker' });
    notices.next().then(async ({ value }) => {
      parentPort.postMessage(value.tag);
      stream.close();
      await hub.close();
      notices.close();
    });`, { eval: true }));
  const exits = workers.map((worker) => once(worker, 'exit'));
  const notices = hub.notices();
  const stream = hub.subscribe('a', { tag: 'main' });
  const tags = await withDeadline('the workers', Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0])));
  assert.deepEqual(tags, ['worker', 'worker', 'worker', 'worker']);
  assert.equal((await withDeadline('the notice', notices.next())).value.tag, 'main');
  stream.close();
  await withDeadline('the ends', Promise.all(exits));
});

test('a process exits from within a handler', async () => {
  for (const source of [
    "hub.on('connected', () => process.exit(7)); globalThis.stream = hub.subscribe('a')",
    "hub.authorize(() => process.exit(7)); fetch('http://127.0.0.1:' + hub.listen().port + '/events?topic=a')",
    "hub.subscribe('a').read().then(() => process.exit(7))",
    "hub.close().then(() => process.exit(7))",
    "hub.close(); process.exit(7)",
    // In a handler of the program's own server: before the answer, while it begins, and with a stream.
    "serve((req, res) => { void hub.handle(req, res, { topics: 'a' }); process.exit(7); })",
    "serve((req, res) => { process.nextTick(() => process.exit(7)); return hub.handle(req, res, { topics: 'a' }); })",
    "serve((req, res) => hub.handle(req, res, { topics: 'a' }).then(() => process.exit(7)))",
    "serve((req, res) => hub.handle(req, res, { topics: 'a', handover: 'never' }).then(() => { hub.publish('a', 'b'); process.exit(7); }))",
  ]) {
    await assert.rejects(run(`
      const { Hub } = require('fanfare');
      const hub = new Hub({ shards: 1 });
      const serve = (handler) => {
        const server = require('node:http').createServer(handler);
        server.listen(0, '127.0.0.1', () => fetch('http://127.0.0.1:' + server.address().port).catch(() => {}));
      };
      ${source};
      setTimeout(() => {}, 60_000);
    `), ({ code, stderr }) => {
      assert.deepEqual([code, stderr], [7, ''], source);
      return true;
    });
  }
});

test('what was published before the end of the process reaches its clients', () => (
  promisify(execFile)(process.execPath, ['test/smoke-exit.mjs'], { cwd: folder })
));

test('garbage ends: hubs, streams, handles, authorizers and lists that nobody closed', async () => {
  await run(`
    const { readdirSync } = require('node:fs');
    const { Hub, Tokens, Tickets, TicketAuthorizer, FunctionAuthorizer, SigningKey } = require('fanfare');
    const threads = () => readdirSync('/proc/self/task').length;
    const secret = 'a secret of at least thirty-two bytes';
    (async () => {
      const hub = new Hub({ shards: 1 });
      hub.subscribe('a').close();
      const before = threads();
      for (let i = 0; i < 20; i += 1) {
        const other = new Hub({ shards: 4 });
        other.topic('a').publish('b');
        other.subscribe('a').tryRead();
        hub.subscribe('a');
        new TicketAuthorizer(new Tokens(secret), new Tickets());
        new SigningKey(secret).sign({ topics: 'a', expiresAt: Date.now() + 60_000 });
      }
      const began = Date.now();
      while (threads() > before + 8 || hub.metrics().connections > 0) {
        if (Date.now() - began > 30_000) throw new Error(threads() + ' threads, ' + hub.metrics().connections + ' streams');
        const collecting = Date.now();
        global.gc();
        if (Date.now() - collecting > 1000) throw new Error('a finalizer has blocked');
        await new Promise((resolve) => setImmediate(resolve));
      }
      // A handle keeps its hub, whoever has dropped that.
      const topic = (() => new Hub({ shards: 1 }).topic('a'))();
      for (let i = 0; i < 10; i += 1) {
        global.gc();
        await new Promise((resolve) => setImmediate(resolve));
        topic.publish('b');
      }
    })();
  `, ['--expose-gc']);
});

test('a finalizer does not wait for a client that does not read', async () => {
  await run(`
    const { connect } = require('node:net');
    const { Hub } = require('fanfare');
    const client = (port) => new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('GET /events?topic=a HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'));
      socket.once('readable', () => { socket.pause(); resolve(socket); });
    });
    (async () => {
      const served = await (async () => {
        const hub = new Hub({ shards: 1 });
        const listener = hub.listen();
        const socket = await client(listener.port);
        for (let i = 0; i < 10_000; i += 1) {
          try { hub.publish('a', 'x'.repeat(4096)); } catch (error) { if (error.code !== 'FANFARE_ERR_FULL') throw error; break; }
        }
        listener.close();
        return socket;
      })();
      let longest = 0;
      for (let i = 0; i < 20; i += 1) {
        const began = performance.now();
        global.gc();
        longest = Math.max(longest, performance.now() - began);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      if (longest > 1000) throw new Error('it has blocked for ' + longest + ' ms');
      served.destroy();
    })();
  `, ['--expose-gc']);
});

test("what is no object of the addon's, or is closed, is refused", async () => {
  const require = createRequire(import.meta.url);
  const native = require(join(dirname(require.resolve('fanfare')), 'lib/native.js'));
  const hub = native.open({ shards: 1 });
  const topic = native.topic('a');
  for (const wrong of [undefined, null, 1, {}, topic, new Hub({ shards: 1 })]) {
    for (const call of ['publishMany', 'close', 'listen', 'subscribe', 'metrics', 'rules', 'connections', 'publisher', 'adopt', 'drain']) {
      assert.throws(() => native[call](wrong), { code: 'ERR_INVALID_ARG_TYPE' }, call);
    }
  }
  assert.throws(() => native.publisher(hub, hub), { code: 'ERR_INVALID_ARG_TYPE', message: 'this is no Topic of fanfare' });
  assert.throws(() => native.streamNext(hub), { code: 'ERR_INVALID_ARG_TYPE' });
  const stream = native.subscribe(hub, 'a', {});
  native.streamClose(stream);
  native.streamClose(stream);
  assert.throws(() => native.streamNext(stream), { code: 'FANFARE_ERR_ENDED' });
  assert.throws(() => native.streamNotify(stream, 1), Error);
  await native.close(hub);
  await native.close(hub);
  assert.throws(() => native.subscribe(hub, 'a', {}), { code: 'FANFARE_ERR_CLOSED' });
});

test('options that run code while they are read do no harm', async (t) => {
  const hub = open(t, { shards: 1 });
  const bytes = new Uint8Array(new ArrayBuffer(64)).fill(120);
  const json = hub.publish('a', bytes, { get name() { structuredClone(bytes.buffer, { transfer: [bytes.buffer] }); return 'x'; } });
  assert.ok(json);
  assert.throws(() => hub.subscribe('a', { get tag() { throw new Error('thrown by a getter'); } }), /thrown by a getter/);
  assert.throws(() => hub.subscribe(new Proxy([], { get(target, name) { if (name === '0') throw new Error('thrown by a proxy'); return name === 'length' ? 1 : target[name]; } })));
  try {
    hub.subscribe('a', { get tag() { hub.close(); return 'closing'; } }).close();
  } catch (error) {
    // The hub may be closed before it is asked.
    assert.equal(error.code, 'FANFARE_ERR_CLOSED');
  }
  await until('the hub to close', () => hub.metrics().livingShards === 0);
});

test('a request is aborted while a stream is handed over or authorized', async (t) => {
  const hub = open(t, { shards: 1 });
  hub.authorize(() => new Promise((resolve) => { setTimeout(() => resolve(true), 2); }));
  const { port } = hub.listen();
  for (let i = 0; i < 30; i += 1) {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.write('GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await new Promise((resolve) => { setTimeout(resolve, i % 5); });
    socket.resetAndDestroy();
  }
  await until('all to be gone', () => hub.metrics().connections === 0 && hub.metrics().pendingConnections === 0);
});

for (const way of ['adopt', 'handle', 'never']) {
  test(`clients that come and go leave nothing behind: ${way}`, async () => {
    // It fails when a descriptor is left, or the heap has grown.
    await promisify(execFile)(process.execPath, ['--expose-gc', 'bench/handovers.mjs', '3000', way], { cwd: folder });
  });
}
