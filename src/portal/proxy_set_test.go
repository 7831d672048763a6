package portal

import (
	"maps"
	"slices"
	"testing"

	"mpproxy/src/config"
)

// TestRetiredServersFollow: the last clients of a server whose section has changed are still within reach of later
// configurations.
func TestRetiredServersFollow(t *testing.T) {
	ended := map[string]int{}
	server := func(name, idle string) *proxyServer {
		return &proxyServer{section: section(name), done: make(chan struct{}), cancel: func() { ended[name+idle]++ }}
	}
	p := &proxySet{}
	p.servers = []*proxyServer{server("lan", "")}
	old := server("lan", " before")
	old.users = map[string]string{"ann": "a", "bob": "b"}
	p.retired = []*proxyServer{old}
	p.follow(&config.Config{SOCKS: []config.SOCKS{section("lan")}})
	if len(old.users) > 0 || old.users == nil || len(ended) > 0 {
		t.Errorf("the users are gone: %v are left, ended %v", slices.Collect(maps.Keys(old.users)), ended)
	}
	p.follow(&config.Config{})
	if ended["lan"] != 1 || ended["lan before"] != 1 {
		t.Errorf("the section is gone: ended %v", ended)
	}
}

func section(name string) config.SOCKS {
	return config.SOCKS{Name: name, Enabled: true, AuthUser: true}
}
