'use strict';
'require baseclass';
'require poll';
'require rpc';

const call = (method, params) => rpc.declare({ object: 'luci.mpproxy', method, params, expect: {} });

const calls = {
	status: call('status'),
	ring: call('ring'),
	events: call('events'),
	limits: call('limits'),
	poll: call('poll', [ 'id' ]),
	join: call('join', [ 'token', 'name', 'links' ]),
	undo: call('undo'),
	restore: call('restore'),
	check: call('check', [ 'text' ]),
	link: call('link', [ 'name', 'action' ]),
	speed: call('speed'),
	relay: call('relay', [ 'name' ]),
	secrets: call('secrets'),
	secret: call('secret', [ 'name', 'password' ])
};

/* How often the service is asked again while it is being started, and a job how far it is. */
const STARTING_TRIES = 20;
const JOB_PAUSE = 400;

const pause = ms => new Promise(resolve => window.setTimeout(resolve, ms));

return baseclass.extend({
	/* Asks, and waits where somebody must be started first. Resolves to { result }, { error } or { trouble }. */
	async ask(method, ...args) {
		let answer = { trouble: 'no_service' };

		for (let i = 0; i < STARTING_TRIES; i++) {
			answer = await L.resolveDefault(calls[method](...args), null) || { trouble: 'denied' };

			if (answer.trouble != 'starting')
				break;

			await pause(JOB_PAUSE);
		}

		return answer;
	},

	/* The result of a question, or what stands for none. */
	async get(method, fallback, ...args) {
		const answer = await this.ask(method, ...args);

		return (answer.result !== undefined) ? answer.result : fallback;
	},

	trouble(answer) {
		switch (answer.trouble) {
		case 'no_service': return _('The service does not run.');
		case 'timeout':    return _('The service does not answer.');
		case 'denied':     return _('You may not do this.');
		case 'starting':   return _('The service does not start; the system log says why.');
		case undefined:    return answer.error || '';
		default:           return _('The service gave an answer that makes no sense.');
		}
	},

	/* Starts a job and tells of every change until it is done. Resolves to the job, or rejects with words. */
	async job(method, args, told) {
		const begun = await this.ask(method, ...args);

		if (begun.result === undefined)
			throw new Error(this.trouble(begun));

		let job = begun.result;

		for (let lost = 0; !job.done; ) {
			told?.(job);
			await pause(JOB_PAUSE);

			const answer = await this.ask('poll', job.id);

			if (answer.result !== undefined) {
				job = answer.result;
				lost = 0;
			}
			else if (answer.error || ++lost > STARTING_TRIES) {
				throw new Error(this.trouble(answer));
			}
		}

		told?.(job);

		return job;
	},

	/* Calls again and again, but not for a page that nobody sees. */
	every(seconds, fn) {
		poll.add(() => document.hidden ? Promise.resolve() : fn(), seconds);
	},

	mayWrite() {
		return L.hasViewPermission() !== false;
	}
});
