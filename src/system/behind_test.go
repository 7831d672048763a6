package system

import (
	"net"
	"net/netip"
	"testing"
)

// A device that has just sent something is found by its address, of either family; what is nobody's neighbour has no hardware address.
func TestFindBehind(t *testing.T) {
	h := newHome(t)
	var mac [6]byte
	h.client.do(func() {
		if d, err := net.InterfaceByName("p-br-lan"); err == nil {
			mac = [6]byte(d.HardwareAddr)
		}
	})
	for _, a := range []string{"192.168.1.77", "2001:db8:77::77"} {
		if b, err := FindBehind(netip.MustParseAddr(a)); err != nil || b.Device != "br-lan" || b.MAC != mac || mac == [6]byte{} {
			t.Errorf("%s: %+v, %v; want %x", a, b, err, mac)
		}
	}
	if b, err := FindBehind(netip.MustParseAddr("192.168.1.99")); err != nil || b != (Behind{Device: "br-lan"}) {
		t.Errorf("nobody: %+v, %v", b, err)
	}
	if b, err := FindBehind(netip.MustParseAddr("192.168.1.1")); err != nil || b.Device == "br-lan" {
		t.Errorf("the router itself: %+v, %v", b, err)
	}
	if b, err := FindBehind(netip.MustParseAddr("2001:db8:ffff::1")); err == nil && b.Device == "br-lan" {
		t.Errorf("elsewhere: %+v", b)
	}
}
