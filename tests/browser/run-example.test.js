// The example of resumable runs, examples/run.rs, as its page is used.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { launch, openPage } from './chromium.js';
import { withDeadline } from './server.js';

const EXAMPLE = path.resolve(import.meta.dirname, '../../target/release/examples/run');
const WORDS = 2_000;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** Starts the example on a free port, and ends it with the test `t`. Returns its page's address. */
async function startExample(t) {
  const child = spawn(EXAMPLE, ['127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await withDeadline('its address', once(createInterface({ input: child.stdout }), 'line'));
  return line;
}

const textOf = (page) => page.evaluate(() => document.getElementById('text').textContent);
const stateIs = (page, state) => page.waitForFunction((s) => document.getElementById('state').textContent === s, state);
const wordsAre = (page, count) => page.waitForFunction((n) => document.getElementById('text').textContent.split(' ').length > n, count);

test('the page of the example reads a run from its start after each reload, and whole', async (t) => {
  const page = await openPage(t, browser, await startExample(t));
  for (const words of [100, 400, 700]) {
    await wordsAre(page, words);
    await page.reload();
  }
  await stateIs(page, 'complete');
  const text = await textOf(page);
  assert.equal(text.split(' ').length - 1, WORDS);
  assert.ok(text.startsWith('A page may be reloaded in the middle of an answer and misses nothing of it. A page'), text.slice(0, 100));
  await page.reload();
  await stateIs(page, 'complete');
  assert.equal(await textOf(page), text, 'a page that opens it after its end reads the same');
});

test('the page of the example stops a run, which then has an end that says so', async (t) => {
  const page = await openPage(t, browser, await startExample(t));
  await wordsAre(page, 20);
  await page.click('#stop');
  await stateIs(page, 'stopped');
  const text = await textOf(page);
  assert.ok(text.split(' ').length < WORDS);
  await page.click('#new');
  await wordsAre(page, 20);
});
