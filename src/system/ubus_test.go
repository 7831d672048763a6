package system

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dump is what netifd answers: a dual-stack cable line as wan and wan6, a modem that netifd made children for, one line
// without default route in the main table, and one that is down.
const dump = `{"interface":[
 {"interface":"lan","up":true,"l3_device":"br-lan","proto":"static","device":"br-lan","ipv4-address":[{"address":"192.168.1.1","mask":24}],"route":[],"dns-server":[],"inactive":{"route":[]},"data":{}},
 {"interface":"wan","up":true,"pending":false,"available":true,"autostart":true,"dynamic":false,"uptime":513,"l3_device":"eth1","proto":"dhcp","device":"eth1","metric":10,
  "ipv4-address":[{"address":"192.0.2.77","mask":24}],"route":[{"target":"0.0.0.0","mask":0,"nexthop":"192.0.2.1","source":"192.0.2.77/32"}],"dns-server":["192.0.2.53"],
  "inactive":{"ipv4-address":[],"route":[],"dns-server":[]},"data":{"leasetime":3600}},
 {"interface":"wan6","up":true,"l3_device":"eth1","proto":"dhcpv6","device":"eth1","route":[{"target":"2001:db8:1::","mask":64,"nexthop":"::"},{"target":"::","mask":0,"nexthop":"fe80::1","source":"2001:db8:1::/64"}],"dns-server":["2001:db8::53"]},
 {"interface":"wwan","up":true,"l3_device":"wwan0","proto":"qmi","device":"/dev/cdc-wdm0"},
 {"interface":"wwan_4","up":true,"dynamic":true,"l3_device":"wwan0","proto":"dhcp","device":"wwan0","route":[],"dns-server":[],
  "inactive":{"route":[{"target":"0.0.0.0","mask":0,"nexthop":"10.64.64.1","table":7002}],"dns-server":["10.64.0.2","10.64.0.2"]}},
 {"interface":"dsl","up":false,"pending":true,"proto":"pppoe","device":"eth2"},
 {"interface":"","up":true}
]}`

func TestParseInterfaces(t *testing.T) {
	list, err := parseInterfaces([]byte(dump))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range list {
		got = append(got, fmt.Sprintf("%s %v %s %v %v %v", i.Name, i.Up, i.Device, i.Gateway4, i.Gateway6, i.DNS))
	}
	want := `lan true br-lan invalid IP invalid IP []
wan true eth1 192.0.2.1 invalid IP [192.0.2.53]
wan6 true eth1 invalid IP fe80::1 [2001:db8::53]
wwan true wwan0 invalid IP invalid IP []
wwan_4 true wwan0 10.64.64.1 invalid IP [10.64.0.2]
dsl false eth2 invalid IP invalid IP []`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	for _, bad := range []string{"", "{", "[]", `{"interface":{}}`, "Command failed: Not found"} {
		if list, err := parseInterfaces([]byte(bad)); err == nil {
			t.Errorf("%q gives %v", bad, list)
		}
	}
}

func FuzzParseInterfaces(f *testing.F) {
	f.Add([]byte(dump))
	f.Add([]byte(`{"interface":[{"interface":"x","route":[{"target":"0.0.0.0","mask":0,"nexthop":"fe80::1%x"}],"dns-server":["::"]}]}`))
	f.Add([]byte(`{"interface":[{"interface":"x","inactive":null,"route":null}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseInterfaces(text)
		for _, i := range list {
			if err != nil || i.Name == "" || i.Gateway4.IsValid() && !i.Gateway4.Is4() || i.Gateway6.IsValid() && !i.Gateway6.Is6() {
				t.Fatalf("%+v, %v", i, err)
			}
		}
	})
}

// fakeUbus puts a program ubus in front of all others. It answers with the file dump, and tells each line of the pipe
// events to who listens.
func fakeUbus(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := `#!/bin/sh
case "$*" in
"-S call network.interface dump") cat ` + dir + `/dump ;;
"-S listen network.interface") exec cat ` + dir + `/events ;;
*) echo "not understood: $*" >&2; exit 2 ;;
esac
`
	sh(t, "mkfifo "+dir+"/events")
	for name, text := range map[string]string{"ubus": script, "dump": dump} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

func TestUbusProgram(t *testing.T) {
	dir := fakeUbus(t)
	u, ok := FindUbus()
	if !ok {
		t.Fatal("the program is not found")
	}
	list, err := u.Interfaces(t.Context())
	if err != nil || len(list) != 6 || list[1].Gateway4 != netip.MustParseAddr("192.0.2.1") {
		t.Fatalf("%v, %v", list, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	heard, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- u.Listen(ctx, func() { heard <- struct{}{} }) }()
	pipe, err := os.OpenFile(filepath.Join(dir, "events"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	for range 2 {
		if _, err := pipe.WriteString(`{ "network.interface": {"action":"ifup","interface":"wan"} }` + "\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard:
		case <-ctx.Done():
			t.Fatal("an event is not heard")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ends with %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dump"), []byte(strings.Repeat("x", ubusMaxBytes+1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Interfaces(t.Context()); err == nil {
		t.Error("an endless answer is taken")
	}
}
