// The browser's own EventSource.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { heardEvents, launch, listening, openOwnPage } from './chromium.js';
import { CASES, freePort, startServer } from './server.js';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test('an EventSource on two topics hears the named and unnamed events of both, and no others', async (t) => {
  const server = await startServer(t);
  const page = await openOwnPage(t, browser, server);
  const heard = await listening(page, server.events('weather', 'traffic & news/50 % 🎺'), { names: ['alert'] });

  await server.publish('weather', 'sunny');
  await server.publish('sports', 'not asked for');
  await server.publish('weather', 'storm', { event: 'alert' });
  await server.publish('traffic & news/50 % 🎺', 'jam', { event: 'alert' });
  await server.publish('weather', 'a name without a listener', { event: 'other' });
  await server.publish('traffic & news/50 % 🎺', 'free');

  assert.deepEqual(
    (await heardEvents(page, heard, 4)).map(({ type, data }) => [type, data]),
    [['message', 'sunny'], ['alert', 'storm'], ['alert', 'jam'], ['message', 'free']],
  );
});

test('an onmessage that asks for an envelope gets events of all names, and is told the topic of each', async (t) => {
  const server = await startServer(t);
  const page = await openOwnPage(t, browser, server);
  const heard = await page.evaluateHandle((url) => {
    const source = new EventSource(url);
    const all = { source, opened: 0, events: [] };
    source.onopen = () => { all.opened += 1; };
    source.onmessage = (e) => { all.events.push({ ...JSON.parse(e.data), lastEventId: e.lastEventId }); };
    return all;
  }, `${server.events('weather/#', 'traffic & "news"')}&envelope=json`);
  await page.waitForFunction((h) => h.opened > 0, heard);

  const published = [
    { topic: 'weather/north', data: 'sunny\n\nand "dry"\t\\' },
    { topic: 'traffic & "news"', event: 'alert', data: 'jam' },
    { topic: 'weather', event: 'größe', data: '{"degrees":20.5}' },
    { topic: 'weather/south', event: 'message', data: '' },
  ];
  const expected = [];
  for (const { topic, data, event } of published) {
    const id = await server.publish(topic, data, event ? { event } : {});
    expected.push({ topic, ...(event ? { event } : {}), id, data, lastEventId: id });
  }
  assert.deepEqual(await heardEvents(page, heard, published.length), expected);
});

test('an EventSource reads every text as it was published', async (t) => {
  const server = await startServer(t);
  const page = await openOwnPage(t, browser, server);
  for (const { what, event, data, arrives } of CASES) {
    await t.test(`an EventSource reads ${what}`, async () => {
      const heard = await listening(page, server.events('text'), { names: event ? [event] : [] });
      const id = await server.publish('text', data, event ? { event } : {});
      const [got] = await heardEvents(page, heard, 1);
      await heard.evaluate((h) => h.source.close());
      // Compared by themselves first: a difference in 100 kB is no pleasure to read.
      assert.equal(got.data.length, arrives.length);
      assert.ok(got.data === arrives, `${JSON.stringify(got.data.slice(0, 200))} is not what was published`);
      assert.equal(got.type, event ?? 'message');
      assert.equal(got.id, id, 'the id is the one that the publisher was told');
    });
  }
});

test('an EventSource hears a thousand events in the order in which they were published', async (t) => {
  const server = await startServer(t);
  const page = await openOwnPage(t, browser, server);
  const heard = await listening(page, server.events('even', 'odd'));
  const numbers = Array.from({ length: 1000 }, (_, i) => String(i));
  const answer = await fetch(`${server.control}/publish`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: numbers.map((n) => `${JSON.stringify({ topic: n % 2 ? 'odd' : 'even', data: n })}\n`).join(''),
  });
  assert.deepEqual([answer.status, (await answer.json()).published], [200, 1000]);
  assert.deepEqual((await heardEvents(page, heard, 1000)).map((e) => e.data), numbers);
});

test('a publisher may give an event a custom id', async (t) => {
  const server = await startServer(t);
  const page = await openOwnPage(t, browser, server);
  const heard = await listening(page, server.events('orders'));
  assert.equal(await server.publish('orders', 'x', { id: 'größe-17' }), 'größe-17');
  assert.deepEqual(await heardEvents(page, heard, 1), [{ type: 'message', data: 'x', id: 'größe-17' }]);
});

test('an EventSource comes back by itself to a server that was restarted, and hears the next event', async (t) => {
  const port = await freePort();
  const first = await startServer(t, { port, args: ['--retry', '200ms'] });
  const page = await openOwnPage(t, browser, first);
  const heard = await listening(page, first.events('news'));
  await first.publish('news', 'before');
  await heardEvents(page, heard, 1);

  await first.stop();
  await page.waitForFunction((h) => h.errors > 0 && h.source.readyState === EventSource.CONNECTING, heard);
  const second = await startServer(t, { port, args: ['--retry', '200ms'] });
  await page.waitForFunction((h) => h.opened === 2, heard);
  await second.publish('news', 'after');

  const data = (await heardEvents(page, heard, 2)).map((e) => e.data);
  assert.deepEqual(data, ['before', 'after']);
});
