'use strict';

// Streams as a `Response` of the Fetch standard.

const { METHOD_NOT_ALLOWED, NOTHING_TO_COME, STREAM_FIELDS } = require('./answers.js');
const { invalid } = require('./event.js');
const { Terms } = require('./terms.js');

/** The response to a request of the Fetch standard. */
function response(hub, request, options) {
  if (typeof request?.url !== 'string' || typeof request.headers?.get !== 'function') {
    throw invalid('the request must be a Request of the Fetch standard');
  }
  const terms = new Terms(options);
  const asked = { method: request.method, accept: request.headers.get('accept') ?? '' };
  if (asked.method === 'HEAD') return new Response(null, { headers: headersOf([...STREAM_FIELDS, ...terms.fields]) });
  if (asked.method !== 'GET' && asked.method !== 'POST') return answered(METHOD_NOT_ALLOWED, terms);
  let stream;
  try {
    const { topics, options: chosen } = terms.of({
      query: queryOf(request.url), lastEventId: request.headers.get('last-event-id') ?? undefined,
    });
    stream = hub.subscribe(topics, { ...chosen, ...terms.pulled });
  } catch (error) {
    return answered(terms.refusal(error, asked), terms);
  }
  if (stream.isComplete) {
    stream.close();
    return answered(NOTHING_TO_COME, terms);
  }
  const headers = headersOf([...STREAM_FIELDS, ...terms.fields]);
  // In Deno a signal is aborted by the end of the response as well, and tells nothing that `cancel` does not.
  return new Response(bodyOf(stream, globalThis.Deno === undefined ? request.signal : undefined), { headers });
}

/** The body: a batch is read when the server asks for one. To cancel it closes the stream at once. */
function bodyOf(stream, signal) {
  const leave = () => stream.close();
  const end = () => signal?.removeEventListener('abort', leave);
  if (signal?.aborted) stream.close();
  signal?.addEventListener('abort', leave, { once: true });
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await stream.next();
        if (!done) {
          controller.enqueue(value);
          return;
        }
        end();
        controller.close();
      } catch (error) {
        // Some of it may be missing, so the response is not to look complete.
        end();
        controller.error(error);
      }
    },
    cancel() {
      end();
      stream.close();
    },
  }, { highWaterMark: 0 });
}

function answered({ status, fields, body }, terms) {
  return new Response(status === 204 ? null : body, { status, headers: headersOf([...terms.fields, ...fields]) });
}

function headersOf(fields) {
  const headers = new Headers();
  for (const [name, value] of fields) headers.append(name, value);
  return headers;
}

function queryOf(url) {
  const at = url.indexOf('?');
  return at < 0 ? '' : url.slice(at + 1).replace(/#.*/s, '');
}

module.exports = { response };
