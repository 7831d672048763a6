'use strict';
'require baseclass';
'require dom';
'require mpproxy.words as words';

const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 720, HEIGHT = 200;
const ZERO = 130; /* the line between down, above it, and up */
const MARGIN = 6;
const SECONDS = 180;

const COLOURS = [
	'var(--primary-color-high)', 'var(--success-color-medium)', 'var(--warn-color-high)', 'var(--text-color-medium)',
	'var(--primary-color-low)', 'var(--success-color-low)', 'var(--warn-color-low)', 'var(--text-color-low)'
];

function shape(name, attributes) {
	const e = document.createElementNS(NS, name);

	for (const k in attributes)
		e.setAttribute(k, attributes[k]);

	return e;
}

/* The next round number above a speed, so that the scale does not tremble. */
function ceiling(bits) {
	const unit = Math.pow(10, Math.floor(Math.log10(Math.max(bits, 1e6))));

	return [ 1, 1.5, 2, 3, 4, 5, 7.5, 10 ].map(n => n * unit).find(n => n >= bits) || 10 * unit;
}

const outline = (points, close) => points.map(p => p.map(n => n.toFixed(1)).join(',')).concat(close || []).join(' ');

/* What each connection carried in the last three minutes: down above the line, up below it, one on top of the other. */
return baseclass.extend({
	__init__() {
		this.names = [];
		this.samples = {};
	},

	colour(name) {
		const i = this.names.indexOf(name);

		return COLOURS[(i < 0 ? 0 : i) % COLOURS.length];
	},

	learn(name) {
		if (!this.samples[name]) {
			this.names.push(name);
			this.samples[name] = { down: Array(SECONDS).fill(0), up: Array(SECONDS).fill(0) };
		}

		return this.samples[name];
	},

	/* Fills the chart from the service's memory. */
	seed(ring) {
		for (const link of ring?.links || []) {
			const s = this.learn(link.name);

			s.down = Array(SECONDS).fill(0).concat(link.down).slice(-SECONDS);
			s.up = Array(SECONDS).fill(0).concat(link.up).slice(-SECONDS);
		}
	},

	/* Adds one second: a list of { name, down, up }. */
	push(links) {
		links.forEach(l => this.learn(l.name));

		for (const name of this.names) {
			const now = links.find(l => l.name == name), s = this.samples[name];

			s.down.push(now?.down || 0);
			s.up.push(now?.up || 0);
			s.down.shift();
			s.up.shift();
		}
	},

	sums(direction) {
		return Array.from({ length: SECONDS }, (_unused, i) => this.names.reduce((a, n) => a + this.samples[n][direction][i], 0));
	},

	best(direction) {
		return Math.max(0, ...this.names.map(n => Math.max(...this.samples[n][direction])));
	},

	/* Where a speed is drawn. */
	y(direction, v, top) {
		return direction == 'down' ? ZERO - v / top * (ZERO - MARGIN) : ZERO + v / top * (HEIGHT - ZERO - MARGIN);
	},

	area(direction, top) {
		let below = Array(SECONDS).fill(0);

		return this.names.map(name => {
			const above = below.map((b, i) => b + this.samples[name][direction][i]);
			const x = i => i * WIDTH / (SECONDS - 1), y = v => this.y(direction, v, top);
			const edge = above.map((v, i) => [ x(i), y(v) ]);
			const back = below.map((v, i) => [ x(i), y(v) ]).reverse();

			below = above;

			return shape('polygon', {
				points: outline(edge.concat(back)), style: 'fill:%s;fill-opacity:%s'.format(this.colour(name), direction == 'down' ? '.85' : '.55')
			});
		});
	},

	/* Lines for every minute and for half of the scale. The theme has a colour of its own for each "line" in a chart. */
	grid() {
		const rule = at => shape('polyline', {
			points: '%f,%f %f,%f'.format(at.x1, at.y1, at.x2, at.y2), 'vector-effect': 'non-scaling-stroke', style: 'stroke:var(--border-color-medium);stroke-width:1;fill:none'
		});
		const half = (MARGIN + ZERO) / 2;

		return [ rule({ x1: 0, x2: WIDTH, y1: half, y2: half }), ...[ 1, 2 ].map(m => rule({ x1: m * WIDTH / 3, x2: m * WIDTH / 3, y1: 0, y2: HEIGHT })) ];
	},

	/* One connection alone, small. */
	small(name) {
		const s = this.learn(name), top = { down: ceiling(Math.max(...s.down)), up: ceiling(Math.max(...s.up)) };
		const x = i => i * WIDTH / (SECONDS - 1);
		const area = d => shape('polygon', {
			points: outline(s[d].map((v, i) => [ x(i), this.y(d, v, top[d]) ]), [ '%d,%d'.format(WIDTH, ZERO), '0,%d'.format(ZERO) ]),
			style: 'fill:%s;fill-opacity:%s'.format(this.colour(name), d == 'down' ? '.85' : '.55')
		});
		const svg = shape('svg', {
			viewBox: '0 0 %d %d'.format(WIDTH, HEIGHT), preserveAspectRatio: 'none', role: 'img',
			'aria-label': _('%s over the last three minutes: at most %s down, %s up').format(name, words.rate(Math.max(...s.down)), words.rate(Math.max(...s.up))),
			style: 'display:block;width:100%;height:5em;background:var(--background-color-low);border:1px solid var(--border-color-medium);box-sizing:border-box'
		});

		svg.replaceChildren(area('down'), area('up'), shape('line', { x1: 0, x2: WIDTH, y1: ZERO, y2: ZERO, 'vector-effect': 'non-scaling-stroke', style: 'stroke:var(--text-color-high);stroke-width:1' }));

		return E('div', { 'style': 'position:relative;margin-bottom:.5em' }, [ svg,
			E('span', { 'style': 'position:absolute;left:.4em;top:.1em;font-size:.9em' }, '↓ %s'.format(words.rate(top.down))),
			E('span', { 'style': 'position:absolute;left:.4em;bottom:.1em;font-size:.9em' }, '↑ %s'.format(words.rate(top.up)))
		]);
	},

	line(direction, top) {
		const best = this.best(direction), y = this.y(direction, best, top);

		return (best >= top / 20 && this.names.length > 1) ? [ shape('line', {
			x1: 0, x2: WIDTH, y1: y.toFixed(1), y2: y.toFixed(1), 'stroke-dasharray': '6 5', 'vector-effect': 'non-scaling-stroke',
			style: 'stroke:var(--text-color-high);stroke-width:1;stroke-opacity:.6'
		}) ] : [];
	},

	render() {
		this.svg = shape('svg', {
			viewBox: '0 0 %d %d'.format(WIDTH, HEIGHT), preserveAspectRatio: 'none', role: 'img', 'aria-label': _('Speed of each connection over the last three minutes'),
			style: 'display:block;width:100%;height:14em;background:var(--background-color-low);border:1px solid var(--border-color-medium);box-sizing:border-box'
		});
		this.topDown = E('span', { 'style': 'position:absolute;left:.5em;top:.2em' });
		this.topUp = E('span', { 'style': 'position:absolute;left:.5em;bottom:.2em' });
		this.legend = E('div', { 'style': 'display:flex;flex-wrap:wrap;gap:.3em 1.2em;margin:.6em 0' });
		this.table = E('details', { 'style': 'margin:.2em 0' }, [ E('summary', _('As a table')), E('div') ]);
		this.update();

		return E('div', [
			E('div', { 'style': 'position:relative' }, [ this.svg, this.topDown, this.topUp ]),
			this.legend, this.table
		]);
	},

	update() {
		const down = this.sums('down'), up = this.sums('up'), last = SECONDS - 1;
		const top = { down: ceiling(Math.max(...down, 1e6)), up: ceiling(Math.max(...up, 1e6)) };

		this.svg.replaceChildren(
			...this.grid(), ...[ 'down', 'up' ].flatMap(d => this.area(d, top[d])), ...[ 'down', 'up' ].flatMap(d => this.line(d, top[d])),
			shape('line', { x1: 0, x2: WIDTH, y1: ZERO, y2: ZERO, 'vector-effect': 'non-scaling-stroke', style: 'stroke:var(--text-color-high);stroke-width:1' }));
		dom.content(this.topDown, '↓ %s'.format(words.rate(top.down)));
		dom.content(this.topUp, '↑ %s'.format(words.rate(top.up)));
		dom.content(this.legend, [
			E('strong', '↓ %s  ↑ %s'.format(words.rate(down[last]), words.rate(up[last]))),
			...this.names.map(n => E('span', [
				E('span', { 'style': 'display:inline-block;width:.8em;height:.8em;margin-right:.4em;background:%s'.format(this.colour(n)) }), n
			])),
			...(this.names.length > 1 ? [ E('span', { 'title': _('The most that one connection carried in these three minutes') }, [ E('span', { 'aria-hidden': 'true' }, '- - - '), _('best single connection alone') ]) ] : []),
			E('span', { 'style': 'margin-left:auto' }, _('last 3 minutes'))
		]);

		if (this.table.open)
			this.fillTable();
		else
			this.table.ontoggle = () => this.fillTable();
	},

	fillTable() {
		const mean = list => list.slice(-10).reduce((a, b) => a + b, 0) / 10;

		dom.content(this.table.lastElementChild, E('table', { 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles' }, [ _('Connection'), _('Down now'), _('Up now'), _('Down, last 10 s'), _('Up, last 10 s'), _('Most down'), _('Most up') ]
				.map(t => E('th', { 'class': 'th' }, t))),
			...this.names.map(n => {
				const s = this.samples[n];
				const cells = [ [ _('Connection'), n ], [ _('Down now'), s.down[SECONDS - 1] ], [ _('Up now'), s.up[SECONDS - 1] ],
					[ _('Down, last 10 s'), mean(s.down) ], [ _('Up, last 10 s'), mean(s.up) ], [ _('Most down'), Math.max(...s.down) ], [ _('Most up'), Math.max(...s.up) ] ];

				return E('tr', { 'class': 'tr' }, cells.map(([ title, v ], i) => E('td', { 'class': 'td', 'data-title': title }, i ? words.rate(v) : v)));
			})
		]));
	}
});
