package portal

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/system"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mpproxy")
	network := filepath.Join(filepath.Dir(file), "network")
	d := directory{configFile: file}
	d.look()
	if got := d.devices([]string{"lan", "br-lan", "lan"}); !slices.Equal(got, []string{"lan", "br-lan"}) {
		t.Errorf("without a network file: %v", got)
	}
	write(t, network, "config interface 'lan'\n\toption device 'br-lan'\n\toption proto 'static'\n")
	d.look()
	if got := d.devices([]string{"lan", "br-lan", "guest"}); !slices.Equal(got, []string{"br-lan", "guest"}) {
		t.Errorf("%v", got)
	}
	write(t, network, "config interface 'lan'\n\toption device 'br-home'\n\toption proto 'static'\n")
	if err := os.Chtimes(network, time.Time{}, time.Unix(1, 0)); err != nil { // a clock may stand still
		t.Fatal(err)
	}
	d.look()
	if got := d.place("lan").device; got != "br-home" {
		t.Errorf("after a change: %s", got)
	}
	if g := Guard(file, config.Switch{Device: "mpp0", LAN: []string{"lan"}, DNS: config.DNSSystem}); g.Device != "mpp0" || !slices.Equal(g.LAN, []string{"br-home"}) || g.DNSUser != 0 {
		t.Errorf("%+v", g)
	}
	if err := os.Remove(network); err != nil {
		t.Fatal(err)
	}
	d.look()
	if got := d.device("lan"); got != "lan" {
		t.Errorf("after the file went: %s", got)
	}
}

func TestNameServersOfALink(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf.auto")
	write(t, file, "nameserver 8.8.8.8\n# Interface wan\nnameserver 192.0.2.53\nnameserver 127.0.0.1\nsearch lan\n# Interface wan6\nnameserver 2001:db8::53\n"+
		"# Interface wanb\nnameserver 198.51.100.53\nnameserver nonsense\n# Interface wwan_4\nnameserver 10.0.0.1\n")
	for name, want := range map[string][]string{"wan": {"192.0.2.53", "2001:db8::53"}, "wanb": {"198.51.100.53"}, "wwan": {"10.0.0.1"}, "none": nil} {
		var got []string
		for _, a := range linkServers(file, name) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := systemServers(file); len(got) != 5 {
		t.Errorf("all: %v", got)
	}
	if linkServers(file+"x", "wan") != nil || systemServers(file+"x") != nil {
		t.Error("servers without a file")
	}
}

func TestEndpointOverLinks(t *testing.T) {
	parse := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	n := newResolver(config.Remote{Endpoints: []config.HostPort{{Host: "2001:db8::9", Port: 6779}, {Host: "192.0.2.9", Port: 443}}})
	both := system.LinkState{IPv4: []netip.Addr{parse("10.0.0.2")}, IPv6: []netip.Addr{parse("2001:db8:1::2")}}
	six := system.LinkState{IPv6: both.IPv6}
	check := func(what string, i int, s system.LinkState, wantRemote, wantSource string) {
		t.Helper()
		remote, source := n.endpointOver(i, s, look{})
		if remote.String() != wantRemote || source.String() != wantSource {
			t.Errorf("%s: %v from %v", what, remote, source)
		}
	}
	check("IPv4 first", 0, both, "192.0.2.9:443", "10.0.0.2")
	check("IPv6 only", 0, six, "[2001:db8::9]:6779", "2001:db8:1::2")
	n.remote.Family = config.Family6
	check("IPv6 by order", 0, both, "[2001:db8::9]:6779", "2001:db8:1::2")
	n.remote.Family = config.FamilyAny
	// A link behind NAT64 has found its own address for a name; the other has found none yet.
	n.links[1].addrs = []netip.AddrPort{netip.MustParseAddrPort("[64:ff9b::c000:209]:6779")}
	check("own finding first", 1, six, "[64:ff9b::c000:209]:6779", "2001:db8:1::2")
	n.fixed = nil
	check("what others found", 0, six, "[64:ff9b::c000:209]:6779", "2001:db8:1::2")
	check("no address", 0, system.LinkState{}, "invalid AddrPort", "invalid IP")
}
