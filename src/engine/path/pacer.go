package path

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Pacer spreads sending over time: it counts the bytes owed since it last ran, so a timer that is late
// costs nothing but a short burst. The zero value is ready.
type Pacer struct {
	credit int64 // bytes; negative after sending ahead
	last   mono.Time
}

// Refill adds what rate (bytes per second) allows since the last call.
func (p *Pacer) Refill(now mono.Time, rate int64) {
	if p.last == 0 || rate <= 0 {
		p.last = now
		return
	}
	elapsed := min(now.Sub(p.last), maxPause)
	bytes := rate * int64(elapsed) / int64(time.Second)
	p.credit += bytes
	p.last = p.last.Add(time.Duration(bytes * int64(time.Second) / rate))
	if limit := p.limit(rate); p.credit > limit {
		p.credit, p.last = limit, now
	}
}

func (p *Pacer) limit(rate int64) int64 { return rate * int64(burst) / int64(time.Second) }

// Ready reports whether a packet may go now.
func (p *Pacer) Ready() bool { return p.credit >= 0 }

// Within reports whether a packet that must not wait may go ahead of its time: the debt stays below d at the rate.
func (p *Pacer) Within(rate int64, d time.Duration) bool {
	return p.credit >= -rate*int64(d)/int64(time.Second)
}

// Spend takes n bytes.
func (p *Pacer) Spend(n int) { p.credit -= int64(n) }

// Wait is how long until Ready, at the rate.
func (p *Pacer) Wait(rate int64) time.Duration {
	if p.credit >= 0 || rate <= 0 {
		return 0
	}
	return time.Duration(-p.credit * int64(time.Second) / rate)
}

// Next is when it is worth asking again: not for every packet, but for a tick's worth of them. While Ready that is the
// last call of Refill.
func (p *Pacer) Next(rate int64) mono.Time {
	if rate <= 0 {
		return mono.Never
	}
	if p.credit >= 0 {
		return p.last
	}
	return p.last.Add(p.Wait(rate) + min(tick, time.Duration(1500*int64(time.Second)/rate)))
}
