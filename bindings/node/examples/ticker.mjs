// Publishes the time once a second: node examples/ticker.mjs [ADDRESS].

import { Hub } from 'fanfare';

const hub = new Hub();
const { port } = hub.listen(process.argv[2] ?? '127.0.0.1:8080');
console.log(`curl -N 'http://127.0.0.1:${port}/events?topic=time'`);

const timer = setInterval(() => {
  try {
    hub.publish('time', new Date().toISOString(), { name: 'tick' });
  } catch (error) {
    if (error.code !== 'FANFARE_ERR_FULL') throw error;
    console.error('the clients are too slow, a tick is left out');
  }
}, 1000);

process.once('SIGINT', () => {
  clearInterval(timer);
  hub.close();
});
