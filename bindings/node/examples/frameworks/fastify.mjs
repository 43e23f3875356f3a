// Fastify. `hub.handle` calls `reply.hijack()`, and sends the fields that the reply has.

import Fastify from 'fastify';
import { runAlone } from './serving.mjs';

export function application(hub, { handover } = {}) {
  const app = Fastify({ forceCloseConnections: true });
  app.addHook('onRequest', async (request, reply) => { reply.header('X-App', 'fastify'); });
  app.get('/events/:topic', (request, reply) => hub.handle(request, reply, { topics: request.params.topic, handover }));
  app.post('/events', (request, reply) => hub.handle(request, reply, { topics: request.body.topics, handover }));
  return app;
}

export async function start(hub, { port = 0, ...options } = {}) {
  const app = application(hub, options);
  await app.listen({ port, host: '127.0.0.1' });
  return { port: app.server.address().port, close: () => app.close() };
}

await runAlone(import.meta.url, start);
