import { Hub } from 'fanfare';

// One for all bundles that the server is made of, and when a module is loaded anew.
export const hub = globalThis.hub ??= new Hub();
