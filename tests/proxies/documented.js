// The configurations of proxies as docs/deploying.md has them. The tests run these lines, and change
// in them only what a test cannot have as it is there: ports, paths, and times that are too long.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const DOCUMENT = path.resolve(import.meta.dirname, '../../docs/deploying.md');

/** The first block of a language below a heading of the document. */
export function documented(heading, language) {
  const sections = readFileSync(DOCUMENT, 'utf8').split(/^#+ /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`));
  assert.ok(section, `docs/deploying.md has no heading "${heading}"`);
  const block = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(section);
  assert.ok(block, `docs/deploying.md has no block of ${language} below "${heading}"`);
  return block[1];
}

/** All blocks of a language in the document. */
export function allDocumented(language) {
  const blocks = readFileSync(DOCUMENT, 'utf8').matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'));
  return [...blocks].map(([, text]) => text);
}

/** A text in which each of some other texts, all of which have to be there, is another one. */
export function changed(text, changes) {
  return changes.reduce((result, [from, to]) => {
    assert.ok(result.includes(from), `the documented lines have no ${JSON.stringify(from)}`);
    return result.replaceAll(from, to);
  }, text);
}
