package stats

import (
	"strings"
	"testing"
)

func TestProxyPeople(t *testing.T) {
	var none *Proxy
	var out strings.Builder
	none.people(&out)
	if out.Len() != 0 {
		t.Error(out.String())
	}
	p := Proxy{Listen: []string{"192.168.1.1:1080"}, Accepted: 9, Multipath: 5, Plain: 3, Fallbacks: 1, FallbackWhy: "no link works", Intercepted: 7, Streams: []ProxyStream{{
		Destination: "example.org:443", Subflows: []ProxySubflow{{Via: "dsl", ReceivedBytes: 30}, {Via: "lte>nl", SentBytes: 10}},
	}}}
	p.people(&out)
	for _, want := range []string{"SOCKS5 192.168.1.1:1080", "5 over several links, 3 direct, 1 direct because", "7 taken from the LAN", "because: no link works", "example.org:443: dsl 75 %, lte>nl 25 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
	out.Reset()
	server := Proxy{Subflows: 4, Multipath: 2}
	server.people(&out)
	if !strings.Contains(out.String(), "2 since the start, over 4 subflows") {
		t.Error(out.String())
	}
}
