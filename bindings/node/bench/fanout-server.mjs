// A Node.js program that broadcasts to its clients, for the benchmark: see bench/fanout.
//
// node bench/fanout-server.mjs handle|never|listen|better-sse
//
// It speaks the protocol of benches/src/subject/mod.rs. The delay of its event loop while it
// publishes is told at the end, in microseconds.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setImmediate, setTimeout } from 'node:timers/promises';

const setting = (name) => process.env[`FANFARE_BENCH_${name}`];
const events = Number(setting('EVENTS'));
const bytes = Number(setting('BYTES'));
const rate = Number(setting('RATE'));
const [host, port] = setting('LISTEN').split(':');
/** Of these as many are published before the event loop runs once. */
const TURN = 16;

const WAYS = { handle: fanfare, never: fanfare, listen: fanfare, 'better-sse': betterSse };
const way = process.argv[2];
const { url, publish } = await WAYS[way](way);

/** fanfare: a hub, and its own listener or a server of Node.js. */
async function fanfare() {
  const { Hub } = await import('fanfare');
  const hub = new Hub({ connectionsMax: 1_000_000, lagGracePercent: 100 });
  const all = hub.topic('all');
  // Every client gets every event: the publisher waits for space, and for clients that lag.
  const send = (data, number) => {
    try {
      return all.publish(data, { id: `${number}` });
    } catch (error) {
      if (error.code !== 'FANFARE_ERR_FULL') throw error;
      return all.publishAsync(data, { id: `${number}` });
    }
  };
  if (way === 'listen') return { url: `${hub.listen(setting('LISTEN')).address} /events?topic=all`, publish: send };
  const handover = way === 'handle' ? 'require' : 'never';
  const address = await serve((req, res) => hub.handle(req, res, { topics: 'all', handover }));
  return { url: `${address} /all`, publish: send };
}

/** better-sse: a session for each client, registered with a channel, as its guide shows. */
async function betterSse() {
  const require = createRequire(new URL('../examples/frameworks/package.json', import.meta.url));
  const { createChannel, createSession } = require('better-sse');
  const all = createChannel();
  const address = await serve(async (req, res) => {
    all.register(await createSession(req, res, { serializer: String }));
  });
  // It has no back-pressure: what clients have not taken is in buffers of Node.js.
  return { url: `${address} /all`, publish: (data, number) => { all.broadcast(data, 'message', { eventId: `${number}` }); } };
}

async function serve(handler) {
  const server = createServer(handler);
  await new Promise((resolve) => { server.listen({ host, port: Number(port), backlog: 4096 }, resolve); });
  const { address, port: taken } = server.address();
  return `${address}:${taken}`;
}

/** CLOCK_MONOTONIC, in nanoseconds. */
const nowNs = () => process.hrtime.bigint();

async function publishAll() {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const begunNs = nowNs();
  const cpu = process.cpuUsage();
  delay.enable();
  for (let number = 0; number < events; number += 1) {
    if (rate > 0) {
      const dueNs = begunNs + BigInt(Math.floor((number * 1e9) / rate));
      const waitMs = Math.ceil(Number(dueNs - nowNs()) / 1e6);
      if (waitMs > 0) await setTimeout(waitMs);
    } else if (way === 'better-sse' || number % TURN === 0) {
      await setImmediate();
    }
    const sent = publish(`${number} ${nowNs()} `.padEnd(bytes, 'x'), number);
    if (typeof sent?.then === 'function') await sent;
  }
  // What the last event costs is in the delay, too.
  await setTimeout(2);
  delay.disable();
  const elapsedNs = nowNs() - begunNs;
  const { user, system } = process.cpuUsage(cpu);
  const us = (ns) => Math.round(ns / 1000);
  return `done ${events} ${elapsedNs} ${(user + system) * 1000} `
    + `loop_p50_us=${us(delay.percentile(50))} loop_p99_us=${us(delay.percentile(99))} loop_max_us=${us(delay.max)}`;
}

console.log(`listening ${url}`);
const commands = createInterface({ input: process.stdin });
commands.on('line', async (line) => {
  if (line.trim() !== 'go') throw new Error(`unknown command ${line}`);
  const done = await publishAll();
  console.error(`fanout-server ${way}: ${done}`);
  console.log(done);
});
commands.on('close', () => process.exit());
