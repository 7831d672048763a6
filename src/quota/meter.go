package quota

// Meter turns a device's counters, which begin anew with the device, into what was carried since the last look.
type Meter struct {
	// Boot names the system's run, Device and Index the device whose counters were read last.
	Boot   string `json:"boot,omitempty"`
	Device string `json:"device,omitempty"`
	Index  int    `json:"index,omitempty"`
	Down   uint64 `json:"down,omitempty"`
	Up     uint64 `json:"up,omitempty"`
}

// Read takes the counters now and returns what came since the last Read. A device that was made anew, or a system that was
// started anew, counts from 0; another device's past is nobody's.
func (m *Meter) Read(now Meter) (down, up uint64) {
	old := *m
	*m = now
	switch {
	case old.Device != now.Device:
		return 0, 0
	case old.Boot != now.Boot || old.Index != now.Index:
		return now.Down, now.Up
	}
	return since(old.Down, now.Down), since(old.Up, now.Up)
}

// counterSize is where the counters of devices begin anew on 32-bit systems whose drivers have no larger ones.
const counterSize = 1 << 32

// since is the difference of two readings of one counter.
func since(old, now uint64) uint64 {
	switch {
	case now >= old:
		return now - old
	case old < counterSize && old >= counterSize/2:
		return now + counterSize - old
	}
	return now // somebody set it back
}
