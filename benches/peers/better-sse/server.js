/**
 * better-sse on Node's http module: a session per client, registered with a channel, and
 * `channel.broadcast`, as its guide to channels shows.
 *
 * The one option that is set, `serializer`, is its documented way to send text as it is instead of
 * as JSON. It documents no back-pressure: the publisher lets the event loop run once after every
 * event, and what clients have not taken is held in Node's buffers, which have no bound.
 */
import http from 'node:http';
import { setImmediate, setTimeout } from 'node:timers/promises';
import readline from 'node:readline';
import { createChannel, createSession } from 'better-sse';

const setting = (name) => process.env[`FANFARE_BENCH_${name}`];
const events = Number(setting('EVENTS'));
const bytes = Number(setting('BYTES'));
const rate = Number(setting('RATE'));
const soloIntervalMs = Number(setting('SOLO_INTERVAL_MS'));

const all = createChannel();
const solo = createChannel();
const channels = new Map([['/all', all], ['/solo', solo]]);

/** CLOCK_MONOTONIC, in nanoseconds. */
const nowNs = () => process.hrtime.bigint();
/** Whole milliseconds, which is what Node's timers know, until then: never too early. */
const msUntil = (dueNs) => Math.max(0, Math.ceil(Number(dueNs - nowNs()) / 1e6));
const data = (number, stampNs) => `${number} ${stampNs} `.padEnd(bytes, 'x');

async function publishAll() {
  const begunNs = nowNs();
  const cpu = process.cpuUsage();
  const ending = new AbortController();
  const beside = soloIntervalMs > 0 ? publishSolos(ending.signal) : null;
  for (let number = 0; number < events; number += 1) {
    const dueNs = rate > 0 ? begunNs + BigInt(Math.floor((number * 1e9) / rate)) : begunNs;
    const waitMs = msUntil(dueNs);
    await (waitMs > 0 ? setTimeout(waitMs) : setImmediate());
    all.broadcast(data(number, nowNs()), 'message', { eventId: String(number) });
  }
  const elapsedNs = nowNs() - begunNs;
  const used = process.cpuUsage(cpu);
  ending.abort();
  const line = `done ${events} ${elapsedNs} ${(used.user + used.system) * 1000}`;
  return beside ? `${line} ${await beside}` : line;
}

async function publishSolos(signal) {
  const intervalNs = BigInt(soloIntervalMs) * 1_000_000n;
  const lateNs = [];
  for (let dueNs = nowNs() + intervalNs; ; dueNs += intervalNs) {
    // A timer may still fire a little before its time.
    do {
      await setTimeout(msUntil(dueNs), undefined, { signal }).catch(() => {});
    } while (!signal.aborted && nowNs() < dueNs);
    if (signal.aborted) break;
    lateNs.push(Number(nowNs() - dueNs));
    solo.broadcast(data(lateNs.length - 1, dueNs), 'message', {
      eventId: String(lateNs.length - 1),
    });
  }
  const sorted = [...lateNs].sort((a, b) => a - b);
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? 0;
  return `solo=${lateNs.length} solo_late_p99_ns=${p99}`;
}

const server = http.createServer(async (request, response) => {
  const channel = channels.get(request.url);
  if (!channel) {
    response.writeHead(404).end();
    return;
  }
  const session = await createSession(request, response, { serializer: String });
  channel.register(session);
});

const [host, port] = setting('LISTEN').split(':');
server.listen({ host, port: Number(port), backlog: 4096 }, () => {
  const { address, port: taken } = server.address();
  console.log(`listening ${address}:${taken} /all /solo`);
});

let isPublishing = false;
const commands = readline.createInterface({ input: process.stdin });
commands.on('line', async (line) => {
  if (line.trim() !== 'go') throw new Error(`unknown command ${line}`);
  isPublishing = true;
  console.log(await publishAll());
  isPublishing = false;
});
commands.on('close', () => process.exit(isPublishing ? 3 : 0));
