import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Arrows run down only (see README, "The house"): a folder may import itself and the folders listed for it. */
const LAYERS = {
  checkpoint: [],
  spectrum: [],
  compute: ['checkpoint'],
  lowrank: ['spectrum', 'checkpoint', 'compute'],
  network: ['lowrank', 'spectrum', 'checkpoint', 'compute'],
  utilization: ['network', 'spectrum', 'checkpoint', 'compute'],
  training: ['utilization', 'network', 'lowrank', 'spectrum', 'checkpoint', 'compute'],
  engine: ['training', 'utilization', 'lowrank', 'network', 'spectrum', 'checkpoint', 'compute'],
  cli: ['engine', 'training', 'utilization', 'lowrank', 'network', 'spectrum', 'checkpoint', 'compute'],
  extension: ['engine'],
};

function importRule(folder, allowed) {
  const forbidden = Object.keys(LAYERS).filter((other) => other !== folder && !allowed.includes(other));
  return {
    files: [`src/${folder}/**/*.ts`],
    ignores: ['src/compute/wasm/kernels/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths:
            folder === 'extension' ? [] : [{ name: 'vscode', message: 'Only src/extension sees VS Code.' }],
          patterns: [
            {
              // Folders of src alone: src/extension and webview have folders of the same names.
              regex: `^(?:\\.\\./)+(?:${forbidden.join('|')})/`,
              message: `src/${folder} must not know these folders: imports run down only.`,
            },
          ],
        },
      ],
    },
  };
}

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'src/compute/wasm/kernels/**'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-console': 'error',
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  ...Object.entries(LAYERS).map(([folder, allowed]) => importRule(folder, allowed)),
  {
    files: ['test/**/*.ts'],
    rules: {
      // node:test's test() and describe() return promises that the runner awaits itself.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'it', 'describe', 'suite'], package: 'node:test' },
          ],
        },
      ],
      'max-lines': 'off',
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        Buffer: 'readonly',
        URL: 'readonly',
        performance: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
      },
    },
  },
);
