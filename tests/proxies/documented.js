// The configurations of proxies as docs/deploying.md has them. The tests run these lines, and change
// in them only what a test cannot have as it is there: ports, paths, and times that are too long.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const DOCUMENT = path.resolve(import.meta.dirname, '../../docs/deploying.md');

/** The first block of a language below a heading of the document. */
export function documented(heading, language) {
  const block = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(section(heading));
  assert.ok(block, `docs/deploying.md has no block of ${language} below "${heading}"`);
  return block[1];
}

/** The code between the words below a heading that begins with a word. */
export function documentedInline(heading, word) {
  const code = new RegExp(`\`(${word}\\b[^\`]*)\``).exec(section(heading));
  assert.ok(code, `docs/deploying.md says no ${word} below "${heading}"`);
  return code[1];
}

function section(heading) {
  const sections = readFileSync(DOCUMENT, 'utf8').split(/^#{2,} /m);
  return sections.find((text) => text.startsWith(`${heading}\n`))
    ?? assert.fail(`docs/deploying.md has no heading "${heading}"`);
}

/** A text in which each of some other texts, all of which have to be there, is another one. */
export function changed(text, changes) {
  return changes.reduce((result, [from, to]) => {
    assert.ok(result.includes(from), `the documented lines have no ${JSON.stringify(from)}`);
    return result.replaceAll(from, to);
  }, text);
}
