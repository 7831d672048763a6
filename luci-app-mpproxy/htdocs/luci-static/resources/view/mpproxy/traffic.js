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
		return Promise.all([ uci.load('mpproxy'), api.get('limits', []), network.getHostHints(), network.getNetworks(), L.resolveDefault(uci.load('firewall')) ]);
	},

	render([ , limits, hosts, networks ]) {
		this.networks = networks;

		/* The devices of the LAN, by address. */
		this.devices = new Map(hosts.getMACHints().map(([ mac ]) => [ hosts.getIPAddrByMACAddr(mac), hosts.getHostnameByMACAddr(mac) ]).filter(([ ip ]) => ip));

		this.macs = new Map(hosts.getMACHints().map(([ mac, hint ]) => [ mac.toLowerCase(), hosts.getHostnameByMACAddr(mac) || hosts.getIPAddrByMACAddr(mac) || hint ]));

		const m = judge.hold(new form.Map('mpproxy', _('Traffic'), _('What the devices send goes through all connections together. Here is what is treated otherwise.')));

		this.all(m, limits);
		this.rules(m, limits);

		const notice = restore.render();

		return m.render().then(node => {
			api.every(5, () => api.ask('status').then(a => restore.show(a.result)));

			return E('div', [ notice, node ]);
		});
	},

	all(m, limits) {
		const s = m.section(form.NamedSection, 'main', 'portal', _('For all devices'));

		s.tab('general', _('General'));
		s.tab('advanced', _('Advanced'));

		/* A list, not a choice of interfaces: devices may have been written by hand. */
		let o = s.taboption('general', form.DynamicList, 'lan', _('Networks'), _('What devices in these networks send goes through all connections together.'));

		this.networks.map(n => n.getName()).filter(n => ![ 'loopback', 'mpproxy' ].includes(n)).forEach(n => o.value(n));
		o.default = 'lan';
		o.rmempty = false;
		this.copies(s);
		this.choices(s, limits);

		o = s.taboption('general', form.Flag, 'kill_switch', _('No Internet without the server'),
			_('While the server cannot be reached nothing of these networks goes past the tunnel; also while the router starts, and when the service does not run.'));

		o = s.taboption('general', form.Flag, 'router_traffic', _('The router itself, too'), _('What the router sends, such as its updates, goes through the tunnel like that of the devices.'));

		this.advanced(s, limits);
	},

	choices(s, limits) {
		const choose = (tab, name, title, help, words) => {
			const o = s.taboption(tab, form.ListValue, name, title, help);

			Object.entries(words).filter(([ k ]) => judge.offers(limits, 'portal', name, k)).forEach(([ k, v ]) => o.value(k, v));
			o.default = Object.keys(words)[0];
		};

		choose('general', 'profile', _('Prefer'), _('How much later than over the quickest connection data may come when several carry it. A change counts when the service starts next.'), words.profiles());
		choose('general', 'ipv6', _('IPv6'), _('What the devices send by IPv6.'), {
			auto: _('Through the tunnel, if the server has IPv6; else refused'), tunnel: _('Through the tunnel'), reject: _('Refused'), direct: _('Directly, past the tunnel')
		});
		choose('general', 'dns', _('Name service'), _('Who answers the devices\' questions for names.'), { tunnel: _('The server\'s, through the tunnel'), system: _('As the router is set up') });

		choose('advanced', 'scheduler', _('Scheduler'), _('Which connection carries the next packet.'), {
			earliest: _('Where it arrives first - the best for most'), greedy: _('Whichever has room'), weighted: _('By shares of what each carries'), redundant: _('Everything over every connection')
		});
		choose('advanced', 'congestion', _('Congestion control'), _('How it is found out how much the line can carry.'), words.controls());
		choose('advanced', 'cipher', _('Encryption'), _('A change counts when the service starts next.'), { auto: _('What is quicker on this router'), aes: 'AES-GCM', chacha: 'ChaCha20-Poly1305' });
		choose('advanced', 'log_level', _('The log says'), null, { info: _('what changes'), warn: _('only what is wrong'), error: _('only what fails'), debug: _('everything') });
	},

	advanced(s) {
		let o = s.taboption('advanced', form.DynamicList, 'dns_server', _('Name servers'), _('Others than the server offers, asked through the tunnel.'));

		o.datatype = 'ipaddr';
		o.depends('dns', 'tunnel');

		[ [ 'mtu', _('MTU'), 'or("0",range(1280,1500))', _('found by itself'), _('Bytes of the largest packet in the tunnel; empty: found by itself.') ],
			[ 'memory_limit', _('Memory'), 'uinteger', _('a quarter, at most 64'), _('Megabytes that the service may take.') ],
			[ 'mark', _('Packet marks'), null, '0x01000000/0xff000000', _('Mark of the first connection\'s packets, and its mask. Others are found where mwan3 or other programs use these bits.') ],
			[ 'table', _('Routing tables'), 'range(1,65535)', '7000', _('Number of the tunnel\'s; the connections have those after it.') ],
			[ 'rule_priority', _('Rule priority'), 'range(1,32671)', _('found by itself'), _('Of the first policy rule.') ]
		].forEach(([ name, title, datatype, placeholder, help ]) => {
			o = s.taboption('advanced', form.Value, name, title, '%s %s'.format(help, _('A change counts when the service starts next.')));
			o.placeholder = placeholder;

			if (datatype)
				o.datatype = datatype;
		});
	},

	copies(s) {
		const o = s.taboption('general', form.ListValue, 'duplicate', _('Send calls twice'),
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
		o.textvalue = section => E('span', { 'data-rule': section }, words.rule(uci.get('mpproxy', section), new Map([ ...this.devices, ...this.macs ])));

		o = s.option(form.Flag, 'enabled', _('Enabled'));
		o.default = '1';
		o.editable = true;

		const add = (tab, widget, name, ...more) => {
			const option = s.taboption(tab, widget, name, ...more);

			option.modalonly = true;

			return option;
		};

		s.tab('general', _('General'));
		s.tab('advanced', _('Advanced'));

		o = add('general', form.DynamicList, 'src_mac', _('Devices'), _('By their hardware addresses; empty: all devices. The router needs kmod-nf-conntrack-netlink for it.'));
		o.datatype = 'macaddr';
		this.macs.forEach((name, mac) => o.value(mac, name ? '%s (%s)'.format(mac, name) : mac));

		o = add('general', form.DynamicList, 'dest_ip', _('To'), _('Addresses or networks; empty: everything.'));
		o.datatype = 'or(ipaddr,cidr)';

		o = add('general', form.ListValue, 'proto', _('Kind'));
		[ [ 'any', _('any') ], [ 'tcp', 'TCP' ], [ 'udp', 'UDP' ], [ 'icmp', 'ICMP' ] ].forEach(v => o.value(...v));
		o.default = 'any';

		o = add('general', form.DynamicList, 'dest_port', _('Ports'), _('Empty: all.'));
		o.placeholder = '3074';
		o.depends({ proto: 'icmp', '!reverse': true });

		o = add('general', form.ListValue, 'target', _('Goes'));

		/* What was written by hand stays what it is. */
		const offered = [ 'tunnel', ...(judge.offers(limits, 'socks', 'transparent', '1') ? [ 'proxy' ] : []), ...uci.sections('mpproxy', 'rule').map(r => r.target).filter(t => t) ];

		new Set(offered).forEach(t => o.value(t, words.target(t)));
		o.default = 'tunnel';
		o.rmempty = false;

		o = add('general', form.Flag, 'duplicate', _('Send twice'),
			_('Over two connections at once, both ways, as long as it is little: for games, calls and remote desktops. It costs the same data again, at most a fifth of what the connections carry.'));
		o.depends('target', 'tunnel');

		o = add('general', form.MultiValue, 'use_link', _('Only over'), _('None: over all. While none of these works, what the rule names does not get through.'));
		uci.sections('mpproxy', 'link').forEach(l => o.value(l['.name']));
		o.depends('target', 'tunnel');

		this.advancedRule(add);
	},

	advancedRule(add) {
		let o = add('advanced', form.DynamicList, 'src_ip', _('Devices by address'), _('Addresses or networks of the LAN; a device needs a fixed address, or the rule names another one some day.'));

		o.datatype = 'or(ipaddr,cidr)';
		this.devices.forEach((name, ip) => o.value(ip, name ? '%s (%s)'.format(ip, name) : ip));

		o = add('advanced', form.Value, 'src', _('From'), _('A zone of the firewall, or an interface; empty: any.'));
		[ ...new Set([ ...uci.sections('firewall', 'zone').map(z => z.name), ...[].concat(uci.get('mpproxy', 'main', 'lan') || []) ]) ].filter(z => z).forEach(z => o.value(z));
		o.depends('target', 'tunnel');

		o = add('advanced', form.Value, 'dscp', _('Priority mark (DSCP)'), _('Only packets with this mark; empty: any.'));
		o.datatype = 'range(0,63)';
		o.depends('target', 'tunnel');

		o = add('advanced', form.ListValue, 'class', _('Priority'), _('What goes ahead may take a fifth of what the connections carry for each device.'));
		[ [ 'auto', _('Automatic') ], [ 'urgent', _('Ahead of others') ], [ 'bulk', _('Behind others') ] ].forEach(v => o.value(...v));
		o.default = 'auto';
		o.depends('target', 'tunnel');

		o = add('advanced', form.ListValue, 'profile', _('Prefer'));
		o.value('', _('As for all devices'));
		Object.entries(words.profiles()).forEach(v => o.value(...v));
		o.default = '';
		o.depends('target', 'tunnel');
	}
});
