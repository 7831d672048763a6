package streams

import (
	"context"
	"net"
	"testing"
	"time"

	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
)

// FuzzWelcome gives a server's door anything: it answers nobody who has not proved to be known, and does not fall over.
// The first byte chooses what follows: anything, or records that a known peer has sealed.
func FuzzWelcome(f *testing.F) {
	hello := mpp.AppendHello(nil, 1, 2)
	shake := append([]byte{shakeMagic, shakeVersion, 4, 0xb0}, make([]byte, 1200)...)
	attach := mpp.AppendFrame(nil, &mpp.Frame{Type: mpp.FrameAttach, MID: 7, Subflow: 1})
	ping := mpp.AppendFrame(nil, &mpp.Frame{Type: mpp.FramePing})
	for _, seed := range [][]byte{hello, shake, append(shake[:len(shake):len(shake)], hello...), attach, ping, append(ping[:len(ping):len(ping)], attach...), {shakeMagic}, nil} {
		f.Add(false, seed)
		f.Add(true, seed)
	}
	f.Fuzz(func(t *testing.T, known bool, b []byte) {
		secret := mpp.NewSecret(session.AES256GCM, [32]byte{3})
		s := NewServer(ServerOptions{Clock: testClock(), Pool: mpp.NewPool(1 << 20), Answer: fakeAnswer,
			Handle: func(_ context.Context, _ string, s *Stream) { s.Abort() }})
		s.AddSecret("home", secret)
		if known && len(b) <= mpp.MaxRecord {
			seal, _, err := secret.Client(5)
			if err != nil {
				t.Fatal(err)
			}
			rec := seal.Seal(append(make([]byte, mpp.RecordSpace, mpp.RecordSpace+len(b)+32), b...))
			b = append(mpp.AppendHello(nil, secret.ID(), 5), rec...)
		}
		here, there := net.Pipe()
		done := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			s.ServeConn(ctx, there)
			close(done)
		}()
		go func() {
			_ = here.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = here.Write(b)
			_ = here.Close()
		}()
		<-done
		cancel()
		if n := s.Counts(); n.Streams > 0 && !known {
			t.Errorf("a stranger has a stream: %+v", n)
		}
	})
}
