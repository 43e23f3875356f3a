// What a page of another origin may and may not do: the browser's rules and the server's together.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { heardEvents, launch, listen, listening, openForeignPage, openOwnPage, openPage } from './chromium.js';
import { startServer } from './server.js';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const originOf = (page) => page.evaluate(() => window.origin);
const refused = (page, heard) => page.waitForFunction((h) => h.errors > 0 && h.source.readyState === EventSource.CLOSED, heard);

test('a page of another origin cannot listen unless its origin is allowed', async (t) => {
  for (const args of [[], ['--cors', 'https://example.org', '--cors-credentials']]) {
    const server = await startServer(t, { args });
    const page = await openForeignPage(t, browser);
    for (const withCredentials of [false, true]) {
      const heard = await listen(page, server.events('news'), { withCredentials });
      await refused(page, heard);
      assert.equal(await heard.evaluate((h) => h.opened), 0);
    }
  }
});

test('a page of an allowed origin listens, with credentials as well where they are allowed', async (t) => {
  const page = await openForeignPage(t, browser);
  const server = await startServer(t, { args: ['--cors', 'https://example.org', '--cors', await originOf(page), '--cors-credentials'] });
  await page.context().addCookies([{ name: 'session', value: 'x', url: server.url }]);
  for (const withCredentials of [false, true]) {
    const heard = await listening(page, server.events('news'), { withCredentials });
    await server.publish('news', `credentials: ${withCredentials}`);
    const [event] = await heardEvents(page, heard, 1);
    assert.equal(event.data, `credentials: ${withCredentials}`);
    await heard.evaluate((h) => h.source.close());
  }
});

test('a page of an allowed origin cannot listen with credentials where only the origin is allowed', async (t) => {
  const page = await openForeignPage(t, browser);
  const server = await startServer(t, { args: ['--cors', await originOf(page)] });
  await refused(page, await listen(page, server.events('news'), { withCredentials: true }));
  await listening(page, server.events('news'));
});

test('a page of another origin cannot publish, neither by fetch nor by a form', async (t) => {
  const server = await startServer(t);
  const own = await openOwnPage(t, browser, server);
  const heard = await listening(own, server.events('news'));
  const target = `${server.control}/publish?topic=news`;

  const attempts = {
    fetch: (url) => fetch(url, { method: 'POST', mode: 'no-cors', body: 'forged' }).then(() => {}, () => {}),
    'sendBeacon': (url) => { navigator.sendBeacon(url, 'forged'); },
    form: (url) => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'post', action: url, enctype: 'text/plain' });
      document.body.append(form);
      form.submit();
    },
  };
  for (const [how, attempt] of Object.entries(attempts)) {
    const foreign = await openForeignPage(t, browser);
    const [answer] = await Promise.all([
      foreign.waitForResponse((r) => r.url() === target),
      foreign.evaluate(attempt, target),
    ]);
    assert.equal(answer.status(), 403, `by ${how}`);
  }
  // Events keep their order: had one of the above been published, it would come before this one.
  await server.publish('news', 'genuine');
  assert.deepEqual((await heardEvents(own, heard, 1)).map((e) => e.data), ['genuine']);
});

test("the server's own pages can publish", async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, browser, `${server.control}/healthz`);
  const heard = await listening(page, '/events?topic=news');
  const status = await page.evaluate(async () => (await fetch('/publish?topic=news', { method: 'POST', body: 'from within' })).status);
  assert.equal(status, 200);
  assert.equal((await heardEvents(page, heard, 1))[0].data, 'from within');
});
