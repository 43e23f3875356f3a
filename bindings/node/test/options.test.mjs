// The options are those of docs/options.md, with its bounds and defaults.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Hub } from 'fanfare';
import { repository } from './client.mjs';

const document = await readFile(join(repository, 'docs/options.md'), 'utf8');
const header = await readFile(join(repository, 'include/fanfare.h'), 'utf8');
const types = await readFile(join(repository, 'bindings/node/types/options.d.ts'), 'utf8');

// What a unit is in the ABI's units, which are milliseconds and bytes.
const UNITS = {
  ms: 1, s: 1000, min: 60_000, hour: 3_600_000, day: 86_400_000, days: 86_400_000,
  byte: 1, bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30,
};
// The kinds of options that are numbers.
const KINDS = ['count', 'bytes', 'time', 'percent'];

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

/** The rows of the engine's table that are numbers, by their names in JavaScript. */
const OPTIONS = (() => {
  const table = document.split('## The engine')[1].split('\n## ')[0];
  const rows = [...table.matchAll(/^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|/gm)];
  const names = new Map(
    rows.map(([, name, kind]) => [name, camel(kind === 'time' ? `${name}_ms` : name)]),
  );
  return new Map(
    rows.filter(([, , kind]) => KINDS.includes(kind)).map(([, name, , bounds, defaultValue]) => [
      names.get(name),
      { bounds: bounds.replace(/`(\w+)`/g, (all, other) => names.get(other) ?? all), defaultValue },
    ]),
  );
})();

/** A number with its unit, or the default of the option that is named. */
function number(text) {
  if (OPTIONS.has(text)) return number(OPTIONS.get(text).defaultValue);
  const [, digits, unit] = /^([\d,]+)(?: (\w+))?$/.exec(text);
  const scale = unit === undefined ? 1 : UNITS[unit];
  assert.ok(scale, `the unit of ${text}`);
  return Number(digits.replaceAll(',', '')) * scale;
}

/** The nearest numbers that are out of bounds. */
function beyond(bounds) {
  if (bounds === 'any') return [];
  const [, most] = /^at most (.*)/.exec(bounds) ?? [];
  if (most !== undefined) return [number(most) + 1];
  const [, least] = /^at least (.*)/.exec(bounds) ?? [];
  if (least !== undefined) return [number(least) - 1];
  const [low, high] = bounds.replace(/^0, or /, '').split(' to ').map(number);
  return [low - 1, high + 1];
}

test('there is an option and a type for each number in the document and field of the header', () => {
  const struct = /typedef struct fanfare_options \{([^}]*)\}/.exec(header.replace(/\/\*[^]*?\*\//g, ''))[1];
  // A field that is reserved is no option.
  const fields = [...struct.matchAll(/\b(\w+) (\w+);/g)]
    .filter(([, , field]) => !/^(size|reserved\w*)$/.test(field));
  const typed = /interface HubOptions \{([^}]*)\}/.exec(types)[1];
  const names = [...typed.matchAll(/(\w+)\?:/g)].map(([, option]) => option);
  assert.deepEqual(names, fields.map(([, , field]) => camel(field)));
  const numbers = fields.filter(([, type]) => type.startsWith('uint')).map(([, , field]) => camel(field));
  assert.deepEqual(new Set(numbers), new Set([...OPTIONS.keys(), 'anyHost']));
  for (const option of numbers) {
    const code = option === 'anyHost' ? 'ERR_INVALID_ARG_TYPE' : 'FANFARE_ERR_OPTIONS';
    assert.throws(() => new Hub({ [option]: -1 }), { code }, option);
  }
});

for (const [name, { bounds, defaultValue }] of OPTIONS) {
  test(`${name} is typed with the documented bounds and default`, () => {
    const [, doc] = new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s*${name}\\?:`).exec(types);
    const text = doc.replace(/\s+\*\s+/g, ' ');
    assert.ok(text.includes(`Bounds: ${bounds}. Default: ${defaultValue}.`), text);
  });

  for (const value of beyond(bounds)) {
    test(`${name} of ${value} is refused by name`, () => {
      // Of two options that bound each other the error names either.
      const others = [...OPTIONS.keys()].filter((other) => bounds.includes(other));
      const message = new RegExp(
        `^the option (${[name, ...others].join('|')}) is out of bounds: it may be .`,
      );
      assert.throws(() => new Hub({ [name]: value }), { code: 'FANFARE_ERR_OPTIONS', message });
    });
  }
}
