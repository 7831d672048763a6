package system

import (
	"os/exec"
	"strings"
	"testing"
)

// redirects are one of each kind.
func redirects() []Redirect {
	places := []RedirectPlace{{"br-lan", false, 4001}, {"br-lan", true, 4002}, {"br-guest", false, 4003}}
	rules := []RedirectRule{
		{},
		{Ports: [][2]uint16{{80, 80}, {8000, 8080}}},
		{Sources: prefixes("192.168.1.7/32", "fd00::7/128"), MACs: [][6]byte{{2, 0, 0x5e, 0x10, 0, 1}}, Destinations: prefixes("203.0.113.0/24", "10.0.0.0/8"), Ports: [][2]uint16{{443, 443}}},
	}
	return []Redirect{{Places: places}, {Places: places, Rules: rules}, {Places: places, Rules: rules, TPROXY: true}}
}

// TestRedirectTextIsWhatIsMade compares our expressions with what nft makes of the text.
func TestRedirectTextIsWhatIsMade(t *testing.T) {
	needNamespace(t)
	needProgram(t, "nft")
	k, err := openKernel(testParams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	for _, to := range redirects() {
		for _, o := range DefaultParams().planRedirect(to) {
			table, ok := o.(NFTable)
			if !ok {
				continue
			}
			table.Owned = false // nft would show who owns it
			undo, _, err := k.nft(table, false)
			if err != nil {
				t.Fatalf("%s: %v", table.Command(), err)
			}
			ours := runCommand(t, "nft", "list", "table", "inet", table.Name)
			if err := undo(); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("nft", "-f", "-")
			cmd.Stdin = strings.NewReader("table inet " + table.Name + " {\n" + table.body() + "}\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("nft refuses our text: %v\n%s\n%s", err, out, table.body())
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

// TestRedirectIsUndone: table, routes and rules come and go, and what a killed daemon leaves is cleaned up.
func TestRedirectIsUndone(t *testing.T) {
	needNamespace(t)
	needProgram(t, "nft", "ip")
	state := func() string {
		return runCommand(t, "nft", "list", "ruleset") + runCommand(t, "ip", "rule") + runCommand(t, "ip", "-6", "rule") +
			runCommand(t, "ip", "route", "show", "table", "all") + runCommand(t, "ip", "-6", "route", "show", "table", "all")
	}
	runCommand(t, "ip", "link", "set", "lo", "up")
	before := state()
	for _, to := range redirects() {
		p := testParams(t)
		r, err := OpenRouter(p, quietLog())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SetRedirect(&to); err != nil {
			t.Fatal(err)
		}
		if text := state(); !strings.Contains(text, p.redirectTable()) || to.TPROXY != strings.Contains(text, "local default dev lo table") {
			t.Errorf("not there:\n%s", text)
		}
		if err := r.SetRedirect(nil); err != nil || state() != before {
			t.Errorf("%v; not undone:\n%s", err, state())
		}
		if err := r.SetRedirect(&to); err != nil {
			t.Fatal(err)
		}
		r.kernel.close() // as a crash would
		if err := Cleanup(p, quietLog()); err != nil || state() != before {
			t.Errorf("%v; not cleaned up:\n%s", err, state())
		}
	}
}
