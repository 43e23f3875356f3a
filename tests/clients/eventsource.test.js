// The npm package eventsource: what Node.js programs read event streams with.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import { startProxy } from '../browser/proxy.js';
import { CASES, freePort, startServer, withDeadline } from '../browser/server.js';

/** Opens a stream; resolves when it is open. Its events come out of `next`. */
async function listen(t, url, names = [], init = undefined) {
  const source = new EventSource(url, init);
  t.after(() => source.close());
  const queue = [];
  let wake = () => {};
  for (const name of ['message', ...names]) {
    source.addEventListener(name, (e) => {
      queue.push({ type: e.type, data: e.data, id: e.lastEventId });
      wake();
    });
  }
  const next = async () => {
    while (queue.length === 0) {
      await withDeadline('an event', new Promise((resolve) => { wake = resolve; }));
    }
    return queue.shift();
  };
  const opened = () => withDeadline('the stream to open', new Promise((resolve) => {
    source.addEventListener('open', resolve, { once: true });
  }));
  await opened();
  return { source, next, opened };
}

test('the package eventsource reads every text as it was published', async (t) => {
  const server = await startServer(t);
  for (const { what, event, data, arrives } of CASES) {
    await t.test(`the package eventsource reads ${what}`, async (st) => {
      const { next } = await listen(st, server.events('text'), event ? [event] : []);
      const id = await server.publish('text', data, event ? { event } : {});
      const got = await next();
      assert.equal(got.data.length, arrives.length);
      assert.ok(got.data === arrives, `${JSON.stringify(got.data.slice(0, 200))} is not what was published`);
      assert.deepEqual([got.type, got.id], [event ?? 'message', id]);
    });
  }
});

test('the package eventsource hears several topics in the order of publishing', async (t) => {
  const server = await startServer(t);
  const { next } = await listen(t, server.events('a', 'grüße & co/🎺'));
  const published = [];
  for (let i = 0; i < 50; i += 1) {
    const topic = ['a', 'grüße & co/🎺', 'c'][i % 3];
    await server.publish(topic, `${topic} ${i}`);
    if (topic !== 'c') published.push(`${topic} ${i}`);
  }
  for (const data of published) assert.equal((await next()).data, data);
});

test('the package eventsource is told the topic of each event, also of those that it missed', async (t) => {
  const server = await startServer(t, { args: ['--envelope', 'json', '--retry', '50ms'] });
  const proxy = await startProxy(t, server);
  const { next, opened } = await listen(t, proxy.events('run/+'));
  const publish = async (n) => {
    const [topic, event, data] = [`run/${n % 3}`, `step-${n}`, `"${n}"\n`];
    const id = await server.publish(topic, data, { event });
    return { topic, event, id, data };
  };
  const published = [await publish(0), await publish(1)];
  for (const expected of published) {
    const { type, data, id } = await next();
    assert.deepEqual([type, id, JSON.parse(data)], ['message', expected.id, expected]);
  }
  const reopened = opened();
  proxy.cut();
  const missed = [await publish(2), await publish(3)];
  await reopened;
  for (const expected of [...missed, await publish(4)]) {
    assert.deepEqual(JSON.parse((await next()).data), expected);
  }
});

test('the package eventsource comes back to a server that was restarted', async (t) => {
  const port = await freePort();
  const first = await startServer(t, { port, args: ['--retry', '200ms'] });
  const { source, next, opened } = await listen(t, first.events('news'));
  await first.publish('news', 'before');
  assert.equal((await next()).data, 'before');

  const failed = once(source, 'error');
  const reopened = opened();
  await first.stop();
  await withDeadline('the stream to break', failed);
  const second = await startServer(t, { port, args: ['--retry', '200ms'] });
  await reopened;
  await second.publish('news', 'after');
  assert.equal((await next()).data, 'after');
});

test('the package eventsource hears each event once, and in order, however often it is cut off', async (t) => {
  const server = await startServer(t, { args: ['--retry', '50ms'] });
  const proxy = await startProxy(t, server);
  const cuts = [
    { after: 10_000, behind: 'data: ', how: 'fin' },
    { after: 20_000, behind: '\xc3', how: 'rst' }, // half a character
    { after: 0, behind: '', how: 'rst' }, // before the response's head
    { after: 15_000, behind: '\n\n', how: 'fin' }, // an event is whole, its chunk is not
  ];
  proxy.cuts = [...cuts];
  const { next } = await listen(t, proxy.events('a', 'b'), ['fanfare-gap']);
  const published = Array.from({ length: 1000 }, (_, n) => `${n} ${'ü'.repeat(n % 100)}`);
  for (let n = 0; n < published.length; n += 50) {
    const lines = published.slice(n, n + 50).map((data, i) => `${JSON.stringify({ topic: 'ab'[i % 2], data })}\n`);
    const headers = { 'content-type': 'application/x-ndjson' };
    const answer = await fetch(`${server.control}/publish`, { method: 'POST', headers, body: lines.join('') });
    assert.equal((await answer.json()).published, 50);
  }
  const heard = [];
  while (heard.length < published.length) {
    const { type, data } = await next();
    assert.equal(type, 'message');
    heard.push(data);
  }
  assert.deepEqual(heard, published);
  assert.equal(proxy.requests.length, cuts.length + 1);
});

test('the package eventsource fires nothing for a silent stream, and comes back with the newest id', async (t) => {
  const server = await startServer(t, { args: ['--retry', '50ms', '--heartbeat', '100ms'] });
  const proxy = await startProxy(t, server);
  const { next, opened } = await listen(t, proxy.events('quiet'), ['fanfare-gap']);
  const newest = await server.publish('busy', 'for another client');
  await proxy.forwarded(new RegExp(`^id: ${newest}\n\n`, 'm'));
  const reopened = opened();
  proxy.cut();
  await reopened;
  assert.deepEqual(proxy.lastIds, [undefined, newest]);
  const id = await server.publish('quiet', 'at last');
  assert.deepEqual(await next(), { type: 'message', data: 'at last', id });
});

test('the package eventsource is told first when the server was restarted', async (t) => {
  const first = await startServer(t);
  const last = await first.publish('news', 'in another life');
  await first.stop();
  const second = await startServer(t);
  await second.publish('news', 'in this one');
  const { next } = await listen(t, `${second.events('news')}&last-event-id=${last}`, ['fanfare-gap']);
  const told = await next();
  assert.equal(told.type, 'fanfare-gap');
  assert.deepEqual(JSON.parse(told.data), { from: last, to: told.id, reason: 'restarted', missed: null });
  assert.equal((await next()).data, 'in this one');
});

test('the package eventsource reads a finished topic to its end, asks once more, and stays closed', async (t) => {
  const server = await startServer(t, { args: ['--retry', '50ms'] });
  const proxy = await startProxy(t, server);
  const { source, next } = await listen(t, proxy.events('run/7'), ['end']);
  for (let n = 0; n < 100; n += 1) await server.publish('run/7', String(n));
  const answer = await fetch(`${server.control}/finish?topic=run/7&event=end`, { method: 'POST', body: 'complete' });
  assert.equal(answer.status, 200);
  for (let n = 0; n < 100; n += 1) assert.equal((await next()).data, String(n));
  const { type, data } = await next();
  assert.deepEqual([type, data], ['end', 'complete']);
  await withDeadline('the source to close', closed(source));
  // It would come back every 50 ms to 100 ms.
  await new Promise((resolve) => { setTimeout(resolve, 1_000); });
  assert.deepEqual([source.readyState, proxy.requests.length], [EventSource.CLOSED, 2]);
});

/** Resolves when a source has given up for good. */
async function closed(source) {
  while (source.readyState !== EventSource.CLOSED) {
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
}

test('the package eventsource opens a run by POST with fields of its own, and resumes it so', async (t) => {
  const route = '/runs/{id}/events:topic=run/{id},methods=GET+POST';
  const server = await startServer(t, { args: ['--route', route, '--retry', '100ms'] });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const requests = [];
  const post = (url, init) => {
    requests.push(init.headers['Last-Event-ID']);
    const headers = { ...init.headers, traceparent, authorization: 'Bearer secret', 'content-type': 'application/json' };
    return fetch(url, { ...init, method: 'POST', headers, body: '{"prompt":"why?"}' });
  };
  const { next, opened } = await listen(t, `${server.url}/runs/7/events`, [], { fetch: post });
  const first = await server.publish('run/7', 'one');
  assert.deepEqual(await next(), { type: 'message', data: 'one', id: first });
  const again = opened();
  const ended = await fetch(`${server.control}/connections?topic=run/7`, { method: 'DELETE' });
  assert.deepEqual(await ended.json(), { disconnected: 1 });
  await server.publish('run/7', 'two');
  await again;
  await server.publish('run/7', 'three');
  assert.deepEqual([(await next()).data, (await next()).data], ['two', 'three']);
  assert.deepEqual(requests, [undefined, first]);
});
