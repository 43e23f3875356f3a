// What a page gets when its stream is cut, or its server is started anew: the browser's own
// EventSource comes back by itself, and says what it had last.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { heardEvents, launch, listening, openOwnPage, openPage, watchReading } from './chromium.js';
import { startProxy } from './proxy.js';
import { freePort, startServer } from './server.js';

const EVENTS = 10_000;
const TOPICS = ['a', 'grüße & co', 'c'];
const GAP = 'fanfare-gap';
const RETRY = ['--retry', '50ms'];

// In the middle of what a stream consists of, and at its seams.
const CUTS = [
  { after: 20_000, behind: 'data: ', how: 'fin' }, // a field without its value
  { after: 90_000, behind: '\nid: ', how: 'rst' },
  { after: 150_000, behind: '\xc3', how: 'fin' }, // half a character
  { after: 0, behind: '', how: 'rst' }, // before the response's head
  { after: 30_000, behind: '\n\n', how: 'fin' }, // an event is whole, its chunk is not
  { after: 200_000, behind: '\r', how: 'fin' }, // between CR and LF of a chunk's end or size
  { after: 60_000, behind: '\ndata', how: 'rst' },
  { after: 500, behind: '\nevent: tick\n', how: 'fin' }, // in what is replayed, soon after the head
  { after: 120_000, behind: '\n', how: 'rst' },
];

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test('a page whose stream is cut again and again hears each of 10,000 events once, and in order', async (t) => {
  const server = await startServer(t, { args: [...RETRY, '--history-events-max', String(EVENTS), '--history-bytes-max', '16MiB'] });
  const proxy = await startProxy(t, server);
  proxy.cuts = structuredClone(CUTS);
  const page = await openPage(t, browser, proxy.emptyPage);
  const heard = await listening(page, proxy.events(...TOPICS), { names: ['tick', GAP] });

  // Every fourth event is for another topic; each event that is heard has its own number and
  // length.
  const published = Array.from({ length: EVENTS * 4 / 3 }, (_, n) => ({
    topic: [...TOPICS, 'other'][n % 4],
    data: `${n} ${'ü'.repeat(n % 150)}\n`,
    event: n % 5 ? undefined : 'tick',
  }));
  for (let n = 0; n < published.length; n += 100) {
    await publishAll(server, published.slice(n, n + 100));
    await pause(10); // so that the page is cut off from what comes, and not only from what was
  }

  const events = await heardEvents(page, heard, EVENTS);
  const epoch = events[0].id.split('-')[0];
  const wanted = published.flatMap(({ topic, data, event }, n) => (
    topic === 'other' ? [] : [{ type: event ?? 'message', data, id: `${epoch}-${n + 1}` }]));
  assert.equal(wanted.length, EVENTS);
  assert.deepEqual(firstDifference(events, wanted), undefined);
  assert.deepEqual(proxy.cuts, [], 'every cut was made');
  assert.equal(proxy.requests.length, CUTS.length + 1);
  // Nothing comes late either: what is published last is heard last.
  await server.publish('a', 'the end');
  assert.equal((await heardEvents(page, heard, EVENTS + 1)).at(-1).data, 'the end');
  assert.equal(await heard.evaluate((h) => h.events.length), EVENTS + 1);
});

test('a page whose server was killed and started anew is told so first, and hears all of the new life', async (t) => {
  const port = await freePort();
  const args = ['--retry', '200ms'];
  const first = await startServer(t, { port, args });
  const page = await openOwnPage(t, browser, first);
  const heard = await listening(page, first.events('a', 'b'), { names: [GAP] });
  const last = await first.publish('a', 'in the first life');
  await heardEvents(page, heard, 1);

  first.child.kill('SIGKILL');
  await first.ended;
  const second = await startServer(t, { port, args });
  const numbers = Array.from({ length: 40 }, (_, n) => String(n));
  const publish = (data) => publishAll(second, data.map((n) => ({ topic: n % 2 ? 'a' : 'b', data: n })));
  await publish(numbers.slice(0, 20));
  await page.waitForFunction((h) => h.opened === 2, heard);
  await publish(numbers.slice(20));

  const [, told, ...rest] = await heardEvents(page, heard, 2 + numbers.length);
  const [epoch] = rest[0].id.split('-');
  assert.notEqual(epoch, last.split('-')[0]);
  assert.equal(told.type, GAP);
  assert.deepEqual(JSON.parse(told.data), { from: last, to: `${epoch}-0`, reason: 'restarted', missed: null });
  assert.deepEqual(rest.map(({ type, data }) => [type, data]), numbers.map((n) => ['message', n]));
});

test('a page that was away for longer than events are kept is told so first, and hears what is kept', async (t) => {
  const server = await startServer(t, { args: [...RETRY, '--history-events-max', '5'] });
  const proxy = await startProxy(t, server);
  const page = await openPage(t, browser, proxy.emptyPage);
  const heard = await listening(page, proxy.events('news'), { names: [GAP] });
  const last = await server.publish('news', 'before');
  await heardEvents(page, heard, 1);
  // The browser has idle connections on which it would come back.
  await page.evaluate(() => Promise.all([fetch('/healthz'), fetch('/healthz')]));

  proxy.isAway = true;
  proxy.cut();
  const ids = [];
  for (let n = 0; n < 20; n += 1) ids.push(await server.publish('news', String(n)));
  proxy.isAway = false;

  const [, told, ...rest] = await heardEvents(page, heard, 7);
  assert.deepEqual([told.type, told.id], [GAP, ids[14]]);
  assert.deepEqual(JSON.parse(told.data), { from: last, to: ids[14], reason: 'expired', missed: null });
  assert.deepEqual(rest.map((e) => [e.data, e.id]), [15, 16, 17, 18, 19].map((n) => [String(n), ids[n]]));
});

for (const [form, first] of [['id', /^id: \S+\n\n/m], ['event', /^id: \S+\nevent: fanfare-heartbeat\ndata: \{\}\n\n/m]]) {
  test(`a page that had heard nothing yet hears what was published while it was cut off, since its stream began with an ${form}`, async (t) => {
    const server = await startServer(t, { args: RETRY });
    const proxy = await startProxy(t, server);
    await server.publish('news', 'before the page came');
    const page = await openPage(t, browser, proxy.emptyPage);
    const hasRead = await watchReading(page);
    const heard = await listening(page, `${proxy.events('news')}&heartbeat=${form}`, { names: [GAP] });
    await hasRead(await proxy.forwarded(first));

    proxy.isAway = true;
    proxy.cut();
    const id = await server.publish('news', 'while it was cut off');
    proxy.isAway = false;

    assert.deepEqual(await heardEvents(page, heard, 1), [{ type: 'message', data: 'while it was cut off', id }]);
  });
}

test('a page hears nothing of heartbeats that are comments, but of the events behind them', async (t) => {
  const server = await startServer(t, { args: [...RETRY, '--heartbeat', '100ms', '--heartbeat-form', 'comment'] });
  const proxy = await startProxy(t, server);
  const page = await openPage(t, browser, proxy.emptyPage);
  const heard = await listening(page, proxy.events('news'), { names: [GAP] });
  await proxy.forwarded(/^retry: \d+\n(:\n){3,}$/);
  const id = await server.publish('news', 'the first');
  assert.deepEqual(await heardEvents(page, heard, 1), [{ type: 'message', data: 'the first', id }]);
});

test('a page comes back with the id that the publisher gave an event, whatever its letters', async (t) => {
  const server = await startServer(t, { args: RETRY });
  const proxy = await startProxy(t, server);
  const page = await openPage(t, browser, proxy.emptyPage);
  const heard = await listening(page, proxy.events('orders', 'news'), { names: [GAP] });
  await server.publish('orders', 'one', { id: 'größe 🎺 1' });
  await heardEvents(page, heard, 1);

  proxy.isAway = true;
  proxy.cut();
  await server.publish('orders', 'two', { id: 'größe 🎺 2' });
  await server.publish('news', 'three', { id: 'größe 🎺 3' });
  proxy.isAway = false;

  assert.deepEqual(
    (await heardEvents(page, heard, 3)).map(({ type, data, id }) => [type, data, id]),
    [['message', 'one', 'größe 🎺 1'], ['message', 'two', 'größe 🎺 2'], ['message', 'three', 'größe 🎺 3']],
  );
});

test('a silent stream fires nothing in the page, but has it come back with the newest id', async (t) => {
  const server = await startServer(t, { args: [...RETRY, '--heartbeat', '100ms'] });
  const proxy = await startProxy(t, server);
  const page = await openPage(t, browser, proxy.emptyPage);
  const hasRead = await watchReading(page);
  const heard = await listening(page, proxy.events('quiet'), { names: [GAP] });
  await publishAll(server, Array.from({ length: 100 }, (_, n) => ({ topic: 'busy', data: String(n) })));
  const newest = await server.publish('busy', 'the newest');
  await hasRead(await proxy.forwarded(new RegExp(`^id: ${newest}\n\n`, 'm')));

  proxy.cut();
  await page.waitForFunction((h) => h.opened === 2, heard);
  assert.deepEqual(proxy.lastIds, [undefined, newest]);
  assert.deepEqual(await heard.evaluate((h) => h.events), []);
  const id = await server.publish('quiet', 'at last');
  assert.deepEqual(await heardEvents(page, heard, 1), [{ type: 'message', data: 'at last', id }]);
});

/** Publishes events in their order. */
async function publishAll(server, events) {
  const answer = await fetch(`${server.control}/publish`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: events.map((event) => `${JSON.stringify(event)}\n`).join(''),
  });
  assert.deepEqual([answer.status, (await answer.json()).published], [200, events.length]);
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** The first index at which two lists of events differ: whole lists are too long to read. */
function firstDifference(got, wanted) {
  const n = Math.max(got.length, wanted.length);
  for (let at = 0; at < n; at += 1) {
    if (JSON.stringify(got[at]) !== JSON.stringify(wanted[at])) return { at, got: got[at], wanted: wanted[at] };
  }
  return undefined;
}
