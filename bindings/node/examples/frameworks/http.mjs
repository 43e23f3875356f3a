// Node's own http, or another server with its requests and responses, such as https and http2.

import { createServer } from 'node:http';
import { listenOn, runAlone } from './serving.mjs';

export function handler(hub, { handover } = {}) {
  return async (req, res) => {
    const { pathname } = new URL(req.url, 'http://localhost');
    const topic = /^\/events\/([^/]+)$/.exec(pathname)?.[1];
    if (topic !== undefined) return hub.handle(req, res, { topics: topic, handover });
    if (pathname === '/events' && req.method === 'POST') {
      const topics = await topicsIn(req);
      if (topics !== undefined) return hub.handle(req, res, { topics, handover });
      res.writeHead(400);
      return res.end();
    }
    res.writeHead(pathname === '/' ? 200 : 404, { 'Content-Type': 'text/html' });
    return res.end('<!doctype html><title>events</title>');
  };
}

/** The topics of a request's content; undefined when it has none, or is no JSON. */
async function topicsIn(req) {
  let body = '';
  try {
    for await (const chunk of req) body += chunk;
    const { topics } = JSON.parse(body);
    return [topics].flat().every((topic) => typeof topic === 'string') ? topics : undefined;
  } catch {
    return undefined;
  }
}

export const start = (hub, { port, ...options } = {}) => listenOn(createServer(handler(hub, options)), port);

await runAlone(import.meta.url, start);
