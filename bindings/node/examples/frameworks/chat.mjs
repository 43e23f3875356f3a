// A chat whose answers go on when the page is reloaded: the server of the AI SDK's chat transport, with
// a stub in place of the model. In a client of the AI SDK it is `useChat({ id, resume: true })`.

import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import { Chats } from 'fanfare/ai';
import { listenOn, runAlone } from './serving.mjs';

const think = (word, signal) => sleep(200, undefined, { signal });

/** What a model would give: with one it is `toUIMessageStream({ stream: streamText({ ... }).stream })`. */
async function* answerTo(messages, { signal, pause }) {
  const question = messages.at(-1)?.parts.map(({ text }) => text ?? '').join('') ?? '';
  yield { type: 'start' };
  yield { type: 'text-start', id: 'answer' };
  for (const word of `You said: ${question}. That is all I know.`.split(/(?<= )/)) {
    await pause(word, signal);
    yield { type: 'text-delta', id: 'answer', delta: word };
  }
  yield { type: 'text-end', id: 'answer' };
  yield { type: 'finish' };
}

/** A page without the AI SDK: `fetch` for a new answer, and an `EventSource` for one that goes on. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>Chat</title>
<form><input name="text" autofocus><button>Ask</button></form><p></p>
<script type="module">
const id = sessionStorage.chat ??= crypto.randomUUID();
const answer = document.querySelector('p');
const show = ({ type, delta }) => { if (type === 'text-delta') answer.textContent += delta; };
const resume = () => {
  answer.textContent = '';
  const source = new EventSource('/api/chat/' + id + '/stream');
  source.onmessage = ({ data }) => { if (data === '[DONE]') source.close(); else show(JSON.parse(data)); };
};
resume();
document.forms[0].onsubmit = async (event) => {
  event.preventDefault();
  const text = event.target.text.value;
  const response = await fetch('/api/chat', {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ id, messages: [{ role: 'user', parts: [{ type: 'text', text }] }] }),
  });
  await response.body.cancel();
  resume();
};
</script>`;

export function application(hub, { handover, pause = think } = {}) {
  const chats = new Chats(hub);
  const app = express();
  app.get('/', (req, res) => res.type('html').send(PAGE));
  app.post('/api/chat', express.json(), (req, res) => {
    const { id, messages } = req.body;
    return chats.post(req, res, id, ({ signal }) => answerTo(messages, { signal, pause }), { handover });
  });
  app.get('/api/chat/:id/stream', (req, res) => chats.get(req, res, req.params.id, { handover }));
  app.delete('/api/chat/:id', (req, res) => res.sendStatus(chats.stop(req.params.id) ? 204 : 404));
  return app;
}

export const start = (hub, { port, ...options } = {}) => listenOn(createServer(application(hub, options)), port);

await runAlone(import.meta.url, start);
