package flowq

import (
	"bytes"
	"encoding/binary"
	"testing"

	"mpproxy/src/engine/mono"
)

// ackOf is a TCP acknowledgement over IPv4 with timestamps.
func ackOf(number uint32, change func(tcp []byte)) []byte {
	b := make([]byte, 52)
	b[0], b[8], b[9] = 0x45, 64, ProtoTCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	tcp := b[20:]
	binary.BigEndian.PutUint16(tcp, 1000)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	binary.BigEndian.PutUint32(tcp[4:], 77)
	binary.BigEndian.PutUint32(tcp[8:], number)
	tcp[12], tcp[13] = 8<<4, FlagACK
	copy(tcp[20:], []byte{1, 1, 8, 10})
	binary.BigEndian.PutUint32(tcp[24:], number/10)
	if change != nil {
		change(tcp)
	}
	return b
}

// sackOf adds a SACK block.
func sackOf(number, left uint32) []byte {
	b := append(ackOf(number, nil), 1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[32] = 11 << 4
	binary.BigEndian.PutUint32(b[56:], left)
	return b
}

func TestAckFilter(t *testing.T) {
	flag := func(f byte) func([]byte) { return func(tcp []byte) { tcp[13] |= f } }
	for _, c := range []struct {
		name       string
		first      []byte
		then       []byte
		superseded bool
	}{
		{"a newer one", ackOf(1000, nil), ackOf(2000, nil), true},
		{"across the wrap", ackOf(0xfffffff0, nil), ackOf(16, nil), true},
		{"an older one", ackOf(2000, nil), ackOf(1000, nil), false},
		{"a duplicate", ackOf(1000, nil), ackOf(1000, nil), false},
		{"congestion", ackOf(1000, nil), ackOf(2000, flag(FlagECE)), false},
		{"congestion before", ackOf(1000, flag(FlagECE)), ackOf(2000, nil), false},
		{"congestion in both", ackOf(1000, flag(FlagECE)), ackOf(2000, flag(FlagECE)), true},
		{"the window was reduced", ackOf(1000, flag(FlagCWR)), ackOf(2000, nil), false},
		{"the end", ackOf(1000, nil), ackOf(2000, flag(FlagFIN)), false},
		{"data went between", ackOf(1000, nil), ackOf(2000, func(tcp []byte) { tcp[7]++ }), false},
		{"another window", ackOf(1000, nil), ackOf(2000, func(tcp []byte) { tcp[15] = 9 }), true},
		{"a reserved bit", ackOf(1000, nil), ackOf(2000, func(tcp []byte) { tcp[12] |= 1 }), false},
		{"SACK", sackOf(1000, 5000), sackOf(2000, 6000), false},
		{"the same SACK", sackOf(1000, 5000), sackOf(2000, 5000), true},
		{"SACK before", sackOf(1000, 5000), ackOf(2000, nil), false},
		{"an option of another kind", ackOf(1000, func(tcp []byte) { tcp[22] = 30 }), ackOf(2000, func(tcp []byte) { tcp[22], tcp[31] = 30, 1 }), false},
		{"a broken option", ackOf(1000, func(tcp []byte) { tcp[23] = 99 }), ackOf(2000, func(tcp []byte) { tcp[23] = 99 }), false},
	} {
		h := newBench(t, Params{})
		now := mono.Time(1)
		for _, pkt := range [][]byte{c.first, c.then} {
			b := h.pool.Get()
			b.Set(pkt)
			h.q.Enqueue(now, b)
			now = now.Add(1000)
		}
		packets, size := h.q.Backlog()
		if got := h.q.Counts().SupersededAcks == 1; got != c.superseded || packets != 2 && !got || packets != 1 && got {
			t.Errorf("%s: %d packets wait, %+v", c.name, packets, h.q.Counts())
		}
		if !c.superseded {
			continue
		}
		f := h.q.Next(now, false)
		if size != len(c.then) || f.Head().Enqueued != 1 || !bytes.Equal(f.Head().Bytes(), c.then) {
			t.Errorf("%s: what waits is not the newer one in the older one's place", c.name)
		}
	}
}
