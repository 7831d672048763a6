'use strict';
'require baseclass';
'require uci';

const quote = v => "'" + String(v).replace(/'/g, "'\\''") + "'";

/* The configuration as it is in the browser, not saved yet, as a text of UCI. */
return baseclass.extend({
	config(name) {
		let text = '';

		for (const s of uci.sections(name)) {
			text += 'config %s%s\n'.format(s['.type'], s['.anonymous'] && !s['.create'] ? '' : ' ' + quote(s['.name']));

			for (const option in s) {
				if (option.charAt(0) == '.' || s[option] == null)
					continue;

				if (Array.isArray(s[option]))
					s[option].forEach(v => { text += '\tlist %s %s\n'.format(option, quote(v)); });
				else if (s[option] !== '')
					text += '\toption %s %s\n'.format(option, quote(s[option]));
			}
		}

		return text;
	}
});
