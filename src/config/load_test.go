package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// key returns a well-formed key made of one byte.
func key(b byte) string { return SecretKey{b, 31: 1}.Text() }

// setup writes the main file and others into a directory of the test's own, where the placeholder DIR means that
// directory, and returns the main file's path.
func setup(t *testing.T, text string, others map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, text := range others {
		write(name, text)
	}
	return write("c", text)
}

// told is what Load said, one line for each problem, with the directory left out.
func told(path string, warnings []Warning, err error) (errorLines, warningLines []string) {
	clean := func(text string) string { return strings.ReplaceAll(text, filepath.Dir(path)+"/", "") }
	if err != nil {
		errorLines = strings.Split(clean(err.Error()), "\n")
	}
	for _, w := range warnings {
		warningLines = append(warningLines, clean(w.String()))
	}
	return errorLines, warningLines
}

func localText(portal, rest string) string {
	return fmt.Sprintf(`config portal 'main'
	option enabled '1'
	option role 'local'
	option secrets_dir 'DIR/secrets'
%s
config remote 'vps'
	option public_key '%s'
	list endpoint 'vps.example.org'
config link 'dsl'
	option interface 'wan'
%s`, portal, key(1), rest)
}

func remoteText(portal, rest string) string {
	return fmt.Sprintf(`config portal 'main'
	option enabled '1'
	option role 'remote'
	option secrets_dir 'DIR/secrets'
	option peers_dir 'DIR/peers.d'
%s
config peer 'home'
	option public_key '%s'
	option address '10.99.0.2'
%s`, portal, key(2), rest)
}

func TestLoadLocal(t *testing.T) {
	path := setup(t, localText("\tlist lan 'lan'\n\tlist lan 'guest'\n\toption mtu 1400\n\toption memory_limit 32\n\toption dns_server 1.1.1.1", `
	option metric '10'
	option upload '20'
	option metered 'yes'
	list remote 'vps'
config link 'lte'
	option interface 'wwan0'
	option enabled 'off'
	option label 'LTE upstairs'
	option cap_day '31'
	option cap_mb '50000'
	option cap_used_mb '0'
	option cap_used_at '1780000000'
	option transport 'tcp'
`), map[string]string{"secrets/private_key": key(7) + "\n", "secrets/remote.vps.psk": key(8)})
	c, warnings, err := Load(path)
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	p := c.Portal
	if !p.Enabled || p.Role != RoleLocal || p.Device != "mpp0" || p.MTU != 1400 || p.MemoryLimitBytes != 32<<20 || p.Scheduler != SchedulerEarliest ||
		p.Congestion != CongestionBBR || p.Profile != ProfileBalanced || p.Control != DefaultSocket || p.LogLevel != LogInfo || p.Table != 7000 ||
		p.Mark != (Mark{0x01000000, 0xff000000}) || p.PrivateKey.Text() != key(7) || len(p.DNSServers) != 1 {
		t.Errorf("portal %+v", p)
	}
	if l := p.Local; strings.Join(l.LAN, " ") != "lan guest" || l.KillSwitch || l.DNS != DNSTunnel || l.IPv6 != IPv6Auto || !l.Failback || l.PublicTo != "router" {
		t.Errorf("local %+v", l)
	}
	r := c.Remotes[0]
	if r.Name != "vps" || r.PublicKey.String() != key(1) || r.PresharedKey.Text() != key(8) || len(r.Endpoints) != 1 ||
		r.Endpoints[0] != (HostPort{"vps.example.org", 6779}) || r.Standby != StandbyWarm || r.Family != FamilyAny {
		t.Errorf("remote %+v", r)
	}
	if len(c.Links) != 2 || len(c.EnabledLinks()) != 1 || len(c.EnabledRemotes()) != 1 {
		t.Fatalf("links %+v", c.Links)
	}
	dsl, lte := c.Links[0], c.Links[1]
	if dsl.Name != "dsl" || dsl.Label != "dsl" || dsl.Interface != "wan" || dsl.Metric != 10 || dsl.UploadBitsPerSecond != 20e6 || !dsl.Metered ||
		!dsl.Uses("vps") || dsl.Uses("other") || !lte.Uses("other") || dsl.Transport != TransportAuto {
		t.Errorf("link %+v", dsl)
	}
	if lte.Enabled || lte.Label != "LTE upstairs" || lte.Cap != (Cap{Bytes: 50e9, UsedAt: 1780000000, Correction: "0@1780000000", Count: "both", Period: "month", Day: 31, WarnPercent: 80, Action: "stop", RateBitsPerSecond: 256e3}) {
		t.Errorf("link %+v", lte)
	}
}

func TestLoadRemote(t *testing.T) {
	path := setup(t, remoteText("\toption address '10.1.2.1/16'\n\tlist address6 'fd00::1/64'\n\tlist reserve 'tcp:22'\n\tlist reserve '80-81'", ""),
		map[string]string{
			"secrets/private_key":   key(7),
			"secrets/peer.work.psk": key(8),
			"peers.d/work":          fmt.Sprintf("config peer 'work'\n\toption public_key '%s'\n\toption address 10.1.9.9\n\toption address6 fd00::9\n\toption rate_up 10\n", key(3)),
			"peers.d/.hidden":       "nonsense",
			"peers.d/old~":          "nonsense",
			"peers.d/half.tmp":      "nonsense",
		})
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "10.99.0.2", "10.1.0.2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := Load(path)
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	r := c.Portal.Remote
	if r.Listen[0] != netip.MustParseAddrPort("[::]:6779") || r.Address != netip.MustParsePrefix("10.1.2.1/16") || r.Mode != ModeNAT || !r.Isolate || r.MaxPeers != 256 {
		t.Errorf("portal %+v", r)
	}
	if len(r.Reserve) != 2 || r.Reserve[0] != (PortRange{"tcp", 22, 22}) || r.Reserve[1] != (PortRange{"", 80, 81}) {
		t.Errorf("reserve %v", r.Reserve)
	}
	if len(c.Peers) != 2 || len(c.EnabledPeers()) != 2 {
		t.Fatalf("peers %+v", c.Peers)
	}
	home, work := c.Peers[0], c.Peers[1]
	if home.Name != "home" || home.Address != netip.MustParseAddr("10.1.0.2") || home.Address6.IsValid() || !home.PresharedKey.IsZero() || home.MaxLinks != 8 || !home.SOCKS {
		t.Errorf("peer %+v", home)
	}
	if work.Address6 != netip.MustParseAddr("fd00::9") || work.PresharedKey.Text() != key(8) || work.UploadBitsPerSecond != 10e6 ||
		work.AllowPort[0] != (PortRange{"", 1024, 65535}) {
		t.Errorf("peer %+v", work)
	}
}

func TestLoadErrors(t *testing.T) {
	peer := func(name, rest string, b byte) string {
		return fmt.Sprintf("config peer '%s'\n\toption public_key '%s'\n%s\n", name, key(b), rest)
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"syntax", "config portal 'main'\n\toption enabled 1 2\n", []string{`c:2: "2" follows the end of this option; a value with spaces needs quotes`}},
		{"no portal", "config link 'a'\n", []string{`c: has no section "config portal 'main'"`}},
		{"two portals", "config portal 'main'\nconfig portal 'b'\n", []string{"c:2: portal 'b': there is a second portal section; the first is in line 1"}},
		{"nothing else", "config portal 'main'\n\toption enabled 1\n", []string{
			"c:1: portal 'main': needs at least one enabled remote section (the server), with public_key and endpoint",
			"c:1: portal 'main': needs at least one enabled link section (an Internet connection), with interface"}},
		{"values", localText("\toption mtu 1000\n\toption profile fast\n\toption log_level wran\n\toption control run/x\n\toption kill_switch maybe\n\toption mark 5/3\n\toption device 'a b'\n\toption table x", ""), []string{
			"c:5: portal 'main', option mtu '1000': must be a number from 1280 to 1500, or 0 for the value found by itself",
			"c:6: portal 'main', option profile 'fast': must be one of balanced, latency, throughput",
			"c:7: portal 'main', option log_level 'wran': must be one of info, error, warn, debug; did you mean 'warn'?",
			"c:8: portal 'main', option control 'run/x': must be a path that starts with / and has at most 107 bytes",
			"c:9: portal 'main', option kill_switch 'maybe': must be 0 or 1",
			"c:10: portal 'main', option mark '5/3': must be a mark and a mask that covers it: 0x01000000/0xff000000",
			"c:11: portal 'main', option device 'a b': must be the name of an interface, at most 15 characters without spaces: wan or eth0",
			"c:12: portal 'main', option table 'x': must be a number from 1 to 2147483647"}},
		{"list for one value", localText("\tlist mtu 1400\n\tlist mtu 1300", ""), []string{
			"c:6: portal 'main', option mtu '1300': takes one value; write it once, as an option"}},
		{"spaces for a list", localText("\toption lan 'lan guest'", ""), []string{
			"c:5: portal 'main', option lan 'lan guest': must be the name of an interface, at most 15 characters without spaces: wan or eth0; several values are several lines: list lan '…'"}},
		{"remote and link", localText("", "\toption metric -1\n\tlist remote vpn\nconfig remote 'b'\n\toption public_key 'YWJj'\nconfig link 'c'\n\toption interface 'wan'\nconfig link 'd'\n"), []string{
			"c:11: link 'dsl', option metric '-1': must be a number from 0 to 65535",
			"c:12: link 'dsl', option remote 'vpn': there is no remote section of this name",
			"c:13: remote 'b': needs option endpoint",
			"c:14: remote 'b', option public_key 'YWJj': must be a key: 44 characters of base64, as genkey prints them",
			"c:16: link 'c', option interface 'wan': is already that of link 'dsl'; a link has an interface of its own",
			"c:17: link 'd': needs option interface"}},
		{"same key twice", localText("", fmt.Sprintf("config remote 'b'\n\toption public_key '%s'\n\tlist endpoint 192.0.2.1:99999\n", key(1))), []string{
			"c:12: remote 'b', option public_key '" + key(1) + "': is already the key of remote 'vps'",
			"c:13: remote 'b', option endpoint '192.0.2.1:99999': must have a port from 1 to 65535"}},
		{"secret in a message", localText("\toption private_key 'my secret'", ""), []string{
			"c:5: portal 'main', option private_key: must be a key: 44 characters of base64, as genkey prints them"}},
		{"newer version", localText("\toption config_version 2", ""), []string{"c:5: portal 'main', option config_version '2': must be a number from 1 to 1"}},
		{"data cap", localText("", "\toption cap_period week\n\toption cap_day 8\n\toption cap_count all\n\toption cap_warn 0\n\toption cap_action block\n\toption cap_mb -1\n"), []string{
			"c:12: link 'dsl', option cap_day '8': must be a day of the month from 1 to 31, or with cap_period 'week' a weekday from 1 (Monday) to 7",
			"c:13: link 'dsl', option cap_count 'all': must be one of both, down, up",
			"c:14: link 'dsl', option cap_warn '0': must be a number from 1 to 100",
			"c:15: link 'dsl', option cap_action 'block': must be one of stop, warn, slow",
			"c:16: link 'dsl', option cap_mb '-1': must be a number from 0 to 1000000000"}},
		{"not available", localText("\toption scheduler weighted\n\toption congestion none\n\toption public_to aa:bb:cc:dd:ee:ff", "\toption transport tls\n"), []string{
			"c:7: portal 'main', option public_to 'aa:bb:cc:dd:ee:ff': is not available in this version; available: router",
			"c:13: link 'dsl', option transport 'tls': is not available in this version; available: auto, udp"}},
		{"none without weighted", localText("\toption congestion none", ""), []string{
			"c:5: portal 'main', option congestion 'none': 'none' works with scheduler 'weighted' only"}},
		{"IPv6 outside", localText("", "config remote 'b'\n\toption public_key '"+key(4)+"'\n\tlist endpoint '[2001:db8::1]:1'\n\toption family 6\n"), []string{
			"c:13: remote 'b', option endpoint '[2001:db8::1]:1': is not available in this version; available: a name or an IPv4 address",
			"c:14: remote 'b', option family '6': is not available in this version; available: any, 4"}},
		{"listen", remoteText("\tlist listen '[2001:db8::1]:1'\n\tlist listen ':1'\n\tlist listen '[::]:6779'\n\toption mode public", ""), []string{
			"c:6: portal 'main', option listen '[2001:db8::1]:1': is not available in this version; available: an IPv4 address, or [::] for all",
			"c:7: portal 'main', option listen ':1': must be an address and a port to listen at: 0.0.0.0:6779 or [::]:6779",
			"c:9: portal 'main', option mode 'public': is not available in this version; available: nat"}},
		{"addresses", remoteText("\tlist address6 fd00::1/64", peer("a", "\toption address 10.99.0.2", 3)+peer("b", "\toption address 10.98.0.2", 4)+
			peer("c", "\toption address 10.99.0.1", 5)+peer("d", "\toption address 10.99.0.255\n\toption address6 fd01::2", 2)+peer("e", "\tlist reach x", 6)), []string{
			"c:12: peer 'a', option address '10.99.0.2': overlaps address 10.99.0.2 of peer 'home'",
			"c:15: peer 'b', option address '10.98.0.2': is outside of the portal's network 10.99.0.0/24",
			"c:18: peer 'c', option address '10.99.0.1': overlaps address 10.99.0.1 of portal 'main'",
			"c:20: peer 'd', option public_key '" + key(2) + "': is already the key of peer 'home'",
			"c:21: peer 'd', option address '10.99.0.255': is the first or the last address of the network 10.99.0.0/24, which no machine can have",
			"c:22: peer 'd', option address6 'fd01::2': is outside of the portal's networks in address6: fd00::/64",
			"c:23: peer 'e': needs option address",
			"c:25: peer 'e', option reach 'x': there is no peer section of this name"}},
		{"pool", remoteText("\toption address 10.99.0.0/24\n\tlist address6 fd00::/64\n\toption max_peers 1", peer("a", "\toption address 10.99.0.3", 3)), []string{
			"c:6: portal 'main', option address '10.99.0.0/24': is the first or the last address of the network 10.99.0.0/24, which no machine can have",
			"c:7: portal 'main', option address6 'fd00::/64': must be an address within a network of at most /126, not the network itself: fd00:99::1/64",
			"c:8: portal 'main', option max_peers '1': is less than the 2 enabled peers"}},
		{"small pool", remoteText("\toption address 10.99.0.2/31", ""), []string{
			"c:6: portal 'main', option address '10.99.0.2/31': leaves no address for a router; the network must be /30 or larger",
			"c:9: peer 'home', option address '10.99.0.2': overlaps address 10.99.0.2 of portal 'main'"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := setup(t, c.text, map[string]string{"peers.d/.keep": ""})
			_, warnings, err := Load(path)
			got, _ := told(path, warnings, err)
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestLoadWarnings(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown options", localText("\toption profil balanced\n\toption zzzzzz 1", "\toption metirc 1\n"), []string{
			"c:5: portal 'main', option profil: is unknown and ignored; did you mean 'profile'?",
			"c:6: portal 'main', option zzzzzz: is unknown and ignored",
			"c:12: link 'dsl', option metirc: is unknown and ignored; did you mean 'metric'?"}},
		{"unknown sections", localText("", "config lnik 'a'\nconfig mwan3 'b'\nconfig rule 'c'\n\toption tarhet block\nconfig socks 'd'\n\toption enabled 0\n"), []string{
			"c:11: lnik 'a': is of an unknown type and ignored; did you mean 'link'?",
			"c:12: mwan3 'b': is of an unknown type and ignored",
			"c:13: rule 'c': is not used by this version",
			"c:14: rule 'c', option tarhet: is unknown and ignored; did you mean 'target'?"}},
		{"the other role", localText("\toption isolate 1", fmt.Sprintf("config peer 'x'\n\toption public_key '%s'\n\toption address 10.0.0.1\n", key(3))), []string{
			"c:5: portal 'main', option isolate '1': is used with role remote only",
			"c:11: peer 'x': is used with role remote only"}},
		{"written twice, no name", localText("", "config link\n\toption interface lte0\nconfig link 'dsl'\n\toption metric 2\n"), []string{
			"c:11: link 'cfg0415b3': has no name in the file, so it is called 'cfg0415b3'; give it one",
			"c:13: link 'dsl': is written a second time; taken together with line 9, the later value counts"}},
		{"peers_dir", strings.Replace(remoteText("", ""), "peers.d", "none", 1), []string{
			"c:5: portal 'main', option peers_dir 'none': does not exist yet"}},
		{"a key for LuCI", localText("\toption private_key '"+key(9)+"'", ""), []string{
			"c:5: portal 'main', option private_key: can be read by every LuCI user who may see this configuration; secrets is the place for it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := setup(t, c.text, map[string]string{"peers.d/.keep": ""})
			_, warnings, err := Load(path)
			errs, got := told(path, warnings, err)
			if len(errs) > 0 {
				t.Fatal(err)
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestLoadPeersDir(t *testing.T) {
	path := setup(t, remoteText("", ""), map[string]string{
		"peers.d/a": "config peer 'home'\n\toption public_key '" + key(5) + "'\n\toption address 10.99.0.5\n",
		"peers.d/b": "config portal 'main'\n",
		"peers.d/c": "config peer 'c\n",
	})
	_, warnings, err := Load(path)
	got, _ := told(path, warnings, err)
	want := []string{
		"peers.d/a:1: peer 'home': is already in c:7",
		"peers.d/b:1: portal 'main': does not belong here; files in peers.d hold peer sections only",
		"peers.d/c:1: the quote ' that opens here is never closed",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	if _, _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, _, err := Load(t.TempDir()); err == nil {
		t.Error("a directory is read")
	}
}

func TestSocket(t *testing.T) {
	path := setup(t, "config portal 'main'\n\toption control '/tmp/x.sock'\n\toption mtu 'nonsense'\n", nil)
	if socket, err := Socket(path); socket != "/tmp/x.sock" || err != nil {
		t.Errorf("socket %q, %v", socket, err)
	}
	if _, err := Socket(setup(t, "config link 'a'\n", nil)); err == nil {
		t.Error("a socket without a portal")
	}
}

func TestSamplesLoad(t *testing.T) {
	for _, name := range []string{"mpproxy.config", "mpproxy-remote.config"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "files", name))
		if err != nil {
			t.Fatal(err)
		}
		off := setup(t, string(text), nil)
		c, warnings, err := Load(off)
		if err != nil || len(warnings) != 0 || c.Portal.Enabled {
			t.Errorf("%s: %v, %v, enabled %v", name, err, warnings, c != nil && c.Portal.Enabled)
		}
		on := strings.ReplaceAll(string(text), "enabled '0'", "enabled '1'")
		on = strings.ReplaceAll(strings.ReplaceAll(on, "\t#", "\t"), "#config", "config")
		on = strings.ReplaceAll(strings.ReplaceAll(on, "#\t", "\t"), "public_key ''", "public_key '"+key(1)+"'")
		if c, warnings, err = Load(setup(t, on, nil)); err != nil || len(warnings) != 0 || !c.Portal.Enabled {
			t.Errorf("%s with everything switched on: %v, %v", name, err, warnings)
		}
	}
}

func TestLoadIsQuickWithManyPeers(t *testing.T) {
	var text strings.Builder
	text.WriteString("config portal 'main'\n\toption role remote\n\toption enabled 1\n\toption address 10.0.0.1/8\n\toption max_peers 3000\n\toption peers_dir DIR/none\n\toption secrets_dir DIR/none\n")
	for i := range 3000 {
		fmt.Fprintf(&text, "config peer p%d\n\toption public_key '%s'\n\toption address 10.1.%d.%d\n", i, SecretKey{byte(i), byte(i >> 8), 1}.Text(), i/250, 1+i%250)
	}
	path := setup(t, text.String(), nil)
	start := time.Now()
	c, _, err := Load(path)
	if err != nil || len(c.Peers) != 3000 {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("3000 peers took %v", took)
	}
}

// FuzzDecode: no text makes the decoders or the checks panic.
func FuzzDecode(f *testing.F) {
	f.Add(localText("\toption mark 0x1/0x1\n\toption control /", "\toption cap_day 9\n"))
	f.Add(remoteText("\tlist address6 fd00::1/128\n\toption address 1.2.3.4/0", "\tlist prefix 1.0.0.0/8\n\toption address6 ::"))
	f.Add(localText("\toption duplicate calls", "config rule 'a'\n\toption target tunnel\n\toption dscp 64\n\toption proto 300\nconfig rule 'b'\n\toption target proxy\n"))
	f.Add("config portal main\n\toption role remote\nconfig peer\nconfig rule\nconfig peer x\n\tlist endpoint '[::1%a]:1'\n")
	f.Fuzz(func(t *testing.T, text string) {
		sections, err := readUCI("f", text)
		if err != nil {
			return
		}
		l := &loader{config: &Config{}, sections: map[string]*section{}}
		file := &sourceFile{path: "f", sections: sections}
		l.files = append(l.files, file)
		if l.portal = l.portalSection(file); l.portal == nil {
			return
		}
		l.add(l.portal)
		l.config.Portal = decodePortal(l.portal, &l.found)
		for _, s := range sections {
			l.decode(s)
		}
		l.refuseUnavailable()
		l.check()
		l.found.sort(l.files)
	})
}

// What this version would ignore is said.
func TestOneServerAtATime(t *testing.T) {
	public := func(b byte) string { return Key{b}.String() }
	path := filepath.Join(t.TempDir(), "c")
	text := "config portal 'main'\n\toption enabled '1'\nconfig remote 'a'\n\toption public_key '" + public(1) + "'\n\tlist endpoint '192.0.2.1'\n" +
		"config remote 'b'\n\toption public_key '" + public(2) + "'\n\tlist endpoint '192.0.2.2'\nconfig link 'dsl'\n\toption interface 'wan'\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(warnings, func(w Warning) bool { return strings.Contains(w.String(), "remote 'b': is not used") }) {
		t.Errorf("no word of the second server: %v", warnings)
	}
}
