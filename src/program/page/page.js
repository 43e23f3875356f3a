'use strict';

const WINDOW_MS = 60_000;      // what a chart shows
const BREAK_MS = 3_500;         // readings further apart than this are not joined by a line
const ROWS = 100;               // events kept, and shown
const DATA_CHARS = 2_000;       // of one event's data, in the list
const BUFFER_CHARS = 8_000_000; // of one unfinished line, before a watch gives up on it
const TOPICS_MAX = 32;          // watched at once
const SILENCE_MS = 15_000;      // with readings that come each second
const BROWSER_LIMIT_HINT_MS = 8_000;
const GAP_EVENT = document.querySelector('meta[name=gap-event]').content;
const GAP_REASONS = { expired: 'they were kept no longer', restarted: 'the server was started anew',
  unknown_id: 'the server does not know where this page was', slow: 'this page was too slow' };

const $ = (id) => document.getElementById(id);
const make = (tag, props, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};
const text = (id, value) => { if ($(id).textContent !== value) $(id).textContent = value; };

/** The last `size` values; a new one replaces the oldest. */
class Ring {
  constructor(size) { this.size = size; this.clear(); }
  clear() { this.items = []; this.next = 0; }
  push(value) { this.items[this.next] = value; this.next = (this.next + 1) % this.size; }
  inOrder() { return [...this.items.slice(this.next), ...this.items.slice(0, this.next)]; }
}

// --- numbers for people

const count = (n) => (n < 10_000 ? Math.round(n).toLocaleString('en')
  : new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 4 }).format(n));
const rate = (n) => (n < 10 ? n.toFixed(1) : count(n));
const percent = (n) => `${Math.round(n * 100)} %`;
const scaled = (n, step, units) => {
  let i = 0;
  while (n >= step && i < units.length - 1) { n /= step; i += 1; }
  return `${n < 10 && i > 0 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
};
const bytes = (n) => scaled(n, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB']);
const memory = (n) => scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
const duration = (ms) => (ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 10 ? `${Number(ms.toFixed(1))} ms`
  : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
const age = (ms) => (ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s`
  : ms < 3_600_000 ? `${Math.floor(ms / 60_000)} min` : `${Math.floor(ms / 3_600_000)} h`);
const pair = (id, low, high) => $(id).replaceChildren(low, make('small', {}, ` / ${high}`));

// --- charts

const CHARTS = [
  { id: 'cpu', title: 'CPU', series: [['busy', 'busy']], show: percent, top: () => 1, fill: true },
  { id: 'memory', title: 'Memory', series: [['used_bytes', 'used']], show: memory, fill: true,
    top: (points) => points.at(-1)?.value.total_bytes || 2 ** 30 },
  { id: 'network', title: 'Network', series: [['received_bytes_per_s', 'received'], ['sent_bytes_per_s', 'sent']],
    show: (n) => `${bytes(n)}/s`, floor: 1000 },
  { id: 'load', title: 'Load', series: [['one', '1 min'], ['five', '5 min'], ['fifteen', '15 min']],
    show: (n) => n.toFixed(2), floor: 0.1 },
];
const DASHES = [[], [7, 4], [2, 3]];
const outages = new Ring(20);
const quiet = matchMedia('(prefers-reduced-motion: reduce)');
let inks = {};
let cursor = null; // where the charts are being read, as a part of the window: 0 is its oldest edge

class Chart {
  constructor(spec) {
    Object.assign(this, spec);
    this.points = new Ring(600);
    this.canvas = make('canvas', { tabIndex: 0 });
    for (const [name, value] of Object.entries({ role: 'slider', 'aria-label': `${spec.title}: seconds from now`,
      'aria-valuemin': -WINDOW_MS / 1000, 'aria-valuemax': 0, 'data-chart': spec.id })) this.canvas.setAttribute(name, value);
    this.none = make('p', { className: 'none' }, 'Waiting for readings');
    this.values = spec.series.map(() => make('b', {}, '–'));
    const keys = spec.series.map(([, name], i) => {
      const label = make('span', { className: 'key' });
      label.innerHTML = `<svg aria-hidden="true"><line x1="0" x2="100%" y1="50%" y2="50%" stroke="var(--s${i + 1})"
        stroke-width="3" stroke-dasharray="${DASHES[i]}"/></svg>`;
      label.append(` ${name} `, this.values[i]);
      return label;
    });
    $('charts').append(make('figure', { className: 'card' },
      make('figcaption', {}, make('h2', {}, spec.title), ...keys),
      make('div', { className: 'plot' }, this.canvas, this.none)));
    this.canvas.addEventListener('pointermove', (e) => setCursor(e.offsetX / this.canvas.clientWidth));
    this.canvas.addEventListener('pointerleave', () => setCursor(null));
    this.canvas.addEventListener('blur', () => setCursor(null));
    this.canvas.addEventListener('keydown', (e) => this.key(e));
    this.describe(0);
  }

  key(e) {
    const at = cursor ?? 1;
    const to = { ArrowLeft: at - 1 / 60, ArrowRight: at + 1 / 60, PageUp: at - 1 / 6, PageDown: at + 1 / 6,
      Home: 0, End: 1, Escape: null }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    setCursor(to);
    draw();
    this.describe(to === null ? 0 : cursor - 1);
  }

  describe(part) {
    const seconds = Math.round(part * WINDOW_MS / 1000);
    this.canvas.setAttribute('aria-valuenow', seconds);
    this.canvas.setAttribute('aria-valuetext', `${-seconds} s ago: `
      + this.series.map(([, name], i) => `${name} ${this.values[i].textContent}`).join(', '));
  }

  draw(now) {
    const { canvas } = this;
    const density = Math.min(devicePixelRatio || 1, 3);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      [canvas.width, canvas.height] = [Math.round(width * density), Math.round(height * density)];
    }
    const pen = canvas.getContext('2d');
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.clearRect(0, 0, width, height);
    const points = this.points.inOrder().filter((p) => p.at > now - WINDOW_MS - BREAK_MS && p.at <= now + 1000);
    this.none.hidden = points.length > 0;
    const top = this.top?.(points) ?? roundUp(Math.max(this.floor,
      ...points.map((p) => Math.max(...this.series.map(([key]) => p.value[key])))));
    const [above, below] = [18, height - 20];
    const x = (at) => width + (at - now) / WINDOW_MS * width;
    const y = (value) => below - Math.min(1, Math.max(0, value / top)) * (below - above);

    pen.fillStyle = inks.gap;
    for (const gap of outages.inOrder()) pen.fillRect(x(gap.from), 0, x(gap.to ?? now) - x(gap.from), below);
    this.grid(pen, width, above, below, top);
    this.series.forEach((_, i) => this.line(pen, points, i, x, y, below)); // through the gaps of a dash shows what is below
    const shown = cursor === null ? points.at(-1) : nearest(points, now - (1 - cursor) * WINDOW_MS);
    this.series.forEach(([key], i) => {
      const value = shown ? this.show(shown.value[key]) : '–';
      if (this.values[i].textContent !== value) this.values[i].textContent = value;
    });
    if (cursor === null || !shown) return;
    const at = x(shown.at);
    pen.fillStyle = inks.soft;
    pen.fillRect(Math.round(at), above, 1, below - above);
    pen.textAlign = at > width / 2 ? 'right' : 'left';
    pen.fillText(`${age(now - shown.at)} ago`, at, above - 5);
    this.series.forEach(([key], i) => dot(pen, at, y(shown.value[key]), inks.series[i]));
  }

  grid(pen, width, above, below, top) {
    pen.font = `11px ${inks.font}`;
    pen.textBaseline = 'alphabetic';
    for (const part of [1, 0.5, 0]) {
      const at = Math.round(below - part * (below - above)) + 0.5;
      pen.strokeStyle = inks.grid;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(0, at);
      pen.lineTo(width, at);
      pen.stroke();
      pen.fillStyle = inks.soft;
      pen.textAlign = 'left';
      if (part > 0) pen.fillText(this.show(top * part), 0, at - 4);
    }
    for (const [part, align, words] of [[0, 'left', '1 min ago'], [0.5, 'center', '30 s ago'], [1, 'right', 'now']]) {
      pen.textAlign = align;
      pen.fillText(words, part * width, below + 15);
    }
  }

  line(pen, points, i, x, y, below) {
    const key = this.series[i][0];
    pen.strokeStyle = pen.fillStyle = inks.series[i];
    pen.lineWidth = 2;
    pen.lineJoin = 'round';
    let run = [];
    const finish = () => {
      if (run.length === 1) dot(pen, ...run[0], inks.series[i]);
      if (run.length < 2) return;
      pen.beginPath();
      run.forEach(([px, py]) => pen.lineTo(px, py));
      pen.setLineDash(DASHES[i]);
      pen.lineDashOffset = run[0][0]; // dashes that stay with the data while it moves
      pen.stroke();
      pen.setLineDash([]);
      if (!this.fill) return;
      pen.lineTo(run.at(-1)[0], below);
      pen.lineTo(run[0][0], below);
      pen.globalAlpha = 0.13;
      pen.fill();
      pen.globalAlpha = 1;
    };
    points.forEach((p, n) => {
      if (n > 0 && p.at - points[n - 1].at > BREAK_MS) { finish(); run = []; }
      run.push([x(p.at), y(p.value[key])]);
    });
    finish();
  }
}

function dot(pen, x, y, ink) {
  pen.fillStyle = ink;
  pen.beginPath();
  pen.arc(x, y, 3.5, 0, 7);
  pen.fill();
}

function roundUp(n) {
  const unit = 10 ** Math.floor(Math.log10(n));
  return unit * [1, 2, 4, 6, 8, 10].find((step) => step * unit >= n * 0.999);
}

function nearest(points, at) {
  let best;
  for (const p of points) if (!best || Math.abs(p.at - at) < Math.abs(best.at - at)) best = p;
  return best && Math.abs(best.at - at) <= BREAK_MS ? best : undefined;
}

function setCursor(part) {
  cursor = part === null ? null : Math.min(1, Math.max(0, part));
  drawn = -Infinity;
}

function readInks() {
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => style.getPropertyValue(`--${name}`).trim();
  inks = { grid: ink('grid'), soft: ink('soft'), gap: ink('gap'), series: [ink('s1'), ink('s2'), ink('s3')],
    font: getComputedStyle(document.body).fontFamily };
}

const charts = Object.fromEntries(CHARTS.map((spec) => [spec.id, new Chart(spec)]));
let drawn = -Infinity;
function draw() {
  drawn = performance.now();
  for (const chart of Object.values(charts)) chart.draw(Date.now() - skew);
}
function frame(t) {
  if (t - drawn >= (quiet.matches ? 1000 : 60)) draw();
  requestAnimationFrame(frame);
}

// --- the demo's readings, over the browser's own EventSource

const latencies = new Ring(1000);
const arrivals = new Ring(6); // of the last whole seconds
let skew = 0; // the two machines' clocks: ours minus the server's, where they clearly differ
let received = 0;
let thisSecond = 0;
let openedAt = 0;
let readAt = 0;
let changedAt = Date.now();
let source;
let again;

function connect() {
  clearTimeout(again);
  readAt = 0;
  source?.close();
  source = new EventSource(`events?${query(CHARTS.map((c) => c.id))}`);
  source.addEventListener('open', () => { openedAt = Date.now(); setState('connected', 'Connected'); });
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) {
      setState('stopped', 'Refused, will try again');
      again = setTimeout(connect, 5000 + Math.random() * 5000); // the browser itself has given up
    } else setState(openedAt ? 'reconnecting' : 'connecting', openedAt ? 'Reconnecting…' : 'Connecting…');
  });
  source.addEventListener(GAP_EVENT, (e) => showGap(e.data));
  for (const name of ['message', 'cpu', 'network']) source.addEventListener(name, (e) => reading(name, e));
}

function reading(name, e) {
  arrived(e, name === 'message' ? '' : name, name === 'message' ? '' : name, rows.readings);
  let value;
  try { value = JSON.parse(e.data); } catch { return; }
  const chart = name !== 'message' ? charts[name] : value?.total_bytes ? charts.memory : charts.load;
  if (!Number.isFinite(value?.at) || !chart.series.every(([key]) => Number.isFinite(value[key]))) return;
  readAt = Date.now();
  rows.readings.last.topic = chart.id;
  chart.points.push({ at: value.at, value });
  // What was replayed after a reconnect is old by itself, and says nothing of the way here.
  if (Date.now() - openedAt > 500) latencies.push({ at: Date.now(), ms: Date.now() - value.at });
}

/** Says that a stream has told of events that this page will never get. */
function showGap(data) {
  let gap;
  try { gap = JSON.parse(data); } catch { return; }
  const { reason, missed: events } = gap;
  const what = events === null ? 'events may be missing' : `${count(events)} events are missing`;
  text('gap', `${new Date().toLocaleTimeString('en-GB')}: ${what}, since ${GAP_REASONS[reason] ?? reason}.`);
  $('gap').hidden = false;
}

function setState(state, words) {
  if ($('state').dataset.state === state) return;
  if ($('state').dataset.state === 'connected') outages.push({ from: Date.now() - skew });
  if (state === 'connected') for (const gap of outages.items) gap.to ??= Date.now() - skew;
  $('state').dataset.state = state;
  text('state-text', words);
  document.title = state === 'connected' ? 'fanfare' : `fanfare: ${words}`;
  $('retry').hidden = state !== 'stopped' && state !== 'reconnecting';
  changedAt = Date.now();
}

function quantile(sorted, q) { return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]; }

function everySecond() {
  const now = Date.now();
  arrivals.push(thisSecond);
  thisSecond = 0;
  $('rate').replaceChildren(rate(arrivals.items.reduce((a, b) => a + b) / arrivals.items.length), make('small', {}, ' /s'));
  if (readAt && now - readAt > SILENCE_MS) { // a dead network looks like a quiet one: EventSource hears no heartbeats
    setState('reconnecting', 'Reconnecting…');
    connect();
  }
  text('received', count(received));
  text('since', `for ${age(now - changedAt)}`);
  $('hint').hidden = $('state').dataset.state !== 'connecting' || now - changedAt < BROWSER_LIMIT_HINT_MS;
  const sorted = latencies.items.filter((l) => l.at > now - 60_000).map((l) => l.ms).sort((a, b) => a - b);
  if (!sorted.length) return pair('latency', '–', '–');
  skew = sorted[0] < -2 || sorted[0] > 1000 ? sorted[0] : 0;
  pair('latency', ...[0.5, 0.99].map((q) => (quantile(sorted, q) - skew < 1 ? '<1 ms' : duration(quantile(sorted, q) - skew))));
  text('latency-more', skew ? 'above the fastest: clocks differ' : 'p50 / p99, last minute');
}

// --- the server's own counts

const counts = new Ring(31); // a minute of polls

async function poll() {
  if (document.hidden) return;
  try {
    const answer = await fetch('metrics', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`metrics: ${answer.status}`);
    showCounts(parseMetrics(await answer.text()));
  } catch {
    counts.clear();
    for (const id of ['connections', 'published', 'delivered', 'socket']) text(id, '–');
    for (const id of ['connections', 'published', 'delivered']) text(`${id}-more`, '\u00a0');
  }
}

/** Sums each metric over its labels, but keeps the bounds of histograms apart. */
function parseMetrics(body) {
  const sums = { at: performance.now(), buckets: new Map() };
  for (const [, name, labels, value] of body.matchAll(/^(fanfare_\w+)(?:\{(.*)\})? (\S+)/gm)) {
    if (name === 'fanfare_publish_to_socket_seconds_bucket') {
      const bound = Number(/le="([^"]*)"/.exec(labels)?.[1].replace('+Inf', 'Infinity'));
      sums.buckets.set(bound, (sums.buckets.get(bound) ?? 0) + Number(value));
    } else sums[name.slice(8)] = (sums[name.slice(8)] ?? 0) + Number(value);
  }
  return sums;
}

function showCounts(now) {
  const previous = counts.inOrder().at(-1);
  if (previous && now.published_events_total < previous.published_events_total) counts.clear(); // a new server
  const first = counts.inOrder()[0];
  counts.push(now);
  const perSecond = (key) => (first ? `${rate((now[key] - previous[key]) / (now.at - previous.at) * 1000)}/s` : '\u00a0');
  const total = (key) => (now[key] === undefined ? '–' : count(now[key]));
  text('connections', total('connections'));
  text('connections-more', `${total('lagging_connections')} lagging, ${count(now.disconnects_total ?? 0)} ended`);
  text('published', total('published_events_total'));
  text('published-more', perSecond('published_events_total'));
  text('delivered', total('delivered_events_total'));
  text('delivered-more', `${perSecond('delivered_events_total')}, ${bytes(now.delivered_bytes_total ?? 0)}`);
  const bounds = [...now.buckets.keys()].sort((a, b) => a - b);
  const grown = bounds.map((le) => [le, now.buckets.get(le) - (first?.buckets.get(le) ?? 0)]);
  const all = grown.at(-1)?.[1];
  if (!all) return text('socket', '–');
  return pair('socket', ...[0.5, 0.99].map((q) => {
    const i = grown.findIndex(([, n]) => n >= all * q);
    if (grown[i][0] === Infinity) return `>${duration(grown.at(-2)[0] * 1000)}`;
    const [low, under] = grown[i - 1] ?? [0, 0];
    return duration((low + (grown[i][0] - low) * (all * q - under) / (grown[i][1] - under)) * 1000);
  }));
}

// --- other topics: a reader of our own, since EventSource hears named events only by names known beforehand

const query = (topics) => topics.map((t) => `topic=${encodeURIComponent(t)}`).join('&');
let topics = [];
let stopWatching = () => {};

async function watch(signal) {
  let retryMs = 3000;
  let lastId = '';
  while (!signal.aborted) {
    text('watch-state', 'Connecting…');
    try {
      const headers = { Accept: 'text/event-stream' };
      if (lastId) headers['Last-Event-ID'] = String.fromCharCode(...new TextEncoder().encode(lastId));
      const answer = await fetch(`events?${query(topics)}`, { headers, cache: 'no-store', signal });
      if (answer.status >= 400 && answer.status < 500) {
        text('watch-state', `Refused: ${(await answer.text()).trim().slice(0, 200)}`);
        return; // it would be again
      }
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      text('watch-state', 'Watching');
      let block = { data: [], id: lastId };
      for await (const [field, value] of lines(answer.body)) {
        if (field === null) {
          lastId = block.id; // only now: half an event has not been seen
          if (block.event === GAP_EVENT) showGap(block.data.join('\n'));
          if (block.data.length) arrived({ data: block.data.join('\n'), lastEventId: lastId }, block.event, topics.join(' | '), rows.watched);
          block = { data: [], id: lastId };
        } else if (field === 'data') block.data.push(value);
        else if (field === 'event') block.event = value;
        else if (field === 'id' && !value.includes('\0')) block.id = value;
        else if (field === 'retry' && /^\d+$/.test(value)) retryMs = Number(value);
      }
    } catch { /* the network's or the server's end: both are tried again */ }
    if (signal.aborted) return;
    text('watch-state', 'Reconnecting…');
    await new Promise((done) => { setTimeout(done, retryMs * (0.8 + Math.random() * 0.4)); });
  }
}

/** Yields each line of a stream as [field, value], and [null] for the blank line that ends an event. */
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const half = rest.endsWith('\r') ? '\r' : ''; // its LF may be in the next piece
    const whole = (half ? rest.slice(0, -1) : rest).split(/\r\n|\r|\n/);
    rest = whole.pop() + half;
    if (rest.length > BUFFER_CHARS) { await reader.cancel(); return; }
    for (const line of whole) {
      const colon = line.indexOf(':');
      if (line === '') yield [null];
      else if (colon !== 0) yield colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
    }
  }
}

function setTopics(names, remember) {
  topics = [...new Set(names.filter(Boolean))].slice(-TOPICS_MAX);
  if (remember) history.pushState(null, '', topics.length ? `?${query(topics)}` : location.pathname);
  $('chips').replaceChildren(...topics.map((topic) => make('li', {}, make('button', {
    type: 'button', ariaLabel: `Stop watching ${topic}`,
    onclick: () => { setTopics(topics.filter((t) => t !== topic), true); $('topic').focus(); },
  }, topic, make('span', {}, '✕')))));
  const target = encodeURIComponent(topics.at(-1) ?? 'news').replaceAll("'", '%27');
  text('curl', `curl -d 'hello' '${new URL('publish', location).href}?topic=${target}'`);
  $('readings-label').hidden = !topics.length;
  stopWatching();
  text('watch-state', '');
  const ending = new AbortController();
  stopWatching = () => ending.abort();
  if (topics.length) watch(ending.signal);
  refill();
}

// --- the list of events

const rows = { readings: new Ring(ROWS), watched: new Ring(ROWS) };
let paused = false;
let shownTo = 0; // the newest event of the list; `received` numbers them
let missed = 0;

function arrived(e, event, topic, ring) {
  received += 1;
  thisSecond += 1;
  if (paused && listed(ring)) missed += 1;
  ring.last = { n: received, at: new Date(), topic, event, id: e.lastEventId, size: e.data.length, data: e.data.slice(0, DATA_CHARS) };
  ring.push(ring.last);
}

const listed = (ring) => ring === rows.watched || !topics.length || $('readings').checked;

function list() {
  if (paused) return text('pause', missed ? `Resume (${count(missed)} new)` : 'Resume');
  const fresh = Object.values(rows).filter(listed).flatMap((ring) => ring.items).filter((row) => row.n > shownTo)
    .sort((a, b) => b.n - a.n).slice(0, ROWS);
  if (!fresh.length) return undefined;
  shownTo = fresh[0].n;
  $('events').prepend(...fresh.map(item));
  while ($('events').childElementCount > ROWS) $('events').lastChild.remove();
  return undefined;
}

function item({ at, topic, event, id, size, data }) {
  const time = `${at.toLocaleTimeString('en-GB')}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  const meta = make('div', { className: 'meta' }, make('span', {}, time), make('b', {}, topic));
  if (event) meta.append(make('span', {}, `event: ${event}`));
  if (id) meta.append(make('span', {}, `id: ${id}`));
  if (size > DATA_CHARS) meta.append(make('span', {}, `the first ${count(DATA_CHARS)} of ${count(size)} characters`));
  return make('li', {}, meta, make('div', { className: 'data' }, data));
}

function refill() {
  $('events').replaceChildren();
  shownTo = 0;
  list();
}

function setPaused(to) {
  paused = to;
  missed = 0;
  $('pause').setAttribute('aria-pressed', String(paused));
  text('pause', paused ? 'Resume' : 'Pause');
  list();
}

// --- start

$('watch').addEventListener('submit', (e) => {
  e.preventDefault();
  setTopics([...topics, $('topic').value], true);
  $('topic').value = '';
});
$('copy').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText($('curl').textContent);
    text('copy', 'Copied');
  } catch { // plain http from another machine has no clipboard
    getSelection().selectAllChildren($('curl'));
    text('copy', 'Selected');
  }
  setTimeout(() => text('copy', 'Copy'), 2000);
});
$('pause').addEventListener('click', () => setPaused(!paused));
$('readings').addEventListener('change', refill);
$('retry').addEventListener('click', connect);
const fromAddress = () => setTopics(new URLSearchParams(location.search).getAll('topic'), false);
addEventListener('popstate', fromAddress);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readInks(); draw(); });

text('host', location.host);
readInks();
connect();
fromAddress();
poll();
setInterval(poll, 2000);
setInterval(list, 250);
setInterval(everySecond, 1000);
requestAnimationFrame(frame);
