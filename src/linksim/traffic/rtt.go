package traffic

import "time"

// rttEstimate is Linux's tcp_rtt_estimator. variance is four mean deviations, at least rtoMin.
type rttEstimate struct {
	srtt, least         time.Duration
	dev, peak, variance time.Duration // dev and peak are four-fold too
	seq                 uint64
}

func (r *rttEstimate) sample(m time.Duration, una, nxt uint64) {
	m = max(m, 1)
	if r.srtt == 0 {
		r.srtt, r.dev = m, 2*m
		r.variance = max(r.dev, rtoMin)
		r.peak, r.seq = r.variance, nxt
		return
	}
	diff := m - r.srtt
	r.srtt += diff / 8
	if diff < 0 {
		if diff = -diff - r.dev/4; diff > 0 {
			diff /= 8 // a falling round trip must not raise the deviation fast
		}
	} else {
		diff -= r.dev / 4
	}
	r.dev += diff
	if r.peak = max(r.peak, r.dev); r.peak > r.variance {
		r.variance = r.peak
	}
	if una > r.seq {
		if r.peak < r.variance {
			r.variance -= (r.variance - r.peak) / 4
		}
		r.seq, r.peak = nxt, rtoMin
	}
}

// rto returns the retransmission timeout without backoff.
func (r *rttEstimate) rto() time.Duration {
	if r.srtt == 0 {
		return time.Second
	}
	return r.srtt + r.variance
}
