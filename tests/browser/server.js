// The program under test: started on a free port, published to, stopped. No dependencies, so that
// the clients' tests use it as well.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = path.resolve(import.meta.dirname, '../..');
const BIN = path.resolve(ROOT, process.env.FANFARE_BIN ?? 'target/release/fanfare');

/** How long a test waits for what has to happen. Long, as a machine may be busy. */
export const DEADLINE_MS = 60_000;

/** No test is about how slow a client may be, and one that gets no CPU for a while is not slow. */
const PATIENT = {
  FANFARE_LAG_AGE_MAX: '10m', FANFARE_LAG_GRACE: '10m', FANFARE_STALL_TIME_MAX: '10m',
};

/** A file with a key for tests. */
export const keyFile = (name) => path.join(ROOT, 'tests/support/keys', name);

/** A token that the program signs. */
export const signed = (...args) => execFileSync(BIN, ['ticket', '--log', 'warn', ...args], { encoding: 'utf8' }).trim();

/** The texts that every client has to read as they were published. */
export const CASES = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../conformance/texts.json'), 'utf8'),
).map(({ what, event, data, arrives = data, times = 1 }) => ({
  what, event, data: data.repeat(times), arrives: arrives.repeat(times),
}));

/**
 * Starts the program, and ends it with the test `t`. `port` is the public listener's, and
 * `controlPort` the control listener's.
 */
export async function startServer(t, { command = 'serve', args = [], port = 0, controlPort = 0 } = {}) {
  const addresses = ['--listen', `127.0.0.1:${port}`, '--control-listen', `127.0.0.1:${controlPort}`];
  const child = spawn(BIN, [command, '--log', 'warn', ...addresses, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FANFARE_'))),
      ...PATIENT,
    },
  });
  const ended = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (form) => {
    const { value } = await withDeadline('its next line', Promise.race([
      lines.next(),
      ended.then(([code]) => { throw new Error(`${BIN} ${command} ended at once with ${code}`); }),
    ]));
    const found = form.exec(value)?.[1];
    assert.ok(found, `the line is ${JSON.stringify(value)}`);
    return found;
  };
  const url = await line(/^listening on (http:\/\/127\.0\.0\.1:\d+)$/);
  const control = await line(/^control on (http:\/\/127\.0\.0\.1:\d+)$/);
  return new Server(url, control, child, ended);
}

class Server {
  constructor(url, control, child, ended) {
    this.url = url;
    /** The address of its control listener: the page, and publishing. */
    this.control = control;
    this.child = child;
    this.ended = ended;
  }

  /** The address of a stream of these topics. */
  events(...topics) {
    return `${this.url}/events?${new URLSearchParams(topics.map((topic) => ['topic', topic]))}`;
  }

  /** Publishes one event and returns its id. */
  async publish(topic, data, fields = {}) {
    const answer = await fetch(`${this.control}/publish?${new URLSearchParams({ topic, ...fields })}`, {
      method: 'POST',
      body: data,
    });
    assert.equal(answer.status, 200, await answer.clone().text());
    return (await answer.json()).id;
  }

  /** Finishes a topic, with a last event if it is given data or fields. */
  async finish(topic, data = undefined, fields = {}) {
    const query = new URLSearchParams({ topic, ...fields });
    const answer = await fetch(`${this.control}/finish?${query}`, { method: 'POST', body: data });
    assert.equal(answer.status, 200, await answer.text());
  }

  /** Waits until one of its metrics without labels is as wanted, and returns it. */
  async metric(name, isWanted) {
    for (const end = Date.now() + DEADLINE_MS; ;) {
      const answer = await fetch(`${this.control}/metrics`);
      const [, value] = new RegExp(`^${name} (.*)$`, 'm').exec(await answer.text()) ?? assert.fail(`no metric ${name}`);
      if (isWanted(Number(value))) return Number(value);
      assert.ok(Date.now() < end, `waited ${DEADLINE_MS} ms for ${name}, which is ${value}`);
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  }

  /** Ends all streams, and returns how many there were. */
  async disconnectAll() {
    const answer = await fetch(`${this.control}/connections?all=1`, { method: 'DELETE' });
    assert.equal(answer.status, 200);
    return (await answer.json()).disconnected;
  }

  /** Asks the program to end, and expects it to do so in good order. */
  async stop() {
    this.child.kill('SIGTERM');
    const [code, signal] = await withDeadline('the end after SIGTERM', this.ended);
    assert.deepEqual([code, signal], [0, null], 'the program ends in good order');
  }
}

/** A port that nothing listens on. */
export async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/**
 * Waits until `find` returns something, and returns that. It is called at once, and at each event `name` of
 * the emitter. Fails when the deadline has passed, however many events came.
 */
export function untilFound(what, emitter, name, find) {
  const stop = new AbortController();
  const look = async () => {
    for (;;) {
      const found = find();
      if (found) return found;
      await once(emitter, name, { signal: stop.signal });
    }
  };
  return withDeadline(what, look()).finally(() => stop.abort());
}

/** Settles as `promise` does, or fails when the deadline has passed. */
export async function withDeadline(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
