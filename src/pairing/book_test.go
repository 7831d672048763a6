package pairing

import (
	"math/rand/v2"
	"strings"
	"testing"
)

const noon = 1_800_000_000

func random() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{7}) }

func key(n byte) (k [KeyBytes]byte) {
	k[0] = n
	return k
}

func issue(t *testing.T, b *Book, o Order) (Grant, Token) {
	t.Helper()
	g, k, err := b.Issue(noon, random(), o)
	if err != nil {
		t.Fatal(err)
	}
	return g, k
}

func TestATokenIsGoodOnce(t *testing.T) {
	var b Book
	g, k := issue(t, &b, Order{Name: "home"})
	if got, ok, why := b.Judge(noon, key(1), k.Proof()); !ok || why != "" || got.Name != "home" {
		t.Errorf("the first router: %+v %v %s", got, ok, why)
	}
	if _, ok := b.Use(g.ID, Use{key(1), "home", noon + 60}); !ok {
		t.Fatal("the use is not noted")
	}
	// The same router again gets the same answer, also long after the token expired.
	for _, at := range []int64{noon + 61, noon + 10*DefaultLife} {
		if _, ok, why := b.Judge(at, key(1), k.Proof()); !ok {
			t.Errorf("the same router again: %s", why)
		}
	}
	if _, ok, why := b.Judge(noon+61, key(2), k.Proof()); ok || why != "the token was used by 'home' on 2027-01-15 08:01 UTC" {
		t.Errorf("another router: %v %s", ok, why)
	}
	b.Use(g.ID, Use{key(1), "home", noon + 99})
	if n := len(b.Grants()[0].Used); n != 1 {
		t.Errorf("one router counts %d times", n)
	}
}

func TestWhyNot(t *testing.T) {
	var b Book
	g, k := issue(t, &b, Order{Uses: 2})
	wrong := k.Proof()
	wrong[ProofBytes-1] ^= 1
	unknown := k.Proof()
	unknown[0] ^= 1
	ask := func(at int64, proof []byte) string {
		_, ok, why := b.Judge(at, key(9), proof)
		if ok != (why == "") || len(why) > 120 {
			t.Errorf("ok is %v and the reason %q", ok, why)
		}
		return why
	}
	if ask(noon, wrong) != ask(noon, unknown) || !strings.Contains(ask(noon, wrong), "does not know") {
		t.Errorf("%q and %q", ask(noon, wrong), ask(noon, unknown))
	}
	if why := ask(noon, wrong[:5]); !strings.Contains(why, "cannot be read") {
		t.Error(why)
	}
	if why := ask(noon+DefaultLife, k.Proof()); why != "the token expired on 2027-01-16 08:00 UTC: make a new one with 'mpproxy pair'" {
		t.Error(why)
	}
	if why := ask(noon+DefaultLife-1, k.Proof()); why != "" {
		t.Error(why)
	}
	b.Use(g.ID, Use{key(1), "a", noon})
	if why := ask(noon, k.Proof()); why != "" {
		t.Errorf("with one of two uses left: %s", why)
	}
	b.Use(g.ID, Use{key(2), "b", noon})
	if why := ask(noon, k.Proof()); why != "the token was used 2 times, last by 'b' on 2027-01-15 08:00 UTC" {
		t.Error(why)
	}
	if _, ok := b.Revoke(noon+5, g.ID); !ok {
		t.Error("cannot be revoked")
	}
	if why := ask(noon+6, k.Proof()); why != "the token was taken back on 2027-01-15 08:00 UTC" {
		t.Error(why)
	}
	if _, ok, _ := b.Judge(noon, key(1), k.Proof()); ok {
		t.Error("a router of a token that was taken back pairs again")
	}
	if _, ok := b.Revoke(noon, ID{}); ok {
		t.Error("an unknown token was revoked")
	}
	if _, ok := b.Use(ID{}, Use{}); ok {
		t.Error("an unknown token was used")
	}
}

func TestOrdersThatCannotBe(t *testing.T) {
	var b Book
	for want, o := range map[string]Order{
		"1 to 256": {Uses: -1}, "not 257": {Uses: 257}, "one minute to one year": {Life: 59}, "to one year": {Life: MaxLife + 1},
		"once only": {Uses: 2, Replace: "home"},
	} {
		if _, _, err := b.Issue(noon, random(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	rng := rand.NewChaCha8([32]byte{8})
	for range MaxOpen {
		if _, _, err := b.Issue(noon, rng, Order{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.Issue(noon, rng, Order{}); err == nil || !strings.Contains(err.Error(), "32 open tokens") {
		t.Errorf("one too many: %v", err)
	}
	if _, _, err := b.Issue(noon+DefaultLife, rng, Order{}); err != nil {
		t.Errorf("after the others expired: %v", err)
	}
}

func TestPruneForgetsWhatEndedLongAgo(t *testing.T) {
	var b Book
	used, _ := issue(t, &b, Order{Life: MaxLife})
	b.Use(used.ID, Use{key(1), "a", noon})
	rng := rand.NewChaCha8([32]byte{9})
	open, _, _ := b.Issue(noon, rng, Order{Life: MaxLife})
	b.Issue(noon, rng, Order{})
	if gone := b.Prune(noon + memory); len(gone) != 0 {
		t.Errorf("forgot %v too soon", gone)
	}
	if gone := b.Prune(noon + memory + 1); len(gone) != 1 || gone[0] != used.ID {
		t.Errorf("forgot %v, want the one that was used", gone)
	}
	if gone := b.Prune(noon + memory + DefaultLife + 1); len(gone) != 1 || gone[0] == open.ID {
		t.Errorf("forgot %v, want the expired one", gone)
	}
}

func TestLoadedGrantsCountAsBefore(t *testing.T) {
	var b, again Book
	g, k := issue(t, &b, Order{Name: "home"})
	g, _ = b.Use(g.ID, Use{key(1), "home", noon})
	again.Load(g)
	again.Load(g)
	if len(again.Grants()) != 1 {
		t.Error("one token is there twice")
	}
	if _, ok, _ := again.Judge(noon, key(2), k.Proof()); ok {
		t.Error("after a restart the token is good again")
	}
	if (ID{0xab}).String() != "ab00000000000000" {
		t.Error(ID{0xab})
	}
}
