// Caddy, with the documented lines. It limits neither how long a stream is silent, nor how long it goes
// on after a reload, nor how many streams an address has.

import { behaves, setUp } from './behaviour.js';

behaves('caddy', setUp(), { limitsTimes: false });
