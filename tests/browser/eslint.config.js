import js from '@eslint/js';
import globals from 'globals';

/** Hands the page's one inline script to the linter, in its place. */
const page = {
  preprocess(text) {
    const start = text.indexOf('<script>') + '<script>'.length;
    const before = text.slice(0, start).replace(/[^\n]/g, '');
    return [before + text.slice(start, text.indexOf('</script>', start))];
  },
  postprocess: ([messages]) => messages,
};

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
  { files: ['**/browser/*.js'], languageOptions: { globals: { ...globals.browser } } },
  {
    files: ['**/page.html'],
    plugins: { page: { processors: { script: page } } },
    processor: 'page/script',
    languageOptions: { sourceType: 'script', globals: { ...globals.browser } },
  },
];
