// That a process which exits sends what it has published first, in other runtimes as well. Run by
// scripts/test.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { pbkdf2 } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Hub } from 'fanfare';

const EVENTS = 100;
const file = fileURLToPath(import.meta.url);
const ENDS = {
  'process.exit': () => process.exit(0),
  'a close that nobody waits for': (hub) => {
    // The threads by which some runtimes close it are busy.
    for (let i = 0; i < 4; i += 1) pbkdf2('a', 'b', 200_000, 64, 'sha512', () => {});
    hub.close();
    process.exit(0);
  },
  'nothing more to do': (hub, listener) => listener.close(),
};

if (process.argv[2] === undefined) await main();
else child(ENDS[process.argv[2]]);

function child(end) {
  const hub = new Hub({ shards: 1 });
  const listener = hub.listen();
  console.log(listener.port);
  process.stdin.once('data', () => {
    process.stdin.destroy();
    for (let i = 0; i < EVENTS; i += 1) hub.publish('news', `${i}`);
    end(hub, listener);
  });
}

async function main() {
  const args = globalThis.Deno === undefined ? [file] : ['run', '--quiet', '--allow-all', file];
  for (const end of Object.keys(ENDS)) {
    const process = spawn(globalThis.process.execPath, [...args, end], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(process, 'exit');
    const [port] = await once(process.stdout, 'data');
    const response = await fetch(`http://127.0.0.1:${Number(port)}/events?topic=news`);
    process.stdin.write('go');
    // It rejects when the end of the body is missing.
    const text = await response.text();
    assert.equal(text.match(/^data: \d+$/gm)?.length, EVENTS, end);
    assert.equal((await exited)[0], 0, end);
  }
}
