'use strict';
'require view';
'require form';
'require uci';
'require network';
'require tools.widgets as widgets';
'require mpproxy.api as api';
'require mpproxy.judge as judge';
'require mpproxy.restore as restore';
'require mpproxy.words as words';

/* Metrics as people think of them. Connections that are used together have the same metric. */
const METRIC_NEXT = '10';

const MEGABYTE = 1e6;

const useOf = section => {
	if (!+uci.get('mpproxy', section, 'metric'))
		return 'always';

	return uci.get('mpproxy', section, 'overflow') == '1' ? 'overflow' : 'backup';
};

const useWords = () => ({ always: _('Always'), overflow: _('When the others are full'), backup: _('Only when the others are down') });

return view.extend({
	load() {
		return Promise.all([ uci.load('mpproxy'), api.get('limits', []), api.ask('status'), network.getNetworks() ]);
	},

	render([ , limits, answer ]) {
		this.status = answer.result;

		const m = judge.hold(new form.Map('mpproxy', _('Connections'),
			_('The Internet connections that are used together. Their order is that in which they are shown; removing one leaves the others running.')));

		const s = m.section(form.GridSection, 'link');

		s.addremove = true;
		s.sortable = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a connection...');
		s.modaltitle = section => _('Connection') + ' » ' + section;
		judge.dialog(s);
		s.renderSectionAdd = function(...args) {
			const node = form.GridSection.prototype.renderSectionAdd.apply(this, args);

			node.querySelector('input')?.setAttribute('placeholder', _('Name, such as dsl'));

			return node;
		};
		s.tab('general', _('General'));

		const capped = judge.offers(limits, 'link', 'cap_mb', '1');

		if (capped)
			s.tab('cap', _('Data cap'));

		s.tab('limits', _('Limits'));
		s.tab('advanced', _('Advanced'));
		this.general(s);
		this.state(s, capped);

		if (capped)
			this.cap(s);

		this.limits(s);
		this.advanced(s, limits);

		const notice = restore.render();

		return m.render().then(node => {
			api.every(5, () => api.ask('status').then(a => this.refresh(node, a.result)));

			restore.show(this.status);

			return E('div', [ notice, node ]);
		});
	},

	general(s) {
		let o = s.taboption('general', form.Flag, 'enabled', _('Enabled'));

		o.default = '1';
		o.rmempty = true;
		o.editable = true;

		o = s.taboption('general', widgets.NetworkSelect, 'interface', _('Interface'),
			_('An interface of the page "Interfaces"; all its addresses, of IPv4 and IPv6, are used.'));
		o.rmempty = false;
		o.nocreate = true;
		o.exclude = 'mpproxy';
		o.validate = (section, value) => this.unique(section, value);

		o = s.taboption('general', form.ListValue, 'use', _('Use'));
		Object.entries(useWords()).forEach(([ k, v ]) => o.value(k, v));
		o.default = 'always';
		o.cfgvalue = useOf;
		o.textvalue = section => useWords()[useOf(section)];
		o.write = (section, value) => {
			const metric = uci.get('mpproxy', section, 'metric');

			uci.set('mpproxy', section, 'metric', value == 'always' ? '0' : (+metric ? metric : METRIC_NEXT));

			if (value == 'overflow')
				uci.set('mpproxy', section, 'overflow', '1');
			else
				uci.unset('mpproxy', section, 'overflow');
		};
		o.remove = () => {};

		o = s.taboption('general', form.Flag, 'metered', _('Pays per gigabyte'), _('Few measurements, no second copies and no speed tests go over it unasked.'));
		o.modalonly = true;

		o = s.taboption('general', form.Flag, 'duplicate', _('Carries second copies'), _('What is sent twice, such as calls, may use it, too; that is paid per gigabyte.'));
		o.depends('metered', '1');
		o.modalonly = true;
	},

	unique(section, value) {
		if (!value)
			return _('Choose an interface.');

		const other = uci.sections('mpproxy', 'link').find(l => l['.name'] != section && l.interface == value && l.enabled != '0');

		return other ? _('This interface is that of "%s" already; each connection has its own.').format(other['.name']) : true;
	},

	/* The columns that show how it is now. */
	state(s, capped) {
		let o = s.option(form.DummyValue, '_state', _('Now'));

		o.modalonly = false;
		o.textvalue = section => E('span', { 'data-state': section }, this.stateNode(section));

		o = s.option(form.DummyValue, '_rate', _('Speed'));
		o.modalonly = false;
		o.textvalue = section => E('span', { 'data-rate': section }, this.rateText(section));

		if (capped) {
			o = s.option(form.DummyValue, '_cap', _('Data cap'));
			o.modalonly = false;
			o.textvalue = section => E('span', { 'data-cap': section }, this.capText(section));
		}
	},

	stateNode(section) {
		const l = words.links(this.status).find(k => k.name == section);
		const [ word, kind ] = l ? words.state(l.state) : [ _('not in use yet'), 'notice' ];

		return words.badge(word, kind);
	},

	rateText(section) {
		const p = words.links(this.status).find(k => k.name == section)?.path;

		return p ? '↓ %s  ↑ %s'.format(words.rate(p.down_bits_per_second), words.rate(p.up_bits_per_second)) : '-';
	},

	capOf(section) {
		return (this.status?.links || []).find(k => k.name == section)?.cap;
	},

	capText(section) {
		const cap = this.capOf(section);

		return cap ? words.share(cap) : '-';
	},

	refresh(node, status) {
		this.status = status || this.status;
		restore.show(status);
		node.style.opacity = '';
		node.querySelectorAll('[data-state]').forEach(e => e.replaceChildren(status
			? this.stateNode(e.getAttribute('data-state')) : E('em', _('no answer from the service'))));
		node.querySelectorAll('[data-rate]').forEach(e => e.replaceChildren(status ? this.rateText(e.getAttribute('data-rate')) : '-'));
		node.querySelectorAll('[data-cap]').forEach(e => e.replaceChildren(this.capText(e.getAttribute('data-cap'))));
	},

	cap(s) {
		const capOf = section => this.capOf(section); /* a dialog works on copies of these options */
		const option = (type, name, ...args) => {
			const o = s.taboption('cap', type, name, ...args);

			o.modalonly = true;

			return o;
		};
		let o = option(form.Value, 'cap_mb', _('Amount'), _('Megabytes in one period (1000 are a gigabyte); empty or 0 is no cap. Everything counts that goes over the interface, also past the bond.'));

		o.datatype = 'uinteger';
		o.placeholder = '0';

		o = option(form.ListValue, 'cap_count', _('Counts'));
		o.value('both', _('Down and up'));
		o.value('down', _('Down only'));
		o.value('up', _('Up only'));
		o.default = 'both';

		o = option(form.ListValue, 'cap_period', _('Period'));
		o.value('month', _('Month'));
		o.value('week', _('Week'));
		o.value('day', _('Day'));
		o.default = 'month';

		o = option(form.Value, 'cap_day', _('Begins on day'), _('Of the month (1-31) or of the week (1 is Monday).'));
		o.datatype = 'range(1,31)';
		o.placeholder = '1';
		o.depends({ cap_period: 'day', '!reverse': true });

		o = option(form.Value, 'cap_warn', _('Warn at'), _('Per cent of the amount.'));
		o.datatype = 'range(1,100)';
		o.placeholder = '80';

		o = option(form.ListValue, 'cap_action', _('Then'), _('If it is not used any more and no other connection works, the devices go directly, over whichever connection the router takes.'));
		o.value('stop', _('Stop using it'));
		o.value('slow', _('Slow it down'));
		o.value('warn', _('Only warn'));
		o.default = 'stop';

		o = option(form.Value, 'cap_rate', _('Slow down to'), _('kbit/s'));
		o.datatype = 'uinteger';
		o.placeholder = '256';
		o.depends('cap_action', 'slow');

		o = option(form.Value, 'cap_used_mb', _('Already used'), _('Megabytes used in this period so far, as your provider says; empty leaves what was counted here.'));
		o.datatype = 'uinteger';
		o.cfgvalue = () => '';
		o.renderWidget = function(section, ...args) {
			const cap = capOf(section);

			this.placeholder = cap ? _('%d counted').format(cap.used_bytes / MEGABYTE) : '0';

			return form.Value.prototype.renderWidget.call(this, section, ...args);
		};
		/* When it was typed in tells one correction from the next, and from those of earlier periods. */
		o.write = (section, value) => {
			uci.set('mpproxy', section, 'cap_used_mb', value);
			uci.set('mpproxy', section, 'cap_used_at', String(Math.floor(Date.now() / 1000)));
		};
		o.remove = () => {};
	},

	limits(s) {
		[ [ 'download', _('Download'), _('Never more than this down, in Mbit/s; empty is no limit.') ],
			[ 'upload', _('Upload'), _('Never more than this up, in Mbit/s; empty is no limit. Some modems queue seconds of data: a little less than the line can do keeps calls quick.') ]
		].forEach(([ name, title, help ]) => {
			const o = s.taboption('limits', form.Value, name, title, help);

			o.datatype = 'uinteger';
			o.placeholder = _('no limit');
			o.modalonly = true;
		});
	},

	advanced(s, limits) {
		let o = s.taboption('advanced', form.ListValue, 'transport', _('Carry over'));
		const kinds = {
			auto: _('Automatic - UDP, and something else where that is blocked'),
			udp: _('UDP - the best where nothing blocks it'),
			tcp: _('TCP - where UDP is blocked or slowed down'),
			tls: _('TLS - where only web pages get through'),
			ip: _('Raw IP - least overhead; few networks let it pass')
		};

		Object.keys(kinds).filter(k => judge.offers(limits, 'link', 'transport', k)).forEach(k => o.value(k, kinds[k]));
		o.default = 'auto';
		o.modalonly = true;

		o = s.taboption('advanced', form.Value, 'mtu', _('MTU'), _('Bytes of the largest packet on this connection; empty: found by itself.'));
		o.datatype = 'or("0",range(576,65535))';
		o.placeholder = _('found by itself');
		o.modalonly = true;

		const ways = { '': _('As for all connections'), ...words.controls() };

		o = s.taboption('advanced', form.ListValue, 'congestion', _('Congestion control'), _('How it is found out how much the line can carry.'));
		Object.keys(ways).filter(k => !k || judge.offers(limits, 'link', 'congestion', k)).forEach(k => o.value(k, ways[k]));
		o.default = '';
		o.modalonly = true;

		o = s.taboption('advanced', form.ListValue, 'dscp', _('Priority marks (DSCP)'), _('Whether the marks of the packets inside are shown outside.'));
		[ [ 'clear', _('Clear') ], [ 'copy', _('Copy') ] ].filter(v => judge.offers(limits, 'link', 'dscp', v[0])).forEach(v => o.value(...v));
		o.default = 'clear';
		o.modalonly = true;
	}
});
