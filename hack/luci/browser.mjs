// Drives the pages in a real browser, on LuCI's own client runtime, against the stand-in backend and real portals in a lab.
// The lab starts this program: see hack/lab/luci_test.go.
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Backend } from './backend.mjs';
import { Report, contrast, open, overflow, shot, stage } from './driver.mjs';
import { fixtures, uciFiles } from './fixtures.mjs';
import { APP } from './i18n.mjs';

const { LUCI, OUT, UCI_DIR, SOCKET, ASSIST, SECRETS } = process.env;
const report = new Report();
const config = join(UCI_DIR, 'mpproxy');
const ROOT = { write: true }, VIEWER = { write: false };
const SETUP = 'admin/network/mpproxy/setup', OVERVIEW = 'admin/network/mpproxy/overview', LINKS = 'admin/network/mpproxy/links', PROXY = 'admin/network/mpproxy/proxy', TRAFFIC = 'admin/network/mpproxy/traffic';
const NARROW = { width: 360, height: 740 };

for (const name in uciFiles)
	writeFileSync(join(UCI_DIR, name), uciFiles[name]);

const backend = new Backend({ luci: LUCI, app: APP, uci: UCI_DIR, socket: SOCKET, assist: ASSIST, fixtures, apply: () => stage('reload').catch(() => {}) });
const port = await backend.listen();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: [ '--no-sandbox' ] });
const visit = (user, path, size) => open(browser, port, backend, user, path, size);
const text = page => page.locator('#view').innerText();

// A check that may take a while to become true.
async function soon(what, test, more = () => '') {
	let ok = await test();

	for (let i = 0; !ok && i < 60; i++) {
		await new Promise(r => setTimeout(r, 250));
		ok = await test();
	}

	report.check(what, ok, ok ? '' : await more());
}

const conf = () => readFileSync(config, 'utf8');

async function well(page, name) {
	const over = await overflow(page), [ ratio, where ] = await contrast(page);

	report.check(`${name}: nothing is wider than the page`, over <= 0, `${over} px`);
	report.check(`${name}: contrast`, ratio >= 4.5, `${ratio.toFixed(2)} at ${where}`);
	report.check(`${name}: no error in the console`, page.troubles.length == 0, page.troubles.join(' | '));
	page.troubles.length = 0;
}

async function paste(page, token) {
	await page.fill('#token', token);

	return page.locator('#verdict').innerText();
}

async function run(page) {
	await page.getByRole('button', { name: 'Start' }).click();
	await page.locator('#view .alert-message.danger, #view [data-done]').last().waitFor({ timeout: 60000 });
}

async function setUp() {
	const good = await stage('token', 'home'), revoked = await stage('revoked');
	const page = await visit(ROOT, SETUP);

	report.check('not paired: set-up is the only page', (await page.locator('#tabmenu li').count()) == 1, await page.locator('#tabmenu').innerText());
	report.check('not paired: it can not start without a token', await page.getByRole('button', { name: 'Start' }).isDisabled());
	await shot(page, OUT, '1-setup-empty');
	report.check('a cut token', (await paste(page, good.slice(0, -12))).includes('cut off: 12 characters are missing'), await page.locator('#verdict').innerText());
	report.check('a changed token', (await paste(page, good.slice(0, 60) + (good[60] == 'A' ? 'B' : 'A') + good.slice(61))).includes('was altered'));
	report.check('no token', (await paste(page, 'hello')).includes('This is no token'));
	report.check('a token in a quoted mail', (await paste(page, `> Paste this:\n> ${good.slice(0, 50)}\n> ${good.slice(50)}\n`)).includes('203.0.113.2'), await page.locator('#verdict').innerText());
	await paste(page, revoked);
	await run(page);
	report.check('a refused token: the server\'s reason', (await text(page)).includes('The token was taken back on'), await text(page));
	report.check('a refused token: what was typed stays', (await page.inputValue('#token')) == revoked);
	report.check('a refused token: nothing is written', !readFileSync(config, 'utf8').includes('public_key'));
	await shot(page, OUT, '2-setup-refused');
	await well(page, 'set-up');
	await paste(page, good);
	report.check('interfaces of one device are one connection', (await page.locator('.cbi-section-table-row').count()) == 5, await text(page));

	for (const [ name, why ] of [ [ 'modem', 'is down' ], [ 'cable', 'has no address' ], [ 'twin', 'has the same addresses as the LAN (10.1.0.1/24)' ] ])
		report.check(`${name} cannot be ticked, and why`, (await page.locator('.cbi-section-table-row', { hasText: name }).innerText()).includes(why) && await page.locator('#use-' + name).isDisabled(), await text(page));

	report.check('what else decides on the router is said', (await text(page)).includes('mwan3 is running') && (await text(page)).includes('Hardware offloading is on'));
	await page.getByLabel('When to use wwan').selectOption('overflow');
	await page.getByLabel('pays per gigabyte').nth(1).check();
	const before = readFileSync(config, 'utf8');

	await run(page);
	report.check('the speed is not measured unasked', !backend.asked.includes('speed') && (await text(page)).includes('wwan pays per gigabyte.'), await text(page));
	await page.getByRole('button', { name: 'Measure the speed' }).click();
	await page.locator('#speed', { hasText: 'used.' }).waitFor({ timeout: 60000 });

	const speed = /down: ([\d.]+) Mbit\/s/.exec(await text(page))?.[1];

	report.check('the speed test: a speed, with each one\'s part', +speed > 4 && +speed < 33 && /wan [\d.]+ Mbit\/s \+ wwan [\d.]+ Mbit\/s/.test(await text(page)), await text(page));
	await shot(page, OUT, '3-setup-done');

	const steps = await page.locator('[data-step]').evaluateAll(list => list.map(e => `${e.dataset.step}=${e.dataset.state}`));
	report.check('every step is ticked', [ 'token', 'keys', 'link-wan', 'link-wwan', 'server', 'addresses', 'written', 'started', 'internet', 'names' ].every(s => steps.includes(s + '=ok')), steps.join(' '));

	const written = readFileSync(config, 'utf8');
	report.check('addresses are told', /Addresses received: 10\.99\.0\.\d+/.test(await text(page)), await text(page));
	report.check('the settings are written', /config link 'wwan'[^]*option overflow '1'/.test(written) && written.includes("option metered '1'") && written.includes("option enabled '1'"), written);
	await page.getByRole('button', { name: 'Undo' }).click();
	await page.getByText('The settings are as they were before.').waitFor({ timeout: 10000 });
	report.check('undo puts back what was there, to the byte', readFileSync(config, 'utf8') == before, readFileSync(config, 'utf8'));
	writeFileSync(config, written);
	await stage('reload');
	await page.goto(`http://127.0.0.1:${port}/cgi-bin/luci/${SETUP}`);
	await page.waitForSelector('#tabmenu li:nth-child(5)');
	report.check('paired: all pages are there', (await page.locator('#tabmenu li').allInnerTexts()).join() == 'Overview,Connections,Traffic,Proxy,Set-up');
	await page.context().close();
}

async function overview() {
	const page = await visit(ROOT, OVERVIEW);

	await stage('download', '8');
	await page.waitForTimeout(5000);
	report.check('overview: connected', /Connected through \S+ - [12] of 2 connections in use - public address 203\.0\.113\.2 \(IPv6: no\) - since/.test(await text(page)), await text(page));
	report.check('overview: it carries something', /↓ \d+\.\d Mbit\/s/.test(await text(page)), await text(page));
	report.check('overview: the chart has areas', (await page.locator('svg polygon').count()) == 4);
	await shot(page, OUT, '4-overview');
	await well(page, 'overview');

	const before = await page.locator('[data-link=wan]').innerText();
	await page.waitForTimeout(2500);
	report.check('overview: it is live', before != await page.locator('[data-link=wan]').innerText());
	await page.locator('[data-button=details-wan]').click();
	await page.waitForTimeout(1500);
	report.check('overview: details', (await page.locator('[data-link=wan]').innerText()).includes('Largest packet') && (await page.locator('[data-link=wan] svg polygon').count()) == 2);
	await page.locator('[data-button=pause-wwan]').click();
	await page.locator('[data-link=wwan] [data-word]', { hasText: 'paused' }).waitFor({ timeout: 15000 });
	report.check('overview: a connection is paused', true);
	await page.locator('summary').click();
	await page.waitForTimeout(1500);
	await shot(page, OUT, '5-overview-details');
	await page.locator('[data-button=pause-wwan]').click();
	await page.locator('[data-link=wwan] [data-word]', { hasText: /in use|being checked|standby/ }).waitFor({ timeout: 15000 });
	report.check('overview: and used again', true);
	await soon('overview: what happened is told', async () => (await text(page)).includes('wwan was paused'), () => text(page));

	backend.dead = 'timeout';
	await soon('a dead service: said, and what was shown stays grey', async () => (await text(page)).includes('No answer from the service since') && await page.locator('[data-link=wan]').isVisible(), () => text(page));
	await shot(page, OUT, '6-overview-dead');
	backend.dead = false;
	await soon('and it comes back by itself', async () => !(await text(page)).includes('No answer'), () => text(page));

	let asked = backend.answers.length;
	await page.evaluate(() => { Object.defineProperty(document, 'hidden', { get: () => true }); });
	await page.waitForTimeout(1500);
	asked = backend.answers.length;
	await page.waitForTimeout(3000);
	report.check('a hidden page asks nothing', backend.answers.length == asked, `${backend.answers.length - asked} questions`);
	await page.context().close();

	backend.dead = 'no_service';
	const dead = await visit(ROOT, OVERVIEW);
	report.check('no service at all: what to do is said', (await text(dead)).includes('The service does not run.') && (await text(dead)).includes('Startup'), await text(dead));
	await shot(dead, OUT, '7-overview-none');
	await dead.context().close();
	backend.dead = false;
}

async function silence() {
	const page = await visit(ROOT, OVERVIEW);

	await stage('download', '30');
	await page.waitForTimeout(2000);
	await stage('cut', '1');
	await page.locator('[data-link=wan] [data-word]', { hasText: 'no answer' }).waitFor({ timeout: 15000 });
	await soon('overview: a connection that went silent: since when, what to do, and nothing old',
		async () => /Since\s*\d\d:\d\d \(\d+ s ago\)\s*Nothing comes back/.test(await page.locator('[data-link=wan]').innerText()) && !/Delay/.test(await page.locator('[data-link=wan]').innerText()), () => page.locator('[data-link=wan]').innerText());
	report.check('a silent connection is seen', true);
	await soon('and told', async () => (await text(page)).includes('wan stopped answering. What was on it went on over wwan.'), () => text(page));
	await shot(page, OUT, '8-overview-cut');
	await stage('restore', '1');
	await page.locator('[data-link=wan] [data-word]', { hasText: 'in use' }).waitFor({ timeout: 20000 });
	await page.context().close();
}

async function links() {
	const page = await visit(ROOT, LINKS);

	await shot(page, OUT, '9-links');
	await well(page, 'connections');
	report.check('connections: both with their state', (await page.locator('[data-state]').count()) == 2, await text(page));
	await page.locator('.cbi-section-table-row[data-sid=wwan]').getByRole('button', { name: 'Edit' }).click();
	await page.waitForSelector('.modal .cbi-map');
	await shot(page, OUT, '10-links-modal');
	await page.locator('.modal [data-tab=limits] a, .modal li[data-tab=limits]').first().click();
	await page.locator('.modal [data-name=upload] input[type=text]').fill('9');
	await page.locator('.modal').getByRole('button', { name: 'Save' }).click();
	await page.waitForSelector('.modal .cbi-map', { state: 'hidden' });
	await page.locator('.cbi-page-actions .cbi-button-apply').first().click();
	await soon('connections: saved', () => /config link 'wwan'[^]*option upload '9'/.test(conf()), conf);
	await page.context().close();

	// What the service would refuse is refused in the page, in the same words.
	const other = await visit(ROOT, LINKS);
	await other.locator('.cbi-section-table-row[data-sid=wwan]').getByRole('button', { name: 'Edit' }).click();
	await other.waitForSelector('.modal .cbi-map');
	await other.locator('.modal li[data-tab=advanced]').first().click();
	await other.locator('.modal [data-name=mtu] input[type=text]').fill('60000');
	await other.locator('.modal').getByRole('button', { name: 'Save' }).click();
	await soon('connections: the service\'s own sentence', async () => (await other.locator('body').innerText()).includes("link 'wwan', option mtu '60000': must be"), () => other.locator('body').innerText());
	await shot(other, OUT, '11-links-refused');
	report.check('connections: nothing of it is saved', !readFileSync(config, 'utf8').includes('60000'));
	await other.context().close();
}

// A data cap: typed in, reached, on the card, corrected.
async function caps() {
	const page = await visit(ROOT, LINKS), edit = async name => {
		await page.locator('.cbi-section-table-row[data-sid=wwan]').getByRole('button', { name: 'Edit' }).click();
		await page.waitForSelector('.modal .cbi-map');
		await page.locator('.modal li[data-tab=cap]').first().click();

		return page.locator(`.modal [data-name=${name}] input[type=text]`);
	};
	const save = async () => {
		await page.locator('.modal').getByRole('button', { name: 'Save' }).click();
		await page.waitForSelector('.modal .cbi-map', { state: 'hidden' });
		await page.locator('.cbi-page-actions .cbi-button-apply').first().click();
	};

	await (await edit('cap_mb')).fill('5');
	await shot(page, OUT, '13-links-cap');
	await well(page, 'data cap');
	await save();
	await soon('data cap: saved', () => /config link 'wwan'[^]*option cap_mb '5'/.test(conf()), conf);
	await stage('download', '8');

	const seen = await visit(ROOT, OVERVIEW);

	await seen.locator('[data-cap=wwan]').waitFor({ timeout: 15000 });
	report.check('data cap: only where there is one', (await seen.locator('[data-cap]').count()) == 1);
	await seen.locator('[data-link=wwan] [data-word]', { hasText: 'data cap reached' }).waitFor({ timeout: 20000 });
	report.check('data cap: on its card', /Data cap\s*[\d.]+ of 5 MB, resets in /.test(await seen.locator('[data-link=wwan]').innerText()) && (await seen.locator('[data-link=wwan]').innerText()).includes('It is not used until that resets.'), await seen.locator('[data-link=wwan]').innerText());
	await soon('data cap: told', async () => (await text(seen)).includes('wwan: its data cap is used up.'), () => text(seen));
	await shot(seen, OUT, '14-overview-cap');
	await well(seen, 'overview with a data cap');
	await soon('data cap: in the list', async () => /[\d.]+ of 5 MB/.test(await page.locator('span[data-cap=wwan]').innerText()), () => text(page));
	await page.waitForTimeout(3000);

	const used = await edit('cap_used_mb');

	report.check('data cap: what was counted is said', /^\d+ counted$/.test(await used.getAttribute('placeholder')), await used.getAttribute('placeholder'));
	await used.fill('1');
	await save();
	await soon('data cap: a correction is saved, with its time', () => /option cap_used_mb '1'[^]*option cap_used_at '\d{10}'/.test(conf()), conf);
	await seen.locator('[data-link=wwan] [data-word]', { hasText: /in use|being checked|standby/ }).waitFor({ timeout: 20000 });
	report.check('data cap: used again after a correction', /[1-4](\.\d)? of 5 MB/.test(await seen.locator('[data-link=wwan]').innerText()), await seen.locator('[data-link=wwan]').innerText());
	await page.waitForTimeout(3000);
	await (await edit('cap_mb')).fill('');
	report.check('data cap: a correction is not shown again', (await page.locator('.modal [data-name=cap_used_mb] input[type=text]').inputValue()) === '');
	await save();
	await soon('data cap: taken away', () => !/option cap_mb/.test(conf()), conf);
	await soon('data cap: and from its card', async () => (await seen.locator('[data-cap]').count()) == 0);
	await page.waitForTimeout(3000);
	await (await edit('cap_mb')).fill('50000'); // for the looks
	await save();
	await soon('data cap: and back', async () => /0 of 50 GB, resets in/.test(await text(seen)), () => text(seen));
	await seen.context().close();
	await page.context().close();
}

// Settings that cut the router off from its server.
async function cutOff() {
	const good = conf(), page = await visit(ROOT, LINKS);

	await page.waitForTimeout(12000); // so that what there is counts as proven
	writeFileSync(config, good.replace(/list endpoint '[^']*'/, "list endpoint '203.0.113.99:6779'"));
	await stage('reload');
	await page.waitForTimeout(20000);
	report.check('cut off: not said too soon', !(await page.locator('[data-restore]').isVisible()));
	await page.locator('[data-restore]').waitFor({ timeout: 30000 });
	report.check('cut off: said', (await page.locator('[data-restore]').innerText()).includes('Before they were saved there was one.'));
	await well(page, 'cut off');
	await page.context().close();

	const viewer = await visit(VIEWER, OVERVIEW);
	report.check('cut off: a viewer has no button', await viewer.locator('[data-restore]').isVisible() && (await viewer.locator('[data-restore] button').count()) == 0);
	await viewer.context().close();

	const seen = await visit(ROOT, OVERVIEW);
	await shot(seen, OUT, '15-overview-cut-off');
	await seen.getByRole('button', { name: 'Restore the previous settings' }).click();
	await soon('cut off: the settings are as before, to the byte', () => conf() == good, conf);
	await soon('cut off: connected again', async () => (await text(seen)).includes('Connected through') && !(await text(seen)).includes('Restore'), () => text(seen));
	await seen.context().close();
}

// The order of connections is changed with the mouse.
async function order() {
	const page = await visit(ROOT, LINKS), row = name => page.locator(`.cbi-section-table-row[data-sid=${name}]`);

	await row('wwan').locator('.drag-handle').dragTo(row('wan'), { targetPosition: { x: 300, y: 4 } });
	await page.locator('.cbi-page-actions .cbi-button-apply').first().click();
	await soon('connections: another order', () => /config link 'wwan'[^]*config link 'wan'/.test(conf()), conf);
	await page.context().close();
}

// Adds a section to one of a page's grids: types its name, fills its dialog, saves that.
async function add(page, type, name, fields, save = true) {
	const create = page.locator(`[data-section-type=${type}] .cbi-section-create, #cbi-mpproxy-${type} .cbi-section-create`).first();

	if (name)
		await create.locator('input').pressSequentially(name);

	await create.getByRole('button', { name: 'Add' }).click();
	await page.waitForSelector('.modal .cbi-map');

	for (const [ field, value ] of fields) {
		const at = page.locator(`.modal [data-name=${field}]`);

		if (await at.locator('select').count()) {
			await at.locator('select').selectOption(value);
		}
		else if (await at.locator('.cbi-dynlist').count()) {
			if (await at.locator('.cbi-dynlist .cbi-dropdown').count()) {
				await at.locator('.cbi-dropdown').click();
				await at.locator('.cbi-dropdown ul.dropdown').locator(`li[data-value="${value}"]`).click();
			}
			else {
				await at.locator('.add-item input').fill(value);
				await at.locator('.add-item input').press('Enter');
			}
		}
		else {
			await at.locator('input:not([type=hidden])').first().fill(value);
		}
	}

	if (save) {
		await page.locator('.modal').getByRole('button', { name: 'Save' }).click();
		await page.waitForSelector('.modal .cbi-map', { state: 'hidden' });
	}
}

const PASSWORD = 'it\'s a secret';

async function proxy() {
	const page = await visit(ROOT, PROXY);

	report.check('proxy: switched off at first', (await text(page)).includes('The proxy is switched off.'), await text(page));
	await page.locator('[data-name=enabled] input[type=checkbox]').first().check();
	await page.locator('[data-name=auth] select').first().selectOption('user');
	await add(page, 'user', 'ann', [ [ 'password', PASSWORD ] ]);
	report.check('proxy: a password is kept where only the service reads it', readFileSync(join(SECRETS, 'user.ann'), 'utf8') == PASSWORD + '\n' && (statSync(join(SECRETS, 'user.ann')).mode & 0o77) == 0);
	await add(page, 'relay', 'nl', [ [ 'address', '198.51.100.2:1081' ], [ 'username', 'me' ], [ 'password', 'it\'s mine' ] ]);
	await add(page, 'route', '', [ [ 'dest', '198.51.100.0/24' ], [ 'via', 'wan' ], [ 'via', 'wwan' ] ]);
	report.check('proxy: a route in words', (await text(page)).includes('198.51.100.0/24 → wan + wwan → if that fails: directly'), await text(page));
	await page.locator('.cbi-page-actions .cbi-button-apply').first().click();
	await soon('proxy: saved', () => /config socks[^]*option enabled '1'/.test(conf()), conf);

	const saved = conf();

	report.check('proxy: without the password', /config socks[^]*option enabled '1'/.test(saved) && /config user 'ann'/.test(saved) && /list via 'wwan'/.test(saved) && !saved.includes(PASSWORD) && !saved.includes('password'), saved);
	await page.context().close();

	const live = await visit(ROOT, PROXY);

	await soon('proxy: what to type into programs', async () => (await text(live)).includes('SOCKS5 10.1.0.1:1080'), () => text(live));
	await stage('fetch', '25', 'ann:' + PASSWORD);
	report.check('proxy: a wrong password is refused', (await stage('fetch', '2', 'ann:wrong')) == '97');
	await live.locator('[data-stream]').first().waitFor({ timeout: 10000 });
	await soon('proxy: live connections', async () => /10\.1\.0\.2\s+198\.51\.100\.2:8081\s+(wan|wwan) \d+ %, (wan|wwan) \d+ %/.test(await text(live)), () => text(live));
	await live.locator('[data-relay=nl] button').click();
	await live.locator('[data-relay=nl]', { hasText: /\(\d+ ms\)/ }).waitFor({ timeout: 15000 });
	report.check('proxy: a relay that works', true);
	await live.locator('.cbi-section-table-row[data-sid=nl]').getByRole('button', { name: 'Edit' }).click();
	await live.waitForSelector('.modal .cbi-map');
	report.check('proxy: a password is not shown again', (await live.locator('.modal [data-name=password] input:not([type=hidden])').first().inputValue()) === '', await live.locator('.modal').innerHTML());
	await live.locator('.modal [data-name=password] input:not([type=hidden])').first().fill('wrong');
	await live.locator('.modal').getByRole('button', { name: 'Save' }).click();
	await live.waitForSelector('.modal .cbi-map', { state: 'hidden' });
	await live.waitForTimeout(500);
	await live.locator('[data-relay=nl] button').click();
	await live.locator('[data-relay=nl]', { hasText: 'refuses this user or password' }).waitFor({ timeout: 15000 });
	report.check('proxy: a relay that refuses, and a new password that counts at once', true);
	await shot(live, OUT, '12-proxy');
	await well(live, 'proxy');
	backend.dead = 'timeout';
	await soon('proxy: a dead service', async () => (await text(live)).includes('The service does not answer.') && await live.locator('[data-stream]').count() > 0, () => text(live));
	backend.dead = false;
	await add(live, 'route', '', [ [ 'dest', '300.1.2.3/99' ] ], false);
	await live.locator('.modal').getByRole('button', { name: 'Save' }).click();
	await live.locator('.mpproxy-problem').waitFor({ timeout: 5000 });
	report.check('proxy: the service\'s own sentence', (await live.locator('.mpproxy-problem').innerText()).includes('must be a network, a domain, or *'), await live.locator('.mpproxy-problem').innerText());
	await live.context().close();
}

// A device's rule, and calls twice: from the page into the running service.
async function traffic() {
	const page = await visit(ROOT, TRAFFIC);

	await page.locator('[data-name=duplicate] select').first().selectOption('calls');
	await page.locator('[data-name=ipv6] select').first().selectOption('reject');
	await page.locator('#view li[data-tab=advanced]').first().click();
	await page.locator('[data-name=scheduler] select').first().selectOption('greedy');
	await shot(page, OUT, '13-traffic-advanced');
	await add(page, 'rule', '', [ [ 'dest_port', '3074' ] ], false);
	await page.locator('.modal [data-name=duplicate] input[type=checkbox]').check();
	await page.locator('.modal [data-name=use_link] .cbi-dropdown').click();
	await page.locator('.modal [data-name=use_link] ul.dropdown li[data-value=wan]').click();
	await page.keyboard.press('Escape');
	await shot(page, OUT, '13-traffic-rule');
	await page.locator('.modal li[data-tab=advanced]').first().click();
	await page.locator('.modal [data-name=src_ip] .add-item input').first().fill('10.1.0.2');
	await page.locator('.modal [data-name=src_ip] .add-item input').first().press('Enter');
	await page.locator('.modal [data-name=class] select').selectOption('urgent');
	await page.locator('.modal').getByRole('button', { name: 'Save' }).click();
	await page.waitForSelector('.modal .cbi-map', { state: 'hidden' });
	report.check('traffic: a rule in words', (await text(page)).includes('10.1.0.2 → everything (port 3074) → sent twice, only over wan, ahead of others'), await text(page));
	await page.locator('.cbi-page-actions .cbi-button-apply').first().click();
	await soon('traffic: saved', () => /config portal 'main'[^]*option duplicate 'calls'/.test(conf()) && /config rule[^]*list src_ip '10.1.0.2'/.test(conf()) && /config rule[^]*option duplicate '1'/.test(conf())
		&& /config rule[^]*list use_link 'wan'/.test(conf()) && /config rule[^]*option class 'urgent'/.test(conf()) && /config portal 'main'[^]*option scheduler 'greedy'/.test(conf()) && /config portal 'main'[^]*option ipv6 'reject'/.test(conf())
		&& /config portal 'main'[^]*list lan 'lan0?'/.test(conf()), conf);
	await well(page, 'traffic');
	await shot(page, OUT, '13-traffic');
	await add(page, 'rule', '', [ [ 'dest_port', '80-20' ] ], false);
	await page.locator('.modal').getByRole('button', { name: 'Save' }).click();
	await page.locator('.mpproxy-problem').waitFor({ timeout: 5000 });
	report.check('traffic: the service\'s own sentence', (await page.locator('.mpproxy-problem').innerText()).includes('must be a port or a range of ports'), await page.locator('.mpproxy-problem').innerText());
	await page.context().close();
	await stage('reload');
}

async function adds() {
	const page = await visit(ROOT, LINKS);

	await page.locator('.cbi-section-create input').pressSequentially('third');
	await page.getByRole('button', { name: 'Add a connection' }).click();
	await page.waitForSelector('.modal .cbi-map');
	await page.locator('.modal [data-name=interface] .cbi-dropdown').click();
	await page.locator('.modal [data-name=interface] .cbi-dropdown ul.dropdown li[data-value=modem]').click();
	await page.locator('.modal').getByRole('button', { name: 'Save' }).click();
	await page.waitForSelector('.modal .cbi-map', { state: 'hidden' });
	await page.locator('.cbi-page-actions .cbi-button-apply').first().click();
	await soon('connections: one was added', () => /config link 'third'[^]*option interface 'modem'/.test(conf()), conf);
	report.check('connections: added without an error in the console', page.troubles.length == 0, page.troubles.join(' | '));
	await stage('reload');
	await page.waitForTimeout(1000);
	await page.context().close();

	const again = await visit(ROOT, OVERVIEW);
	report.check('connections: the running service shows it', (await text(again)).includes('down: no such interface'), await text(again));
	await again.context().close();
}

async function readOnly() {
	const page = await visit(VIEWER, OVERVIEW);

	const proxied = await visit(VIEWER, PROXY);
	report.check('a viewer sees the proxy, and changes nothing of it', (await text(proxied)).includes('Routes') && (await proxied.locator('#view button:not([disabled]):not(.cbi-button-edit):not(.drag-handle)').count()) == 0,
		(await proxied.locator('#view button:not([disabled])').evaluateAll(l => l.map(e => e.outerHTML))).join());
	await proxied.context().close();
	report.check('a viewer sees the state', (await text(page)).includes('Connected through'));
	report.check('a viewer has no button to pause', (await page.locator('[data-button^=pause]').count()) == 0);
	await page.context().close();

	const set = await visit(VIEWER, SETUP);
	report.check('a viewer cannot start', await set.getByRole('button', { name: 'Start' }).isDisabled());
	await set.context().close();

	for (const [ object, method, args ] of [ [ 'luci.mpproxy', 'join', { token: 'x' } ], [ 'luci.mpproxy', 'undo', {} ], [ 'luci.mpproxy', 'restore', {} ], [ 'luci.mpproxy', 'link', { name: 'wan', action: 'pause' } ],
		[ 'luci.mpproxy', 'check', { text: '' } ], [ 'luci.mpproxy', 'speed', {} ], [ 'luci.mpproxy', 'relay', { name: 'nl' } ], [ 'luci.mpproxy', 'secret', { name: 'user.ann', password: 'x' } ], [ 'uci', 'set', { config: 'mpproxy', section: 'main', values: { enabled: '0' } } ] ]) {
		const [ answer ] = await backend.rpc(JSON.stringify([ { id: 1, method: 'call', params: [ set.sid, object, method, args ] } ]));

		report.check(`a viewer may not ${object} ${method}`, answer.error?.code == -32002, JSON.stringify(answer));
	}
}

async function looks() {
	for (const [ path, name ] of [ [ OVERVIEW, 'overview' ], [ LINKS, 'links' ], [ TRAFFIC, 'traffic' ], [ PROXY, 'proxy' ], [ SETUP, 'setup' ] ]) {
		for (const [ user, size, kind ] of [ [ { ...ROOT, dark: true }, undefined, 'dark' ], [ ROOT, NARROW, '360' ], [ { ...ROOT, lang: 'de' }, undefined, 'de' ], [ { ...ROOT, lang: 'de', dark: true }, NARROW, 'de-360-dark' ] ]) {
			const page = await visit(user, path, size);

			await page.waitForTimeout(1500);
			await well(page, `${name} ${kind}`);
			await shot(page, OUT, `20-${name}-${kind}`);
			await page.context().close();
		}
	}

	const page = await visit(ROOT, 'admin/status/overview');
	await page.getByText('Connected through').waitFor({ timeout: 15000 });
	report.check('status page: the box is there', true);
	await shot(page, OUT, '21-status');
	await page.context().close();
}

// In a language where every text of ours is in brackets, whatever stands outside of them is not translated.
async function untranslated() {
	const data = /^[\d\s.,:%↓↑+()/\-·●✔✘!…⟧]*$/;

	for (const path of [ OVERVIEW, LINKS, TRAFFIC, PROXY, SETUP ]) {
		const page = await visit({ ...ROOT, lang: 'xx' }, path);

		await page.waitForTimeout(1500);

		const bare = await page.evaluate(() => {
			const walker = document.createTreeWalker(document.querySelector('#view'), NodeFilter.SHOW_TEXT), list = [];

			for (let n; (n = walker.nextNode()); ) {
				const e = n.parentElement;

				if (e.closest('script, code, .cbi-page-actions, .cbi-section-actions, [data-sid] > td:first-child, strong, option[value=""]') && !e.closest('label') || e.closest('.cbi-dropdown'))
					continue;

				list.push(n.data.replace(/⟦[^⟧]*⟧/g, '').trim());
			}

			return list;
		});
		const known = /^(AES-GCM|ChaCha20-Poly1305|Name|wan:|wwan:|third:|modem:|twin:|cable:|\(no interfaces attached\)|wan|wwan|third|modem|twin|cable|wan1|wan2|usb0|lan0|IPv4|IPv6|DHCP|UDP|ms|Mbit\/s|kbit\/s|bit\/s|B|kB|MB|GB|203\S*|192\S*|,|\(\S*\)|-|»|IPv4 \+ IPv6|\((DHCP, )?\w+,?\s?\)|\d\.)$/;
		const left = bare.filter(t => !data.test(t) && !known.test(t) && !/^[↓↑\d. ]*(\w*bit\/s|\w?B)?( *↑ *[\d.]+ ?(\w*bit\/s|\w?B)?)?$/.test(t));

		report.check(`${path.split('/').pop()}: nothing is untranslated`, left.length == 0, JSON.stringify([ ...new Set(left) ]));
		await page.context().close();
	}
}

function secrets() {
	const hidden = readdirSync(SECRETS).map(f => readFileSync(join(SECRETS, f), 'utf8').trim());
	const said = backend.answers.join('\n');

	report.check('no answer holds a secret', hidden.length >= 3 && !hidden.some(s => said.includes(s) || said.includes(JSON.stringify(s).slice(1, -1))) && said.length > 10000);
	report.check('the pages asked for nothing that they may not have', backend.refused.filter(r => !/^(luci\.mpproxy\.(join|undo|restore|link|check|speed|relay|secret)\b|uci\.set|file\.read)/.test(r))
		.filter(r => r.includes('mpproxy')).length == 0, backend.refused.join(', '));
}

// The picture of the README: LINKS=60M/12ms,25M/18ms,12M/45ms SCENES=picture LUCI=dir hack/luci.sh, then build/luci/picture.png.
async function picture() {
	const names = [ 'dsl', 'cable', 'lte' ], dump = fixtures['network.interface.dump'].interface, kept = dump.slice(), sid = 'picture'.padEnd(32, '0');

	dump.splice(1, dump.length, ...names.map((n, i) => ({ ...kept[1], interface: n, device: `wan${i + 1}`, l3_device: `wan${i + 1}` })));
	writeFileSync(join(UCI_DIR, 'network'), uciFiles.network + names.map((n, i) => `\nconfig interface '${n}'\n\toption device 'wan${i + 1}'\n\toption proto 'dhcp'\n`).join(''));
	backend.login(sid, ROOT);

	const call = async (method, args) => (await backend.rpc(JSON.stringify({ id: 1, method: 'call', params: [ sid, 'luci.mpproxy', method, args ] }))).result[1];
	let job = (await call('join', { token: await stage('token', 'home'), name: 'vps', links: names.map(n => ({ name: n, interface: n, metered: n == 'lte' })) })).result;

	for (; !job.done; job = (await call('poll', { id: job.id })).result ?? job)
		await new Promise(r => setTimeout(r, 300));

	report.check('picture: paired', !job.error, job.error);

	const page = await visit(ROOT, OVERVIEW, { width: 1280, height: 700 });

	for (const [ wait, ...order ] of [ [ 4, 'download', '28' ], [ 14, 'upload', '34' ], [ 26, 'download', '45' ], [ 14, 'cut', '3' ], [ 16, 'restore', '3' ], [ 24, 'download', '62' ], [ 22, 'upload', '30' ], [ 18, 'download', '60' ] ]) {
		await page.waitForTimeout(wait * 1000);
		await stage(...order);
	}

	await page.waitForTimeout(36000);
	await page.evaluate(() => { document.querySelector('#indicators').style.visibility = 'hidden'; });
	await shot(page, OUT, 'picture');
	await page.context().close();
}

const scenes = { setUp, overview, silence, links, caps, cutOff, order, proxy, traffic, adds, readOnly, looks, untranslated, secrets };
const extra = { picture };
const only = (process.env.SCENES || '').split(',').filter(s => s);

try {
	for (const [ name, scene ] of Object.entries({ ...scenes, ...extra })) {
		if (only.length ? only.includes(name) : name in scenes) {
			process.stdout.write(`== ${name}\n`);

			try { await scene(); }
			catch (e) {
				report.check(`${name} went to its end`, false, e.stack);
				await Promise.all(browser.contexts().flatMap(c => c.pages()).map((p, i) => shot(p, OUT, `error-${name}-${i}`).then(() => p.context().close())));
			}
		}
	}
}
finally {
	await browser.close();
	backend.close();
}

process.stdout.write(`${report.passed} passed, ${report.failed} failed\n`);
process.exit(report.failed ? 1 : 0);
