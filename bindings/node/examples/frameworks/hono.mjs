// Hono on Node.js, by which sockets are handed over. Header fields of `c.header` are given as `headers`.

import { createAdaptorServer } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { listenOn, runAlone } from './serving.mjs';

export function application(hub, { handover } = {}) {
  const app = new Hono();
  const handle = async (c, topics) => {
    await hub.handle(c.env.incoming, c.env.outgoing, { topics, headers: { 'X-App': 'hono' }, handover });
    return RESPONSE_ALREADY_SENT;
  };
  app.get('/events/:topic', (c) => handle(c, c.req.param('topic')));
  app.post('/events', async (c) => handle(c, (await c.req.json()).topics));
  return app;
}

export const start = (hub, { port, ...options } = {}) => (
  listenOn(createAdaptorServer({ fetch: application(hub, options).fetch }), port)
);

await runAlone(import.meta.url, start);
