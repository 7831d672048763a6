package portal

import (
	"fmt"
	"net/netip"
	"testing"

	"mpproxy/src/system"
)

func TestWANsByName(t *testing.T) {
	a := netip.MustParseAddr
	w := &wans{list: []system.Interface{
		{Name: "lan", Up: true, Device: "br-lan"},
		{Name: "wan", Up: true, Device: "eth1", Gateway4: a("192.0.2.1"), DNS: []netip.Addr{a("192.0.2.53")}},
		{Name: "wan6", Up: true, Device: "eth1", Gateway6: a("fe80::1"), DNS: []netip.Addr{a("192.0.2.53"), a("2001:db8::53")}},
		{Name: "dsl"},
		{Name: "lte", Up: true, Device: "wwan0", DNS: []netip.Addr{a("198.51.100.53")}},
	}}
	before := place{device: "from the file", servers: []netip.Addr{a("9.9.9.9")}}
	for name, want := range map[string]string{
		"wan":  "eth1 192.0.2.1 fe80::1 [192.0.2.53 2001:db8::53]",
		"wan6": "eth1 192.0.2.1 fe80::1 [192.0.2.53 2001:db8::53]",
		"lte":  "wwan0 invalid IP invalid IP [198.51.100.53]", // nothing of another's
		"dsl":  "from the file invalid IP invalid IP [9.9.9.9]",
		"eth7": "from the file invalid IP invalid IP [9.9.9.9]",
	} {
		at := w.find(name, before)
		if got := fmt.Sprint(at.device, " ", at.gateway4, " ", at.gateway6, " ", at.servers); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := fmt.Sprint(w.devices([]string{"lan", "br-lan", "eth9", "dsl"})); got != "[br-lan eth9 dsl]" {
		t.Errorf("devices %s", got)
	}
	if got := (&wans{}).find("wan", before); got.device != before.device {
		t.Errorf("without ubus: %v", got)
	}
}
