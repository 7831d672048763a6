package lab

import (
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// loginPage answers every request as a hotel's network does.
const loginPage = `import socket
s=socket.create_server(("0.0.0.0",8080))
while True:
	c,_=s.accept(); c.recv(9999); c.sendall(b"HTTP/1.0 302 Found\r\nLocation: http://login.hotel.example/in\r\n\r\n"); c.close()`

// TestLoginPage: a link whose network wants people to log in first is said to be such a link, the others go on, and when somebody
// has logged in it is used.
func TestLoginPage(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	hotel := l.Links[1].nat
	page, err := start(hotel, nil, func(string) {}, "python3", "-c", loginPage)
	if err != nil {
		t.Fatal(err)
	}
	l.onClose(page.stop)
	for _, line := range []string{"add table ip hotel",
		"add chain ip hotel web { type nat hook prerouting priority -100; }", "add rule ip hotel web iifname lan0 tcp dport 80 redirect to :8080",
		"add chain ip hotel out { type filter hook forward priority 0; }", "add rule ip hotel out iifname lan0 drop"} {
		if _, err := run("", "ip", append([]string{"netns", "exec", hotel, "nft"}, strings.Fields(line)...)...); err != nil {
			t.Fatal(err)
		}
	}
	startPortals(t, l)
	state := func(s stats.Status) stats.LinkState { return s.Links[1].State }
	wait(20 * time.Second) // it is suspected when it had time to get through
	s := l.Router.until(t, "the login page", func(s stats.Status) bool { return len(s.Links) == 2 && state(s) == stats.LinkWalled })
	if text := s.People(); !strings.Contains(text, "link2  login page") || s.Links[0].State != stats.LinkUp {
		t.Error(text)
	}
	if _, err := run("", "ip", "netns", "exec", hotel, "nft", "delete", "table", "ip", "hotel"); err != nil {
		t.Fatal(err)
	}
	l.Router.until(t, "the link, after somebody logged in", func(s stats.Status) bool { _, up := pathOf(s, "link2"); return up && state(s) == stats.LinkUp })
}
