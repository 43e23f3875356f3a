export * from './types/ai.js';
