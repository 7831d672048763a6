// The pages' logic, run in node on the stub of LuCI's runtime.
import { Element, runtime } from './stub.mjs';

const TOKEN = 'mpp1:AUVAQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eXwECAwQFBgcI8O_u7ezr6uno5-bl5OPi4QTLAHEJGnsJXP4Y'; // as in src/pairing/token_test.go

const path = (link, more = {}) => ({ link, state: 'up', transport: 'udp', down_bits_per_second: 30e6, up_bits_per_second: 1e6, srtt_ms: 31.4, min_rtt_ms: 27, queue_delay_ms: 4.2,
	loss_ratio: 0.01, repaired_packets: 3, rate_bits_per_second: 40e6, mtu_bytes: 1500, local: '192.0.2.1:1', remote: '203.0.113.2:6779', down_bytes: 12e9, up_bytes: 5e8, ...more });
const status = (session = {}, links = [ 'wan', 'wwan' ]) => ({
	sessions: [ { peer: 'vps', state: 'up', state_seconds: 270000, remote_endpoint: '203.0.113.2:6779', paths: [ path('wan'), path('wwan', { state: 'down' }) ], ...session } ],
	links: links.map(name => ({ name, interface: name, state: 'up', metric: 0 }))
});

const cases = {
	token(ok) {
		const judge = t => runtime().require('mpproxy.token').judge(t);

		ok('good', judge(TOKEN).server == '203.0.113.9' && judge(TOKEN).port == 6779);
		ok('in a sentence, wrapped, quoted', [ `Paste: ${TOKEN} (24 h)`, TOKEN.slice(0, 40) + '\n ' + TOKEN.slice(40), '> ' + TOKEN.slice(0, 50) + '\r\n> ' + TOKEN.slice(50), TOKEN + '.' ].every(t => judge(t).ok));
		ok('cut', judge(TOKEN.slice(0, -12)).error == 'This token is cut off: 12 characters are missing.' && judge(TOKEN.slice(0, -1)).error.includes('1 character is'));
		ok('too long', judge(TOKEN + 'x').error.includes('1 character too many'));
		ok('newer, none, empty', judge('mpp2:abcd').error.includes('newer') && judge('hi').error.includes('no token') && Object.keys(judge(' \n')).length == 0);

		let missed = 0;

		for (let i = 5; i < TOKEN.length; i++)
			missed += judge(TOKEN.slice(0, i) + (TOKEN[i] == 'A' ? 'B' : 'A') + TOKEN.slice(i + 1)).ok ? 1 : 0;

		ok('every changed character is seen', missed == 0, `${missed} were not`);
	},

	words(ok) {
		const words = runtime().require('mpproxy.words');

		ok('rates', [ 0, 499, 1200, 47.04e6, 999.96e6, 1.2e9 ].map(n => words.rate(n)).join() == '0,0,1 kbit/s,47.0 Mbit/s,1.0 Gbit/s,1.2 Gbit/s', [ 0, 499, 1200, 47.04e6, 999.96e6, 1.2e9 ].map(n => words.rate(n)).join());
		ok('amounts', [ 0, 10, 12.4e9 ].map(n => words.amount(n)).join() == '0,10 B,12.4 GB');
		ok('spans', [ 5, 65, 3700, 270000 ].map(n => words.span(n)).join() == '5 s,1 min,1 h 1 min,3 d 3 h');
		ok('delays', words.delay(path('a')) == '31 ms, +4 by queues' && words.delay(null) == '-');
		ok('connected', words.sentence(status()).text == 'Connected through vps - 1 of 2 connections in use - since 3 d 3 h', words.sentence(status()).text);
		ok('the public address, IPv6', words.sentence(status({ public_address: '203.0.113.2', inner_addresses: [ '10.99.0.2' ] })).text.includes('public address 203.0.113.2 (IPv6: no)')
			&& words.sentence(status({ public_address: '203.0.113.2', inner_addresses: [ '10.99.0.2', 'fd00::2' ] })).text.includes('(IPv6: yes)'));
		ok('which port the server\'s provider must let in', words.sentence(status({ state: 'down', remote_endpoint: '' })).next.includes('port 6779')
			&& words.sentence(status({ state: 'down', remote_endpoint: '203.0.113.2:443' })).next.includes('port 443'));

		const standing = (more, metric) => {
			const s = status({ paths: [ path('wan'), path('wwan', { down_bits_per_second: 900, up_bits_per_second: 900, ...more }) ] });

			s.links[1].metric = metric;

			return words.links(s)[1].state;
		};

		ok('standby, in use, full', [ standing({}, 10), standing({ down_bits_per_second: 5e6 }, 10), standing({}, 0), standing({ up_bits_per_second: 9.9e6, rate_bits_per_second: 10e6 }, 0) ].join() == 'standby,up,up,full');
		ok('a way', [ 'wan', 'nl', 'nl>us', 'wan:nl' ].map(v => words.via(v, [ 'nl', 'us' ])).join(' | ') == 'wan | relay nl | relay nl, then relay us | wan by way of relay nl', [ 'wan', 'nl', 'nl>us', 'wan:nl' ].map(v => words.via(v, [ 'nl', 'us' ])).join(' | '));
		ok('a route', words.route({ dest: [ '*.example.org' ], via: [ 'dsl', 'nl' ] }, [ 'nl' ]) == '*.example.org → dsl + relay nl → if that fails: directly'
			&& words.route({ dest: '*', dest_port: '80', fallback: 'none' }, []) == 'everything (port 80) → all connections → if that fails: not at all'
			&& words.route({ dest: [ 'a.b' ], carrier: 'plain', via: [ 'x' ] }, []) == 'a.b → directly');
		ok('what went on', words.event({ kind: 'down', link: 'lte', others: [ 'dsl' ] }) == 'lte stopped answering. What was on it went on over dsl.');
		ok('no answer, and what next', !words.sentence(status({ state: 'down', trouble: 'blocked' })).ok && words.sentence(status({ state: 'down', trouble: 'blocked' })).next == 'blocked');

		const none = status({ state: 'down' });

		none.links.forEach(l => { l.state = 'no_carrier'; });
		ok('no connection works', words.sentence(none).text.includes('None'));
		ok('no server', words.sentence({ sessions: [], links: [] }).next.includes('Set-up'));
		ok('a link without a path is being checked', words.links(status({ paths: [] }))[0].state == 'validating');
		const cap = (used, more) => ({ used_bytes: used, limit_bytes: 50e9, action: 'stop', state: 'below', ...more });

		ok('data caps', words.cap(cap(12.4e9, { ends_at: 1, ends_seconds: 9.2 * 86400 })) == '12.4 of 50 GB, resets in 9 days' && words.cap(cap(0, { ends_at: 1, ends_seconds: 3700 })) == '0 of 50 GB, resets in 1 h 1 min'
			&& words.cap(cap(5e6)) == '0 of 50 GB' && words.share(cap(12.45e6, { limit_bytes: 999e6 })) == '12.4 of 999 MB' && words.share(cap(7, { limit_bytes: 10 })) == '7 of 10 B'
			&& words.share(cap(2.5e15, { limit_bytes: 1e15 })) == '2500 of 1000 TB' && words.share(cap(2.5e12, { limit_bytes: 1e12 })) == '2.5 of 1 TB', words.cap(cap(12.4e9, { ends_at: 1, ends_seconds: 9.2 * 86400 })));
		ok('what a used-up cap does', words.note({ cap: cap(1) }) == '' && words.note({}) == '' && words.note({ cap: cap(60e9, { state: 'reached' }) }).includes('not used')
			&& words.note({ cap: cap(60e9, { state: 'reached', action: 'slow', rate_bits_per_second: 256e3 }) }).includes('256 kbit/s') && words.note({ cap: cap(60e9, { state: 'reached', action: 'warn' }) }) == 'Its data cap is used up.');
		ok('what to do about a login page', words.note({ state: 'walled' }).includes('log in'));
		ok('caps in events', words.event({ kind: 'cap_warn', link: 'lte', text: '41 of 50 GB' }) == 'lte: 41 of 50 GB of its data cap are used.' && words.event({ kind: 'cap_reached', link: 'lte', others: [ 'dsl' ] }).includes('used up. What was on it went on over dsl.'));
		ok('every state has a word', [ 'cap_reached', 'walled',  'up', 'suspect', 'down', 'validating', 'unusable', 'no_device', 'no_carrier', 'no_address', 'paused', 'disabled', 'full', 'standby' ].every(s => words.state(s)[0] != s || [ 'paused', 'standby' ].includes(s)));
		ok('events', [ 'connected', 'lost', 'up', 'down', 'no_carrier', 'no_address', 'no_device', 'paused', 'validating', 'disabled', 'safe_mode' ].every(kind => words.event({ kind, link: 'wan' }).length > 8));
	},

	chart(ok) {
		const chart = runtime().require('mpproxy.chart');

		chart.seed({ links: [ { name: 'wan', down: [ 1e6, 2e6 ], up: [ 0, 0 ] } ] });
		ok('it remembers what came before', chart.sums('down').slice(-2).join() == '1000000,2000000' && chart.sums('down').length == 180);

		const node = chart.render();

		chart.push([ { name: 'wan', down: 3e6, up: 1e6 }, { name: 'lte', down: 5e6 } ]);
		chart.update();
		ok('a second more', chart.sums('down').slice(-3).join() == '1000000,2000000,8000000' && chart.best('down') == 5e6);
		ok('an area for each, each way', node.all(e => e.tag == 'polygon').length == 4);
		chart.push([]);
		ok('a connection that is gone carries nothing', chart.sums('down').at(-1) == 0);
		chart.table.open = true;
		chart.update();
		ok('as a table too', chart.table.text().includes('lte'));
		ok('colours are the theme\'s', node.all(e => e.tag == 'polygon').every(e => /^fill:var\(--/.test(e.attributes.style)));
	},

	async overview(ok) {
		const answers = { status: { result: status() }, ring: { result: { links: [] } }, events: { result: [ { at: Date.now() / 1000 - 60, kind: 'down', link: 'wwan' }, { at: 1, kind: 'up', link: 'old' } ] }, link: { result: {} } };
		const w = runtime({ status: answers });
		const view = w.require('view.mpproxy.overview', 'view/mpproxy/overview.js');
		const node = view.render(await view.load());

		ok('sentence, cards, events', [ 'Connected through vps', 'wan', 'no answer', 'wwan stopped answering' ].every(t => node.text().includes(t)), node.text());
		ok('older events are not shown', !node.text().includes('old'));
		ok('polled each second and each five', w.polls.map(p => p.seconds).join() == '1,5');
		w.document.hidden = true;

		const before = w.asked.length;

		await Promise.all(w.polls.map(p => p.fn()));
		ok('nothing is asked for nobody', w.asked.length == before);
		w.document.hidden = false;
		answers.status = { trouble: 'timeout' };
		await w.polls[0].fn();
		ok('a dead service is said, what was shown stays', node.text().includes('No answer from the service since') && view.live.style.opacity == '.4' && node.text().includes('wwan'));
		answers.status = { result: status() };
		await w.polls[0].fn();
		ok('and back', !node.text().includes('No answer') && view.live.style.opacity == '');

		const capped = status();

		capped.links[1] = { ...capped.links[1], state: 'cap_reached', cap: { state: 'reached', used_bytes: 50e9, limit_bytes: 50e9, action: 'stop', ends_at: 1, ends_seconds: 9 * 86400 } };
		capped.sessions[0].paths.pop();
		answers.status = { result: capped };
		await w.polls[0].fn();
		ok('a data cap on its card', [ 'data cap reached', '50 of 50 GB, resets in 9 days', 'It is not used until that resets.' ].every(t => node.text().includes(t)) && !node.text().includes('Nothing goes'), node.text());
		ok('as a bar that is full', node.all(e => e.attributes['aria-valuenow'] === 100 && e.attributes.title == '100 % of the data cap used').length == 1);
		ok('no notice without need', !node.text().includes('Restore'));
		answers.status = { result: { ...status({ state: 'down' }), config_lost: true } };
		answers.restore = { result: { id: '9', steps: [], done: true, error: 'there are no earlier settings' } };
		await w.polls[0].fn();
		ok('settings that cut it off can be taken back', node.text().includes('Restore the previous settings') && node.text().includes('Before they were saved there was one.'), node.text());
		await node.all(e => e.tag == 'button' && e.text().includes('Restore'))[0].attributes.click();
		ok('why not, if not', w.asked.some(a => a[0] == 'restore') && node.text().includes('There are no earlier settings'), node.text());
		answers.status = { result: status() };
		await w.polls[0].fn();
		ok('the notice goes by itself', !node.text().includes('Restore'));

		const viewer = runtime({ status: answers, write: false });
		const shown = viewer.require('view.mpproxy.overview', 'view/mpproxy/overview.js');

		ok('a viewer has no pause button', !shown.render(await shown.load()).text().includes('Pause'));
	},

	async setup(ok) {
		const net = (name, device, proto, v4, v6, gw, up = true) => ({
			getName: () => name, getL3Device: () => up ? ({ getName: () => device, getSpeed: () => 1000 }) : null, getDevice: () => ({ getName: () => device }), getIPAddrs: () => v4, getIP6Addrs: () => v6,
			getProtocol: () => proto, getGatewayAddr: () => gw, getGateway6Addr: () => null, isUp: () => up, isPending: () => name == 'cable'
		});
		const networks = [ net('lan', 'br-lan', 'static', [ '192.168.1.1/24' ], [], null), net('wan6', 'pppoe-wan', 'dhcpv6', [], [ '2001:db8::1/64' ], null), net('wan', 'pppoe-wan', 'pppoe', [ '93.1.2.3/32' ], [], '93.1.2.1'),
			net('wwan', 'wwan0', 'qmi', [ '10.0.0.2/30' ], [ 'fe80::1/64' ], '10.0.0.1'), net('iot', 'br-iot', 'static', [ '10.9.0.1/24' ], [], null), net('lte', 'usb0', 'dhcp', [], [], null, false),
			net('cable', 'eth3', 'dhcp', [], [], null, false), net('twin', 'eth4', 'dhcp', [ '192.168.1.77/25' ], [], '192.168.1.126'), net('alias', 'br-lan', 'static', [ '10.8.0.1/24' ], [], '10.8.0.2') ];
		const steps = [ { id: 'token', state: 'ok' }, { id: 'link', link: 'wan', state: 'ok', ms: 31 }, { id: 'written', state: 'ok' } ];
		let polled = 0;
		const answers = { join: { result: { id: '7', steps: [], done: false } }, poll: () => ++polled < 2 ? { trouble: 'timeout' } : { result: { id: '7', steps, done: true } } };
		const w = runtime({ networks, status: answers, uci: { firewall: [ { '.type': 'defaults', flow_offloading_hw: '1' } ], mwan3: [ { '.type': 'interface', enabled: '1' } ] } });
		const view = w.require('view.mpproxy.setup', 'view/mpproxy/setup.js');
		const node = view.render(await view.load());

		ok('one row for each device', view.rows.map(r => r.c.name).join() == 'wan,wwan,alias,twin,cable,iot,lte', view.rows.map(r => r.c.name).join());
		const row = name => view.rows.find(r => r.c.name == name);

		ok('what cannot be used says why', row('iot').why.includes('gateway') && row('lte').why == 'is down' && row('cable').why == 'has no address' && row('iot').tick.disabled);
		ok('what is the LAN\'s says so', row('alias').why == 'is the same as the LAN' && row('twin').why.includes('same addresses as the LAN (192.168.1.1/24)') && row('twin').tick.disabled, row('twin').why);
		ok('mwan3 is said', node.text().includes('mwan3 is running'));
		ok('IPv4 and IPv6, the kind, the speed', node.text().includes('IPv4 + IPv6') && node.text().includes('PPPoE') && node.text().includes('1000 Mbit/s link'));
		ok('mobile connections pay per gigabyte', row('wwan').metered.checked && !row('wan').metered.checked);
		ok('hardware offloading is said', node.text().includes('Hardware offloading is on'));
		ok('not without a token', view.button.disabled && node.text().includes('Paste a valid token first.'));
		view.token.value = TOKEN;
		view.judge();
		ok('with a token', !view.button.disabled && node.text().includes('Server 203.0.113.9, valid token'));
		view.rows.forEach(r => { r.tick.checked = false; });
		view.update();
		ok('not without a connection', view.button.disabled);
		row('wan').tick.checked = row('wwan').tick.checked = true;
		row('wan').use.value = 'always';
		row('wwan').use.value = 'overflow';
		await view.start();

		const [ , token, , links ] = w.asked.find(a => a[0] == 'join');

		ok('what is asked for', token == TOKEN && JSON.stringify(links[1]) == '{"name":"wwan","interface":"wwan","metric":10,"overflow":true,"metered":true}', JSON.stringify(links));
		ok('the steps, and the end', node.text().includes('The server answers over wan (31 ms).') && node.text().includes('Done'), node.text());
		ok('the speed is not measured unasked, and what that costs is said', !w.asked.some(a => a[0] == 'speed') && node.text().includes('uses up to 40 MB') && node.text().includes('wwan pays per gigabyte'), node.text());
		answers.speed = { result: { id: '8', done: true, steps: [ { id: 'down', state: 'ok', bits_per_second: 61e6 }, { id: 'down', link: 'wan', state: 'ok', bits_per_second: 47e6 }, { id: 'down', link: 'wwan', state: 'ok', bits_per_second: 14e6 },
			{ id: 'used', state: 'ok', bytes: 39e6 } ] } };
		await view.measure();
		ok('the speed, and each connection\'s part', view.speed.text().includes('61.0 Mbit/s') && view.speed.text().includes('wan 47.0 Mbit/s + wwan 14.0 Mbit/s') && view.speed.text().includes('39.0 MB used'), view.speed.text());
		answers.speed = { error: 'there is no connection with the server' };
		await view.measure();
		ok('a speed test that fails', view.speed.text().includes('There is no connection with the server'));
		answers.join = { error: 'too much is being done at once' };
		await view.start();
		ok('an error keeps what was typed', node.text().includes('Too much is being done at once') && view.token.value == TOKEN);
	},

	async proxy(ok) {
		const proxy = { listen: [ '192.168.1.1:1080' ], clients: 2, connects: 9, binds: 1, associations: 0, multipath: 6, plain: 3, fallbacks: 1, failed: 0, refused_strangers: 1, refused_users: 1,
			streams: [ { client: '192.168.1.50', destination: 'example.org:443', age_seconds: 61, received_bytes: 4e6, sent_bytes: 1e4, subflows: [ { via: 'wan', sent_bytes: 0, received_bytes: 3e6 }, { via: 'wwan', sent_bytes: 0, received_bytes: 1e6, stalled: true } ] },
				{ client: '192.168.1.51', destination: '192.0.2.1:22', direct: true, age_seconds: 5, received_bytes: 0, sent_bytes: 0, subflows: [] } ] };
		const answers = { status: { result: { ...status(), proxy } }, limits: { result: [ { section: 'route', option: 'carrier', values: 'auto, plain' }, { section: 'socks', option: 'transparent', values: '0' } ] }, secrets: { result: [ 'user.ann' ] },
			relay: { result: { id: '1', done: true, steps: [ { id: 'relay', state: 'ok', ms: 61.7 } ] } }, secret: { result: {} } };
		const uci = { mpproxy: [ { '.type': 'link', '.name': 'wan' }, { '.type': 'relay', '.name': 'nl' }, { '.type': 'user', '.name': 'ann' }, { '.type': 'route', '.name': 'r1', dest: [ 'example.org' ], via: [ 'wan', 'nl' ] } ] };
		const w = runtime({ status: answers, uci }), view = w.require('view.mpproxy.proxy', 'view/mpproxy/proxy.js');
		const node = view.render(await view.load());
		const section = type => w.form.maps[0].sections.find(s => s.type == type), named = (type, name) => section(type).options.find(o => o.name == name);

		await node;
		ok('what to type into programs', view.head.text().includes('SOCKS5 192.168.1.1:1080'), view.head.text());
		ok('sums', view.head.text().includes('2 connections now - 10 since the start: 6 over several connections, 4 directly - of these 1 because the server could not be used - 2 refused'), view.head.text());
		ok('live connections', view.table.text().includes('wan 75 %, wwan 25 % (stalled)') && view.table.text().includes('directly') && view.table.text().includes('1 min'), view.table.text());
		ok('there is a section to switch it on', uci.mpproxy.some(s => s['.type'] == 'socks'));
		ok('only what this version can', named('route', 'carrier').values.map(v => v[0]).join() == 'auto,plain' && !named('socks', 'transparent'));
		ok('a route in words', named('route', '_words').textvalue('r1').text() == 'example.org → wan + relay nl → if that fails: directly');
		ok('a password is told to be there, and no more', named('user', '_password').textvalue('ann').text() == 'is set' && named('relay', '_password').textvalue('nl').text() == 'is not set' && named('user', 'password').cfgvalue('ann') === '');
		await named('user', 'password').write('ann', 'it\'s');
		ok('a password is written', w.asked.some(a => a[0] == 'secret' && a[1] == 'user.ann' && a[2] == 'it\'s'));
		answers.secret = { error: 'must be a password' };
		ok('a refused password does not pass', await named('user', 'password').write('ann', 'x').then(() => false, e => e.message == 'Must be a password'));

		const result = named('relay', '_test').textvalue('nl');

		await view.test('nl');
		ok('a relay that works', result.text().includes('reaches the server (62 ms)'), result.text());
		answers.relay = { result: { id: '2', done: true, error: 'the relay does not answer', steps: [] } };
		await view.test('nl');
		ok('a relay that does not', result.text().includes('The relay does not answer'), result.text());
		answers.status = { trouble: 'timeout' };
		await w.polls[0].fn();
		ok('a dead service', view.head.text().includes('does not answer') && view.table.style.opacity == '.4');
		answers.status = { result: status() };
		await w.polls[0].fn();
		ok('without a proxy', view.head.text().includes('switched off') && view.table.text().includes('No program'));
	},

	async traffic(ok) {
		const uci = { mpproxy: [ { '.type': 'portal', '.name': 'main' }, { '.type': 'rule', '.name': 'r1', target: 'tunnel', src_ip: [ '192.168.1.50' ], duplicate: '1' },
			{ '.type': 'rule', '.name': 'r2', target: 'tunnel', dest_ip: '203.0.113.0/24', proto: 'udp', dest_port: [ '3074', '5000-5010' ], dscp: '26' },
			{ '.type': 'rule', '.name': 'r3', target: 'proxy', src_mac: [ '02:00:5e:10:00:01' ] }, { '.type': 'rule', '.name': 'r4', target: 'direct', duplicate: '1' },
			{ '.type': 'rule', '.name': 'r5', target: 'tunnel', src_mac: [ '02:00:5E:10:00:02' ], src: 'guest', use_link: [ 'wan', 'lte' ], class: 'urgent', profile: 'latency', duplicate: '1' },
			{ '.type': 'link', '.name': 'wan' }, { '.type': 'link', '.name': 'lte' } ], firewall: [ { '.type': 'zone', name: 'lan' }, { '.type': 'zone', name: 'guest' } ] };
		const limits = { result: [ { section: 'socks', option: 'transparent', values: '0' }, { section: 'portal', option: 'scheduler', values: 'earliest, greedy' } ] };
		const w = runtime({ status: { limits, status: { result: status() } }, uci, hosts: { '02:00:5e:10:00:02': [ '192.168.1.50', 'xbox' ], '02:00:5e:10:00:03': [ '192.168.1.51', null ], '02:00:5e:10:00:04': [ null, 'x' ] } });
		const view = w.require('view.mpproxy.traffic', 'view/mpproxy/traffic.js');

		await view.render(await view.load());

		const [ portal, rules ] = w.form.maps[0].sections, named = name => rules.options.find(o => o.name == name);
		const said = [ 'r1', 'r2', 'r3', 'r4', 'r5' ].map(r => named('_words').textvalue(r).text());

		ok('rules in words', said.join('; ') == 'xbox → everything → sent twice; all devices → 203.0.113.0/24 UDP DSCP 26 (port 3074, 5000-5010) → through all connections; '
			+ '02:00:5e:10:00:01 → everything → through the proxy; all devices → everything → not possible in this version; xbox, guest → everything → sent twice, only over wan, lte, ahead of others, low delay', said.join('; '));
		ok('devices to choose from', named('src_ip').values.map(v => v.join()).join('; ') == '192.168.1.50,192.168.1.50 (xbox); 192.168.1.51,192.168.1.51', named('src_ip').values.join('; '));
		ok('targets there are, and those written by hand', named('target').values.map(v => v[0]).join() == 'tunnel,proxy,direct' && named('target').values[2][1] == 'not possible in this version', named('target').values.join('; '));
		const all = name => portal.options.find(o => o.name == name), words = name => all(name).values.map(v => v[0]).join();

		ok('what is sent twice', words('duplicate') == 'off,calls,urgent' && all('duplicate').default == 'off');
		ok('what holds for all, the usual first, and only what this version can', [ 'profile', 'ipv6', 'dns', 'scheduler', 'cipher' ].map(n => `${words(n)} ${all(n).default}`).join('; ')
			== 'balanced,latency,throughput balanced; auto,tunnel,reject,direct auto; tunnel,system tunnel; earliest,greedy earliest; auto,aes,chacha auto', words('profile') + words('ipv6') + words('scheduler'));
		ok('every option of the portal that people choose', [ 'lan', 'kill_switch', 'router_traffic', 'dns_server', 'mtu', 'memory_limit', 'mark', 'table', 'rule_priority', 'log_level', 'congestion' ].every(n => all(n)));
		ok('devices by what they are, connections, zones', named('src_mac').values[0].join() == '02:00:5e:10:00:02,02:00:5e:10:00:02 (xbox)' && named('use_link').values.map(v => v[0]).join() == 'wan,lte'
			&& named('src').values.map(v => v[0]).join() == 'lan,guest', named('src').values.join());
	},

	text(ok) {
		const t = runtime({ uci: { mpproxy: [ { '.type': 'link', '.name': 'a', '.index': 0, interface: 'wan', label: 'it\'s', remote: [ 'x', 'y' ], empty: '' } ] } }).require('mpproxy.text').config('mpproxy');

		ok('apostrophes, lists, empty values', t == "config link 'a'\n\toption interface 'wan'\n\toption label 'it'\\''s'\n\tlist remote 'x'\n\tlist remote 'y'\n", t);
	},

	async box(ok) {
		const box = async a => { const w = runtime({ status: { status: a } }); const v = w.require('box', 'view/status/include/60_mpproxy.js'); return v.render(await v.load()); };

		ok('on the status page', (await box({ result: status() })).text().includes('Connected through vps'));
		ok('without a service', (await box({ trouble: 'no_service' })).text().includes('does not run'));
		ok('without rights', await box({ trouble: 'denied' }) === null);
	},

	protocol(ok) {
		const p = runtime().require('protocol', 'protocol/mpproxy.js');

		ok('the protocol\'s file', p.name == 'mpproxy' && p.getI18n.call(p).includes('mpproxy') && p.isVirtual());
	}
};

// run returns the number of checks and the failures in words.
export async function run() {
	const failures = [];
	let count = 0;

	for (const name in cases) {
		const ok = (what, good, more = '') => {
			count++;

			if (!good)
				failures.push(`${name}: ${what}${more ? ': ' + more : ''}`);
		};

		try { await cases[name](ok); }
		catch (e) { count++; failures.push(`${name}: ${e.stack}`); }
	}

	return { count, failures };
}

export { Element };
