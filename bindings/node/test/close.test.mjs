// A hub ends when it is told to, and what waited is sent before.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Hub } from 'fanfare';
import { listen, open, withDeadline } from './client.mjs';

test('a client gets what was published and then the end', async (t) => {
  const hub = open(t, { shards: 1 });
  const { port } = hub.listen();
  const { next } = await listen(t, port, ['news']);
  for (let i = 0; i < 20; i += 1) hub.publish('news', String(i));
  await withDeadline('the hub to close', hub.close());
  for (let i = 0; i < 20; i += 1) assert.equal((await next()).data, String(i));
  assert.equal(await next(), null);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`), /fetch failed/);
});

test('a closed hub refuses everything but closing', async () => {
  const hub = new Hub({ shards: 1 });
  const closed = hub.close();
  assert.throws(() => hub.publish('news', 'a'), { code: 'FANFARE_ERR_CLOSED' });
  assert.throws(() => hub.listen(), { code: 'FANFARE_ERR_CLOSED', message: /^the hub is closed/ });
  assert.equal(hub.close(), closed);
  assert.equal(await closed, undefined);
});

test('a hub is closed at the end of its scope', async () => {
  const hub = new Hub({ shards: 1 });
  await hub[Symbol.asyncDispose]();
  assert.throws(() => hub.publish('news', 'a'), { code: 'FANFARE_ERR_CLOSED' });
});

test('a hub that was not closed does not keep the process going, and one that listens does', async (t) => {
  const idle = start(t, ['-e', "import('fanfare').then(({ Hub }) => new Hub().publish('a', 'b'))"]);
  assert.deepEqual(await withDeadline('the process to end', idle.exited), [0, null]);

  const listening = start(t, ['-e', `import('fanfare').then(({ Hub }) => {
    const hub = new Hub();
    process.once('SIGTERM', () => hub.close());
    console.log(hub.listen().port);
  })`]);
  const port = Number(await firstLine(listening));
  const { next } = await listen(t, port, ['news']);
  listening.kill('SIGTERM');
  assert.equal(await next(), null);
  assert.deepEqual(await withDeadline('the process to end', listening.exited), [0, null]);
});

test('an abandoned hub is closed', async (t) => {
  const child = start(t, ['--expose-gc', '-e', `import('fanfare').then(async ({ Hub }) => {
    const threads = () => require('node:fs').readdirSync('/proc/self/task').length;
    const before = threads();
    new Hub({ shards: 50 }).publish('a', 'b');
    if (threads() < before + 50) throw new Error('the hub has no threads');
    for (let i = 0; threads() > before + 25; i += 1) {
      if (i > 1000) throw new Error('the hub is still there');
      global.gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
  })`]);
  assert.deepEqual(await withDeadline('the process to end', child.exited), [0, null]);
});

test('the ticker ticks until it is interrupted', async (t) => {
  const ticker = start(t, ['examples/ticker.mjs', '127.0.0.1:0']);
  const port = Number(/:(\d+)\//.exec(await firstLine(ticker))[1]);
  const { next } = await listen(t, port, ['time'], ['tick']);
  assert.match((await next()).data, /^\d{4}-/);
  ticker.kill('SIGINT');
  while (await next() !== null);
  assert.deepEqual(await withDeadline('the process to end', ticker.exited), [0, null]);
});

/** Starts a process, whose `exited` resolves to its exit code and signal. */
function start(t, args) {
  const child = spawn(process.execPath, args, {
    cwd: join(import.meta.dirname, '..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return Object.assign(child, { exited: once(child, 'exit') });
}

async function firstLine(child) {
  const [line] = await withDeadline('a line', once(createInterface(child.stdout), 'line'));
  return line;
}
