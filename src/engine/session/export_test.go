package session

import "testing"

// TestExport gives both sides the same secret, before and after keys are renewed by HKDF, and another one after a handshake.
func TestExport(t *testing.T) {
	var a, b [SecretBytes]byte
	a[0], b[0] = 1, 2
	router, err := NewKeys(AES256GCM, Encrypt, a)
	if err != nil {
		t.Fatal(err)
	}
	server, _ := NewKeys(AES256GCM, Encrypt, a)
	s, r := NewSending(router), NewReceiving(server)
	if s.Root().Export("x") != r.Root().Export("x") || s.Root().Export("x") == s.Root().Export("y") {
		t.Error("exports")
	}
	before := s.Root()
	s.Confirm(s.Epoch())
	if !s.Rotate() || s.Root() != before {
		t.Error("rotation changed the root")
	}
	next, _ := NewKeys(AES256GCM, Encrypt, b)
	s.Install(next)
	if s.Root() == before || s.Root().Export("x") == before.Export("x") {
		t.Error("a handshake did not change the root")
	}
}
