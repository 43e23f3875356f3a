// A server with a folder that is killed again and again, and clients of npm packages that come back to it. More of
// both by hand: FANFARE_TEST_KILLS=200 FANFARE_TEST_CLIENTS=1000 node --test killed.test.js

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { EventSource } from 'eventsource';
import { DEADLINE_MS, freePort, startServer } from '../browser/server.js';

const require = createRequire(import.meta.url);
const SOURCES = {
  'eventsource 5': EventSource,
  'eventsource 4': require('eventsource4').EventSource,
  'eventsource 3': require('eventsource3').EventSource,
  'eventsource 2': require('eventsource2'),
  'launchdarkly-eventsource': require('launchdarkly-eventsource').EventSource,
};
const KILLS = Number(process.env.FANFARE_TEST_KILLS ?? 6);
const CLIENTS = Number(process.env.FANFARE_TEST_CLIENTS ?? 100);
// So much is published a second that the clients' process keeps up with it.
const DELIVERIES_PER_SECOND = 20_000;
const LAST = 1_000_000_000;

/** A client, which remembers what it does not expect. */
class Client {
  constructor(kind, Source, url) {
    this.kind = kind;
    this.number = 0;
    this.gaps = [];
    this.faults = [];
    this.opened = 0;
    this.seen = new Set();
    this.source = new Source(url, { maxBackoffMillis: 500, initialRetryDelayMillis: 100 });
    this.source.onopen = () => { this.opened += 1; };
    // Without a listener one package ends the process.
    this.source.onerror = () => {};
    this.source.addEventListener('message', ({ data }) => this.take(Number(data)));
    this.source.addEventListener('fanfare-gap', ({ data }) => this.gaps.push(JSON.parse(data).reason));
  }

  take(number) {
    if (!(number > this.number)) this.faults.push(`${number} behind ${this.number}`);
    this.number = number;
    this.seen.add(number);
  }
}

async function until(what, holds) {
  for (const end = Date.now() + 5 * DEADLINE_MS; !holds();) {
    assert.ok(Date.now() < end, what());
    await pause(20);
  }
}

for (const durability of ['interval', 'always']) {
  test(`clients of npm packages see each event once, in order, although the server is killed again and again, with ${durability}`, { timeout: 120_000 + KILLS * 10_000 }, async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'fanfare-killed-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const port = await freePort();
    const args = [
      '--data-dir', folder, '--durability', durability, '--retry', '100ms', '--history-events-max', '1000000',
      '--history-bytes-max', '1GiB', '--history-total-bytes-max', '1GiB', '--history-age-max', '1h',
    ];
    let server = await startServer(t, { port, args });
    const clients = [];
    t.after(() => clients.forEach(({ source }) => source.close()));
    const kinds = Object.entries(SOURCES);
    for (let n = 0; n < CLIENTS; n += 1) {
      clients.push(new Client(...kinds[n % kinds.length], server.events('t')));
    }
    await until(() => 'not all clients are there', () => clients.every(({ opened }) => opened > 0));
    // Some packages know no id before their first event.
    await server.publish('t', '1');
    await until(() => 'not all clients have an id', () => clients.every(({ number }) => number === 1));

    const workerData = { first: 2, pauseMs: Math.ceil(1000 * CLIENTS / DELIVERIES_PER_SECOND) };
    const publisher = new Worker(new URL('publish-numbers.js', import.meta.url), { workerData });
    t.after(() => publisher.terminate());
    publisher.postMessage(server.control);
    for (let kill = 0; kill < KILLS / 2; kill += 1) {
      // The next one comes when some clients are back, and others are not; now and then all are.
      const enough = Math.ceil(CLIENTS * (kill % 3 ? Math.random() : 1));
      const before = clients.map(({ opened }) => opened);
      server.child.kill('SIGKILL');
      await server.ended;
      server = await startServer(t, { port, args });
      publisher.postMessage(server.control);
      const back = () => clients.filter(({ opened }, n) => opened > before[n]).length;
      await until(() => `${back()} clients are back of ${enough}`, () => back() >= enough);
      await pause(Math.random() * 200);
    }
    const saying = once(publisher, 'message');
    publisher.postMessage(null);
    const [answered] = await saying;
    await server.publish('t', String(LAST));
    const behind = () => clients.filter(({ number }) => number !== LAST);
    await until(() => `${behind().length} clients have not heard the last event: ${behind()[0].kind}`, () => behind().length === 0);
    assert.ok(answered.length > KILLS, `${answered.length} events were answered`);
    for (const { kind, seen, gaps, faults } of clients) {
      assert.deepEqual(faults, [], kind);
      assert.deepEqual(gaps.filter((reason) => reason !== 'lost'), [], kind);
      assert.deepEqual(answered.filter((number) => !seen.has(number)), [], `${kind}: these were answered`);
    }
    const lost = clients.filter(({ gaps }) => gaps.length > 0).length;
    t.diagnostic(`${clients.length} clients, ${answered.length} events, ${lost} clients were told that an event is lost that nobody was answered for`);
    await server.stop();
  });
}
