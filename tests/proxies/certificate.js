// A certificate for the name that the documented lines have, which nothing but a test trusts.

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The name in the documented lines. */
export const NAME = 'events.example.com';

/**
 * Makes a key, and a certificate that it has signed itself, in a folder of their own; `remove` removes
 * it.
 */
export function makeCertificate() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'fanfare-proxies-'));
  chmodSync(folder, 0o755); // nginx' workers are of another user than root
  const [key, pem, both] = ['key', 'pem', 'both.pem'].map((end) => path.join(folder, `${NAME}.${end}`));
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`, '-keyout', key, '-out', pem,
  ], { stdio: 'pipe' });
  const text = readFileSync(pem, 'utf8');
  writeFileSync(both, text + readFileSync(key, 'utf8'), { mode: 0o600 });
  return { folder, key, pem, both, text, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
