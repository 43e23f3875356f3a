// Express 5; Express 4 is used in the same way.

import { createServer } from 'node:http';
import express5 from 'express';
import { listenOn, runAlone } from './serving.mjs';

export function application(hub, { express = express5, handover } = {}) {
  const app = express();
  app.use((req, res, next) => {
    res.setHeader('X-App', 'express');
    next();
  });
  app.get('/events/:topic', (req, res) => hub.handle(req, res, { topics: req.params.topic, handover }));
  app.post('/events', express.json(), (req, res) => hub.handle(req, res, { topics: req.body.topics, handover }));
  return app;
}

export const start = (hub, { port, ...options } = {}) => listenOn(createServer(application(hub, options)), port);

await runAlone(import.meta.url, start);
