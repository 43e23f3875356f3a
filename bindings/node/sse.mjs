// The same for `import`.

import sseModule from './sse.js';

export const { Channel, Session, createChannel, createResponse, createSession, sse } = sseModule;
