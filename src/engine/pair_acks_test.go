package engine

import (
	"testing"
	"time"

	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
)

// Acknowledgements of many paths with many gaps do not fit into one datagram: what was left out is told next, none forgotten.
func TestAcksOfManyPaths(t *testing.T) {
	w := newPair(t, 41, 12, nil).up()
	s := w.sides[1]
	ping := []byte{byte(wire.TypePing)}
	come := func(count int) (newest map[uint32]uint64) {
		newest = map[uint32]uint64{}
		for _, p := range s.Paths() {
			q := w.sides[0].Path(p.ID)
			for range count {
				q.Sent.Sent(w.now, 100, false, recovery.Payload{}) // a gap
				newest[p.ID] = q.Sent.Next()
				q.Sent.Sent(w.now, 100, false, recovery.Payload{})
				w.inject(1, p.ID, newest[p.ID], ping)
			}
		}
		return newest
	}
	come(wire.MaxAckRanges)
	for _, p := range s.Paths() {
		// Every eighth frame of a path tells all: let those fall together.
		for f := (wire.AckFrame{}); f.Count < wire.MaxAckRanges; {
			p.Rx.Fill(w.now, p.ID, 20*ms, &f)
		}
	}
	for round := range 16 { // some rounds tell all that came lately, and do not fit
		newest := come(1)
		told := map[uint32]bool{}
		for range 8 {
			w.now = w.now.Add(ms)
			s.Poll(w.now, &s.batch)
			for i := range s.batch.Datagrams {
				d := &s.batch.Datagrams[i]
				if size := s.batch.Size(i); d.buf == nil && size > wire.HeaderBytes+wire.TagBytes+probeBytes {
					t.Fatalf("acknowledgements of %d bytes", size)
				}
				var f wire.Frame
				for rest := s.batch.arena[d.from:d.to]; len(rest) > 0; {
					var err error
					if rest, err = wire.Next(rest, &f); err != nil {
						t.Fatal(err)
					}
					if f.Type == wire.TypeAck && f.Ack.Largest() == newest[f.Ack.Path] {
						told[f.Ack.Path] = true
					}
				}
			}
			s.batch.Reset()
		}
		if len(told) != 12 {
			t.Errorf("round %d: %d of 12 paths were told of", round, len(told))
		}
	}
	w.close()
}

// What is counted as having come in is what was delivered: duplicates that a lane drops are not.
func TestCountsAreOfDelivered(t *testing.T) {
	w := newPair(t, 42, 2, nil).up()
	w.links[0].jitter, w.links[0].loss = 40*ms, 0.02
	for range 100 {
		w.give(0, 1, 1400, 10)
		w.run(10 * ms)
	}
	w.run(3 * time.Second)
	in, bytes := w.sides[1].Counts().PacketsIn, w.sides[1].Counts().BytesIn
	want(t, "packets", in, uint64(len(w.sides[1].order)))
	want(t, "bytes", bytes, in*1400)
	d := w.sides[1].Drops()
	if d.Map()["lane_duplicate"] == 0 {
		t.Error("no duplicate: nothing is shown")
	}
	w.close()
}
