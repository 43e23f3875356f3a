// What a publish without a subscriber costs: node bench/publish.mjs [ROUNDS]
//
// Each round times each way in turn; the medians of all rounds are printed, with the least and the
// most: of the CPU's time of the whole process, which other programs hardly change, and of the clock.
// Pin it to one core (`taskset -c 1`) for figures that can be compared.

import { Hub } from 'fanfare';

const ROUNDS = Number(process.argv[2] ?? 7);
const CALLS = 200_000;
const TEXT = 'x'.repeat(128);
const BYTES = Buffer.from(TEXT);

const hub = new Hub({ shards: 1 });
const topic = hub.topic('news');
const ways = {
  'handle, string': () => topic.publish(TEXT),
  'handle, Buffer': () => topic.publish(BYTES),
  'handle, string and name': () => topic.publish(TEXT, { name: 'tick' }),
  'handle, JSON': () => topic.publish({ json: { a: 1, b: 'two' } }),
  'name, string': () => hub.publish('news', TEXT),
  'name, Buffer': () => hub.publish('news', BYTES),
};

const times = new Map(Object.keys(ways).map((way) => [way, { cpu: [], clock: [] }]));
for (let round = -1; round < ROUNDS; round += 1) {
  for (const [way, publish] of Object.entries(ways)) {
    const begin = process.hrtime.bigint();
    const cpuBefore = process.cpuUsage();
    for (let i = 0; i < CALLS; i += 1) publish();
    const { user, system } = process.cpuUsage(cpuBefore);
    const ns = Number(process.hrtime.bigint() - begin) / CALLS;
    // The first one warms up.
    if (round < 0) continue;
    times.get(way).cpu.push(((user + system) * 1000) / CALLS);
    times.get(way).clock.push(ns);
  }
}

const { publishedEvents, connections } = hub.metrics();
if (publishedEvents !== (ROUNDS + 1) * CALLS * times.size || connections !== 0) throw new Error('not all were published');
console.log(`ns per publish of 128 bytes, no subscriber; ${ROUNDS} rounds of ${CALLS} calls`);
const summary = (each) => {
  each.sort((a, b) => a - b);
  const [least, median, most] = [each[0], each[each.length >> 1], each.at(-1)].map(Math.round);
  return `${median} (${least} to ${most})`;
};
for (const [way, { cpu, clock }] of times) {
  console.log(`${way.padEnd(26)}CPU ${summary(cpu).padEnd(22)}clock ${summary(clock)}`);
}
await hub.close();
