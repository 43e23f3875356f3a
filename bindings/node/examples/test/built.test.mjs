// Applications of frameworks that are built: Next.js and SvelteKit, asked by an EventSource.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { EventSource } from 'eventsource';

const DEADLINE_MS = 60_000;
const APPLICATIONS = {
  nextjs: { build: ['next', 'build'], start: (port) => ['next', 'start', '-H', '127.0.0.1', '-p', port] },
  sveltekit: { build: ['vite', 'build'], start: () => undefined },
};
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' };

async function until(what, condition) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** A port that was free a moment ago: neither server tells one that the system has chosen. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return `${port}`;
}

for (const [name, { build, start }] of Object.entries(APPLICATIONS)) {
  test(`${name}: an EventSource gets what is published, comes back, and is missed when it leaves`, async (t) => {
    const cwd = join(import.meta.dirname, '..', name);
    const bin = (command) => join(cwd, 'node_modules/.bin', command);
    await promisify(execFile)(bin(build[0]), build.slice(1), { cwd, env });

    const port = await freePort();
    const [command, ...args] = start(port) ?? [];
    const server = spawn(command === undefined ? process.execPath : bin(command), command === undefined ? ['build'] : args, {
      cwd, env: { ...env, PORT: port, HOST: '127.0.0.1' }, stdio: ['ignore', 'ignore', 'inherit'], detached: true,
    });
    // Those that it has started, too.
    t.after(() => process.kill(-server.pid, 'SIGKILL'));
    const url = `http://127.0.0.1:${port}`;
    const publish = async (data) => {
      const response = await fetch(`${url}/publish`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ topic: 'news', data }),
      });
      return response.json();
    };
    await until('the server', () => publish('for nobody').catch(() => undefined));

    const got = [];
    const source = new EventSource(`${url}/events/news`);
    t.after(() => source.close());
    source.addEventListener('message', ({ data, lastEventId }) => got.push([data, lastEventId]));
    await until('the stream', () => source.readyState === EventSource.OPEN);
    const { id, connections } = await publish('one');
    assert.equal(connections, 1);
    await until('the event', () => got.length === 1);
    assert.deepEqual(got, [['one', id]]);
    await publish('two');
    const response = await fetch(`${url}/events/news`, { headers: { 'Last-Event-ID': id } });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    assert.equal(response.headers.get('x-app'), name);
    const reader = response.body.getReader();
    let text = '';
    await until('what was missed', async () => {
      text += new TextDecoder().decode((await reader.read()).value);
      return text.includes('data: two');
    });
    await reader.cancel();
    source.close();
    await until('the streams to end', async () => (await publish('who is there?')).connections === 0);
  });
}
