package streams

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
)

// caller speaks to a server's door by hand.
type caller struct {
	t    *testing.T
	conn net.Conn
	seal *mpp.Sealer
	open *mpp.Opener
	rest []byte // that came with the last answer
}

// call connects, and says hello with a secret.
func call(t *testing.T, at string, secret mpp.Secret, ticket uint64) *caller {
	t.Helper()
	c := &caller{t: t, conn: dialDoor(t, at)}
	c.introduce(secret, ticket)
	return c
}

func dialDoor(t *testing.T, at string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func (c *caller) introduce(secret mpp.Secret, ticket uint64) {
	var err error
	if c.seal, c.open, err = secret.Client(ticket); err != nil {
		c.t.Fatal(err)
	}
	c.send(mpp.AppendHello(nil, secret.ID(), ticket))
}

func (c *caller) send(b []byte) {
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// record seals frames.
func (c *caller) record(frames ...mpp.Frame) []byte {
	b := make([]byte, mpp.RecordSpace, mpp.MaxRecord+100)
	for i := range frames {
		b = mpp.AppendFrame(b, &frames[i])
	}
	return c.seal.Seal(b)
}

// answer is the first frame of the next record; its type is 0 if the other side hangs up.
func (c *caller) answer() (f mpp.Frame) {
	var b [4096]byte
	have, want := copy(b[:], c.rest), 2
	for {
		n, err := readAtLeast(c.conn, b[:], have, want)
		if err != nil {
			return f
		}
		plain, took, needs, err := c.open.Open(b[:n])
		if have, want = n, needs; took > 0 || err != nil {
			if _, err = mpp.ParseFrame(plain, &f); err != nil {
				c.t.Error(err)
			}
			c.rest = append([]byte(nil), b[took:n]...)
			return f
		}
	}
}

func waits() mpp.Frame { return mpp.Frame{Type: mpp.FramePing} }

func attach(mid uint64) mpp.Frame {
	return mpp.Frame{Type: mpp.FrameAttach, MID: mid, Subflow: 1}
}

// TestWaitingGetsAllAtOnce: what a stream sends on a subflow that waits may come together with the subflow's hello, as when
// a packet was lost before.
func TestWaitingGetsAllAtOnce(t *testing.T) {
	got := make(chan int, 1)
	b := newBed(t, func(s *Stream) {
		all, _ := io.ReadAll(s)
		got <- len(all)
		_ = s.Close()
	})
	c := &caller{t: t, conn: dialDoor(t, b.at)}
	secret := b.client.secret
	c.seal, c.open, _ = secret.Client(1000)
	all := append(mpp.AppendHello(nil, secret.ID(), 1000), c.record(waits())...)
	all = append(all, c.record(attach(9), mpp.Frame{Type: mpp.FrameData, MID: 9, Payload: content(9000)})...)
	all = append(all, c.record(mpp.Frame{Type: mpp.FrameData, MID: 9, Offset: 9000, Flags: mpp.FlagFin, Payload: content(1000)})...)
	c.send(all)
	select {
	case n := <-got:
		if n != 10000 {
			t.Errorf("%d bytes", n)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("it never came: %+v", b.server.Counts())
	}
}

// TestWaitingIsBounded: a router's subflows that wait do not use the server up, and make no room for strangers.
func TestWaitingIsBounded(t *testing.T) {
	b := newBed(t, mirror)
	var all []*caller
	for i := range uint64(maxWaiting) {
		c := call(t, b.at, b.client.secret, 1000+i)
		c.send(c.record(waits()))
		all = append(all, c)
	}
	waiting := func() int {
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		return b.server.peers["home"].waiting
	}
	settle(t, func() bool { return waiting() == maxWaiting })
	late := call(t, b.at, b.client.secret, 2000)
	late.send(late.record(waits()))
	if f := late.answer(); f.Type != 0 {
		t.Errorf("answered with %+v", f)
	}
	if n := b.server.Counts(); n.Refused != 1 || n.Strangers != 0 {
		t.Errorf("%+v", n)
	}
	all[0].send(all[0].record(attach(9)))
	if f := all[0].answer(); f.MID != 9 {
		t.Errorf("the first that waited got %+v", f)
	}
	for _, c := range all {
		_ = c.conn.Close()
	}
	settle(t, func() bool { return waiting() == 0 })
}

// TestStrangersMakeRoom: connections that say nothing keep no router out.
func TestStrangersMakeRoom(t *testing.T) {
	b := newBed(t, mirror)
	for range maxStrangers + 10 {
		dialDoor(t, b.at)
	}
	s, err := b.client.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	roundTrip(t, s, content(1000))
	if took := time.Since(begin); took > helloTime/2 {
		t.Errorf("it took %v", took)
	}
	settle(t, func() bool { return b.server.Counts().Strangers >= 10 })
}

// TestRemovedStaysOut: a router that is removed while it makes a secret, or while a subflow of it waits, does not come in
// by that, even if another one has its name by then.
func TestRemovedStaysOut(t *testing.T) {
	b := newBed(t, mirror)
	made := mpp.NewSecret(session.AES256GCM, [32]byte{42})
	b.server.Answer = func(netip.AddrPort, []byte) ([]byte, string, mpp.Secret, error) {
		return []byte("well"), "home", made, nil
	}
	waiting := call(t, b.at, b.client.secret, 1000)
	waiting.send(waiting.record(waits()))
	shaking := &caller{t: t, conn: dialDoor(t, b.at)}
	shaking.send([]byte{shakeMagic, shakeVersion, 0, 1, 'q'})
	if _, err := readAtLeast(shaking.conn, make([]byte, 6), 0, 6); err != nil {
		t.Fatal(err)
	}
	settle(t, func() bool {
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		return b.server.peers["home"].waiting == 1
	})
	b.server.RemovePeer("home")
	b.server.AddSecret("home", mpp.NewSecret(session.AES256GCM, [32]byte{43}))
	shaking.introduce(made, 1)
	shaking.send(shaking.record(attach(9)))
	if f := shaking.answer(); f.Type != 0 {
		t.Errorf("who made a secret before got %+v", f)
	}
	waiting.send(waiting.record(attach(10)))
	if f := waiting.answer(); f.Type != mpp.FrameReset || f.Code != mpp.CodeRefused {
		t.Errorf("who waited got %+v", f)
	}
	if n := b.server.Counts(); n.Streams != 0 || n.Shaken != 0 {
		t.Errorf("%+v", n)
	}
}

// TestServerKeepsLittle: of secrets, of a router's starts and of its streams no more are kept than is said.
func TestServerKeepsLittle(t *testing.T) {
	b := newBed(t, func(s *Stream) { _, _ = io.Copy(io.Discard, s) })
	b.server.MaxStreams = keptInstances + 2
	secrets := []mpp.Secret{b.client.secret}
	for i := range byte(keptSecrets) {
		secrets = append(secrets, mpp.NewSecret(session.AES256GCM, [32]byte{100, i}))
		b.server.AddSecret("home", secrets[len(secrets)-1])
	}
	old := call(t, b.at, secrets[0], 1)
	old.send(old.record(attach(9)))
	if f := old.answer(); f.Type != 0 {
		t.Errorf("the oldest secret is answered by %+v", f)
	}
	var all []*caller
	for i := range uint64(keptInstances + 2) {
		c := call(t, b.at, secrets[1+i], 1)
		c.send(c.record(attach(i<<32 | 1)))
		all = append(all, c)
	}
	settle(t, func() bool { return b.server.Counts().Active == keptInstances+2 })
	c := call(t, b.at, secrets[1], 2)
	c.send(c.record(attach(2)))
	if f := c.answer(); f.Type != mpp.FrameReset || f.Code != mpp.CodeRefused {
		t.Errorf("one stream too many is answered by %+v", f)
	}
	b.server.mu.Lock()
	p := b.server.peers["home"]
	if len(b.server.secrets) != keptSecrets || len(p.secrets) != keptSecrets || len(p.instances) != keptInstances || len(p.order) != keptInstances {
		t.Errorf("%d secrets, %d starts are kept", len(b.server.secrets), len(p.instances))
	}
	b.server.mu.Unlock()
	b.server.RemovePeer("home")
	b.server.mu.Lock()
	if len(b.server.secrets) != 0 {
		t.Errorf("%d secrets of a router that was removed", len(b.server.secrets))
	}
	b.server.mu.Unlock()
	for _, c := range all {
		f := c.answer()
		for f.Type != 0 && f.Type != mpp.FrameReset {
			f = c.answer()
		}
		if f.Type != mpp.FrameReset || f.Code != mpp.CodeAborted {
			t.Errorf("a stream of a router that was removed ends with %+v", f)
		}
	}
}
