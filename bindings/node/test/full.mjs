// A hub that has no space, and the ways to wait for some.

import assert from 'node:assert/strict';
import { Hub } from 'fanfare';
import { clientThatDoesNotRead, until } from './client.mjs';

export const BIG = 'a'.repeat(4096);
/** A client that does not read is waited for, longer than any test. */
export const PATIENT = {
  shards: 1, topicBacklogBytesMax: 1, lagBytesMax: 2 ** 16, lagAgeMaxMs: 600_000,
  lagGraceMs: 600_000, lagGracePercent: 100,
};

/** A hub whose topic "news" is full until its client reads. */
export async function fullHub(t, options = {}) {
  const hub = new Hub({ ...PATIENT, ...options });
  const readOn = () => client.on('data', () => {}).resume();
  t.after(() => {
    // First, since a close waits for what the client has not read.
    readOn();
    return hub.close();
  });
  const client = await clientThatDoesNotRead(t, hub.listen().port, 'news');
  let inARow = 0;
  await until('the topic to stay full', () => {
    try {
      hub.publish('news', BIG);
      inARow = 0;
    } catch (error) {
      assert.equal(error.code, 'FANFARE_ERR_FULL');
      inARow += 1;
    }
    return inARow > 50;
  });
  return { hub, client, readOn, attempts: () => hub.metrics().fullEvents };
}

export const WAYS = {
  publishAsync: (hub, options) => hub.publishAsync('news', BIG, options),
  'publishAsync of several topics': (hub, options) => hub.publishAsync(['sports', 'news'], BIG, options),
  'publishAsync of a handle': (hub, options) => hub.topic('news').publishAsync(BIG, options),
  publishManyAsync: async (hub, options) => (await hub.publishManyAsync([{ topic: 'sports', data: 'a' }, { topic: 'news', data: BIG }], options))[1],
  finishAsync: (hub, options) => hub.finishAsync('news', BIG, options),
};
