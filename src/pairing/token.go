package pairing

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

// ID names a token; it is no secret.
type ID [IDBytes]byte

// String returns the id in hexadecimal digits, as files and `mpproxy pair` name it.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// Token is what a server gives to a router so that they find and believe each other.
type Token struct {
	// Server is the server's public key.
	Server [KeyBytes]byte
	ID     ID
	Secret [SecretBytes]byte
	// Endpoints are where the server answers, "host:port", the best first.
	Endpoints []string
}

// Kinds of endpoints in a token.
const (
	kindName = 1
	kind4    = 4
	kind6    = 6
)

// Text returns the token as it is printed. It fails for endpoints that are none, and where the whole gets too long.
func (t Token) Text() (string, error) {
	b := append([]byte{version, 0}, t.Server[:]...)
	b = append(append(b, t.ID[:]...), t.Secret[:]...)
	if len(t.Endpoints) == 0 {
		return "", errors.New("make token: it needs an address at which the server answers")
	}
	for _, e := range t.Endpoints {
		var err error
		if b, err = appendEndpoint(b, e); err != nil {
			return "", err
		}
	}
	n := len(b) + sumBytes
	if base64.RawURLEncoding.EncodedLen(n)+len(prefix) > MaxTextBytes {
		return "", fmt.Errorf("make token: too many or too long addresses (%s): leave one out", strings.Join(t.Endpoints, ", "))
	}
	b[1] = byte(n)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return prefix + base64.RawURLEncoding.EncodeToString(b), nil
}

func appendEndpoint(b []byte, text string) ([]byte, error) {
	host, port, err := splitEndpoint(text)
	if err != nil {
		return nil, err
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		kind := byte(kind6)
		if a.Is4() {
			kind = kind4
		}
		b = append(append(b, kind), a.AsSlice()...)
	} else {
		b = append(append(b, kindName, byte(len(host))), host...)
	}
	return binary.BigEndian.AppendUint16(b, port), nil
}

// splitEndpoint takes "host:port" apart; the host is an address without zone, or a name of letters, digits, dots and dashes.
func splitEndpoint(text string) (host string, port uint16, err error) {
	i := strings.LastIndexByte(text, ':')
	wrong := fmt.Errorf("make token: '%s' is no address of the form host:port", text)
	if i < 0 {
		return "", 0, wrong
	}
	n, err := strconv.ParseUint(text[i+1:], 10, 16)
	host = strings.TrimSuffix(strings.TrimPrefix(text[:i], "["), "]")
	a, notAddr := netip.ParseAddr(host)
	switch {
	case err != nil || n == 0:
		return "", 0, wrong
	case notAddr != nil && !isName(host), notAddr == nil && a.Zone() != "":
		return "", 0, wrong
	}
	return host, uint16(n), nil
}

func isName(s string) bool {
	if s == "" || len(s) > maxNameBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (c != '-' && c != '.' && c != '_' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return true
}

// Parse finds the token in a text that a person pasted: a whole line of output, wrapped lines, quoted mail. Its errors are
// sentences for people.
func Parse(text string) (Token, error) {
	raw, err := extract(text)
	if err != nil {
		return Token{}, err
	}
	n := len(raw) - sumBytes
	if crc32.ChecksumIEEE(raw[:n]) != binary.BigEndian.Uint32(raw[n:]) || n < headBytes {
		return Token{}, errAltered
	}
	var t Token
	rest := raw[2:n]
	rest = rest[copy(t.Server[:], rest):]
	rest = rest[copy(t.ID[:], rest):]
	rest = rest[copy(t.Secret[:], rest):]
	for len(rest) > 0 {
		var e string
		if e, rest = endpoint(rest); e == "" {
			return Token{}, errAltered
		}
		t.Endpoints = append(t.Endpoints, e)
	}
	if len(t.Endpoints) == 0 {
		return Token{}, errAltered
	}
	return t, nil
}

// endpoint reads the first endpoint of b; "" if it makes no sense.
func endpoint(b []byte) (text string, rest []byte) {
	kind, b := b[0], b[1:]
	n := map[byte]int{kind4: 4, kind6: 16}[kind]
	if kind == kindName && len(b) > 0 {
		n, b = int(b[0]), b[1:]
	}
	if n == 0 || len(b) < n+2 {
		return "", nil
	}
	host := string(b[:n])
	if kind != kindName {
		a, _ := netip.AddrFromSlice(b[:n])
		if a.Is4In6() {
			return "", nil
		}
		host = a.String()
	} else if _, err := netip.ParseAddr(host); err == nil || !isName(host) {
		return "", nil
	}
	if kind == kind6 {
		host = "[" + host + "]"
	}
	port := binary.BigEndian.Uint16(b[n:])
	if port == 0 {
		return "", nil
	}
	return host + ":" + strconv.Itoa(int(port)), b[n+2:]
}

// Proof is what the router sends inside of its handshake.
func (t Token) Proof() []byte { return append(t.ID[:], t.Secret[:]...) }
