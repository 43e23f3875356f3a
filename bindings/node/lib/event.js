'use strict';

// What is published, as the addon takes it.

const OPTIONS = new Set(['name', 'id', 'key', 'comment', 'retryMs', 'windowMs']);

/** Data for the addon: a string, bytes, or undefined for none. */
function dataOf(data) {
  if (typeof data === 'string' || data === undefined || data instanceof Uint8Array) return data;
  if (data === null) return undefined;
  if (typeof data === 'object' && Object.hasOwn(data, 'json')) {
    const text = JSON.stringify(data.json);
    if (text === undefined) throw invalid(`data.json must be a value that JSON has, not ${typeof data.json}`);
    return text;
  }
  throw invalid('data must be a string, a Uint8Array, {json: value}, null or undefined');
}

function checkOptions(options, others) {
  if (typeof options !== 'object' || options === null) throw invalid('the options of publish must be an object');
  for (const option in options) {
    if (!OPTIONS.has(option) && !others?.includes(option)) throw invalid(`publish has no option ${option}`);
  }
}

/** An event with its topics: an array that the addon reads. */
function publicationOf(topics, data, options = {}, others = undefined) {
  checkOptions(options, others);
  const { name, id, key, comment, retryMs, windowMs } = options;
  return [topics, dataOf(data), name, id, key, comment, retryMs, windowMs];
}

function invalid(message) {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' });
}

module.exports = { checkOptions, dataOf, invalid, publicationOf };
