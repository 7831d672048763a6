package flowq

import "testing"

// TestSipHash compares with the vectors of the reference implementation: key 00..0f, message 00, 01, 02 ...
func TestSipHash(t *testing.T) {
	h := hasher{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	if got := h.words(); got != 0x726fdb47dd0e0e31 {
		t.Errorf("0 bytes: %#x", got)
	}
	if got := h.words(0x0706050403020100); got != 0x93f5f5799a932462 {
		t.Errorf("8 bytes: %#x", got)
	}
	s := h.begin()
	s.word(0x0706050403020100)
	s.word(15<<56 | 0x0e0d0c0b0a0908)
	if got := s.sum(); got != 0xa129ca6149be45e5 {
		t.Errorf("15 bytes: %#x", got)
	}
}

func TestFlowKey(t *testing.T) {
	h := newHasher(1)
	key := func(s shape, change func(*Info)) uint64 {
		info, ok := ParseIP(s.build())
		if !ok {
			t.Fatal("refused")
		}
		if change != nil {
			change(&info)
		}
		return h.flow(&info)
	}
	base := shape{host: 1, src: 2, dst: 3}
	same := key(base, nil)
	if same != key(shape{host: 1, src: 2, dst: 3, tos: 0xff, size: 900}, nil) {
		t.Error("size or class of service changed the flow")
	}
	for name, other := range map[string]shape{
		"host": {host: 2, src: 2, dst: 3}, "source port": {host: 1, src: 3, dst: 3}, "destination port": {host: 1, src: 2, dst: 2},
		"protocol": {host: 1, src: 2, dst: 3, proto: ProtoTCP}, "family": {host: 1, src: 2, dst: 3, v6: true},
	} {
		if key(other, nil) == same {
			t.Errorf("%s does not change the flow", name)
		}
	}
	first := key(base, func(i *Info) { i.Fragment = true })
	later := key(base, func(i *Info) { i.Fragment, i.HasPorts, i.SrcPort, i.DstPort = true, false, 0, 0 })
	if first != later {
		t.Error("pieces of one packet are in two flows")
	}
	info, _ := ParseIP(base.build())
	if other := newHasher(2); other.flow(&info) == same {
		t.Error("the seed does not change the flow's key")
	}
}
