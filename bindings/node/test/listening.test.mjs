// Listeners: addresses, descriptors, and the options by their names.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { createServer as createHttpServer, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fallback } from 'fanfare';
import { closing, listen, open, repository, until, withDeadline } from './client.mjs';

/** The answer to a GET: its status and header fields. */
function get(t, options) {
  const asking = request({ host: '127.0.0.1', agent: false, ...options });
  t.after(() => asking.destroy());
  return withDeadline('an answer', new Promise((resolve, reject) => {
    asking.on('response', (response) => {
      resolve(response);
      asking.destroy();
    });
    asking.on('error', reject);
    asking.end();
  }));
}

test('a Unix domain socket has the permissions of the options, and is removed', async (t) => {
  const hub = open(t, { shards: 1 });
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'app.sock');
  const listener = hub.listen(`unix:${path}`, { socketMode: 0o640 });
  assert.deepEqual([listener.port, listener.address], [0, `unix:${path}`]);
  assert.equal((await stat(path)).mode & 0o777, 0o640);
  const { statusCode } = await get(t, { socketPath: path, path: '/events?topic=a' });
  assert.equal(statusCode, 200);
  listener.close();
  await assert.rejects(stat(path), { code: 'ENOENT' });
});

test('a socket that listens already is taken by its descriptor', async (t) => {
  const server = createServer();
  closing(t, server);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address();
  // As a service manager hands one over.
  const child = spawn(process.execPath, ['-e', `
    const { Hub } = require('fanfare');
    const hub = new Hub({ shards: 1 });
    console.log(hub.listen(3, { healthPath: '/healthy' }).address);
  `], { cwd: join(import.meta.dirname, '..'), stdio: ['ignore', 'pipe', 'inherit', server._handle.fd] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await withDeadline('the address', once(child.stdout, 'data'));
  assert.equal(`${line}`, `127.0.0.1:${port}\n`);
  server.close();
  assert.equal((await get(t, { port, path: '/healthy' })).statusCode, 200);
});

test('routes, header fields and origins are as the options say', async (t) => {
  const hub = open(t, { shards: 1 });
  const { port } = hub.listen({
    path: '',
    healthPath: '/healthy',
    headers: { 'X-All': 'yes' },
    corsOrigins: 'https://a.example',
    corsExposedHeaders: ['X-All'],
    corsCredentials: true,
    routes: [
      { path: '/runs/{id}/events', subscriptions: 'run/{id}', headers: [['X-Run', 'yes']] },
      { path: '/any', queryTopics: 'any', subscriptions: ['all'] },
    ],
  });
  const headers = { Origin: 'https://a.example' };
  const run = await get(t, { port, path: '/runs/7/events', headers });
  assert.equal(run.statusCode, 200);
  assert.equal(run.headers['x-run'], 'yes');
  assert.equal(run.headers['x-all'], 'yes');
  assert.equal(run.headers['access-control-allow-origin'], 'https://a.example');
  assert.equal(run.headers['access-control-allow-credentials'], 'true');
  assert.equal(run.headers['access-control-expose-headers'], 'X-All');
  const statusOf = async (path) => (await get(t, { port, path })).statusCode;
  assert.equal(await statusOf('/runs/7/events?topic=a'), 403);
  assert.equal(await statusOf('/any?topic=a'), 200);
  assert.equal(await statusOf('/healthy'), 200);
  assert.equal(await statusOf('/events?topic=a'), 404);
});

test("a server of the program's own answers on the listener's port", async (t) => {
  const hub = open(t, { shards: 1 });
  const server = createHttpServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    res.end(`${req.method} ${req.url} ${body.length}`);
  });
  const fallback = new Fallback(server);
  const { port } = hub.listen({ fallback });
  const url = `http://127.0.0.1:${port}`;
  for (const [path, init, answer] of [
    ['/page', {}, 'GET /page 0'], ['/again', {}, 'GET /again 0'],
    ['/form', { method: 'POST', body: 'x'.repeat(100_000) }, 'POST /form 100000'],
  ]) {
    assert.equal(await withDeadline(path, fetch(`${url}${path}`, { ...init, headers: { Connection: 'close' } }).then((response) => response.text())), answer);
  }
  const { next } = await listen(t, port, ['a']);
  hub.publish('a', 'hello');
  assert.equal((await next()).data, 'hello');
  assert.throws(() => hub.listen({ fallback: server }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => new Fallback(server, { capacity: 0 }), { code: 'FANFARE_ERR_OPTIONS', message: /capacity/ });
  fallback.close();
  assert.equal((await get(t, { port, path: '/page' })).statusCode, 503);
});

/** Writes requests on one connection, each once the one before is answered; waits for the last answer. */
async function ask(t, port, requests) {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  let got = '';
  socket.on('data', (chunk) => { got += chunk; });
  for (const [sent, answer] of requests) {
    got = '';
    socket.write(sent);
    await until(`the answer ${answer}`, () => got.includes(answer));
  }
}

test("a fallback's connection that is given back is from where the proxy has said", async (t) => {
  const hub = open(t, { shards: 1 });
  const froms = [];
  const server = createServer((socket) => {
    socket.on('data', (read) => {
      if (read.includes('/events')) listener.admit(socket, read);
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage');
    });
  });
  const fallback = new Fallback(server);
  t.after(() => fallback.close());
  const listener = hub.listen({ fallback, trustedProxies: '127.0.0.1' });
  const given = new Fallback((fd, read, from) => {
    froms.push(from);
    for (const wrong of [{ addr: 'a' }, { addr: '192.0.2.7:1', peer: 'a' }]) {
      assert.throws(() => other.admit(fd, read, wrong), { code: 'FANFARE_ERR_ADDRESS' });
    }
    assert.throws(() => other.admit(fd, read, { isProxy: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    other.admit(fd, String(read).replace('/page', '/events?topic=c'), from);
  });
  t.after(() => given.close());
  const other = hub.listen({ fallback: given, trustedProxies: '127.0.0.1' });
  const page = (field) => `GET /page HTTP/1.1\r\nHost: localhost\r\n${field}\r\n`;
  const events = 'GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n';
  await ask(t, listener.port, [
    [page('X-Forwarded-For: 192.0.2.7\r\n'), 'page'], [events, 'text/event-stream'],
  ]);
  // The proxy says of the later request who its client is.
  assert.match((await hub.connections())[0].addr, /^192\.0\.2\.8\b/);
  await ask(t, other.port, [[page('X-Forwarded-For: 192.0.2.7\r\n'), 'text/event-stream']]);
  await ask(t, other.port, [[page(''), 'text/event-stream']]);
  assert.deepEqual(froms.map(({ isProxy }) => isProxy), [false, true]);
  assert.match(froms[0].addr, /^192\.0\.2\.7\b/);
  for (const { peer } of froms) assert.match(peer, /^127\.0\.0\.1:\d+$/);
});

test('a stream begins where the listener says, in the envelope that it says', async (t) => {
  const hub = open(t, { shards: 1 });
  for (const data of ['one', 'two', 'three']) hub.publish('a', data);
  const { port } = hub.listen({ start: 2, envelope: 'json', policies: ['conflate'] });
  const { next } = await listen(t, port, ['a']);
  const got = [JSON.parse((await next()).data), JSON.parse((await next()).data)];
  assert.deepEqual(got.map(({ topic, data }) => [topic, data]), [['a', 'two'], ['a', 'three']]);
  assert.equal((await get(t, { port, path: '/events?topic=a&policy=drop-oldest' })).statusCode, 403);
});

test('each function of the header is called, but for those of which JavaScript has no use', async () => {
  const header = (await readFile(join(repository, 'include/fanfare.h'), 'utf8')).replace(/\/\*[^]*?\*\//g, '');
  const folder = join(repository, 'bindings/node/src');
  const sources = (await Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file), 'utf8')))).join('');
  // It blocks; the log comes as notices, where no thread of the engine's enters JavaScript; and terms.js compares
  // topics that were read already.
  const without = new Set(['fanfare_hub_publish_wait', 'fanfare_log_set', 'fanfare_subscription_covers']);
  const missing = [];
  for (const [, name] of header.matchAll(/^(?!static)\w[\w *]*\b(fanfare_\w+)\(/gm)) {
    // What makes a struct is inline in the header, and calls these.
    if (/_init$/.test(name) || without.has(name)) continue;
    if (!new RegExp(`\\b${name}\\b`).test(sources)) missing.push(name);
  }
  assert.deepEqual(missing, []);
});

test('there is an option and a type for each field of the header', async () => {
  const header = (await readFile(join(repository, 'include/fanfare.h'), 'utf8')).replace(/\/\*[^]*?\*\//g, '');
  const specs = await readFile(join(repository, 'bindings/node/src/specs.c'), 'utf8');
  const typesOf = async (file) => readFile(join(repository, 'bindings/node/types', file), 'utf8');
  const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  const missing = [];
  for (const [struct, file, name, except] of [
    ['fanfare_options', 'options.d.ts', 'HubOptions', []],
    ['fanfare_listen_options', 'listening.d.ts', 'ListenOptions', []],
    ['fanfare_route', 'listening.d.ts', 'Route', []],
    ['fanfare_stream_options', 'streams.d.ts', 'ServeOptions', ['queue_bytes_max']],
    ['fanfare_grant', 'authorizing.d.ts', 'Grant', []],
    ['fanfare_refusal', 'authorizing.d.ts', 'Refusal', []],
    ['fanfare_ask_options', 'authorizing.d.ts', 'AuthorizeOptions', []],
    ['fanfare_token_options', 'tokens.d.ts', 'TokenOptions', []],
    ['fanfare_ticket_options', 'tokens.d.ts', 'TicketOptions', []],
    ['fanfare_access_options', 'tokens.d.ts', 'TicketAuthorizerOptions', []],
    ['fanfare_token_claims', 'tokens.d.ts', 'Claims', []],
    ['fanfare_topic_options', 'connections.d.ts', 'RuleOptions', []],
    ['fanfare_drain_options', 'connections.d.ts', 'DrainOptions', []],
    ['fanfare_connection_filter', 'connections.d.ts', 'ConnectionFilter', []],
  ]) {
    const body = new RegExp(`typedef struct ${struct} \\{([^}]*)\\}`).exec(header)[1];
    const typed = new RegExp(`interface ${name}[^{]*\\{([^]*?)\\n\\}`).exec(await typesOf(file))[1];
    for (const [, field] of body.matchAll(/(\w+);/g)) {
      if (/^(size|reserved\w*)$|_count$|(?:^|_)start_last$/.test(field) || except.includes(field)) continue;
      const option = camel(field.replace(/_at_unix_ms$/, '_at').replace(/^not_before_unix_ms$/, 'not_before'));
      if (!new RegExp(`\\b${option}\\??:`).test(typed)) missing.push(`${name}.${option} has no type`);
      if (!specs.includes(`"${option}"`)) missing.push(`${name}.${option} is not in specs.c`);
    }
  }
  assert.deepEqual(missing, []);
});

test('options of a listener are refused by name', (t) => {
  const hub = open(t, { shards: 1 });
  for (const [options, name] of [
    [{ headBytesMax: 63 }, 'headBytesMax'], [{ socketMode: 0o1000 }, 'socketMode'],
    [{ overload: 'none' }, 'overload'], [{ policies: ['none'] }, 'policies'],
    [{ start: -1 }, 'start'], [{ gapStart: 'then' }, 'gapStart'], [{ envelope: 'xml' }, 'envelope'],
    [{ corsOrigins: ['nonsense'] }, 'corsOrigins'], [{ path: 'a' }, 'path'],
    [{ routes: [{ path: '/a', subscriptions: ['{b}'] }] }, 'routes'],
    [{ routes: [{ path: '/a', queryTopics: 'some' }] }, 'queryTopics'],
    [{ userTimeoutMs: 1 }, 'userTimeoutMs'],
  ]) {
    assert.throws(() => hub.listen(options), {
      code: 'FANFARE_ERR_OPTIONS', message: new RegExp(`^the option ${name} is out of bounds: it may be .`),
    }, JSON.stringify(options));
  }
  for (const [options, message] of [
    [{ headers: { a: 1 } }, /headers must be a string/], [{ headers: ['a'] }, /each of headers must be a pair/],
    [{ hosts: [1] }, /each of hosts must be a string/], [{ routes: {} }, /routes must be an array/],
    [{ routes: [1] }, /the options of a route must be an object/], [{ corsCredentials: 1 }, /must be a boolean/],
    [{ policies: 'conflate' }, /policies must be an array/], [{ port: 1 }, /listen has no option port/],
    [{ start: true }, /start must be a string or a number/],
  ]) {
    assert.throws(() => hub.listen(options), { code: 'ERR_INVALID_ARG_TYPE', message }, JSON.stringify(options));
  }
});
