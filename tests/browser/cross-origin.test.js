// What a page of another origin may and may not do: the browser's rules and the server's together.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fetching, heardEvents, launch, listen, listening, openForeignPage, openOwnPage, openPage } from './chromium.js';
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

const RUN = '/runs/{id}/events:topic=run/{id},methods=GET+POST,header=X-Run: yes';
/** What a page of a host that traces its requests and knows its users sends along. */
const TRACED = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  authorization: 'Bearer secret',
  'last-event-id': '',
};
const METHODS = [
  { method: 'GET', headers: TRACED },
  { method: 'POST', headers: { ...TRACED, 'content-type': 'application/json' }, body: '{"prompt":"why"}' },
];

test('a page of an allowed origin opens a stream by fetch, by either method and with header fields of its own', async (t) => {
  const page = await openForeignPage(t, browser);
  const origin = await originOf(page);
  const names = ['--cors-headers', 'traceparent,Authorization,Last-Event-ID,Content-Type'];
  for (const { args, credentials, reads } of [
    { args: ['--cors', origin, ...names, '--cors-expose', 'X-Run'], credentials: 'omit', reads: 'yes' },
    { args: ['--cors', '*', '--cors-headers', '*', '--cors-expose', '*'], credentials: 'omit', reads: 'yes' },
    { args: ['--cors', origin, '--cors-credentials', '--cors-headers', '*', '--cors-expose', '*'], credentials: 'include', reads: 'yes' },
    { args: ['--cors', origin, '--cors-credentials', ...names], credentials: 'include', reads: undefined },
  ]) {
    const server = await startServer(t, { args: ['--route', RUN, ...args] });
    for (const options of METHODS) {
      const fetched = await fetching(page, `${server.url}/runs/7/events`, { ...options, credentials });
      await page.waitForFunction((f) => f.status > 0 || f.error, fetched);
      const { status, error, fields } = await fetched.evaluate((f) => f);
      assert.deepEqual([status, error, fields['x-run']], [200, null, reads], `${args} ${options.method}`);
      await server.publish('run/7', `by ${options.method}`);
      await page.waitForFunction(([f, text]) => f.text.includes(text), [fetched, `data: by ${options.method}\n\n`]);
    }
  }
  assert.deepEqual(page.complaints, []);
});

test('a page of an allowed origin cannot send header fields that are not allowed, nor by a method that its path has not', async (t) => {
  const page = await openForeignPage(t, browser);
  const origin = await originOf(page);
  const fixed = '/fixed:topic=a';
  const server = await startServer(t, { args: ['--route', RUN, '--route', fixed, '--cors', origin] });
  const outcome = async (path, options) => {
    const fetched = await fetching(page, server.url + path, options);
    await page.waitForFunction((f) => f.status > 0 || f.error, fetched);
    return fetched.evaluate((f) => f.error ?? f.status);
  };
  for (const options of METHODS) assert.match(await outcome('/runs/7/events', options), /Failed to fetch/);
  // Those that are allowed by default; and a page reads why it is refused.
  const headers = { authorization: 'Bearer secret', 'content-type': 'application/json' };
  assert.equal(await outcome('/runs/7/events', { method: 'POST', headers, body: '{}' }), 200);
  assert.equal(await outcome('/runs/7/events', { headers }), 200);
  assert.equal(await outcome('/fixed', { method: 'POST', headers, body: '{}' }), 405);
  assert.equal(await outcome('/fixed?topic=b', { headers }), 403);
  assert.match(await outcome('/fixed', { method: 'PUT' }), /Failed to fetch/);
});

test("an EventSource of another origin listens at a route's path, with credentials and without", async (t) => {
  const page = await openForeignPage(t, browser);
  const args = ['--route', RUN, '--cors', await originOf(page), '--cors-credentials'];
  const server = await startServer(t, { args });
  for (const withCredentials of [false, true]) {
    const heard = await listening(page, `${server.url}/runs/7/events`, { withCredentials });
    await server.publish('run/8', 'of another run');
    await server.publish('run/7', 'of this run');
    assert.equal((await heardEvents(page, heard, 1))[0].data, 'of this run');
    await heard.evaluate((h) => h.source.close());
  }
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
