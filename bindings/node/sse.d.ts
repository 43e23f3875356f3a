export * from './types/sse.js';
