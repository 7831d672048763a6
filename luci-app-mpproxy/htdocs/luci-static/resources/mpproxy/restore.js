'use strict';
'require baseclass';
'require dom';
'require ui';
'require mpproxy.api as api';
'require mpproxy.words as words';

/* Says that changed settings cut the router off from its server, and puts the ones before back. */
return baseclass.extend({
	render() {
		this.node = E('div');

		return this.node;
	},

	/* The notice stays, with its button, while the status goes on changing. */
	show(status) {
		if (!!status?.config_lost == !!this.shown)
			return;

		this.shown = !!status?.config_lost;
		this.said = E('p', { 'aria-live': 'polite' });
		dom.content(this.node, !this.shown ? '' : E('div', { 'class': 'alert-message warning', 'data-restore': '' }, [
			E('h4', _('The new settings bring no connection with the server')),
			E('p', _('Before they were saved there was one.')),
			this.said,
			api.mayWrite() ? E('button', { 'class': 'btn cbi-button cbi-button-action', 'click': ui.createHandlerFn(this, 'restore') }, _('Restore the previous settings')) : ''
		]));
	},

	async restore() {
		try {
			const job = await api.job('restore', []);

			if (job.error)
				throw new Error(job.error);

			window.location.reload();
		}
		catch (e) {
			dom.content(this.said, words.badge(words.sentenceCase(e.message), 'danger'));
		}
	}
});
