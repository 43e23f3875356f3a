// A page that shows a ticket: how it gets one, and what becomes of its EventSource.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fetching, heardEvents, launch, listen, listening, openForeignPage } from './chromium.js';
import { startProxy } from './proxy.js';
import { keyFile, signed, startServer, withDeadline } from './server.js';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** A server that asks for tokens, a page of another origin, and what gets it a ticket. */
async function start(t, expires) {
  const page = await openForeignPage(t, browser);
  const origin = await page.evaluate(() => window.origin);
  const args = ['--ticket-key-file', keyFile('p256.pub.pem'), '--cors', origin, '--retry', '50ms'];
  const server = await startServer(t, { args });
  const token = signed('--topic', 'news', '--expires', expires, '--key-file', keyFile('p256.pem'));
  const ticket = async () => {
    const options = { method: 'POST', headers: { Authorization: `Bearer ${token}` } };
    const fetched = await fetching(page, `${server.url}/tickets`, options);
    await page.waitForFunction((f) => f.text.endsWith('\n') || f.error, fetched);
    const { status, error, text } = await fetched.evaluate((f) => f);
    assert.deepEqual([status, error], [200, null], text);
    return JSON.parse(text).ticket;
  };
  return { page, server, ticket };
}

/** Waits until a server has one stream. */
async function hasOneStream(server) {
  for (;;) {
    const metrics = await (await fetch(`${server.control}/metrics`)).text();
    if (/^fanfare_connections 1$/m.test(metrics)) return;
    await pause(20);
  }
}

const isClosed = (page, heard) => page.waitForFunction((h) => h.source.readyState === EventSource.CLOSED, heard);

test('an EventSource with a ticket hears its events, also when its network has changed and the server does not know', async (t) => {
  const { page, server, ticket } = await start(t, '10m');
  const proxy = await startProxy(t, server);
  const url = `${proxy.events('news')}&ticket=${await ticket()}`;
  const heard = await listening(page, url);
  await server.publish('news', 'one');
  await heardEvents(page, heard, 1);

  // A ticket is for one stream.
  const second = await listen(page, url);
  await isClosed(page, second);
  assert.equal(await second.evaluate((h) => h.opened), 0);

  for (const stream of proxy.streams) stream.cut('left');
  await server.publish('news', 'two');
  await page.waitForFunction((h) => h.opened > 1, heard);
  await server.publish('news', 'three');
  const events = await heardEvents(page, heard, 3);
  assert.deepEqual(events.map(({ data }) => data), ['one', 'two', 'three']);
  await withDeadline('the end of the older connection', hasOneStream(server));
});

test('an EventSource is closed when its ticket is over', async (t) => {
  const { page, server, ticket } = await start(t, '5s');
  const heard = await listening(page, `${server.events('news')}&ticket=${await ticket()}`);
  await isClosed(page, heard);
  assert.equal(await heard.evaluate((h) => h.opened), 1);
});

test('an EventSource without a ticket, or with one that is made up, is closed', async (t) => {
  const { page, server } = await start(t, '10m');
  for (const query of ['', '&ticket=', `&ticket=${'A'.repeat(43)}`]) {
    const heard = await listen(page, server.events('news') + query);
    await isClosed(page, heard);
    assert.equal(await heard.evaluate((h) => h.opened), 0);
  }
});
