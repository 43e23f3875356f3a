// The middleware of fanfare/sse in Express: sessions, channels and broadcasts.

import { createServer } from 'node:http';
import express from 'express';
import { sse } from 'fanfare/sse';
import { listenOn, runAlone } from './serving.mjs';

export function application(hub, { handover } = {}) {
  const app = express();
  const events = sse({ hub, retry: 2000, cors: true, handover });
  const chat = events.channel('chat');
  app.use(events);
  app.get('/events/:room', async (req, res) => {
    const session = await res.sse({ channels: [chat], topics: `room/${req.params.room}` });
    session?.sendEvent({ members: chat.sessionCount }, 'welcome');
  });
  app.post('/rooms/:room', express.json(), (req, res) => {
    events.broadcast(`room/${req.params.room}`, req.body, 'said');
    res.sendStatus(204);
  });
  app.post('/chat', express.json(), (req, res) => {
    chat.broadcast(req.body, 'said');
    res.sendStatus(204);
  });
  return app;
}

export const start = (hub, { port, ...options } = {}) => listenOn(createServer(application(hub, options)), port);

await runAlone(import.meta.url, start);
