// What the engine refuses is an error that has a code and says what to do.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Hub } from 'fanfare';
import { clientThatDoesNotRead, listen, open, statusOf, until } from './client.js';

const root = join(import.meta.dirname, '..');

const REFUSED = [
  ['an empty topic', 'FANFARE_ERR_TOPIC', '', 'a'],
  ['a topic with a wildcard', 'FANFARE_ERR_TOPIC', 'a+', 'a'],
  ['a topic that is too long', 'FANFARE_ERR_TOPIC', 'a'.repeat(257), 'a'],
  ['nothing at all', 'FANFARE_ERR_EVENT', 'news', {}],
  ['an empty name', 'FANFARE_ERR_EVENT', 'news', { data: 'a', name: '' }],
  ['a name with a line break', 'FANFARE_ERR_EVENT', 'news', { data: 'a', name: 'a\nb' }],
  ['an id with a NUL', 'FANFARE_ERR_EVENT', 'news', { data: 'a', id: 'a\0' }],
  ['an empty key', 'FANFARE_ERR_EVENT', 'news', { data: 'a', key: '' }],
  ['a negative time', 'FANFARE_ERR_EVENT', 'news', { data: 'a', retryMs: -1 }],
  ['half a millisecond', 'FANFARE_ERR_EVENT', 'news', { data: 'a', retryMs: 0.5 }],
  ['bytes that are not UTF-8', 'FANFARE_ERR_UTF8', 'news', Buffer.from([0xff])],
  ['too much data', 'FANFARE_ERR_TOO_LARGE', 'news', 'a'.repeat(1001)],
  ['a number as data', 'ERR_INVALID_ARG_TYPE', 'news', { data: 1 }],
  ['bytes as a name', 'ERR_INVALID_ARG_TYPE', 'news', { data: 'a', name: Buffer.from('a') }],
  ['a number as the topic', 'ERR_INVALID_ARG_TYPE', 1, 'a'],
];

for (const [what, code, topic, event] of REFUSED) {
  test(`${what} is refused and delivered to no client`, async (t) => {
    const hub = open(t, { shards: 1, eventBytesMax: 1000 });
    const { next } = await listen(t, hub.listen(), ['news']);
    assert.throws(() => hub.publish(topic, event), { code });
    hub.publish('news', 'taken');
    assert.equal((await next()).data, 'taken');
  });
}

test('an error says what to do', (t) => {
  const hub = open(t, { shards: 1 });
  assert.throws(() => hub.publish('+', 'a'), /^Error: the topic must be 1 to 256 bytes of UTF-8/);
});

test('an option out of its bounds is refused with what it may be', () => {
  assert.throws(() => new Hub({ shards: 0 }), {
    code: 'FANFARE_ERR_OPTIONS',
    message: 'the option shards is out of bounds: it may be 1 to 256',
  });
  for (const shards of [-1, 0.5, NaN, 2 ** 64]) {
    assert.throws(() => new Hub({ shards }), {
      code: 'FANFARE_ERR_OPTIONS',
      message: 'the option shards is out of bounds: it may be a whole number from 0 to 2^53 - 1',
    });
  }
  assert.throws(() => new Hub({ shards: '1' }), TypeError);
  for (const anyHost of [1, 'true', null]) {
    assert.throws(() => new Hub({ anyHost }), /^TypeError: anyHost must be a boolean$/);
  }
});

for (const lagGracePercent of [0, 1, 100, undefined]) {
  test(`a share of grace of ${lagGracePercent} is taken`, (t) => {
    assert.ok(open(t, { shards: 1, lagGracePercent }).publish('news', 'a'));
  });
}

for (const [anyHost, status] of [[undefined, 421], [false, 421], [true, 200]]) {
  test(`a request by another name gets ${status} when anyHost is ${anyHost}`, async (t) => {
    const port = open(t, { shards: 1, anyHost }).listen();
    assert.equal(await statusOf(t, port, 'localhost'), 200);
    assert.equal(await statusOf(t, port, 'app.example'), status);
  });
}

test('an unknown option is refused', () => {
  assert.throws(() => new Hub({ heartbeat: 1 }), /^TypeError: Hub has no option heartbeat$/);
});

test('there is a name for each code of the header', async () => {
  const header = await readFile(join(root, '../../include/fanfare.h'), 'utf8');
  const codes = [...header.matchAll(/^ {2}(FANFARE_ERR_\w+) = -/gm)].map(([, code]) => code);
  assert.ok(codes.length >= 12);
  const types = await readFile(join(root, 'index.d.ts'), 'utf8');
  assert.deepEqual([...types.matchAll(/\| '(\w+)'/g)].map(([, code]) => code), codes);
  const addon = await readFile(join(root, 'src/addon.c'), 'utf8');
  assert.deepEqual([...addon.matchAll(/case (\w+): return "\1";/g)].map(([, code]) => code), codes);
});

test('an address that is none, or is in use, is refused', (t) => {
  const hub = open(t, { shards: 1 });
  for (const addr of ['', 'nonsense', '127.0.0.1:65536', `127.0.0.1:${hub.listen()}`]) {
    assert.throws(() => hub.listen(addr), { code: 'FANFARE_ERR_ADDRESS' });
  }
  assert.throws(() => hub.listen(8080), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('a topic is full until a client that did not read reads on', async (t) => {
  // The client is waited for, for a tenth of the grace while it takes nothing; at less than 100
  // percent not while it has just come.
  const patient = { lagGraceMs: 600_000, lagAgeMaxMs: 600_000, lagGracePercent: 100 };
  const hub = open(t, { shards: 1, topicBacklogBytesMax: 1, lagBytesMax: 1 << 16, ...patient });
  const client = await clientThatDoesNotRead(t, hub.listen(), 'news');
  let published = 0;
  let fullInARow = 0;
  const publish = () => {
    try {
      hub.publish('news', 'a'.repeat(4096));
      published += 1;
      fullInARow = 0;
    } catch (error) {
      assert.equal(error.code, 'FANFARE_ERR_FULL');
      fullInARow += 1;
    }
    return fullInARow === 0;
  };

  // Every now and then it is full because the engine's thread has not come to it yet.
  await until('the topic to stay full', () => {
    while (publish());
    return fullInARow > 50;
  });
  const before = published;
  client.resume();
  await until('the backlog is released', publish);
  assert.equal(published, before + 1);
});

test('an addon that was not built is an error that says what to do', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-'));
  t.after(() => rm(folder, { recursive: true }));
  await cp(join(root, 'index.js'), join(folder, 'index.mjs'));
  const loading = promisify(execFile)(process.execPath, [join(folder, 'index.mjs')]);
  await assert.rejects(loading, ({ code, stderr }) => {
    assert.equal(code, 1);
    assert.match(stderr, /Error: fanfare's addon cannot be loaded: .*make capi.*npm run build/);
    return true;
  });
});
