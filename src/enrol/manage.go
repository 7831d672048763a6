package enrol

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/pairing"
)

// Order is what somebody wants of a new token.
type Order struct {
	Name    string `json:"name,omitempty"`    // of the router
	Replace string `json:"replace,omitempty"` // the router whose hardware is replaced
	Uses    int    `json:"uses,omitempty"`
	Life    int64  `json:"life_seconds,omitempty"`
	// Endpoints are where the router reaches this server; none: as the configuration says, or Found.
	Endpoints []string `json:"endpoints,omitempty"`
}

// Issued is a new token.
type Issued struct {
	ID      string `json:"id"`
	Text    string `json:"token"`
	Expires int64  `json:"expires"` // seconds since 1970
	Uses    int    `json:"uses"`
	// Endpoints are what the token says of where this server is.
	Endpoints []string `json:"endpoints"`
}

// Issue makes a token for the server with that public key and keeps it. found are the addresses to use if neither the
// order nor the configuration names any.
func (s *Store) Issue(server config.Key, o Order, found []string) (Issued, error) {
	s.disk.Lock()
	defer s.disk.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkOrder(o); err != nil {
		return Issued{}, err
	}
	endpoints, err := s.endpoints(o, found)
	if err != nil {
		return Issued{}, err
	}
	book := s.book // a copy: an order that cannot be met leaves no trace
	g, t, err := book.Issue(s.now(), s.random, pairing.Order{Name: o.Name, Replace: o.Replace, Uses: o.Uses, Life: o.Life})
	if err != nil {
		return Issued{}, err
	}
	t.Server, t.Endpoints = server, endpoints
	text, err := t.Text()
	if err != nil {
		return Issued{}, err
	}
	if err := s.writeToken(g); err != nil {
		return Issued{}, err
	}
	s.book.Load(g)
	return Issued{ID: g.ID.String(), Text: text, Expires: g.Expires, Uses: g.Uses, Endpoints: endpoints}, nil
}

func (s *Store) checkOrder(o Order) error {
	if o.Replace != "" {
		if err := s.ours(o.Replace); err != nil {
			return err
		}
	}
	if o.Name == "" {
		return nil
	}
	_, taken := s.peers[o.Name]
	switch {
	case !isName(o.Name):
		return fmt.Errorf("'%s' is no name of a router: letters, digits and '_' are allowed", o.Name)
	case o.Replace != "" && o.Replace != o.Name:
		return errors.New("a router that is replaced keeps its name; leave the other one out")
	case taken && o.Replace == "" && o.Uses <= 1:
		return fmt.Errorf("there is a router '%s' already; new hardware in its place is paired by: mpproxy pair --replace %s", o.Name, o.Name)
	}
	return nil
}

// ours says what is wrong with changing a router: nothing, if it has a file of its own.
func (s *Store) ours(name string) error {
	_, known := s.peers[name]
	switch {
	case s.files[name] != "":
		return nil
	case known:
		return fmt.Errorf("router '%s' is written in the main configuration file, which is yours: change it there", name)
	}
	var names []string
	for n := range s.peers {
		names = append(names, n)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return fmt.Errorf("there is no router '%s'; none is known yet", name)
	}
	return fmt.Errorf("there is no router '%s'; routers are: %s", name, strings.Join(names, ", "))
}

func (s *Store) endpoints(o Order, found []string) (list []string, err error) {
	switch {
	case len(o.Endpoints) > 0:
		for _, text := range o.Endpoints {
			if !strings.Contains(text, ":") || strings.HasSuffix(text, "]") {
				text = fmt.Sprintf("%s:%d", text, config.DefaultPort)
			}
			list = append(list, text)
		}
	case len(s.portal.Remote.Endpoints) > 0:
		for _, e := range s.portal.Remote.Endpoints {
			list = append(list, e.String())
		}
	case len(found) > 0:
		list = found
	default:
		err = errors.New("this server has no public address of its own (is it behind NAT?); say where routers reach it: mpproxy pair --endpoint NAME-OR-ADDRESS:PORT")
	}
	return list, err
}

// Tokens returns the tokens that can still be used, the oldest first.
func (s *Store) Tokens() (open []Issued) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.book.Grants() {
		if g.Open(s.now()) {
			open = append(open, Issued{ID: g.ID.String(), Expires: g.Expires, Uses: g.Uses - len(g.Used)})
		}
	}
	return open
}

// RevokeToken takes a token back.
func (s *Store) RevokeToken(text string) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := tokenID(text)
	if !ok {
		return fmt.Errorf("'%s' is no id of a token; mpproxy pair --list shows them", text)
	}
	g, ok := s.book.Revoke(s.now(), id)
	if !ok {
		return fmt.Errorf("there is no token %s; mpproxy pair --list shows them", text)
	}
	return s.writeToken(g)
}

// Router is a router as `mpproxy peers` lists it.
type Router struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Address string `json:"address"`
	Key     string `json:"public_key"`
	Created string `json:"created,omitempty"`
	// UpMbit and DownMbit are its limits, 0 if there is none; Main says that it stands in the main configuration file.
	UpMbit   uint64 `json:"up_mbit"`
	DownMbit uint64 `json:"down_mbit"`
	// MaxLinks is how many connections it may use at once.
	MaxLinks int  `json:"max_links"`
	Main     bool `json:"main"`
}

// Routers lists all routers by name.
func (s *Store) Routers() (list []Router) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range s.peers {
		list = append(list, Router{
			Name: name, Enabled: p.Enabled, Address: p.Address.String(), Key: p.PublicKey.String(), Created: p.Created,
			UpMbit: p.UploadBitsPerSecond / 1e6, DownMbit: p.DownloadBitsPerSecond / 1e6, MaxLinks: p.MaxLinks, Main: s.files[name] == "",
		})
	}
	slices.SortFunc(list, func(a, b Router) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Rename gives a router another name.
func (s *Store) Rename(name, to string) (config.Peer, error) {
	s.mu.Lock()
	_, taken := s.peers[to]
	s.mu.Unlock()
	if !isName(to) || taken {
		return config.Peer{}, fmt.Errorf("'%s' cannot be a router's name: letters, digits and '_' are allowed, and it must be free", to)
	}
	return s.change(name, config.Change{Kind: "peer", Name: name, Rename: to})
}

// Limit bounds a router's speed, in Mbit/s, and its connections; 0 is the default (no limit of speed), a negative number
// leaves a limit as it is.
func (s *Store) Limit(name string, up, down, links int) (config.Peer, error) {
	c := config.Change{Kind: "peer", Name: name}
	for _, l := range []struct {
		option string
		n      int
	}{{"rate_up", up}, {"rate_down", down}, {"max_links", links}} {
		if l.n == 0 {
			c.Options = append(c.Options, config.Setting{Name: l.option})
		} else if l.n > 0 {
			c.Options = append(c.Options, config.Set(l.option, fmt.Sprint(l.n)))
		}
	}
	return s.change(name, c)
}

// Revoke takes a router's access away, or gives it back.
func (s *Store) Revoke(name string, revoked bool) (config.Peer, error) {
	o := config.Setting{Name: "enabled"}
	if revoked {
		o.Values = []string{"0"}
	}
	return s.change(name, config.Change{Kind: "peer", Name: name, Options: []config.Setting{o}})
}

// change edits a router's file.
func (s *Store) change(name string, c config.Change) (config.Peer, error) {
	s.disk.Lock()
	defer s.disk.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ours(name); err != nil {
		return config.Peer{}, err
	}
	path := s.files[name]
	raw, err := os.ReadFile(path)
	if err != nil {
		return config.Peer{}, fmt.Errorf("read router '%s': %w", name, err)
	}
	text, err := config.Edit(path, string(raw), c)
	if err != nil {
		return config.Peer{}, err
	}
	list, err := config.ReadPeers(path, text, s.portal)
	if err != nil {
		return config.Peer{}, err
	}
	now := name
	if c.Rename != "" {
		now = c.Rename
	}
	i := slices.IndexFunc(list, func(p config.Peer) bool { return p.Name == now })
	if i < 0 {
		return config.Peer{}, fmt.Errorf("router '%s' is not in %s any more", name, path)
	}
	if err := writeFile(path, text); err != nil {
		return config.Peer{}, err
	}
	if now != name {
		if next := filepath.Join(filepath.Dir(path), now); filepath.Base(path) == name && os.Rename(path, next) == nil {
			path = next
		}
		psk := filepath.Join(s.portal.SecretsDir, "peer."+name+".psk")
		_ = os.Rename(psk, filepath.Join(s.portal.SecretsDir, "peer."+now+".psk")) // few have one
	}
	psk := s.peers[name].PresharedKey
	delete(s.peers, name)
	delete(s.files, name)
	p := list[i]
	if p.PresharedKey.IsZero() {
		p.PresharedKey = psk
	}
	s.peers[now], s.files[now] = p, path
	return p, nil
}

func isName(s string) bool {
	return s != "" && len(s) <= 32 && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// When says when a token ends, for people.
func (i Issued) When() string { return time.Unix(i.Expires, 0).UTC().Format("2006-01-02 15:04 UTC") }
