// As little of LuCI's client runtime as the pages' logic needs to run in node: modules, texts, and elements that can be read.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { APP } from './i18n.mjs';

const RESOURCES = join(APP, 'htdocs/luci-static/resources');

String.prototype.format = function(...args) {
	let i = 0;

	return this.replace(/%(%|(\.\d+)?([sdf]))/g, (m, whole, places, kind) => {
		if (whole == '%')
			return '%';

		const v = args[i++];

		return kind == 'd' ? String(Math.trunc(v)) : kind == 'f' ? Number(v).toFixed(places ? +places.slice(1) : 6) : String(v);
	});
};

// Element keeps what it was made of; text() is what a reader would see.
export class Element {
	constructor(tag, attributes = {}, children = []) {
		Object.assign(this, { tag, attributes, children: [], style: {}, value: '', checked: false, disabled: false });
		this.append(children);
	}

	append(children) {
		this.children.push(...[].concat(children).flat(9).filter(c => c !== '' && c != null));
	}

	appendChild(c) { this.append(c); return c; }
	replaceChildren(...c) { this.children = []; this.append(c); }
	setAttribute(k, v) { this.attributes[k] = v; }
	getAttribute(k) { return this.attributes[k] ?? null; }
	get lastElementChild() { return this.children.at(-1); }
	remove() {}
	addEventListener() {}
	querySelector(selector) { return this.all(e => selector == '.' + e.attributes.class || selector == e.tag)[0] ?? null; }
	querySelectorAll() { return []; }
	all(test) { return this.children.filter(c => c instanceof Element).flatMap(c => [ ...(test(c) ? [ c ] : []), ...c.all(test) ]); }
	text() { return this.children.map(c => c instanceof Element ? c.text() : String(c)).join(' '); }
}

// runtime makes a fresh world: require('mpproxy.words') gives an instance, as LuCI's loader does.
export function runtime({ status = {}, uci = {}, networks = [], hosts = {}, write = true } = {}) {
	const E = (tag, attributes, children) => {
		if (Array.isArray(attributes) || typeof attributes != 'object' || attributes === null)
			return new Element(tag, {}, attributes ?? []);

		if (attributes instanceof Element)
			throw new Error(`E('${tag}', element) shows nothing in LuCI: put the element into a list`);

		return new Element(tag, attributes, children ?? []);
	};
	const document = { hidden: false, activeElement: null, documentElement: { lang: 'en' }, body: new Element('body'),
		createElementNS: (_ns, tag) => new Element(tag), querySelector: () => null };
	const polls = [], asked = [];
	const L = {
		url: (...p) => '/' + p.join('/'), resolveDefault: (p, d) => Promise.resolve(p).catch(() => d), hasViewPermission: () => write, env: {}
	};
	const cls = base => ({ extend: props => class extends base { constructor(...a) { super(...a); Object.assign(this, props); props.__init__?.apply(this, a); } } });
	// A form that is only built: its sections and options can be looked at.
	const form = { maps: [], Map: class {
		constructor(...of) { this.of = of; this.sections = []; this.save = () => {}; form.maps.push(this); }
		section(kind, type, ...more) {
			const s = { kind, type, more, options: [], tab() {}, option(widget, name, ...of) {
				const o = { widget, name, of, values: [], value(k, v) { o.values.push([ k, v ]); }, depends() {} };

				s.options.push(o);

				return o;
			}, taboption(_tab, ...rest) { return s.option(...rest); } };

			this.sections.push(s);

			return s;
		}
		render() { return Promise.resolve(new Element('div')); }
	} };
	const modules = {
		baseclass: cls(class {}),
		view: cls(class {}),
		dom: { content: (e, c) => e.replaceChildren(...[].concat(c ?? [])) },
		poll: { add: (fn, seconds) => polls.push({ fn, seconds }) },
		rpc: { declare: ({ method }) => (...args) => { asked.push([ method, ...args ]); const a = status[method]; return Promise.resolve(typeof a == 'function' ? a(...args) : a ?? { trouble: 'no_service' }); } },
		ui: { createHandlerFn: (ctx, fn) => typeof fn == 'string' ? () => ctx[fn]() : fn, addNotification() {}, menu: { flushCache() {} } },
		uci: { load: () => Promise.resolve(), sections: (c, t) => (uci[c] ?? []).filter(s => !t || s['.type'] == t), get: (c, s, o) => { const one = uci[c]?.find(x => x['.name'] == s); return o ? one?.[o] ?? null : one ?? null; },
			add: (c, type, name) => { (uci[c] ??= []).push({ '.type': type, '.name': name, '.create': true }); }, set() {}, unset() {} },
		network: { getNetworks: () => Promise.resolve(networks), getHostHints: () => Promise.resolve({ getMACHints: () => Object.keys(hosts).map(m => [ m ]), getIPAddrByMACAddr: m => hosts[m][0], getHostnameByMACAddr: m => hosts[m][1] }), registerProtocol: (name, props) => ({ name, ...props }) },
		form, 'tools.widgets': {}
	};
	const loaded = {};
	const window = { setTimeout: (fn) => setTimeout(fn, 0) };

	function require(name, path) {
		if (modules[name])
			return modules[name];

		if (loaded[name])
			return loaded[name];

		const source = readFileSync(join(RESOURCES, path ?? name.replace(/\./g, '/') + '.js'), 'utf8');
		const wanted = [ ...source.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/gm) ].map(m => [ m[2] ?? m[1].split('.').pop(), require(m[1]) ]);
		const make = new Function('E', '_', 'N_', 'L', 'document', 'window', ...wanted.map(w => w[0]), source);
		const made = make(E, s => s, (n, s, p) => n == 1 ? s : p, L, document, window, ...wanted.map(w => w[1]));

		return loaded[name] = typeof made == 'function' ? new made() : made;
	}

	return { require, document, polls, asked, E, form };
}
