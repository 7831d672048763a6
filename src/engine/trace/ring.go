package trace

// Ring keeps the newest lines for readers that come now and then. Make it with NewRing; it is not safe for concurrent use.
type Ring struct {
	data  []byte
	next  uint64 // bytes ever written, or skipped so that a line does not wrap
	first uint64 // where the oldest line kept begins
	lines uint64 // ever written
	gone  uint64 // of them pushed out
}

// NewRing returns a ring that keeps about that many bytes.
func NewRing(bytes int) *Ring { return &Ring{data: make([]byte, bytes)} }

// Line keeps a line; the oldest ones make room. A line longer than the ring is lost at once.
func (r *Ring) Line(line []byte) {
	n := uint64(len(line) + 1)
	r.lines++
	if n > uint64(len(r.data)) {
		r.first, r.gone = r.next, r.lines
		return
	}
	for r.next+n-r.first > uint64(len(r.data)) {
		for r.at(r.first) != '\n' {
			r.first++
		}
		r.first++
		r.gone++
	}
	for _, c := range line {
		r.put(c)
	}
	r.put('\n')
}

func (r *Ring) at(i uint64) byte { return r.data[i%uint64(len(r.data))] }

func (r *Ring) put(c byte) {
	r.data[r.next%uint64(len(r.data))] = c
	r.next++
}

// Lines is how many lines there were; a reader that wants only what comes from now on begins there.
func (r *Ring) Lines() uint64 { return r.lines }

// Since appends to dst the lines from number from on, each with its line end, and at most limit bytes. next is the number of the
// first line that is not in dst; missed lines of those asked for are gone.
func (r *Ring) Since(dst []byte, from uint64, limit int) (text []byte, next, missed uint64) {
	from = min(from, r.lines)
	if from < r.gone {
		missed, from = r.gone-from, r.gone
	}
	at, number := r.first, r.gone
	for begin := len(dst); number < r.lines; number++ {
		end := at
		for r.at(end) != '\n' {
			end++
		}
		if number >= from {
			if len(dst)-begin+int(end-at)+1 > limit {
				break
			}
			for ; at <= end; at++ {
				dst = append(dst, r.at(at))
			}
		}
		at = end + 1
	}
	return dst, max(number, from), missed
}
