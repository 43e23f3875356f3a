// Fan-out of Server-Sent Events to very many clients, inside your program.
//
// The names are those of docs/options.md and of the C ABI, in camel case and with their units:
// `history_age_max` is `historyAgeMaxMs`. Times are in milliseconds, sizes in bytes; `undefined` stands
// for an option's default. Ids of connections are bigints.

export * from './types/authorizing.js';
export * from './types/connections.js';
export * from './types/errors.js';
export type { Handled, HandleOptions, NodeRequest, NodeResponse, ResponseOptions } from './types/handling.js';
export * from './types/hub.js';
export * from './types/listening.js';
export * from './types/log.js';
export * from './types/metrics.js';
export { type Notice, type NoticeBase, type Connected, type Disconnected, type Interest, type InterestOptions, type NoticesOptions, type Notices } from './types/notices.js';
export * from './types/options.js';
export * from './types/publishing.js';
export * from './types/streams.js';
export * from './types/tokens.js';
