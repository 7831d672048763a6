'use strict';
'require baseclass';

/* The same judgement as the router's: see src/pairing. */

const PREFIX = 'mpp1:';
const LEAST = 62; /* bytes of a token without addresses */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function bytesOf(chars) {
	const out = [];
	let bits = 0, n = 0;

	for (const c of chars) {
		bits = (bits << 6 | ALPHABET.indexOf(c)) & 0xffff;
		n += 6;

		if (n >= 8) {
			n -= 8;
			out.push(bits >> n & 0xff);
		}
	}

	return (n > 0 && bits & (1 << n) - 1) ? null : out;
}

function crc32(bytes) {
	let crc = 0xffffffff;

	for (const b of bytes) {
		crc ^= b;

		for (let i = 0; i < 8; i++)
			crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}

	return (crc ^ 0xffffffff) >>> 0;
}

function endpoints(bytes) {
	const list = [];

	for (let i = 0; i < bytes.length; ) {
		const kind = bytes[i++];
		const n = { 1: bytes[i], 4: 4, 6: 16 }[kind];

		if (kind == 1)
			i++;

		if (!n || i + n + 2 > bytes.length)
			return null;

		const host = bytes.slice(i, i + n), port = bytes[i + n] << 8 | bytes[i + n + 1];

		if (kind == 1)
			list.push({ host: String.fromCharCode(...host), port });
		else if (kind == 4)
			list.push({ host: host.join('.'), port });
		else
			list.push({ host: '[' + host.reduce((a, b, k) => a + (k % 2 ? '' : k ? ':' : '') + b.toString(16).padStart(2, '0'), '') + ']', port });

		i += n + 2;
	}

	return list.length ? list : null;
}

const altered = () => ({ error: _('This token was altered on its way: copy it again as a whole.') });

function cutOff(missing) {
	return { error: N_(missing, 'This token is cut off: %d character is missing.', 'This token is cut off: %d characters are missing.').format(missing) };
}

function decode(chars, extra) {
	if (extra)
		return { error: N_(extra, 'This token has %d character too many at its end.', 'This token has %d characters too many at its end.').format(extra) };

	const raw = bytesOf(chars);

	if (!raw || raw[1] != raw.length)
		return altered();

	const sum = raw.slice(-4).reduce((a, b) => (a << 8 | b) >>> 0, 0);
	const list = (crc32(raw.slice(0, -4)) == sum) ? endpoints(raw.slice(LEAST - 4, -4)) : null;

	return list ? { ok: true, server: list[0].host, port: list[0].port } : altered();
}

function measure(text) {
	let chars = '', want = 0, extra = 0;

	const short = () => want ? cutOff(want - chars.length)
		: { error: _('This token is cut off: almost all of it is missing.') };

	for (const c of text) {
		const space = ' \t\r\n>'.includes(c);

		if (want && chars.length == want) {
			if (space || !ALPHABET.includes(c))
				return decode(chars, extra);

			extra++;
			continue;
		}

		if (space)
			continue;

		if (!ALPHABET.includes(c))
			return short();

		chars += c;

		if (chars.length == 4) {
			const head = bytesOf(chars);

			if (!head || head[1] < LEAST)
				return altered();

			if (head[0] != 1)
				return { error: _('This token is of a newer kind: update mpproxy on this router.') };

			want = Math.ceil(head[1] * 8 / 6);
		}
	}

	return (want && chars.length == want) ? decode(chars, extra) : short();
}

return baseclass.extend({
	/* Judges a pasted text: { ok, server, port }, { error } in words, or {} for an empty one. */
	judge(text) {
		if (!text.trim())
			return {};

		const found = text.match(/mpp([1-9]):/i);

		if (!found)
			return { error: _('This is no token: a token begins with mpp1: and is printed by "mpproxy pair" on the server.') };

		if (found[1] != '1')
			return { error: _('This token is of a newer kind: update mpproxy on this router.') };

		return measure(text.slice(found.index + PREFIX.length));
	}
});
