package portal

import (
	"net/netip"
	"testing"

	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
	"mpproxy/src/transport"
)

// TestWhatASocketTakes: of one read so many handshake messages and no more, whole data that is somebody's, and nothing else; what is
// not taken is counted by why, and leaves no buffer behind.
func TestWhatASocketTakes(t *testing.T) {
	pool := packet.NewPool(4)
	k := &socket{table: &session.Table{}, pool: pool, drops: &stats.AtomicDrops{}}
	var opener session.Opener
	out := &rxBatch{}
	take := func(b []byte) {
		k.open(&transport.Datagram{Data: b, Addr: netip.MustParseAddrPort("192.0.2.1:5")}, &opener, out)
	}
	greeting := []byte{byte(wire.KindInitiation), 1, 2, 3}
	for range maxHandshakes + 3 {
		take(greeting)
	}
	greeting[1] = 9 // the reader's memory is used again
	if len(out.handshake) != maxHandshakes || out.handshake[0].Data[1] != 1 || out.handshake[maxHandshakes-1].Data[1] != 1 {
		t.Errorf("%d handshakes, the first %v", len(out.handshake), out.handshake[0].Data)
	}
	take([]byte{0xff})
	take(nil)
	take(append([]byte{0x40}, make([]byte, packet.MaxBytes)...))
	take(append([]byte{0x40}, make([]byte, 100)...))
	take([]byte{0x40})
	for reason, want := range map[stats.Reason]uint64{stats.HandshakeLimit: 3, stats.UnknownType: 2, stats.TooLarge: 1, stats.UnknownConnection: 1, stats.Truncated: 1} {
		if got := k.drops.Load(reason); got != want {
			t.Errorf("%v: %d, want %d", reason, got, want)
		}
	}
	if lent, _ := pool.Lent(); lent != 0 || len(out.opened) != 0 {
		t.Errorf("%d buffers are left behind, %d opened", lent, len(out.opened))
	}
	for err, want := range map[error]stats.Reason{session.ErrTruncated: stats.Truncated, session.ErrUnknownID: stats.UnknownConnection, session.ErrOldEpoch: stats.OldEpoch,
		session.ErrNotAuthentic: stats.NotAuthentic} {
		if got := openReason(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
