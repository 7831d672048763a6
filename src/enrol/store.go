package enrol

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/pairing"
)

// Store is a server's tokens and enrolled routers, in memory and on disk. Safe for concurrent use; Judge never waits for
// a disk.
type Store struct {
	portal config.Portal
	tokens string // directory
	now    func() int64
	random io.Reader
	// step is called between any two things that a power cut may separate; an error stops there. For tests.
	step func(name string) error

	disk sync.Mutex // held while files are written; taken before mu
	mu   sync.Mutex
	book pairing.Book
	// peers are all routers of the configuration by name; files names those that have a file in peers_dir.
	peers   map[string]config.Peer
	files   map[string]string
	waiting map[config.Key]candidate
}

// candidate is a router that was judged well and has not proved its key yet.
type candidate struct {
	token pairing.ID
	text  string // of its file
	peer  config.Peer
	// before names the file that it takes the place of, "" if none.
	before string
	at     int64
}

// waitingLife is for how long an address is kept for a router that does not come back.
const waitingLife = 60

// Open reads what there is. now gives the seconds since 1970 by this machine's clock, random is crypto/rand.Reader but
// in tests. A token's file that cannot be read is left out and named in the error; the Store is good all the same.
func Open(c *config.Config, now func() int64, random io.Reader) (*Store, error) {
	s := &Store{
		portal: c.Portal, tokens: filepath.Join(filepath.Dir(c.Portal.Remote.PeersDir), tokensDir), now: now, random: random,
		step: func(string) error { return nil }, waiting: map[config.Key]candidate{},
	}
	err := s.readTokens()
	return s, errors.Join(err, s.Reload(c))
}

// Reload takes the routers of a configuration that was read anew.
func (s *Store) Reload(c *config.Config) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	files, err := peerFiles(c.Portal)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.portal, s.files, s.peers = c.Portal, files, map[string]config.Peer{}
	for _, p := range c.Peers {
		s.learn(p)
	}
	return err
}

// learn notes a router, and that it used its token: its file is the truth about that.
func (s *Store) learn(p config.Peer) {
	s.peers[p.Name] = p
	if id, ok := tokenID(p.TokenID); ok {
		s.book.Use(id, pairing.Use{Key: p.PublicKey, Name: p.Name, At: createdAt(p.Created)})
	}
}

// Decision is what a router that is not known gets.
type Decision struct {
	// OK admits it as Peer; else Why says why not.
	OK   bool
	Peer config.Peer
	Why  string
}

// Judge decides about a router by the proof of its token.
func (s *Store) Judge(key config.Key, proof []byte) Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	grant, ok, why := s.book.Judge(now, key, proof)
	if !ok {
		return Decision{Why: why}
	}
	if c, ok := s.waiting[key]; ok && c.token == grant.ID {
		return Decision{OK: true, Peer: c.peer}
	}
	c, err := s.candidate(grant, key, now)
	if err != nil {
		return Decision{Why: err.Error()}
	}
	s.waiting[key] = c
	return Decision{OK: true, Peer: c.peer}
}

// candidate makes the router's file.
func (s *Store) candidate(g pairing.Grant, key config.Key, now int64) (c candidate, err error) {
	maps.DeleteFunc(s.waiting, func(_ config.Key, c candidate) bool { return now-c.at > waitingLife })
	created := time.Unix(now, 0).UTC().Format(time.RFC3339)
	before, name := s.place(g, key)
	settings := []config.Setting{config.Set("public_key", key.String()), config.Set("created", created), config.Set("token_id", g.ID.String())}
	text := "# Written when this router was paired; mpproxy peers changes it, and so may you.\n"
	if before != "" {
		raw, err := os.ReadFile(s.files[before])
		if err != nil {
			return c, errors.New("this server cannot read what it knows of the router that is replaced")
		}
		text = string(raw)
		settings = append(settings, config.Setting{Name: "enabled"}, config.Setting{Name: "preshared_key"})
	} else {
		four, six, err := s.free()
		if err != nil {
			return c, err
		}
		settings = append(settings, config.Set("address", four.String()))
		if six.IsValid() {
			settings = append(settings, config.Set("address6", six.String()))
		}
	}
	if text, err = config.Edit("peer", text, config.Change{Kind: "peer", Name: name, Options: settings}); err != nil {
		return c, fmt.Errorf("this server cannot write the router down: %w", err)
	}
	list, err := config.ReadPeers("peer", text, s.portal)
	if err != nil || len(list) != 1 {
		return c, fmt.Errorf("this server cannot write the router down: %w", err)
	}
	return candidate{token: g.ID, text: text, peer: list[0], before: before, at: now}, nil
}

// place says what the router will be called, and whose place it takes: that of the router it replaces, or its own if it was
// known before and revoked.
func (s *Store) place(g pairing.Grant, key config.Key) (before, name string) {
	if g.Replace != "" && s.files[g.Replace] != "" {
		return g.Replace, g.Replace
	}
	for name, p := range s.peers {
		if p.PublicKey == key && s.files[name] != "" {
			return name, name
		}
	}
	if name = g.Name; name == "" {
		name = defaultName
	}
	for n := 1; s.taken(name) || g.Name == "" && name == defaultName; n++ {
		switch {
		case g.Name == "":
			name = fmt.Sprintf("%s%d", defaultName, n)
		case n > 1: // home, home2, home3
			name = fmt.Sprintf("%s%d", g.Name, n)
		}
	}
	return "", name
}

func (s *Store) taken(name string) bool {
	if _, ok := s.peers[name]; ok {
		return true
	}
	for _, c := range s.waiting {
		if c.peer.Name == name {
			return true
		}
	}
	return false
}

// free finds inner addresses that nobody has. The sixth and the fourth have the same place in their networks.
func (s *Store) free() (four, six netip.Addr, err error) {
	used := map[netip.Addr]bool{}
	note := func(p config.Peer) { used[p.Address], used[p.Address6] = true, true }
	for _, p := range s.peers {
		note(p)
	}
	for _, c := range s.waiting {
		note(c.peer)
	}
	pool := s.portal.Remote.Address
	used[pool.Addr()] = true
	for a := pool.Masked().Addr().Next(); pool.Contains(a) && pool.Contains(a.Next()); a = a.Next() {
		if !used[a] {
			four = a
			break
		}
	}
	if !four.IsValid() {
		return four, six, fmt.Errorf("this server's network %s has no address left for another router", pool.Masked())
	}
	if len(s.portal.Remote.Address6) > 0 {
		pool6 := s.portal.Remote.Address6[0]
		used[pool6.Addr()] = true
		for six = pool6.Masked().Addr().Next(); used[six]; six = six.Next() {
		}
		if !pool6.Contains(six) {
			six = netip.Addr{}
		}
	}
	return four, six, nil
}

// Commit writes down a router that has proved its key. After it the router is paired, whatever happens; before may be the name
// of the router whose place it takes, whose key is good no longer.
func (s *Store) Commit(key config.Key) (peer config.Peer, before string, err error) {
	s.disk.Lock()
	defer s.disk.Unlock()
	s.mu.Lock()
	c, ok := s.waiting[key]
	if ok { // somebody else may have used the token up since, or it was taken back
		if _, fresh := s.stillGood(c, key); !fresh {
			delete(s.waiting, key)
			ok = false
		}
	}
	s.mu.Unlock()
	if !ok {
		return config.Peer{}, "", errors.New("its token is good no longer")
	}
	path := filepath.Join(s.portal.Remote.PeersDir, c.peer.Name)
	if c.before != "" {
		path = s.files[c.before]
		_ = os.Remove(filepath.Join(s.portal.SecretsDir, "peer."+c.before+".psk")) // the new hardware has none
	}
	if err := errors.Join(s.step("judged"), writeFile(path, c.text)); err != nil {
		return config.Peer{}, "", err
	}
	if err := s.step("peer written"); err != nil {
		return config.Peer{}, "", err
	}
	s.mu.Lock()
	delete(s.waiting, key)
	s.peers[c.peer.Name], s.files[c.peer.Name] = c.peer, path
	g, _ := s.book.Use(c.token, pairing.Use{Key: key, Name: c.peer.Name, At: s.now()})
	s.mu.Unlock()
	if err := s.writeToken(g); err != nil {
		return c.peer, c.before, nil // the router's file says the same
	}
	return c.peer, c.before, s.step("token written")
}

// stillGood judges a candidate's token again.
func (s *Store) stillGood(c candidate, key config.Key) (why string, ok bool) {
	for _, g := range s.book.Grants() {
		if g.ID == c.token {
			used := slices.ContainsFunc(g.Used, func(u pairing.Use) bool { return u.Key == key })
			return "", g.Revoked == 0 && (used || g.Open(s.now()))
		}
	}
	return "", false
}

// Revoked reports that the key is that of a router whose access was taken away.
func (s *Store) Revoked(key config.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		if p.PublicKey == key {
			return !p.Enabled
		}
	}
	return false
}

// peerFiles finds which routers have a file of their own.
func peerFiles(portal config.Portal) (map[string]string, error) {
	dir := portal.Remote.PeersDir
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return files, fmt.Errorf("read %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), "~") || strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		list, _ := config.ReadPeers(path, string(raw), portal)
		for _, p := range list {
			files[p.Name] = path
		}
	}
	return files, nil
}
