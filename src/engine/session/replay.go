package session

const (
	replayBlocks = 256
	// ReplayWindow is how far a number may lie behind the greatest one and still be accepted: more than a busy path
	// of 1 Gbit/s sends in 100 ms. One block of 64 is always being cleared (RFC 6479).
	ReplayWindow = (replayBlocks - 1) * 64
)

// Verdict is what a Replay says of a packet number.
type Verdict uint8

// The verdicts: Fresh numbers are accepted; a Duplicate came before; an Old one lies behind the window.
const (
	Fresh Verdict = iota
	Duplicate
	Old
)

// Replay tells the packet numbers of one path that came before (RFC 6479). Zero is ready; 2 KiB.
// It sees authenticated numbers only.
type Replay struct {
	greatest uint64
	blocks   [replayBlocks]uint64
}

// Judge says what Accept would do with number, without marking it.
func (r *Replay) Judge(number uint64) Verdict {
	switch {
	case number > r.greatest:
		return Fresh
	case r.greatest-number >= ReplayWindow:
		return Old
	case r.blocks[number/64%replayBlocks]&(1<<(number%64)) != 0:
		return Duplicate
	}
	return Fresh
}

// Accept marks number as received; it is false if the number is a duplicate or too old.
func (r *Replay) Accept(number uint64) bool {
	if r.Judge(number) != Fresh {
		return false
	}
	if number > r.greatest {
		for n := range min(number/64-r.greatest/64, replayBlocks) {
			r.blocks[(number/64-n)%replayBlocks] = 0
		}
		r.greatest = number
	}
	r.blocks[number/64%replayBlocks] |= 1 << (number % 64)
	return true
}
