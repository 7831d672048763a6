package congestion

import (
	"math"
	"time"

	"mpproxy/src/engine/mono"
)

// Cubic is CUBIC (RFC 9438) with HyStart++ (RFC 9406). Make it with NewCubic.
type Cubic struct {
	window
	start hystart

	most   float64   // W_max: where the window was at the last event
	epoch  mono.Time // when this stage of avoidance began; 0 at the next growth
	origin float64   // the window then
	k      float64   // seconds until the curve is back at most
	reno   float64   // W_est: where Reno's window would be
	prior  float64   // cwnd_prior: the window before the last event
	undo   float64   // most before the last event
	unused mono.Time // since when the window is not used; 0 while it is
}

var _ Controller = (*Cubic)(nil)

// NewCubic returns a controller that paces its first window over the given round trip (0 if unknown).
func NewCubic(_ mono.Time, rtt time.Duration) *Cubic { return &Cubic{window: newWindow(rtt)} }

// OnAck grows the window along the curve, or shrinks it.
func (c *Cubic) OnAck(s Sample) {
	used := c.measure(s)
	c.pause(s.Now, used)
	if c.innocent(s) {
		c.restore()
		c.most, c.epoch = c.undo, 0
	}
	if c.congested(s) {
		c.onEvent()
		return
	}
	if !used || s.Acked == 0 || c.recovering(s) {
		return
	}
	if c.slowStart() {
		by, over := c.start.grow(s.Acked, s.Latest, s.Round)
		if c.bytes += by; over {
			// RFC 9438 section 4.10: without a loss the curve begins at its middle.
			c.threshold, c.most, c.epoch = c.bytes, c.bytes, 0
		}
		return
	}
	c.avoid(s)
}

// pause keeps the curve from rising while the window is not used (section 5.8).
func (c *Cubic) pause(now mono.Time, used bool) {
	switch {
	case !used && c.unused == 0:
		c.unused = now
	case used && c.unused != 0:
		if c.epoch != 0 {
			c.epoch = c.epoch.Add(now.Sub(c.unused))
		}
		c.unused = 0
	}
}

// onEvent is section 4.6 and 4.7.
func (c *Cubic) onEvent() {
	c.undo, c.prior = c.most, c.bytes
	if c.bytes < c.most {
		c.most = c.bytes * (1 + cubicShrink) / 2 // fast convergence: somebody else wants a part
	} else {
		c.most = c.bytes
	}
	c.shrink(cubicShrink)
	c.epoch = 0
}

// avoid is section 4.2 to 4.5; windows in packets, times in seconds.
func (c *Cubic) avoid(s Sample) {
	acked, size := float64(s.Acked)/MTU, c.bytes/MTU
	if c.epoch == 0 {
		c.epoch, c.origin, c.reno = s.Now, size, size
		c.k = 0
		if most := c.most / MTU; most > size {
			c.k = math.Cbrt((most - size) / cubicC)
		} else {
			c.most = c.bytes
		}
	}
	alpha := 1.0
	if c.reno < c.prior/MTU {
		alpha = 3 * (1 - cubicShrink) / (1 + cubicShrink)
	}
	c.reno += alpha * acked / size
	t := s.Now.Sub(c.epoch).Seconds()
	if c.curve(t) < c.reno {
		c.bytes = max(c.bytes, c.reno*MTU)
		return
	}
	target := min(max(c.curve(t+s.RTT.Seconds()), size), 1.5*size)
	c.bytes += (target - size) / size * acked * MTU
}

// curve is W_cubic(t) in packets.
func (c *Cubic) curve(t float64) float64 {
	d := t - c.k
	return cubicC*d*d*d + c.most/MTU
}

// OnSilence takes all that is on the way for lost.
func (c *Cubic) OnSilence(now mono.Time) {
	c.event = now
	c.before.valid = false
	c.onEvent()
}

// OnIdle stops the curve for the pause, and halves the window after a long one.
func (c *Cubic) OnIdle(_ mono.Time, idle time.Duration) {
	if c.epoch != 0 && c.unused == 0 {
		c.epoch = c.epoch.Add(idle)
	}
	if idle > longIdle {
		c.decay()
		c.epoch, c.start = 0, hystart{}
	}
}

// State names the phase.
func (c *Cubic) State() string {
	switch {
	case c.slowStart() && c.start.careful:
		return "careful-start"
	case c.slowStart():
		return "slow-start"
	}
	return "avoidance"
}
