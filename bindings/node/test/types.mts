// What the types allow and what they do not; only compiled, never run.

import {
  Fallback, FunctionAuthorizer, Hub, STREAM_HEADERS, SigningKey, TicketAuthorizer, Tickets, Tokens, logTo,
  type Connected, type ErrorCode, type FanfareError, type HubOptions, type Notice,
} from 'fanfare';
import { Chats, resumable } from 'fanfare/ai';
import { createChannel, createSession, sse } from 'fanfare/sse';

export async function allowed(): Promise<void> {
  const options: HubOptions = { shards: 1, heartbeatMs: 0, topicBacklogBytesMax: undefined };
  await using hub = new Hub(options);
  const port: number = hub.listen('127.0.0.1:0').port;
  hub.listen({ routes: [{ path: '/runs/{id}', subscriptions: 'run/{id}' }], corsOrigins: ['*'] });
  const id: string = hub.publish('news', new Uint8Array(), { name: 'a', id: 'b', key: 'c', retryMs: port });
  const topic = hub.topic('news');
  hub.publish([topic, 'b'], { json: [1] }, { windowMs: 1 });
  await topic.publishAsync(id, { timeoutMs: 1 });
  (await hub.ready(['a', topic], { timeoutMs: 1 })) satisfies void;
  logTo((record) => void [record.level satisfies string, record.lost + record.at], { level: 'debug' });
  logTo(null);
  hub.publishMany([{ topic, data: 'a' }, { topic: ['a', 'b'], data: null, retryMs: 1 }]);
  for await (const batch of hub.subscribe(['a/#'], { start: 3, expiresAt: new Date() })) batch.byteLength;
  hub.adopt(3, 'news', { headers: { 'X-A': 'b' }, method: 'POST' });
  hub.on('connected', (notice: Connected) => notice.connectionId satisfies bigint);
  for await (const notice of hub.notices({ interest: 'a' })) kind(notice) satisfies string;
  hub.authorize(async (request) => (request.header('a') === 'b' ? { topics: ['a'] } : { status: 401 }));
  const authorizer = new TicketAuthorizer(new Tokens({ jwks: {} }), new Tickets());
  const listener = hub.listen({ addr: 3 });
  hub.listen({ authorizer, fallback: new Fallback((fd, read, from) => listener.admit(fd, read, from)) });
  new FunctionAuthorizer(() => true).close();
  new Tickets().lookUp('a', { goesOn: true }).grant.topics satisfies readonly string[] | string | undefined;
  new SigningKey('a').sign({ topics: 'a', expiresAt: 1 }, { kid: 'b' }) satisfies string;
  (await hub.connections({ lagging: true }))[0]?.lagAgeMs satisfies number | undefined;
  const found = await hub.clusterConnections({ tag: 'a', limit: 0 }, { timeoutMs: 100 });
  found.connections[0]?.node satisfies string | undefined;
  found.connections[0]?.id satisfies bigint | undefined;
  const { nodes, answered, missing, count } = await hub.clusterSubscribers('a');
  (nodes - answered === missing && count > 0) satisfies boolean;
  hub.metrics().latenciesUs satisfies Array<[number, number]>;
  STREAM_HEADERS['content-type'] satisfies string | undefined;
  (await hub.drain({ windowMs: 0 })).told satisfies number;
}

function kind(notice: Notice): string {
  switch (notice.type) {
    case 'disconnected': return notice.reason;
    case 'connected': return notice.tag ?? '';
    default: return notice.subscription;
  }
}

export function refused(hub: Hub, error: FanfareError): ErrorCode {
  // @ts-expect-error: an id is text
  hub.publish('news', 'a', { id: 1 });
  // @ts-expect-error: options have units
  new Hub({ heartbeat: 1 });
  // @ts-expect-error: the event's name is called name
  hub.publish('news', 'a', { event: 'a' });
  // @ts-expect-error: there is no data
  hub.publish('news');
  // @ts-expect-error: a value is data as {json}
  hub.publish('news', { a: 1 });
  // @ts-expect-error: a window is no time to wait
  hub.publish('news', 'a', { timeoutMs: 1 });
  // @ts-expect-error: ids of connections are bigints
  void hub.disconnect(1);
  // @ts-expect-error: times have units
  void hub.clusterSubscribers('a', { timeout: 2 });
  // @ts-expect-error: a list of one node does not say which
  void hub.connections().then(([connection]) => connection?.node);
  // @ts-expect-error: there is no such policy
  hub.subscribe('news', { policy: 'drop' });
  // @ts-expect-error: there is no such level
  logTo(() => {}, { level: 'warning' });
  // @ts-expect-error: there is no such notice
  hub.on('connect', () => {});
  return error.code;
}

export async function ways(hub: Hub, req: import('fanfare').NodeRequest, res: import('fanfare').NodeResponse): Promise<void> {
  const handled: import('fanfare').Handled = await hub.handle(req, res, { topics: ['a'], handover: 'never', tag: 'b', start: 2 });
  if (handled === 'gone') return;
  const request = { url: '/', method: 'GET', headers: { get: () => null } };
  hub.response(request, { topics: 'a', anyTopics: true });
  const channel = createChannel<{ n: number }>({ hub, topic: 'a' });
  channel.state.n satisfies number;
  const session = await createSession(req, res, { hub, channels: [channel], cors: { origins: ['https://a.example'] }, state: { n: 1 } });
  session?.state.n satisfies number | undefined;
  session?.push({}, 'a').sendRetry(1);
  await session?.stream((async function* texts() { yield 'a'; })(), { eventName: 'b' });
  await createSession(req, res, { headers: { 'X-A': ['b', 'c'], 'X-D': undefined } });
  sse({ heartbeat: 1, retry: 2, cors: true }).broadcast('a', {}, 'b');
  const { publisher, subscriber } = resumable(hub);
  await publisher.set('a', 'b', { EX: 1 });
  await subscriber.subscribe('a', (message) => message.length);
  const chats = new Chats(hub, { rule: { historyEventsMax: 1 } });
  await chats.post(req, res, 'a', async function* run() { yield { type: 'start' }; }, { handover: 'auto' });
  // @ts-expect-error: a session has its tag
  await createSession(req, res, { hub, tag: 'a' });
  // @ts-expect-error: a response is handed over by nobody
  hub.response(request, { topics: 'a', handover: 'never' });
  // @ts-expect-error: there is no such mode
  await hub.handle(req, res, { topics: 'a', handover: 'always' });
}
