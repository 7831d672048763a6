package handshake

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/wire"
)

// overload makes the server ask for cookies.
func (w *world) overload() {
	for range w.server.Load + 1 {
		w.responder.load.exceeded(w.now)
	}
}

func TestCookie(t *testing.T) {
	w := newWorld(t, nil)
	w.overload()
	reply, pending, err := w.ask(w.initiate(0))
	if !errors.Is(err, ErrUnderLoad) || pending != nil || wire.Kind(reply) != wire.KindCookieReply || len(reply) != cookieReplyBytes {
		t.Fatalf("%d bytes, %v", len(reply), err)
	}
	if _, err := w.initiator.Process(3, reply); !errors.Is(err, ErrCookie) {
		t.Fatal(err)
	}
	// The cookie is the link's: the others go on without.
	if _, _, err := w.ask(w.initiator.Datagram(0)); !errors.Is(err, ErrUnderLoad) {
		t.Errorf("without cookie: %v", err)
	}
	with := w.initiator.Datagram(3)
	for _, from := range []string{"192.0.2.8:4000", "[2001:db8::7]:4000"} {
		if _, pending, err := w.responder.Process(w.now, netip.MustParseAddrPort(from), with); !errors.Is(err, ErrUnderLoad) || pending != nil {
			t.Errorf("from %s: %v", from, err)
		}
	}
	otherPort := netip.AddrPortFrom(netip.MustParseAddr("::ffff:192.0.2.7"), 1)
	answer, pending, err := w.responder.Process(w.now, otherPort, with)
	if err != nil || pending == nil {
		t.Fatalf("with cookie: %v", err)
	}
	result, err := w.initiator.Process(3, answer)
	if err != nil {
		t.Fatal(err)
	}
	w.agree(result, pending)
	// The copy on another link needs no cookie any more: its answer exists.
	if again, _, err := w.ask(with); err != nil || string(again) != string(answer) {
		t.Errorf("copy: %v", err)
	}
	// The next attempt has it at once, until it is forgotten.
	w.initiate(0)
	if _, pending, err := w.ask(w.initiator.Datagram(3)); err != nil || pending == nil {
		t.Errorf("next attempt: %v", err)
	}
	w.initiate(0)
	w.initiator.Forget(3)
	if _, _, err := w.ask(w.initiator.Datagram(3)); !errors.Is(err, ErrUnderLoad) {
		t.Errorf("forgotten: %v", err)
	}
}

func TestCookieSecretIsRenewed(t *testing.T) {
	w := newWorld(t, nil)
	w.overload()
	reply, _, _ := w.ask(w.initiate(0))
	w.initiator.Process(0, reply)
	w.now = w.now.Add(CookieLifetime - 1)
	w.overload()
	if _, _, err := w.ask(w.initiator.Datagram(0)); err != nil {
		t.Errorf("within its life: %v", err)
	}
	w.initiate(0)
	w.now++
	w.overload()
	reply, _, err := w.ask(w.initiator.Datagram(0))
	if !errors.Is(err, ErrUnderLoad) {
		t.Fatalf("after its life: %v", err)
	}
	w.initiator.Process(0, reply)
	if _, _, err := w.ask(w.initiator.Datagram(0)); err != nil {
		t.Errorf("with the new one: %v", err)
	}
}

func TestCookieReplyForged(t *testing.T) {
	w := newWorld(t, nil)
	w.overload()
	reply, _, _ := w.ask(w.initiate(0))
	reply[40] ^= 1
	if _, err := w.initiator.Process(0, reply); !errors.Is(err, ErrNotOurs) || len(w.initiator.cookies) != 0 {
		t.Errorf("forged: %v", err)
	}
	reply[40] ^= 1
	w.initiate(0)
	copy(reply[4:8], w.initiator.Datagram(0)[4:8])
	if _, err := w.initiator.Process(0, reply); !errors.Is(err, ErrNotOurs) {
		t.Errorf("of another attempt: %v", err)
	}
	if _, err := w.initiator.Process(0, reply[:60]); !errors.Is(err, ErrTruncated) {
		t.Errorf("truncated: %v", err)
	}
}

func TestNoVersionReplyUnderLoad(t *testing.T) {
	w := newWorld(t, nil)
	w.overload()
	datagram := w.initiate(0)
	datagram[1]++
	key := publicly(labelMAC1, w.router.Server)
	sum := mac(key[:], datagram[:len(datagram)-2*macBytes])
	copy(mac1Of(datagram), sum[:])
	if reply, _, err := w.ask(datagram); reply != nil || !errors.Is(err, ErrVersion) {
		t.Errorf("%x, %v", reply, err)
	}
}

func TestCookieSources(t *testing.T) {
	secret := [KeyBytes]byte{1}
	cookie := func(addr string) [macBytes]byte { return cookieFor(&secret, netip.MustParseAddr(addr)) }
	if cookie("192.0.2.1") != cookie("::ffff:192.0.2.1") || cookie("192.0.2.1") == cookie("192.0.2.2") {
		t.Error("IPv4")
	}
	if cookie("2001:db8::1") != cookie("2001:db8::2") || cookie("2001:db8::1") == cookie("2001:db8:0:1::1") || cookie("fe80::1%a") != cookie("fe80::2%b") {
		t.Error("IPv6")
	}
	secret[0] = 2
	if changed := cookie("192.0.2.1"); changed == cookieFor(&[KeyBytes]byte{1}, netip.MustParseAddr("192.0.2.1")) {
		t.Error("the secret does not matter")
	}
}

func TestLoad(t *testing.T) {
	l := load{limit: 10}
	now := mono.Time(5 * second)
	at := func(d time.Duration, n int) (exceeded bool) {
		for range n {
			exceeded = l.exceeded(now.Add(d))
		}
		return exceeded
	}
	steps := []struct {
		at   time.Duration
		n    int
		want bool
	}{
		{0, 10, false}, {900 * time.Millisecond, 1, true}, {1100 * time.Millisecond, 1, true}, {2 * time.Second, 1, true},
		{2200 * time.Millisecond, 1, false}, {2300 * time.Millisecond, 20, true}, {9 * time.Second, 10, false}, {8 * time.Second, 1, false},
	}
	for i, step := range steps {
		if at(step.at, step.n) != step.want {
			t.Errorf("step %d: want %v", i, step.want)
		}
	}
}
