package enrol

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/pairing"
)

// tokenFile is a token as its file has it.
type tokenFile struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash"`
	Name    string    `json:"name,omitempty"`
	Replace string    `json:"replace,omitempty"`
	Uses    int       `json:"uses"`
	Created int64     `json:"created"`
	Expires int64     `json:"expires"`
	Revoked int64     `json:"revoked,omitempty"`
	Used    []useLine `json:"used,omitempty"`
}

type useLine struct {
	Text string `json:"key"`
	Name string `json:"name"`
	At   int64  `json:"at"`
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return config.WriteSecret(path, text)
}

// writeToken keeps a token.
func (s *Store) writeToken(g pairing.Grant) error {
	f := tokenFile{
		ID: g.ID.String(), Hash: hex.EncodeToString(g.Hash[:]), Name: g.Name, Replace: g.Replace, Uses: g.Uses,
		Created: g.Created, Expires: g.Expires, Revoked: g.Revoked,
	}
	for _, u := range g.Used {
		f.Used = append(f.Used, useLine{Text: config.Key(u.Key).String(), Name: u.Name, At: u.At})
	}
	text, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	return writeFile(filepath.Join(s.tokens, f.ID), string(text)+"\n")
}

// readTokens loads the book. Files that make no sense are left alone and named.
func (s *Store) readTokens() error {
	entries, err := os.ReadDir(s.tokens)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var errs []error
	if err != nil {
		errs = append(errs, fmt.Errorf("read tokens: %w", err))
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		g, err := readToken(filepath.Join(s.tokens, e.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.book.Load(g)
	}
	for _, id := range s.book.Prune(s.now()) {
		errs = append(errs, os.Remove(filepath.Join(s.tokens, id.String())))
	}
	return errors.Join(errs...)
}

func readToken(path string) (g pairing.Grant, err error) {
	info, err := os.Stat(path)
	if err == nil && (info.Size() > maxTokenFile || !info.Mode().IsRegular()) {
		err = errors.New("it is no file of a token")
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	var f tokenFile
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	if err != nil {
		return g, fmt.Errorf("read token %s: %w", path, err)
	}
	id, ok := tokenID(f.ID)
	hash, err := hex.DecodeString(f.Hash)
	if !ok || err != nil || len(hash) != len(g.Hash) || f.Uses < 1 {
		return g, fmt.Errorf("read token %s: it makes no sense; remove it", path)
	}
	g = pairing.Grant{
		ID: id, Name: f.Name, Replace: f.Replace, Uses: f.Uses, Created: f.Created, Expires: f.Expires, Revoked: f.Revoked,
	}
	copy(g.Hash[:], hash)
	for _, u := range f.Used {
		key, err := config.ParseKey(u.Text)
		if err != nil {
			return g, fmt.Errorf("read token %s: %w", path, err)
		}
		g.Used = append(g.Used, pairing.Use{Key: key, Name: u.Name, At: u.At})
	}
	return g, nil
}

// tokenID reads an id as String writes it.
func tokenID(text string) (id pairing.ID, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return id, false
	}
	return pairing.ID(raw), true
}

// createdAt reads option created; 0 if it says nothing.
func createdAt(text string) int64 {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0
	}
	return at.Unix()
}
