// Connections that the program's own server hands over.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { connect, createServer as createPlainServer } from 'node:net';
import { test } from 'node:test';
import { closing, listen, open, until, withDeadline } from './client.mjs';

/** Serves on a port of the system's choice. */
async function serve(t, server) {
  closing(t, server);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return server.address().port;
}

/** A server of the program's own, which hands each connection over. */
async function handingOver(t, hub, adopt) {
  return serve(t, createServer((req, res) => {
    const { socket } = req;
    res.detachSocket(socket);
    adopt(socket, req, res);
  }));
}

/** What a client gets that sends bytes, until a condition holds. */
async function exchange(t, port, sent, isDone) {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  let got = '';
  let ended = false;
  socket.on('data', (chunk) => { got += chunk; });
  socket.on('end', () => { ended = true; });
  socket.on('error', () => { ended = true; });
  socket.write(sent);
  await until('the answer', () => isDone(got) || ended);
  return { got, socket, hasEnded: () => ended };
}

test("a connection of the program's own server becomes a stream", async (t) => {
  const hub = open(t, { shards: 1 });
  const port = await handingOver(t, hub, (socket, req) => {
    hub.adopt(socket, 'news', {
      headers: { 'X-From': 'node' }, tag: 'me', lastEventId: req.headers['last-event-id'],
    });
    assert.equal(socket.destroyed, true);
  });
  const { next } = await listen(t, port, ['ignored']);
  const id = hub.publish('news', 'hello');
  assert.deepEqual(await next(), { name: 'message', data: 'hello', id });
  const [{ tag, addr }] = await hub.connections();
  assert.equal(tag, 'me');
  assert.match(addr, /^127\.0\.0\.1:\d+$/);
  await hub.close();
  assert.equal(await next(), null);
});

test('the answer has the header fields of the program, and goes on behind an id', async (t) => {
  const hub = open(t, { shards: 1 });
  const first = hub.publish('news', 'one');
  hub.publish('news', 'two');
  const port = await handingOver(t, hub, (socket) => {
    hub.adopt(socket, ['news'], { lastEventId: first, headers: [['X-From', 'node']], version: '1.0' });
  });
  const { got } = await exchange(t, port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', (text) => text.includes('data: two'));
  assert.match(got, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(got, /\r\nX-From: node\r\n/i);
  assert.doesNotMatch(got, /data: one/);
});

test('a descriptor of the program becomes a stream', async (t) => {
  const hub = open(t, { shards: 1 });
  const port = await serve(t, createPlainServer((socket) => {
    socket.once('data', () => {
      hub.adopt(socket, 'news');
    });
  }));
  const { got } = await exchange(t, port, 'GET / HTTP/1.1\r\n\r\n', (text) => text.includes('\r\n\r\n'));
  assert.match(got, /text\/event-stream/);
});

test('what cannot be handed over is refused, and the socket is as it was', async (t) => {
  const hub = open(t, { shards: 1 });
  const refused = [
    [{ isTls: true }, 'FANFARE_ERR_SOCKET_TLS'],
    [{ readAheadBytes: 1 }, 'FANFARE_ERR_SOCKET_READ'],
    [{ hasUnreadContent: true }, 'FANFARE_ERR_SOCKET_READ'],
    [{ method: 'PUT' }, 'FANFARE_ERR_REQUEST'],
    [{ version: '2' }, 'FANFARE_ERR_REQUEST'],
    [{ headers: { 'Content-Type': 'a' } }, 'FANFARE_ERR_REQUEST'],
    [{ headers: { 'X-A': 'a\r\nb' } }, 'FANFARE_ERR_REQUEST'],
    [{ headers: 'X-A' }, 'ERR_INVALID_ARG_TYPE'],
    [{ policy: 'none' }, 'FANFARE_ERR_OPTIONS'],
    [{ queueBytesMax: 1 }, 'ERR_INVALID_ARG_TYPE'],
  ];
  const port = await handingOver(t, hub, (socket, req, res) => {
    for (const [options, code] of refused) {
      assert.throws(() => hub.adopt(socket, 'news', options), { code }, JSON.stringify(options));
    }
    assert.throws(() => hub.adopt(socket, '+a'), { code: 'FANFARE_ERR_SUBSCRIPTION' });
    assert.equal(socket.destroyed, false);
    res.assignSocket(socket);
    res.end('refused');
  });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(await response.text(), 'refused');
  assert.equal(hub.metrics().acceptedConnections, 0);
  for (const none of [-1, 0.5, 2 ** 31, 1_000_000]) {
    assert.throws(() => hub.adopt(none, 'news'), { code: 'FANFARE_ERR_SOCKET' });
  }
  assert.throws(() => hub.adopt('1', 'news'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => hub.adopt(undefined, 'news'), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('a POST with a body that was read becomes a stream', async (t) => {
  const hub = open(t, { shards: 1 });
  hub.publish('news', 'hello');
  const port = await serve(t, createServer(async (req, res) => {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    res.detachSocket(req.socket);
    hub.adopt(req.socket, JSON.parse(Buffer.concat(chunks)).topics, { method: req.method, start: 'latest' });
  }));
  const asking = request({ port, host: '127.0.0.1', method: 'POST', agent: false });
  t.after(() => asking.destroy());
  asking.end(JSON.stringify({ topics: ['news'] }));
  const [response] = await withDeadline('an answer', once(asking, 'response'));
  assert.equal(response.statusCode, 200);
  let got = '';
  response.on('data', (chunk) => { got += chunk; });
  await until('the event', () => got.includes('data: hello'));
});

test('a client that has left is no stream for long', async (t) => {
  const hub = open(t, { shards: 1 });
  const client = connect({ port: await serve(t, createPlainServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      client.resetAndDestroy();
      client.once('close', () => {
        try {
          hub.adopt(socket, 'news');
        } catch (error) {
          assert.equal(error.code, 'FANFARE_ERR_SOCKET');
          socket.destroy();
        }
        socket.left = true;
      });
    });
  })), host: '127.0.0.1' });
  client.write('GET / HTTP/1.1\r\n\r\n');
  await withDeadline('the client to leave', once(client, 'close'));
  await until('the stream to end', () => hub.metrics().connections === 0 && hub.metrics().pendingConnections === 0);
});

test('a listener serves a connection that the program has accepted', async (t) => {
  const hub = open(t, { shards: 1 });
  const listener = hub.listen();
  assert.equal(listener.hasStreamsAt('/events'), true);
  assert.equal(listener.hasStreamsAt('/'), false);
  assert.equal(listener.isNamed('localhost:1'), true);
  assert.equal(listener.isNamed('app.example'), false);
  hub.publish('news', 'hello');
  const port = await serve(t, createPlainServer((socket) => {
    socket.once('data', (read) => listener.admit(socket, read));
  }));
  const { next } = await listen(t, port, ['news']);
  hub.publish('news', 'again');
  assert.equal((await next()).data, 'again');
  listener.close();
  listener.close();
  assert.throws(() => listener.hasStreamsAt('/'), { code: 'FANFARE_ERR_STALE' });
});

test('hand-overs leave no descriptor behind', async (t) => {
  const hub = open(t, { shards: 1 });
  const port = await handingOver(t, hub, (socket) => hub.adopt(socket, 'news'));
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const once500 = async () => {
    for (let i = 0; i < 500; i += 50) {
      await Promise.all(Array.from({ length: 50 }, async () => {
        const client = connect({ port, host: '127.0.0.1' });
        client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
        await once(client, 'data');
        client.destroy();
        await once(client, 'close');
      }));
    }
    await until('the streams to end', () => hub.metrics().connections === 0 && hub.metrics().pendingConnections === 0);
  };
  await once500();
  const before = descriptors();
  await once500();
  assert.equal(hub.metrics().acceptedConnections, 1000);
  await until('the descriptors to be closed', () => descriptors() <= before);
});
