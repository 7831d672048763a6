// All that can be checked of the pages without a checkout of LuCI and without a browser. Prints failures; with COUNT=FILE
// writes "passed failed skipped" there. What only the browser's tests see is counted as skipped.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { ESLint } from 'eslint';
import jsmin from 'jsmin';
import config from './eslint.config.mjs';
import { APP, files, problems, texts } from './i18n.mjs';
import { run } from './logic.mjs';

const SCENES = 14; // of browser.mjs
let passed = 0, failed = 0;

function check(what, trouble) {
	const list = [].concat(trouble ?? []).filter(t => t);

	if (list.length) {
		failed++;
		console.log(`FAIL  ${what}\n      ${list.join('\n      ')}`);
	}
	else {
		passed++;
	}
}

const scripts = files(join(APP, 'htdocs'), '.js');

for (const result of await new ESLint({ overrideConfigFile: true, overrideConfig: config, cwd: APP }).lintFiles(scripts))
	check(`lint ${relative(APP, result.filePath)}`, result.messages.map(m => `${m.line}: ${m.message} (${m.ruleId})`));

for (const file of scripts) {
	const source = readFileSync(file, 'utf8'), small = jsmin.jsmin(source);
	let trouble = small.length < source.length ? null : 'did not get smaller';

	try { new Function(small.replace(/^'require [^']*';/gm, '')); }
	catch (e) { trouble = String(e); }

	check(`minified ${basename(file)} parses`, trouble);
	check(`${basename(file)}: only the theme's colours`, [ ...source.matchAll(/#[0-9a-f]{3,6}\b|\brgba?\(\d|(?<=[:\s'])(black|white|red|green|blue)(?=[;'])/gi) ].map(m => m[0]).filter(c => !/^#(view|token)/.test(c)));
	check(`${basename(file)}: no element where attributes belong`, [ ...source.matchAll(/E\('\w+', (E|words\.badge|small|mark)\(/g) ].map(m => `${m[0]}…) shows nothing: put the element into a list`));
	check(`${basename(file)}: no markup made of texts`, /innerHTML|insertAdjacentHTML|document\.write/.test(source) ? 'builds HTML of strings' : null);
}

const json = name => JSON.parse(readFileSync(join(APP, 'root/usr/share', name), 'utf8'));
const acl = json('rpcd/acl.d/luci-app-mpproxy.json')['luci-app-mpproxy'], menu = json('luci/menu.d/luci-app-mpproxy.json');
const plugin = readFileSync(join(APP, 'root/usr/share/rpcd/ucode/luci.mpproxy.uc'), 'utf8');
const methods = [ ...plugin.matchAll(/^\t\t(\w+): \{/gm) ].map(m => m[1]);
const listed = right => acl[right].ubus['luci.mpproxy'];

for (const [ path, node ] of Object.entries(menu)) {
	const view = node.action.type == 'view' ? join(APP, 'htdocs/luci-static/resources/view', node.action.path + '.js') : null;

	check(`menu ${path}`, [ node.title ? '' : 'has no title', view && !scripts.includes(view) ? `there is no ${view}` : '' ]);
}

check('rights: no wildcard', /\*/.test(JSON.stringify(acl)) ? 'a name with *' : null);
check('rights: every method of the plugin, in one right', [ ...methods.filter(m => listed('read').includes(m) == listed('write').includes(m)).map(m => `${m} is in both or in none`),
	...[ ...listed('read'), ...listed('write') ].filter(m => !methods.includes(m)).map(m => `${m} is no method`) ]);
check('rights: who may read changes nothing', listed('read').filter(m => /join|undo|restore|check|link|set|start/.test(m)));
check('rights: no files, no programs', JSON.stringify(acl).includes('exec') || acl.read.file || acl.write.file ? 'files or programs' : null);
check('pages ask for what there is', [ ...readFileSync(join(APP, 'htdocs/luci-static/resources/mpproxy/api.js'), 'utf8').matchAll(/call\('(\w+)'/g) ].map(m => m[1]).filter(m => !methods.includes(m)));
check('texts: template and translations', problems());
check('texts: there are some', texts().length > 100 ? null : `${texts().length}`);

const logic = await run();

passed += logic.count - logic.failures.length;
failed += logic.failures.length;
logic.failures.forEach(f => console.log(`FAIL  ${f}`));

const skipped = process.env.LUCI ? 0 : SCENES;

if (skipped)
	console.log(`left out without a checkout of LuCI (LUCI=dir): ${skipped} scenes in a browser`);

console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);

if (process.env.COUNT)
	writeFileSync(process.env.COUNT, `${passed} ${failed} ${skipped}\n`);

process.exitCode = failed ? 1 : 0;
