// The same for `import`.

import ai from './ai.js';

export const { Chats, Publisher, Subscriber, resumable } = ai;
