// Streams of language models: channels in place of Redis', and runs of chats.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { Chats, resumable } from 'fanfare/ai';
import { closing, open, until, withDeadline } from './client.mjs';

test('messages of a channel come whole and in order, whatever they have in them', async (t) => {
  const { publisher, subscriber } = resumable(open(t, { shards: 1, topicBacklogBytesMax: 300_000 }));
  await Promise.all([publisher.connect(), subscriber.connect()]);
  for (const channel of ['a:b', 'a+/#\u0000', 'é'.repeat(300)]) {
    const got = [];
    await subscriber.subscribe(channel, (message) => got.push(message));
    const sent = ['', 'one', '\r\n\n', '\u0000"\\', 'é\u{1f600}', 'x'.repeat(100_000), 'y'.repeat(750_001), 'last'];
    await Promise.all(sent.map((message) => publisher.publish(channel, message)));
    await until('the messages', () => got.length === sent.length);
    assert.deepEqual(got, sent);
    await subscriber.unsubscribe(channel);
    await publisher.publish(channel, 'for nobody');
    assert.equal(got.length, sent.length);
  }
});

test('keys are counted and forgotten as those of Redis', async (t) => {
  const { publisher } = resumable(open(t, { shards: 1 }));
  assert.equal(await publisher.get('a'), null);
  assert.equal(await publisher.incr('a'), 1);
  assert.equal(await publisher.incr('a'), 2);
  assert.equal(await publisher.get('a'), '2');
  await publisher.set('a', 'DONE', { EX: 1000 });
  await assert.rejects(publisher.incr('a'), /ERR value is not an integer or out of range/);
  await publisher.set('b', '1', { EX: 0 });
  assert.equal(await publisher.get('b'), null);
  assert.equal(await publisher.incr('b'), 1);
});

/** A model whose words come when they are let out. */
function model() {
  const words = new TransformStream();
  const writer = words.writable.getWriter();
  return {
    makeStream: () => words.readable,
    say: (delta) => writer.write({ type: 'text-delta', id: '1', delta }),
    fail: (error) => writer.abort(error),
    end: () => writer.close(),
  };
}

const dataOf = (text) => [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => (data === '[DONE]' ? data : JSON.parse(data).delta ?? JSON.parse(data)));

test('a chat is streamed, resumed from its beginning, and answered 204 at its end', async (t) => {
  const hub = open(t, { shards: 1 });
  const chats = new Chats(hub);
  const one = model();
  const server = createServer((req, res) => {
    if (req.method === 'POST') return chats.post(req, res, 'chat', one.makeStream);
    return chats.get(req, res, 'chat');
  });
  closing(t, server);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const url = `http://127.0.0.1:${server.address().port}/`;
  assert.equal((await fetch(url)).status, 204);
  const leaving = new AbortController();
  const posted = await fetch(url, { method: 'POST', body: '{}', signal: leaving.signal });
  assert.equal(posted.headers.get('x-vercel-ai-ui-message-stream'), 'v1');
  one.say('Hello');
  await withDeadline('the beginning', posted.body.getReader().read());
  leaving.abort();
  await until('the client to leave', () => hub.metrics().connections === 0);
  assert.equal(chats.isActive('chat'), true);
  const resumed = await fetch(url);
  one.say(' world');
  one.end();
  assert.deepEqual(dataOf(await withDeadline('the end', resumed.text())), ['Hello', ' world', '[DONE]']);
  await until('the run to end', () => !chats.isActive('chat'));
  assert.equal((await fetch(url)).status, 204);
});

test('a run that is stopped, fails, or is replaced ends for its clients', async (t) => {
  const hub = open(t, { shards: 1 });
  const chats = new Chats(hub, { onError: (error) => `told: ${error.message}` });
  const request = () => new Request('http://localhost/');
  const read = (response) => withDeadline('the end', response.text());
  const [one, two, three] = [model(), model(), model()];
  const first = chats.postResponse(request(), 'a', one.makeStream);
  one.say('1');
  await until('the word to be published', () => hub.metrics().publishedEvents === 1);
  const second = chats.postResponse(request(), 'a', two.makeStream);
  assert.deepEqual(dataOf(await read(first)), ['1', { type: 'abort' }, '[DONE]']);
  await two.say('2');
  two.fail(new Error('no')).catch(() => {});
  assert.deepEqual(dataOf(await read(second)), ['2', { type: 'error', errorText: 'told: no' }, '[DONE]']);
  assert.equal(chats.getResponse(request(), 'a').status, 204);
  let signal;
  const third = chats.postResponse(request(), 'b', (run) => {
    ({ signal } = run);
    return three.makeStream();
  });
  assert.equal(chats.stop('b'), true);
  assert.equal(chats.stop('b'), false);
  assert.deepEqual(dataOf(await read(third)), [{ type: 'abort' }, '[DONE]']);
  assert.equal(signal.aborted, true);
});

test('a run is stopped although its model never answers', async (t) => {
  const chats = new Chats(open(t, { shards: 1 }));
  const request = new Request('http://localhost/');
  let answer;
  const response = chats.postResponse(request, 'a', () => new Promise((resolve) => { answer = resolve; }));
  chats.stop('a');
  assert.deepEqual(dataOf(await withDeadline('the end', response.text())), [{ type: 'abort' }, '[DONE]']);
  // What comes too late is told that nobody wants it.
  let left = false;
  answer({ [Symbol.asyncIterator]: () => ({ return: () => { left = true; } }) });
  await until('the model to be told', () => left);
});
