package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// netifd plays OpenWrt's ubus: a program that answers with a file, and tells who listens what is written into a pipe.
type netifd struct {
	dir    string
	events *os.File
}

// newNetifd puts the program in front of all others, for portals that are started later.
func newNetifd(t *testing.T, devices map[string]string) *netifd {
	t.Helper()
	n := &netifd{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(n.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ncase \"$3\" in\nnetwork.interface) exec cat " + n.dir + "/dump ;;\n*) exec cat " + n.dir + "/events ;;\nesac\n"
	if err := os.WriteFile(filepath.Join(n.dir, "bin", "ubus"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := run("", "mkfifo", filepath.Join(n.dir, "events")); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.events, err = os.OpenFile(filepath.Join(n.dir, "events"), os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.events.Close() })
	n.set(t, devices)
	t.Setenv("PATH", filepath.Join(n.dir, "bin")+":"+os.Getenv("PATH"))
	return n
}

// set makes the interfaces have these devices now; an interface without one is down.
func (n *netifd) set(t *testing.T, devices map[string]string) {
	t.Helper()
	var list []string
	for name, device := range devices {
		text := fmt.Sprintf(`{"interface":"%s","up":false,"proto":"dhcp"}`, name)
		if device != "" {
			text = fmt.Sprintf(`{"interface":"%[1]s","up":true,"l3_device":"%[2]s","device":"%[2]s","proto":"dhcp","route":[],"inactive":{"route":[]}}`, name, device)
		}
		list = append(list, text)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "dump"), []byte(`{"interface":[`+strings.Join(list, ",")+"]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name := range devices {
		if _, err := fmt.Fprintf(n.events, "{ \"network.interface\": {\"action\":\"ifup\",\"interface\":\"%s\"} }\n", name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLinksByNetifdNames: links are named by netifd's interfaces; one goes away and comes back on another device, and only
// that one is opened anew.
func TestLinksByNetifdNames(t *testing.T) {
	n := newNetifd(t, map[string]string{"cable": "wan1", "modem": "wan2"})
	l := newLab(t, "20M/10ms,20M/25ms")
	if l.options.Program == "" {
		t.Fatal("MPPROXY_PROGRAM is not set: run this through make test")
	}
	names := []string{l.Links[0].Device, l.Links[1].Device}
	l.Links[0].Device, l.Links[1].Device = "cable", "modem"
	startPortals(t, l)
	l.Links[0].Device, l.Links[1].Device = names[0], names[1]
	r := l.Router
	both := func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two
	}
	before := r.until(t, "both paths", both)
	call, err := l.StartCall(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	began := Now()

	// The modem is unplugged.
	router, nat := l.Namespace("router"), l.Namespace("nat2")
	if _, err := run("", "ip", "-n", router, "link", "del", "wan2"); err != nil {
		t.Fatal(err)
	}
	n.set(t, map[string]string{"cable": "wan1", "modem": ""})
	gone := r.until(t, "one path", func(s stats.Status) bool { _, ok := pathOf(s, "link2"); return !ok })
	sameWay(t, "a modem went", before, gone, "link1")

	// It comes back under another name.
	lines := fmt.Sprintf("link add wwan7 netns %s type veth peer name lan0 netns %s\n", router, nat)
	if _, err := run(lines, "ip", "-batch", "-"); err != nil {
		t.Fatal(err)
	}
	for at, commands := range map[string]string{
		router: "link set wwan7 up\naddress add 192.168.2.2/24 dev wwan7\nroute add default via 192.168.2.1 dev wwan7 metric 20\n",
		nat:    "link set lan0 up\naddress add 192.168.2.1/24 dev lan0\n",
	} {
		if _, err := run(commands, "ip", "-n", at, "-batch", "-"); err != nil {
			t.Fatal(err)
		}
	}
	n.set(t, map[string]string{"cable": "wan1", "modem": "wwan7"})
	back := r.until(t, "both paths again", both)
	sameWay(t, "a modem came back", gone, back, "link1")
	old, _ := pathOf(before, "link2")
	if new, _ := pathOf(back, "link2"); new.ID == old.ID {
		t.Errorf("the path over the modem is still %d", old.ID)
	}
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Direction{Down, Up} {
		if s := call.Stats(d, began.Add(300*time.Millisecond), began.Add(9*time.Second)); s.Silence > wantSilence {
			t.Errorf("%v: %v", d, s)
		}
	}
}
