'use strict';
'require view';
'require dom';
'require ui';
'require mpproxy.api as api';
'require mpproxy.chart as chart';
'require mpproxy.restore as restore';
'require mpproxy.words as words';

const GRID = 'display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17em,100%),1fr));gap:1em;align-items:start';
const CARD = 'border:1px solid var(--border-color-medium);border-radius:4px;padding:.8em 1em;background:var(--background-color-high);color:var(--text-color-high)';
const CAP_COLOURS = { below: 'var(--text-color-medium)', warn: 'var(--warn-color-medium)', reached: 'var(--error-color-medium)' };
const LINK = 'color:inherit;text-decoration:underline'; /* on a coloured ground */
const HOUR = 3600;

function fact(title, value) {
	return E('div', { 'style': 'display:flex;justify-content:space-between;gap:1em;padding:.1em 0' }, [
		E('span', title), E('span', { 'style': 'text-align:right' }, value)
	]);
}

function bar(share, colour, title) {
	const percent = Math.min(100, Math.round(share * 100));

	return E('div', { 'role': 'progressbar', 'aria-valuenow': percent, 'title': title.format(percent),
		'style': 'height:.5em;margin:.6em 0;border:1px solid var(--border-color-medium);border-radius:3px;background:var(--background-color-low)' },
	E('div', { 'style': 'height:100%%;width:%d%%;background:%s'.format(percent, colour) }));
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return Promise.all([ api.ask('status'), api.get('ring', null), api.get('events', []) ]);
	},

	render([ answer, ring, events ]) {
		this.open = {};
		this.log = events;
		this.heard = Date.now();
		this.head = E('div');
		this.attention = E('div');
		this.restore = restore.render();
		this.cards = E('div', { 'style': GRID });
		this.events = E('div');
		this.live = E('div');
		chart.seed(ring);
		dom.content(this.live, [
			E('div', { 'class': 'cbi-section' }, chart.render()), E('div', { 'class': 'cbi-section', 'style': 'margin-top:1em' }, this.cards),
			E('div', { 'class': 'cbi-section', 'style': 'margin-top:1.5em' }, [ E('h3', _('Last hour')), this.events ])
		]);
		this.show(answer);
		this.showEvents(events);

		api.every(1, () => api.ask('status').then(a => this.show(a, true)));
		api.every(5, () => api.get('events', null).then(e => e && this.showEvents(e)));

		return E('div', { 'class': 'cbi-map' }, [
			E('h2', _('Bonding')), this.restore, this.head, this.attention, this.live
		]);
	},

	/* Shows an answer; without one what was shown last stays, greyed. */
	show(answer, again) {
		const status = answer.result;

		if (!status) {
			this.showSilence(answer, again);
			return;
		}

		this.heard = Date.now();
		this.known = true;
		this.live.style.opacity = '';
		const links = words.links(status);

		if (again) {
			chart.push(links.map(l => ({ name: l.name, down: l.path?.down_bits_per_second, up: l.path?.up_bits_per_second })));
			chart.update();
		}
		else {
			links.forEach(l => chart.learn(l.name));
			chart.update();
		}

		restore.show(status);
		this.showHead(words.sentence(status));
		this.showAttention(status);
		this.showCards(links);
	},

	showSilence(answer, again) {
		if (again && this.known) {
			this.live.style.opacity = '.4';
			dom.content(this.head, E('div', { 'class': 'alert-message warning' }, _('No answer from the service since %s').format(words.span((Date.now() - this.heard) / 1000))));
			return;
		}

		dom.content(this.head, E('div', { 'class': 'alert-message warning' }, [
			E('h4', api.trouble(answer)),
			E('p', [ _('Start it on the page'), ' ', E('a', { 'style': LINK, 'href': L.url('admin/system/startup') }, _('Startup')), '; ',
				_('if it is switched off, pair or switch it on under'), ' ', E('a', { 'style': LINK, 'href': L.url('admin/network/mpproxy/setup') }, _('Set-up')), '.' ])
		]));
		this.live.style.display = again && this.known ? '' : 'none';
	},

	showHead(s) {
		this.live.style.display = '';
		dom.content(this.head, s.ok
			? E('p', { 'style': 'font-size:1.15em;white-space:normal' }, words.badge(s.text, 'success'))
			: E('div', { 'class': 'alert-message danger' }, [ E('h4', s.text), s.next ? E('p', words.sentenceCase(s.next)) : '' ]));
	},

	showAttention(status) {
		const list = [].concat(status.advice || [], status.config_problem ? [ _('The saved settings are wrong, the earlier ones stay in force: %s').format(status.config_problem) ] : []);
		const session = status.sessions?.[0];

		if (session?.state == 'up' && session.trouble)
			list.push(session.trouble);

		if ((status.config_restart || []).length)
			list.push(_('Some settings count after a restart of the service only: %s').format(status.config_restart.join(', ')));

		dom.content(this.attention, list.length
			? E('div', { 'class': 'alert-message notice' }, [ E('h4', _('Attention')), ...list.map(t => E('p', words.sentenceCase(t))) ]) : '');
	},

	/* Cards stay, with their buttons, while their content changes: a click takes longer than a moment. */
	showCards(links) {
		const total = links.reduce((a, l) => a + (l.path ? l.path.down_bits_per_second + l.path.up_bits_per_second : 0), 0);
		const names = links.map(l => l.name).join();

		if (this.shown != names) {
			this.parts = {};

			for (const l of links) {
				const body = E('div'), buttons = E('div', { 'class': 'right', 'style': 'margin-top:.5em' });

				this.parts[l.name] = { body, buttons, box: E('div', { 'style': CARD, 'data-link': l.name }, [ body, buttons ]) };
			}

			dom.content(this.cards, links.map(l => this.parts[l.name].box));
			this.shown = names;
		}

		for (const l of links) {
			const part = this.parts[l.name], look = [ l.state == 'paused', l.state == 'disabled', !!this.open[l.name] ].join();

			dom.content(part.body, this.card(l, total));
			part.box.style.borderColor = (words.state(l.state)[1] == 'danger') ? 'var(--error-color-medium)' : 'var(--border-color-medium)';

			if (part.look != look) {
				dom.content(part.buttons, [ this.pauseButton(l), ' ', this.detailsButton(l) ]);
				part.look = look;
			}
		}
	},

	card(l, total) {
		const p = l.path, note = words.note(l), [ word, kind ] = words.state(l.state);
		const began = kind == 'danger' && this.log.findLast(e => e.link == l.name && e.kind == l.state);
		const share = (total && p) ? (p.down_bits_per_second + p.up_bits_per_second) / total : 0;

		return [
			E('div', { 'style': 'display:flex;justify-content:space-between;align-items:center;gap:.5em;margin-bottom:.4em' }, [
				E('strong', { 'style': 'border-left:.4em solid %s;padding-left:.5em'.format(chart.colour(l.name)) }, l.name),
				words.badge(word, kind)
			]),
			began ? fact(_('Since'), '%s (%s)'.format(words.clock(began.at), _('%s ago').format(words.span(Date.now() / 1000 - began.at)))) : '',
			...(l.state == 'down' ? [
				E('p', _('Nothing comes back over this connection. It is tried again all the time; if other devices have no Internet over it either, restart its modem.'))
			] : p ? [
				fact(_('Now'), '↓ %s  ↑ %s'.format(words.rate(p.down_bits_per_second), words.rate(p.up_bits_per_second))),
				fact(_('Delay'), words.delay(p)),
				fact(_('Lost on the way'), _('%s, %d repaired').format(words.percent(p.loss_ratio), p.repaired_packets)),
				bar(share, chart.colour(l.name), _('%d %% of all traffic now'))
			] : note ? [] : [ E('p', _('Nothing goes over this connection now.')) ]),
			...(l.cap ? [
				E('div', { 'data-cap': l.name }, [
					fact(_('Data cap'), words.cap(l.cap)),
					bar(l.cap.used_bytes / l.cap.limit_bytes, CAP_COLOURS[l.cap.state], _('%d %% of the data cap used'))
				])
			] : []),
			note ? E('p', note) : '',
			this.details(l)
		];
	},

	details(l) {
		const p = l.path;

		if (!this.open[l.name])
			return '';

		return E('div', { 'style': 'border-top:1px solid var(--border-color-low);margin-top:.4em;padding-top:.4em' }, [
			p ? chart.small(l.name) : '',
			fact(_('Interface'), l.interface),
			...(p ? [
				fact(_('Delay when idle'), _('%d ms').format(Math.round(p.min_rtt_ms))),
				fact(_('Waits in queues'), _('%d ms').format(Math.round(p.queue_delay_ms))),
				fact(_('Can send'), words.rate(p.rate_bits_per_second)),
				fact(_('Carried over'), p.transport.toUpperCase()),
				fact(_('Largest packet'), _('%d bytes').format(p.mtu_bytes)),
				fact(_('From'), p.local), fact(_('To'), p.remote),
				fact(_('Since its start'), '↓ %s  ↑ %s'.format(words.amount(p.down_bytes), words.amount(p.up_bytes)))
			] : [])
		]);
	},

	pauseButton(l) {
		const paused = l.state == 'paused';

		if (l.state == 'disabled' || !api.mayWrite())
			return '';

		return E('button', {
			'class': 'btn cbi-button ' + (paused ? 'cbi-button-action' : ''), 'data-button': 'pause-' + l.name,
			'title': paused ? '' : _('Not used until you press this again, or until the service restarts'),
			'click': ui.createHandlerFn(this, () => api.ask('link', l.name, paused ? 'resume' : 'pause').then(a => {
				if (a.result === undefined)
					ui.addNotification(null, E('p', api.trouble(a)), 'danger');

				return api.ask('status').then(s => this.show(s, false));
			}))
		}, paused ? _('Use again') : _('Pause'));
	},

	detailsButton(l) {
		return E('button', {
			'class': 'btn cbi-button', 'aria-expanded': String(!!this.open[l.name]), 'data-button': 'details-' + l.name,
			'click': ev => {
				ev.preventDefault();
				this.open[l.name] = !this.open[l.name];
				api.ask('status').then(s => this.show(s, false));
			}
		}, this.open[l.name] ? _('Less') : _('Details'));
	},

	showEvents(events) {
		const now = Date.now() / 1000;

		this.log = events;
		const list = events.filter(e => now - e.at < HOUR && e.kind != 'validating').slice(-12).reverse();

		dom.content(this.events, list.length
			? E('ul', { 'style': 'list-style:none;margin:0;padding:0' }, list.map(e => E('li', { 'style': 'display:flex;padding:.15em 0;color:var(--text-color-high)' }, [
				E('span', { 'style': 'flex:none;min-width:4em', 'title': _('%s ago').format(words.span(now - e.at)) }, words.clock(e.at)),
				E('span', words.event(e))
			])))
			: E('p', [ E('em', _('Nothing happened.')) ]));
	}
});
