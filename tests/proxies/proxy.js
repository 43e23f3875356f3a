// The proxies: each started with the documented lines on a free port, in front of a server.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { DEADLINE_MS, freePort, withDeadline } from '../browser/server.js';
import { NAME } from './certificate.js';
import { changed, documented, documentedInline } from './documented.js';

// Another process may take a port between the moment when it is found free and that when it is used.
const STARTS_MAX = 5;

// Debian has servers where the PATH of users other than root does not look.
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };

const UPSTREAM = '127.0.0.1:8080';
const CERTIFICATE = `/etc/ssl/${NAME}`;

/** How each proxy takes the documented lines, and is started, reloaded and ended. */
const KINDS = {
  nginx: {
    name: 'nginx',
    file: 'nginx.conf',
    // What a test needs besides the lines: where it may write, and that nothing is logged. A site that
    // compresses all that it can is what the lines have to hold their own in.
    changes: ({ port, certificate, folder }) => [
      ['worker_processes auto;', `worker_processes auto; daemon off; pid ${folder}/pid; error_log stderr warn;`],
      ['http {', `http { access_log off; gzip on; gzip_min_length 1; gzip_types text/event-stream;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`).join(' ')}`],
      ['listen 443 ssl', `listen 127.0.0.1:${port} ssl`],
      [`${CERTIFICATE}.pem`, certificate.pem],
      [`${CERTIFICATE}.key`, certificate.key],
    ],
    more: (lines) => [['        location @later {', `${lines}\n        location @later {`]],
    start: (file) => ['nginx', '-e', 'stderr', '-c', file],
    reload: ({ child }) => child.kill('SIGHUP'),
    end: 'SIGTERM',
  },
  haproxy: {
    name: 'HAProxy',
    file: 'haproxy.cfg',
    changes: ({ port, certificate }) => [
      ['bind :443', `bind 127.0.0.1:${port}`],
      [`${CERTIFICATE}.both.pem`, certificate.both],
    ],
    more: (lines, section) => [
      ['{ path /events }\n', `{ path /events }\n    ${documentedInline(section, 'use_backend')}\n`],
      ['backend streams\n', `${lines}\nbackend streams\n`],
    ],
    start: (file) => ['haproxy', '-W', '-f', file],
    reload: ({ child }) => child.kill('SIGUSR2'),
    end: 'SIGTERM',
  },
  caddy: {
    name: 'Caddy',
    file: 'Caddyfile',
    changes: ({ port, others, certificate }) => [
      ['\tgrace_period', `\tdefault_bind 127.0.0.1
        https_port ${port}
        http_port ${others[0]}
        admin 127.0.0.1:${others[1]}
        grace_period`],
      [`${CERTIFICATE}.pem`, certificate.pem],
      [`${CERTIFICATE}.key`, certificate.key],
    ],
    more: (lines) => [['\thandle_errors {', `${lines}\n\thandle_errors {`]],
    start: (file) => ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'],
    // It takes a file that has not changed for one that need not be loaded.
    reload: async ({ file, others, env }) => {
      const args = ['reload', '--force', '--config', file, '--adapter', 'caddyfile', '--address', `127.0.0.1:${others[1]}`];
      await promisify(execFile)('caddy', args, { env, timeout: DEADLINE_MS });
    },
    end: 'SIGKILL', // as after SIGTERM it waits for its streams
  },
};

/**
 * The changes that put more lines of the document where it says that they belong: those of a section
 * with a block for this kind of proxy.
 */
export function withLinesOf(section, kind) {
  return KINDS[kind].more(documented(section, kind), section);
}

/**
 * Starts a proxy in front of a server, and ends it with the test `t`. `changes` are made in the
 * documented lines, besides those that are necessary.
 */
export async function startProxy(t, kind, server, certificate, changes = []) {
  for (let start = 1; ; start += 1) {
    const proxy = await Proxy.launch(kind, server, certificate, changes);
    t.after(() => proxy.end());
    try {
      await proxy.ready();
      return proxy;
    } catch (error) {
      await proxy.end();
      if (start === STARTS_MAX) throw new Error(`${kind} does not start: ${error.message}\n${proxy.log}`, { cause: error });
    }
  }
}

class Proxy {
  static async launch(kind, server, certificate, changes) {
    const folder = mkdtempSync(path.join(certificate.folder, `${kind}-`));
    chmodSync(folder, 0o755); // as that of the certificate
    const port = await freePort();
    const others = [await freePort(), await freePort()];
    const file = path.join(folder, KINDS[kind].file);
    writeFileSync(file, changed(documented(KINDS[kind].name, kind), [
      ...changes,
      ...KINDS[kind].changes({ port, others, certificate, folder }),
      [UPSTREAM, new URL(server.url).host],
    ]));
    return new Proxy({ kind, certificate, folder, port, others, file });
  }

  constructor(fields) {
    Object.assign(this, fields);
    this.env = { ...ENV, HOME: this.folder, XDG_DATA_HOME: this.folder, XDG_CONFIG_HOME: this.folder };
    const output = openSync(this.logFile, 'a');
    const [program, ...args] = KINDS[this.kind].start(this.file);
    this.child = spawn(program, args, { stdio: ['ignore', output, output], env: this.env });
    closeSync(output);
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve(`it ended with ${code ?? signal}`));
      this.child.once('error', (error) => resolve(`${error.message}: tests/setup installs it`));
    });
  }

  /** The origin that browsers see. */
  get url() {
    return `https://${NAME}:${this.port}`;
  }

  /** The address of a stream of these topics. */
  events(...topics) {
    return `${this.url}/events?${new URLSearchParams(topics.map((topic) => ['topic', topic]))}`;
  }

  get logFile() {
    return path.join(this.folder, 'log');
  }

  /** All that it has said. */
  get log() {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Waits until it answers with its certificate, and fails if another program does or it has ended. */
  async ready() {
    const stop = new AbortController();
    try {
      await withDeadline(`${this.kind} to listen`, Promise.race([
        this.ended.then((how) => { throw new Error(how); }),
        this.answered(stop.signal),
      ]));
    } finally {
      stop.abort();
    }
  }

  async answered(signal) {
    while (!signal.aborted) {
      const socket = tls.connect({
        host: '127.0.0.1', port: this.port, servername: NAME, ca: this.certificate.text, ALPNProtocols: ['h2'],
      });
      try {
        await once(socket, 'secureConnect', { signal });
        if (socket.alpnProtocol !== 'h2') throw new Error('it does not speak HTTP/2');
        return;
      } catch (error) {
        if (error.code !== 'ECONNREFUSED') throw error;
        await pause(20); // until it listens
      } finally {
        socket.destroy();
      }
    }
  }

  /** Has it load its configuration anew. */
  async reload() {
    await KINDS[this.kind].reload(this);
  }

  /** Ends it, and waits until it has ended. */
  async end() {
    this.child.kill(KINDS[this.kind].end);
    const late = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await this.ended;
    clearTimeout(late);
  }
}
