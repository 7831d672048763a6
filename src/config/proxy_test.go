package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadProxy loads a router's configuration with these sections added.
func loadProxy(t *testing.T, secrets map[string]string, sections string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf(`
config portal 'main'
	option enabled '1'
	option role 'local'
	option secrets_dir '%s'
config remote 'vps'
	option public_key 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE='
	list endpoint '192.0.2.1'
config link 'dsl'
	option interface 'wan'
config link 'lte'
	option interface 'wwan'
%s`, dir, sections)
	path := filepath.Join(dir, "mpproxy")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(path)
	return c, err
}

func TestProxySections(t *testing.T) {
	c, err := loadProxy(t, map[string]string{"user.ann": "s3cret\n", "relay.nl": "word"}, `
config socks 'lan'
	option enabled '1'
	list listen '192.168.1.1:1080'
	option auth 'user'
	option idle_timeout '60'
config user 'ann'
config relay 'nl'
	option address 'relay.example.org'
	option username 'me'
config relay 'de'
	option address '[2001:db8::1]:1081'
config route 'web'
	list dest '*.Example.org'
	list dest '192.0.2.0/24'
	list dest_port '80-443'
	list via 'dsl'
	list via 'nl>de'
	list via 'lte:de'
	list via 'nl'
	list weight 'dsl=3'
	option fallback 'none'
config route 'rest'
	list dest '*'
	option carrier 'plain'
`)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.SOCKS[0]; !s.Enabled || !s.AuthUser || !s.UDP || !s.Bind || s.MaxConnections != 10000 || s.IdleTimeout.Seconds() != 60 || s.Listen[0].Port() != 1080 {
		t.Errorf("%+v", s)
	}
	if c.Users[0].Password.Text() != "s3cret" || c.Relays[0].Password.Text() != "word" || c.Relays[0].Address.Port != 1080 {
		t.Error("passwords or relays")
	}
	if text := fmt.Sprintf("%v %+v %v %q", c, c.Users, c.Relays, c.Users[0].Password); strings.Contains(text, "s3cret") || strings.Contains(text, "word\"") {
		t.Error("a password is shown:", text)
	}
	r := c.Routes[0]
	if r.Dest[0].Domain != "example.org" || r.FallbackDirect || r.Ports[0].Last != 443 || len(r.Via) != 4 || r.Via[0].Weight != 3 {
		t.Errorf("%+v", r)
	}
	var ways []string
	for _, v := range r.Via {
		ways = append(ways, v.Link+"|"+strings.Join(v.Relays, ","))
	}
	if got := strings.Join(ways, " "); got != "dsl| |nl,de lte|de |nl" {
		t.Error(got)
	}
}

const transparentSection = "config socks 's'\n\toption enabled '1'\n\toption transparent '1'\n"

// TestProxyRules: rules with target proxy are read; those with other targets are only looked at, and so is what is off.
func TestProxyRules(t *testing.T) {
	c, err := loadProxy(t, nil, transparentSection+`
config rule 'web'
	option target 'proxy'
	option proto 'tcp'
	list src_ip '192.168.1.0/24'
	list src_ip '2001:db8::7'
	list src_mac '02:00:5E:10:00:01'
	list dest_ip '203.0.113.0/24'
	list dest_port '443'
	list dest_port '8000-8080'
config rule 'other'
	option target 'direct'
	option proto 'udp'
config rule 'off'
	option target 'proxy'
	option enabled '0'
	option dscp '46'
config route 'all'
	list dest '*'
	option carrier 'tunnel'
	option remote 'vps'
config user 'ann'
	option password 'x'
	list allow_route 'all'
config relay 'nl'
	option address 'relay.example.org'
	option resolve 'local'
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rules) != 2 || c.Rules[1].Enabled {
		t.Fatalf("%+v", c.Rules)
	}
	if r := c.Rules[0]; len(r.SourceNets) != 2 || r.SourceNets[1].Bits() != 128 || r.SourceMACs[0] != [6]byte{2, 0, 0x5e, 0x10, 0, 1} ||
		r.Dest[0].Bits() != 24 || r.Ports[1].Last != 8080 || r.Ports[0].First != 443 {
		t.Errorf("%+v", r)
	}
	if !c.SOCKS[0].Transparent || c.SOCKS[0].ByTPROXY || c.Routes[0].Carrier != CarrierTunnel || c.Routes[0].Remote != "vps" || !c.Relays[0].ResolveLocal {
		t.Error("socks, route or relay")
	}
}

func TestProxyRefused(t *testing.T) {
	for name, tt := range map[string]struct{ sections, want string }{
		"listens everywhere":  {"config socks 's'\n\toption enabled '1'\n\tlist listen '0.0.0.0:1080'\n", "allow_wan"},
		"public address":      {"config socks 's'\n\toption enabled '1'\n\tlist listen '192.0.2.7:1080'\n", "the Internet could reach"},
		"open to all":         {"config socks 's'\n\toption enabled '1'\n\tlist listen '0.0.0.0:1080'\n\toption allow_wan '1'\n", "anybody could use"},
		"strangers":           {"config socks 's'\n\toption enabled '1'\n\tlist allow '192.0.2.0/24'\n", "not on the LAN"},
		"everybody":           {"config socks 's'\n\toption enabled '1'\n\tlist allow '0.0.0.0/0'\n", "not on the LAN"},
		"no user":             {"config socks 's'\n\toption enabled '1'\n\toption auth 'user'\n", "user section"},
		"host bits":           {"config socks 's'\n\toption enabled '1'\n\tlist allow '192.168.1.1/24'\n", "must be a network"},
		"unknown link":        {"config route 'r'\n\tlist dest '*'\n\tlist via 'dls'\n", "no link and no relay"},
		"unknown relay":       {"config route 'r'\n\tlist dest '*'\n\tlist via 'dsl:x'\n", "no relay section"},
		"no dest":             {"config route 'r'\n", "needs option dest"},
		"bad dest":            {"config route 'r'\n\tlist dest 'a b'\n", "must be a network, a domain"},
		"weight of nothing":   {"config route 'r'\n\tlist dest '*'\n\tlist via 'dsl'\n\tlist weight 'lte=2'\n", "not among"},
		"mptcp over a link":   {"config route 'r'\n\tlist dest '*'\n\toption carrier 'mptcp'\n\tlist via 'dsl'\n", "spreads it over all links"},
		"two transparent":     {"config socks 'a'\n\toption enabled '1'\n\toption transparent '1'\nconfig socks 'b'\n\toption enabled '1'\n\toption transparent '1'\n", "'a' already"},
		"rule without proxy":  {"config rule 'r'\n\toption target 'proxy'\n", "transparent '1'"},
		"rule for udp":        {transparentSection + "config rule 'r'\n\toption target 'proxy'\n\toption proto 'udp'\n", "what a proxy carries"},
		"rule for a class":    {transparentSection + "config rule 'r'\n\toption target 'proxy'\n\toption dscp '46'\n", "not available with target 'proxy'"},
		"rule for a bad MAC":  {transparentSection + "config rule 'r'\n\toption target 'proxy'\n\tlist src_mac '02:00:5e:10:00'\n", "hardware address"},
		"user of no route":    {"config user 'ann'\n\toption password 'x'\n\tlist allow_route 'nowhere'\n", "no route section"},
		"password of nobody":  {"config relay 'r'\n\toption address 'a.example'\n\toption password 'x'\n", "needed with a password"},
		"relay without place": {"config relay 'r'\n", "needs option address"},
	} {
		if _, err := loadProxy(t, nil, tt.sections); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzProxyValues: what is read can be written, and read again as the same.
func FuzzProxyValues(f *testing.F) {
	for _, seed := range []string{"dsl", "a>b", "dsl:a>b", "dsl=3", "*", "*.example.org", "192.0.2.0/24", "2001:db8::/32", "02:00:5e:10:00:01", "80-90", ">", ":", "a>", "=", "::", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := parseVia(text); err == nil {
			if again, err := parseVia(v.String()); err != nil || again.String() != v.String() || len(v.Relays) > maxRelays {
				t.Errorf("%q: %+v, again %+v, %v", text, v, again, err)
			}
		}
		if w, err := parseWeight(text); err == nil && (w.Weight < 1 || w.Weight > maxWeight) {
			t.Errorf("%q: weight %d", text, w.Weight)
		}
		if d, err := parseDest(text); err == nil && d.Domain != "" && (strings.HasPrefix(d.Domain, ".") || strings.HasSuffix(d.Domain, ".") || strings.ToLower(d.Domain) != d.Domain) {
			t.Errorf("%q: %+v", text, d)
		}
		if n, err := parseNet(text); err == nil && n != n.Masked() {
			t.Errorf("%q: %v", text, n)
		}
		if p, err := parsePassword(text); err == nil && (len(p.Text()) == 0 || len(p.Text()) > 255) {
			t.Errorf("%q: %d bytes", text, len(p.Text()))
		}
		_, _ = parseMAC(text)
	})
}
