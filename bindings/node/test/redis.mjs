// A Redis server of a test's own, on a port of the loopback.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long anything is waited for: a machine may be slow. */
export const DEADLINE_MS = 30_000;

/** Runs a server that keeps nothing until the test ends; returns its URL. */
export async function redisServer(t) {
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-redis-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (let tries = 0; tries < 5; tries++) {
    const port = await freePort();
    const options = ['--save', '', '--appendonly', 'no', '--bind', '127.0.0.1', '--port', port, '--dir', folder];
    const server = spawn('redis-server', options, { stdio: 'ignore' });
    await once(server, 'spawn');
    const ended = once(server, 'exit');
    t.after(async () => {
      server.kill('SIGKILL');
      await ended;
    });
    if (await isUp(server, port)) return `redis://127.0.0.1:${port}/5`;
  }
  throw new Error('redis-server found no port');
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Waits until the server answers; it ends at once if another process has got its port. */
async function isUp(server, port) {
  const deadline = performance.now() + DEADLINE_MS;
  while (server.exitCode === null) {
    if (await answers(port)) return true;
    if (performance.now() > deadline) throw new Error('redis-server does not answer');
    await sleep(10);
  }
  return false;
}

function answers(port) {
  return new Promise((resolve) => {
    let said = '';
    const connection = connect(port, '127.0.0.1', () => connection.write('PING\r\n'));
    connection.setEncoding('latin1').setTimeout(1000, () => connection.destroy());
    connection.on('data', (text) => {
      said += text;
      if (said.length >= 7) connection.destroy();
    });
    connection.on('error', () => {});
    connection.on('close', () => resolve(said === '+PONG\r\n'));
  });
}
