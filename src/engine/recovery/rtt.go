package recovery

import "time"

// RTT estimates the round trip of one path (RFC 9002 section 5). The zero value is ready.
//
// Unlike there, the reported delay of the acknowledgement is taken off in full, and from the minimum too: both ends measure
// it, a path without traffic is acknowledged late on purpose, and the minimum is to be the path's own.
type RTT struct {
	latest, smoothed, variation time.Duration
	min                         time.Duration
	minBefore                   time.Duration // of the window before
	sampled                     bool
}

// Update takes a sample: send to acknowledgement, less the delay that the receiver reports. A report that leaves nothing of
// the sample is wrong and not believed.
func (r *RTT) Update(sample, ackDelay time.Duration) {
	sample = max(sample, 10*time.Microsecond)
	if s := sample - ackDelay; s >= 10*time.Microsecond {
		sample = s
	}
	r.latest = sample
	if !r.sampled {
		r.sampled, r.smoothed, r.variation, r.min, r.minBefore = true, sample, sample/2, sample, sample
		return
	}
	r.min = min(r.min, sample)
	off := r.smoothed - sample
	if off < 0 {
		off = -off
	}
	r.variation += (off - r.variation) / 4
	r.smoothed += (sample - r.smoothed) / 8
}

// Age starts a new window of the minimum; call it every few seconds so that a path that changed is seen.
func (r *RTT) Age() {
	if r.sampled {
		r.minBefore, r.min = r.min, r.latest
	}
}

// Sampled reports whether there was any sample.
func (r *RTT) Sampled() bool { return r.sampled }

// Smoothed is the moving average, or a cautious guess before the first sample.
func (r *RTT) Smoothed() time.Duration {
	if !r.sampled {
		return initialRTT
	}
	return r.smoothed
}

// Variation is the mean deviation.
func (r *RTT) Variation() time.Duration {
	if !r.sampled {
		return initialRTT / 2
	}
	return r.variation
}

// Latest is the last sample, 0 before the first.
func (r *RTT) Latest() time.Duration { return r.latest }

// Min is the smallest sample of the last two windows.
func (r *RTT) Min() time.Duration {
	if !r.sampled {
		return initialRTT
	}
	return min(r.min, r.minBefore)
}

// PTO is the probe timeout (RFC 9002 section 6.2.1).
func (r *RTT) PTO() time.Duration {
	return r.Smoothed() + max(4*r.Variation(), granularity) + MaxAckDelay
}
