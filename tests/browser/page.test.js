// The program's own page, as `fanfare demo` serves it.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch, openPage } from './chromium.js';
import { freePort, startServer } from './server.js';

const SCREENSHOTS = process.env.FANFARE_SCREENSHOTS ?? path.join(import.meta.dirname, 'screenshots');
const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 900 };
const EVENTS_FOR_A_PICTURE = 40; // five seconds of readings

let browser;
before(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  browser = await launch();
});
after(() => browser.close());

const connected = (page) => page.waitForSelector('#state[data-state=connected]');
const received = (page, count) => page.waitForFunction(
  (n) => Number(document.querySelector('#received').textContent) >= n, count);
const rowTexts = (page) => page.$$eval('#events .data', (rows) => rows.map((row) => row.textContent));
const rowAppears = (page, data) => page.waitForFunction(
  (wanted) => [...document.querySelectorAll('#events .data')].some((row) => row.textContent === wanted), data);

test('the page is connected, counts events and draws every chart, on phones and desktops, light and dark', { concurrency: true }, async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const looks = [PHONE, DESKTOP].flatMap((viewport) => ['light', 'dark'].map((colorScheme) => ({ viewport, colorScheme })));
  await Promise.all(looks.map(({ viewport, colorScheme }) => {
    const look = `${colorScheme}-${viewport.width}`;
    return t.test(`the page works at ${viewport.width} px in ${colorScheme} colours`, async (st) => {
      const page = await openPage(st, browser, `${server.control}/`, { viewport, colorScheme });
      await connected(page);
      await received(page, EVENTS_FOR_A_PICTURE);
      for (const id of ['connections', 'published', 'delivered']) {
        await page.waitForFunction((which) => parseFloat(document.querySelector(which).textContent) > 0, `#${id}`);
      }
      for (const id of ['rate', 'latency', 'socket']) {
        await page.waitForFunction((which) => /^[<\d]/.test(document.querySelector(which).textContent), `#${id}`);
      }
      await everySeriesIsSeen(page);
      const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g)[0] > 127);
      assert.equal(light, colorScheme === 'light');
      await assertNoSidewaysScroll(page);
      await page.screenshot({ path: path.join(SCREENSHOTS, `${look}.png`), fullPage: true });
      assert.deepEqual(page.complaints, []);
    });
  }));
});

test('the page needs no sideways scrolling at 320 px, even for the longest words', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/?topic=${'x'.repeat(200)}`, { viewport: { width: 320, height: 600 } });
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  await server.publish('x'.repeat(200), 'y'.repeat(5000), { event: 'z'.repeat(200) });
  await page.waitForSelector('#events li');
  await assertNoSidewaysScroll(page);
});

test('the page needs no sideways scrolling at 320 px, however great the numbers', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/`, { viewport: { width: 320, height: 600 } });
  await received(page, 8);
  const [content, window] = await page.evaluate(() => { // at once, as the page shows its own numbers again soon
    const set = (id, words) => { document.querySelector(id).replaceChildren(...words); };
    const small = (words) => Object.assign(document.createElement('small'), { textContent: words });
    for (const id of ['connections', 'published', 'delivered', 'rate']) set(`#${id}`, ['888,888,888,888']);
    for (const id of ['socket', 'latency']) set(`#${id}`, ['888,888 ms', small(' / 888,888 ms')]);
    for (const value of document.querySelectorAll('.key b')) value.textContent = '888,888 MB/s';
    return [document.documentElement.scrollWidth, innerWidth];
  });
  assert.ok(content <= window, `the content is ${content} px wide in a window of ${window} px`);
});

test('a topic in the address is watched, and its events are shown as text', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/?topic=${encodeURIComponent('<i>grüße & co')}&topic=b`);
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  const data = '<img src=x onerror="document.title=1">\n  zwei\u2028drei 🎺';
  const id = await server.publish('<i>grüße & co', data, { event: '<b>price' });
  await rowAppears(page, data);
  const row = await page.textContent('#events li');
  assert.ok(row.includes('event: <b>price') && row.includes(`id: ${id}`), row);
  assert.equal(await page.$('#events img, #events b b, #chips i'), null);
  assert.deepEqual(await rowTexts(page), [data], 'readings are left out where topics are watched');
  assert.deepEqual(page.complaints, []);
});

test('a topic that is entered goes into the address, and the command that the page shows publishes to it', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/`);
  const topic = "it's 50 % & more/ü";
  await page.fill('#topic', topic);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  assert.deepEqual(new URL(page.url()).searchParams.getAll('topic'), [topic]);
  await promisify(execFile)('bash', ['-c', `${await page.textContent('#curl')} --silent --show-error --fail`]);
  await rowAppears(page, 'hello');

  await page.click('#chips button');
  await page.waitForFunction(() => !location.search && !document.querySelector('#chips button'));
});

test('the page says why a topic cannot be watched, and goes on with the others', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/?topic=news&topic=${encodeURIComponent('a+b')}`);
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent.startsWith("Refused: the filter has '+'"));
  await page.click("#chips button[aria-label='Stop watching a+b']");
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  await server.publish('news', 'still here');
  await rowAppears(page, 'still here');
});

test('the list of events stands still while it is paused, and then shows what came meanwhile', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/?topic=news`);
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  await server.publish('news', 'one');
  await rowAppears(page, 'one');
  await page.click('#pause');
  await server.publish('news', 'two');
  await page.waitForFunction(() => document.querySelector('#pause').textContent === 'Resume (1 new)');
  assert.deepEqual(await rowTexts(page), ['one']);
  await page.click('#pause');
  await rowAppears(page, 'two');
  assert.deepEqual(await rowTexts(page), ['two', 'one']);
});

test('the list of events keeps the last hundred, however many come', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/?topic=flood`);
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  for (let i = 0; i < 5; i += 1) {
    const lines = Array.from({ length: 100 }, (_, n) => `${JSON.stringify({ topic: 'flood', data: String(i * 100 + n) })}\n`);
    await fetch(`${server.control}/publish`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: lines.join('') });
    await rowAppears(page, String(i * 100 + 99));
  }
  assert.deepEqual(await rowTexts(page), Array.from({ length: 100 }, (_, n) => String(499 - n)));
});

test('the page says when the server is away, and comes back with it', async (t) => {
  const port = await freePort();
  const start = () => startServer(t, { command: 'demo', controlPort: port, args: ['--retry', '200ms'] });
  const first = await start();
  const page = await openPage(t, browser, `${first.control}/?topic=news`);
  await connected(page);
  await received(page, 1);
  await first.stop();
  await page.waitForSelector('#state[data-state=reconnecting]');
  assert.equal(await page.textContent('[role=status]#state-text'), 'Reconnecting…');
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Reconnecting…');
  await page.waitForFunction(() => document.querySelector('#connections').textContent === '–');

  const sofar = Number(await page.textContent('#received'));
  const second = await start();
  await connected(page);
  await received(page, sofar + 1);
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  await second.publish('news', 'back');
  await rowAppears(page, 'back');
});

test('the page says so in a line when its streams miss events, whatever the event for that is called', async (t) => {
  const port = await freePort();
  const name = 'what "is" <missing> & why';
  const start = () => startServer(t, { command: 'demo', controlPort: port, args: ['--retry', '200ms', '--gap-event', name] });
  const first = await start();
  const page = await openPage(t, browser, `${first.control}/?topic=news`);
  await connected(page);
  await received(page, 1);
  assert.equal(await page.isVisible('#gap'), false);
  await first.stop();
  const second = await start();
  const line = 'events may be missing, since the server was started anew.';
  await page.waitForFunction((words) => document.querySelector('#gap').textContent.endsWith(words), line);
  assert.equal(await page.isVisible('[role=status]#gap'), true);
  await page.waitForFunction(() => document.querySelector('#watch-state').textContent === 'Watching');
  await page.waitForFunction((words) => document.querySelector('#events').textContent.includes(words), `event: ${name}`);
  await second.publish('news', 'back');
  await rowAppears(page, 'back');
  await assertNoSidewaysScroll(page);
});

test('everything is reached by keyboard, and shows that it has the focus', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/?topic=news`);
  const wanted = ['cpu', 'memory', 'network', 'load', 'topic', 'Watch', 'Stop watching news', 'copy', 'readings', 'pause', 'events'];
  const found = [];
  for (let i = 0; i < wanted.length; i += 1) {
    await page.keyboard.press('Tab');
    found.push(await page.evaluate(() => {
      const { activeElement: el } = document;
      const { outlineStyle, outlineWidth } = getComputedStyle(el);
      const seen = outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2;
      return (el.dataset.chart || el.id || el.ariaLabel || el.textContent) + (seen ? '' : ' without an outline');
    }));
  }
  assert.deepEqual(found, wanted);
});

test('the past of a chart is read with the arrow keys', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  const page = await openPage(t, browser, `${server.control}/`);
  await received(page, 16);
  const chart = page.locator('canvas[data-chart=cpu]');
  await chart.focus();
  await page.keyboard.press('ArrowLeft');
  assert.match(await chart.getAttribute('aria-valuetext'), /^1 s ago: busy \d+ %$/);
  await page.keyboard.press('Home');
  assert.equal(await chart.getAttribute('aria-valuetext'), '60 s ago: busy –');
});

test('nothing is animated for users who prefer reduced motion', async (t) => {
  const server = await startServer(t, { command: 'demo' });
  for (const [reducedMotion, animation] of [['reduce', 'none'], ['no-preference', 'breathe']]) {
    const page = await openPage(t, browser, `${server.control}/`, { reducedMotion });
    await connected(page);
    const name = await page.$eval('#state', (state) => {
      state.dataset.state = 'reconnecting';
      return getComputedStyle(state, '::before').animationName;
    });
    assert.equal(name, animation);
  }
});

const SERIES = { cpu: 1, memory: 1, network: 2, load: 3 };

/**
 * Waits until the colour of each series is seen in its chart. Lines of few readings that lie upon each
 * other leave little of the lower one, and each further reading leaves more.
 */
async function everySeriesIsSeen(page) {
  const seen = await page.waitForFunction((least) => {
    const style = getComputedStyle(document.documentElement);
    const paper = (width, height) => Object.assign(document.createElement('canvas'), { width, height })
      .getContext('2d', { willReadFrequently: true });
    const rgb = (name) => {
      const pen = paper(1, 1);
      pen.fillStyle = style.getPropertyValue(name);
      pen.fillRect(0, 0, 1, 1);
      return pen.getImageData(0, 0, 1, 1).data;
    };
    const counts = [...document.querySelectorAll('canvas[data-chart]')].map((canvas) => {
      const copy = paper(canvas.width, canvas.height);
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const series = canvas.closest('figure').querySelectorAll('.key');
      return [canvas.dataset.chart, [...series].map((_, i) => {
        const ink = rgb(`--s${i + 1}`);
        let pixels = 0;
        for (let at = 0; at < data.length; at += 4) {
          if (data[at + 3] > 200 && [0, 1, 2].every((c) => Math.abs(data[at + c] - ink[c]) < 16)) pixels += 1;
        }
        return pixels;
      })];
    });
    return counts.every(([, pixels]) => pixels.every((n) => n >= least)) && counts;
  }, 5, { polling: 100 });
  const counts = Object.fromEntries(await seen.jsonValue());
  assert.deepEqual(Object.fromEntries(Object.entries(counts).map(([id, pixels]) => [id, pixels.length])), SERIES);
}

async function assertNoSidewaysScroll(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `the content is ${content} px wide in a window of ${window} px`);
}
