// The same by each framework: GET and POST, handed over and sent by the server, with real clients.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import EventSource2 from 'eventsource2';
import express4 from 'express4';
import { fetch as undiciFetch } from 'undici';
import { start as express } from '../express.mjs';
import { start as fastify } from '../fastify.mjs';
import { start as fetchStyle } from '../fetch.mjs';
import { start as hono } from '../hono.mjs';
import { start as http } from '../http.mjs';
import { start as koa } from '../koa.mjs';
import { queue, started, until, withDeadline } from './support.mjs';

const APPLICATIONS = {
  http,
  'express 4': (hub, options) => express(hub, { ...options, express: express4 }),
  'express 5': express,
  fastify,
  koa,
  hono,
  fetch: fetchStyle,
};

/** The client as a queue of the data of its messages. */
function listening(t, Source, url) {
  const { push, next } = queue();
  const source = new Source(url);
  t.after(() => source.close());
  source.addEventListener('message', ({ data, lastEventId }) => push([data, lastEventId]));
  return { source, next: () => withDeadline('a message', next()) };
}

for (const [name, start] of Object.entries(APPLICATIONS)) {
  for (const handover of name === 'fetch' ? ['never'] : ['require', 'never']) {
    test(`${name}, handover ${handover}: EventSource 2 and 5, which come back`, async (t) => {
      const { hub, url } = await started(t, start, { handover });
      for (const Source of [EventSource, EventSource2]) {
        const topic = `news-${Source === EventSource}`;
        const { next, source } = listening(t, Source, `${url}/events/${topic}`);
        await until('the stream', () => hub.metrics().connections === 1);
        const id = hub.publish(topic, 'one');
        assert.deepEqual(await next(), ['one', id]);
        assert.equal(await hub.disconnectAll(), 1);
        hub.publish(topic, 'missed');
        assert.equal((await next())[0], 'missed');
        source.close();
        await until('the stream to end', () => hub.metrics().connections === 0);
      }
      // What is finished ends by an answer after which an EventSource stays away.
      hub.finish('done', 'the last');
      const { next, source } = listening(t, EventSource, `${url}/events/done?last-event-id=none`);
      await until('the source to be closed', () => source.readyState === 2);
      assert.equal(source.readyState, 2);
      source.close();
      void next;
    });

    test(`${name}, handover ${handover}: a POST with a parsed body, by undici's fetch`, async (t) => {
      const { hub, url } = await started(t, start, { handover });
      const response = await undiciFetch(`${url}/events`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"topics":["a","b"]}',
      });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('content-type'), 'text/event-stream');
      assert.equal(response.headers.get('x-app'), { http: null }[name] === null ? null : name.split(' ')[0]);
      hub.publish('a', '1');
      hub.publish('b', '2');
      const reader = response.body.getReader();
      let text = '';
      while (!text.includes('data: 2')) text += new TextDecoder().decode((await withDeadline('the events', reader.read())).value);
      assert.match(text, /data: 1\n/);
      await reader.cancel();
      await until('the stream to end', () => hub.metrics().connections === 0);
    });
  }
  test(`${name}: a POST that is no JSON, or has no topics, is an answer, and the server goes on`, async (t) => {
    const { hub, url } = await started(t, start, {});
    for (const body of ['{', '{}', '{"topics":5}', '{"topics":[1]}', '{"topics":"#/a"}']) {
      const response = await undiciFetch(`${url}/events`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body,
      });
      assert.ok(response.status === 400 || response.status === 500 || response.status === 404, `${body}: ${response.status}`);
      await response.text();
    }
    assert.equal(hub.metrics().connections, 0);
  });
}
