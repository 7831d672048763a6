'use strict';
'require view';
'require dom';
'require ui';
'require uci';
'require network';
'require mpproxy.api as api';
'require mpproxy.token as token';
'require mpproxy.words as words';

const DEFAULT_METRIC = 10;
const SPEED_MB = 40; /* as src/portal has it */
const OWN_NAMES = [ 'loopback', 'mpproxy' ];
const PROTOCOLS = { pppoe: 'PPPoE', dhcp: 'DHCP', static: 'static', qmi: 'LTE/5G', mbim: 'LTE/5G', ncm: 'LTE/5G', modemmanager: 'LTE/5G', '3g': '3G', wwan: 'LTE/5G', wireguard: 'WireGuard' };
const METERED = [ 'qmi', 'mbim', 'ncm', 'modemmanager', '3g', 'wwan' ];
const MARKS = { ok: '✔', failed: '✘', note: '!', working: '…' };
const COMMANDS = [ 'sudo apt install ./mpproxy_*.deb', 'sudo mpproxy setup remote', 'sudo mpproxy pair home' ];

/* In which order people care for the steps; several are under way at once. */
const ORDER = [ 'token', 'keys', 'link', 'server', 'addresses', 'written', 'started', 'internet', 'names' ];

const COLOURS = { ok: 'var(--success-color-medium)', failed: 'var(--error-color-medium)', note: 'var(--warn-color-high)' };

const PART = 'margin-top:1.5em';

const mark = state => E('strong', { 'style': 'display:inline-block;width:1.5em;color:%s'.format(COLOURS[state] || 'inherit'), 'aria-hidden': 'true' }, MARKS[state] || '·');
const small = (...children) => E('span', { 'style': 'font-size:.95em' }, children);

const deviceOf = n => n.getL3Device()?.getName() || n.getDevice()?.getName();

/* The first and the last address of a network such as 192.168.1.0/24, as numbers. */
function range(cidr) {
	const [ address, bits ] = cidr.split('/'), size = Math.pow(2, 32 - (bits ?? 32));
	const n = address.split('.').reduce((a, b) => a * 256 + Number(b), 0), first = n - n % size;

	return [ first, first + size - 1 ];
}

const overlaps = (a, b) => {
	const [ r, q ] = [ range(a), range(b) ];

	return r[0] <= q[1] && q[0] <= r[1];
};

/* The networks of a device are one connection: wan and wan6, wwan_4 and wwan_6. */
function connections(networks, lan) {
	const byDevice = {}, home = networks.filter(n => n.getName() == 'lan' || lan.includes(n.getName()));
	const inside = home.map(deviceOf).concat(lan); /* the LAN may be given by its devices */

	for (const n of networks) {
		const device = deviceOf(n);

		if (!device || home.includes(n) || OWN_NAMES.includes(n.getName()) || /^(lo|mpp\d)/.test(device))
			continue;

		const c = byDevice[device] || (byDevice[device] = { device, names: [], v4: [], v6: [], protocols: [], gateway: false, up: false, waiting: false, speed: null, same: false, overlap: '' });

		c.same = c.same || inside.includes(device);
		c.overlap = c.overlap || home.flatMap(h => h.getIPAddrs()).find(h => n.getIPAddrs().some(a => overlaps(a, h))) || '';
		c.waiting = c.waiting || n.isPending();

		c.names.push(n.getName());
		c.v4.push(...n.getIPAddrs().map(a => a.split('/')[0]));
		c.v6.push(...n.getIP6Addrs().map(a => a.split('/')[0]).filter(a => !/^f[cde]/i.test(a)));
		c.protocols.push(n.getProtocol());
		c.gateway = c.gateway || !!(n.getGatewayAddr() || n.getGateway6Addr());
		c.up = c.up || n.isUp();
		c.speed = c.speed || n.getL3Device()?.getSpeed?.();
	}

	return Object.values(byDevice).map(c => {
		c.name = c.names.slice().sort((a, b) => a.length - b.length || (a < b ? -1 : 1))[0];

		return c;
	}).sort((a, b) => (!!obstacle(a) - !!obstacle(b)) || (b.gateway - a.gateway) || (a.name < b.name ? -1 : 1));
}

/* Why a connection cannot be ticked, or ''. */
function obstacle(c) {
	if (c.same)
		return _('is the same as the LAN');

	if (c.overlap)
		return _('has the same addresses as the LAN (%s): change one of the two').format(c.overlap);

	if (!c.up && !c.waiting)
		return _('is down');

	if (!c.v4.length && !c.v6.length)
		return _('has no address');

	if (!c.gateway)
		return _('leads to no Internet: it has no gateway');

	return '';
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return Promise.all([ network.getNetworks(), uci.load('mpproxy'), L.resolveDefault(uci.load('firewall')), L.resolveDefault(uci.load('mwan3')) ]);
	},

	render([ networks ]) {
		this.paired = uci.sections('mpproxy', 'remote').filter(r => r.public_key && r.enabled != '0');
		this.list = connections(networks, [].concat(uci.get('mpproxy', 'main', 'lan') || 'lan'));

		return E('div', { 'class': 'cbi-map' }, [
			E('h2', this.paired.length ? _('Set-up') : _('Make several Internet connections one')),
			this.paired.length ? E('div', { 'class': 'alert-message notice' }, [
				E('p', _('This router is paired with %s. A token of another server, or a new one of the same, pairs it again.').format(this.paired.map(r => r['.name']).join(', ')))
			]) : '',
			E('p', this.paired.length ? '' : _('Your devices go on as they are. What they send goes over all connections at once to your server, and from there to the Internet.')),
			this.notices(),
			E('div', { 'class': 'cbi-section' }, [ E('h3', '1. ' + _('Paste the token your server printed')), this.tokenBox() ]),
			E('div', { 'class': 'cbi-section', 'style': PART }, [ E('h3', '2. ' + _('Tick the connections to use')), this.choices() ]),
			E('div', { 'class': 'cbi-section', 'style': PART }, [ E('h3', '3. ' + _('Start')), this.startBox() ]),
			this.paired.length ? E('div', { 'class': 'cbi-section', 'style': PART }, [ E('h3', _('Speed')), this.speedButton(), this.speed ]) : ''
		]);
	},

	notices() {
		const list = [];

		if (uci.sections('mwan3', 'interface').some(i => i.enabled == '1'))
			list.push([ _('mwan3 is running. It goes on to decide for what its own rules name; what they do not name goes through this.'),
				E('a', { 'class': 'btn cbi-button', 'href': L.url('admin/network/mwan3') }, _('Show its rules')) ]);

		if (uci.sections('firewall', 'defaults').some(d => d.flow_offloading_hw == '1'))
			list.push([ _('Hardware offloading is on. What goes through the tunnel is not offloaded and not harmed; counters of other traffic may be wrong.'),
				E('a', { 'class': 'btn cbi-button', 'href': L.url('admin/network/firewall') }, _('Show the firewall')) ]);

		return E('div', list.map(([ text, button ]) => E('div', { 'class': 'alert-message notice' }, [ E('p', text), button ])));
	},

	tokenBox() {
		this.token = E('textarea', {
			'id': 'token', 'rows': 4, 'class': 'cbi-input-textarea', 'spellcheck': 'false', 'autocomplete': 'off', 'aria-describedby': 'verdict', 'placeholder': 'mpp1:…',
			'style': 'width:100%;box-sizing:border-box;font-family:monospace', 'input': () => this.judge(), 'disabled': api.mayWrite() ? null : ''
		});
		this.verdict = E('p', { 'id': 'verdict', 'aria-live': 'polite', 'style': 'min-height:1.5em;margin:.4em 0' });

		return E('div', [ this.token, this.verdict, E('details', [
			E('summary', _('I have no server yet')),
			E('p', _('Any small Linux server with a public address will do. Run these there; the last one prints the token:')),
			...COMMANDS.map(c => E('div', { 'style': 'display:flex;gap:.5em;align-items:center;margin:.3em 0' }, [
				E('code', { 'style': 'flex:1;overflow-wrap:anywhere' }, c),
				E('button', { 'class': 'btn cbi-button', 'click': ev => this.copy(ev, c) }, _('Copy'))
			]))
		]) ]);
	},

	copy(ev, command) {
		const button = ev.currentTarget, area = E('textarea', { 'style': 'position:fixed;opacity:0' }, command);

		ev.preventDefault();
		document.body.appendChild(area);
		area.select();
		document.execCommand('copy'); /* the newer way needs https, which few routers have */
		area.remove();
		button.textContent = _('Copied');
		window.setTimeout(() => { button.textContent = _('Copy'); }, 2000);
	},

	judge() {
		const j = token.judge(this.token.value);

		this.good = !!j.ok;
		dom.content(this.verdict, j.error ? [ mark('failed'), j.error ] : j.ok ? [ mark('ok'), _('Server %s, valid token').format(j.server) ] : '');
		this.update();
	},

	choices() {
		const known = uci.sections('mpproxy', 'link');

		this.rows = this.list.map(c => {
			const why = obstacle(c), before = known.find(l => c.names.includes(l.interface) || l.interface == c.device);
			const metered = before ? before.metered == '1' : c.protocols.some(p => METERED.includes(p));
			const row = {
				c, why,
				tick: E('input', { 'type': 'checkbox', 'id': 'use-' + c.name, 'change': () => this.update() }),
				use: E('select', { 'class': 'cbi-input-select', 'aria-label': _('When to use %s').format(c.name) }, [
					E('option', { 'value': 'always' }, _('Always')), E('option', { 'value': 'overflow' }, _('When the others are full')),
					E('option', { 'value': 'backup' }, _('Only when the others are down'))
				]),
				metered: E('input', { 'type': 'checkbox', 'id': 'metered-' + c.name })
			};

			row.tick.disabled = !!why || !api.mayWrite();
			row.tick.checked = !why && (!this.paired.length || !before || before.enabled != '0');
			row.metered.checked = metered;
			row.use.value = (before && +before.metric) ? (before.overflow == '1' ? 'overflow' : 'backup') : 'always';

			return row;
		});

		if (!this.rows.length)
			return E('p', [ E('em', _('This router has no interface beside its LAN. Add connections on the page "Interfaces".')) ]);

		return E('table', { 'class': 'table cbi-section-table' }, [
			E('tr', { 'class': 'tr table-titles' }, [ _('Connection'), _('Addresses'), _('Use'), '' ].map(t => E('th', { 'class': 'th' }, t))),
			...this.rows.map(r => this.choice(r))
		]);
	},

	choice({ c, why, tick, use, metered }) {
		const kinds = [ c.v4.length ? 'IPv4' : '', c.v6.length ? 'IPv6' : '' ].filter(k => k).join(' + ');
		const protocol = c.protocols.map(p => PROTOCOLS[p]).find(p => p);
		const facts = [ protocol, c.device, c.speed > 0 ? _('%d Mbit/s link').format(c.speed) : '' ].filter(f => f).join(', ');

		return E('tr', { 'class': 'tr cbi-section-table-row', 'style': why ? 'opacity:.6' : '' }, [
			E('td', { 'class': 'td', 'data-title': _('Connection') }, E('label', { 'for': 'use-' + c.name }, [ tick, ' ', E('strong', c.name), ' ', small('(%s)'.format(facts)) ])),
			E('td', { 'class': 'td', 'data-title': _('Addresses') }, why ? E('em', why) : [ c.v4[0] || c.v6[0], E('br'), small(kinds) ]),
			E('td', { 'class': 'td', 'style': why ? '' : 'flex-basis:100%', 'data-title': why ? null : _('Use') }, why ? '' : use),
			E('td', { 'class': 'td' }, why ? '' : E('label', { 'for': 'metered-' + c.name, 'style': 'white-space:nowrap' }, [ metered, ' ', _('pays per gigabyte') ]))
		]);
	},

	chosen() {
		return this.rows.filter(r => r.tick.checked);
	},

	startBox() {
		this.button = E('button', { 'class': 'btn cbi-button cbi-button-apply important', 'click': ui.createHandlerFn(this, 'start') }, _('Start'));
		this.undo = E('button', { 'class': 'btn cbi-button', 'style': 'display:none', 'click': ui.createHandlerFn(this, 'back') }, _('Undo'));
		this.hint = E('p');
		this.steps = E('ul', { 'aria-live': 'polite', 'style': 'list-style:none;margin:.5em 0;padding:0' });
		this.result = E('div');
		this.update();

		return E('div', [ this.hint, this.steps, this.result, E('div', { 'class': 'right' }, [ this.undo, ' ', this.button ]) ]);
	},

	/* Says what is missing before it can start. */
	update() {
		if (!this.button)
			return;

		let missing = '';

		if (!api.mayWrite())
			missing = _('You may look at this page, but not change anything.');
		else if (!this.good)
			missing = _('Paste a valid token first.');
		else if (!this.chosen().length)
			missing = _('Tick at least one connection.');
		else if (this.chosen().length == 1)
			missing = _('One connection works, but there is nothing to join yet.');

		this.button.disabled = !api.mayWrite() || !this.good || !this.chosen().length;
		dom.content(this.hint, missing);
	},

	async start() {
		const links = this.chosen().map(r => ({
			name: r.c.name, interface: r.c.name, metric: r.use.value == 'always' ? 0 : DEFAULT_METRIC,
			overflow: r.use.value == 'overflow', metered: r.metered.checked
		}));

		dom.content(this.result, '');
		dom.content(this.steps, '');
		dom.content(this.hint, '');

		try {
			const job = await api.job('join', [ this.token.value, '', links ], j => this.showSteps(j));

			this.finished(job);
		}
		catch (e) {
			dom.content(this.result, E('div', { 'class': 'alert-message danger' }, words.sentenceCase(e.message)));
		}
	},

	/* What a step is in the reader's language; what a server said is shown as it is. */
	stepText(s) {
		if (s.state == 'failed')
			return words.sentenceCase(s.text);

		switch (s.id) {
		case 'token':     return _('The token is good.');
		case 'keys':      return _('Keys made.');
		case 'server':    return s.state == 'working' ? _('Asking the server…') : _('The server knows this router now.');
		case 'link':      return s.state == 'ok' ? _('The server answers over %s (%d ms).').format(s.link, Math.round(s.ms)) : words.sentenceCase(s.text);
		case 'addresses': return s.addresses?.length ? _('Addresses received: %s.').format(s.addresses.join(', ')) : _('Addresses received.');
		case 'written':   return _('Settings saved.');
		case 'started':   return s.state == 'working' ? _('Starting the service…') : _('The service runs and is connected.');
		case 'internet':  return s.state == 'working' ? _('Looking for the Internet through the server…') : (s.state == 'ok' ? _('The Internet works through the server.') : words.sentenceCase(s.text));
		case 'names':     return s.state == 'ok' ? _('The name service works through the server.') : words.sentenceCase(s.text);
		default:          return words.sentenceCase(s.text);
		}
	},

	showSteps(job) {
		const order = s => ORDER.indexOf(s.id);

		dom.content(this.steps, job.steps.slice().sort((a, b) => order(a) - order(b)).map(s => E('li', { 'data-step': s.id + (s.link ? '-' + s.link : ''), 'data-state': s.state, 'style': 'padding:.15em 0;color:var(--text-color-high)' }, [
			mark(s.state),
			E('span', { 'class': s.state == 'working' && !job.done ? 'spinning' : '' }, this.stepText(s))
		])));
	},

	finished(job) {
		const written = job.steps.some(s => s.id == 'written' && s.state == 'ok');

		this.undo.style.display = written ? '' : 'none';
		ui.menu.flushCache(); /* there are more pages now */

		if (job.error) {
			dom.content(this.result, E('div', { 'class': 'alert-message danger' }, [
				E('h4', _('That did not work')), E('p', words.sentenceCase(job.error) + '.'),
				E('p', written ? _('"Undo" puts the settings back as they were.') : _('Nothing was changed. Correct it above and press "Start" again.'))
			]));

			return;
		}

		dom.content(this.result, E('div', { 'class': 'alert-message notice', 'data-done': '' }, [
			E('h4', [ mark('ok'), _('Done') ]), E('p', _('Your connections are one now.')),
			E('a', { 'class': 'btn cbi-button cbi-button-action', 'href': L.url('admin/network/mpproxy/overview') }, _('Show the overview')), ' ',
			this.speedButton(), this.speed
		]));
	},

	/* A speed test costs data, so that it is made only when somebody asks for it. */
	speedButton() {
		const metered = uci.sections('mpproxy', 'link').filter(l => l.metered == '1' && l.enabled != '0').map(l => l['.name'])
			.concat(this.rows.filter(r => r.tick.checked && r.metered.checked).map(r => r.c.name)).filter((n, i, all) => all.indexOf(n) == i);

		this.speed = E('div', { 'id': 'speed', 'aria-live': 'polite' }, E('p', [
			_('A test uses up to %d MB.').format(SPEED_MB), ' ',
			metered.length ? N_(metered.length, '%s pays per gigabyte.', '%s pay per gigabyte.').format(metered.join(', ')) : ''
		]));

		return E('button', { 'class': 'btn cbi-button', 'disabled': api.mayWrite() ? null : '', 'click': ui.createHandlerFn(this, 'measure') }, _('Measure the speed'));
	},

	async measure() {
		const show = steps => {
			const all = id => steps.find(s => s.id == id && !s.link);
			const line = (id, title) => all(id) ? E('p', [
				E('strong', { 'class': all(id).state == 'working' ? 'spinning' : '' }, '%s: %s'.format(title, words.rate(all(id).bits_per_second))), ' ',
				steps.filter(s => s.id == id && s.link && s.bits_per_second).sort((a, b) => a.link < b.link ? -1 : 1).map(s => '%s %s'.format(s.link, words.rate(s.bits_per_second))).join(' + ')
			]) : '';
			const used = steps.find(s => s.id == 'used');

			dom.content(this.speed, [ line('down', _('Your connection now, down')), line('up', _('Up')), used ? E('p', [ small(_('%s used.').format(words.amount(used.bytes))) ]) : '' ]);
		};

		try {
			const job = await api.job('speed', [], j => show(j.steps));

			if (job.error)
				throw new Error(job.error);
		}
		catch (e) {
			dom.content(this.speed, E('p', [ mark('failed'), words.sentenceCase(e.message) ]));
		}
	},

	async back() {
		try {
			const job = await api.job('undo', []);

			if (job.error)
				throw new Error(job.error);

			ui.menu.flushCache();
			dom.content(this.steps, '');
			dom.content(this.result, E('div', { 'class': 'alert-message notice' }, _('The settings are as they were before.')));
			this.undo.style.display = 'none';
		}
		catch (e) {
			dom.content(this.result, E('div', { 'class': 'alert-message danger' }, words.sentenceCase(e.message)));
		}
	}
});
