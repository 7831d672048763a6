package traffic

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"mpproxy/src/engine/mono"
)

// TestBooks checks the sender's counters and list against the segments themselves, after every packet of a bad link.
func TestBooks(t *testing.T) {
	for seed, words := range []string{"20M/20ms/5%/j5ms/reorder", "10M/30ms/20%/q20ms", "20M/40ms/j20ms/3%/reorder"} {
		s, r, p := tcp(0, nil)
		b := newBench(link(t, words), uint64(seed), p)
		for b.now < 6*second {
			b.run(b.now + ms)
			checkBooks(t, s)
		}
		if r.Delivered() < 50e3 || s.Acknowledged() > r.Delivered() || s.Retransmits < 20 {
			t.Errorf("%s: %d bytes, %+v", words, r.Delivered(), s.Counters)
		}
	}
}

func checkBooks(t *testing.T, s *Sender) {
	t.Helper()
	b := &s.board
	var sacked, lost, retrans, listed int
	end := s.una
	for n := b.head; n < b.tail; n++ {
		p := b.get(n)
		if p.from != end || p.sacked && (p.lost || p.retrans || p.listed) || !p.sacked && !p.listed && (!p.lost || p.retrans) {
			t.Fatalf("segment %d: %+v, una %d", n, *p, s.una)
		}
		end = p.to
		sacked += count(p.sacked)
		lost += count(p.lost)
		retrans += count(p.retrans)
		listed += count(p.listed)
	}
	if s.open && end != s.nxt || sacked != b.sackedOut || lost != b.lostOut || retrans != b.retransOut {
		t.Fatalf("counted %d %d %d, booked %d %d %d", sacked, lost, retrans, b.sackedOut, b.lostOut, b.retransOut)
	}
	last := mono.Time(0)
	for n := b.first; n != none; n = b.get(n).next {
		if b.get(n).at < last {
			t.Fatal("the list is out of order")
		}
		last = b.get(n).at
		listed--
	}
	if listed != 0 {
		t.Fatalf("%d listed segments are not in the list", listed)
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzReceiver drives the receiver with ranges in any order, beside a map of bytes.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 1, 2, 1, 1, 1, 4, 2, 3, 1})
	f.Add([]byte{9, 9, 0, 255, 3, 3, 200, 100, 0, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := NewReceiver(address("10.0.0.2", 1), address("10.0.0.1", 2), 1500)
		r.open, r.next, r.start = true, 1, 1
		have := map[uint64]bool{}
		for i := 0; i+1 < len(ops); i += 2 {
			k := span{1 + uint64(ops[i]), 1 + uint64(ops[i]) + 1 + uint64(ops[i+1]%32)}
			r.data(mono.Time(i+2), k)
			for o := k.from; o < k.to; o++ {
				have[o] = true
			}
			next := uint64(1)
			for have[next] {
				next++
			}
			if r.next != next {
				t.Fatalf("next %d, want %d", r.next, next)
			}
			total := int(next - 1)
			for j, e := range r.early {
				if e.from <= next || e.to <= e.from || j > 0 && e.from <= r.early[j-1].to {
					t.Fatalf("early %v, next %d", r.early, next)
				}
				total += int(e.to - e.from)
			}
			if total != len(have) {
				t.Fatalf("%d bytes held, want %d: %v", total, len(have), r.early)
			}
			var s segment
			if r.sacks(&s); s.sackCount > maxSacks || len(r.early) > 0 && s.sackCount == 0 {
				t.Fatalf("%d blocks", s.sackCount)
			}
		}
	})
}

func TestSacksNameTheNewestFirst(t *testing.T) {
	r := NewReceiver(address("10.0.0.2", 1), address("10.0.0.1", 2), 1500)
	r.open, r.next = true, 1
	for _, from := range []uint64{100, 300, 500, 700, 101, 300} {
		r.data(1, span{from, from + 1})
	}
	var s segment
	r.sacks(&s)
	want := []span{{300, 301}, {100, 102}, {700, 701}} // the duplicate, then by age
	if got := s.sacks[:s.sackCount]; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// FuzzSegment: whatever comes, parse does not panic; what put writes, parse reads.
func FuzzSegment(f *testing.F) {
	e := ends{local: address("10.0.0.1", 1), remote: address("10.0.0.2", 2)}
	back := ends{local: e.remote, remote: e.local}
	for _, s := range []segment{
		{flags: flagSYN, mss: 1460, stamp: 1},
		{seq: 1, ack: 70000, flags: flagACK, window: 1 << 20, sackCount: 2, sacks: [4]span{{80000, 90000}, {95000, 96448}}},
		{seq: 5e9, ack: 1, flags: flagACK | flagCWR, payload: 1448, stamp: 7, echo: 9},
	} {
		buf := make([]byte, 2048)
		n := s.put(&e, buf)
		f.Add(buf[20:n], s.seq, s.ack)
		var got segment
		if !got.parse(&back, buf[:n], s.seq, s.ack) || got.seq != s.seq || got.ack != s.ack || got.flags != s.flags ||
			got.sacks != s.sacks || got.payload != s.payload || got.stamp != s.stamp || got.echo != s.echo || got.mss != s.mss {
			f.Errorf("%+v\nread as %+v", s, got)
		}
	}
	f.Fuzz(func(t *testing.T, transport []byte, seq, ack uint64) {
		if len(transport) < tcpBytes || len(transport) > 1480 {
			return
		}
		pkt := append(make([]byte, 20), transport...)
		pkt[36], pkt[37] = 0, 0
		e.seal(pkt, protoTCP, 0)
		var s segment
		if s.parse(&back, pkt, seq>>8, ack>>8) && s.payload > len(transport)-tcpBytes {
			t.Fatalf("%+v", s)
		}
	})
}

func TestUnwrap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10000 {
		near := rng.Uint64N(1 << 40)
		offset := uint64(max(0, int64(near)+rng.Int64N(1<<31)-1<<30))
		if got := unwrap(isn+uint32(offset), near); got != offset {
			t.Fatalf("near %d: %d, want %d", near, got, offset)
		}
	}
}

func TestChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 100 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		var want uint32
		for i := 0; i < n; i += 2 {
			word := [2]byte{b[i]}
			if i+1 < n {
				word[1] = b[i+1]
			}
			want += uint32(binary.BigEndian.Uint16(word[:]))
			want = want>>16 + want&0xffff
		}
		if got := fold(sum(b, 0)); got != uint16(want) {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
	}
	golden := []byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}
	if got := ^fold(sum(golden, 0)); got != 0xb861 {
		t.Errorf("the textbook's header has %x", got)
	}
}

// TestSteadyStateDoesNotAllocate runs both ends back to back, with a loss now and then.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	s, r, _ := tcp(0, nil)
	var buf [1500]byte
	now, n := mono.Time(0), 0
	step := func() {
		now += ms
		s.OnTimeout(now)
		r.OnTimeout(now)
		for k := s.Poll(now, buf[:]); k > 0 && n%64 != 63; k = s.Poll(now, buf[:]) {
			n++
			if n%500 != 0 {
				r.OnPacket(now, buf[:k])
			}
		}
		n++
		now += ms
		for k := r.Poll(now, buf[:]); k > 0; k = r.Poll(now, buf[:]) {
			s.OnPacket(now, buf[:k])
		}
	}
	for range 2000 {
		step()
	}
	r.Series = slices.Grow(r.Series, 1000)
	if allocs := testing.AllocsPerRun(1000, step); allocs != 0 || s.Recoveries < 5 {
		t.Errorf("%v allocations, %+v", allocs, s.Counters)
	}
}

func TestPayloadCarriesItsOffset(t *testing.T) {
	e := ends{local: address("10.0.0.1", 1), remote: address("10.0.0.2", 2)}
	buf := bytes.Repeat([]byte{0xff}, 2048)
	seg := segment{seq: 0x1234, flags: flagACK, payload: 100}
	n := seg.put(&e, buf)
	if want := append([]byte{0, 0, 0, 0, 0, 0, 0x12, 0x34}, make([]byte, 92)...); !bytes.Equal(buf[n-100:n], want) {
		t.Errorf("%x", buf[n-100:n])
	}
}
