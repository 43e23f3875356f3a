// The same from CommonJS; only compiled, never run.

import fanfare = require('fanfare');

export function allowed(): string {
  const hub: fanfare.Hub = new fanfare.Hub({ shards: 1 });
  return hub.publish('news', 'a');
}
