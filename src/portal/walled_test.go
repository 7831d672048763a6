package portal

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadWeb(t *testing.T) {
	for text, want := range map[string]webAnswer{
		"HTTP/1.0 302 Found\r\nServer: x\r\nLOCATION: http://Login.Hotel.example:8080/in?a=1\r\n\r\n": {302, "login.hotel.example"},
		"HTTP/1.1 302\nLocation: //portal.example/x\n\n":                                              {302, "portal.example"},
		"HTTP/1.1 301 Moved\r\nLocation: /login\r\n\r\n":                                              {301, ""},
		"HTTP/1.1 200 OK\r\n\r\nLocation: http://in.the.page/\r\n":                                    {200, ""},
		"HTTP/1.1 511 Network Authentication Required\r\n":                                            {511, ""},
		"HTTP/1.1 302 Found\r\nLocation: http://%zz/\r\n\r\n":                                         {302, ""},
		"SSH-2.0-OpenSSH_9.9\r\n":                                                                     {}, "": {}, "HTTP/1.1\r\n": {}, "HTTP/1.1 x\r\n": {}, "HTTP/1.1 -5 a\r\n": {}, "HTTP/1.1 20000000 a\r\n": {},
		strings.Repeat("x", 100_000): {},
	} {
		if got := readWeb(strings.NewReader(text)); got != want {
			t.Errorf("%.60q: %+v, not %+v", text, got, want)
		}
	}
}

func FuzzReadWeb(f *testing.F) {
	f.Add("HTTP/1.0 302 Found\r\nLocation: http://a:1/\r\n\r\n")
	f.Add("HTTP/1.1 511\n")
	f.Fuzz(func(t *testing.T, text string) {
		if a := readWeb(strings.NewReader(text)); a.status != 0 && (a.status < 100 || a.status > 999) || a.status == 0 && a.to != "" {
			t.Errorf("%+v", a)
		}
	})
}

func TestIsWall(t *testing.T) {
	own := []string{"203.0.113.2", "vps.example.org"}
	login := webAnswer{302, "login.hotel.example"}
	for _, c := range []struct {
		name      string
		got       webAnswer
		reference *webAnswer
		want      bool
	}{
		{"nobody answers", webAnswer{}, &webAnswer{}, false},
		{"nobody answers at the server", login, &webAnswer{}, true},
		{"a page where there is none", webAnswer{200, ""}, &webAnswer{}, true},
		{"the server's own page", webAnswer{301, "www.example.org"}, &webAnswer{301, "www.example.org"}, false},
		{"another one than the server's", login, &webAnswer{200, ""}, true},
		{"nothing to compare with, led elsewhere", login, nil, true},
		{"nothing to compare with, led to the server", webAnswer{301, "vps.example.org"}, nil, false},
		{"nothing to compare with, a page", webAnswer{200, ""}, nil, false},
		{"nothing to compare with, not found", webAnswer{404, ""}, nil, false},
		{"nothing to compare with, log in first", webAnswer{511, ""}, nil, true},
	} {
		if got := isWall(c.got, c.reference, own); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A link is asked when it has not got through for a while, and then seldom; most seldom where it costs money.
func TestWallsAreAskedSeldom(t *testing.T) {
	for metered, want := range map[bool]int{false: 60, true: 2} {
		synctest.Test(t, func(t *testing.T) {
			w := &walls{portal: &local{run: &running{log: slog.New(slog.DiscardHandler)}}}
			k := wallLink{index: 2, up: true, metered: metered}
			asked := 0
			for i := range int(time.Hour / wallLook) {
				if w.due(k, time.Now()) {
					if asked++; time.Duration(i)*wallLook < wallAfter {
						t.Error("asked before it had time to get through")
					}
					w.set(k, true)
				}
				time.Sleep(wallLook)
			}
			if asked != want || !w.walled[2].Load() {
				t.Errorf("metered %v: asked %d times in an hour, not %d", metered, asked, want)
			}
			k.gets = true
			if w.due(k, time.Now()) || w.walled[2].Load() {
				t.Error("it gets through, and counts as walled")
			}
		})
	}
}

func TestAskWeb(t *testing.T) {
	if got := askWeb(t.Context(), knownLink{endpoint: netip.MustParseAddrPort("127.0.0.254:6779")}); got != (webAnswer{}) {
		t.Errorf("where nobody listens: %+v", got)
	}
}
