'use strict';

// What the program says of a stream, and which stream a request gets by that.

const { isIP } = require('node:net');
const { OVERLOADED, OWN_FIELDS, Refused, comeAgain, textAnswer } = require('./answers.js');
const { invalid } = require('./event.js');

/** Topics that a request's query may name at most, as at a listener. */
const QUERY_TOPICS_MAX = 64;
const LAST_EVENT_ID_BYTES_MAX = 4096;
/** What is wrong with topics, which as a rule are the client's. */
const TOPICS_WRONG = new Set(['FANFARE_ERR_SUBSCRIPTION', 'FANFARE_ERR_TOO_MANY']);

/** What `Hub.subscribe` and `Hub.adopt` take as it is. */
const STREAM_OPTIONS = [
  'addr', 'envelope', 'expiresAt', 'gapStart', 'heartbeatForm', 'lastEventId', 'policy', 'start', 'tag',
];
const OPTIONS = new Set([
  ...STREAM_OPTIONS, 'anyTopics', 'headers', 'overload', 'queryTopics', 'queueBytesMax', 'topics',
]);

/** What the program says of a stream, before it is known for which request. */
class Terms {
  constructor(options, others = []) {
    if (typeof options !== 'object' || options === null) throw invalid('a stream needs {topics}');
    for (const option in options) {
      if (!OPTIONS.has(option) && !others.includes(option)) throw invalid(`a stream has no option ${option}`);
    }
    const {
      topics, anyTopics = false, headers = [], overload = 'comeAgain', queryTopics = anyTopics, queueBytesMax,
    } = options;
    if (overload !== 'comeAgain' && overload !== 'unavailable') {
      throw invalid('overload may be comeAgain or unavailable');
    }
    this.topics = topicsOf(topics ?? (anyTopics ? [] : undefined));
    this.fields = pairsOf(headers);
    for (const [name] of this.fields) {
      if (OWN_FIELDS.has(name.toLowerCase()) || name.toLowerCase() === 'content-encoding') {
        throw invalid(`the header field ${name} is one that the engine writes itself`);
      }
    }
    this.anyTopics = anyTopics;
    this.overload = overload;
    this.queryTopics = queryTopics;
    this.pulled = queueBytesMax === undefined ? {} : { queueBytesMax };
    this.options = {};
    for (const name of STREAM_OPTIONS) {
      if (options[name] !== undefined) this.options[name] = options[name];
    }
    // As a listener has it, `start` holds for a client whose id is gone, too.
    if (this.options.start !== undefined) this.options.gapStart ??= this.options.start;
  }

  /**
   * The topics and options of the stream that answers a request, of which `query`, `lastEventId` and
   * `client` (its address) are given.
   */
  of({ query, lastEventId, client }) {
    const params = new URLSearchParams(query);
    const options = { ...this.options };
    if (options.lastEventId === undefined) {
      const said = lastEventId ?? params.get('last-event-id') ?? params.get('lastEventId');
      if (said) options.lastEventId = cut(said);
    }
    if (options.addr === undefined && client !== undefined && isIP(client) !== 0) options.addr = client;
    return { topics: this.#topics(params.getAll('topic')), options };
  }

  /** The answer to a request whose stream the engine has refused; throws what is the program's fault. */
  refusal(error, request) {
    if (error instanceof Refused) return error.answer;
    if (OVERLOADED.has(error.code)) return comeAgain(this.overload, request);
    if (TOPICS_WRONG.has(error.code)) return textAnswer(400, error.message);
    throw error;
  }

  #topics(asked) {
    if (!this.queryTopics || asked.length === 0) return this.topics;
    if (asked.length > QUERY_TOPICS_MAX) {
      throw new Refused(textAnswer(400, `A request may name at most ${QUERY_TOPICS_MAX} topics.`));
    }
    for (const topic of asked) {
      if (!this.anyTopics && !this.topics.some((granted) => covers(granted, topic))) {
        throw new Refused(textAnswer(403, 'The request names a topic that is not granted.'));
      }
    }
    return asked;
  }
}

function topicsOf(topics) {
  const given = typeof topics === 'string' ? [topics] : topics;
  if (!Array.isArray(given) || !given.every((topic) => typeof topic === 'string')) {
    throw invalid('topics must be a string or an array of strings');
  }
  return given;
}

/** Whether a topic or filter stands for all that another one stands for. */
function covers(granted, asked) {
  if (granted === asked) return true;
  const levels = granted.split('/');
  const askedLevels = asked.split('/');
  if ((levels[0] === '+' || levels[0] === '#') && asked.startsWith('$')) return false;
  for (const [at, level] of levels.entries()) {
    if (level === '#') return true;
    if (at === askedLevels.length || askedLevels[at] === '#') return false;
    if (level !== '+' && level !== askedLevels[at]) return false;
  }
  return levels.length === askedLevels.length;
}

/** An id of at most the bytes that the engine takes. One that was cut is none that an event has. */
function cut(id) {
  const bytes = Buffer.from(id);
  return bytes.length <= LAST_EVENT_ID_BYTES_MAX ? id : bytes.subarray(0, LAST_EVENT_ID_BYTES_MAX - 3).toString();
}

/**
 * Header fields as pairs. A name may have several values, and one that is undefined is no field: so
 * have other packages it.
 */
function pairsOf(headers) {
  if (typeof headers !== 'object' || headers === null) throw invalid('headers must be an object or pairs');
  const given = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
  return given.flatMap(([name, value]) => [value ?? []].flat().map((each) => [name, each]));
}

module.exports = { Terms, pairsOf };
