package lab

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// capOf returns a link of a status.
func capOf(s stats.Status, name string) (stats.Link, stats.Cap) {
	for _, l := range s.Links {
		if l.Name == name && l.Cap != nil {
			return l, *l.Cap
		}
	}
	return stats.Link{}, stats.Cap{}
}

// carried is what a link brought and took, by the emulator's count.
func carried(l *Link) uint64 { return l.Stats(Down).DeliveredBytes + l.Stats(Up).DeliveredBytes }

// TestDataCap: a link is not used any more when its data cap is reached, nothing breaks, also not the session; the count outlives
// a restart and a crash, the owner's word counts, and with the period's end the link is back.
func TestDataCap(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), LinkOptions: map[string][]string{
		"link2": {"option cap_mb '6'", "option cap_warn '30'"},
	}})
	startPortals(t, l)
	r, link := l.Router, l.Links[1]
	b, err := l.StartBulk(Down, 14*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	before := r.until(t, "the warning", func(s stats.Status) bool { _, c := capOf(s, "link2"); return c.State == stats.CapWarn })
	if _, c := capOf(before, "link2"); c.UsedBytes > carried(link)*11/10+50e3 || c.UsedBytes < carried(link)*5/10 { // the status is up to 2 s old
		t.Errorf("%d bytes are said to be used, the link carried %d", c.UsedBytes, carried(link))
	}
	after := r.until(t, "the end of the cap", func(s stats.Status) bool { k, _ := capOf(s, "link2"); return k.State == stats.LinkCap })
	if after.Sessions[0].StateSeconds < before.Sessions[0].StateSeconds {
		t.Error("the session began anew")
	}
	wait(time.Second)
	had := carried(link)
	wait(2 * time.Second)
	if more := carried(link) - had; more > 5000 {
		t.Errorf("%d bytes went over the link in 2 s after its cap was reached", more)
	}
	if err := b.Wait(); err != nil {
		t.Fatalf("the transfer did not outlive the cap: %v", err)
	}
	if rate := b.Rate(b.Started.Add(10*time.Second), b.Started.Add(13*time.Second)); rate < 8e6 { // of 20; what matters here is that it goes on
		t.Errorf("%.1f Mbit/s over the link that is left", rate/1e6)
	}
	stopped := r.status(t)
	text := stopped.People()
	if !strings.Contains(text, "link2  data cap reached") || !regexp.MustCompile(`Data cap of link2: \d+(\.\d)? of 6 MB used, begins anew in .*; not used until then`).MatchString(text) {
		t.Error(text)
	}
	_, c := capOf(stopped, "link2")
	for _, end := range []func(){func() { _ = r.Stop() }, func() { r.Kill() }} {
		end()
		again, err := l.startDaemon("router")
		if err != nil {
			t.Fatal(err)
		}
		l.Router, r = again, again
		if _, now := capOf(r.until(t, "the cap after a restart", func(s stats.Status) bool { k, _ := capOf(s, "link2"); return k.State == stats.LinkCap }), "link2"); now.UsedBytes < c.UsedBytes {
			t.Errorf("after a restart %d bytes are used, before %d", now.UsedBytes, c.UsedBytes)
		}
	}

	r.edit(t, "option cap_mb '6'", "option cap_mb '6'\n\toption cap_used_mb '1'")
	if out, err := r.reload(); err != nil {
		t.Fatal(out, err)
	}
	corrected := r.until(t, "the link, after a correction", func(s stats.Status) bool { _, up := pathOf(s, "link2"); return up })
	if _, c := capOf(corrected, "link2"); c.UsedBytes < 1e6 || c.UsedBytes > 15e5 {
		t.Errorf("%d bytes are used after the owner said 1 MB", c.UsedBytes)
	}
	r.edit(t, "cap_used_mb '1'", "cap_used_mb '7'\n\toption cap_action 'slow'\n\toption cap_rate '400'")
	if out, err := r.reload(); err != nil {
		t.Fatal(out, err)
	}
	r.until(t, "the link, slowed down", func(s stats.Status) bool {
		k, c := capOf(s, "link2")
		return k.State == stats.LinkUp && c.State == stats.CapReached
	})
	wait(time.Second)
	had = carried(link)
	if rate := bulk(t, l, Down, 6*time.Second); rate < 8e6 { // of 20; what matters here is that it goes on
		t.Errorf("%.1f Mbit/s beside a link that is slowed down", rate/1e6)
	}
	if rate := float64(carried(link)-had) * 8 / 6; rate > 2*440e3 { // both ways
		t.Errorf("a link slowed down to 400 kbit/s carried %.0f kbit/s", rate/1e3)
	}

	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(l.dir, "caps")
	raw, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	past := regexp.MustCompile(`"since":"[^"]*"`).ReplaceAll(raw, []byte(`"since":"2025-02-01"`))
	if err := os.WriteFile(kept, past, 0o600); err != nil {
		t.Fatal(err)
	}
	if l.Router, err = l.startDaemon("router"); err != nil {
		t.Fatal(err)
	}
	l.Router.until(t, "another period", func(s stats.Status) bool {
		_, c := capOf(s, "link2")
		return c.State == stats.CapBelow && c.UsedBytes < 500e3 && c.Since > "2026"
	})
}

// TestProxyLeavesHeldLinks: when a link's data cap is reached, or the link is paused, the connections of the proxy leave it too,
// in the middle of a transfer and without the loss of a byte.
func TestProxyLeavesHeldLinks(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), RouterOptions: proxyOptions(), LinkOptions: map[string][]string{"link2": {"option cap_mb '6'"}}})
	startPortals(t, l)
	go generous(listenIn(t, l, "server", ServerAddress+":8081"), 30<<20)
	still := func(n int, why string) {
		wait(time.Second)
		had := carried(l.Links[n])
		wait(2 * time.Second)
		if more := carried(l.Links[n]) - had; more > 5000 {
			t.Errorf("%d bytes went over link%d in 2 s after %s", more, n+1, why)
		}
	}
	download(t, l, ServerAddress+":8081", 30<<20, func() {
		l.Router.until(t, "the end of the cap", func(s stats.Status) bool { k, _ := capOf(s, "link2"); return k.State == stats.LinkCap })
		still(1, "its cap was reached")
	})
	l.Router.edit(t, "option cap_mb '6'", "option cap_mb '6000'")
	if out, err := l.Router.reload(); err != nil {
		t.Fatal(out, err)
	}
	l.Router.until(t, "both links", func(s stats.Status) bool { _, up := pathOf(s, "link2"); return up })
	download(t, l, ServerAddress+":8081", 30<<20, func() {
		if out, err := run("", "ip", "netns", "exec", l.Namespace("router"), l.options.Program, "--socket", l.Router.Socket, "link", "link1", "pause"); err != nil {
			t.Fatal(out, err)
		}
		still(0, "it was paused")
	})
}
