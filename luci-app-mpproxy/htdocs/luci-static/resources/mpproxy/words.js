'use strict';
'require baseclass';

const DAY = 86400;
const PORT = 6779; /* where a server listens unless it is told otherwise */

const COLOURS = { success: 'var(--success-color-medium)', warning: 'var(--warn-color-high)', danger: 'var(--error-color-medium)', notice: 'var(--text-color-medium)' };

/* Below this a connection does nothing but answer that it is there. */
const IDLE_BITS = 30e3;
/* A connection that carries this much of what it can is full. */
const FULL = 0.93;

/* Amounts of data, each a thousand of the one before. */
const UNITS = [ 'B', 'kB', 'MB', 'GB', 'TB' ];

const scaled = (n, units) => {
	let i = 0;

	for (; n >= 999.5 && i < units.length - 1; i++)
		n /= 1000;

	return (i && n < 99.95 ? n.toFixed(1) : n.toFixed(0)) + ' ' + units[i];
};

/* The word for a state, and its kind. */
function stateWord(state) {
	switch (state) {
	case 'up':         return [ _('in use'), 'success' ];
	case 'suspect':    return [ _('slow to answer'), 'warning' ];
	case 'down':       return [ _('no answer'), 'danger' ];
	case 'validating': return [ _('being checked'), 'notice' ];
	case 'unusable':   return [ _('not usable'), 'danger' ];
	case 'no_device':  return [ _('down: no such interface'), 'danger' ];
	case 'no_carrier': return [ _('down: cable or modem'), 'danger' ];
	case 'no_address': return [ _('down: no address'), 'danger' ];
	case 'cap_reached': return [ _('data cap reached'), 'warning' ];
	case 'walled':     return [ _('login page'), 'danger' ];
	case 'paused':     return [ _('paused'), 'notice' ];
	case 'disabled':   return [ _('switched off'), 'notice' ];
	case 'standby':    return [ _('standby'), 'notice' ];
	case 'full':       return [ _('in use, full'), 'success' ];
	default:           return [ state, 'notice' ];
	}
}

return baseclass.extend({
	state: stateWord,

	/* Speeds and amounts in powers of 1000, as contracts count. */
	rate(bits) {
		return (bits >= 500) ? scaled(bits / 1000, [ 'kbit/s', 'Mbit/s', 'Gbit/s' ]) : '0';
	},

	amount(bytes) {
		return bytes ? scaled(bytes, UNITS) : '0';
	},

	/* How much of a data cap is used, in the cap's own unit: "12.4 of 50 GB". */
	share(cap) {
		const i = Math.min(Math.floor(Math.log10(Math.max(cap.limit_bytes, 1)) / 3), UNITS.length - 1);
		const say = n => String(+(n / Math.pow(1000, i)).toFixed(1));

		return _('%s of %s').format(say(cap.used_bytes), '%s %s'.format(say(cap.limit_bytes), UNITS[i]));
	},

	/* The same, with when it begins anew. The service does not know that before somebody told this router the time. */
	cap(cap) {
		const days = Math.round(cap.ends_seconds / DAY);

		return !cap.ends_at ? this.share(cap) : '%s, %s'.format(this.share(cap),
			_('resets in %s').format(cap.ends_seconds < 2 * DAY ? this.span(cap.ends_seconds) : N_(days, '%d day', '%d days').format(days)));
	},

	/* What to know, or to do, about a connection; empty if there is nothing. */
	note(link) {
		const cap = link.cap;

		if (link.state == 'walled')
			return _('Its network wants somebody to log in first (hotel, train): connect a device to it directly and open any web page.');

		if (cap?.state != 'reached')
			return '';

		switch (cap.action) {
		case 'stop': return _('Its data cap is used up. It is not used until that resets.');
		case 'slow': return _('Its data cap is used up. It is slowed down to %s until that resets.').format(this.rate(cap.rate_bits_per_second));
		default:     return _('Its data cap is used up.');
		}
	},

	/* A state as people see it: a coloured dot and a word. */
	badge(word, kind) {
		return E('span', [
			E('span', { 'aria-hidden': 'true', 'style': 'color:%s'.format(COLOURS[kind]) }, '●'), ' ', E('span', { 'data-word': kind }, word)
		]);
	},

	percent(ratio) {
		return (ratio < 0.0005) ? '0 %' : '%.1f %%'.format(ratio * 100);
	},

	/* A time span in its two largest units. */
	span(seconds) {
		const s = Math.max(0, Math.floor(seconds));

		if (s < 60)
			return _('%d s').format(s);

		if (s < 3600)
			return _('%d min').format(Math.floor(s / 60));

		if (s < DAY)
			return _('%d h %d min').format(Math.floor(s / 3600), Math.floor(s % 3600 / 60));

		return _('%d d %d h').format(Math.floor(s / DAY), Math.floor(s % DAY / 3600));
	},

	clock(seconds) {
		return new Date(seconds * 1000).toLocaleTimeString(document.documentElement.lang || [], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
	},

	/* A round trip, and what queues add to it now. */
	delay(path) {
		if (!path || !path.srtt_ms)
			return '-';

		return (path.queue_delay_ms >= 1)
			? _('%d ms, +%d by queues').format(Math.round(path.srtt_ms), Math.round(path.queue_delay_ms))
			: _('%d ms').format(Math.round(path.srtt_ms));
	},

	/* The connections with what is known of them: one for each link, with the path over it. */
	links(status) {
		const paths = status?.sessions?.[0]?.paths || [];
		const least = Math.min(...(status?.links || []).filter(l => paths.some(p => p.link == l.name && p.state == 'up')).map(l => l.metric));

		return (status?.links || []).map(link => {
			const path = paths.find(p => p.link == link.name);
			let state = link.state;

			if (state == 'up')
				state = path ? path.state : 'validating';

			if (state == 'up' && link.metric > least && path.down_bits_per_second + path.up_bits_per_second < IDLE_BITS)
				state = 'standby';
			else if (state == 'up' && path.up_bits_per_second > IDLE_BITS && path.up_bits_per_second > FULL * path.rate_bits_per_second)
				state = 'full';

			return { name: link.name, interface: link.interface, metric: link.metric, cap: link.cap, state, path };
		});
	},

	/* One sentence for the whole: { text, ok, next }, where next says what to do. */
	sentence(status) {
		const session = status?.sessions?.[0], links = this.links(status);

		if (!session)
			return { ok: false, text: _('No server is in use.'), next: _('Pair this router with a server on the page "Set-up".') };

		if (session.state == 'up') {
			const used = links.filter(l => [ 'up', 'full' ].includes(l.state)).length, six = (session.inner_addresses || []).some(a => a.includes(':'));
			const parts = [ _('Connected through %s').format(session.peer), _('%d of %d connections in use').format(used, links.length) ];

			if (session.public_address)
				parts.push((six ? _('public address %s (IPv6: yes)') : _('public address %s (IPv6: no)')).format(session.public_address));

			return { ok: true, text: parts.concat(_('since %s').format(this.span(session.state_seconds))).join(' - ') };
		}

		const alive = links.filter(l => ![ 'no_device', 'no_carrier', 'no_address', 'paused', 'disabled', 'cap_reached', 'walled' ].includes(l.state));

		if (!alive.length)
			return { ok: false, text: _('None of the connections works.'), next: _('Look at cables and modems; each connection below says what is wrong with it.') };

		return {
			ok: false,
			text: _('The server %s does not answer on any connection, for %s. The connections themselves have addresses: %s.').format(
				session.peer, this.span(session.state_seconds), alive.map(l => l.name).join(', ')),
			next: session.trouble || _('Is the server running? Does its provider\'s firewall let port %s in (UDP)?').format(/:(\d+)$/.exec(session.remote_endpoint)?.[1] || PORT)
		};
	},

	/* A sentence of the service as the beginning of one on a page. */
	sentenceCase(text) {
		return text ? text.charAt(0).toUpperCase() + text.slice(1) : '';
	},

	/* A way of a proxied connection: "dsl", "nl>us", "dsl:nl". relays are the names that are those of relays. */
	via(text, relays) {
		const [ link, chain ] = text.includes(':') ? text.split(':') : relays.includes(text) || text.includes('>') ? [ '', text ] : [ text, '' ];
		const hops = (chain || '').split('>').filter(h => h).map(h => _('relay %s').format(h)).join(_(', then '));

		return !hops ? link : !link ? hops : _('%s by way of %s').format(link, hops);
	},

	/* A route in one sentence. r is its section. */
	route(r, relays) {
		const list = v => [].concat(v || []);
		const to = list(r.dest).map(d => d == '*' ? _('everything') : d).join(', ') || '?';
		const ports = list(r.dest_port).length ? ' ' + _('(port %s)').format(list(r.dest_port).join(', ')) : '';

		if (r.carrier == 'plain' || r.carrier == 'tunnel')
			return '%s%s → %s'.format(to, ports, r.carrier == 'plain' ? _('directly') : _('through the tunnel'));

		const ways = list(r.via).map(v => this.via(v, relays)).join(' + ') || _('all connections');

		return '%s%s → %s → %s'.format(to, ports, ways, r.fallback == 'none' ? _('if that fails: not at all') : _('if that fails: directly'));
	},

	/* A rule in one sentence. r is its section, devices the names of the LAN's addresses. */
	rule(r, devices) {
		const list = v => [].concat(v || []);
		const who = [ ...list(r.src_ip), ...list(r.src_mac).map(m => m.toLowerCase()), ...list(r.src) ].map(d => devices.get(d) || d).join(', ') || _('all devices');
		const to = list(r.dest_ip).join(', ') || _('everything');
		const kind = [ r.proto && r.proto != 'any' ? ' ' + r.proto.toUpperCase() : '', r.dscp ? ' DSCP ' + r.dscp : '' ].join('');
		const ports = list(r.dest_port).length ? ' ' + _('(port %s)').format(list(r.dest_port).join(', ')) : '';

		return '%s → %s%s%s → %s'.format(who, to, kind, ports, r.target == 'tunnel' ? this.handling(r) : this.target(r.target));
	},

	/* What a rule does with what goes into the tunnel. */
	handling(r) {
		const links = [].concat(r.use_link || []);
		const done = [ r.duplicate == '1' ? _('sent twice') : '', links.length ? _('only over %s').format(links.join(', ')) : '',
			{ urgent: _('ahead of others'), bulk: _('behind others') }[r.class], r.profile ? this.profiles()[r.profile] : '' ].filter(d => d);

		return done.join(', ') || this.target('tunnel');
	},

	/* What may be preferred, the usual first. */
	profiles() {
		return { balanced: _('balanced'), latency: _('low delay'), throughput: _('throughput') };
	},

	/* Congestion controls, the usual first. */
	controls() {
		return {
			bbr: _('BBR - finds out what the line can do; the best for most'), cubic: _('CUBIC - fills the line until something is lost'),
			newreno: _('NewReno - the same, more careful'), none: _('None - only with the scheduler "weighted"')
		};
	},

	/* Where a rule sends what it names. */
	target(t) {
		return { proxy: _('through the proxy'), tunnel: _('through all connections') }[t] || _('not possible in this version');
	},

	/* What happened, in words. */
	event(e) {
		const name = e.link, text = this.eventText(e, name);

		return e.others?.length ? '%s %s'.format(text, _('What was on it went on over %s.').format(e.others.join(', '))) : text;
	},

	eventText(e, name) {
		switch (e.kind) {
		case 'connected':  return _('Connected with the server.');
		case 'lost':       return _('The connection with the server was lost.');
		case 'safe_mode':  return _('The service crashed several times and is careful now.');
		case 'up':         return _('%s is in use.').format(name);
		case 'down':       return _('%s stopped answering.').format(name);
		case 'validating': return _('%s is being checked.').format(name);
		case 'no_carrier': return _('%s: the cable or the modem is down.').format(name);
		case 'no_address': return _('%s has lost its address.').format(name);
		case 'no_device':  return _('%s: its interface is gone.').format(name);
		case 'paused':     return _('%s was paused.').format(name);
		case 'cap_warn':   return _('%s: %s of its data cap are used.').format(name, e.text);
		case 'cap_reached': return _('%s: its data cap is used up.').format(name);
		case 'walled':     return _('%s: a login page answers in place of the Internet.').format(name);
		default:           return '%s: %s'.format(name, stateWord(e.kind)[0]);
		}
	}
});
