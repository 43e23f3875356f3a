// Sessions, channels and `res.sse()`.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { createChannel, createResponse, createSession, sse } from 'fanfare/sse';
import { closing, listen, open, until, withDeadline } from './client.mjs';

async function serve(t, handler) {
  const server = createServer(handler);
  closing(t, server);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return server.address().port;
}

for (const handover of ['auto', 'never']) {
  test(`${handover}: a session gets its own events, and those of its channels`, async (t) => {
    const hub = open(t, { shards: 1 });
    const channel = createChannel({ hub });
    const sessions = [];
    const port = await serve(t, async (req, res) => {
      const session = await createSession(req, res, { hub, handover, state: { number: sessions.length } });
      session.push('hello', 'ping', `own-${sessions.length}`);
      sessions.push(session);
      await channel.register(session);
      session.sendEvent('registered').sendEvent({ a: 1 });
    });
    const names = ['message', 'ping', 'news'];
    const [one, two] = [await listen(t, port, ['x'], names), await listen(t, port, ['x'], names)];
    for (const [at, { next }] of [one, two].entries()) {
      assert.deepEqual(await next(), { name: 'ping', data: '"hello"', id: `own-${at}` });
      assert.equal((await next()).data, 'registered');
      assert.equal((await next()).data, '{"a":1}');
    }
    assert.equal(channel.sessionCount, 2);
    channel.broadcast({ all: true }, 'news', { eventId: 'event-1' });
    channel.broadcast('some', 'news', { filter: (session) => session.state.number === 1 });
    for (const { next } of [one, two]) assert.deepEqual(await next(), { name: 'news', data: '{"all":true}', id: 'event-1' });
    assert.equal((await two.next()).data, '"some"');
    await channel.deregister(sessions[0]);
    channel.broadcast('two alone', 'news');
    sessions[0].push('last');
    assert.equal((await one.next()).data, '"last"');
    assert.equal((await two.next()).data, '"two alone"');
    const ended = new Promise((resolve) => { channel.once('session-disconnected', resolve); });
    await sessions[1].close();
    assert.equal(await withDeadline('the end', ended), sessions[1]);
    assert.equal(await two.next(), null);
    assert.equal(sessions[1].isConnected, false);
    assert.throws(() => sessions[1].push('more'), { code: 'FANFARE_ERR_STALE' });
    assert.equal(channel.sessionCount, 0);
  });
}

test('a middleware gives responses sse, sendEvent, sendComment and sendRetry', async (t) => {
  const use = sse({ heartbeat: 5000, retry: 4321, cors: true });
  t.after(() => use.hub.close());
  const news = use.channel('news');
  const port = await serve(t, (req, res) => use(req, res, async () => {
    await res.sse({ channels: [news] });
    res.sendEvent({ n: 1 }, 'count', 'id-1');
    res.sendComment('a comment');
    res.sendRetry(1234);
    use.broadcast('news', 'to all', 'news');
  }));
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(response.headers.get('access-control-allow-origin'), '*');
  const reader = response.body.getReader();
  let text = '';
  while (!text.includes('to all')) text += new TextDecoder().decode((await withDeadline('the events', reader.read())).value);
  assert.match(text, /retry: 4321\n[^]*event: count\n[^]*data: \{"n":1\}\n[^]*: ?a comment\n[^]*retry: 1234\n[^]*event: news\n/);
  assert.equal(news.sessionCount, 1);
  await reader.cancel();
  await until('the session to end', () => news.sessionCount === 0);
});

test('pages of the named origins may read a stream', async (t) => {
  const hub = open(t, { shards: 1 });
  const port = await serve(t, (req, res) => createSession(req, res, { hub, cors: { origins: ['https://a.example'], credentials: true } }));
  for (const [origin, allowed] of [['https://a.example', 'https://a.example'], ['https://b.example', null]]) {
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { origin } });
    assert.deepEqual(
      ['access-control-allow-origin', 'access-control-allow-credentials', 'vary'].map((name) => response.headers.get(name)),
      [allowed, allowed && 'true', 'Origin'],
    );
    await response.body.cancel();
  }
});

test('a session of a Fetch response ends when its body is cancelled', async (t) => {
  const hub = open(t, { shards: 1 });
  let session;
  const response = createResponse(new Request('http://localhost/'), { hub, topics: 'news' }, (begun) => { session = begun; });
  session.sendEvent('hello');
  await session.iterate([1, 2], { eventName: 'n' });
  const reader = response.body.getReader();
  let text = '';
  while (!text.includes('data: 2')) text += new TextDecoder().decode((await withDeadline('the events', reader.read())).value);
  assert.match(text, /data: hello\n[^]*event: n\n/);
  await session.subscribe('more');
  assert.deepEqual((await hub.connection(session.connectionId)).subscriptions.sort(), [session.topic, 'more', 'news']);
  await reader.cancel();
  await until('the session to end', () => !session.isConnected);
});

test('a stream of Node.js is pushed, and header fields may have several values or none', async (t) => {
  const hub = open(t, { shards: 1 });
  const port = await serve(t, async (req, res) => {
    const session = await createSession(req, res, { hub, headers: { 'X-Many': ['a', 'b'], 'X-None': undefined } });
    assert.equal(await session.stream(Readable.from([Buffer.from('h\xc3', 'latin1'), Buffer.from([0xa9]), Buffer.from('!')]), { eventName: 'n' }), true);
    await session.stream(new Response('of the Web').body);
    await session.close();
  });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(response.headers.get('x-many'), 'a, b');
  assert.equal(response.headers.has('x-none'), false);
  const text = await withDeadline('the end', response.text());
  assert.deepEqual([...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data)), ['h', 'é', '!', 'of the Web']);
  assert.equal(text.match(/^event: n$/gm).length, 3);
});

test('a client that is refused has no session', async (t) => {
  const hub = open(t, { shards: 1, connectionsMax: 1 });
  const sessions = [];
  const port = await serve(t, async (req, res) => { sessions.push(await createSession(req, res, { hub })); });
  await listen(t, port, ['x']);
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 503);
  await until('the result', () => sessions.length === 2);
  assert.equal(sessions[1], undefined);
  assert.throws(() => sse({ hub, heartbeat: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(createSession({ headers: {}, method: 'GET' }, { writeHead() {} }, { hub, tag: 'a' }), { code: 'ERR_INVALID_ARG_TYPE' });
});
