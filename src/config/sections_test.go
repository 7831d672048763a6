package config

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// bare is a file of sections with no more than what they need, one of each type that a role has, called link1 and so on; more is
// added to that of one type.
func bare(kind, more string) (text string) {
	remotes := fmt.Sprintf("\toption public_key '%s'\n", key(1))
	sections := map[string]string{
		"remote": remotes + "\tlist endpoint 'vps.example.org'\n", "link": "\toption interface 'wan'\n", "socks": "", "user": "", "route": "\tlist dest '*'\n",
		"relay": "\toption address '192.0.2.7'\n", "rule": "\toption target 'tunnel'\n",
	}
	role, names := "local'", []string{"remote", "link", "socks", "user", "route", "relay", "rule"}
	if kind == "peer" || kind == "server" {
		role, names = "remote'\n\toption peers_dir 'DIR/peers.d'", []string{"peer"}
		sections["peer"] = fmt.Sprintf("\toption public_key '%s'\n\toption address '10.99.0.2'\n", key(2))
	}
	text = "config portal 'main'\n\toption role '" + role + "\n\toption secrets_dir 'DIR/secrets'\n"
	if kind == "portal" || kind == "server" {
		text += more
	}
	for _, name := range names {
		text += "config " + name + " '" + name + "1'\n" + sections[name]
		if name == kind {
			text += more
		}
	}
	return text
}

func mustLoad(t *testing.T, text string) *Config {
	t.Helper()
	c, _, err := Load(setup(t, text, map[string]string{"secrets/private_key": key(7) + "\n"}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDefaults: what is not written is as the manual says. A default that changes changes every router that relies on it.
func TestDefaults(t *testing.T) {
	local, remote := mustLoad(t, bare("link", "")), mustLoad(t, bare("peer", ""))
	p := local.Portal
	p.SecretsDir, p.PrivateKey = "", SecretKey{}
	r := remote.Portal.Remote
	r.PeersDir = ""
	link, peer := local.Links[0], remote.Peers[0]
	cap := link.Cap
	link.Cap = Cap{}
	portalRemote := p.Remote
	p.Remote = RemotePortal{}
	for _, c := range []struct {
		name string
		got  any
		want string
	}{
		{"portal", p, "{Enabled:false Role:local PrivateKey:(hidden) SecretsDir: Device:mpp0 MTU:0 Control:/var/run/mpproxy.sock LogLevel:info Scheduler:earliest " +
			"Congestion:bbr Profile:balanced Cipher:auto Protect:encrypt MemoryLimitBytes:0 MetricsListen: Mark:{Value:16777216 Mask:4278190080} Table:7000 " +
			"RulePriority:0 DNSServers:[] Local:{LAN:[lan] KillSwitch:false DNS:tunnel IPv6:auto RouterTraffic:false Duplicate:off PublicTo:router Failback:true} " +
			fmt.Sprintf("Remote:%+v}", RemotePortal{})},
		{"server", r, "{Listen:[[::]:6779] ListenTLS:[] TLSName: IPProtocol:253 RawIP:false Interface: Address:10.99.0.1/24 Address6:[] Prefix6:[] Mode:nat " +
			"Reserve:[] Isolate:true AllowPrivate:false BlockPort:[] PeersDir: MaxPeers:256 RateBitsPerSecond:0 Endpoints:[]}"},
		{"peers_dir", portalRemote.PeersDir != "", "true"},
		{"remote", local.Remotes[0], fmt.Sprintf("{Name:remote1 Enabled:true PublicKey:%s PresharedKey:(hidden) Endpoints:[vps.example.org:6779] Priority:0 Standby:warm "+
			"Family:any TLSName:}", key(1))},
		{"link", link, "{Name:link1 Enabled:true Interface:wan Label:link1 Transport:auto Metric:0 Overflow:false UploadBitsPerSecond:0 DownloadBitsPerSecond:0 " +
			"Metered:false Duplicate:true MTU:0 Congestion: DSCP:clear Remotes:[] Cap:{Bytes:0 Count: Period: Day:0 WarnPercent:0 Action: RateBitsPerSecond:0 UsedBytes:0 UsedAt:0 Correction:}}"},
		{"cap", cap, "{Bytes:0 Count:both Period:month Day:1 WarnPercent:80 Action:stop RateBitsPerSecond:256000 UsedBytes:0 UsedAt:0 Correction:}"},
		{"socks", local.SOCKS[0], "{Name:socks1 Enabled:false Listen:[] AllowWAN:false AuthUser:false Allow:[] UDP:true Bind:true Transparent:false ByTPROXY:false " +
			"MaxConnections:10000 IdleTimeout:1h0m0s}"},
		{"user", local.Users[0], "{Name:user1 Enabled:true Password:(hidden) AllowRoute:[]}"},
		{"route", local.Routes[0], "{Name:route1 Dest:[{Net:invalid Prefix Domain:}] Ports:[] Remote: Carrier:auto Via:[] FallbackDirect:true Class:auto}"},
		{"relay", local.Relays[0], "{Name:relay1 Enabled:true Address:192.0.2.7:1080 Username: Password:(hidden) Link: ResolveLocal:false}"},
		{"rule", local.Rules[0], "{Name:rule1 Enabled:true Target:tunnel SourceNets:[] SourceMACs:[] Source: Dest:[] Ports:[] Protocol:0 DSCP:-1 Duplicate:false Class:auto Profile: Links:[]}"},
		{"peer", peer, fmt.Sprintf("{Name:peer1 Enabled:true PublicKey:%s PresharedKey:(hidden) Address:10.99.0.2 Address6:invalid IP Prefix6:[] Prefix:[] Mode:nat "+
			"PublicIP:invalid IP AllowPort:[{Protocol: First:1024 Last:65535}] UploadBitsPerSecond:0 DownloadBitsPerSecond:0 MaxLinks:8 MaxConnections:0 Reach:[] "+
			"Cap:{Bytes:0 Count: Period:month Day:0 WarnPercent:0 Action:stop RateBitsPerSecond:0 UsedBytes:0 UsedAt:0 Correction:} SOCKS:true AllowPrivate:false Created: TokenID:}", key(2))},
	} {
		if got := fmt.Sprintf("%+v", c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestBoundsOfNumbers: the least and the greatest are taken, what is beyond is an error that says both; 0 may have a meaning of its own.
func TestBoundsOfNumbers(t *testing.T) {
	for _, c := range []struct {
		kind, option   string
		least, highest int
		zero           string
	}{
		{"portal", "mtu", 1280, 1500, "the value found by itself"}, {"portal", "memory_limit", 8, 1 << 20, "a quarter of the memory"}, {"portal", "table", 1, math.MaxInt32, ""},
		{"portal", "rule_priority", 1, 32671, "a place found by itself"}, {"server", "max_peers", 1, 65536, ""}, {"server", "rate", 0, 1_000_000, ""},
		{"server", "ip_protocol", 1, 254, ""}, {"remote", "priority", 0, 65535, ""}, {"link", "metric", 0, 65535, ""}, {"link", "upload", 0, 1_000_000, ""},
		{"link", "download", 0, 1_000_000, ""}, {"link", "mtu", 576, 9216, "the value found by itself"}, {"link", "cap_mb", 0, 1_000_000_000, ""},
		{"link", "cap_warn", 1, 100, ""}, {"link", "cap_rate", 1, 1_000_000, ""}, {"link", "cap_used_mb", 0, 1_000_000_000, ""}, {"link", "cap_day", 1, 31, ""},
		{"socks", "max_connections", 1, 1_000_000, ""}, {"socks", "idle_timeout", 10, 2592000, ""}, {"peer", "max_links", 1, 64, ""},
		{"peer", "rate_up", 0, 1_000_000, ""}, {"peer", "rate_down", 0, 1_000_000, ""}, {"rule", "dscp", 0, 63, ""},
	} {
		for value, ok := range map[int]bool{c.least - 1: c.least == 1 && c.zero != "", c.least: true, c.highest: true, c.highest + 1: false} {
			_, _, err := Load(setup(t, bare(c.kind, fmt.Sprintf("\toption %s '%d'\n", c.option, value)), map[string]string{"secrets/private_key": key(7) + "\n"}))
			bounds := fmt.Sprintf("from %d to %d", c.least, c.highest)
			if c.zero != "" {
				bounds += ", or 0 for " + c.zero
			}
			if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("option %s '%d'", c.option, value)) || err != nil && !strings.Contains(err.Error(), bounds) {
				t.Errorf("%s, %s %d: %v", c.kind, c.option, value, err)
			}
		}
	}
}

// TestUnits: what people write in Mbit/s, MB and kbit/s is kept in bits and bytes, metered links carry no copies, and a week has seven days.
func TestUnits(t *testing.T) {
	l := mustLoad(t, bare("link", "\toption upload 3\n\toption download 4\n\toption cap_mb 5\n\toption cap_rate 6\n\toption cap_used_mb 7\n\toption metered 1\n\toption cap_period week\n\toption cap_day 7\n")).Links[0]
	if l.UploadBitsPerSecond != 3e6 || l.DownloadBitsPerSecond != 4e6 || l.Cap.Bytes != 5e6 || l.Cap.RateBitsPerSecond != 6e3 || l.Cap.UsedBytes != 7e6 || l.Cap.Correction != "7000000@0" || l.Duplicate || l.Cap.Day != 7 {
		t.Errorf("%+v", l)
	}
	if c := mustLoad(t, bare("server", "\toption rate 8\n\toption memory_limit 9\n")); c.Portal.Remote.RateBitsPerSecond != 8e6 || c.Portal.MemoryLimitBytes != 9<<20 {
		t.Errorf("%+v", c.Portal)
	}
	if l := mustLoad(t, bare("link", "\toption metered 1\n\toption duplicate 1\n")).Links[0]; !l.Duplicate {
		t.Error("a metered link that is to carry copies does not")
	}
}

// TestServerOfTheTunnel is the enabled one of the lowest priority, of equals the first; links that leave it out are an error.
func TestServerOfTheTunnel(t *testing.T) {
	server := func(name, options string) string {
		return fmt.Sprintf("config remote '%s'\n\toption public_key '%s'\n\tlist endpoint '192.0.2.1'\n%s", name, key(name[0]), options)
	}
	one, two := server("b", "\toption priority 10\n"), server("c", "\toption priority 10\n")
	for want, text := range map[string]string{
		"vps": one + two,
		"d":   strings.Replace(localText("", one+server("d", "\toption priority 5\n")+two), "config link", "\toption priority 6\nconfig link", 1),
		"b":   strings.Replace(localText("", one+server("d", "\toption priority 5\n\toption enabled 0\n")+two), "config link", "\toption priority 11\nconfig link", 1),
	} {
		if want == "vps" {
			text = localText("", text)
		}
		c, warnings, err := Load(setup(t, text, map[string]string{"secrets/private_key": key(7) + "\n"}))
		if err != nil || c.EnabledRemotes()[0].Name != want || len(warnings) != 1 || !strings.Contains(warnings[0].String(), "is not used for the tunnel") {
			t.Errorf("%s: %v, %v", want, warnings, err)
		}
	}
	for link, bad := range map[string]bool{"\tlist remote 'b'\n": true, "\tlist remote 'b'\n\toption enabled 0\n": false, "\tlist remote 'b'\n\tlist remote 'vps'\n": false} {
		_, _, err := Load(setup(t, localText("", link+"config link 'lte'\n\toption interface 'wwan0'\n"+one), map[string]string{"secrets/private_key": key(7) + "\n"}))
		if (err != nil) != bad || bad && !strings.Contains(err.Error(), "link 'dsl', option remote 'b': leaves out 'vps'") {
			t.Errorf("%q: %v", link, err)
		}
	}
}
