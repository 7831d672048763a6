// A stand-in for uhttpd, the dispatcher and rpcd: serves LuCI's own files out of a checkout with our pages over them, and
// speaks LuCI's JSON-RPC. It refuses what the shipped ACL files do not list. Behind it are real UCI files and the real
// control socket of mpproxy.
import { createServer } from 'node:http';
import { createConnection } from 'node:net';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { Staged } from './uci.mjs';
import { readCatalog } from './i18n.mjs';

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png' };
const CACHE = '/tmp/luci-indexcache.mpproxy-test.json';
const LIMIT = 300; // milliseconds for the control socket, as in the rpcd plugin
const OK = 0, INVALID = 2, NOT_FOUND = 4, NO_DATA = 5;

// Of the boxes on the status page, those that need no more of a router than there is here.
const INCLUDES = name => !/^\d\d_/.test(name) || /mpproxy|_system|_memory/.test(name);

const json = path => JSON.parse(readFileSync(path, 'utf8'));

// ask is what root/usr/share/rpcd/ucode/luci.mpproxy.uc does at a socket.
export function ask(path, request) {
	return new Promise(resolve => {
		const s = createConnection(path);
		let buf = '';
		const end = answer => { clearTimeout(timer); s.destroy(); resolve(answer); };
		const timer = setTimeout(() => end({ trouble: 'timeout' }), LIMIT);

		s.on('error', () => end({ trouble: 'no_service' }));
		s.on('connect', () => s.write(JSON.stringify(request) + '\n'));
		s.on('data', d => { buf += d; });
		s.on('end', () => {
			try { end(JSON.parse(buf)); }
			catch { end({ trouble: 'bad_answer' }); }
		});
	});
}

export class Backend {
	// o: luci (checkout), app (our folder), uci (directory), socket, assist (socket), fixtures, apply (called after files were written)
	constructor(o) {
		Object.assign(this, o);
		this.sessions = {};
		rmSync(CACHE, { force: true });
		this.refused = [];
		this.answers = [];
		this.asked = [];
		this.dead = false;
		this.acls = Object.assign({}, ...[ join(this.luci, 'modules/luci-base/root/usr/share/rpcd/acl.d'), join(this.luci, 'modules/luci-mod-status/root/usr/share/rpcd/acl.d'),
			join(this.app, 'root/usr/share/rpcd/acl.d') ].flatMap(d => readdirSync(d).map(f => json(join(d, f)))));
		this.menu = json(join(this.app, 'root/usr/share/luci/menu.d/luci-app-mpproxy.json'));
	}

	// login makes a session; a viewer has read rights only.
	login(id, { write = true, lang = 'en', dark = null } = {}) {
		this.sessions[id] = { write, lang, dark, uci: new Staged(this.uci) };
	}

	allowed(session, scope, object, method) {
		const match = (pattern, s) => pattern == s || pattern == '*' || pattern.endsWith('*') && s.startsWith(pattern.slice(0, -1));

		return Object.values(this.acls).some(group => [ 'read', ...(session.write ? [ 'write' ] : []) ].some(right => {
			const rules = group[right]?.[scope];

			if (Array.isArray(rules)) // uci: ["name"] grants the right it stands in
				return right == method && rules.some(p => match(p, object));

			return Object.entries(rules ?? {}).some(([ p, methods ]) => match(p, object) && methods.some(m => match(m, method)));
		}));
	}

	async call(session, object, method, args) {
		const deny = () => { this.refused.push(`${object}.${method} ${args.config ?? ''}`.trim()); return null; };

		if (object == 'session' && method == 'access')
			return [ OK, { access: this.allowed(session, args.scope, args.object, args.function) } ];

		if (!this.allowed(session, 'ubus', object, method) && !(object == 'uci' && [ 'confirm', 'changes' ].includes(method)))
			return deny();

		if (object == 'uci' && args.config && !this.allowed(session, 'uci', args.config, method == 'get' ? 'read' : 'write'))
			return deny();

		switch (object) {
		case 'uci':          return this.uciCall(session, method, args);
		case 'luci.mpproxy': return [ OK, await this.mpproxy(method, args) ];
		case 'file':         return this.fileCall(method, args);
		}

		const fixture = this.fixtures[`${object}.${method}`];

		return fixture ? [ OK, typeof fixture == 'function' ? fixture() : fixture ] : [ NOT_FOUND ];
	}

	uciCall(session, method, args) {
		const u = session.uci;

		switch (method) {
		case 'get': {
			const values = u.get(args.config);

			return values ? [ OK, { values } ] : [ NOT_FOUND ];
		}
		case 'set':     return [ u.set(args) ? OK : NOT_FOUND ];
		case 'add':     return [ OK, { section: u.add(args) } ];
		case 'delete':  return [ u.remove(args) ? OK : NOT_FOUND ];
		case 'order':   u.order(args); return [ OK ];
		case 'changes': return [ OK, { changes: u.changed } ];
		case 'apply':   this.apply?.(u.apply()); return [ OK ];
		case 'confirm': return [ OK ];
		}

		return [ INVALID ];
	}

	fileCall(method, args) {
		if (method != 'list')
			return [ NOT_FOUND ];

		const path = this.file(args.path.replace(/^\/www/, ''), true);

		return path.length ? [ OK, { entries: path.flatMap(p => readdirSync(p)).filter(INCLUDES).map(name => ({ name, type: 'file' })) } ] : [ NOT_FOUND ];
	}

	async mpproxy(method, args) {
		const job = (name, text) => this.anybody({ cmd: 'job', action: 'start', name, text });

		this.asked.push(method);

		if (this.dead)
			return { trouble: this.dead };

		switch (method) {
		case 'status': case 'ring': case 'events': return ask(this.socket, { cmd: method });
		case 'limits': return this.anybody({ cmd: 'limits' });
		case 'poll':   return ask(args.id.startsWith('assist-') ? this.assist : this.socket, { cmd: 'job', action: 'poll', name: args.id });
		case 'join':   return job('join', JSON.stringify({ token: args.token, name: args.name, links: args.links }));
		case 'undo':   return job('undo', '');
		case 'check':  return job('check', args.text);
		case 'restore': return job('restore', '');
		case 'speed':  return job('speed', '');
		case 'relay':  return job('relay', args.name);
		case 'secrets': return this.anybody({ cmd: 'secret', action: 'list' });
		case 'secret': return this.anybody({ cmd: 'secret', action: 'set', name: args.name, text: args.password });
		case 'link':   return ask(this.socket, { cmd: 'link', link: args.name, action: args.action });
		}

		return { trouble: 'bad_method' };
	}

	async anybody(request) {
		const answer = await ask(this.socket, request);

		return answer.trouble == 'no_service' ? ask(this.assist, request) : answer;
	}

	// file finds what a path of the web server stands for: ours first, then LuCI's; all directories if many.
	file(path, many) {
		const clean = normalize(path).replace(/^(\.\.\/)+/, '');
		const places = [ join(this.app, 'htdocs'), ...[ 'modules/luci-base', 'modules/luci-mod-status', 'modules/luci-mod-network', 'themes/luci-theme-bootstrap' ]
			.map(m => join(this.luci, m, 'htdocs')) ].map(d => join(d, clean));

		return many ? places.filter(p => existsSync(p) && statSync(p).isDirectory()) : places.find(p => existsSync(p) && statSync(p).isFile());
	}

	// satisfied is the dispatcher's check of a menu node. It is made once, and kept in a file, as LuCI does.
	satisfied(path, node) {
		const kept = existsSync(CACHE) ? json(CACHE) : {};

		kept[path] ??= this.depends(node);
		writeFileSync(CACHE, JSON.stringify(kept));

		return kept[path];
	}

	depends(node) {
		const mpproxy = new Staged(this.uci).load('mpproxy') ?? [];

		return Object.entries(node.depends?.uci?.mpproxy ?? {}).every(([ kind, want ]) => mpproxy.some(s => '@' + s.type == kind && Object.keys(want).every(o => o in s.options)));
	}

	tree(session) {
		const root = { children: {} };
		const add = (path, node) => {
			let at = root;

			for (const part of path.split('/'))
				at = at.children[part] ??= { children: {}, satisfied: true, title: part, action: { type: 'firstchild' } }, at.children ??= {};

			Object.assign(at, node);
		};

		add('admin/status/overview', { title: 'Overview', order: 1, satisfied: true, action: { type: 'view', path: 'status/index' } });

		for (const [ path, node ] of Object.entries(this.menu))
			add(path, { ...node, satisfied: this.satisfied(path, node), readonly: !session.write });

		return root;
	}

	page(session, id, path) {
		const nodes = path.split('/');
		const node = nodes.reduce((n, p) => n?.children?.[p], this.tree(session));

		if (!node?.satisfied || node.action?.type != 'view')
			return null;

		const catalog = session.lang == 'en' ? {} : readCatalog(join(this.app, 'po', session.lang, 'mpproxy.po'), session.lang);
		const env = {
			media: '/luci-static/bootstrap', resource: '/luci-static/resources', scriptname: '/cgi-bin/luci', pathinfo: '/' + path, documentroot: '/www',
			requestpath: nodes, dispatchpath: nodes, pollinterval: 5, ubuspath: '/ubus/', sessionid: id, token: 'x', nodespec: node,
			apply_rollback: 90, apply_holdoff: 1, apply_timeout: 5, apply_display: 1.5
		};

		return `<!DOCTYPE html><html lang="${session.lang}"${session.dark === null ? '' : ` data-darkmode="${session.dark}"`}><head><meta charset="utf-8"><title>test</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/luci-static/bootstrap/cascade.css">
<link rel="stylesheet" media="only screen and (max-device-width: 854px)" href="/luci-static/bootstrap/mobile.css">
<link rel="icon" href="data:,"><script>window.TR = {};</script><script src="/luci-static/resources/cbi.js"></script>
<script>for (const [ k, v ] of Object.entries(${JSON.stringify(catalog).replace(/</g, '\\u003c')})) window.TR[sfh(k)] = v;</script></head>
<body class="lang_${session.lang}" data-page="${nodes.join('-')}"><header><a class="brand" href="/">OpenWrt</a><ul class="nav" id="topmenu" style="display:none"></ul><div id="indicators" class="pull-right"></div></header>
<div id="maincontent" class="container"><div id="tabmenu" style="display:none"></div>
<script src="/luci-static/resources/luci.js"></script><script>L = new LuCI(${JSON.stringify(env)});</script>
<div id="view"><div class="spinning">Loading view…</div><script>L.require('ui').then(ui => ui.instantiateView('${node.action.path}'));</script></div>
</div><footer><ul class="breadcrumb pull-right" id="modemenu" style="display:none"></ul></footer><script>L.require('menu-bootstrap')</script></body></html>`;
	}

	async rpc(text) {
		const one = async message => {
			if (message.method == 'list')
				return { jsonrpc: '2.0', id: message.id, result: {} };

			const [ sid, object, method, args ] = message.params;
			const session = this.sessions[sid];
			const result = session ? await this.call(session, object, method, args ?? {}) : null;

			if (!result)
				return { jsonrpc: '2.0', id: message.id, error: { code: -32002, message: 'Access denied' } };

			this.answers.push(JSON.stringify(result));

			return { jsonrpc: '2.0', id: message.id, result };
		};
		const messages = JSON.parse(text);

		return Array.isArray(messages) ? Promise.all(messages.map(one)) : one(messages);
	}

	async serve(req, res) {
		const url = new URL(req.url, 'http://x');
		const id = /sid=(\w+)/.exec(req.headers.cookie ?? '')?.[1];
		const session = this.sessions[id];
		const send = (code, type, body) => { res.writeHead(code, { 'content-type': type, 'cache-control': 'no-store' }); res.end(body); };

		if (url.pathname.startsWith('/ubus')) {
			let body = '';

			for await (const part of req)
				body += part;

			return send(200, 'application/json', JSON.stringify(await this.rpc(body)));
		}

		if (url.pathname == '/cgi-bin/cgi-exec')
			return send(200, 'text/plain', '');

		if (url.pathname.startsWith('/cgi-bin/luci/admin/uci/') && session?.write) { // the dispatcher's own way of applying
			const action = url.pathname.split('/').pop();

			if (action != 'confirm')
				this.apply?.(session.uci.apply());

			return action == 'apply_rollback' ? send(200, 'application/json', '{"token":"x"}') : send(200, 'application/json', '{}');
		}

		if (url.pathname.startsWith('/cgi-bin/luci/') && session) {
			const path = url.pathname.slice('/cgi-bin/luci/'.length);

			if (path == 'admin/menu')
				return send(200, 'application/json', JSON.stringify(this.tree(session)));

			const page = this.page(session, id, path);

			return page ? send(200, 'text/html', page) : send(404, 'text/plain', 'no such page');
		}

		const file = this.file(url.pathname);

		return file ? send(200, TYPES[extname(file)] ?? 'application/octet-stream', readFileSync(file)) : send(404, 'text/plain', 'no such file');
	}

	listen() {
		return new Promise(resolve => {
			this.server = createServer((req, res) => this.serve(req, res).catch(e => { res.writeHead(500); res.end(String(e.stack)); }));
			this.server.listen(0, '127.0.0.1', () => resolve(this.server.address().port));
		});
	}

	close() {
		rmSync(CACHE, { force: true });
		this.server.closeAllConnections();
		this.server.close();
	}
}

export { NO_DATA };
