// The same for `import`: one instance, whichever way it is loaded.

import fanfare from './index.js';

export const {
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
} = fanfare;
