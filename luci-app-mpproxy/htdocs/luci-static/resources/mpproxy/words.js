'use strict';
'require baseclass';

const DAY = 86400;

const COLOURS = { success: 'var(--success-color-medium)', warning: 'var(--warn-color-high)', danger: 'var(--error-color-medium)', notice: 'var(--text-color-medium)' };

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
	case 'paused':     return [ _('paused'), 'notice' ];
	case 'disabled':   return [ _('switched off'), 'notice' ];
	case 'standby':    return [ _('standby'), 'notice' ];
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
		return bytes ? scaled(bytes, [ 'B', 'kB', 'MB', 'GB', 'TB' ]) : '0';
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

	/* A server by name and address. */
	server(session) {
		const host = (session.remote_endpoint || '').replace(/:\d+$/, '');

		return (host && host != session.peer) ? '%s (%s)'.format(session.peer, host) : session.peer;
	},

	/* The connections with what is known of them: one for each link, with the path over it. */
	links(status) {
		const paths = status?.sessions?.[0]?.paths || [];

		return (status?.links || []).map(link => {
			const path = paths.find(p => p.link == link.name);
			let state = link.state;

			if (state == 'up')
				state = path ? path.state : 'validating';

			if (state == 'up' && path?.standby)
				state = 'standby';

			return { name: link.name, interface: link.interface, metric: link.metric, state, path };
		});
	},

	/* One sentence for the whole: { text, ok, next }, where next says what to do. */
	sentence(status) {
		const session = status?.sessions?.[0], links = this.links(status);

		if (!session)
			return { ok: false, text: _('No server is in use.'), next: _('Pair this router with a server on the page "Set-up".') };

		if (session.state == 'up') {
			const used = links.filter(l => l.state == 'up').length;

			return {
				ok: true,
				text: _('Connected through %s - %d of %d connections in use - since %s').format(
					this.server(session), used, links.length, this.span(session.state_seconds))
			};
		}

		const alive = links.filter(l => ![ 'no_device', 'no_carrier', 'no_address', 'paused', 'disabled' ].includes(l.state));

		if (!alive.length)
			return { ok: false, text: _('None of the connections works.'), next: _('Look at cables and modems; each connection below says what is wrong with it.') };

		return {
			ok: false,
			text: _('The server %s does not answer on any connection, for %s. The connections themselves have addresses: %s.').format(
				this.server(session), this.span(session.state_seconds), alive.map(l => l.name).join(', ')),
			next: session.trouble || _('Is the server running? Does its provider\'s firewall let the port in?')
		};
	},

	/* A sentence of the service as the beginning of one on a page. */
	sentenceCase(text) {
		return text ? text.charAt(0).toUpperCase() + text.slice(1) : '';
	},

	/* What happened, in words. */
	event(e) {
		const name = e.link;

		switch (e.kind) {
		case 'connected':  return _('Connected with the server.');
		case 'lost':       return _('The connection with the server was lost.');
		case 'up':         return _('%s is in use.').format(name);
		case 'down':       return _('%s stopped answering; what was on it went on over the others.').format(name);
		case 'validating': return _('%s is being checked.').format(name);
		case 'no_carrier': return _('%s: the cable or the modem is down.').format(name);
		case 'no_address': return _('%s has lost its address.').format(name);
		case 'no_device':  return _('%s: its interface is gone.').format(name);
		case 'paused':     return _('%s was paused.').format(name);
		default:           return '%s: %s'.format(name, stateWord(e.kind)[0]);
		}
	}
});
