'use strict';
'require baseclass';
'require form';
'require mpproxy.api as api';
'require mpproxy.text as text';

/* A dialog keeps errors to itself: say them in it, as far as there is one. */
function complain(problems) {
	const dialog = document.querySelector('body.modal-overlay-active #modal_overlay .modal');

	dialog?.querySelectorAll('.mpproxy-problem').forEach(e => e.remove());
	dialog?.querySelector('.cbi-map')?.after(E('div', { 'class': 'alert-message danger mpproxy-problem', 'role': 'alert' }, problems.map(p => E('p', p))));
}

function refuse(problems) {
	complain(problems);

	throw new TypeError(problems.join('\n'));
}

/* Lets the service judge what is not saved yet, so that page and service say the same sentence. */
async function judge() {
	const job = await api.job('check', [ text.config('mpproxy') ]).catch(() => null);
	const problems = (job?.steps || []).filter(s => s.state == 'failed').map(s => s.text.replace(/^\S+\/mpproxy:\d+: /, ''));

	if (problems.length)
		refuse(problems);
}

return baseclass.extend({
	/* Has a map saved only if the service would take it. */
	hold(map) {
		const save = map.save;

		map.save = (cb, silent) => save.call(map, () => Promise.resolve(cb?.()).then(judge), silent);

		return map;
	},

	/* The same for the dialogs of a grid. What was typed beside the grid is kept: LuCI shows the page anew after a dialog. */
	dialog(grid) {
		grid.addModalOptions = section => { this.hold(section.map); };
		grid.renderMoreOptionsModal = function(...args) {
			return this.map.parse().then(() => form.GridSection.prototype.renderMoreOptionsModal.apply(this, args), () => {});
		};
	},

	refuse,

	/* Whether this version can do something at all. limits are those of the service. */
	offers(limits, section, option, value) {
		const limit = limits.find(l => l.section == section && l.option == option);

		return !limit || limit.values.split(', ').includes(value);
	}
});
