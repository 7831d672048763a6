package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMisspelledOptionsAreTold in sections of every type, with the name that was meant.
func TestMisspelledOptionsAreTold(t *testing.T) {
	for _, kind := range []string{"portal", "server", "remote", "link", "socks", "user", "route", "relay", "rule", "peer"} {
		option, want := "enabeld", "enabled"
		if kind == "route" {
			option, want = "carier", "carrier"
		}
		path := setup(t, bare(kind, "\toption "+option+" '1'\n"), map[string]string{"secrets/private_key": key(7) + "\n"})
		_, warnings, err := Load(path)
		told := 0
		for _, w := range warnings {
			if strings.Contains(w.String(), "option "+option+": is unknown and ignored; did you mean '"+want+"'?") {
				told++
			}
		}
		if err != nil || told != 1 {
			t.Errorf("%s: %v, %v", kind, warnings, err)
		}
	}
}

// TestErrorsOfProxies name the section, the option and what was expected.
func TestErrorsOfProxies(t *testing.T) {
	for name, c := range map[string]struct{ kind, text, want string }{
		"relay over no link":      {"relay", "\toption link 'none'\n", "relay 'relay1', option link 'none': there is no link section of this name"},
		"relay over a link":       {"relay", "\toption link 'link1'\n", ""},
		"password without a name": {"relay", "\toption password 'x'\n", "relay 'relay1', option username: is needed with a password"},
		"via of no name":          {"route", "\tlist via 'dsl'\n", "route 'route1', option via 'dsl': there is no link and no relay 'dsl'"},
		"via of no relay":         {"route", "\tlist via 'link1:x'\n", "there is no relay section 'x'"},
		"weight of nothing":       {"route", "\tlist via 'link1'\n\tlist weight '=3'\n", "option weight '=3': must be a via and a number from 1 to 1000"},
		"weight of no number":     {"route", "\tlist via 'link1'\n\tlist weight 'link1=x'\n", "option weight 'link1=x': must be a via and a number from 1 to 1000"},
		"weight beyond":           {"route", "\tlist via 'link1'\n\tlist weight 'link1=1001'\n", "option weight 'link1=1001': must be a via and a number from 1 to 1000"},
		"weight of another":       {"route", "\tlist via 'link1'\n\tlist weight 'relay1=3'\n", "'relay1' is not among this route's via"},
		"weight":                  {"route", "\tlist via 'link1'\n\tlist weight 'link1=1000'\n", ""},
		"MPTCP over named ways":   {"route", "\toption carrier mptcp\n\tlist via 'link1'\n", "is not used with carrier 'mptcp'"},
		"MPTCP":                   {"route", "\toption carrier mptcp\n", ""},
		"nine relays":             {"route", "\tlist via '" + strings.Repeat("relay1>", 8) + "relay1'\n", "has more than 8 relays"},
		"eight relays":            {"route", "\tlist via '" + strings.Repeat("relay1>", 7) + "relay1'\n", ""},
		"route of a user":         {"user", "\tlist allow_route 'none'\n", "user 'user1', option allow_route 'none': there is no route section 'none'"},
		"rule for a proxy not on": {"rule", "\toption enabled 1\nconfig rule 'p'\n\toption target 'proxy'\n", "needs an enabled socks section with transparent '1'"},
		"rule by MAC":             {"rule", "\tlist src_mac '02:00:5e:10:00:01'\n", ""},
	} {
		_, _, err := Load(setup(t, bare(c.kind, c.text), map[string]string{"secrets/private_key": key(7) + "\n"}))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPasswordsOthersCanRead are warned of, and those that others cannot read are not.
func TestPasswordsOthersCanRead(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o604: true, 0o606: true} {
		path := setup(t, bare("user", ""), map[string]string{"secrets/private_key": key(7) + "\n", "secrets/user.user1": "sesame\n"})
		secret := filepath.Join(filepath.Dir(path), "secrets/user.user1")
		if err := os.Chmod(secret, mode); err != nil {
			t.Fatal(err)
		}
		c, warnings, err := Load(path)
		if err != nil || c.Users[0].Password.Text() != "sesame" || (len(warnings) > 0) != warned {
			t.Errorf("mode %o: %v, %v", mode, warnings, err)
		}
		if warned && !strings.Contains(warnings[0].String(), "chmod 600 "+secret) {
			t.Errorf("mode %o: %v", mode, warnings)
		}
	}
	path := setup(t, bare("user", ""), map[string]string{"secrets/private_key": key(7) + "\n", "secrets/user.user1": strings.Repeat("a", 5000)})
	if _, _, err := Load(path); err == nil || !strings.Contains(err.Error(), "secrets/user.user1: is too long for a password") {
		t.Errorf("5000 bytes: %v", err)
	}
}

// TestUnreadableFilesAreNamed by what only looks for one thing in them.
func TestUnreadableFilesAreNamed(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	if got, err := Socket(none); err == nil || !strings.Contains(err.Error(), none+": cannot be read") {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Socket(setup(t, "config portal 'main'\n\toption control '/run/x'\n\toption mtu 'nonsense'\n", nil)); err != nil || got != "/run/x" {
		t.Errorf("%q, %v", got, err)
	}
	text := "config portal 'main'\n"
	for name, want := range map[string]string{"b c": "'b c' is no name of a section", "": "'' is no name of a section"} {
		if _, err := Edit("f", text, Change{Kind: "link", Name: name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("section %q: %v", name, err)
		}
	}
	if _, err := Edit("f", text, Change{Kind: "portal", Name: "main", Rename: "a b"}); err == nil || !strings.Contains(err.Error(), "is no name of a section") {
		t.Errorf("renamed: %v", err)
	}
	if _, err := Edit("f", "nonsense\n", Change{Kind: "link", Name: "a"}); err == nil || !strings.Contains(err.Error(), "f:1") {
		t.Errorf("a text that is none: %v", err)
	}
}

// TestOverlapsAreToldByValue: of a list the error names the network that belongs to somebody else.
func TestOverlapsAreToldByValue(t *testing.T) {
	text := bare("peer", "\tlist prefix '10.5.0.0/24'\n") + "config peer 'b'\n\toption public_key '" + key(3) + "'\n\toption address '10.99.0.3'\n\tlist prefix '10.6.0.0/24'\n\tlist prefix '10.5.0.128/25'\n"
	_, _, err := Load(setup(t, text, map[string]string{"secrets/private_key": key(7) + "\n"}))
	if want := "peer 'b', option prefix '10.5.0.128/25': overlaps prefix 10.5.0.0/24 of peer 'peer1'"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
}
