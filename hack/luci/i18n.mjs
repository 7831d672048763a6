// Texts of the pages: collects them into po/templates/mpproxy.pot, and holds translations against it.
//   node i18n.mjs          writes the template
//   node i18n.mjs --check  fails if it is not what the sources say, or a translation is not complete
import { readFileSync, readdirSync, writeFileSync, existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const APP = join(dirname(fileURLToPath(import.meta.url)), '../../luci-app-mpproxy');
const TEMPLATE = join(APP, 'po/templates/mpproxy.pot');

export function files(dir, ends) {
	return readdirSync(dir, { recursive: true }).filter(f => f.endsWith(ends)).map(f => join(dir, f)).sort();
}

const unquote = s => (0, eval)(s); // a string literal of our own sources

// texts finds _('…') and N_(n, '…', '…'), titles of menus and descriptions of rights.
export function texts() {
	const found = new Map();
	const add = (id, plural, file) => {
		const key = plural ? id + '\0' + plural : id;

		found.set(key, { id, plural, places: [ ...(found.get(key)?.places ?? []), relative(APP, file) ] });
	};
	const literal = String.raw`('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")`;

	for (const file of files(join(APP, 'htdocs'), '.js')) {
		const source = readFileSync(file, 'utf8');

		for (const m of source.matchAll(new RegExp(String.raw`\b_\(\s*` + literal, 'g')))
			add(unquote(m[1]), null, file);

		for (const m of source.matchAll(new RegExp(String.raw`\bN_\([^,']*,\s*` + literal + String.raw`,\s*` + literal, 'g')))
			add(unquote(m[1]), unquote(m[2]), file);
	}

	for (const file of files(join(APP, 'root'), '.json')) {
		for (const node of Object.values(JSON.parse(readFileSync(file, 'utf8')))) {
			if (node.title ?? node.description)
				add(node.title ?? node.description, null, file);
		}
	}

	return [ ...found.values() ];
}

const quote = s => JSON.stringify(s);

export function template() {
	const head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n';

	return head + texts().sort((a, b) => a.places[0] < b.places[0] ? -1 : a.places[0] > b.places[0] ? 1 : 0).map(t => '\n' + [ ...new Set(t.places) ].map(p => `#: ${p}\n`).join('')
		+ `msgid ${quote(t.id)}\n` + (t.plural ? `msgid_plural ${quote(t.plural)}\nmsgstr[0] ""\nmsgstr[1] ""\n` : 'msgstr ""\n')).join('');
}

// readPo reads a .po file into entries.
export function readPo(path) {
	const entries = [];
	let entry = null, field = null;

	for (const line of readFileSync(path, 'utf8').split('\n')) {
		const m = /^(msgid|msgid_plural|msgstr|msgstr\[(\d)\])\s+(".*")$/.exec(line);

		if (m) {
			field = m[1];

			if (field == 'msgid')
				entries.push(entry = {});

			entry[field] = JSON.parse(m[3]);
		}
		else if (/^".*"$/.test(line)) {
			entry[field] += JSON.parse(line);
		}
	}

	return entries.filter(e => e.msgid);
}

// readCatalog gives what LuCI's runtime looks up: a text, and for plurals "text\2number".
export function readCatalog(path, lang) {
	if (lang == 'xx')
		return pseudo();

	const out = {};

	for (const e of readPo(path)) {
		if (e.msgid_plural) {
			out[e.msgid + '\u00020'] = e['msgstr[0]'];
			out[e.msgid + '\u00021'] = e['msgstr[1]'];
		}
		else {
			out[e.msgid] = e.msgstr;
		}
	}

	return out;
}

// pseudo is a language in which every text of ours is in brackets, so that texts without _() stand out.
function pseudo() {
	return Object.fromEntries(texts().flatMap(t => t.plural ? [ [ t.id + '\u00020', `⟦${t.id}⟧` ], [ t.id + '\u00021', `⟦${t.plural}⟧` ] ] : [ [ t.id, `⟦${t.id}⟧` ] ]));
}

// problems lists what is wrong with template and translations.
export function problems() {
	const out = [], all = texts(), ids = new Set(all.map(t => t.id));

	if (!existsSync(TEMPLATE) || readFileSync(TEMPLATE, 'utf8') != template())
		out.push('po/templates/mpproxy.pot is not what the sources say; run: node hack/luci/i18n.mjs');

	for (const lang of readdirSync(join(APP, 'po')).filter(d => d != 'templates')) {
		const entries = readPo(join(APP, 'po', lang, 'mpproxy.po')), known = new Map(entries.map(e => [ e.msgid, e ]));

		for (const t of all) {
			const e = known.get(t.id), made = t.plural ? [ e?.['msgstr[0]'], e?.['msgstr[1]'] ] : [ e?.msgstr ];

			if (made.some(s => !s))
				out.push(`${lang}: not translated: ${t.id}`);

			const holes = s => (s ?? '').match(/%[\d.]*[a-zA-Z%]/g)?.join() ?? '';

			if (made.every(s => s) && holes(made.at(-1)) != holes(t.plural ?? t.id))
				out.push(`${lang}: other places for values: ${t.id}`);
		}

		entries.filter(e => !ids.has(e.msgid)).forEach(e => out.push(`${lang}: no longer in the sources: ${e.msgid}`));
	}

	return out;
}

if (process.argv[1] == fileURLToPath(import.meta.url)) {
	if (process.argv[2] == '--check') {
		problems().forEach(p => console.log(p));
		process.exitCode = problems().length ? 1 : 0;
	}
	else {
		writeFileSync(TEMPLATE, template());
	}
}
