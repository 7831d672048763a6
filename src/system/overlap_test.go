package system

import (
	"errors"
	"testing"
)

func TestOverlap(t *testing.T) {
	makeLinks(t)
	k, err := openKernel(testParams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	for inner, want := range map[string]string{
		"10.99.0.1/24":     "",
		"192.168.1.9/24":   "the tunnel's network 192.168.1.0/24 overlaps 192.168.1.0/24 on br-lan: one of them must get other addresses",
		"192.168.0.1/16":   "the tunnel's network 192.168.0.0/16 overlaps 192.168.1.0/24 on br-lan: one of them must get other addresses",
		"192.0.2.200/32":   "the tunnel's network 192.0.2.200/32 overlaps 192.0.2.0/24 on wan1: one of them must get other addresses",
		"2001:db8:1::1/96": "the tunnel's network 2001:db8:1::/96 overlaps 2001:db8:1::/64 on wan1: one of them must get other addresses",
		"fd00:99::1/64":    "",
	} {
		err := k.overlap("mpp0", prefixes(inner))
		var overlap *OverlapError
		if got := errors.As(err, &overlap); got != (want != "") || got && err.Error() != want {
			t.Errorf("%s: %v", inner, err)
		}
	}
	if err := k.overlap("br-lan", prefixes("192.168.1.9/24")); err != nil {
		t.Errorf("the tunnel's own device counts: %v", err)
	}
	s, err := OpenServer(testParams(t), quietLog())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := snapshot(t)
	if err := s.SetService(Service{Device: "mpp0", MTU: 1400, Addresses: prefixes("192.0.2.77/25")}); err == nil {
		t.Error("a pool inside the uplink's network is taken")
	}
	checkSameSnapshot(t, before, snapshot(t))
}
