// nginx, with the documented lines; and with others, so that it is known that the tests can fail.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heardEvents, listen } from '../browser/chromium.js';
import { startServer } from '../browser/server.js';
import { behaves, hearEachBeforeTheNext, limitsStreams, openProxied, setUp } from './behaviour.js';
import { startProxy } from './proxy.js';

const tools = setUp();
behaves('nginx', tools);
limitsStreams('nginx', tools);

test('an nginx that buffers and compresses holds an event back, which the tests see', async (t) => {
  const server = await startServer(t, { args: ['--heartbeat', '0'] });
  const proxy = await startProxy(t, 'nginx', server, tools.certificate, [
    ['proxy_buffering off;', 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;'],
    ['gzip off;', ''],
  ]);
  const page = await openProxied(t, tools.browser, proxy);
  const heard = await listen(page, proxy.events('news'));
  await server.metric('fanfare_connections', (value) => value === 1); // whose head and events were sent
  await assert.rejects(hearEachBeforeTheNext(page, heard, server, 'news', 1, 3_000), { name: 'TimeoutError' });
  assert.equal(await heard.evaluate((h) => h.opened), 0);

  // They were held back, and not lost: the end of the stream brings them.
  await server.finish('news', 'the last');
  assert.deepEqual((await heardEvents(page, heard, 2)).map(({ data }) => data), ['event 1', 'the last']);
});
