// HAProxy, with the documented lines.

import { behaves, limitsStreams, setUp } from './behaviour.js';

const tools = setUp();
behaves('haproxy', tools);
limitsStreams('haproxy', tools);
