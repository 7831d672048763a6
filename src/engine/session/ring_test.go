package session

import (
	"errors"
	"math/rand"
	"sync"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// pair is one direction of a session with one path, sealed and opened inline.
type pair struct {
	t       *testing.T
	sending *Sending
	entry   *Entry
	table   Table
	sealer  Sealer
	opener  Opener
	number  uint64
}

func newPair(t *testing.T) *pair {
	p := &pair{t: t, sending: NewSending(mustKeys(t, AES256GCM, Encrypt, 1))}
	p.entry = &Entry{Owner: 8, Path: 5, Receiving: NewReceiving(mustKeys(t, AES256GCM, Encrypt, 1))}
	p.table.Add(99, p.entry)
	return p
}

func (p *pair) seal() []byte {
	p.number++
	epoch := p.sending.Next()
	return p.sealer.SealDatagram(p.sending.Keys(epoch), nil, epoch, 99, 5, p.number, []byte("hello"))
}

// open opens in place, so a datagram can be opened once only.
func (p *pair) open(datagram []byte) error {
	_, _, plaintext, err := Open(&p.table, datagram, datagram[8:8], &p.opener)
	if err == nil && string(plaintext) != "hello" {
		p.t.Errorf("plaintext %q", plaintext)
	}
	return err
}

func (p *pair) must(datagram []byte) {
	p.t.Helper()
	if err := p.open(datagram); err != nil {
		p.t.Fatal(err)
	}
}

func TestRotate(t *testing.T) {
	p := newPair(t)
	if p.sending.Rotate() {
		t.Fatal("rotated before the receiver was known to follow")
	}
	late := p.seal()
	for step := range uint8(9) {
		p.must(p.seal())
		p.sending.Confirm(p.sending.Epoch() - 1)
		if p.sending.Rotate() {
			t.Fatal("another epoch's acknowledgement confirmed this one")
		}
		p.sending.Confirm(p.sending.Epoch())
		if !p.sending.Rotate() || p.sending.Count() != 0 {
			t.Fatal("not rotated")
		}
		p.must(p.seal())
		if want := (step + 1) % 4; p.entry.Receiving.Epoch() != want || p.sending.Epoch() != want {
			t.Fatalf("epochs %d, %d", p.sending.Epoch(), p.entry.Receiving.Epoch())
		}
		p.must(late) // the previous epoch's key is still there
		late = p.seal()
	}
	if p.sending.Keys(p.sending.Epoch()+2) != nil {
		t.Error("keys kept for longer than an epoch")
	}
}

func TestDue(t *testing.T) {
	p := newPair(t)
	p.sending.Confirm(0)
	p.sending.count = RotateAfter - 1
	if p.sending.Due() {
		t.Error("due early")
	}
	if p.sending.Next(); !p.sending.Due() {
		t.Error("not due")
	}
	p.sending.Rotate()
	if p.sending.count = RotateAfter; p.sending.Due() {
		t.Error("due though not confirmed")
	}
}

func TestEpochsOutOfReach(t *testing.T) {
	p := newPair(t)
	two := p.seal()
	two[0] += 2 << 4
	before := p.seal()
	before[0] += 3 << 4
	if err := p.open(two); !errors.Is(err, ErrOldEpoch) {
		t.Errorf("two ahead: %v", err)
	}
	if err := p.open(before); !errors.Is(err, ErrOldEpoch) {
		t.Errorf("before the first: %v", err)
	}
	if p.entry.Receiving.Failures() != 0 {
		t.Error("counted as forgeries")
	}
}

func TestExpirePrevious(t *testing.T) {
	p := newPair(t)
	r := p.entry.Receiving
	const lifetime = 300 * time.Millisecond
	if r.ExpirePrevious(1, lifetime) != mono.Never {
		t.Error("something to expire at the start")
	}
	late, later := p.seal(), p.seal()
	p.sending.Confirm(0)
	p.sending.Rotate()
	p.must(p.seal())
	start := mono.Time(time.Second)
	if next := r.ExpirePrevious(start, lifetime); next != start.Add(lifetime) {
		t.Fatalf("call again at %d", next)
	}
	if next := r.ExpirePrevious(start.Add(lifetime-1), lifetime); next != start.Add(lifetime) {
		t.Fatalf("call again at %d", next)
	}
	p.must(late)
	if r.ExpirePrevious(start.Add(lifetime), lifetime) != mono.Never {
		t.Error("not expired")
	}
	if err := p.open(later); !errors.Is(err, ErrOldEpoch) {
		t.Errorf("after expiry: %v", err)
	}
	p.must(p.seal())
}

func TestRekey(t *testing.T) {
	p := newPair(t)
	r := p.entry.Receiving
	p.must(p.seal())
	fresh := mustKeys(t, AES256GCM, Encrypt, 2)
	r.AddPending(fresh)
	p.must(p.seal())
	if r.Root() == fresh {
		t.Fatal("a key was taken before it was proved")
	}
	late := p.seal()
	p.sending.Install(mustKeys(t, AES256GCM, Encrypt, 2))
	if err := p.open(damage(p.seal())); !errors.Is(err, ErrNotAuthentic) {
		t.Fatal(err)
	}
	if r.Root() == fresh || r.Failures() != 1 {
		t.Fatal("a forgery moved the session to the new key")
	}
	p.must(p.seal())
	if r.Root() != fresh || r.Epoch() != 1 || r.Failures() != 0 {
		t.Fatalf("not in force: epoch %d, failures %d", r.Epoch(), r.Failures())
	}
	p.must(late)
	p.sending.Confirm(1)
	p.sending.Rotate()
	p.must(p.seal())
	if r.Root() != fresh {
		t.Error("a derived key is not known as its handshake's")
	}
}

func damage(datagram []byte) []byte {
	datagram[len(datagram)-1] ^= 1
	return datagram
}

// The sender may move on by several handshakes of which the receiver hears nothing but the answers it gave.
func TestRekeyAfterUnheardSteps(t *testing.T) {
	for steps := range 6 {
		p := newPair(t)
		p.must(p.seal())
		p.sending.Confirm(0)
		p.sending.Rotate()
		for i := range steps {
			p.entry.Receiving.AddPending(mustKeys(t, AES256GCM, Encrypt, byte(10+i)))
			p.sending.Install(mustKeys(t, AES256GCM, Encrypt, byte(10+i)))
			p.seal() // lost
		}
		p.must(p.seal())
		p.must(p.seal())
		if p.entry.Receiving.Epoch() != p.sending.Epoch() {
			t.Errorf("%d steps: epochs %d, %d", steps, p.sending.Epoch(), p.entry.Receiving.Epoch())
		}
	}
}

func TestPendingIsBounded(t *testing.T) {
	p := newPair(t)
	r := p.entry.Receiving
	keys := []*Keys{mustKeys(t, AES256GCM, Encrypt, 2), mustKeys(t, AES256GCM, Encrypt, 3), mustKeys(t, AES256GCM, Encrypt, 4)}
	for _, k := range keys {
		r.AddPending(k)
	}
	seal := func(k *Keys) []byte {
		p.number++
		return p.sealer.SealDatagram(k, nil, 1, 99, 5, p.number, []byte("hello"))
	}
	if err := p.open(seal(keys[0])); !errors.Is(err, ErrNotAuthentic) {
		t.Errorf("the oldest of three: %v", err)
	}
	p.must(seal(keys[1]))
	if len(r.ring.Load().pending) != 1 {
		t.Error("the newest did not stay pending")
	}
	p.must(seal(keys[2]))
	if len(r.ring.Load().pending) != 0 || r.Root() != keys[2] {
		t.Error("the newest is not in force")
	}
}

func TestFailureLimit(t *testing.T) {
	p := newPair(t)
	r := p.entry.Receiving
	r.limit = 3
	for range 3 {
		p.must(p.seal())
		p.open(damage(p.seal()))
	}
	if err := p.open(p.seal()); !errors.Is(err, ErrExhausted) {
		t.Errorf("a retired key: %v", err)
	}
	r.AddPending(mustKeys(t, AES256GCM, Encrypt, 2))
	p.sending.Install(mustKeys(t, AES256GCM, Encrypt, 2))
	p.must(p.seal())
	p.must(p.seal())
}

// Several readers open while the sender rotates and rekeys: none may lose a datagram or corrupt the ring.
func TestReceivingConcurrently(t *testing.T) {
	p := newPair(t)
	random := rand.New(rand.NewSource(1))
	fill := byte(1)
	for range 30 {
		var batch [][]byte
		for range 8 {
			batch = append(batch, p.seal())
		}
		if p.sending.Confirm(p.sending.Epoch()); random.Intn(2) == 0 {
			p.sending.Rotate()
		} else {
			fill++
			p.entry.Receiving.AddPending(mustKeys(t, AES256GCM, Encrypt, fill))
			p.sending.Install(mustKeys(t, AES256GCM, Encrypt, fill))
		}
		for range 8 {
			batch = append(batch, p.seal())
		}
		var readers sync.WaitGroup
		for reader := range 4 {
			readers.Go(func() {
				var opener Opener
				for i := reader; i < len(batch); i += 4 {
					if _, _, _, err := Open(&p.table, batch[i], batch[i][8:8], &opener); err != nil {
						t.Errorf("datagram %d: %v", i, err)
					}
				}
			})
		}
		readers.Wait()
		if p.entry.Largest() != p.number {
			t.Fatalf("largest %d of %d", p.entry.Largest(), p.number)
		}
	}
}
