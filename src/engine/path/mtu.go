package path

// MTU finds the largest datagram that a path carries without help of ICMP (RFC 8899): a size is probed, an
// acknowledgement proves it, three losses refute it.
type MTU struct {
	now     int // proven
	want    int // what a full inner packet needs
	probe   int // size under test, 0 when none
	tries   int
	refuted int // smallest size refuted, 0 if none
	losses  int // full packets lost in a row
	proofs  int // packets that came since a size was refuted
	raise   int // of them before it is tried again
}

// NewMTU starts at MinMTU and aims for want.
func NewMTU(want int) MTU { return MTU{now: min(MinMTU, want), want: want, raise: mtuRaiseMin} }

// Size is the largest datagram that may be sent.
func (m *MTU) Size() int { return m.now }

// Next returns the size to probe now, or 0.
func (m *MTU) Next() int {
	if m.now >= m.want || m.probe != 0 {
		return 0
	}
	size := m.want
	if m.refuted != 0 {
		// Halve what is left, in steps that matter.
		size = (m.now + m.refuted) / 2
		if m.refuted-m.now < mtuStep {
			return 0
		}
	}
	m.probe = size
	return size
}

// Proved says that a datagram of this size was acknowledged.
func (m *MTU) Proved(size int) {
	if size >= m.now-fullSlack && size > MinMTU {
		m.losses = 0
	}
	if size > m.now {
		m.now = size
		if m.refuted <= size {
			m.refuted = 0
		}
	}
	if size >= m.probe {
		m.probe, m.tries = 0, 0
	}
	if m.refuted == 0 {
		return
	}
	// Three probes may be lost by chance, and a path may lead elsewhere by now.
	if m.proofs++; m.proofs >= m.raise {
		m.refuted, m.proofs, m.raise = 0, 0, min(2*m.raise, mtuRaiseMax)
	}
}

// ProbeLost says that the probe of this size was lost.
func (m *MTU) ProbeLost(size int) {
	if size != m.probe {
		return
	}
	m.probe = 0
	if m.tries++; m.tries >= mtuTries {
		m.refuted, m.tries = size, 0
	}
}

// Lost says that a datagram of this size was lost; many full ones in a row mean that the path has shrunk: the more, the larger a
// share (in 1/65536) it loses anyway.
func (m *MTU) Lost(size int, share int64) (shrunk bool) {
	if size <= MinMTU || size < m.now-fullSlack {
		return false
	}
	if m.losses++; m.losses < blackHoleLosses+int(share*blackHoleMore>>16) {
		return false
	}
	m.refuted, m.now, m.probe, m.tries, m.losses = 0, min(MinMTU, m.want), 0, 0, 0
	return true
}

// TooBig says that this host's own interface refuses datagrams of this size.
func (m *MTU) TooBig(size int) {
	if size <= m.now {
		m.now = min(MinMTU, m.want)
	}
	m.refuted, m.probe, m.tries = size, 0, 0
}
