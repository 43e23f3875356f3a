// What the applications have in common: they listen on a port, and can be run alone.

import { pathToFileURL } from 'node:url';
import { Hub } from 'fanfare';

/** Has a server of Node.js listen on loopback, and tells its port and how it is closed. */
export async function listenOn(server, port = 0) {
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: server.address().port,
    close: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections?.();
    }),
  };
}

/** Runs an application when its file is what Node.js was started with: a tick a second. */
export async function runAlone(url, start) {
  if (url !== pathToFileURL(process.argv[1] ?? '').href) return;
  const hub = new Hub();
  const { port } = await start(hub, { port: Number(process.env.PORT ?? 8080) });
  console.log(`curl -N http://127.0.0.1:${port}/events/news`);
  setInterval(() => hub.publish('news', new Date().toISOString()), 1000);
}
