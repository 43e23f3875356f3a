// A handler that gives a `Response`, as a route handler of Next.js or SvelteKit does; here in Hono,
// which runs on Bun, Deno and others, too.

import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { listenOn, runAlone } from './serving.mjs';

/** `app/events/[topic]/route.js` of Next.js would have these, with a hub of a module of its own. */
export function routesOf(hub) {
  return {
    GET: (request, { params: { topic } }) => hub.response(request, { topics: topic, headers: { 'X-App': 'fetch' } }),
    POST: async (request) => {
      const { topics } = await request.json();
      return hub.response(request, { topics, headers: { 'X-App': 'fetch' } });
    },
  };
}

export function application(hub) {
  const { GET, POST } = routesOf(hub);
  const app = new Hono();
  app.get('/events/:topic', (c) => GET(c.req.raw, { params: c.req.param() }));
  app.post('/events', (c) => POST(c.req.raw));
  return app;
}

export const start = (hub, { port } = {}) => listenOn(createAdaptorServer({ fetch: application(hub).fetch }), port);

await runAlone(import.meta.url, start);
