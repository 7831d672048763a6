// The rules of LuCI's own repository for its pages.
import js from '@eslint/js';
import globals from 'globals';

const readonly = names => Object.fromEntries(names.map(n => [ n, 'readonly' ]));

export default [ {
	files: [ '**/*.js' ],
	...js.configs.recommended,
	languageOptions: {
		sourceType: 'script',
		ecmaVersion: 2022,
		parserOptions: { ecmaFeatures: { globalReturn: true } },
		globals: { ...globals.browser, ...readonly([ '_', 'N_', 'L', 'E', 'TR', 'baseclass', 'dom', 'form', 'network', 'poll', 'rpc', 'uci', 'ui', 'view', 'widgets',
			'api', 'chart', 'judge', 'restore', 'text', 'token', 'words' ]) }
	},
	rules: {
		...js.configs.recommended.rules,
		'no-unused-vars': [ 'error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' } ],
		'no-redeclare': [ 'error', { builtinGlobals: false } ],
		indent: 'off',
		'no-mixed-spaces-and-tabs': [ 'error', 'smart-tabs' ],
		'prefer-const': 'error',
		'no-var': 'error',
		eqeqeq: 'off',
		strict: [ 'error', 'global' ],
		'no-eval': 'error'
	}
} ];
