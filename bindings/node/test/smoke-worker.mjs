// A worker that serves, and is terminated meanwhile.

import { parentPort } from 'node:worker_threads';
import { Hub } from 'fanfare';

const hub = new Hub({ shards: 1 });
hub.on('connected', () => {});
hub.subscribe('never').read().then(() => hub.subscribe('never').read());
parentPort.postMessage(hub.listen().port);
