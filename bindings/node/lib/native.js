'use strict';

// Loads the addon for this platform, which is in the package.

const { join } = require('node:path');
const { platform } = require('./platform.js');

function load() {
  const path = join(__dirname, '..', 'prebuilds', platform(), 'fanfare.node');
  try {
    return require(path);
  } catch (cause) {
    throw Object.assign(new Error(
      `fanfare's addon cannot be loaded: ${cause.message.split('\n')[0]}. It was sought at ${path}. `
        + 'If there is no such file, this platform has no prebuilt addon, or a bundler has left it out: '
        + 'then keep the package outside of the bundle. To build it from source run `make capi` in '
        + "fanfare's repository, and then `npm ci --ignore-scripts` and `npm run build` in its bindings/node.",
      { cause },
    ), { code: 'FANFARE_ERR_ADDON' });
  }
}

const native = load();

// Bun ends the process without calling what the addon has set up for its end.
if (process.versions.bun !== undefined) process.on('exit', () => native.closeAll());

module.exports = native;
