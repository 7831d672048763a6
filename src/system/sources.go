package system

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	nfnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Sources tells who sent what comes out of the tunnel's device: there all packets have the tunnel's own address for their source,
// and only the kernel's table of connections knows which device of the LAN it stands for. The zero value is ready; it is not
// safe for concurrent use.
type Sources struct {
	conn *nfnetlink.Conn
}

// sourcesWait is for how long the kernel is waited for, which answers within the system call.
const sourcesWait = 50 * time.Millisecond

// The parts of a question to the kernel's table of connections (linux/netfilter/nfnetlink_conntrack.h).
const (
	connectionGet     = 1
	connectionTuple   = 1 // as it was before any translation
	connectionReply   = 2 // as the answers are
	tupleAddresses    = 1
	tupleProtocol     = 2
	protocolNumber    = 1
	protocolFrom      = 2
	protocolTo        = 3
	nfgenmsgBytes     = 4
	addressFrom4      = 1
	addressFrom6      = 3
	nextToFrom        = 1 // from addressFrom to its destination
	connectionsOfNFNL = unix.NFNL_SUBSYS_CTNETLINK << 8
)

// Of returns the address in the LAN, or of this machine, of what has these addresses in the tunnel; ports 0 are none. The error is
// os.ErrNotExist if the kernel knows no such connection.
func (s *Sources) Of(protocol uint8, from, to netip.AddrPort) (netip.Addr, error) {
	question, err := askSource(protocol, from, to)
	if err == nil && s.conn == nil {
		s.conn, err = nfnetlink.Dial(unix.NETLINK_NETFILTER, nil)
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("ask for a connection's source: %w", err)
	}
	_ = s.conn.SetDeadline(time.Now().Add(sourcesWait))
	answers, err := s.conn.Execute(nfnetlink.Message{ // the kernel calls its answer one of many: only the acknowledgement ends them
		Header: nfnetlink.Header{Type: connectionsOfNFNL | connectionGet, Flags: nfnetlink.Request | nfnetlink.Acknowledge}, Data: question,
	})
	if err == nil && (len(answers) == 0 || answers[0].Header.Type>>8 != connectionsOfNFNL>>8 || len(answers[0].Data) < nfgenmsgBytes) {
		err = os.ErrNotExist
	}
	var source netip.Addr
	if err == nil {
		source, err = readSource(answers[0].Data[nfgenmsgBytes:])
	}
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) { // an answer may yet come, and would be the next one's
			_ = s.Close()
		}
		return netip.Addr{}, fmt.Errorf("ask for a connection's source: %w", err)
	}
	return source, nil
}

// Close gives up the socket; the next question opens another.
func (s *Sources) Close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.Close()
}

// askSource asks for the connection whose answers go from to to from.
func askSource(protocol uint8, from, to netip.AddrPort) ([]byte, error) {
	head, first := []byte{unix.AF_INET, 0, 0, 0}, uint16(addressFrom4)
	if !from.Addr().Is4() {
		head[0], first = unix.AF_INET6, addressFrom6
	}
	e := nfnetlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	e.Nested(connectionReply, func(e *nfnetlink.AttributeEncoder) error {
		e.Nested(tupleAddresses, func(e *nfnetlink.AttributeEncoder) error {
			e.Bytes(first, to.Addr().AsSlice())
			e.Bytes(first+nextToFrom, from.Addr().AsSlice())
			return nil
		})
		e.Nested(tupleProtocol, func(e *nfnetlink.AttributeEncoder) error {
			e.Uint8(protocolNumber, protocol)
			if from.Port() != 0 || to.Port() != 0 {
				e.Uint16(protocolFrom, to.Port())
				e.Uint16(protocolTo, from.Port())
			}
			return nil
		})
		return nil
	})
	attributes, err := e.Encode()
	return append(head, attributes...), err
}

// readSource finds the source in what the kernel says of a connection.
func readSource(attributes []byte) (source netip.Addr, err error) {
	d, err := nfnetlink.NewAttributeDecoder(attributes)
	if err != nil {
		return source, err
	}
	for d.Next() {
		if d.Type() != connectionTuple {
			continue
		}
		d.Nested(func(d *nfnetlink.AttributeDecoder) error {
			for d.Next() {
				if d.Type() != tupleAddresses {
					continue
				}
				d.Nested(func(d *nfnetlink.AttributeDecoder) error {
					for d.Next() {
						if d.Type() == addressFrom4 || d.Type() == addressFrom6 {
							source, _ = netip.AddrFromSlice(d.Bytes())
						}
					}
					return nil
				})
			}
			return nil
		})
	}
	if err := d.Err(); err != nil {
		return source, err
	}
	if !source.IsValid() {
		return source, os.ErrNotExist
	}
	return source, nil
}
