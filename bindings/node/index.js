'use strict';

// Fan-out of Server-Sent Events to very many clients, inside your program.

const { Authorizer, FunctionAuthorizer, StreamRequest } = require('./lib/authorize.js');
const { Fallback } = require('./lib/fallback.js');
const { Hub } = require('./lib/hub.js');
const { Listener } = require('./lib/listener.js');
const { logTo } = require('./lib/log.js');
const { STREAM_HEADERS, Stream } = require('./lib/stream.js');
const { Granted, SigningKey, TicketAuthorizer, Tickets, Tokens } = require('./lib/tokens.js');
const { Topic } = require('./lib/topic.js');

module.exports = {
  Authorizer,
  Fallback,
  FunctionAuthorizer,
  Granted,
  Hub,
  Listener,
  STREAM_HEADERS,
  SigningKey,
  Stream,
  StreamRequest,
  TicketAuthorizer,
  Tickets,
  Tokens,
  Topic,
  logTo,
};
