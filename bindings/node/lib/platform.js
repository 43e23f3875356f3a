'use strict';

// Which of the prebuilt addons this process needs.

const { readFileSync } = require('node:fs');

/** Such as `linux-x64-glibc` or `darwin-arm64`. */
function platform() {
  const libc = process.platform === 'linux' ? `-${libcOf(process)}` : '';
  return `${process.platform}-${process.arch}${libc}`;
}

/**
 * The libc that this process runs with; a machine may have both. `maps` is the file that says which
 * libraries the process has.
 */
function libcOf({ report }, maps = '/proc/self/maps') {
  // Deno has no report, and that of Bun does not say.
  const header = report?.getReport === undefined ? undefined : reported(report).header;
  if (header?.glibcVersionRuntime !== undefined) return 'glibc';
  let mapped;
  try {
    mapped = readFileSync(maps, 'utf8');
  } catch {
    return header === undefined ? 'glibc' : 'musl';
  }
  // In Debian the loader is a link to a file of another name.
  return /\/(?:ld-musl-|libc\.musl-|[^/]*-linux-musl\w*\/libc\.so\b)/.test(mapped) ? 'musl' : 'glibc';
}

function reported(report) {
  // Otherwise it may look up the names of all of the process's peers.
  const { excludeNetwork } = report;
  report.excludeNetwork = true;
  try {
    return report.getReport();
  } catch {
    return {};
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}

module.exports = { libcOf, platform };
