// That other runtimes answer requests with streams: by node:http, and by their own servers. Run by
// scripts/test.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { Hub } from 'fanfare';
import { createSession } from 'fanfare/sse';

/* global Bun, Deno */

const hub = new Hub({ shards: 1 });
const isNode = typeof Bun === 'undefined' && typeof Deno === 'undefined';

/** What a stream gives until some text has come; then its client leaves. */
async function read(response, text) {
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const reader = response.body.getReader();
  let got = '';
  while (!got.includes(text)) got += new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  return got;
}

async function untilGone() {
  const deadline = Date.now() + 30_000;
  while (hub.metrics().connections > 0) {
    assert.ok(Date.now() < deadline, 'the stream was not freed');
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
}

const results = [];
const server = createServer(async (req, res) => {
  if (req.url === '/session') {
    (await createSession(req, res, { hub })).sendEvent('for one');
  } else {
    results.push(await hub.handle(req, res, { topics: 'news', start: 'latest' }));
  }
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const url = `http://127.0.0.1:${server.address().port}`;
hub.publish('news', 'hello');
await read(await fetch(`${url}/`), 'data: hello');
await untilGone();
await read(await fetch(`${url}/`, { method: 'POST', body: 'x'.repeat(10_000) }), 'data: hello');
await untilGone();
await read(await fetch(`${url}/session`), 'data: for one');
await untilGone();
assert.deepEqual(results, isNode ? ['handover', 'handover'] : ['stream', 'stream']);
server.close();
server.closeAllConnections?.();

const handler = (request) => hub.response(request, { topics: 'news', start: 'latest' });
if (typeof Bun !== 'undefined') {
  const own = Bun.serve({ port: 0, hostname: '127.0.0.1', idleTimeout: 0, fetch: handler });
  await read(await fetch(own.url), 'data: hello');
  await untilGone();
  await own.stop(true);
} else if (typeof Deno !== 'undefined') {
  const own = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen() {} }, handler);
  await read(await fetch(`http://127.0.0.1:${own.addr.port}/`), 'data: hello');
  await untilGone();
  await own.shutdown();
} else {
  await read(handler(new Request(url)), 'data: hello');
  await untilGone();
}
await hub.close();
