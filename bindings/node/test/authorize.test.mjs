// Who gets which stream: a function, tokens and tickets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FunctionAuthorizer, SigningKey, TicketAuthorizer, Tickets, Tokens } from 'fanfare';
import { open, until, withDeadline } from './client.mjs';

/** Asks for a stream, and gives the answer without waiting for its body. */
async function ask(t, port, query = 'topic=news', init = {}, path = '/events') {
  const aborter = new AbortController();
  t.after(() => aborter.abort());
  return withDeadline('an answer', fetch(`http://127.0.0.1:${port}${path}?${query}`, { ...init, signal: aborter.signal }));
}

/** Reads an answer until some text has come. */
async function readUntil(response, text) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let got = '';
  while (!got.includes(text)) {
    const { done, value } = await withDeadline(text, reader.read());
    assert.ok(!done, `the answer ended: ${got}`);
    got += decoder.decode(value);
  }
  return got;
}

test('a function is told what a request says, and its grant holds', async (t) => {
  const hub = open(t, { shards: 1 });
  const requests = [];
  hub.authorize(async (request) => {
    requests.push(request);
    await new Promise((resolve) => { setImmediate(resolve); });
    return { topics: ['news', 'user/7/#'], tag: 'seven', headers: { 'X-Granted': 'yes' }, expiresAt: new Date(Date.now() + 60_000) };
  });
  const { port } = hub.listen({ routes: [{ path: '/runs/{id}', post: true }] });
  hub.publish('news', 'kept');
  const response = await ask(t, port, 'topic=news&x=1&start=earliest', { headers: { 'Last-Event-ID': '', 'X-A': 'b' } });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('x-granted'), 'yes');
  await readUntil(response, 'data: kept');
  const [request] = requests;
  assert.deepEqual(
    [request.method, request.path, request.query, request.header('x-a'), request.header('none'), request.topics],
    ['GET', '/events', 'topic=news&x=1&start=earliest', 'b', undefined, ['news']],
  );
  assert.match(request.addr, /^127\.0\.0\.1:\d+$/);
  assert.equal(request.content.length, 0);
  assert.deepEqual((await hub.connections()).map(({ tag }) => tag), ['seven']);

  const posted = await ask(t, port, 'topic=user/7/mail', { method: 'POST', body: '{"a":1}' }, '/runs/3');
  assert.equal(posted.status, 200);
  assert.equal(requests[1].content.toString(), '{"a":1}');
  assert.equal((await ask(t, port, 'topic=other')).status, 403);
});

test('what a function returns is the answer', async (t) => {
  const hub = open(t, { shards: 1 });
  const errors = [];
  const verdicts = new Map([
    ['yes', true],
    ['no', false],
    ['teapot', { status: 418, text: 'short and stout', headers: [['X-Kind', 'pot']] }],
    ['wrong', 'yes'],
    ['beyond', { status: 200 }],
    ['odd', { topic: 'a' }],
  ]);
  hub.authorize(({ topics: [topic] }) => {
    if (!verdicts.has(topic)) throw new Error('it has failed');
    return verdicts.get(topic);
  }, { onError: (error) => errors.push(error), timeoutMs: 60_000 });
  const { port } = hub.listen();
  const teapot = await ask(t, port, 'topic=teapot');
  assert.deepEqual([teapot.status, teapot.headers.get('x-kind'), await teapot.text()], [418, 'pot', 'short and stout\n']);
  assert.equal((await ask(t, port, 'topic=yes')).status, 200);
  assert.equal((await ask(t, port, 'topic=no')).status, 403);
  assert.deepEqual(errors, []);
  for (const [topic, message] of [
    ['wrong', /returns a grant, a refusal or a boolean/],
    ['beyond', /the option status is out of bounds/],
    ['odd', /a grant has no option topic/],
    ['thrown', /it has failed/],
  ]) {
    const answer = await ask(t, port, `topic=${topic}`);
    assert.equal(answer.status, 503);
    assert.match(errors.pop().message, message);
  }
  assert.throws(() => hub.authorize(() => true), /the hub has an authorizer already/);
});

test('a function that is too slow is not waited for, and its answer is none', async (t) => {
  const hub = open(t, { shards: 1 });
  let answer;
  hub.authorize(() => new Promise((resolve) => { answer = resolve; }), { timeoutMs: 20 });
  const { port } = hub.listen();
  assert.equal((await ask(t, port)).status, 503);
  answer(true);
  await until('the late answer', () => hub.metrics().lateAuthorizations === 1);
});

test('an authorizer of its own comes before that of the hub', async (t) => {
  const hub = open(t, { shards: 1 });
  const authorizer = new FunctionAuthorizer(() => ({ status: 401 }));
  const closed = hub.listen({ authorizer });
  assert.throws(() => hub.listen({ authorizer: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
  hub.authorize(() => true);
  assert.equal((await ask(t, closed.port)).status, 401);
  assert.equal((await ask(t, hub.listen().port)).status, 200);
  authorizer.close();
  assert.equal((await ask(t, closed.port)).status, 503);
  assert.throws(() => new FunctionAuthorizer(() => true, { waitingMax: 0 }), {
    code: 'FANFARE_ERR_OPTIONS', message: /^the option waitingMax is out of bounds/,
  });
  assert.throws(() => new FunctionAuthorizer('yes'), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('a hub that is open to all is not authorized afterwards', (t) => {
  const hub = open(t, { shards: 1 });
  hub.listen();
  assert.throws(() => hub.authorize(() => true), /authorize before you listen/);
});

const SECRET = 'a secret of at least thirty-two bytes';

test('a token is signed, checked, and opens a stream', async (t) => {
  const hub = open(t, { shards: 1 });
  const key = new SigningKey(SECRET);
  const tokens = new Tokens(SECRET, { audiences: 'app', issuers: ['me'] });
  const grant = { topics: ['news'], tag: 'seven', expiresAt: Math.floor(Date.now() / 1000) * 1000 + 60_000, policy: 'conflate' };
  const token = key.sign(grant, { audience: 'app', issuer: 'me', notBefore: new Date(0) });
  const granted = tokens.verify(token);
  assert.deepEqual(granted.grant, { ...grant, anyTopics: false });
  assert.equal(granted.isCurrent, true);
  granted.close();
  assert.equal(granted.isCurrent, false);
  assert.throws(() => tokens.verify(`${token}x`), { code: 'FANFARE_ERR_TOKEN' });
  assert.throws(() => tokens.verify(key.sign(grant)), { code: 'FANFARE_ERR_TOKEN' });

  const { port } = hub.listen({ authorizer: new TicketAuthorizer(tokens, new Tickets()) });
  assert.equal((await ask(t, port)).status, 401);
  const headers = { Authorization: `Bearer ${token}` };
  assert.equal((await ask(t, port, 'topic=other', { headers })).status, 403);
  const response = await ask(t, port, '', { headers });
  assert.equal(response.status, 200);
  await until('the stream', () => hub.metrics().connections === 1);
  assert.deepEqual((await hub.connections()).map(({ tag, policy }) => [tag, policy]), [['seven', 'conflate']]);

  tokens.setKeys(`${SECRET}, another one`);
  assert.throws(() => tokens.verify(token), { code: 'FANFARE_ERR_TOKEN' });
});

test('a ticket is issued, redeemed, and opens a stream once', async (t) => {
  const hub = open(t, { shards: 1 });
  const tickets = new Tickets({ ticketsMax: 2 });
  const { port } = hub.listen({ authorizer: new TicketAuthorizer(new Tokens(SECRET), tickets, { exchangePath: '' }) });
  const expiresAt = new Date(Date.now() + 60_000);
  const ticket = tickets.issue({ topics: ['news'], expiresAt });
  assert.match(ticket, /^[\w-]+$/);
  const response = await ask(t, port, `ticket=${ticket}`);
  assert.equal(response.status, 200);
  await until('the stream', () => hub.metrics().connections === 1);
  assert.equal((await ask(t, port, `ticket=${ticket}`)).status, 409);

  const own = tickets.issue({ topics: ['news'], expiresAt });
  for (let i = 0; i < 2; i += 1) assert.deepEqual(tickets.lookUp(own).grant.topics, tickets.lookUp(own, { goesOn: true }).grant.topics);
  assert.throws(() => tickets.lookUp('none'), { code: 'FANFARE_ERR_TOKEN' });
  const granted = tickets.redeem(own);
  assert.throws(() => tickets.lookUp(own), { code: 'FANFARE_ERR_BUSY' });
  assert.deepEqual(granted.grant.topics, ['news']);
  assert.throws(() => tickets.redeem(own), { code: 'FANFARE_ERR_BUSY' });
  const again = tickets.redeem(own, { goesOn: true });
  assert.deepEqual([granted.isCurrent, again.isCurrent], [false, true]);
  assert.throws(() => tickets.redeem('none'), { code: 'FANFARE_ERR_TOKEN' });
  assert.throws(() => tickets.issue({ topics: ['news'] }), { code: 'FANFARE_ERR_GRANT' });
  assert.throws(() => tickets.issue({ topics: ['news'], expiresAt }), { code: 'FANFARE_ERR_LIMIT' });
});

test('keys and options that are wrong are refused with why', () => {
  assert.throws(() => new Tokens('short'), { code: 'FANFARE_ERR_KEY', message: /5 bytes, and HS256 needs 32/ });
  assert.throws(() => new Tokens({ jwks: { keys: 1 } }), { code: 'FANFARE_ERR_KEY' });
  assert.throws(() => new Tokens(1), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => new Tokens(Array.from({ length: 65 }, () => SECRET)), { code: 'FANFARE_ERR_TOO_MANY' });
  assert.throws(() => new Tokens(SECRET, { leewayMs: 300_001 }), { code: 'FANFARE_ERR_OPTIONS', message: /leewayMs/ });
  assert.throws(() => new Tickets({ ticketsMax: 0 }), { code: 'FANFARE_ERR_OPTIONS', message: /ticketsMax/ });
  assert.throws(() => new SigningKey('short'), { code: 'FANFARE_ERR_KEY' });
  const key = new SigningKey(Buffer.from(SECRET));
  assert.throws(() => key.sign({ topics: 'news' }), { code: 'FANFARE_ERR_GRANT' });
  assert.throws(() => key.sign({ topics: [], expiresAt: Date.now() + 1e6 }), { code: 'FANFARE_ERR_GRANT' });
  assert.throws(() => new TicketAuthorizer(new Tokens(SECRET), {}), { code: 'ERR_INVALID_ARG_TYPE' });
});
