// Runs the cases of tests/conformance, by each way in: see the README there.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { Hub } from 'fanfare';
import { until, withDeadline } from './client.mjs';

const repository = process.env.FANFARE_REPOSITORY ?? join(import.meta.dirname, '..', '..', '..');
export const CASES = JSON.parse(readFileSync(join(repository, 'tests', 'conformance', 'cases.json'), 'utf8'));

/** WHATWG HTML, section "Interpreting an event stream", for LF as the one end of lines. */
async function* eventsOf(pieces) {
  const decoder = new TextDecoder();
  let rest = '';
  let [name, data, id] = ['', [], ''];
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const at = line.indexOf(':');
      const [field, value] = at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, '')];
      if (field === 'data') data.push(value);
      else if (field === 'event') name = value;
      else if (field === 'id') id = value;
      else if (line === '') {
        if (data.length > 0) yield { name: name || 'message', data: data.join('\n'), id };
        [name, data] = ['', []];
      }
    }
  }
}

/** A client: its answer's status, its events, and what closes it. */
function clientOf(pieces, close) {
  const events = eventsOf(pieces);
  return {
    status: 200,
    async next() {
      const { done, value } = await withDeadline('an event', events.next());
      return done ? undefined : value;
    },
    close,
  };
}

/** A client that asks a server. */
async function asked(port, query, wanted) {
  const headers = wanted.last_event_id === undefined ? {} : { 'Last-Event-ID': wanted.last_event_id };
  const asking = request({ port, host: '127.0.0.1', path: `/events?${new URLSearchParams(query)}`, headers, agent: false });
  asking.on('error', () => {});
  asking.end();
  const [response] = await withDeadline('an answer', once(asking, 'response'));
  if (response.statusCode === 200) return clientOf(response, () => asking.destroy());
  asking.destroy();
  return { status: response.statusCode, close() {} };
}

const NAMES = { last_event_id: 'lastEventId', envelope: 'envelope', start: 'start', gap_start: 'gapStart' };

/** The options of a stream for a step `connect`. */
function choices(wanted) {
  const options = {};
  for (const [name, option] of Object.entries(NAMES)) {
    if (wanted[name] === undefined) continue;
    options[option] = wanted[name].startsWith('last=') ? Number(wanted[name].slice(5)) : wanted[name];
  }
  return options;
}

/** A hub's way in by a server of the program's own. */
async function served(hub, handover) {
  let wanted;
  const server = createServer((req, res) => {
    // The id comes by the request.
    const { lastEventId, ...options } = choices(wanted);
    assert.equal(req.headers['last-event-id'], lastEventId);
    hub.handle(req, res, { topics: wanted.topics, ...options, handover });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    open(step) {
      wanted = step;
      return asked(server.address().port, [], step);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Each gives what opens a client's stream for a step `connect`, which what is published next reaches. */
export const WAYS_IN = {
  async listen(hub) {
    const { port } = hub.listen();
    return {
      open(wanted) {
        const query = wanted.topics.map((topic) => ['topic', topic]);
        for (const name of ['start', 'gap_start', 'envelope']) {
          if (wanted[name] !== undefined) query.push([name.replace('_', '-'), wanted[name]]);
        }
        return asked(port, query, wanted);
      },
      close() {},
    };
  },
  async subscribe(hub) {
    return {
      async open(wanted) {
        const stream = hub.subscribe(wanted.topics, choices(wanted));
        if (!stream.isComplete) return clientOf(stream, () => stream.close());
        stream.close();
        return { status: 204, close() {} };
      },
      close() {},
    };
  },
  async response(hub) {
    return {
      async open(wanted) {
        const { lastEventId, ...options } = choices(wanted);
        const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
        const response = hub.response(new Request('http://localhost/', { headers }), { topics: wanted.topics, ...options });
        const reader = response.body?.getReader();
        async function* pieces() {
          for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
        }
        return response.status === 200 ? clientOf(pieces(), () => reader.cancel()) : { status: response.status, close() {} };
      },
      close() {},
    };
  },
  'handle, handed over': (hub) => served(hub, 'require'),
  'handle, sent by the server': (hub) => served(hub, 'never'),
};

const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/** Options of the C ABI by the names that they have here. */
function optionsOf(options = {}) {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => {
    const units = /(?:_ms|_bytes|_bytes_max|_events_max|_percent)$/.test(name) || typeof value !== 'number' || !/age|time|grace|heartbeat|retry/.test(name);
    return [camel(name) + (units ? '' : 'Ms'), value];
  }));
}

/** One case, step by step. */
export async function run({ steps, options }, wayIn) {
  const hub = new Hub({ shards: 1, ...optionsOf(options) });
  const way = await wayIn(hub);
  const ids = new Map();
  const clients = new Map();
  try {
    for (const [number, step] of steps.entries()) {
      const [verb] = Object.keys(step);
      try {
        await STEPS[verb]({ hub, way, ids, clients }, named(step, ids));
      } catch (error) {
        throw new Error(`step ${number}, ${verb}: ${error.message}`, { cause: error });
      }
    }
  } finally {
    for (const client of clients.values()) client.close();
    way.close();
    await hub.close();
  }
}

/** A value with ids instead of their names, and with texts repeated. */
function named(value, ids) {
  if (Array.isArray(value)) return value.map((each) => named(each, ids));
  if (typeof value === 'string') return value.startsWith('@') ? ids.get(value.slice(1)) : value;
  if (typeof value !== 'object' || value === null) return value;
  const { times, ...others } = value;
  const made = Object.fromEntries(Object.entries(others).map(([name, each]) => [name, named(each, ids)]));
  return times === undefined ? made : { ...made, data: made.data.repeat(times) };
}

/** What a case publishes has space, once what was published before is sent. */
async function untilSpace(call) {
  let id;
  await until('space', () => {
    try {
      id = call();
      return true;
    } catch (error) {
      if (error.code !== 'FANFARE_ERR_FULL') throw error;
      return false;
    }
  });
  return id;
}

async function published({ ids }, step, verb, call) {
  const { [verb]: topic, as, error, data, ...options } = step;
  const given = Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value]));
  if (error !== undefined) {
    assert.throws(() => call(topic, data, given), { code: `FANFARE_ERR_${error}` });
    return;
  }
  const id = await untilSpace(() => call(topic, data, given));
  if (as !== undefined) ids.set(as, id);
}

const STEPS = {
  publish: (at, step) => published(at, step, 'publish', (topic, data, options) => at.hub.publish(topic, data, options)),
  finish: (at, step) => published(at, step, 'finish', (topic, data, options) => {
    const hasLast = data !== undefined || Object.keys(options).length > 0;
    return hasLast ? at.hub.finish(topic, data, options) : at.hub.finish(topic);
  }),
  rule({ hub }, { rule, ...options }) {
    hub.setRule(rule, optionsOf(options));
  },
  async connect({ way, clients }, step) {
    let client;
    try {
      client = await way.open(step);
    } catch (error) {
      assert.equal(error.code, `FANFARE_ERR_${step.error}`);
      return;
    }
    assert.equal(client.status, step.status ?? 200);
    clients.set(step.connect, client);
  },
  async receive({ clients }, { receive, events }) {
    for (const wanted of events) {
      const fired = await clients.get(receive).next();
      assert.ok(fired, `the stream has ended, wanted ${JSON.stringify(wanted)}`);
      assert.equal(fired.name, wanted.name ?? 'message');
      assert.equal(fired.id, wanted.id ?? fired.id);
      if (wanted.json === undefined) assert.equal(fired.data, wanted.data);
      else assert.deepEqual({ ...JSON.parse(fired.data), ...wanted.json }, JSON.parse(fired.data));
    }
  },
  async ends({ clients }, { ends }) {
    assert.equal(await clients.get(ends).next(), undefined);
  },
  leave({ clients }, { leave }) {
    clients.get(leave).close();
  },
};
