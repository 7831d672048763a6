package handshake

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

func TestPublicKeyAgainstTheLibrary(t *testing.T) {
	w := newWorld(t, nil)
	for range 5 {
		key := w.key()
		other, err := ecdh.X25519().NewPrivateKey(key[:])
		if err != nil {
			t.Fatal(err)
		}
		if public := key.Public(); !bytes.Equal(public[:], other.PublicKey().Bytes()) {
			t.Errorf("%x: %x", key[:], public[:])
		}
	}
}

func TestKeyText(t *testing.T) {
	w := newWorld(t, nil)
	private := w.key()
	public := private.Public()
	if got, err := ParsePrivateKey(private.Text()); err != nil || got != private {
		t.Errorf("private: %v", err)
	}
	if got, err := ParsePublicKey(public.Text()); err != nil || got != public || public.String() != public.Text() {
		t.Errorf("public: %v", err)
	}
	psk := PresharedKey(private)
	if got, err := ParsePresharedKey(psk.Text()); err != nil || got != psk {
		t.Errorf("preshared: %v", err)
	}
	good := public.Text()
	for _, bad := range []string{"", "x", good[:43], good + "=", good[:42] + "==", " " + good[1:], good[:20] + "\n" + good[20:], good[:20] + "*" + good[21:]} {
		if got, err := ParsePublicKey(bad); !errors.Is(err, ErrKey) || got != (PublicKey{}) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
	for _, hidden := range []any{private, psk} {
		if text := fmt.Sprintf("%v %s %+v", hidden, hidden, hidden); strings.Contains(text, private.Text()) || !strings.Contains(text, "hidden") {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestGenerateKey(t *testing.T) {
	key, err := GenerateKey(strings.NewReader(strings.Repeat("\xff", 32)))
	if err != nil || key[0] != 248 || key[31] != 127 {
		t.Errorf("%x, %v", key[:], err)
	}
	if _, err := GenerateKey(iotest.ErrReader(errors.New("no randomness"))); err == nil {
		t.Error("made of nothing")
	}
}

func TestNoRandomness(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.initiator.Initiate(strings.NewReader("too short"), 0); err == nil || w.initiator.Datagram(0) != nil {
		t.Errorf("router: %v", err)
	}
	datagram := w.initiate(0)
	w.responder.params.Random = strings.NewReader("too short")
	if reply, pending, err := w.ask(datagram); err == nil || reply != nil || pending != nil || len(w.responder.pending) != 0 {
		t.Errorf("server: %v", err)
	}
	w.responder.params.Random = w.random
	if _, pending, err := w.ask(datagram); err != nil || pending == nil {
		t.Errorf("afterwards: %v", err)
	}
}
