'use strict';

module.exports = require('./lib/sse/index.js');
