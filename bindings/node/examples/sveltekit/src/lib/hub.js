import { Hub } from 'fanfare';

export const hub = new Hub();
