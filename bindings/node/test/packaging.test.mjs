// The package, and its prebuilt addons.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as fanfare from 'fanfare';
import { repository } from './client.mjs';

const require = createRequire(import.meta.url);
const installed = dirname(require.resolve('fanfare/package.json'));
const { libcOf, platform } = require(join(installed, 'lib/platform.js'));

async function folderOf(t) {
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test('what is exported is the same by import and by require', () => {
  const required = require('fanfare');
  const names = Object.keys(fanfare).filter((name) => name !== 'default' && name !== 'module.exports');
  assert.deepEqual(names.sort(), Object.keys(required).sort());
  for (const name of names) assert.equal(fanfare[name], required[name]);
});

test('nothing runs when the package is installed', async () => {
  const { scripts, gypfile, dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'));
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) assert.equal(scripts[script], undefined);
  assert.equal(gypfile, undefined);
  assert.equal(dependencies, undefined);
  await assert.rejects(readFile(join(installed, 'binding.gyp')), { code: 'ENOENT' });
});

test('the libc is that of the process', async (t) => {
  const folder = await folderOf(t);
  const maps = async (text) => {
    await writeFile(join(folder, 'maps'), text);
    return join(folder, 'maps');
  };
  const glibc = await maps('7f00-7f01 r-xp 00000000 fe:01 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n');
  assert.equal(libcOf({}, glibc), 'glibc');
  assert.equal(libcOf({ report: { getReport: () => ({ header: {} }) } }, glibc), 'glibc');
  assert.equal(libcOf({ report: { getReport: () => { throw new Error('denied'); } } }, glibc), 'glibc');
  const musl = await maps('7f00-7f01 r-xp 00000000 fe:01 1 /lib/ld-musl-x86_64.so.1\n');
  assert.equal(libcOf({}, musl), 'musl');
  assert.equal(libcOf({ report: { getReport: () => ({ header: {} }) } }, musl), 'musl');
  const debian = await maps('7f00-7f01 r-xp 00000000 fe:01 1 /usr/lib/x86_64-linux-musl/libc.so\n');
  assert.equal(libcOf({ report: { getReport: () => ({ header: {} }) } }, debian), 'musl');
  assert.equal(libcOf({ report: { getReport: () => ({ header: { glibcVersionRuntime: '2.36' } }) } }, musl), 'glibc');
  assert.equal(libcOf({ report: { getReport: () => ({ header: {} }) } }, join(folder, 'none')), 'musl');
});

test('an addon in the folder of another libc, or that needs a newer one, is found', { skip: process.platform !== 'linux' }, async (t) => {
  const folder = await folderOf(t);
  const addon = join(installed, 'prebuilds', platform(), 'fanfare.node');
  const check = (file, env = {}) => promisify(execFile)(
    join(repository, 'bindings/node/scripts/check-prebuilds'), [file], { env: { ...process.env, ...env } },
  );
  await check(addon);
  const other = join(folder, platform().endsWith('-musl') ? 'linux-x64-glibc' : 'linux-x64-musl', 'fanfare.node');
  await mkdir(dirname(other));
  await cp(addon, other);
  await assert.rejects(check(other), ({ stderr }) => /it needs glibc|it does not need glibc/.test(stderr));
  if (platform().endsWith('-glibc')) {
    await assert.rejects(check(addon, { GLIBC_MAX: '2.1' }), ({ stderr }) => /and may need 2\.1$/m.test(stderr));
  }
});
