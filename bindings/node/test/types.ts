// What the types allow and what they do not; only compiled, never run.

import { Hub, type ErrorCode, type Event, type FanfareError, type HubOptions } from 'fanfare';

export async function allowed(): Promise<void> {
  const options: HubOptions = { shards: 1, heartbeatMs: 0, topicBacklogBytesMax: undefined };
  await using hub = new Hub(options);
  const port: number = hub.listen('127.0.0.1:0');
  const event: Event = { data: new Uint8Array(), name: 'a', id: 'b', key: 'c', retryMs: port };
  const id: string = hub.publish('news', event);
  hub.publish('news', { id, retryMs: 1 });
  const closed: Promise<void> = new Hub().close();
  await closed;
}

export function refused(hub: Hub, error: FanfareError): ErrorCode {
  // @ts-expect-error: an id is text
  hub.publish('news', { id: 1 });
  // @ts-expect-error: options have units
  new Hub({ heartbeat: 1 });
  // @ts-expect-error: the event's name is called name
  hub.publish('news', { event: 'a' });
  // @ts-expect-error: there is no event
  hub.publish('news');
  // @ts-expect-error: a port alone is no address
  hub.listen(8080);
  return error.code;
}
