// Streams as answers of a server of Node.js: handed over, and sent by the server.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { closing, listen, open, until, withDeadline } from './client.mjs';

const WAYS = { auto: 'handover', never: 'stream' };

/** A server whose handler is given; what it resolves to is kept. */
async function serve(t, handler) {
  const results = [];
  const server = createServer(async (req, res) => { results.push(await handler(req, res)); });
  closing(t, server);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return { server, port: server.address().port, results };
}

/** A connection that has sent bytes, with the text that has come. */
function exchange(t, port, sent) {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  const got = { text: '', ended: false, socket };
  socket.on('data', (chunk) => { got.text += chunk; });
  for (const event of ['end', 'error', 'close']) socket.on(event, () => { got.ended = true; });
  socket.write(sent);
  return got;
}

const get = (fields = '', path = '/') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${fields}\r\n`;

function headOf(text) {
  const [line, ...fields] = text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n');
  return [line, ...fields.map((field) => {
    const at = field.indexOf(':');
    return `${field.slice(0, at).toLowerCase()}:${field.slice(at + 1)}`;
  }).filter((field) => !/^(?:date|connection|keep-alive):/.test(field)).sort()];
}

for (const [handover, way] of Object.entries(WAYS)) {
  test(`${way}: a request becomes a stream, with the fields that the program has set`, async (t) => {
    const hub = open(t, { shards: 1, retryMs: 0 });
    const { port, results } = await serve(t, (req, res) => {
      res.setHeader('X-Before', 'a');
      res.setHeader('Set-Cookie', ['b=1', 'c=2']);
      return hub.handle(req, res, {
        topics: ['news', 'run/+'], tag: 'me', headers: { 'X-From': 'node', 'set-cookie': 'd=3' }, handover,
      });
    });
    const got = exchange(t, port, get());
    await until('the head', () => got.text.includes('\r\n\r\n'));
    assert.deepEqual(headOf(got.text), [
      'HTTP/1.1 200 OK',
      'cache-control: no-cache, no-store, no-transform',
      'content-type: text/event-stream',
      'set-cookie: b=1',
      'set-cookie: c=2',
      'set-cookie: d=3',
      'transfer-encoding: chunked',
      'x-accel-buffering: no',
      'x-before: a',
      'x-content-type-options: nosniff',
      'x-from: node',
    ]);
    hub.publish('run/1', 'hello');
    await until('the event', () => got.text.includes('data: hello'));
    await until('the result', () => results.length === 1);
    assert.deepEqual(results, [way]);
    const [{ tag, addr, subscriptions }] = await hub.connections();
    assert.equal(tag, 'me');
    assert.match(addr, /^127\.0\.0\.1/);
    assert.deepEqual(subscriptions.sort(), ['news', 'run/+']);
    got.socket.destroy();
    await until('the connection to end', () => hub.metrics().connections === 0);
  });

  test(`${way}: a client goes on behind its id, and stays away from what is finished`, async (t) => {
    const hub = open(t, { shards: 1 });
    const first = hub.publish('run/1', 'one');
    hub.publish('run/1', 'two');
    const last = hub.finish('run/1', 'three');
    const { port, results } = await serve(t, (req, res) => hub.handle(req, res, { topics: 'run/1', start: 'earliest', handover }));
    for (const [fields, path, data] of [
      ['', '/', ['one', 'two', 'three']],
      [`Last-Event-ID: ${first}\r\n`, '/', ['two', 'three']],
      ['', `/?lastEventId=${first}`, ['two', 'three']],
      ['Last-Event-ID: none-of-ours\r\n', '/', ['one', 'two', 'three']],
    ]) {
      const got = exchange(t, port, get(`Connection: close\r\n${fields}`, path));
      await until('the end', () => got.ended);
      assert.match(got.text, /^HTTP\/1\.1 200/);
      assert.deepEqual([...got.text.matchAll(/^data: (\w+)\r?$/gm)].map((match) => match[1]), data);
    }
    const got = exchange(t, port, get(`Connection: close\r\nLast-Event-ID: ${last}\r\n`));
    await until('the end', () => got.ended);
    assert.match(got.text, /^HTTP\/1\.1 204 /);
    assert.equal(results[0], way);
  });

  test(`${way}: refusals are whole answers`, async (t) => {
    const hub = open(t, { shards: 1, connectionsMax: 1 });
    let options = { topics: 'news' };
    const { port } = await serve(t, (req, res) => hub.handle(req, res, { ...options, handover }));
    const ask = async (asked, init) => {
      options = asked;
      const response = await fetch(`http://127.0.0.1:${port}/?topic=b`, init);
      return [response.status, response.headers.get('content-type'), await response.text(), response.headers.get('allow')];
    };
    const plain = 'text/plain; charset=utf-8';
    assert.deepEqual(await ask({ topics: 'a', queryTopics: true }), [403, plain, 'The request names a topic that is not granted.\n', null]);
    assert.deepEqual((await ask({ topics: 'a/#/b' })).slice(0, 2), [400, plain]);
    assert.deepEqual((await ask({ topics: Array.from({ length: 65_537 }, (_, i) => `t${i}`) })).slice(0, 2), [400, plain]);
    assert.deepEqual(await ask({ topics: 'a' }, { method: 'PUT' }), [405, plain, 'A stream is had by GET or POST.\n', 'GET, POST']);
    assert.deepEqual((await ask({ topics: 'a' }, { method: 'HEAD' })).slice(0, 3), [200, 'text/event-stream', '']);
    options = { topics: 'b' };
    const { next } = await listen(t, port, ['b']);
    const accept = { headers: { accept: 'text/event-stream' } };
    const [status, type, text] = await ask({ topics: 'a' }, accept);
    assert.deepEqual([status, type], [200, 'text/event-stream']);
    assert.match(text, /^retry: 1\d{4}\n\n$|^retry: 20000\n\n$/);
    assert.deepEqual((await ask({ topics: 'a', overload: 'unavailable' }, accept)).slice(0, 2), [503, plain]);
    hub.publish('b', 'still there');
    assert.equal((await next()).data, 'still there');
  });

  test(`${way}: a POST becomes a stream, whether its content was read or not`, async (t) => {
    const hub = open(t, { shards: 1 });
    hub.publish('news', 'hello');
    const { port, results } = await serve(t, async (req, res) => {
      if (req.url === '/read') for await (const chunk of req) assert.ok(chunk.length > 0);
      return hub.handle(req, res, { topics: 'news', start: 'latest', handover });
    });
    for (const [path, body] of [['/read', '{}'], ['/unread', 'x'.repeat(200_000)], ['/none', '']]) {
      const asking = request({ port, host: '127.0.0.1', method: 'POST', path, agent: false });
      t.after(() => asking.destroy());
      asking.end(body);
      const [response] = await withDeadline('an answer', once(asking, 'response'));
      assert.equal(response.statusCode, 200);
      let got = '';
      response.on('data', (chunk) => { got += chunk; });
      await until('the event', () => got.includes('data: hello'));
    }
    assert.deepEqual(results, [way, way, way]);
    const asking = request({ port, host: '127.0.0.1', method: 'POST', agent: false });
    asking.on('error', () => {});
    t.after(() => asking.destroy());
    asking.write(Buffer.alloc(1_100_000));
    const [response] = await withDeadline('an answer', once(asking, 'response'));
    assert.equal(response.statusCode, 413);
  });

  test(`${way}: a request behind the stream's is not lost`, async (t) => {
    const hub = open(t, { shards: 1 });
    hub.publish('run/1', 'all');
    hub.finish('run/1');
    const { port, results } = await serve(t, async (req, res) => {
      if (req.url !== '/other') return hub.handle(req, res, { topics: 'run/1', start: 'earliest', handover });
      return res.end('the other');
    });
    for (const end of [get('', '/other'), get('', '/other').slice(0, 9), '\r\nG']) {
      const got = exchange(t, port, get() + end);
      await until('the stream', () => got.text.includes('data: all') && got.text.includes('0\r\n\r\n'));
      got.socket.write(`${get('', '/other').slice(end.startsWith('\r\n') ? 1 : end.length)}`);
      await until('the other answer', () => got.text.endsWith('the other'));
    }
    assert.deepEqual(results.filter((result) => typeof result === 'string'), ['stream', 'stream', 'stream']);
    // On a connection that had other requests, the stream is handed over.
    const got = exchange(t, port, get('', '/other'));
    await until('the other answer', () => got.text.endsWith('the other'));
    await new Promise((resolve) => { setImmediate(resolve); });
    got.socket.write(get());
    await until('the stream', () => got.text.includes('data: all'));
    assert.equal(results.at(-1), way);
  });

  test(`${way}: a client that leaves before, during and after the answer`, async (t) => {
    const hub = open(t, { shards: 1 });
    let requests = 0;
    const { server, port, results } = await serve(t, async (req, res) => {
      requests += 1;
      if (req.url === '/before') await new Promise((resolve) => { req.socket.once('close', resolve); });
      return hub.handle(req, res, { topics: 'news', handover });
    });
    const before = exchange(t, port, get('', '/before'));
    await until('the request', () => requests === 1);
    before.socket.resetAndDestroy();
    await until('the result', () => results.length === 1);
    // The content does not come whole.
    const during = exchange(t, port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab');
    await until('the request', () => requests === 2);
    during.socket.resetAndDestroy();
    await until('the result', () => results.length === 2);
    const after = exchange(t, port, get());
    await until('the stream', () => hub.metrics().connections === 1);
    after.socket.resetAndDestroy();
    await until('the stream to end', () => hub.metrics().connections === 0);
    assert.deepEqual(results, ['gone', 'gone', way]);
    await until('the connections to end', () => server._connections === 0);
  });

  test(`${way}: a server with streams is closed`, async (t) => {
    const hub = open(t, { shards: 1 });
    const { server, port } = await serve(t, (req, res) => hub.handle(req, res, { topics: 'news', handover }));
    const got = exchange(t, port, get());
    await until('the stream', () => hub.metrics().connections === 1);
    const closed = once(server, 'close');
    server.close();
    await withDeadline('the server to close', closed);
    if (way === 'stream') {
      await until('the stream to end in order', () => got.ended);
      assert.match(got.text, /\r\n0\r\n\r\n$/);
    } else {
      hub.publish('news', 'on it goes');
      await until('the event', () => got.text.includes('on it goes'));
    }
  });

  test(`${way}: header fields that are set when the head is written are sent`, async (t) => {
    const hub = open(t, { shards: 1 });
    const { port, results } = await serve(t, (req, res) => {
      const { writeHead } = res;
      res.writeHead = function late(...args) {
        this.setHeader('X-Late', 'yes');
        return writeHead.apply(this, args);
      };
      return hub.handle(req, res, { topics: req.url === '/bad' ? '#/a' : 'news', handover });
    });
    const bad = await fetch(`http://127.0.0.1:${port}/bad`);
    assert.deepEqual([bad.status, bad.headers.get('x-late')], [400, 'yes']);
    const got = exchange(t, port, get());
    await until('the head', () => got.text.includes('\r\n\r\n'));
    assert.match(got.text, /\r\nx-late: yes\r\n/i);
    await until('the result', () => results.length === 2);
    assert.deepEqual(results, ['answer', way]);
  });

  test(`${way}: a hub that is closed tells clients to come again`, async (t) => {
    const hub = open(t, { shards: 1 });
    await hub.close();
    const { port } = await serve(t, (req, res) => hub.handle(req, res, { topics: 'news', handover }));
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '5']);
  });
}

test('a server at a Unix domain socket hands its connections over', async (t) => {
  const hub = open(t, { shards: 1 });
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'socket');
  const results = [];
  const server = createServer(async (req, res) => { results.push(await hub.handle(req, res, { topics: 'news' })); });
  closing(t, server);
  await new Promise((resolve) => { server.listen(path, resolve); });
  const socket = connect(path);
  t.after(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk) => { text += chunk; });
  socket.write(get());
  await until('the stream', () => hub.metrics().connections === 1);
  hub.publish('news', 'hello');
  await until('the event', () => text.includes('data: hello'));
  assert.deepEqual(results, ['handover']);
});

test('a client that takes nothing is cut off, and its response does not look complete', async (t) => {
  const hub = open(t, { shards: 1, lagBytesMax: 200_000, lagGraceMs: 0 });
  const { port } = await serve(t, (req, res) => hub.handle(req, res, { topics: 'news', handover: 'never' }));
  const got = exchange(t, port, get());
  await until('the head', () => got.text.includes('\r\n\r\n'));
  got.socket.pause();
  await until('the stream to be cut', () => {
    try {
      hub.publish('news', 'a'.repeat(30_000));
    } catch (error) {
      assert.equal(error.code, 'FANFARE_ERR_FULL');
    }
    return Object.keys(hub.metrics().disconnects).length > 0;
  });
  assert.deepEqual(hub.metrics().disconnects, { lagging: 1 });
  got.socket.resume();
  await until('the end', () => got.ended);
  assert.doesNotMatch(got.text, /\r\n0\r\n\r\n$/);
});

test('a program can have each socket handed over, or none', async (t) => {
  const hub = open(t, { shards: 1 });
  const { port, results } = await serve(t, async (req, res) => {
    if (req.url === '/encoded') res.setHeader('Content-Encoding', 'gzip');
    return hub.handle(req, res, { topics: 'news', handover: 'require' });
  });
  const response = await fetch(`http://127.0.0.1:${port}/encoded`);
  assert.equal(response.status, 503);
  assert.equal(await response.text(), 'The stream cannot be sent: the content is to be encoded.\n');
  exchange(t, port, get());
  await until('the stream', () => results.length === 2);
  assert.deepEqual(results, ['answer', 'handover']);
});

test('what is wrong with the options is the program\'s fault', async (t) => {
  const hub = open(t, { shards: 1 });
  const { port, results } = await serve(t, async (req, res) => {
    for (const options of [
      {}, { topics: [1] }, { topics: 1 }, { topics: 'a', handover: 'maybe' }, { topics: 'a', topic: 'b' },
      { topics: 'a', headers: { 'Content-Type': 'b' } }, { topics: 'a', overload: 'no' }, { topics: 'a', headers: 1 },
    ]) {
      assert.throws(() => hub.handle(req, res, options), { code: 'ERR_INVALID_ARG_TYPE' }, JSON.stringify(options));
    }
    assert.throws(() => hub.handle({}, {}, { topics: 'a' }), { code: 'ERR_INVALID_ARG_TYPE' });
    return assert.rejects(hub.handle(req, res, { topics: 'a', tag: '' }), { code: 'FANFARE_ERR_OPTIONS' });
  });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(response.status, 500);
  await until('the result', () => results.length === 1);
});
