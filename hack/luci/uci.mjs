// UCI files as rpcd serves them: sections in order, with staged changes for each session.
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';

function words(line) {
	const out = [];
	const re = /'((?:[^']|'\\'')*)'|"([^"]*)"|(#.*$)|([^\s'"#]+)/g;

	for (let m; (m = re.exec(line)); ) {
		if (m[3] !== undefined)
			break;

		out.push(m[1] !== undefined ? m[1].replace(/'\\''/g, "'") : (m[2] ?? m[4]));
	}

	return out;
}

export function parse(text) {
	const sections = [];
	let current = null;

	for (const line of text.split('\n')) {
		const [ command, name, value ] = words(line.trim());

		if (command == 'config') {
			current = { type: name, name: value ?? `cfg${sections.length.toString(16).padStart(6, '0')}`, anonymous: value === undefined, options: {} };
			sections.push(current);
		}
		else if (command == 'option' && value) {
			current.options[name] = value;
		}
		else if (command == 'list') {
			current.options[name] = [].concat(current.options[name] ?? [], value);
		}
	}

	return sections;
}

export function print(sections) {
	const quote = v => `'${String(v).replace(/'/g, "'\\''")}'`;

	return sections.map(s => `config ${s.type}${s.anonymous ? '' : ' ' + quote(s.name)}\n` + Object.entries(s.options).map(([ k, v ]) =>
		[].concat(v).map(one => `\t${Array.isArray(v) ? 'list' : 'option'} ${k} ${quote(one)}\n`).join('')).join('')).join('\n');
}

// A session's view of the files in a directory.
export class Staged {
	constructor(dir) {
		this.dir = dir;
		this.configs = {};
		this.changed = {};
	}

	load(config) {
		const path = join(this.dir, config);

		if (!this.configs[config]) {
			if (!existsSync(path))
				return null;

			const sections = parse(readFileSync(path, 'utf8'));

			if (!this.changed[config])
				return sections;

			this.configs[config] = sections;
		}

		return this.configs[config];
	}

	touch(config) {
		const sections = this.load(config) ?? [];

		this.configs[config] = sections;
		this.changed[config] ??= [];

		return sections;
	}

	get(config) {
		const sections = this.load(config);

		return sections && Object.fromEntries(sections.map((s, i) => [ s.name, { '.anonymous': s.anonymous, '.type': s.type, '.name': s.name, '.index': i, ...s.options } ]));
	}

	set({ config, section, values }) {
		const s = this.touch(config).find(x => x.name == section);

		if (!s)
			return false;

		for (const k in values) {
			const empty = values[k] === '' || Array.isArray(values[k]) && !values[k].length;

			if (empty)
				delete s.options[k];
			else
				s.options[k] = Array.isArray(values[k]) ? values[k].map(String) : String(values[k]);

			this.changed[config].push([ 'set', section, k, String(values[k]) ]);
		}

		return true;
	}

	add({ config, type, name, values }) {
		const sections = this.touch(config), made = name ?? `cfg${(sections.length + 1).toString(16).padStart(6, '0')}`;

		sections.push({ type, name: made, anonymous: name == null, options: {} });
		this.changed[config].push([ 'add', made, type ]);

		if (values)
			this.set({ config, section: made, values });

		return made;
	}

	remove({ config, section, option, options }) {
		const sections = this.touch(config), i = sections.findIndex(x => x.name == section);

		if (i < 0)
			return false;

		if (option == null && options == null)
			sections.splice(i, 1);
		else
			[].concat(option ?? options).forEach(o => delete sections[i].options[o]);

		this.changed[config].push([ 'remove', section, ...[].concat(option ?? options ?? []) ]);

		return true;
	}

	order({ config, sections: names }) {
		const sections = this.touch(config), rank = n => (names.indexOf(n) + 1) || names.length + 1;

		sections.sort((a, b) => rank(a.name) - rank(b.name));
		this.changed[config].push([ 'order', ...names.slice(0, 1), '0' ]);
	}

	apply() {
		for (const config in this.changed)
			writeFileSync(join(this.dir, config), print(this.configs[config]));

		const changed = Object.keys(this.changed);

		this.configs = {};
		this.changed = {};

		return changed;
	}
}
