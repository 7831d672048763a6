// SPDX-License-Identifier: Apache-2.0
//
// What the pages ask, passed on to the control socket of mpproxy: one line of JSON there, one line back. While no portal
// runs, "mpproxy assist" answers what works without one; it is started when it is needed and ends by itself.
//
// rpcd does nothing else while a call is here, so there is a limit for the whole call, and what takes longer is a job:
// start it, get its id, poll.

'use strict';

import * as socket from 'socket';
import { cursor } from 'uci';
import { access } from 'fs';

const PROGRAM = '/usr/bin/mpproxy';
const DEFAULT_SOCKET = '/var/run/mpproxy.sock';
const LIMIT = 300; // milliseconds

function socket_path() {
	return cursor().get('mpproxy', 'main', 'control') || DEFAULT_SOCKET;
}

function now() {
	const t = clock(true);

	return t[0] * 1000 + int(t[1] / 1000000);
}

// Waits until a socket can be read or written, at most until the deadline.
function wait(s, event, deadline) {
	const left = deadline - now();
	const ready = (left > 0) ? socket.poll(left, [ s, event ]) : null;

	return ready && ready[0][1];
}

// Asks at a socket. The answer is { result }, { error } in words, or { trouble } in one word of ours.
function ask_at(path, request) {
	const deadline = now() + LIMIT;
	const s = socket.connect({ path }, null, null, LIMIT);
	let rest = sprintf('%J\n', request);
	let buf = '';

	if (!s)
		return { trouble: 'no_service' };

	// Who hangs does not read either, and a socket takes only so much. One that is closed has said why.
	while (length(rest)) {
		if (!wait(s, socket.POLLOUT, deadline)) {
			s.close();
			return { trouble: 'timeout' };
		}

		const sent = s.send(rest, socket.MSG_DONTWAIT);

		if (!sent)
			break;

		rest = substr(rest, sent);
	}

	while (true) {
		if (!wait(s, socket.POLLIN, deadline)) {
			s.close();
			return { trouble: 'timeout' };
		}

		const part = s.recv(65536);

		if (!length(part))
			break;

		buf += part;

		if (substr(part, -1) == '\n')
			break;
	}

	s.close();

	try {
		return json(buf);
	}
	catch (e) {
		return { trouble: 'bad_answer' };
	}
}

function ask(request) {
	return ask_at(socket_path(), request);
}

// Asks the portal, or the assistant where none runs. If that must be started first, the page asks again.
function ask_anybody(request) {
	const answer = ask(request);

	if (answer.trouble != 'no_service')
		return answer;

	const path = DEFAULT_SOCKET + '.setup';
	const assisted = ask_at(path, request);

	if (assisted.trouble == 'no_service' && access(PROGRAM, 'x')) {
		// By its own number: the same program may be running as something else.
		system([ 'start-stop-daemon', '-S', '-q', '-b', '-m', '-p', path + '.pid', '-x', PROGRAM, '--', 'assist', '--socket', path ], 2000);
		return { trouble: 'starting' };
	}

	return assisted;
}

// A job of the assistant stays its own, also when it has started the portal.
function poll(id) {
	const request = { cmd: 'job', action: 'poll', name: id };

	return (index(id, 'assist-') == 0) ? ask_at(DEFAULT_SOCKET + '.setup', request) : ask(request);
}

function job(name, text) {
	return ask_anybody({ cmd: 'job', action: 'start', name, text });
}

return {
	'luci.mpproxy': {
		status: { call: () => ask({ cmd: 'status' }) },
		ring: { call: () => ask({ cmd: 'ring' }) },
		events: { call: () => ask({ cmd: 'events' }) },
		limits: { call: () => ask_anybody({ cmd: 'limits' }) },
		poll: {
			args: { id: 'id' },
			call: (req) => poll(req.args.id)
		},
		join: {
			args: { token: 'token', name: 'name', links: [] },
			call: (req) => job('join', sprintf('%J', { token: req.args.token, name: req.args.name || '', links: req.args.links || [] }))
		},
		undo: { call: () => job('undo', '') },
		restore: { call: () => job('restore', '') },
		speed: { call: () => job('speed', '') },
		relay: {
			args: { name: 'name' },
			call: (req) => job('relay', req.args.name)
		},
		secrets: { call: () => ask_anybody({ cmd: 'secret', action: 'list' }) },
		secret: {
			args: { name: 'name', password: 'password' },
			call: (req) => ask_anybody({ cmd: 'secret', action: 'set', name: req.args.name, text: req.args.password })
		},
		check: {
			args: { text: 'text' },
			call: (req) => job('check', req.args.text)
		},
		link: {
			args: { name: 'name', action: 'action' },
			call: (req) => ask({ cmd: 'link', link: req.args.name, action: req.args.action })
		}
	}
};
