// Streams that end: a run of tokens that a page opens with fetch and reads from its start after each
// reload, and an EventSource that stays away after the end.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { heardEvents, launch, listening, openPage } from './chromium.js';
import { startProxy } from './proxy.js';
import { startServer } from './server.js';

const TOKENS = 2_000;
const RUNS = [
  '--route', '/runs/{id}/events:topic=run/{id},methods=GET+POST',
  '--rule', 'run/#:events=10000,bytes=8MiB,age=1h,after-finish=10m',
  '--start', 'earliest', '--retry', '50ms',
];

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const token = (n) => `${n} ${['wörd', 'two\nlines', '', '🎺'][n % 4]}`;

/** Publishes tokens of a run, from one number to another. */
async function say(server, topic, from, to) {
  const lines = Array.from({ length: to - from }, (_, i) => `${JSON.stringify({ topic, data: token(from + i) })}\n`);
  const headers = { 'content-type': 'application/x-ndjson' };
  const answer = await fetch(`${server.control}/publish`, { method: 'POST', headers, body: lines.join('') });
  assert.equal((await answer.json()).published, to - from);
}

/** Reads a run in the page with fetch and POST, from when the page is loaded on. */
function readRun(url) {
  const run = { events: [], status: 0, isWhole: false, error: null };
  window.run = run;
  (async () => {
    const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ prompt: 'say something' }) });
    run.status = answer.status;
    let rest = '';
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const of = (name) => block.split('\n').filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
        if (of('data').length > 0) run.events.push([of('event')[0] ?? 'message', of('data').join('\n')]);
      }
    }
    run.isWhole = rest === '';
  })().catch((error) => { run.error = String(error); });
}

test('a run of 2,000 tokens is read by fetch with POST, from its start after each of three reloads, and complete', async (t) => {
  const server = await startServer(t, { args: RUNS });
  const page = await openPage(t, browser, `${server.url}/healthz`);
  const url = `${server.url}/runs/7/events`;
  const at = (count) => page.waitForFunction((n) => window.run.events.length >= n || window.run.error, count);

  await page.addInitScript(readRun, url);
  await page.reload();
  let said = 0;
  for (const [reload, until] of [300, 900, 1_500].entries()) {
    await say(server, 'run/7', said, until);
    said = until;
    // In the middle of what the page has read, and of what it has not.
    await at(until - 50);
    await page.reload();
    await say(server, 'run/7', said, said + 100);
    said += 100;
    await at(said);
    assert.equal(await page.evaluate(() => window.run.status), 200, `after reload ${reload + 1}`);
    const first = await page.evaluate(() => window.run.events[0]);
    assert.deepEqual(first, ['message', token(0)], 'it is read from its start');
  }
  await say(server, 'run/7', said, TOKENS);
  await server.finish('run/7', 'complete', { event: 'end' });
  await page.waitForFunction(() => window.run.isWhole || window.run.error);
  const all = [...Array.from({ length: TOKENS }, (_, n) => ['message', token(n)]), ['end', 'complete']];
  assert.deepEqual(await page.evaluate(() => window.run.events), all);

  // A page that opens it after its end reads the same, and the end.
  await page.reload();
  await page.waitForFunction(() => window.run.isWhole || window.run.error);
  assert.deepEqual(await page.evaluate(() => window.run.events), all);
  assert.equal(await page.evaluate(() => window.run.error), null);
});

test('an EventSource on a finished topic makes one request after the end, is told 204, and stays closed', async (t) => {
  const server = await startServer(t, { args: RUNS });
  const proxy = await startProxy(t, server);
  const page = await openPage(t, browser, proxy.emptyPage);
  for (const [nth, last] of [undefined, 'the last one'].entries()) {
    const topic = `run/${nth}`;
    const earlier = proxy.requests.length;
    const heard = await listening(page, proxy.events(topic));
    await server.publish(topic, 'one');
    await server.finish(topic, last);
    const events = await heardEvents(page, heard, last ? 2 : 1);
    assert.deepEqual(events.map((e) => e.data), last ? ['one', last] : ['one']);
    await page.waitForFunction((h) => h.source.readyState === EventSource.CLOSED, heard);
    // It would come back every 50 ms to 100 ms: ten of these times, measured by the page itself.
    await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 1_000); }));
    assert.equal(proxy.requests.length, earlier + 2, 'one request, and one after the end');
    assert.match(proxy.requests.at(-1), /^last-event-id: /im);
    assert.equal(await heard.evaluate((h) => h.opened), 1);
    // A page that opens it later, without an id, is sent what is kept.
    const late = await listening(page, proxy.events(topic));
    assert.equal((await heardEvents(page, late, events.length)).length, events.length);
    await page.waitForFunction((h) => h.source.readyState === EventSource.CLOSED, late);
    assert.equal(proxy.requests.length, earlier + 4);
  }
});

test('a stream of two topics goes on until the second is finished', async (t) => {
  const server = await startServer(t, { args: RUNS });
  const proxy = await startProxy(t, server);
  const page = await openPage(t, browser, proxy.emptyPage);
  const heard = await listening(page, proxy.events('run/a', 'run/b'));
  await server.publish('run/a', 'a');
  await server.finish('run/a');
  await server.publish('run/b', 'b');
  assert.deepEqual((await heardEvents(page, heard, 2)).map((e) => e.data), ['a', 'b']);
  assert.deepEqual([proxy.requests.length, await heard.evaluate((h) => h.errors)], [1, 0]);
  await server.finish('run/b', 'the end');
  assert.deepEqual((await heardEvents(page, heard, 3)).map((e) => e.data), ['a', 'b', 'the end']);
  await page.waitForFunction((h) => h.source.readyState === EventSource.CLOSED, heard);
  assert.equal(proxy.requests.length, 2);
});
