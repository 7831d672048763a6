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
		ok('connected', words.sentence(status()).text == 'Connected through vps (203.0.113.2) - 1 of 2 connections in use - since 3 d 3 h');
		ok('no answer, and what next', !words.sentence(status({ state: 'down', trouble: 'blocked' })).ok && words.sentence(status({ state: 'down', trouble: 'blocked' })).next == 'blocked');

		const none = status({ state: 'down' });

		none.links.forEach(l => { l.state = 'no_carrier'; });
		ok('no connection works', words.sentence(none).text.includes('None'));
		ok('no server', words.sentence({ sessions: [], links: [] }).next.includes('Set-up'));
		ok('a link without a path is being checked', words.links(status({ paths: [] }))[0].state == 'validating');
		ok('every state has a word', [ 'up', 'suspect', 'down', 'validating', 'unusable', 'no_device', 'no_carrier', 'no_address', 'paused', 'disabled' ].every(s => words.state(s)[0] != s || s == 'paused'));
		ok('events', [ 'connected', 'lost', 'up', 'down', 'no_carrier', 'no_address', 'no_device', 'paused', 'validating', 'disabled' ].every(kind => words.event({ kind, link: 'wan' }).length > 8));
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

		const viewer = runtime({ status: answers, write: false });
		const shown = viewer.require('view.mpproxy.overview', 'view/mpproxy/overview.js');

		ok('a viewer has no pause button', !shown.render(await shown.load()).text().includes('Pause'));
	},

	async setup(ok) {
		const net = (name, device, proto, v4, v6, gw, up = true) => ({
			getName: () => name, getL3Device: () => up ? ({ getName: () => device, getSpeed: () => 1000 }) : null, getDevice: () => ({ getName: () => device }), getIPAddrs: () => v4, getIP6Addrs: () => v6,
			getProtocol: () => proto, getGatewayAddr: () => gw, getGateway6Addr: () => null, isUp: () => up
		});
		const networks = [ net('lan', 'br-lan', 'static', [ '192.168.1.1/24' ], [], null), net('wan6', 'pppoe-wan', 'dhcpv6', [], [ '2001:db8::1/64' ], null), net('wan', 'pppoe-wan', 'pppoe', [ '93.1.2.3/32' ], [], '93.1.2.1'),
			net('wwan', 'wwan0', 'qmi', [ '10.0.0.2/30' ], [ 'fe80::1/64' ], '10.0.0.1'), net('iot', 'br-iot', 'static', [ '10.9.0.1/24' ], [], null), net('lte', 'usb0', 'dhcp', [], [], null, false) ];
		const steps = [ { id: 'token', state: 'ok' }, { id: 'link', link: 'wan', state: 'ok', ms: 31 }, { id: 'written', state: 'ok' } ];
		let polled = 0;
		const answers = { join: { result: { id: '7', steps: [], done: false } }, poll: () => ++polled < 2 ? { trouble: 'timeout' } : { result: { id: '7', steps, done: true } } };
		const w = runtime({ networks, status: answers, uci: { firewall: [ { '.type': 'defaults', flow_offloading_hw: '1' } ] } });
		const view = w.require('view.mpproxy.setup', 'view/mpproxy/setup.js');
		const node = view.render(await view.load());

		ok('one row for each device', view.rows.map(r => r.c.name).join() == 'wan,wwan,iot,lte', view.rows.map(r => r.c.name).join());
		ok('what cannot be used says why', view.rows[2].why.includes('gateway') && view.rows[3].why == 'is down' && view.rows[2].tick.disabled);
		ok('IPv4 and IPv6, the kind, the speed', node.text().includes('IPv4 + IPv6') && node.text().includes('PPPoE') && node.text().includes('1000 Mbit/s link'));
		ok('mobile connections pay per gigabyte', view.rows[1].metered.checked && !view.rows[0].metered.checked);
		ok('hardware offloading is said', node.text().includes('Hardware offloading is on'));
		ok('not without a token', view.button.disabled && node.text().includes('Paste a valid token first.'));
		view.token.value = TOKEN;
		view.judge();
		ok('with a token', !view.button.disabled && node.text().includes('Server 203.0.113.9, valid token'));
		view.rows.forEach(r => { r.tick.checked = false; });
		view.update();
		ok('not without a connection', view.button.disabled);
		view.rows[0].tick.checked = view.rows[1].tick.checked = true;
		view.rows[0].use.value = 'always';
		view.rows[1].use.value = 'overflow';
		await view.start();

		const [ , token, , links ] = w.asked.find(a => a[0] == 'join');

		ok('what is asked for', token == TOKEN && JSON.stringify(links[1]) == '{"name":"wwan","interface":"wwan","metric":10,"overflow":true,"metered":true}', JSON.stringify(links));
		ok('the steps, and the end', node.text().includes('The server answers over wan (31 ms).') && node.text().includes('Done'), node.text());
		answers.join = { error: 'too much is being done at once' };
		await view.start();
		ok('an error keeps what was typed', node.text().includes('Too much is being done at once') && view.token.value == TOKEN);
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
