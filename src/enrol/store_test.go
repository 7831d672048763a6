package enrol

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/src/config"
	"mpproxy/src/pairing"
)

const noon = 1_800_000_000

// shelf is a server's directory, and the Store over it.
type shelf struct {
	*Store
	t    *testing.T
	dir  string
	main string // more text of the main file
	at   int64
}

func newShelf(t *testing.T) *shelf {
	k := &shelf{t: t, dir: t.TempDir(), at: noon}
	k.restart()
	return k
}

// restart reads everything from disk again, as after a power cut.
func (k *shelf) restart() {
	k.t.Helper()
	file := filepath.Join(k.dir, "mpproxy")
	text := fmt.Sprintf("config portal 'main'\n\toption role 'remote'\n\toption peers_dir '%s/peers.d'\n\toption secrets_dir '%s/secrets'\n\toption address '10.99.0.1/29'\n\tlist address6 'fd00:99::1/64'\n%s", k.dir, k.dir, k.main)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	c, _, err := config.Load(file)
	if err != nil {
		k.t.Fatal(err)
	}
	if k.Store, err = Open(c, func() int64 { return k.at }, rand.Reader); err != nil {
		k.t.Fatal(err)
	}
}

func (k *shelf) issue(o Order) pairing.Token {
	k.t.Helper()
	i, err := k.Issue(config.Key{9}, o, []string{"203.0.113.9:6779"})
	if err != nil {
		k.t.Fatal(err)
	}
	token, err := pairing.Parse(i.Text)
	if err != nil || i.Expires != k.at+max(o.Life, pairing.DefaultLife) && o.Life == 0 {
		k.t.Fatal(err, i.Expires)
	}
	return token
}

// pair lets a router pair and returns it as the server knows it.
func (k *shelf) pair(key byte, token pairing.Token) (config.Peer, error) {
	d := k.Judge(config.Key{key}, token.Proof())
	if !d.OK {
		return d.Peer, errors.New(d.Why)
	}
	p, _, err := k.Commit(config.Key{key})
	if err == nil && (p.Address != d.Peer.Address || p.Name != d.Peer.Name) {
		k.t.Errorf("promised %s %s, written %s %s", d.Peer.Name, d.Peer.Address, p.Name, p.Address)
	}
	return p, err
}

func TestPairedRoutersGetNamesAndAddresses(t *testing.T) {
	k := newShelf(t)
	many := k.issue(Order{Uses: 3, Name: "shop"})
	one := k.issue(Order{})
	var got []string
	for i, token := range []pairing.Token{many, one, many, many} {
		p, err := k.pair(byte(i+1), token)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s", p.Name, p.Address, p.Address6))
		info, err := os.Stat(filepath.Join(k.dir, "peers.d", p.Name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	want := "shop 10.99.0.2 fd00:99::2, router1 10.99.0.3 fd00:99::3, shop2 10.99.0.4 fd00:99::4, shop3 10.99.0.5 fd00:99::5"
	if all := strings.Join(got, ", "); all != want {
		t.Errorf("routers\n got %s\nwant %s", all, want)
	}
	if _, err := k.pair(9, many); err == nil || !strings.Contains(err.Error(), "used 3 times, last by 'shop3'") {
		t.Errorf("a fourth use: %v", err)
	}
	k.restart()
	if _, err := k.pair(9, one); err == nil || !strings.Contains(err.Error(), "used by 'router1' on 2027-01-15 08:00 UTC") {
		t.Errorf("after a restart: %v", err)
	}
	if p, err := k.pair(2, one); err != nil || p.Name != "router1" || p.Address.String() != "10.99.0.3" {
		t.Errorf("the same router again: %+v, %v", p, err)
	}
	if _, err := k.pair(10, k.issue(Order{})); err != nil {
		t.Errorf("the last address: %v", err)
	}
	if _, err := k.pair(11, k.issue(Order{})); err == nil || !strings.Contains(err.Error(), "10.99.0.0/29 has no address left") {
		t.Errorf("one router too many: %v", err)
	}
}

// TestPowerCuts stops a pairing between any two steps, starts again from what is on the disk, and lets the same router
// repeat its token: it is paired once, with one address, and the token is burnt.
func TestPowerCuts(t *testing.T) {
	cut := errors.New("power cut")
	for _, replace := range []bool{false, true} {
		for _, where := range []string{"judged", "peer written", "token written"} {
			k := newShelf(t)
			order := Order{Name: "home"}
			if replace {
				if _, err := k.pair(1, k.issue(order)); err != nil {
					t.Fatal(err)
				}
				order = Order{Replace: "home"}
			}
			token := k.issue(order)
			k.step = func(name string) error {
				if name == where {
					return cut
				}
				return nil
			}
			if _, err := k.pair(2, token); !errors.Is(err, cut) {
				t.Fatalf("%s: %v", where, err)
			}
			k.restart()
			p, err := k.pair(2, token)
			if err != nil || p.Name != "home" || p.Address.String() != "10.99.0.2" || p.PublicKey != (config.Key{2}) {
				t.Errorf("replace %v, cut after %s: %+v, %v", replace, where, p, err)
			}
			if _, err := k.pair(3, token); err == nil || !strings.Contains(err.Error(), "used by 'home'") {
				t.Errorf("replace %v, cut after %s: another router: %v", replace, where, err)
			}
			k.restart()
			if n := len(k.Routers()); n != 1 {
				t.Errorf("replace %v, cut after %s: %d routers", replace, where, n)
			}
			if left, _ := filepath.Glob(filepath.Join(k.dir, "*", ".*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	}
}

// Two routers with one token at the same time: one of them is paired.
func TestTwoRoutersRaceForOneToken(t *testing.T) {
	k := newShelf(t)
	token := k.issue(Order{Name: "home"})
	a, b := k.Judge(config.Key{1}, token.Proof()), k.Judge(config.Key{2}, token.Proof())
	if !a.OK || !b.OK || a.Peer.Address == b.Peer.Address || a.Peer.Name == b.Peer.Name {
		t.Fatalf("%+v\n%+v", a, b)
	}
	if _, _, err := k.Commit(config.Key{2}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Commit(config.Key{1}); err == nil {
		t.Error("both are paired")
	}
	if _, _, err := k.Commit(config.Key{5}); err == nil {
		t.Error("one that nobody judged is paired")
	}
	if d := k.Judge(config.Key{1}, token.Proof()); d.OK || !strings.Contains(d.Why, "used by 'home2'") {
		t.Errorf("%+v", d)
	}
	token = k.issue(Order{})
	k.Judge(config.Key{3}, token.Proof())
	if err := k.RevokeToken(token.ID.String()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Commit(config.Key{3}); err == nil {
		t.Error("paired by a token that was taken back meanwhile")
	}
}

func TestReplacedHardwareKeepsItsPlace(t *testing.T) {
	k := newShelf(t)
	if _, err := k.pair(1, k.issue(Order{Name: "home"})); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(k.dir, "peers.d", "home")
	raw, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(raw, "\toption max_links '3' # mine\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Limit("home", 20, -1, -1); err != nil {
		t.Fatal(err)
	}
	p, err := k.pair(2, k.issue(Order{Replace: "home"}))
	if err != nil || p.PublicKey != (config.Key{2}) || p.MaxLinks != 3 || p.UploadBitsPerSecond != 20e6 || p.Address.String() != "10.99.0.2" {
		t.Errorf("%+v, %v", p, err)
	}
	if raw, _ := os.ReadFile(path); !strings.Contains(string(raw), "max_links '3' # mine") || strings.Contains(string(raw), (config.Key{1}).String()) {
		t.Errorf("the file:\n%s", raw)
	}
	k.restart()
	if n := len(k.Routers()); n != 1 {
		t.Errorf("%d routers", n)
	}
}

func TestOrders(t *testing.T) {
	k := newShelf(t)
	k.main = "\nconfig peer 'office'\n\toption public_key '" + (config.Key{7}).String() + "'\n\toption address '10.99.0.2'\n"
	k.restart()
	if _, err := k.pair(1, k.issue(Order{Name: "home"})); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Order{
		"already": {Name: "home"}, "no name": {Name: "my home"}, "there is no router 'x'; routers are: home, office": {Replace: "x"},
		"main configuration file": {Replace: "office"}, "keeps its name": {Replace: "home", Name: "x"}, "no address of the form": {Endpoints: []string{"a b:1"}}, "1 to 256": {Uses: 300},
	} {
		if i, err := k.Issue(config.Key{9}, o, []string{"a:1"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %+v, %v", o, i, err)
		}
	}
	if len(k.Tokens()) != 0 {
		t.Errorf("refused orders left %+v", k.Tokens())
	}
	if _, err := k.Issue(config.Key{9}, Order{}, nil); err == nil || !strings.Contains(err.Error(), "--endpoint") {
		t.Errorf("without an address: %v", err)
	}
	i, err := k.Issue(config.Key{9}, Order{Endpoints: []string{"vps.example.org", "[2001:db8::1]:443"}}, nil)
	if err != nil || strings.Join(i.Endpoints, " ") != "vps.example.org:6779 [2001:db8::1]:443" || i.When() != "2027-01-16 08:00 UTC" {
		t.Errorf("%+v, %v", i, err)
	}
	if open := k.Tokens(); len(open) != 1 || open[0].ID != i.ID || open[0].Text != "" {
		t.Errorf("open %+v", open)
	}
	for _, id := range []string{"", "xy", "0102030405060708"} {
		if err := k.RevokeToken(id); err == nil {
			t.Errorf("%q was taken back", id)
		}
	}
	if err := k.RevokeToken(i.ID); err != nil || len(k.Tokens()) != 0 {
		t.Errorf("%v, open %+v", err, k.Tokens())
	}
	raw, _ := os.ReadFile(filepath.Join(k.dir, "tokens", i.ID))
	token, _ := pairing.Parse(i.Text)
	if len(raw) == 0 || strings.Contains(string(raw), fmt.Sprintf("%x", token.Secret)) || strings.Contains(string(raw), i.Text) {
		t.Errorf("the token's file: %s", raw)
	}
}

func TestPeersAreRenamedLimitedRevoked(t *testing.T) {
	k := newShelf(t)
	token := k.issue(Order{Name: "home"})
	if _, err := k.pair(1, token); err != nil {
		t.Fatal(err)
	}
	if p, err := k.Rename("home", "cabin"); err != nil || p.Name != "cabin" {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, to := range []string{"", "a b", "cabin"} {
		if _, err := k.Rename("cabin", to); err == nil {
			t.Errorf("renamed to %q", to)
		}
	}
	if p, err := k.Limit("cabin", 5, 50, 0); err != nil || p.UploadBitsPerSecond != 5e6 || p.DownloadBitsPerSecond != 50e6 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := k.Limit("cabin", 0, -1, 4); err != nil || p.UploadBitsPerSecond != 0 || p.DownloadBitsPerSecond != 50e6 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := k.Revoke("cabin", true); err != nil || p.Enabled || !k.Revoked(config.Key{1}) || k.Revoked(config.Key{2}) {
		t.Errorf("%+v, %v", p, err)
	}
	k.restart()
	want := Router{Name: "cabin", Address: "10.99.0.2", Key: (config.Key{1}).String(), Created: "2027-01-15T08:00:00Z", DownMbit: 50, MaxLinks: 4}
	if all := k.Routers(); len(all) != 1 || all[0] != want {
		t.Errorf("routers %+v", all)
	}
	if _, err := os.Stat(filepath.Join(k.dir, "peers.d", "cabin")); err != nil {
		t.Error(err)
	}
	// A new token for a router that was sent away gives it its place back.
	if p, err := k.pair(1, k.issue(Order{})); err != nil || !p.Enabled || p.Name != "cabin" || p.Address.String() != "10.99.0.2" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := k.Revoke("cabin", false); err != nil || !p.Enabled {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := k.Revoke("nobody", true); err == nil {
		t.Error("nobody was revoked")
	}
}

func TestBrokenTokenFilesAreNamedAndLeft(t *testing.T) {
	k := newShelf(t)
	token := k.issue(Order{})
	for name, text := range map[string]string{"bad": "{", "short": `{"id":"01","uses":1}`, "badkey": `{"id":"0102030405060708","hash":"` + strings.Repeat("00", 32) + `","uses":1,"used":[{"key":"x"}]}`} {
		if err := os.WriteFile(filepath.Join(k.dir, "tokens", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _, err := config.Load(filepath.Join(k.dir, "mpproxy"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(c, func() int64 { return noon }, rand.Reader)
	for _, name := range []string{"bad", "short", "badkey"} {
		if err == nil || !strings.Contains(err.Error(), "/tokens/"+name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if d := s.Judge(config.Key{1}, token.Proof()); !d.OK {
		t.Errorf("the good one: %s", d.Why)
	}
	if s, err = Open(c, func() int64 { return noon + 400*86400 }, rand.Reader); err == nil || len(s.Tokens()) != 0 {
		t.Errorf("open %+v, %v", s.Tokens(), err)
	}
	if _, err := os.Stat(filepath.Join(k.dir, "tokens", token.ID.String())); err == nil {
		t.Error("the old token's file is still there")
	}
}
