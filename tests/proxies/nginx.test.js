// nginx, with the documented lines; and with others, so that it is known that the tests can fail.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { heardEvents, listen, listening } from '../browser/chromium.js';
import { startServer } from '../browser/server.js';
import { behaves, hearBeforeTheNext, limitsStreams, openProxied, setUp } from './behaviour.js';
import { startProxy, withLinesOf } from './proxy.js';

const tools = setUp();
behaves('nginx', tools);
limitsStreams('nginx', tools);

test('an nginx that asks a program who may read a topic gives its users that topic, whatever they ask for', async (t) => {
  const asked = [];
  const judge = http.createServer((request, response) => {
    asked.push(request.url);
    response.writeHead(request.headers.cookie === 'user=anna' ? 204 : 401).end();
  }).listen(0, '127.0.0.1');
  await once(judge, 'listening');
  t.after(() => { judge.close(); judge.closeAllConnections(); });

  const server = await startServer(t, { args: ['--heartbeat', '0'] });
  const proxy = await startProxy(t, 'nginx', server, tools.certificate, [
    ...withLinesOf('Topics with restricted access', 'nginx'),
    ['127.0.0.1:9000', `127.0.0.1:${judge.address().port}`],
  ]);
  const page = await openProxied(t, tools.browser, proxy);
  const url = `${proxy.url}/orders?topic=salaries&topic=%23&last-event-id=x`;
  assert.equal(await page.evaluate(async (address) => (await fetch(address)).status, url), 401);

  await page.context().addCookies([{ name: 'user', value: 'anna', url: proxy.url }]);
  const heard = await listening(page, url);
  await server.publish('salaries', 'not for anna');
  await server.publish('orders', 'for anna');
  assert.deepEqual((await heardEvents(page, heard, 1)).map(({ data }) => data), ['for anna']);
  assert.deepEqual(new Set(asked), new Set(['/may-read-orders']));
});

test('an nginx that buffers and compresses holds an event back, which the tests see', async (t) => {
  const server = await startServer(t, { args: ['--heartbeat', '0'] });
  const proxy = await startProxy(t, 'nginx', server, tools.certificate, [
    ['proxy_buffering off;', 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;'],
    ['gzip off;', ''],
  ]);
  const page = await openProxied(t, tools.browser, proxy);
  const heard = await listen(page, proxy.events('news'));
  await server.metric('fanfare_connections', (value) => value === 1); // whose head and events were sent
  await assert.rejects(hearBeforeTheNext(page, heard, server, 'news', 'event 1', 3_000), { name: 'TimeoutError' });
  assert.equal(await heard.evaluate((h) => h.opened), 0);

  // They were held back, and not lost: the end of the stream brings them.
  await server.finish('news', 'the last');
  assert.deepEqual((await heardEvents(page, heard, 2)).map(({ data }) => data), ['event 1', 'the last']);
});
