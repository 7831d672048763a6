package socks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
)

// Command is what a client asks for (RFC 1928, 4).
type Command uint8

// The commands.
const (
	Connect   Command = 1
	Bind      Command = 2
	Associate Command = 3
)

// Code is a reply's code (RFC 1928, 6). As an error it says why a request failed.
type Code uint8

// The codes.
const (
	Succeeded       Code = 0
	GeneralFailure  Code = 1
	NotAllowed      Code = 2
	NetUnreachable  Code = 3
	HostUnreachable Code = 4
	Refused         Code = 5
	TTLExpired      Code = 6
	NoCommand       Code = 7
	NoAddressType   Code = 8
)

// Error says the code in words.
func (c Code) Error() string {
	words := []string{
		"succeeded", "general failure", "not allowed", "network unreachable", "host unreachable", "connection refused",
		"no answer in time", "command not supported", "address type not supported",
	}
	if int(c) < len(words) {
		return words[c]
	}
	return "unknown reply " + strconv.Itoa(int(c))
}

// The methods of authentication.
const (
	methodNone     = 0
	methodPassword = 2
	methodRefused  = 0xff
)

// The types of addresses.
const (
	typeIPv4   = 1
	typeDomain = 3
	typeIPv6   = 4
)

// Errors of parsers.
var (
	ErrVersion = errors.New("parse: not SOCKS5")
	ErrAddress = errors.New("parse address: malformed")
)

// Address is where to or from: an IP address or else a name of 1 to 255 bytes, and a port.
type Address struct {
	IP   netip.Addr
	Name string
	Port uint16
}

// FromAddrPort returns the address of a socket; IPv4 in IPv6 becomes IPv4.
func FromAddrPort(a netip.AddrPort) Address { return Address{IP: a.Addr().Unmap(), Port: a.Port()} }

// ParseAddress reads host and port, as of an URL.
func ParseAddress(host string, port uint16) (Address, error) {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return Address{IP: ip.Unmap(), Port: port}, nil
	}
	if !validName(host) {
		return Address{}, ErrAddress
	}
	return Address{Name: host, Port: port}, nil
}

// String returns host:port.
func (a Address) String() string {
	if a.Name != "" {
		return a.Name + ":" + strconv.Itoa(int(a.Port))
	}
	return netip.AddrPortFrom(a.IP, a.Port).String()
}

// validName keeps out what no name server knows and what would look different in a log.
func validName(name string) bool {
	if len(name) == 0 || len(name) > 255 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == '/' || c == '\\' || c == '"' || c == '%' {
			return false
		}
	}
	return true
}

// Append appends the address as it is on the wire: type, address, port. An address that is neither becomes 0.0.0.0.
func (a Address) Append(b []byte) []byte {
	switch {
	case a.Name != "":
		b = append(append(b, typeDomain, byte(len(a.Name))), a.Name...)
	case a.IP.Is6():
		ip := a.IP.As16()
		b = append(append(b, typeIPv6), ip[:]...)
	case a.IP.Is4():
		ip := a.IP.As4()
		b = append(append(b, typeIPv4), ip[:]...)
	default:
		b = append(b, typeIPv4, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint16(b, a.Port)
}

// ReadAddress reads what Append wrote, and not a byte more. The error is NoAddressType, ErrAddress, or r's.
func ReadAddress(r io.Reader) (Address, error) {
	var b [257]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return Address{}, err
	}
	n := 0
	switch b[0] {
	case typeIPv4:
		n = 4
	case typeIPv6:
		n = 16
	case typeDomain:
		if _, err := io.ReadFull(r, b[:1]); err != nil {
			return Address{}, err
		}
		if n = int(b[0]); n == 0 {
			return Address{}, ErrAddress
		}
		if _, err := io.ReadFull(r, b[:n+2]); err != nil {
			return Address{}, err
		}
		return ParseAddress(string(b[:n]), binary.BigEndian.Uint16(b[n:]))
	default:
		return Address{}, NoAddressType
	}
	if _, err := io.ReadFull(r, b[:n+2]); err != nil {
		return Address{}, err
	}
	ip, _ := netip.AddrFromSlice(b[:n])
	return Address{IP: ip.Unmap(), Port: binary.BigEndian.Uint16(b[n:])}, nil
}

// Request is what a client wants.
type Request struct {
	Command Command
	To      Address
}

// Append appends the request as it is on the wire.
func (q Request) Append(b []byte) []byte { return q.To.Append(append(b, version5, byte(q.Command), 0)) }

// ReadRequest reads what Append wrote, and not a byte more.
func ReadRequest(r io.Reader) (Request, error) {
	var b [3]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Request{}, err
	}
	if b[0] != version5 {
		return Request{}, ErrVersion
	}
	to, err := ReadAddress(r)
	return Request{Command(b[1]), to}, err
}

// AppendReply appends a reply as it is on the wire.
func AppendReply(b []byte, code Code, bound Address) []byte {
	return bound.Append(append(b, version5, byte(code), 0))
}

// ReadReply reads a reply, and not a byte more. A reply that does not tell success is returned as its Code.
func ReadReply(r io.Reader) (Address, error) {
	var b [3]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Address{}, err
	}
	if b[0] != version5 {
		return Address{}, ErrVersion
	}
	if b[1] != byte(Succeeded) {
		return Address{}, Code(b[1])
	}
	return ReadAddress(r)
}

// readMethods reads the client's methods and tells whether the wanted one is among them.
func readMethods(r io.Reader, want byte) (bool, error) {
	var b [255]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return false, err
	}
	if b[0] != version5 {
		return false, ErrVersion
	}
	n := int(b[1])
	if _, err := io.ReadFull(r, b[:n]); err != nil {
		return false, err
	}
	for _, m := range b[:n] {
		if m == want {
			return true, nil
		}
	}
	return false, nil
}

// readPassword reads user name and password (RFC 1929).
func readPassword(r io.Reader) (user, password string, err error) {
	var b [256]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return "", "", err
	}
	if b[0] != version1 {
		return "", "", ErrVersion
	}
	n := int(b[1])
	if _, err := io.ReadFull(r, b[:n+1]); err != nil {
		return "", "", err
	}
	user, n = string(b[:n]), int(b[n])
	if _, err := io.ReadFull(r, b[:n]); err != nil {
		return "", "", err
	}
	return user, string(b[:n]), nil
}

// ParseDatagram takes the header off a client's datagram (RFC 1928, 7). Fragments are refused: nobody sends them.
func ParseDatagram(b []byte) (to Address, payload []byte, err error) {
	if len(b) < 4 || b[0] != 0 || b[1] != 0 || b[2] != 0 {
		return Address{}, nil, ErrAddress
	}
	r := sliceReader(b[3:])
	if to, err = ReadAddress(&r); err != nil {
		return Address{}, nil, fmt.Errorf("parse datagram: %w", err)
	}
	return to, r, nil
}

// AppendDatagramHeader appends the header of a datagram.
func AppendDatagramHeader(b []byte, from Address) []byte { return from.Append(append(b, 0, 0, 0)) }

// sliceReader reads from what is left of itself.
type sliceReader []byte

// Read implements io.Reader.
func (r *sliceReader) Read(p []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	n := copy(p, *r)
	*r = (*r)[n:]
	return n, nil
}
