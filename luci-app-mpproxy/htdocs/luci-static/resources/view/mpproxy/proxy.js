'use strict';
'require view';
'require dom';
'require form';
'require uci';
'require ui';
'require mpproxy.api as api';
'require mpproxy.judge as judge';
'require mpproxy.restore as restore';
'require mpproxy.words as words';

const DEFAULT_NAME = 'programs';

const names = type => uci.sections('mpproxy', type).map(s => s['.name']);

return view.extend({
	load() {
		return uci.load('mpproxy').then(() => Promise.all([ api.get('limits', []), api.ask('status'), api.get('secrets', []) ]));
	},

	render([ limits, answer, secrets ]) {
		this.secrets = secrets;
		this.results = {};
		this.head = E('div');
		this.table = E('div');

		if (!names('socks').length)
			uci.add('mpproxy', 'socks', DEFAULT_NAME); /* is written only if something of it is saved */

		const m = judge.hold(new form.Map('mpproxy'));
		const about = _('Programs that can use a SOCKS5 proxy get all connections together for a single download, and reach chosen places over a connection or relay of your choice.');

		this.server(m, limits);
		this.users(m);
		this.routes(m, limits);
		this.relays(m);
		const notice = restore.render();

		this.show(answer);

		return m.render().then(node => {
			api.every(5, () => api.ask('status').then(a => this.show(a)));

			return E('div', [ notice, E('h2', _('Proxy')), E('div', { 'class': 'cbi-map-descr' }, about), this.head, node,
				E('div', { 'class': 'cbi-section' }, [ E('h3', _('Connections now')), this.table ]) ]);
		});
	},

	/* The sentence, with what to type into programs. */
	show(answer) {
		const status = answer.result, p = status?.proxy;

		restore.show(status);

		if (!status) {
			dom.content(this.head, E('p', [ words.badge(api.trouble(answer), 'warning') ]));
			this.table.style.opacity = '.4';
			return;
		}

		this.table.style.opacity = '';

		if (!p?.listen?.length)
			dom.content(this.head, E('p', { 'style': 'font-size:1.15em' }, words.badge(p ? _('The proxy is switched on, and waits for an address of the LAN to listen at.') : _('The proxy is switched off. Switch it on below, and type its address into your programs.'), 'notice')));
		else
			dom.content(this.head, [
				E('p', { 'style': 'font-size:1.15em' }, words.badge([ _('Type this into your programs:'), ' ', ...p.listen.flatMap((a, i) => [ i ? ', ' : '', E('code', { 'style': 'overflow-wrap:anywhere' }, 'SOCKS5 ' + a) ]) ], 'success')),
				E('p', this.sums(p))
			]);

		dom.content(this.table, this.streams(p?.streams || []));
	},

	sums(p) {
		const parts = [ N_(p.clients, '%d connection now', '%d connections now').format(p.clients),
			_('%d since the start: %d over several connections, %d directly').format(p.connects + p.binds + p.associations, p.multipath, p.plain + p.fallbacks) ];

		if (p.fallbacks)
			parts.push(_('of these %d because the server could not be used').format(p.fallbacks));

		if (p.failed)
			parts.push(_('%d failed').format(p.failed));

		if (p.refused_strangers + p.refused_users)
			parts.push(_('%d refused').format(p.refused_strangers + p.refused_users));

		return parts.join(' - ');
	},

	streams(list) {
		if (!list.length)
			return E('p', [ E('em', _('No program uses the proxy now.')) ]);

		const sum = s => s.subflows.reduce((a, k) => a + k.sent_bytes + k.received_bytes, 0);
		const ways = s => s.direct ? _('directly') : s.subflows.map(k => '%s %d %%'.format(k.via, Math.round(100 * (k.sent_bytes + k.received_bytes) / Math.max(1, sum(s)))) + (k.stalled ? ' ' + _('(stalled)') : '')).join(', ');
		const titles = [ _('Device'), _('Destination'), _('Over'), _('Down'), _('Up'), _('Age') ];

		return E('table', { 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles' }, titles.map(t => E('th', { 'class': 'th' }, t))),
			...list.map(s => E('tr', { 'class': 'tr', 'data-stream': '' },
				[ s.client || '-', s.destination || '-', ways(s) || '-', s.direct ? '-' : words.amount(s.received_bytes), s.direct ? '-' : words.amount(s.sent_bytes), words.span(s.age_seconds) ]
					.map((v, i) => E('td', { 'class': 'td', 'data-title': titles[i], 'style': 'overflow-wrap:anywhere' }, v))))
		]);
	},

	server(m, limits) {
		const s = m.section(form.TypedSection, 'socks', _('Who may use it'));

		s.anonymous = true;
		s.addremove = false;
		s.tab('general', _('General'));
		s.tab('advanced', _('Advanced'));

		let o = s.taboption('general', form.Flag, 'enabled', _('Switched on'));

		o.rmempty = false;

		o = s.taboption('general', form.ListValue, 'auth', _('For'));
		o.value('none', _('Everybody in the LAN'));
		o.value('user', _('Users with a password'));
		o.default = 'none';

		if (judge.offers(limits, 'socks', 'transparent', '1'))
			s.taboption('general', form.Flag, 'transparent', _('Without settings'), _('Send web traffic of the devices through it without settings there: that of all devices, or, as soon as there are rules with the target "proxy", what those name.'));

		o = s.taboption('advanced', form.DynamicList, 'listen', _('Listen at'), _('Address and port; empty: the LAN\'s addresses, port 1080. Never reachable from the Internet.'));
		o.placeholder = '192.168.1.1:1080';
		o = s.taboption('advanced', form.DynamicList, 'allow', _('Allowed networks'), _('Empty: the LAN\'s networks.'));
		o.datatype = 'cidr';
		o.placeholder = '192.168.1.0/24';
		[ [ 'udp', _('UDP for programs'), _('Games and calls that go through the proxy need it.') ], [ 'bind', _('Connections from outside'), _('Old file transfers (FTP) ask for them.') ] ].forEach(([ name, title, help ]) => {
			o = s.taboption('advanced', form.Flag, name, title, help);
			o.default = '1';
		});
		o = s.taboption('advanced', form.Value, 'max_connections', _('Most connections'));
		o.datatype = 'range(1,1000000)';
		o.placeholder = '10000';
	},

	/* A password can be written and never read. */
	password(s, kind, help) {
		const o = s.option(form.Value, 'password', _('Password'), help);
		const known = section => this.secrets.includes('%s.%s'.format(kind, section)), word = section => known(section) ? _('is set') : _('is not set');

		o.password = true;
		o.modalonly = true;
		o.cfgvalue = () => '';
		o.renderWidget = function(section, ...args) {
			this.placeholder = known(section) ? _('is set; empty leaves it as it is') : _('is not set');

			return form.Value.prototype.renderWidget.call(this, section, ...args);
		};
		o.remove = () => {};
		o.write = async (section, value) => {
			const answer = await api.ask('secret', '%s.%s'.format(kind, section), value);

			if (answer.result === undefined)
				judge.refuse([ words.sentenceCase(api.trouble(answer)) ]);

			if (!known(section))
				this.secrets.push('%s.%s'.format(kind, section));
		};

		const shown = s.option(form.DummyValue, '_password', _('Password'));

		shown.modalonly = false;
		shown.textvalue = section => E('span', { 'data-password': section }, word(section));
	},

	grid(m, type, title, help, one, placeholder) {
		const s = m.section(form.GridSection, type, title, help);

		s.addremove = true;
		s.nodescriptions = true;
		s.modaltitle = section => one + ' » ' + section;
		judge.dialog(s);
		s.renderSectionAdd = function(...args) {
			const node = form.GridSection.prototype.renderSectionAdd.apply(this, args), input = node.querySelector('input');

			input?.setAttribute('placeholder', placeholder);
			input?.setAttribute('aria-label', placeholder);

			return node;
		};

		const o = s.option(form.Flag, 'enabled', _('Enabled'));

		o.default = '1';
		o.editable = true;

		return s;
	},

	users(m) {
		const s = this.grid(m, 'user', _('Users'), _('They count where the proxy is for users with a password. A password is kept at once; nobody can read it back.'), _('User'), _('Name, such as ann'));

		s.addbtntitle = _('Add a user...');
		this.password(s, 'user');
	},

	routes(m, limits) {
		const s = m.section(form.GridSection, 'route', _('Routes'), _('Which way to which places. What no route names goes directly, over one connection. The narrowest match counts.'));
		const relays = names('relay'), links = names('link');

		s.addremove = true;
		s.sortable = true;
		s.anonymous = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a route...');
		s.modaltitle = () => _('Route');
		judge.dialog(s);

		let o = s.option(form.DummyValue, '_words', _('Route'));

		o.modalonly = false;
		o.textvalue = section => E('span', { 'data-route': section }, words.route(uci.get('mpproxy', section), relays));

		o = s.option(form.DynamicList, 'dest', _('To'), _('A domain with all below it, a network, or * for everything.'));
		o.modalonly = true;
		o.rmempty = false;
		o.placeholder = '*.example.org';

		o = s.option(form.DynamicList, 'dest_port', _('Ports'), _('Empty: all.'));
		o.modalonly = true;
		o.placeholder = '80-443';

		o = s.option(form.ListValue, 'carrier', _('How'));
		[ [ 'auto', _('Over several connections, put together at the server') ], [ 'mptcp', _('The same by the kernel (MPTCP), where both sides have it') ],
			[ 'tunnel', _('Through the tunnel, as everything else') ], [ 'plain', _('Directly, without the server') ]
		].filter(v => judge.offers(limits, 'route', 'carrier', v[0])).forEach(v => o.value(...v));
		o.default = 'auto';
		o.modalonly = true;

		o = s.option(form.DynamicList, 'via', _('Over'), _('Connections and relays, all used at once; empty: every connection. Several relays in a row: nl>us.'));
		links.forEach(l => o.value(l, words.via(l, relays)));
		relays.forEach(r => o.value(r, words.via(r, relays)));
		links.forEach(l => relays.forEach(r => o.value('%s:%s'.format(l, r), words.via('%s:%s'.format(l, r), relays))));
		o.depends({ carrier: 'plain', '!reverse': true });
		o.modalonly = true;

		o = s.option(form.ListValue, 'fallback', _('If that fails'), _('When the server cannot be used.'));
		o.value('direct', _('Directly'));
		o.value('none', _('Not at all'));
		o.default = 'direct';
		o.depends({ carrier: 'plain', '!reverse': true });
		o.modalonly = true;
	},

	relays(m) {
		const s = this.grid(m, 'relay', _('Relays'), _('SOCKS5 servers of others on the way to your server. They see neither what you send nor where it goes in the end.'), _('Relay'), _('Name, such as nl'));

		s.addbtntitle = _('Add a relay...');

		let o = s.option(form.Value, 'address', _('Address'), _('Name or address, and port; 1080 if none is given.'));

		o.rmempty = false;
		o.placeholder = 'relay.example.org:1080';

		o = s.option(form.Value, 'username', _('User'));
		o.modalonly = true;

		this.password(s, 'relay', _('Only with a user.'));

		o = s.option(form.ListValue, 'link', _('Reached over'));
		o.value('', _('any connection'));
		names('link').forEach(l => o.value(l));
		o.default = '';
		o.modalonly = true;

		o = s.option(form.DummyValue, '_test', _('Test'));
		o.modalonly = false;
		o.textvalue = section => E('span', { 'data-relay': section }, [
			E('button', { 'class': 'btn cbi-button', 'disabled': api.mayWrite() ? null : '', 'click': ui.createHandlerFn(this, 'test', section) }, _('Test')), ' ',
			this.results[section] = E('span', { 'aria-live': 'polite' })
		]);
	},

	async test(section) {
		const to = this.results[section];

		dom.content(to, E('em', { 'class': 'spinning' }, _('Asking…')));

		try {
			const job = await api.job('relay', [ section ]), done = job.steps.find(s => s.state == 'ok');

			if (job.error || !done)
				throw new Error(job.error || _('The service gave an answer that makes no sense.'));

			dom.content(to, words.badge(_('reaches the server (%d ms)').format(Math.round(done.ms)), 'success'));
		}
		catch (e) {
			dom.content(to, words.badge(words.sentenceCase(e.message), 'danger'));
		}
	}
});
