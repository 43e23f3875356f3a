// What the engine refuses is an error that has a code and says what to do.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Hub } from 'fanfare';
import { clientThatDoesNotRead, listen, open, repository, statusOf, until } from './client.mjs';

const root = join(repository, 'bindings/node');

const REFUSED = [
  ['an empty topic', 'FANFARE_ERR_TOPIC', '', 'a'],
  ['a topic with a wildcard', 'FANFARE_ERR_TOPIC', 'a+', 'a'],
  ['a topic that is too long', 'FANFARE_ERR_TOPIC', 'a'.repeat(257), 'a'],
  ['nothing at all', 'FANFARE_ERR_EVENT', 'news', undefined],
  ['an empty name', 'FANFARE_ERR_EVENT', 'news', 'a', { name: '' }],
  ['a name with a line break', 'FANFARE_ERR_EVENT', 'news', 'a', { name: 'a\nb' }],
  ['an id with a NUL', 'FANFARE_ERR_EVENT', 'news', 'a', { id: 'a\0' }],
  ['an empty key', 'FANFARE_ERR_EVENT', 'news', 'a', { key: '' }],
  ['a negative time', 'FANFARE_ERR_EVENT', 'news', 'a', { retryMs: -1 }],
  ['half a millisecond', 'FANFARE_ERR_EVENT', 'news', 'a', { retryMs: 0.5 }],
  ['bytes that are not UTF-8', 'FANFARE_ERR_UTF8', 'news', Buffer.from([0xff])],
  ['too much data', 'FANFARE_ERR_TOO_LARGE', 'news', 'a'.repeat(1001)],
  ['a number as data', 'ERR_INVALID_ARG_TYPE', 'news', 1],
  ['bytes as a name', 'ERR_INVALID_ARG_TYPE', 'news', 'a', { name: Buffer.from('a') }],
  ['an option that there is not', 'ERR_INVALID_ARG_TYPE', 'news', 'a', { event: 'a' }],
  ['a value that JSON does not have', 'ERR_INVALID_ARG_TYPE', 'news', { json: undefined }],
  ['a window that is too long', 'FANFARE_ERR_EVENT', 'news', 'a', { windowMs: 300_001 }],
  ['no topic', 'FANFARE_ERR_ARGUMENT', [], 'a'],
  ['too many topics', 'FANFARE_ERR_TOO_MANY', Array.from({ length: 65 }, (_, i) => `${i}`), 'a'],
  ['a number as the topic', 'ERR_INVALID_ARG_TYPE', 1, 'a'],
];

for (const [what, code, topic, data, options] of REFUSED) {
  test(`${what} is refused and delivered to no client`, async (t) => {
    const hub = open(t, { shards: 1, eventBytesMax: 1000 });
    const { next } = await listen(t, hub.listen().port, ['news']);
    assert.throws(() => hub.publish(topic, data, options), { code });
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
    const port = open(t, { shards: 1, anyHost }).listen().port;
    assert.equal(await statusOf(t, port, 'localhost'), 200);
    assert.equal(await statusOf(t, port, 'app.example'), status);
  });
}

test('an unknown option is refused', () => {
  assert.throws(() => new Hub({ heartbeat: 1 }), /^TypeError: Hub has no option heartbeat$/);
});

test('there is a name for each code of the header', async () => {
  const header = await readFile(join(repository, 'include/fanfare.h'), 'utf8');
  const codes = [...header.matchAll(/^ {2}(FANFARE_ERR_\w+) = -/gm)].map(([, code]) => code);
  assert.ok(codes.length >= 12);
  const types = await readFile(join(root, 'types/errors.d.ts'), 'utf8');
  assert.deepEqual([...types.matchAll(/\| '(\w+)'/g)].map(([, code]) => code), codes);
  const addon = await readFile(join(root, 'src/errors.c'), 'utf8');
  assert.deepEqual([...addon.matchAll(/case (\w+): return "\1";/g)].map(([, code]) => code), codes);
});

test('an address that is none, or is in use, is refused', (t) => {
  const hub = open(t, { shards: 1 });
  for (const addr of ['', 'nonsense', '127.0.0.1:65536', `127.0.0.1:${hub.listen().port}`]) {
    assert.throws(() => hub.listen(addr), { code: 'FANFARE_ERR_ADDRESS' });
  }
  assert.throws(() => hub.listen(1), { code: 'FANFARE_ERR_ADDRESS' });
  assert.throws(() => hub.listen(true), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('a topic is full until a client that did not read reads on', async (t) => {
  // The client is waited for, for a tenth of the grace while it takes nothing; at less than 100
  // percent not while it has just come.
  const patient = { lagGraceMs: 600_000, lagAgeMaxMs: 600_000, lagGracePercent: 100 };
  const hub = open(t, { shards: 1, topicBacklogBytesMax: 1, lagBytesMax: 1 << 16, ...patient });
  const client = await clientThatDoesNotRead(t, hub.listen().port, 'news');
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

test('an addon that is not there, or does not load, is an error that says what to do', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-'));
  t.after(() => rm(folder, { recursive: true }));
  await cp(join(root, 'lib'), join(folder, 'lib'), { recursive: true });
  await cp(join(root, 'index.js'), join(folder, 'index.js'));
  const { platform } = createRequire(import.meta.url)(join(root, 'lib/platform.js'));
  const addon = join(folder, 'prebuilds', platform(), 'fanfare.node');
  const loading = () => promisify(execFile)(process.execPath, [join(folder, 'index.js')]);
  const failed = (why) => ({ code, stderr }) => {
    assert.equal(code, 1);
    assert.match(stderr, /Error: fanfare's addon cannot be loaded: .*make capi.*npm run build/);
    assert.ok(stderr.includes(`It was sought at ${addon}.`), stderr);
    assert.match(stderr, why);
    return true;
  };
  await assert.rejects(loading(), failed(/Cannot find module/));
  await mkdir(dirname(addon), { recursive: true });
  await writeFile(addon, 'this is no addon');
  await assert.rejects(loading(), failed(/file too short|invalid ELF|not a mach-o|Exec format error/));
});
