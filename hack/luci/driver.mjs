// Small things the scenarios in browser.mjs are made of.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// stage asks the lab that started us for something, and returns its answer.
export async function stage(...words) {
	process.stdout.write('@' + words.join(' ') + '\n');

	const { value, done } = await lines.next();

	if (done)
		throw new Error('the lab is gone');

	if (value.startsWith('error '))
		throw new Error(value.slice(6));

	return value;
}

export class Report {
	constructor() {
		this.passed = 0;
		this.failed = 0;
	}

	check(what, ok, more = '') {
		if (ok)
			this.passed++;
		else
			this.failed++;

		process.stdout.write(`${ok ? 'ok    ' : 'FAIL  '}${what}${ok || more === '' ? '' : ': ' + more}\n`);
	}
}

// open shows a page to a user and waits until its view is there.
export async function open(browser, port, backend, user, path, size = { width: 1280, height: 900 }) {
	const id = Math.random().toString(16).slice(2).padEnd(32, '0');

	backend.login(id, user);

	const context = await browser.newContext({ viewport: size, deviceScaleFactor: 1, colorScheme: user.dark ? 'dark' : 'light' });

	await context.addCookies([ { name: 'sid', value: id, domain: '127.0.0.1', path: '/' } ]);

	const page = await context.newPage();

	page.troubles = [];
	page.on('console', m => m.type() == 'error' && page.troubles.push(m.text()));
	page.on('pageerror', e => page.troubles.push(String(e.stack)));
	page.on('response', r => r.status() >= 400 && page.troubles.push(`${r.status()} ${r.url()}`));
	page.sid = id;
	await page.goto(`http://127.0.0.1:${port}/cgi-bin/luci/${path}`);
	await page.waitForSelector('#view > :not(.spinning):not(script)', { timeout: 15000, state: 'attached' });

	return page;
}

export async function shot(page, out, name) {
	mkdirSync(out, { recursive: true });
	await page.evaluate(() => window.scrollTo(0, 0));
	await page.waitForTimeout(300);
	await page.screenshot({ path: join(out, name + '.png'), fullPage: true });
	writeFileSync(join(out, name + '.txt'), await page.locator('#maincontent').innerText());
}

export const overflow = page => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

// contrast is the least contrast of any text in our view against what is behind it (WCAG 2.1).
export const contrast = page => page.evaluate(() => {
	const rgb = s => {
		const c = s.match(/[\d.]+/g)?.map(Number) ?? [ 0, 0, 0, 0 ];

		return c.length > 3 ? c : [ ...c, 1 ];
	};
	const lum = c => {
		const [ r, g, b ] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4));

		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	let worst = [ 99, '' ];

	for (const e of document.querySelectorAll('#view *')) {
		const own = [ ...e.childNodes ].filter(n => n.nodeType == 3 && n.data.trim()).map(n => n.data.trim()).join(' ');

		if (!own || !e.offsetParent || e.disabled || e.getAttribute('aria-hidden') || e.closest('[style*="opacity"], .cbi-button, .btn, .cbi-dropdown') || e.tagName == 'OPTION')
			continue;

		let back = [ 255, 255, 255 ], stack = [];

		for (let at = e; at; at = at.parentElement) {
			const style = getComputedStyle(at), gradient = /(rgba?|color|hsla?)\([^)]*\)/.exec(style.backgroundImage);

			stack.push(rgb(style.backgroundColor));

			if (gradient)
				stack.splice(stack.length - 1, 0, rgb(gradient[0]));
		}

		for (const c of stack.reverse())
			back = back.map((v, i) => v * (1 - c[3]) + c[i] * c[3]);

		const text = rgb(getComputedStyle(e).color), front = back.map((v, i) => v * (1 - text[3]) + text[i] * text[3]);
		const [ a, b ] = [ lum(front), lum(back) ].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);

		if (ratio < worst[0])
			worst = [ ratio, `${own.slice(0, 40)} (${e.className || e.tagName})` ];
	}

	return worst;
});
