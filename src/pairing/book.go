package pairing

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/blake2s"
)

// Grant is a token as the server remembers it: without its secret. Times are seconds since 1970 by the server's clock.
type Grant struct {
	ID ID
	// Hash is that of the secret.
	Hash [blake2s.Size]byte
	// Name is what the router shall be called; empty: the server finds one. With several uses it is counted up.
	Name string
	// Replace names the router whose place new hardware takes; its own key is good no longer then.
	Replace string
	// Uses is how many routers may pair with it.
	Uses int
	// Created, Expires and Revoked are times; Revoked is 0 while it is good.
	Created, Expires, Revoked int64
	// Used are the routers that have paired with it.
	Used []Use
}

// Use is one router's pairing.
type Use struct {
	Key  [KeyBytes]byte
	Name string
	At   int64
}

// Open reports that the token can still be used.
func (g Grant) Open(now int64) bool { return g.Revoked == 0 && now < g.Expires && len(g.Used) < g.Uses }

// ended is when the token stopped being good; MaxInt-like future if it has not.
func (g Grant) ended() int64 {
	end := g.Expires
	if g.Revoked != 0 {
		end = min(end, g.Revoked)
	}
	if n := len(g.Used); n >= g.Uses && n > 0 {
		end = min(end, g.Used[n-1].At)
	}
	return end
}

// Order is what somebody asks a token to be.
type Order struct {
	Name, Replace string
	Uses          int   // 0: one
	Life          int64 // seconds; 0: DefaultLife
}

// Book is what a server knows of its tokens. The zero value is empty. Not safe for concurrent use.
type Book struct{ grants []*Grant }

// Load puts a Grant back that was kept. The same id again replaces it.
func (b *Book) Load(g Grant) {
	if old := b.find(g.ID); old != nil {
		*old = g
		return
	}
	b.grants = append(b.grants, &g)
}

func (b *Book) find(id ID) *Grant {
	for _, g := range b.grants {
		if g.ID == id {
			return g
		}
	}
	return nil
}

// Issue makes a new token, drawing id and secret from random; the caller adds key and endpoints, and keeps the Grant
// before it shows the token to anybody. Its errors are for people.
func (b *Book) Issue(now int64, random io.Reader, o Order) (Grant, Token, error) {
	if o.Uses == 0 {
		o.Uses = 1
	}
	if o.Life == 0 {
		o.Life = DefaultLife
	}
	open := 0
	for _, g := range b.grants {
		if g.Open(now) {
			open++
		}
	}
	switch {
	case o.Uses < 1 || o.Uses > MaxUses:
		return Grant{}, Token{}, fmt.Errorf("a token can be used 1 to %d times, not %d", MaxUses, o.Uses)
	case o.Replace != "" && o.Uses != 1:
		return Grant{}, Token{}, errors.New("a token that replaces a router can be used once only")
	case o.Life < 60 || o.Life > MaxLife:
		return Grant{}, Token{}, errors.New("a token is good for one minute to one year")
	case open >= MaxOpen:
		return Grant{}, Token{}, fmt.Errorf("there are %d open tokens already; take some back with: mpproxy pair --revoke ID", open)
	}
	var t Token
	for _, part := range [][]byte{t.ID[:], t.Secret[:]} {
		if _, err := io.ReadFull(random, part); err != nil {
			return Grant{}, Token{}, fmt.Errorf("make token: %w", err)
		}
	}
	g := Grant{
		ID: t.ID, Hash: blake2s.Sum256(t.Secret[:]), Name: o.Name, Replace: o.Replace, Uses: o.Uses,
		Created: now, Expires: now + o.Life,
	}
	b.Load(g)
	return g, t, nil
}

// Judge decides about a router that shows a proof (Token.Proof). ok allows it to pair, or says that it has; why is the
// sentence for it otherwise. Who knows an id but not its secret learns no more than who knows neither.
func (b *Book) Judge(now int64, key [KeyBytes]byte, proof []byte) (g Grant, ok bool, why string) {
	if len(proof) != ProofBytes {
		return Grant{}, false, "the token cannot be read: copy it again as a whole"
	}
	hash := blake2s.Sum256(proof[IDBytes:])
	at := b.find(ID(proof))
	if at == nil || subtle.ConstantTimeCompare(hash[:], at.Hash[:]) != 1 {
		return Grant{}, false, "this server does not know the token: make a new one with 'mpproxy pair'"
	}
	if slices.ContainsFunc(at.Used, func(u Use) bool { return u.Key == key }) && at.Revoked == 0 {
		return *at, true, ""
	}
	switch n := len(at.Used); {
	case at.Revoked != 0:
		return *at, false, "the token was taken back on " + day(at.Revoked)
	case n >= at.Uses && n == 1:
		return *at, false, fmt.Sprintf("the token was used by '%s' on %s", at.Used[0].Name, day(at.Used[0].At))
	case n >= at.Uses:
		return *at, false, fmt.Sprintf("the token was used %d times, last by '%s' on %s", n, at.Used[n-1].Name, day(at.Used[n-1].At))
	case now >= at.Expires:
		return *at, false, "the token expired on " + day(at.Expires) + ": make a new one with 'mpproxy pair'"
	}
	return *at, true, ""
}

// day says a time for people, shortly.
func day(at int64) string { return time.Unix(at, 0).UTC().Format("2006-01-02 15:04 UTC") }

// Use notes that a router has paired, and returns the Grant to be kept. A router's second pairing changes nothing.
func (b *Book) Use(id ID, u Use) (g Grant, ok bool) {
	at := b.find(id)
	if at == nil {
		return Grant{}, false
	}
	if !slices.ContainsFunc(at.Used, func(o Use) bool { return o.Key == u.Key }) {
		at.Used = append(slices.Clone(at.Used), u)
	}
	return *at, true
}

// Revoke takes a token back; ok is false if there is none such. Routers that have paired with it stay.
func (b *Book) Revoke(now int64, id ID) (g Grant, ok bool) {
	at := b.find(id)
	if at == nil {
		return Grant{}, false
	}
	if at.Revoked == 0 {
		at.Revoked = max(1, now)
	}
	return *at, true
}

// Grants returns all tokens that are remembered, the oldest first.
func (b *Book) Grants() []Grant {
	out := make([]Grant, len(b.grants))
	for i, g := range b.grants {
		out[i] = *g
	}
	slices.SortStableFunc(out, func(a, c Grant) int { return int(a.Created - c.Created) })
	return out
}

// Prune forgets what ended long ago and returns the ids.
func (b *Book) Prune(now int64) (gone []ID) {
	b.grants = slices.DeleteFunc(b.grants, func(g *Grant) bool {
		old := now-g.ended() > memory
		if old {
			gone = append(gone, g.ID)
		}
		return old
	})
	return gone
}
