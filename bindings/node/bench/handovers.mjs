// What hand-overs leave behind: node --expose-gc bench/handovers.mjs [COUNT] [adopt|handle|never]
//
// Clients of another process connect, ask for a stream, read its head, and leave, in turn by an end and
// by a reset. A server of the program's own accepts and hands over each: a plain one with `hub.adopt`, or
// one of http with `hub.handle`; with `never` it sends the streams itself. Descriptors, heap and memory
// are printed after the first tenth, which fills pools and caches, and at the end.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import process from 'node:process';
import { Hub } from 'fanfare';

const AT_ONCE = 64;
const HEAD = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

if (process.send !== undefined) clients(Number(process.argv[2]), Number(process.argv[3]));
else await main(Number(process.argv[2] ?? 10_000), process.argv[3] ?? 'adopt');

function clients(port, count) {
  let begun = 0;
  let ended = 0;
  const next = () => {
    if (begun >= count) return;
    const isReset = begun % 2 === 0;
    begun += 1;
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', (error) => { throw error; });
    socket.once('data', () => {
      if (isReset) socket.resetAndDestroy();
      else socket.end();
    });
    socket.resume();
    socket.once('close', () => {
      ended += 1;
      if (ended === count) process.send('all');
      else next();
    });
    socket.write(HEAD);
  };
  for (let i = 0; i < AT_ONCE; i += 1) next();
}

function serverOf(hub, way) {
  if (way !== 'adopt') {
    const handover = way === 'handle' ? 'require' : 'never';
    return createHttpServer((req, res) => hub.handle(req, res, { topics: 'news', handover }));
  }
  return createServer((socket) => {
    socket.on('error', (error) => { throw error; });
    socket.once('data', () => hub.adopt(socket, 'news'));
  });
}

async function main(count, way) {
  const hub = new Hub({ shards: 1 });
  const server = serverOf(hub, way);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address();

  const part = async (clientsCount) => {
    const child = fork(import.meta.filename, [port, clientsCount]);
    await once(child, 'message');
    // Its end closes the channel to it, which is a descriptor too.
    const closed = once(child, 'close');
    child.kill();
    await closed;
    while (hub.metrics().connections > 0 || hub.metrics().pendingConnections > 0) await new Promise(setImmediate);
    for (let i = 0; i < 3; i += 1) {
      globalThis.gc?.();
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    const { heapUsed, external, rss } = process.memoryUsage();
    return { descriptors: readdirSync('/proc/self/fd').length, heapUsed, external, rss };
  };

  const first = await part(Math.ceil(count / 10));
  console.log(`after ${Math.ceil(count / 10)}:`, first);
  const began = performance.now();
  const last = await part(count);
  const seconds = (performance.now() - began) / 1000;
  console.log(`after ${count} more, in ${seconds.toFixed(1)} s:`, last);
  const { acceptedConnections, disconnects } = hub.metrics();
  console.log(`${acceptedConnections} streams;`, disconnects);
  await hub.close();
  server.close();
  // A stream whose client leaves before it has begun is none.
  if (way !== 'never' && acceptedConnections !== count + Math.ceil(count / 10)) throw new Error('not all were handed over');
  if (last.descriptors > first.descriptors) throw new Error('descriptors were left');
  if (last.heapUsed > first.heapUsed + 2 ** 20) throw new Error('the heap has grown');
}
