package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// files writes files into a directory and returns the path of the first.
func files(t *testing.T, list ...[2]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range list {
		if err := os.WriteFile(filepath.Join(dir, f[0]), []byte(f[1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, list[0][0])
}

func TestNetworkDevice(t *testing.T) {
	n := ReadNetwork(files(t, [2]string{"mpproxy", ""}, [2]string{"network", `
config interface 'lan'
	option device 'br-lan'
	option proto 'static'
config interface 'old'
	option type 'bridge'
	option ifname 'eth0 eth1'
	option proto 'static'
config interface 'wan'
	option device 'eth1'
	option proto 'pppoe'
config interface 'wan6'
	option device '@wan'
	option proto 'dhcpv6'
config interface 'vpn'
	option proto 'wireguard'
config interface 'lte'
	option device '/dev/cdc-wdm0'
	option proto 'qmi'
config interface 'circle'
	option device '@circle'
config interface 'two'
	option ifname 'eth3 eth4'
config interface 'bare'
`}))
	for name, want := range map[string]string{"lan": "br-lan", "old": "br-old", "wan": "pppoe-wan", "wan6": "pppoe-wan", "vpn": "vpn",
		"lte": "", "circle": "", "two": "", "bare": "", "nobody": ""} {
		if got, ok := n.Device(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v, want %q", name, got, ok, want)
		}
	}
	if _, ok := ReadNetwork(filepath.Join(t.TempDir(), "mpproxy")).Device("lan"); ok {
		t.Error("knows a name without a file")
	}
}

func TestMwanMask(t *testing.T) {
	const used = "config interface 'wan'\n\toption enabled '1'\n"
	for _, c := range []struct {
		text string
		want uint32
	}{{"", 0}, {"config interface 'wan'\n\toption enabled '0'\n", 0}, {used, 0x3f00},
		{"config globals 'globals'\n\toption mmx_mask '0xff00'\n" + used, 0xff00}, {"config globals 'globals'\n\toption mmx_mask 'x'\n" + used, 0x3f00}} {
		if got := MwanMask(files(t, [2]string{"mpproxy", ""}, [2]string{"mwan3", c.text})); got != c.want {
			t.Errorf("%q: %#x, want %#x", c.text, got, c.want)
		}
	}
}

func TestReadSwitch(t *testing.T) {
	const on = "config portal 'main'\n\toption enabled '1'\n\toption kill_switch '1'\n"
	for _, c := range []struct {
		name, text string
		want       Switch
	}{
		{"off", "config portal 'main'\n\toption enabled '1'\n", Switch{Device: "mpp0", LAN: []string{"lan"}, DNS: DNSTunnel}},
		{"on", on, Switch{true, "mpp0", []string{"lan"}, DNSTunnel}},
		{"portal off", "config portal 'main'\n\toption kill_switch '1'\n", Switch{false, "mpp0", []string{"lan"}, DNSTunnel}},
		{"names", on + "\toption device 'x0'\n\tlist lan 'a'\n\tlist lan 'b'\n\toption dns 'system'\n", Switch{true, "x0", []string{"a", "b"}, DNSSystem}},
		{"wrong elsewhere", on + "\toption mtu 'x'\nconfig link 'a'\n\toption metric 'y'\n", Switch{true, "mpp0", []string{"lan"}, DNSTunnel}},
		{"ruins", on + "\toption 'broken\nnonsense here\n", Switch{true, "mpp0", []string{"lan"}, DNSTunnel}},
		{"server", on + "\toption role 'remote'\n", Switch{false, "mpp0", []string{"lan"}, DNSTunnel}},
	} {
		got, err := ReadSwitch(files(t, [2]string{"mpproxy", c.text}))
		if c.name == "server" {
			got.LAN, got.DNS = c.want.LAN, c.want.DNS // options of the other role
		}
		if err != nil || got.On != c.want.On || got.Device != c.want.Device || !slices.Equal(got.LAN, c.want.LAN) || got.DNS != c.want.DNS {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
	}
	for _, text := range []string{"", "nonsense\n", "config portal 'main'\n#\toption kill_switch '1'\nnonsense\n"} {
		if got, err := ReadSwitch(files(t, [2]string{"mpproxy", text})); err == nil || got.On {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	if _, err := ReadSwitch(filepath.Join(t.TempDir(), "x")); err == nil {
		t.Error("no file, no error")
	}
}

// A zone's interfaces stand in the firewall's file, as a list or in one option.
func TestZones(t *testing.T) {
	n := ReadNetwork(files(t, [2]string{"mpproxy", ""}, [2]string{"firewall", `
config zone
	option name 'lan'
	list network 'lan'
	list network 'media'
config zone
	option name 'guest'
	option network 'guest iot'
	list device 'tun7'
config zone 'bare'
	option name 'none'
config rule
	option name 'ghost'
`}))
	for name, want := range map[string][]string{"lan": {"lan", "media"}, "guest": {"guest", "iot", "tun7"}, "none": nil} {
		if got, ok := n.Zone(name); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"ghost", "bare", "wan"} {
		if got, ok := n.Zone(name); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}
