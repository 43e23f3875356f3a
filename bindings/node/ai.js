'use strict';

const { Chats } = require('./lib/ai/chat.js');
const { Publisher, Subscriber, resumable } = require('./lib/ai/pubsub.js');

module.exports = { Chats, Publisher, Subscriber, resumable };
