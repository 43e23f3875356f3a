// The example of a language model's run under FastAPI, bindings/python/examples/model_run.py, as its page
// is used.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { launch, openPage } from './chromium.js';
import { withDeadline } from './server.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PYTHON = path.join(ROOT, '.venv/bin/python');
const PROMPT = Array.from({ length: 400 }, (_, nth) => `word${nth}`).join(' ');

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** Starts the example under uvicorn on a free port, and ends it with the test `t`. Returns its page's address. */
async function startExample(t) {
  const args = ['-m', 'uvicorn', '--port', '0', '--app-dir', path.join(ROOT, 'bindings/python/examples'), 'model_run:app'];
  const env = { FANFARE_LIB_DIR: path.join(ROOT, 'build/lib'), ...process.env };
  env.PYTHONPATH = path.join(ROOT, 'bindings/python/src');
  env.PAUSE_S = '0.01';
  const child = spawn(PYTHON, args, { stdio: ['ignore', 'inherit', 'pipe'], env });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stderr });
  return withDeadline('its address', (async () => {
    for await (const line of lines) {
      const address = /running on (http:\S+)/.exec(line)?.[1];
      if (address) return address;
    }
    throw new Error('uvicorn has ended');
  })());
}

const textOf = (page, id) => page.evaluate((name) => document.getElementById(name).textContent, id);
const wordsAre = (page, count) => page.waitForFunction((n) => document.getElementById('answer').textContent.split(' ').length > n, count);
const isDone = (page) => page.waitForFunction(() => document.getElementById('state').textContent === 'done');

test('a run that a page opens with POST goes on after each reload, and is read whole', async (t) => {
  const page = await openPage(t, browser, await startExample(t));
  await page.fill('input', PROMPT);
  await page.click('button');
  for (const words of [20, 120, 220]) {
    await wordsAre(page, words);
    await page.reload();
  }
  await isDone(page);
  assert.equal(await textOf(page, 'answer'), `You said: ${PROMPT} `);
  await page.reload();
  await isDone(page);
  assert.equal(await textOf(page, 'answer'), `You said: ${PROMPT} `, 'a page that opens it after its end reads the same');
});
