// The AI SDK's own client transport, and the package resumable-stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultChatTransport, readUIMessageStream } from 'ai';
import { Hub } from 'fanfare';
import { resumable } from 'fanfare/ai';
import { createResumableStreamContext } from 'resumable-stream/generic';
import { start } from '../chat.mjs';
import { started, until, withDeadline } from './support.mjs';

const ANSWER = 'You said: hello. That is all I know.';
const messages = [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'hello' }] }];

async function textOf(stream) {
  let text = '';
  for await (const message of readUIMessageStream({ stream })) text = message.parts.map((part) => part.text ?? '').join('');
  return text;
}

for (const handover of ['require', 'never']) {
  test(`handover ${handover}: the AI SDK's transport sends, resumes, and is told that there is nothing`, async (t) => {
    const { hub, url } = await started(t, start, { handover, pause: () => sleep(5) });
    const transport = new DefaultChatTransport({ api: `${url}/api/chat` });
    assert.equal(await transport.reconnectToStream({ chatId: 'chat' }), null);
    const abort = new AbortController();
    const asked = { trigger: 'submit-message', chatId: 'chat', messages };
    const broken = await transport.sendMessages({ ...asked, abortSignal: abort.signal });
    await withDeadline('the beginning', broken.getReader().read());
    // As a reload does.
    abort.abort();
    const resumed = await transport.reconnectToStream({ chatId: 'chat' });
    assert.equal(await withDeadline('the answer', textOf(resumed)), ANSWER);
    await until('the run to end', () => hub.metrics().connections === 0);
    assert.equal(await transport.reconnectToStream({ chatId: 'chat' }), null);
    const whole = await transport.sendMessages({ ...asked, abortSignal: undefined });
    assert.equal(await withDeadline('the answer', textOf(whole)), ANSWER);
  });
}

test('a run that is stopped ends for the transport', async (t) => {
  const { url } = await started(t, start, { pause: (word, signal) => sleep(60_000, undefined, { signal }) });
  const transport = new DefaultChatTransport({ api: `${url}/api/chat` });
  const stream = await transport.sendMessages({ trigger: 'submit-message', chatId: 'chat', messages });
  const reader = stream.getReader();
  assert.equal((await withDeadline('the beginning', reader.read())).value.type, 'start');
  assert.equal((await fetch(`${url}/api/chat/chat`, { method: 'DELETE' })).status, 204);
  const types = [];
  for (let read = await reader.read(); !read.done; read = await withDeadline('the end', reader.read())) types.push(read.value.type);
  assert.deepEqual(types, ['text-start', 'abort']);
});

test('resumable-stream has its channels on a hub', async (t) => {
  const hub = new Hub({ shards: 1 });
  t.after(() => hub.close());
  const { publisher, subscriber } = resumable(hub);
  const contexts = [1, 2].map(() => createResumableStreamContext({ waitUntil: null, publisher, subscriber }));
  const source = new TransformStream();
  const writer = source.writable.getWriter();
  const textFrom = async (stream) => {
    let text = '';
    for await (const chunk of stream) text += chunk;
    return text;
  };
  const first = await contexts[0].resumableStream('run', () => source.readable);
  writer.write('one\r\n');
  writer.write('x'.repeat(300_000));
  const reader = first.getReader();
  assert.equal((await reader.read()).value, 'one\r\n');
  await reader.cancel();
  assert.equal(await contexts[1].hasExistingStream('run'), true);
  const [whole, rest] = await Promise.all([
    contexts[1].resumeExistingStream('run'), contexts[0].resumableStream('run', () => assert.fail(), 5),
  ]);
  writer.write('\u{1f600}');
  writer.close();
  const text = `one\r\n${'x'.repeat(300_000)}\u{1f600}`;
  assert.equal(await withDeadline('the end', textFrom(whole)), text);
  assert.equal(await withDeadline('the end', textFrom(rest)), text.slice(5));
  await until('the channels to be closed', () => hub.metrics().connections === 0);
  assert.equal(await contexts[1].hasExistingStream('run'), 'DONE');
  assert.equal(await contexts[1].resumeExistingStream('run'), null);
  assert.equal(await contexts[1].resumableStream('run', () => assert.fail()), null);
});
