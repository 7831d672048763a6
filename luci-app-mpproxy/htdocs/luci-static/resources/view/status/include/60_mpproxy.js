'use strict';
'require baseclass';
'require mpproxy.api as api';
'require mpproxy.words as words';

return baseclass.extend({
	title: _('Bonding'),

	load() {
		return api.ask('status');
	},

	render(answer) {
		const status = answer.result;

		if (answer.trouble == 'denied')
			return null;

		if (!status)
			return E('p', [ E('em', api.trouble(answer)) ]);

		const s = words.sentence(status);

		return E('div', [
			E('p', [ words.badge(E('a', { 'href': L.url('admin/network/mpproxy/overview') }, s.text), s.ok ? 'success' : 'danger') ]),
			E('table', { 'class': 'table' }, [
				E('tr', { 'class': 'tr table-titles' }, [ _('Connection'), _('State'), _('Down'), _('Up'), _('Delay') ].map(t => E('th', { 'class': 'th' }, t))),
				...words.links(status).map(l => {
					const [ word, kind ] = words.state(l.state);

					return E('tr', { 'class': 'tr' }, [
						E('td', { 'class': 'td', 'data-title': _('Connection') }, l.name),
						E('td', { 'class': 'td', 'data-title': _('State') }, words.badge(word, kind)),
						E('td', { 'class': 'td', 'data-title': _('Down') }, words.rate(l.path?.down_bits_per_second)),
						E('td', { 'class': 'td', 'data-title': _('Up') }, words.rate(l.path?.up_bits_per_second)),
						E('td', { 'class': 'td', 'data-title': _('Delay') }, words.delay(l.path))
					]);
				})
			])
		]);
	}
});
