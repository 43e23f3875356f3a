// Streams as responses of the Fetch standard.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, until, withDeadline } from './client.mjs';

const ask = (init, query = '') => new Request(`http://localhost/events${query}`, init);

/** Reads a body until some text has come, and gives the reader. */
async function readUntil(response, text) {
  const reader = response.body.getReader();
  let got = '';
  while (!got.includes(text)) got += new TextDecoder().decode((await withDeadline(text, reader.read())).value);
  return reader;
}

test('a response streams, and its cancel frees the stream at once', async (t) => {
  const hub = open(t, { shards: 1 });
  const response = hub.response(ask(), { topics: 'news', headers: { 'X-From': 'node' }, tag: 'me' });
  assert.equal(response.status, 200);
  assert.deepEqual([...response.headers], [
    ['cache-control', 'no-cache, no-store, no-transform'], ['content-type', 'text/event-stream'],
    ['x-accel-buffering', 'no'], ['x-content-type-options', 'nosniff'], ['x-from', 'node'],
  ]);
  hub.publish('news', 'hello');
  const reader = await readUntil(response, 'data: hello');
  assert.equal((await hub.connections({ tag: 'me' })).length, 1);
  const waiting = reader.read();
  await reader.cancel();
  assert.equal((await waiting).done, true);
  await until('the connection to end', () => hub.metrics().connections === 0);
  assert.deepEqual(hub.metrics().disconnects, { client_closed: 1 });
});

test('a request that is aborted ends its stream', async (t) => {
  const hub = open(t, { shards: 1 });
  const controller = new AbortController();
  const response = hub.response(ask({ signal: controller.signal }), { topics: 'news' });
  hub.publish('news', 'hello');
  const reader = await readUntil(response, 'data: hello');
  controller.abort();
  await until('the connection to end', () => hub.metrics().connections === 0);
  while (!(await withDeadline('the end', reader.read())).done);
  hub.response(ask({ signal: AbortSignal.abort() }), { topics: 'news' });
  await until('the connection to end', () => hub.metrics().connections === 0);
});

test('a finite topic is a response that ends, and then the status 204', async (t) => {
  const hub = open(t, { shards: 1 });
  const first = hub.publish('run/1', 'one');
  const last = hub.finish('run/1', 'two');
  const options = { topics: 'run/1', start: 'earliest' };
  const dataOf = async (response) => [...(await response.text()).matchAll(/^data: (.*)$/gm)].map(([, data]) => data);
  assert.deepEqual(await dataOf(hub.response(ask({ method: 'POST', body: 'a' }), options)), ['one', 'two']);
  assert.deepEqual(await dataOf(hub.response(ask({ headers: { 'last-event-id': first } }), options)), ['two']);
  assert.deepEqual(await dataOf(hub.response(ask({}, `?last-event-id=${first}`), options)), ['two']);
  const response = hub.response(ask({ headers: { 'last-event-id': last } }), options);
  assert.deepEqual([response.status, response.body], [204, null]);
});

test('a stream that is cut is a body that fails', async (t) => {
  const hub = open(t, { shards: 1, lagBytesMax: 1000, lagGraceMs: 0 });
  const response = hub.response(ask(), { topics: 'news', queueBytesMax: 500 });
  await until('the stream to be cut', () => {
    try {
      hub.publish('news', 'a'.repeat(400));
    } catch (error) {
      assert.equal(error.code, 'FANFARE_ERR_FULL');
    }
    return Object.keys(hub.metrics().disconnects).length > 0;
  });
  await assert.rejects(response.text(), { code: 'FANFARE_ERR_ENDED', isCut: true });
});

test('refusals are whole responses', async (t) => {
  const hub = open(t, { shards: 1, connectionsMax: 1 });
  const answer = async (request, options) => {
    const response = hub.response(request, options);
    return [response.status, response.headers.get('content-type'), await response.text()];
  };
  const plain = 'text/plain; charset=utf-8';
  assert.deepEqual(await answer(ask({ method: 'HEAD' }), { topics: 'a' }), [200, 'text/event-stream', '']);
  assert.deepEqual(await answer(ask({ method: 'PUT' }), { topics: 'a' }), [405, plain, 'A stream is had by GET or POST.\n']);
  assert.deepEqual((await answer(ask(), { topics: '#/a' })).slice(0, 2), [400, plain]);
  assert.equal((await answer(ask({}, '?topic=b'), { topics: 'a/#', queryTopics: true }))[0], 403);
  assert.equal((await answer(ask({}, '?topic=$a'), { topics: '#', queryTopics: true }))[0], 403);
  assert.equal((await answer(ask({}, '?topic=a'.repeat(1) + '&topic=a'.repeat(64)), { anyTopics: true }))[0], 400);
  const held = hub.response(ask({}, '?topic=a/b'), { topics: 'a/#', queryTopics: true });
  assert.equal(held.status, 200);
  const overloaded = await answer(ask({ headers: { accept: 'text/event-stream' } }), { topics: 'a' });
  assert.deepEqual(overloaded.slice(0, 2), [200, 'text/event-stream']);
  assert.match(overloaded[2], /^retry: \d{5}\n\n$/);
  assert.equal((await answer(ask(), { topics: 'a' }))[0], 503);
  const [{ subscriptions }] = await hub.connections();
  assert.deepEqual(subscriptions, ['a/b']);
  await held.body.cancel();
  assert.throws(() => hub.response(ask(), { topics: 'a', tag: '' }), { code: 'FANFARE_ERR_OPTIONS' });
  assert.throws(() => hub.response({}, { topics: 'a' }), { code: 'ERR_INVALID_ARG_TYPE' });
});
