// Debian's Chromium, pages of several origins in it, and EventSources in the pages.

import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import { chromium } from 'playwright-core';
import { DEADLINE_MS, untilFound } from './server.js';

// Chromium runs as root on machines that are made for one job, and has no way out to the network.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Starts the browser, with more flags if given; the caller closes it. */
export function launch(flags = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...FLAGS, ...flags],
  });
}

/** Opens a page in a new context, closed with the test `t`. */
export async function openPage(t, browser, url, options = {}) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.complaints.push(message.text());
  });
  await page.goto(url);
  return page;
}

/** An empty page that has the server's own origin. */
export const openOwnPage = (t, browser, server) => openPage(t, browser, `${server.url}/healthz`);

/** An empty page of another origin. */
export async function openForeignPage(t, browser) {
  const site = http.createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>another origin</title>');
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  t.after(() => { site.close(); site.closeAllConnections(); });
  return openPage(t, browser, `http://127.0.0.1:${site.address().port}/`);
}

/** Opens an EventSource in the page; returns a handle of what it hears. */
export function listen(page, url, { names = [], withCredentials = false } = {}) {
  return page.evaluateHandle(([address, types, credentials]) => {
    const source = new EventSource(address, { withCredentials: credentials });
    const heard = { source, opened: 0, errors: 0, events: [] };
    source.onopen = () => { heard.opened += 1; };
    source.onerror = () => { heard.errors += 1; };
    for (const type of ['message', ...types]) {
      source.addEventListener(type, (e) => {
        heard.events.push({ type: e.type, data: e.data, id: e.lastEventId });
      });
    }
    return heard;
  }, [url, names, withCredentials]);
}

/**
 * Opens a stream by `fetch` in the page; returns a handle of what has come: the status, the header
 * fields that the page may read, the text so far, and the error if there is one.
 */
export function fetching(page, url, options = {}) {
  return page.evaluateHandle(([address, init]) => {
    const fetched = { status: 0, fields: {}, text: '', error: null };
    const read = async () => {
      const answer = await fetch(address, init);
      fetched.status = answer.status;
      fetched.fields = Object.fromEntries(answer.headers);
      for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) fetched.text += piece;
    };
    read().catch((error) => { fetched.error = String(error); });
    return fetched;
  }, [url, options]);
}

/** Opens an EventSource and waits until it is open. */
export async function listening(page, url, options) {
  const heard = await listen(page, url, options);
  await page.waitForFunction((h) => h.opened > 0, heard);
  return heard;
}

/** Waits until `count` events were heard, and returns all that were. */
export async function heardEvents(page, heard, count) {
  await page.waitForFunction(([h, n]) => h.events.length >= n, [heard, count]);
  return heard.evaluate((h) => h.events);
}

/**
 * Watches what the page's EventSources are given, since no event tells of an id alone, and the
 * browser throws away what it has received and not yet given them when a connection is cut. Returns
 * a function that waits until they were given as many bytes as a text of ASCII has.
 */
export async function watchReading(page) {
  const devtools = await page.context().newCDPSession(page);
  const read = new EventEmitter();
  const streams = new Set();
  let bytes = 0;
  devtools.on('Network.requestWillBeSent', ({ requestId, type }) => { if (type === 'EventSource') streams.add(requestId); });
  devtools.on('Network.dataReceived', ({ requestId, dataLength }) => {
    if (streams.has(requestId)) bytes += dataLength;
    read.emit('more');
  });
  await devtools.send('Network.enable');
  return (text) => untilFound(`the page to read ${text.length} bytes`, read, 'more', () => bytes >= text.length);
}
