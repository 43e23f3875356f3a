// Koa. `hub.handle` sets `ctx.respond = false`.

import { createServer } from 'node:http';
import Koa from 'koa';
import bodyParser from 'koa-bodyparser';
import { listenOn, runAlone } from './serving.mjs';

export function application(hub, { handover } = {}) {
  const app = new Koa();
  app.use(bodyParser());
  app.use(async (ctx) => {
    ctx.set('X-App', 'koa');
    const topic = /^\/events\/([^/]+)$/.exec(ctx.path)?.[1];
    const topics = ctx.method === 'POST' ? ctx.request.body.topics : topic;
    if (topics !== undefined) await hub.handle(ctx.request, ctx.response, { topics, handover });
  });
  return app;
}

export const start = (hub, { port, ...options } = {}) => listenOn(createServer(application(hub, options).callback()), port);

await runAlone(import.meta.url, start);
