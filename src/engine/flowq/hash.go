package flowq

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// hasher is SipHash-2-4 (Aumasson, Bernstein 2012) over whole words: a keyed hash that nobody without the key can
// make collide, and the same on every machine.
type hasher struct{ k0, k1 uint64 }

// newHasher spreads a seed over both halves of the key.
func newHasher(seed uint64) hasher {
	h := hasher{k0: seed, k1: ^seed}
	h.k0, h.k1 = h.words(0), h.words(1)
	return h
}

// words hashes whole words.
func (h hasher) words(message ...uint64) uint64 {
	s := h.begin()
	for _, m := range message {
		s.word(m)
	}
	s.word(uint64(len(message)*8) << 56)
	return s.sum()
}

// sip is the running state of one hash.
type sip struct{ v0, v1, v2, v3 uint64 }

func (h hasher) begin() sip {
	return sip{h.k0 ^ 0x736f6d6570736575, h.k1 ^ 0x646f72616e646f6d, h.k0 ^ 0x6c7967656e657261, h.k1 ^ 0x7465646279746573}
}

func (s *sip) round() {
	s.v0 += s.v1
	s.v2 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v1
	s.v0 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

// word takes in 8 bytes of the message, little endian; the last one has the message's length in its top byte.
func (s *sip) word(m uint64) {
	s.v3 ^= m
	s.round()
	s.round()
	s.v0 ^= m
}

func (s *sip) sum() uint64 {
	s.v2 ^= 0xff
	s.round()
	s.round()
	s.round()
	s.round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// flow returns the key of the packet's flow: 5-tuple, or 3-tuple where there are no ports. Fragments count as
// without ports, or the pieces of one packet would be in two flows.
func (h hasher) flow(info *Info) uint64 {
	s := h.begin()
	s.addr(info.Src)
	s.addr(info.Dst)
	last := uint64(37)<<56 | uint64(info.Version)<<40 | uint64(info.Proto)<<32
	if info.HasPorts && !info.Fragment {
		last |= uint64(info.SrcPort)<<16 | uint64(info.DstPort)
	}
	s.word(last)
	return s.sum()
}

// host returns the key of an address.
func (h hasher) host(a netip.Addr) uint64 {
	s := h.begin()
	s.addr(a)
	s.word(16 << 56)
	return s.sum()
}

func (s *sip) addr(a netip.Addr) {
	raw := a.As16()
	s.word(binary.LittleEndian.Uint64(raw[:8]))
	s.word(binary.LittleEndian.Uint64(raw[8:]))
}
