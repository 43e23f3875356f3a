import js from '@eslint/js';
import globals from 'globals';

const rules = {
  'eqeqeq': 'error',
  'no-implicit-coercion': 'error',
  'no-promise-executor-return': 'error',
  'no-shadow': 'error',
  'no-template-curly-in-string': 'error',
  'no-var': 'error',
  'object-shorthand': 'error',
  'prefer-const': 'error',
};

export default [
  { ignores: ['**/node_modules/', '**/screenshots/'] },
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: 'error' }, rules },
  { files: ['**/*.js'], languageOptions: { globals: { ...globals.node } } },
  // Functions that are handed to the page run there.
  { files: ['**/browser/*.js', '**/proxies/*.js'], languageOptions: { globals: { ...globals.browser } } },
  { files: ['**/program/page/page.js'], languageOptions: { sourceType: 'script', globals: { ...globals.browser } } },
];
