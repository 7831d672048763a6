'use strict';
'require view';
'require form';
'require network';
'require uci';
'require mpproxy.api as api';
'require mpproxy.judge as judge';
'require mpproxy.restore as restore';
'require mpproxy.words as words';

return view.extend({
	load() {
		return Promise.all([ uci.load('mpproxy'), api.get('limits', []), network.getHostHints() ]);
	},

	render([ , limits, hosts ]) {
		/* The devices of the LAN, by address. */
		this.devices = new Map(hosts.getMACHints().map(([ mac ]) => [ hosts.getIPAddrByMACAddr(mac), hosts.getHostnameByMACAddr(mac) ]).filter(([ ip ]) => ip));

		const m = judge.hold(new form.Map('mpproxy', _('Traffic'), _('What the devices send goes through all connections together. Here is what is treated otherwise.')));

		this.copies(m);
		this.rules(m, limits);

		const notice = restore.render();

		return m.render().then(node => {
			api.every(5, () => api.ask('status').then(a => restore.show(a.result)));

			return E('div', [ notice, node ]);
		});
	},

	copies(m) {
		const s = m.section(form.NamedSection, 'main', 'portal', _('For all devices'));
		const o = s.option(form.ListValue, 'duplicate', _('Send calls twice'),
			_('Over two connections at once, so that nothing of a call is lost when one of them fails. It costs the same data again. Connections that pay per gigabyte carry no second copies, unless they are told to on the page "Connections".'));

		o.value('off', _('No'));
		o.value('calls', _('Calls'));
		o.value('urgent', _('Calls, name look-ups and the first packets of everything'));
		o.default = 'off';
	},

	rules(m, limits) {
		const s = m.section(form.GridSection, 'rule', _('Rules'), _('The first rule that fits counts; rules for the proxy come before the others.'));

		s.addremove = true;
		s.sortable = true;
		s.anonymous = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a rule...');
		s.modaltitle = () => _('Rule');
		judge.dialog(s);

		let o = s.option(form.DummyValue, '_words', _('Rule'));

		o.modalonly = false;
		o.textvalue = section => E('span', { 'data-rule': section }, words.rule(uci.get('mpproxy', section), this.devices));

		o = s.option(form.Flag, 'enabled', _('Enabled'));
		o.default = '1';
		o.editable = true;

		const add = (widget, name, ...more) => {
			const option = s.option(widget, name, ...more);

			option.modalonly = true;

			return option;
		};

		o = add(form.DynamicList, 'src_ip', _('Devices'), _('Addresses or networks of the LAN; empty: all devices. Give the device a fixed address, or the rule names another one some day. The router needs kmod-nf-conntrack-netlink for it.'));
		o.datatype = 'or(ipaddr,cidr)';
		this.devices.forEach((name, ip) => o.value(ip, name ? '%s (%s)'.format(ip, name) : ip));

		o = add(form.DynamicList, 'dest_ip', _('To'), _('Addresses or networks; empty: everything.'));
		o.datatype = 'or(ipaddr,cidr)';

		o = add(form.ListValue, 'proto', _('Kind'));
		[ [ 'any', _('any') ], [ 'tcp', 'TCP' ], [ 'udp', 'UDP' ], [ 'icmp', 'ICMP' ] ].forEach(v => o.value(...v));
		o.default = 'any';

		o = add(form.DynamicList, 'dest_port', _('Ports'), _('Empty: all.'));
		o.placeholder = '3074';
		o.depends({ proto: 'icmp', '!reverse': true });

		o = add(form.ListValue, 'target', _('Goes'));

		/* What was written by hand stays what it is. */
		const offered = [ 'tunnel', ...(judge.offers(limits, 'socks', 'transparent', '1') ? [ 'proxy' ] : []), ...uci.sections('mpproxy', 'rule').map(r => r.target).filter(t => t) ];

		new Set(offered).forEach(t => o.value(t, words.target(t)));
		o.default = 'tunnel';
		o.rmempty = false;

		o = add(form.Flag, 'duplicate', _('Send twice'),
			_('Over two connections at once, both ways, as long as it is little: for games, calls and remote desktops. It costs the same data again, at most a fifth of what the connections carry.'));
		o.depends('target', 'tunnel');
	}
});
