// What has to hold through each proxy, with the documented lines.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { heardEvents, launch, listening, openPage } from '../browser/chromium.js';
import { DEADLINE_MS, freePort, startServer, untilFound, withDeadline } from '../browser/server.js';
import { makeCertificate, NAME } from './certificate.js';
import { startProxy, withLinesOf } from './proxy.js';

// No heartbeat pushes an event on that a proxy holds back.
const SILENT = ['--heartbeat', '0'];
const GAP = 'fanfare-gap';

// A proxy that waits for a while before it hands something on makes each event late; a busy machine
// does not make each of so many late.
const EVENTS_MIN = 20;
const EVENTS_MAX = 200;
const FASTEST_MS_MAX = 150;

/** Opens an empty page of a proxy's origin, of the status that it has for a path that nothing serves. */
export async function openProxied(t, browser, proxy) {
  const page = await openPage(t, browser, `${proxy.url}/`, { ignoreHTTPSErrors: true });
  page.responses = [];
  page.answered = new EventEmitter();
  const devtools = await page.context().newCDPSession(page);
  devtools.on('Network.responseReceived', ({ type, response }) => {
    if (type !== 'EventSource') return;
    page.responses.push(response);
    page.answered.emit('one');
  });
  await devtools.send('Network.enable');
  return page;
}

/** Waits until the page's EventSources were answered so many times, and returns the answers. */
async function answers(page, count) {
  await untilFound(`${count} answers`, page.answered, 'one', () => page.responses.length >= count);
  return page.responses;
}

/**
 * Publishes an event, waits until it is the last that was heard, and returns how many ms that took.
 * Fails if it is not heard within the deadline: nothing else is published that pushes it on.
 */
export async function hearBeforeTheNext(page, heard, server, topic, data, deadlineMs = DEADLINE_MS) {
  const start = performance.now();
  await server.publish(topic, data);
  await page.waitForFunction(([h, last]) => h.events.at(-1)?.data === last, [heard, data], { timeout: deadlineMs, polling: 5 });
  return performance.now() - start;
}

/** What a test of a proxy needs: a browser that knows the name, and a certificate. */
export function setUp() {
  const tools = {};
  before(async () => {
    tools.certificate = makeCertificate();
    tools.browser = await launch([`--host-resolver-rules=MAP ${NAME} 127.0.0.1`]);
  });
  after(async () => {
    await tools.browser?.close();
    tools.certificate?.remove();
  });
  return tools;
}

/**
 * The tests of a kind of proxy: whether its lines limit how long a stream is silent, and for how long
 * streams go on after a reload.
 */
export function behaves(kind, tools, { limitsTimes = true } = {}) {
  /** A server and the proxy in front of it. */
  async function start(t, { args = SILENT, port = 0, changes = [] } = {}) {
    const server = await startServer(t, { port, args });
    return { server, proxy: await startProxy(t, kind, server, tools.certificate, changes) };
  }

  test(`${kind} hands the head on at once, and each event before the next is published`, async (t) => {
    const { server, proxy } = await start(t);
    const page = await openProxied(t, tools.browser, proxy);
    const heard = await listening(page, proxy.events('news')); // nothing is published yet
    const [{ protocol, status, headers }] = await answers(page, 1);
    assert.deepEqual([protocol, status, headers['content-type']], ['h2', 200, 'text/event-stream']);
    assert.equal(headers['content-encoding'], undefined);

    const times = [];
    while (times.length < EVENTS_MIN || (Math.min(...times) > FASTEST_MS_MAX && times.length < EVENTS_MAX)) {
      times.push(await hearBeforeTheNext(page, heard, server, 'news', `event ${times.length}`));
    }
    t.diagnostic(`an event takes ${Math.min(...times).toFixed()} ms (the least of ${times.length})`);
    assert.ok(Math.min(...times) < FASTEST_MS_MAX, `each of the events is late: ${times} ms`);
  });

  test(`${kind} has seven streams of a page on one HTTP/2 connection`, async (t) => {
    const { server, proxy } = await start(t);
    const page = await openProxied(t, tools.browser, proxy);
    const topics = Array.from({ length: 7 }, (_, n) => `topic ${n}`);
    const all = await Promise.all(topics.map((topic) => listening(page, proxy.events(topic))));
    const responses = await answers(page, topics.length);
    assert.deepEqual(responses.map(({ protocol }) => protocol), topics.map(() => 'h2'));
    assert.equal(new Set(responses.map(({ connectionId }) => connectionId)).size, 1);
    assert.equal(await server.metric('fanfare_connections', () => true), topics.length);

    for (const [n, topic] of topics.entries()) {
      await server.publish(topic, `for ${topic}`);
      assert.deepEqual((await heardEvents(page, all[n], 1)).map(({ data }) => data), [`for ${topic}`]);
    }
  });

  test(`through ${kind} a stream that is ended comes back with its id, and misses nothing`, async (t) => {
    const { server, proxy } = await start(t, { args: [...SILENT, '--retry', '500ms'] });
    const page = await openProxied(t, tools.browser, proxy);
    const heard = await listening(page, proxy.events('news'), { names: [GAP] });
    await server.publish('news', 'before');
    await heardEvents(page, heard, 1);

    assert.equal(await server.disconnectAll(), 1);
    await page.waitForFunction((h) => h.errors === 1, heard);
    await server.publish('news', 'while it was away');
    await page.waitForFunction((h) => h.opened === 2, heard);
    await server.publish('news', 'afterwards');

    assert.deepEqual((await heardEvents(page, heard, 3)).map(({ type, data }) => [type, data]),
      [['message', 'before'], ['message', 'while it was away'], ['message', 'afterwards']]);
  });

  test(`through ${kind} an EventSource outlives a server that is killed and started anew`, async (t) => {
    const port = await freePort();
    const { server, proxy } = await start(t, {
      port, args: [...SILENT, '--retry', '100ms'], changes: [['retry: 5000', 'retry: 300']],
    });
    const page = await openProxied(t, tools.browser, proxy);
    const heard = await listening(page, proxy.events('news'), { names: [GAP] });
    await server.publish('news', 'in the first life');
    await heardEvents(page, heard, 1);

    server.child.kill('SIGKILL');
    await server.ended;
    // Meanwhile the proxy answers with a stream that is empty but for its `retry`.
    await page.waitForFunction((h) => h.opened === 2, heard);
    const { status, headers } = (await answers(page, 2))[1];
    assert.deepEqual([status, headers['content-type']], [200, 'text/event-stream']);

    const second = await startServer(t, { port, args: SILENT });
    await second.metric('fanfare_connections', (value) => value === 1);
    await second.publish('news', 'in the second life');
    assert.deepEqual((await heardEvents(page, heard, 3)).map(({ type }) => type), ['message', GAP, 'message']);
    assert.equal(await heard.evaluate((h) => h.events.at(-1).data), 'in the second life');
  });

  test(`${kind} hands an event of 200 kB on whole`, async (t) => {
    const { server, proxy } = await start(t);
    const page = await openProxied(t, tools.browser, proxy);
    const heard = await listening(page, proxy.events('news'));
    const data = Array.from({ length: 20_000 }, (_, n) => String(n).padStart(9, 'ü ')).join('\n').slice(0, 200_000);
    for (let n = 0; n < 3; n += 1) await server.publish('news', data);
    for (const event of await heardEvents(page, heard, 3)) {
      assert.equal(event.data.length, data.length);
      assert.ok(event.data === data, 'the event is what was published');
    }
  });

  test(`behind ${kind} the server sees soon that a client has gone, though it sends nothing`, async (t) => {
    const { server, proxy } = await start(t);
    const page = await openProxied(t, tools.browser, proxy);
    const closed = await listening(page, proxy.events('a'));
    await listening(page, proxy.events('b'));
    const isNow = (count) => server.metric('fanfare_connections', (value) => value === count);
    await isNow(2);
    await closed.evaluate((h) => h.source.close()); // one stream of a connection that stays
    await isNow(1);
    await page.close();
    await isNow(0);
  });

  test(`through ${kind} the 204 of a finished topic closes an EventSource for good`, async (t) => {
    const { server, proxy } = await start(t, { args: [...SILENT, '--retry', '100ms'] });
    const page = await openProxied(t, tools.browser, proxy);
    const heard = await listening(page, proxy.events('run'));
    await server.finish('run', 'the last');
    await page.waitForFunction((h) => h.source.readyState === EventSource.CLOSED, heard);
    assert.deepEqual((await heardEvents(page, heard, 1)).map(({ data }) => data), ['the last']);
    assert.equal(await server.metric('fanfare_finished_answers_total', () => true), 1);
  });

  const bound = limitsTimes ? 'ends streams in a bounded time' : 'leaves streams as they are';
  test(`a reload of ${kind} ${bound}, and nothing is missed`, async (t) => {
    const { server, proxy } = await start(t, { args: [...SILENT, '--retry', '100ms'], changes: [['30s', '1s']] });
    const page = await openProxied(t, tools.browser, proxy);
    const heard = await listening(page, proxy.events('news'), { names: [GAP] });
    let count = 0;
    const publish = async () => { await server.publish('news', `event ${count}`); count += 1; };
    await publish();

    await proxy.reload();
    if (!limitsTimes) {
      for (let n = 0; n < 20; n += 1) await publish();
      await heardEvents(page, heard, count);
      assert.equal(await server.disconnectAll(), 1); // and what comes next is served anew
    }
    for (const end = Date.now() + DEADLINE_MS; await heard.evaluate((h) => h.opened) < 2;) {
      assert.ok(Date.now() < end, 'the stream ends and comes back');
      await publish(); // while it is away, too
    }
    await publish();
    assert.deepEqual((await heardEvents(page, heard, count)).map(({ type, data }) => [type, data]),
      Array.from({ length: count }, (_, n) => ['message', `event ${n}`]));
    assert.equal(await heard.evaluate((h) => h.opened), 2);
  });

  if (limitsTimes) {
    const changes = [['60s', '3s']];

    test(`with heartbeats a silent stream outlives the time limits of ${kind}`, async (t) => {
      const { server, proxy } = await start(t, { args: ['--heartbeat', '200ms'], changes });
      const page = await openProxied(t, tools.browser, proxy);
      const heard = await listening(page, proxy.events('quiet'));
      await server.metric('fanfare_heartbeats_total', (value) => value >= 25); // of 5 s
      assert.deepEqual(await heard.evaluate((h) => [h.opened, h.errors]), [1, 0]);
    });

    test(`without heartbeats the time limits of ${kind} end a silent stream, and it comes back`, async (t) => {
      const { server, proxy } = await start(t, { args: [...SILENT, '--retry', '100ms'], changes });
      const page = await openProxied(t, tools.browser, proxy);
      const heard = await listening(page, proxy.events('quiet'));
      await page.waitForFunction((h) => h.opened === 2, heard);
      await server.publish('quiet', 'at last');
      assert.deepEqual((await heardEvents(page, heard, 1)).map(({ data }) => data), ['at last']);
    });
  }

  test(`a publisher with the token publishes through ${kind}, and sees an error while the server is away`, async (t) => {
    const token = 'a-token-that-is-long-enough';
    const file = path.join(tools.certificate.folder, 'token');
    writeFileSync(file, token, { mode: 0o600 });
    const { server, proxy } = await start(t, {
      args: [...SILENT, '--publish-token-file', file], changes: withLinesOf('Publishing through the proxy', kind),
    });
    const page = await openProxied(t, tools.browser, proxy);
    const heard = await listening(page, proxy.events('news'));
    const publish = (authorization, data) => page.evaluate(async ([url, fields, body]) => {
      const answer = await fetch(url, { method: 'POST', headers: fields, body });
      return [answer.status, await answer.text()];
    }, [`${proxy.url}/publish?topic=news`, { authorization }, data]);
    assert.equal((await publish('Bearer none', 'x'))[0], 401);
    const [tooLarge, reason] = await publish(`Bearer ${token}`, 'x'.repeat(2_000_000));
    assert.equal(tooLarge, 413);
    assert.match(reason, /^\{"error":/, 'the bound is that of the server, not that of the proxy');
    assert.equal((await publish(`Bearer ${token}`, 'hello'))[0], 200);
    assert.deepEqual((await heardEvents(page, heard, 1)).map(({ data }) => data), ['hello']);

    await server.stop();
    const [status] = await publish(`Bearer ${token}`, 'nobody is there');
    assert.ok([502, 503].includes(status), `the status is ${status}`);
  });

  for (const [option, version] of [['--http2', 'HTTP/2'], ['--http1.1', 'HTTP/1.1']]) {
    test(`curl reads a stream over ${version} through ${kind}, each event before the next is published`, async (t) => {
      const { server, proxy } = await start(t);
      const curl = spawn('curl', [
        option, '--cacert', tools.certificate.pem, '--resolve', `${NAME}:${proxy.port}:127.0.0.1`,
        '--silent', '--show-error', '--no-buffer', '--include', '--compressed', proxy.events('news'),
      ], { stdio: ['ignore', 'pipe', 'inherit'] });
      t.after(() => curl.kill('SIGKILL'));
      let said = '';
      curl.stdout.setEncoding('utf8').on('data', (text) => { said += text; });
      const says = (form) => untilFound(`curl to say ${form}`, curl.stdout, 'data', () => form.test(said));
      await says(new RegExp(`^${version} 200 .*\r\n(.+\r\n)*content-type: text/event-stream\r\n(.+\r\n)*\r\n`, 'i'));
      assert.doesNotMatch(said, /content-encoding/i);
      for (let n = 0; n < 5; n += 1) {
        await server.publish('news', `event ${n}`);
        await says(new RegExp(`^data: event ${n}$`, 'm'));
      }
      // One that vanishes without a word on the stream is seen to have gone, too.
      curl.kill('SIGKILL');
      await server.metric('fanfare_connections', (value) => value === 0);
    });
  }
}

/** That of 51 streams of one address 50 are served, and one is told to come again. */
export function limitsStreams(kind, tools) {
  test(`${kind} tells the 51st stream of an address to come again, and serves the others`, async (t) => {
    const server = await startServer(t, { args: SILENT });
    const proxy = await startProxy(t, kind, server, tools.certificate);
    const session = http2.connect(`https://127.0.0.1:${proxy.port}`, { ca: tools.certificate.text, servername: NAME });
    t.after(() => session.destroy());
    const ask = async () => {
      const stream = session.request({ ':authority': NAME, ':path': '/events?topic=news' });
      stream.setEncoding('utf8');
      stream.on('error', () => {}); // when the test ends
      const [fields] = await withDeadline('an answer', once(stream, 'response'));
      return { stream, status: fields[':status'], type: fields['content-type'] };
    };
    const streams = [];
    for (let n = 0; n < 50; n += 1) streams.push(await ask());
    assert.equal(await server.metric('fanfare_connections', () => true), 50);

    const one = await ask();
    assert.deepEqual([one.status, one.type], [200, 'text/event-stream']);
    assert.equal((await withDeadline('its end', one.stream.toArray())).join(''), 'retry: 5000\n\n');

    streams[0].stream.close();
    await server.metric('fanfare_connections', (value) => value === 49);
    await ask();
    await server.metric('fanfare_connections', (value) => value === 50);
  });
}
