package session

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"mpproxy/src/engine/wire"
)

func secret(fill byte) (s [SecretBytes]byte) {
	for i := range s {
		s[i] = fill
	}
	return s
}

func mustKeys(t testing.TB, suite Suite, protection Protection, fill byte) *Keys {
	t.Helper()
	keys, err := NewKeys(suite, protection, secret(fill))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// forEachKind runs f for every suite and protection.
func forEachKind(t *testing.T, f func(t *testing.T, suite Suite, protection Protection)) {
	for _, suite := range []Suite{AES256GCM, ChaCha20Poly1305} {
		for _, protection := range []Protection{Encrypt, Authenticate} {
			t.Run(fmt.Sprintf("%v/%d", suite, protection), func(t *testing.T) { f(t, suite, protection) })
		}
	}
}

func TestSealGolden(t *testing.T) {
	for _, suite := range []Suite{AES256GCM, ChaCha20Poly1305} {
		for _, protection := range []Protection{Encrypt, Authenticate} {
			name := fmt.Sprintf("%v/%d", suite, protection)
			got := new(Sealer).SealDatagram(mustKeys(t, suite, protection, 7).Next(), nil, 1, 0x01020304, 5, 0x1_0000_0006, []byte("frames"))
			if hex.EncodeToString(got) != goldenDatagrams[name] {
				t.Errorf("%s: %x, want %s", name, got, goldenDatagrams[name])
			}
		}
	}
}

func TestSealOpen(t *testing.T) {
	forEachKind(t, func(t *testing.T, suite Suite, protection Protection) {
		keys := mustKeys(t, suite, protection, 1)
		var sealer Sealer
		var opener Opener
		header := wire.AppendHeader(nil, 0, 9, 77)
		for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("payload "), 180)} {
			sealed := sealer.Seal(keys, []byte("before"), header, plain, 3, 77)
			if !bytes.HasPrefix(sealed, []byte("before")) || len(sealed) != 6+len(plain)+wire.TagBytes {
				t.Fatalf("sealed %d bytes to %d", len(plain), len(sealed))
			}
			sealed = sealed[6:]
			if readable := bytes.HasPrefix(sealed, plain); len(plain) > 1 && readable != (protection == Authenticate) {
				t.Errorf("payload readable: %v", readable)
			}
			got, err := opener.OpenWith(keys, nil, header, sealed, 3, 77)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("opened %q, %v", got, err)
			}
			refuse := func(what string, keys *Keys, header, sealed []byte, path uint32, number uint64) {
				t.Helper()
				if got, err := opener.OpenWith(keys, nil, header, sealed, path, number); !errors.Is(err, ErrNotAuthentic) || got != nil {
					t.Errorf("%s: %q, %v", what, got, err)
				}
			}
			refuse("other path", keys, header, sealed, 4, 77)
			refuse("other number", keys, header, sealed, 3, 77+1<<24)
			refuse("other header", keys, wire.AppendHeader(nil, 1, 9, 77), sealed, 3, 77)
			refuse("other key", keys.Next(), header, sealed, 3, 77)
			for _, i := range []int{0, len(sealed) - 1} {
				damaged := bytes.Clone(sealed)
				damaged[i] ^= 1
				refuse("damaged", keys, header, damaged, 3, 77)
			}
			refuse("shortened", keys, header, append([]byte{}, sealed[:len(sealed)-1]...)[:max(wire.TagBytes, len(sealed)-1)], 3, 77)
			if _, err := opener.OpenWith(keys, nil, header, sealed[:wire.TagBytes-1], 3, 77); !errors.Is(err, ErrTruncated) {
				t.Errorf("without tag: %v", err)
			}
		}
	})
}

func TestSealInPlace(t *testing.T) {
	forEachKind(t, func(t *testing.T, suite Suite, protection Protection) {
		keys := mustKeys(t, suite, protection, 1)
		var sealer Sealer
		plain := []byte("some frames")
		want := sealer.SealDatagram(keys, nil, 1, 2, 3, 4, plain)
		arena := make([]byte, 0, 200)
		room := arena[wire.HeaderBytes : wire.HeaderBytes+len(plain)]
		copy(room, plain)
		got := sealer.SealDatagram(keys, arena, 1, 2, 3, 4, room)
		if !bytes.Equal(got, want) {
			t.Fatalf("in place %x, else %x", got, want)
		}
		opened, err := new(Opener).OpenWith(keys, got[8:8], got[:8], got[8:], 3, 4)
		if err != nil || !bytes.Equal(opened, plain) || &opened[0] != &got[8] {
			t.Errorf("opened in place: %q, %v", opened, err)
		}
	})
}

func TestEverythingDerivesDifferently(t *testing.T) {
	secrets := NewSecrets(secret(1), secret(2))
	seen := map[string]string{}
	note := func(name string, keys *Keys, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		sealed := string(new(Sealer).Seal(keys, nil, nil, make([]byte, 32), 0, 0))
		if other, ok := seen[sealed]; ok {
			t.Errorf("%s and %s have the same key", name, other)
		}
		seen[sealed] = name
	}
	for _, d := range []Direction{Up, Down} {
		for _, suite := range []Suite{AES256GCM, ChaCha20Poly1305} {
			for _, protection := range []Protection{Encrypt, Authenticate} {
				name := fmt.Sprint(d, suite, protection)
				keys, err := secrets.Keys(d, suite, protection)
				note(name, keys, err)
				note(name+" next", keys.Next(), nil)
				if keys.Suite() != suite || keys.Protection() != protection || keys.Next().Suite() != suite {
					t.Errorf("%s: suite or protection lost", name)
				}
			}
		}
	}
	if _, err := secrets.Keys(Up, 3, Encrypt); !errors.Is(err, ErrSuite) {
		t.Errorf("suite 3: %v", err)
	}
	if _, err := secrets.Keys(Up, AES256GCM, 2); !errors.Is(err, ErrSuite) {
		t.Errorf("protection 2: %v", err)
	}
}

func TestConnIDs(t *testing.T) {
	ids := NewSecrets(secret(1), secret(2)).ConnIDs()
	if got := ids.ConnID(Up, 1); got != goldenConnID {
		t.Errorf("id %#x, want %#x", got, uint32(goldenConnID))
	}
	seen := map[uint32]bool{}
	for path := range uint32(500) {
		for _, d := range []Direction{Up, Down} {
			id := ids.ConnID(d, path)
			if id == 0 || seen[id] {
				t.Errorf("path %d: id %#x", path, id)
			}
			seen[id] = true
		}
	}
	if other := NewSecrets(secret(2), secret(1)).ConnIDs(); other.ConnID(Up, 1) == ids.ConnID(Up, 1) {
		t.Error("two sessions have the same id")
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	secrets := NewSecrets(secret(0x41), secret(0x42))
	keys, _ := secrets.Keys(Up, AES256GCM, Encrypt)
	for _, value := range []any{secrets, keys, secrets.ConnIDs()} {
		for _, verb := range []string{"%v", "%+v", "%s"} {
			if text := fmt.Sprintf(verb, value); len(text) > 20 {
				t.Errorf("%s", text)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	forEachKind(t, func(t *testing.T, suite Suite, protection Protection) {
		keys := mustKeys(t, suite, protection, 1)
		sending := NewSending(keys)
		var table Table
		table.Add(2, &Entry{Path: 3, Receiving: NewReceiving(keys)})
		var sealer Sealer
		var opener Opener
		arena := make([]byte, 0, 2048)
		number := uint64(0)
		allocations := testing.AllocsPerRun(200, func() {
			number++
			epoch := sending.Next()
			room := arena[wire.HeaderBytes : wire.HeaderBytes+1400]
			datagram := sealer.SealDatagram(sending.Keys(epoch), arena, epoch, 2, 3, number, room)
			if _, _, _, err := Open(&table, datagram, datagram[8:8], &opener); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%v allocations per datagram", allocations)
		}
	})
}

func BenchmarkSealOpen(b *testing.B) {
	keys := mustKeys(b, AES256GCM, Encrypt, 1)
	var table Table
	table.Add(2, &Entry{Path: 3, Receiving: NewReceiving(keys)})
	var sealer Sealer
	var opener Opener
	arena := make([]byte, 0, 2048)
	b.SetBytes(1400)
	b.ReportAllocs()
	for number := uint64(1); b.Loop(); number++ {
		datagram := sealer.SealDatagram(keys, arena, 0, 2, 3, number, arena[8:1408])
		if _, _, _, err := Open(&table, datagram, datagram[8:8], &opener); err != nil {
			b.Fatal(err)
		}
	}
}
