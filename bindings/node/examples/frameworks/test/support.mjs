// Hubs and applications that end with their test, and clients.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hub } from 'fanfare';

export { repository, until, withDeadline } from '../../../test/client.mjs';

/** An application with a hub, both closed at the end of the test. */
export async function started(t, start, options) {
  const hub = new Hub({ shards: 1, retryMs: 50 });
  const { port, close } = await start(hub, options);
  t.after(async () => {
    await hub.close();
    // It waits for clients, which are closed after it.
    void close();
  });
  return { hub, port, url: `http://127.0.0.1:${port}` };
}

/** A key and a certificate for `localhost`. */
export function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'fanfare-'));
  try {
    const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert,
    ], { stdio: 'pipe' });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Takes what is pushed, one after the other, and waits for it. */
export function queue() {
  const items = [];
  let wake = () => {};
  return {
    push(item) {
      items.push(item);
      wake();
    },
    async next() {
      while (items.length === 0) await new Promise((resolve) => { wake = resolve; });
      return items.shift();
    },
  };
}
