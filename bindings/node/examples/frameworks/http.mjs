// Node's own http, or another server with its requests and responses, such as https and http2.

import { createServer } from 'node:http';
import { listenOn, runAlone } from './serving.mjs';

export function handler(hub, { handover } = {}) {
  return async (req, res) => {
    const { pathname } = new URL(req.url, 'http://localhost');
    const topic = /^\/events\/([^/]+)$/.exec(pathname)?.[1];
    if (topic !== undefined) return hub.handle(req, res, { topics: topic, handover });
    if (pathname === '/events' && req.method === 'POST') {
      let body = '';
      for await (const chunk of req) body += chunk;
      return hub.handle(req, res, { topics: JSON.parse(body).topics, handover });
    }
    res.writeHead(pathname === '/' ? 200 : 404, { 'Content-Type': 'text/html' });
    return res.end('<!doctype html><title>events</title>');
  };
}

export const start = (hub, { port, ...options } = {}) => listenOn(createServer(handler(hub, options)), port);

await runAlone(import.meta.url, start);
