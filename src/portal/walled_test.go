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
		"HTTP/1.0 302 Found\r\nServer: x\r\nLOCATION: http://Login.Hotel.example:8080/in?a=1\r\n\r\n": {status: 302, to: "login.hotel.example"},
		"HTTP/1.1 302\nLocation: //portal.example/x\n\n":                                              {status: 302, to: "portal.example"},
		"HTTP/1.1 301 Moved\r\nLocation: /login\r\n\r\n":                                              {status: 301},
		"HTTP/1.1 200 OK\r\n\r\nLocation: http://in.the.page/\r\n":                                    {status: 200},
		"HTTP/1.1 511 Network Authentication Required\r\n":                                            {status: 511},
		"HTTP/1.1 302 Found\r\nLocation: http://%zz/\r\n\r\n":                                         {status: 302},
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
	login := webAnswer{status: 302, to: "login.hotel.example"}
	for _, c := range []struct {
		name      string
		got       webAnswer
		reference *webAnswer
		want      bool
	}{
		{"nobody answers", webAnswer{}, &webAnswer{}, false},
		{"nobody answers at the server", login, &webAnswer{}, true},
		{"a page where there is none", webAnswer{status: 200}, &webAnswer{}, true},
		{"the server's own page", webAnswer{status: 301, to: "www.example.org"}, &webAnswer{status: 301, to: "www.example.org"}, false},
		{"another one than the server's", login, &webAnswer{status: 200}, true},
		{"nobody listens at the server", login, &webAnswer{refused: true}, true},
		{"nobody listens", webAnswer{refused: true}, &webAnswer{}, false},
		{"nothing to compare with, led elsewhere: the server may do so", login, nil, false},
		{"nothing to compare with, led to the server", webAnswer{status: 301, to: "vps.example.org"}, nil, false},
		{"nothing to compare with, a page", webAnswer{status: 200}, nil, false},
		{"nothing to compare with, not found", webAnswer{status: 404}, nil, false},
		{"nothing to compare with, log in first", webAnswer{status: 511}, nil, true},
	} {
		if got := isWall(c.got, c.reference); got != c.want {
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

// TestWallReference: one silence says nothing, and a metered link is asked only if there is no other, and seldom.
func TestWallReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := func(name string, metered, gets bool) wallLink {
			return wallLink{knownLink: knownLink{name: name, endpoint: netip.MustParseAddrPort("203.0.113.2:6779")}, metered: metered, gets: gets}
		}
		lte, dsl, hotel := link("lte", true, true), link("dsl", false, true), link("hotel", false, false)
		page, silence, refused := webAnswer{status: 200}, webAnswer{}, webAnswer{refused: true}
		w := &walls{}
		step := func(when string, says webAnswer, asked string, want *webAnswer, list ...wallLink) {
			t.Helper()
			var by string
			got := w.reference(list, func(k knownLink) webAnswer { by += k.name; return says })
			if by != asked || (got == nil) != (want == nil) || got != nil && *got != *want {
				t.Errorf("%s: asked %q, %+v", when, by, got)
			}
			time.Sleep(wallAgain)
		}
		step("no link gets through", page, "", nil, hotel)
		step("both kinds", page, "dsl", &page, hotel, lte, dsl)
		step("silence", silence, "dsl", nil, hotel, dsl)
		step("an answer after all", page, "dsl", &page, hotel, dsl)
		step("silence once more", silence, "dsl", nil, hotel, dsl)
		step("silence still", silence, "dsl", &silence, hotel, dsl)
		for range 4 {
			time.Sleep(wallAgainMetered)
			step("silence all the time", silence, "dsl", &silence, hotel, dsl)
		}
		time.Sleep(wallForgets)
		step("silence long after", silence, "dsl", nil, hotel, dsl)
		step("nobody listens", refused, "dsl", &refused, hotel, dsl)
		step("a metered link only", page, "lte", &page, hotel, lte)
		step("that again", refused, "", &page, hotel, lte)
		other := lte
		other.endpoint = netip.MustParseAddrPort("203.0.113.3:6779")
		step("another server", refused, "lte", &refused, hotel, other)
		step("that again", page, "", &refused, hotel, other)
		time.Sleep(wallAgainMetered)
		step("long after", silence, "lte", nil, hotel, other)
		step("soon after that", silence, "lte", &silence, hotel, other)
		step("that again", page, "", &silence, hotel, other)
	})
}

func TestAskWeb(t *testing.T) {
	if got := askWeb(t.Context(), knownLink{endpoint: netip.MustParseAddrPort("127.0.0.254:6779")}); got != (webAnswer{refused: true}) {
		t.Errorf("where nobody listens: %+v", got)
	}
}
