import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['packed/', '**/node_modules/', 'test/runtimes/', '**/.next/', '**/.svelte-kit/', 'examples/*/build/'] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: { globals: globals.node },
    rules: {
      'eqeqeq': 'error',
      'no-implicit-coercion': 'error',
      'no-promise-executor-return': 'error',
      'no-shadow': 'error',
      'no-template-curly-in-string': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },
];
