package system

import (
	"os/exec"
	"strings"
	"testing"
)

// TestRulesAreWhatTheirTextSays loads the text of a table with nft, and the same table with our own expressions, and
// compares what nft makes of both.
func TestRulesAreWhatTheirTextSays(t *testing.T) {
	needNamespace(t)
	needProgram(t, "nft")
	service := Service{Device: "mpp0", MTU: 1400, Uplink4: "eth0", Uplink6: "eth0", NAT: true,
		Addresses: prefixes("10.99.0.1/24", "172.20.5.1/14", "100.64.3.9/32", "fd00:99::1/64", "2001:db8::1/61")}
	tunnel := Tunnel{Device: "mpp0", MTU: 1280, Addresses: prefixes("10.99.0.2/32")}
	p := DefaultParams()
	k, err := openKernel(testParams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	tunnel.LAN, tunnel.DNS = []string{"br-lan", "br-guest"}, &DNS{User: 453, Resolvers: addrs("10.99.0.1", "fd00:99::1")}
	six := tunnel
	six.Addresses = prefixes("10.99.0.2/32", "fd00:99::2/128")
	links := map[int]LinkState{0: {Device: "eth1"}, 1: {Device: "eth2", Filtered: true, Tunnel: true}}
	plain, held := p.planGuard(Guard{Device: "mpp0", LAN: tunnel.LAN, DNSUser: 453})
	for _, list := range [][]Object{p.planTunnel(tunnel), p.planService(service), p.planMarks(links, tunnel.LAN, "mpp0", true),
		p.planDNS(tunnel), p.planDNS(six), {plain, held}} {
		for _, o := range list {
			table, ok := o.(NFTable)
			if !ok {
				continue
			}
			table.Owned, table.Kept = false, false // nft would show who owns it
			undo, _, err := k.nft(table, false)
			if err != nil {
				t.Fatalf("%s: %v", table.Command(), err)
			}
			if _, made, err := k.nft(table, true); made || err != nil {
				t.Errorf("%s does not look whole: %v", table.Name, err)
			}
			ours := runCommand(t, "nft", "list", "table", "inet", table.Name)
			if err := undo(); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("nft", "-f", "-")
			cmd.Stdin = strings.NewReader("table inet " + table.Name + " {\n" + table.body() + "}\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("nft refuses our text: %v\n%s", err, out)
			}
			if theirs := runCommand(t, "nft", "list", "table", "inet", table.Name); ours != theirs {
				t.Errorf("ours:\n%s\nby text:\n%s", ours, theirs)
			}
			if err := k.removeTable(table.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
