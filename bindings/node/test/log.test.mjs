// The engine's log, which a function is given.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Hub, logTo } from 'fanfare';
import { listen, open, until, withDeadline } from './client.mjs';

/** Has the engine log a warning: no process has so many descriptors. */
const provokeAWarning = () => new Hub({ shards: 1, connectionsMax: 10_000_000 }).close();

/** Keeps the log of a test. */
function kept(t, options) {
  const records = [];
  t.after(() => logTo(null));
  logTo((record) => records.push(record), options);
  return records;
}

test('a function is given what the engine logs, until another one is or none', async (t) => {
  await provokeAWarning();
  const before = Date.now();
  const first = kept(t);
  await provokeAWarning();
  await until('a record', () => first.length === 1);
  const [{ message, at, ...others }] = first;
  assert.deepEqual(others, { level: 'warn', target: 'fanfare::hub', isCut: false, lost: 0 });
  assert.match(message, /connections_max/);
  assert.ok(at >= before - 1 && at <= Date.now(), `${at}`);
  const second = kept(t);
  await provokeAWarning();
  await until('a record', () => second.length === 1);
  logTo(null);
  logTo(undefined);
  const third = kept(t);
  await provokeAWarning();
  await until('a record', () => third.length === 1);
  assert.deepEqual([first.length, second.length], [1, 1]);
});

test('the engine is asked for records up to a level', async (t) => {
  const records = kept(t, { level: 'error' });
  await provokeAWarning();
  kept(t, { level: 'trace' });
  const all = kept(t, { level: 'debug' });
  const hub = open(t, { shards: 1 });
  const { close } = await listen(t, hub.listen().port, ['a']);
  close();
  await until('what happens with a connection', () => all.some(({ level }) => level === 'debug'));
  assert.ok(all.every(({ level }) => ['error', 'warn', 'info', 'debug'].includes(level)));
  assert.deepEqual(records, []);
});

test('what is not taken in time is lost, and the next record says how much', async (t) => {
  const records = kept(t, { capacity: 2 });
  // This thread takes nothing before its next turn.
  const closing = Array.from({ length: 5 }, provokeAWarning);
  await until('the records that there was room for', () => records.length === 2);
  await provokeAWarning();
  await until('the next record', () => records.length === 3);
  assert.deepEqual(records.map(({ lost }) => lost), [0, 0, 3]);
  await Promise.all(closing);
});

test('what is no function, level or capacity is refused, and the function of before has the log', async (t) => {
  const records = kept(t);
  for (const [take, options, code] of [
    [console, {}, 'ERR_INVALID_ARG_TYPE'],
    [() => {}, { level: 'off' }, 'FANFARE_ERR_OPTIONS'],
    [() => {}, { level: 2 }, 'FANFARE_ERR_OPTIONS'],
    [() => {}, { capacity: 0 }, 'FANFARE_ERR_OPTIONS'],
    [() => {}, { capacity: 65_537 }, 'FANFARE_ERR_OPTIONS'],
    [() => {}, { capacity: 1.5 }, 'FANFARE_ERR_OPTIONS'],
    [() => {}, { capacity: '1' }, 'ERR_INVALID_ARG_TYPE'],
  ]) {
    assert.throws(() => logTo(take, options), { code }, JSON.stringify(options));
  }
  await provokeAWarning();
  await until('a record', () => records.length === 1);
});

test('each worker has the log of the process, and may end with it', async (t) => {
  const records = kept(t);
  const workers = Array.from({ length: 3 }, () => new Worker(`
    const { parentPort } = require('node:worker_threads');
    const { logTo } = require('fanfare');
    logTo(({ message }) => { parentPort.postMessage(message); });
    parentPort.postMessage('ready');
    parentPort.once('message', () => {});
  `, { eval: true }));
  await withDeadline('the workers', Promise.all(workers.map((worker) => once(worker, 'message'))));
  const told = Promise.all(workers.map((worker) => once(worker, 'message')));
  await provokeAWarning();
  for (const [message] of await withDeadline('the records', told)) assert.match(message, /connections_max/);
  await withDeadline('the ends', Promise.all(workers.map((worker) => worker.terminate())));
  await provokeAWarning();
  await until('the records', () => records.length === 2);
});

test('the log keeps no process going, and goes on after a function that throws', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', `
    const { Hub, logTo } = require('fanfare');
    let count = 0;
    process.on('uncaughtException', ({ message }) => console.log(message));
    const provoke = () => new Hub({ shards: 1, connectionsMax: 10_000_000 }).close();
    logTo(() => {
      count += 1;
      if (count === 1) {
        provoke();
        throw new Error('thrown');
      }
      clearInterval(timer);
      console.log('again');
    });
    const timer = setInterval(() => {}, 60_000);
    provoke();
  `], { cwd: join(import.meta.dirname, '..') });
  assert.deepEqual(stdout.trim().split('\n'), ['thrown', 'again']);
});
