// Hubs whose events outlive them.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Hub } from 'fanfare';

async function folderOf(t) {
  const folder = await mkdtemp(join(tmpdir(), 'fanfare-journal-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('events are there in the next hub of their folder, with their ids', async (t) => {
  const options = { dataDir: await folderOf(t), durability: 'always', shards: 1 };
  const hub = new Hub(options);
  const id = hub.publish('news', 'hello');
  await hub.flush({ timeoutMs: 30_000 });
  assert.ok(hub.metrics().journalSyncs > 0);
  assert.throws(() => new Hub(options), { code: 'FANFARE_ERR_JOURNAL' });
  await hub.close();

  const next = new Hub(options);
  const stream = next.subscribe('news', { start: 'earliest' });
  let text = '';
  for await (const batch of stream) {
    text += Buffer.from(batch);
    if (text.includes(`id: ${id}\ndata: hello\n`)) break;
  }
  stream.close();
  await next.close();
});

test('a folder that cannot be is refused, and a hub without one says so', async (t) => {
  const missing = join(await folderOf(t), 'no', 'such', 'folder');
  assert.throws(() => new Hub({ dataDir: missing }), { code: 'FANFARE_ERR_JOURNAL' });
  assert.throws(() => new Hub({ durability: 'never' }), { code: 'FANFARE_ERR_OPTIONS' });
  const hub = new Hub({ shards: 1 });
  await assert.rejects(hub.flush(), { code: 'FANFARE_ERR_JOURNAL' });
  await hub.close();
});
