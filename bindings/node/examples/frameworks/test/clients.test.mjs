// Other clients, TLS and HTTP/2.
/* global document, window, EventSource */

import assert from 'node:assert/strict';
import { connect, createSecureServer } from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { fetchEventSource } from '@microsoft/fetch-event-source';
import { Agent, fetch as undiciFetch } from 'undici';
import { start as chat } from '../chat.mjs';
import { start as express } from '../express.mjs';
import { handler, start as http } from '../http.mjs';
import { start as middleware } from '../middleware.mjs';
import { listenOn } from '../serving.mjs';
import { certificate, queue, repository, started, until, withDeadline } from './support.mjs';

const { launch, openPage } = await import(pathToFileURL(join(repository, 'tests/browser/chromium.js')));

for (const handover of ['require', 'never']) {
  test(`handover ${handover}: fetch-event-source, by POST, which comes back`, async (t) => {
    // The package is for pages.
    Object.assign(globalThis, { window: globalThis, document: { hidden: false, addEventListener() {}, removeEventListener() {} } });
    t.after(() => {
      delete globalThis.window;
      delete globalThis.document;
    });
    const { hub, url } = await started(t, express, { handover });
    const { push, next } = queue();
    const controller = new AbortController();
    const over = fetchEventSource(`${url}/events`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"topics":["a"]}',
      signal: controller.signal, openWhenHidden: true, onmessage: ({ id, data }) => { if (data !== '') push([data, id]); },
      onclose: () => { throw new Error('come back'); }, onerror: () => 10,
    });
    await until('the stream', () => hub.metrics().connections === 1);
    const id = hub.publish('a', 'one');
    assert.deepEqual(await withDeadline('a message', next()), ['one', id]);
    await hub.disconnectAll();
    hub.publish('a', 'missed');
    assert.equal((await withDeadline('a message', next()))[0], 'missed');
    controller.abort();
    await over;
    await until('the stream to end', () => hub.metrics().connections === 0);
  });
}

test('TLS and HTTP/2: the server sends the stream', async (t) => {
  const pem = certificate();
  const make = {
    tls: (onRequest) => createTlsServer(pem, onRequest),
    h2: (onRequest) => createSecureServer({ ...pem, allowHTTP1: false }, onRequest),
  };
  for (const [name, createServer] of Object.entries(make)) {
    const results = [];
    const { hub, port } = await started(t, (of, options) => {
      const handle = handler(of, options);
      return listenOn(createServer(async (req, res) => { results.push(await handle(req, res)); }));
    }, {});
    const dispatcher = new Agent({ allowH2: name === 'h2', connect: { ca: pem.cert, servername: 'localhost' } });
    t.after(() => dispatcher.destroy());
    const first = hub.publish('news', 'one');
    hub.publish('news', 'two');
    const response = await undiciFetch(`https://127.0.0.1:${port}/events/news`, { dispatcher, headers: { 'Last-Event-ID': first } });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const reader = response.body.getReader();
    let text = '';
    while (!text.includes('data: two')) text += new TextDecoder().decode((await withDeadline('the event', reader.read())).value);
    assert.doesNotMatch(text, /data: one/);
    await until('the result', () => results.length === 1);
    assert.deepEqual(results, ['stream'], name);
    await reader.cancel();
    await until('the stream to end', () => hub.metrics().connections === 0);
    const last = hub.finish('news', 'three');
    const complete = await undiciFetch(`https://127.0.0.1:${port}/events/news`, { dispatcher, headers: { 'Last-Event-ID': last } });
    assert.equal(complete.status, 204);
  }
});

test('HTTP/2: many streams of one connection, and one that is cut does not look complete', async (t) => {
  const pem = certificate();
  const { hub, port } = await started(t, (of) => listenOn(createSecureServer(pem, handler(of))), {});
  const session = connect(`https://127.0.0.1:${port}`, { ca: pem.cert, servername: 'localhost' });
  t.after(() => session.destroy());
  const streams = Array.from({ length: 20 }, (_, at) => {
    const stream = session.request({ ':path': `/events/t${at % 2}` });
    const got = { text: '', stream };
    stream.setEncoding('utf8').on('data', (chunk) => { got.text += chunk; }).on('error', (error) => { got.error = error; });
    return got;
  });
  await until('the streams', () => hub.metrics().connections === 20);
  hub.publish(['t0', 't1'], 'to all');
  await until('the events', () => streams.every(({ text }) => text.includes('data: to all')));
  hub.finish('t0', 'the end');
  await until('the end', () => streams.every(({ stream }, at) => at % 2 === 1 || stream.closed));
  assert.ok(streams.every(({ error }) => error === undefined));
  streams[1].stream.close();
  await until('the stream to end', () => hub.metrics().connections === 9);
});

test('pages in Chromium', async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  await t.test('an EventSource by each way, and a session of the middleware', (sub) => testEventSources(sub, browser));
  await t.test('the page of the chat goes on after a reload', (sub) => testChat(sub, browser));
});

async function testEventSources(t, browser) {
  const [plain, pulled] = [await started(t, http, { handover: 'require' }), await started(t, http, { handover: 'never' })];
  const sessions = await started(t, middleware);
  for (const { hub, url } of [plain, pulled]) {
    const page = await openPage(t, browser, `${url}/`);
    await page.evaluate(() => new Promise((resolve) => {
      window.got = [];
      window.source = new EventSource('/events/news');
      window.source.onmessage = ({ data, lastEventId }) => window.got.push([data, lastEventId]);
      window.source.onopen = resolve;
    }));
    const id = hub.publish('news', 'hello');
    await page.waitForFunction(() => window.got.length === 1);
    await hub.disconnectAll();
    hub.publish('news', 'missed');
    await page.waitForFunction(() => window.got.length === 2);
    const got = await page.evaluate(() => window.got);
    assert.deepEqual([got[0], got[1][0]], [['hello', id], 'missed']);
  }
  // Of another origin, which the middleware lets read.
  const page = await openPage(t, browser, `${plain.url}/`);
  await page.evaluate((url) => new Promise((resolve) => {
    window.got = [];
    const source = new EventSource(url);
    for (const name of ['welcome', 'said']) source.addEventListener(name, ({ type, data }) => window.got.push(`${type} ${data}`));
    source.addEventListener('welcome', resolve);
  }), `${sessions.url}/events/7`);
  const post = (path, body) => fetch(sessions.url + path, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  await post('/rooms/7', { in: 'the room' });
  await post('/rooms/8', { in: 'another' });
  await post('/chat', { in: 'the chat' });
  await page.waitForFunction(() => window.got.length === 3);
  assert.deepEqual(await page.evaluate(() => window.got), [
    'welcome {"members":1}', 'said {"in":"the room"}', 'said {"in":"the chat"}',
  ]);
}

async function testChat(t, browser) {
  let goOn;
  const reloaded = new Promise((resolve) => { goOn = resolve; });
  const { url } = await started(t, chat, { pause: async (word) => { if (word === 'That ') await reloaded; } });
  const page = await openPage(t, browser, `${url}/`);
  const untilShown = (text) => page.waitForFunction((wanted) => document.querySelector('p').textContent === wanted, text);
  await page.fill('input', 'hello');
  await page.click('button');
  await untilShown('You said: hello. ');
  await page.reload();
  await untilShown('You said: hello. ');
  goOn();
  await untilShown('You said: hello. That is all I know.');
}
