// The cases that all bindings share, by each way in.

import { test } from 'node:test';
import { CASES, WAYS_IN, run } from './conformance.mjs';

for (const [name, wayIn] of Object.entries(WAYS_IN)) {
  for (const each of CASES) test(`${name}: ${each.name}`, () => run(each, wayIn));
}
