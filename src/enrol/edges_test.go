package enrol

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/src/config"
)

// mustPair pairs a router, which must work.
func (k *shelf) mustPair(key byte, o Order) config.Peer {
	k.t.Helper()
	p, err := k.pair(key, k.issue(o))
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

// TestAddressesThatWait: routers that were judged well keep their addresses for a minute, and no longer if they do not come back or
// may not.
func TestAddressesThatWait(t *testing.T) {
	k := newShelf(t) // with room for five
	token := k.issue(Order{Uses: 9})
	for key := byte(1); key <= 5; key++ {
		if d := k.Judge(config.Key{key}, token.Proof()); !d.OK {
			t.Fatal(d.Why)
		}
	}
	one := k.issue(Order{})
	k.at += 60
	if d := k.Judge(config.Key{6}, one.Proof()); d.OK {
		t.Errorf("%s belongs to a router that may still come", d.Peer.Address)
	}
	k.at++
	if d := k.Judge(config.Key{6}, one.Proof()); !d.OK {
		t.Error(d.Why)
	}
	if err := k.RevokeToken(one.ID.String()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Commit(config.Key{6}); err == nil {
		t.Error("paired by a token that was taken back")
	}
	if d := k.Judge(config.Key{7}, token.Proof()); !d.OK || d.Peer.Address.String() != "10.99.0.2" {
		t.Errorf("the address of a router that was refused: %+v", d)
	}
}

// TestSecondTokenCounts: a router that comes with another token meanwhile gets what that one says.
func TestSecondTokenCounts(t *testing.T) {
	k := newShelf(t)
	first, second := k.issue(Order{Name: "home"}), k.issue(Order{Name: "shop"})
	k.Judge(config.Key{1}, first.Proof())
	if p, err := k.pair(1, second); err != nil || p.Name != "shop" {
		t.Errorf("%+v, %v", p, err)
	}
	if left := k.Tokens(); len(left) != 1 || left[0].ID != first.ID.String() {
		t.Errorf("left are %+v", left)
	}
}

// TestNamesAreFreeAgain as soon as the router has another one.
func TestNamesAreFreeAgain(t *testing.T) {
	k := newShelf(t)
	k.mustPair(1, Order{Name: "home"})
	if _, err := k.Rename("home", "cabin"); err != nil {
		t.Fatal(err)
	}
	if p := k.mustPair(2, Order{Name: "home"}); p.Name != "home" {
		t.Errorf("it is called %s", p.Name)
	}
}

// TestRoutersFileProvesTheUse: if the power fails before the token's file says that it was used, the router's file does.
func TestRoutersFileProvesTheUse(t *testing.T) {
	k := newShelf(t)
	token := k.issue(Order{Name: "home"})
	k.step = func(name string) error {
		if name == "peer written" {
			return errors.New("power cut")
		}
		return nil
	}
	if _, err := k.pair(1, token); err == nil {
		t.Fatal("no power cut")
	}
	k.restart()
	if p, err := k.pair(2, token); err == nil || !strings.Contains(err.Error(), "used by 'home'") {
		t.Errorf("another router with it: %+v, %v", p, err)
	}
}

// TestUsesLeft: the list of tokens says how often each can still be used.
func TestUsesLeft(t *testing.T) {
	k := newShelf(t)
	token := k.issue(Order{Uses: 3})
	if _, err := k.pair(1, token); err != nil {
		t.Fatal(err)
	}
	if open := k.Tokens(); len(open) != 1 || open[0].Uses != 2 {
		t.Errorf("%+v", open)
	}
	k.mustPair(2, Order{Name: "home"})
	if i, err := k.Issue(config.Key{9}, Order{Name: "home", Uses: 1}, []string{"a:1"}); err == nil {
		t.Errorf("one use for a name that is taken: %+v", i)
	}
	if _, err := k.Issue(config.Key{9}, Order{Name: "home", Uses: 2}, []string{"a:1"}); err != nil {
		t.Errorf("several uses, which are numbered: %v", err)
	}
}

// TestNetworksOfIPv6: without one routers get no address in it, nor when it is full.
func TestNetworksOfIPv6(t *testing.T) {
	k := newShelf(t)
	file := filepath.Join(k.dir, "mpproxy")
	for network, want := range map[string][3]bool{"": {}, "fd00:99::1/126": {true, true, false}} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		other := strings.Replace(string(text), "list address6 'fd00:99::1/64'", "list address6 '"+network+"'", 1)
		if err := os.WriteFile(file, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if k.Store, err = Open(c, func() int64 { return k.at }, k.random); err != nil {
			t.Fatal(err)
		}
		var got [3]bool
		for i := range got {
			got[i] = k.mustPair(byte(i+1), Order{}).Address6.IsValid()
		}
		if got != want {
			t.Errorf("in '%s' addresses are %v, want %v", network, got, want)
		}
		for _, dir := range []string{"peers.d", "tokens"} {
			if err := os.RemoveAll(filepath.Join(k.dir, dir)); err != nil {
				t.Fatal(err)
			}
		}
		k.restart()
	}
}

// TestCopiesOfFilesAreNoRouters: what an editor leaves beside a router's file is not taken for it.
func TestCopiesOfFilesAreNoRouters(t *testing.T) {
	k := newShelf(t)
	k.mustPair(1, Order{Name: "home"})
	path := filepath.Join(k.dir, "peers.d", "home")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copies := []string{path + "~", path + ".tmp", filepath.Join(k.dir, "peers.d", ".home.swp")}
	for _, name := range copies {
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.restart()
	if _, err := k.Limit("home", 7, -1, -1); err != nil {
		t.Fatal(err)
	}
	for _, name := range copies {
		if now, _ := os.ReadFile(name); string(now) != string(raw) {
			t.Errorf("%s was changed", name)
		}
	}
	if now, _ := os.ReadFile(path); !strings.Contains(string(now), "rate_up '7'") {
		t.Errorf("the file:\n%s", now)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Limit("home", 8, -1, -1); err == nil || !strings.Contains(err.Error(), "read router 'home'") {
		t.Errorf("a file that is gone: %v", err)
	}
}

// TestTokensThatMakeNoSense are named, and nobody is let in by them.
func TestTokensThatMakeNoSense(t *testing.T) {
	hash := strings.Repeat("00", 32)
	for what, text := range map[string]string{
		"a short id":     `{"id":"01","hash":"` + hash + `","uses":1,"expires":9999999999}`,
		"a short hash":   `{"id":"0102030405060708","hash":"00","uses":1,"expires":9999999999}`,
		"no hash":        `{"id":"0102030405060708","uses":1,"expires":9999999999}`,
		"a hash of x":    `{"id":"0102030405060708","hash":"` + strings.Repeat("x", 64) + `","uses":1,"expires":9999999999}`,
		"no uses":        `{"id":"0102030405060708","hash":"` + hash + `","uses":0,"expires":9999999999}`,
		"too much of it": `{"id":"0102030405060708","hash":"` + hash + `","uses":1,"expires":9999999999}` + strings.Repeat(" ", maxTokenFile),
	} {
		k := newShelf(t)
		k.issue(Order{})
		name := filepath.Join(k.dir, "tokens", "odd")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := config.Load(filepath.Join(k.dir, "mpproxy"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(c, func() int64 { return k.at }, k.random)
		if err == nil || !strings.Contains(err.Error(), "read token "+name) || len(s.Tokens()) != 1 {
			t.Errorf("%s: %v, open %+v", what, err, s.Tokens())
		}
	}
}

// TestTokenThatCannotBeKept is not given out: it would be refused after the next restart.
func TestTokenThatCannotBeKept(t *testing.T) {
	k := newShelf(t)
	if err := os.WriteFile(filepath.Join(k.dir, "tokens"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if i, err := k.Issue(config.Key{9}, Order{}, []string{"a:1"}); err == nil || i.Text != "" || len(k.Tokens()) != 0 {
		t.Errorf("%+v, %v, open %+v", i, err, k.Tokens())
	}
	if s, err := Open(&config.Config{Portal: k.portal}, k.now, k.random); err == nil || !strings.Contains(err.Error(), "read tokens") {
		t.Errorf("%+v, %v", s, err)
	}
	k = newShelf(t)
	k.random = strings.NewReader("few")
	if i, err := k.Issue(config.Key{9}, Order{}, []string{"a:1"}); err == nil || len(k.Tokens()) != 0 {
		t.Errorf("without randomness: %+v, %v", i, err)
	}
}
