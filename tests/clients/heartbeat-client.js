// Reads an event stream with one npm package, and prints what a program that uses it sees: a line of
// JSON for each event. A package that does not reconnect by itself is given the id that it knows.
//
//   node heartbeat-client.js PACKAGE URL

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const [name, url] = process.argv.slice(2);
const see = (event, data) => console.log(JSON.stringify({ event: event || 'message', data: data ?? '' }));

/** Those with the browsers' interface: a program sees the events that it listens for. */
function listen(EventSource, options) {
  const source = new EventSource(url, options);
  source.addEventListener('message', (e) => see(e.type, e.data));
}

/** A program that only parses, and knows no connections. */
async function parse() {
  const { createParser } = await import('eventsource-parser');
  let lastId;
  for (;;) {
    const parser = createParser({
      onEvent: ({ id, event, data }) => {
        lastId = id ?? lastId;
        see(event, data);
      },
    });
    const headers = lastId === undefined ? {} : { 'last-event-id': lastId };
    const response = await fetch(url, { headers });
    const text = new TextDecoder();
    for await (const bytes of response.body) parser.feed(text.decode(bytes, { stream: true }));
  }
}

async function fetchStream() {
  // It looks for a page that may be hidden.
  globalThis.window = globalThis;
  globalThis.document = { addEventListener() {}, removeEventListener() {} };
  const { fetchEventSource } = require('@microsoft/fetch-event-source');
  await fetchEventSource(url, {
    openWhenHidden: true,
    onmessage: ({ event, data }) => see(event, data),
    // An end is no error to it, so a program that wants to go on says so.
    onclose: () => { throw new Error('the stream has ended'); },
    onerror: () => 100,
  });
}

const clients = {
  eventsource: async () => listen((await import('eventsource')).EventSource),
  eventsource2: () => listen(require('eventsource2')),
  eventsource3: () => listen(require('eventsource3').EventSource),
  eventsource4: async () => listen((await import('eventsource4')).EventSource),
  'eventsource-client': async () => {
    const { createEventSource } = await import('eventsource-client');
    createEventSource({ url, onMessage: ({ event, data }) => see(event, data) });
  },
  'eventsource-parser': parse,
  '@microsoft/fetch-event-source': fetchStream,
  'launchdarkly-eventsource': () => {
    const { EventSource } = require('launchdarkly-eventsource');
    listen(EventSource, { initialRetryDelayMillis: 100 });
  },
  'reconnecting-eventsource': async () => {
    const { default: Reconnecting } = await import('reconnecting-eventsource');
    const { EventSource } = await import('eventsource');
    listen(Reconnecting, { eventSourceClass: EventSource, max_retry_time: 100 });
  },
};

// Some packages let a program end while they wait to reconnect.
setInterval(() => {}, 1_000_000);
await clients[name]();
