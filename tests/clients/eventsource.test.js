// The npm package eventsource: what Node.js programs read event streams with.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import { CASES, freePort, startServer, withDeadline } from '../browser/server.js';

/** Opens a stream; resolves when it is open. Its events come out of `next`. */
async function listen(t, url, names = []) {
  const source = new EventSource(url);
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
