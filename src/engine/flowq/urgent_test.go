package flowq

import (
	"testing"
	"time"
)

func TestWish(t *testing.T) {
	tests := []struct {
		name  string
		s     shape
		first bool
		want  Class
	}{
		{"plain", shape{src: 1, dst: 2}, false, Bulk},
		{"first of its flow", shape{src: 1, dst: 2}, true, Urgent},
		{"EF", shape{tos: 46 << 2}, false, Urgent},
		{"VA", shape{tos: 44 << 2}, false, Urgent},
		{"CS4", shape{tos: 32 << 2}, false, Urgent},
		{"CS5", shape{tos: 40 << 2}, false, Urgent},
		{"CS6", shape{tos: 48 << 2}, false, Urgent},
		{"CS7", shape{tos: 56 << 2}, false, Urgent},
		{"AF41 is not", shape{tos: 34 << 2}, false, Bulk},
		{"CS1", shape{tos: 8 << 2}, false, Background},
		{"LE even at first", shape{tos: 1 << 2}, true, Background},
		{"question", shape{dst: 53}, false, Urgent},
		{"answer", shape{src: 53}, false, Urgent},
		{"DNS over TCP", shape{proto: ProtoTCP, dst: 53, flags: FlagACK}, false, Urgent},
		{"SYN", shape{proto: ProtoTCP, dst: 443, flags: FlagSYN}, false, Urgent},
		{"SYN and ACK", shape{proto: ProtoTCP, src: 443, flags: FlagSYN | FlagACK}, false, Urgent},
		{"data", shape{proto: ProtoTCP, src: 443, flags: FlagACK, size: 500}, false, Bulk},
	}
	for _, tt := range tests {
		for _, v6 := range []bool{false, true} {
			tt.s.v6 = v6
			info, _ := ParseIP(tt.s.build())
			if got := wish(&info, tt.first); got != tt.want {
				t.Errorf("%s (v6 %v): %v, want %v", tt.name, v6, got, tt.want)
			}
		}
	}
}

// TestUrgentShare: each host has a fifth of the capacity as urgent; the rest of its calls is bulk.
func TestUrgentShare(t *testing.T) {
	for _, downstream := range []bool{false, true} {
		b := newBench(t, Params{HostIsDestination: downstream})
		b.q.SetCapacity(10e6)
		const size, seconds = 1000, 4
		urgent := 0
		for range seconds * 1000 { // 8 Mbit/s of EF
			buf := b.buf(shape{host: 1, tos: dscpEF << 2, size: size})
			b.q.Enqueue(b.now, buf)
			if Class(buf.Class) == Urgent {
				urgent++
			}
			b.pop(false)
			b.now = b.now.Add(time.Millisecond)
		}
		share := float64(urgent*size*8) / seconds / 10e6
		if share < 0.19 || share > 0.22 {
			t.Errorf("one host had %.3f of the capacity as urgent", share)
		}
		for range 2 * urgentBurstBytes / size {
			b.put(shape{host: 1, tos: dscpEF << 2, size: size}, 1)
		}
		other := b.buf(shape{host: 2, tos: dscpEF << 2, size: size})
		b.q.Enqueue(b.now, other)
		if got := Class(other.Class) == Urgent; got == downstream { // both have the same destination
			t.Errorf("downstream %v: another source's call is urgent: %v", downstream, got)
		}
		b.drain()
	}
}

// TestUrgentHostsBounded: more hosts than the table has only lose their history.
func TestUrgentHostsBounded(t *testing.T) {
	var h hosts
	h.setCapacity(1e6)
	for key := range uint64(10 * hostSets * hostWays) {
		if !h.allow(1, key, 1000) {
			t.Fatal("a new host was refused")
		}
	}
	last := uint64(10*hostSets*hostWays - 1)
	for range 15 {
		h.allow(1, last, 1000)
	}
	if h.allow(1, last, 1000) {
		t.Error("a host had more than its burst")
	}
}
