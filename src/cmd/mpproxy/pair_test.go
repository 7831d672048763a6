package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/src/control"
	"mpproxy/src/enrol"
	"mpproxy/src/stats"
)

// fakeServer answers like a server's portal, and notes what it is asked.
func fakeServer(t *testing.T) (socket string, asked *[]control.Request) {
	t.Helper()
	socket, asked = filepath.Join(t.TempDir(), "s.sock"), &[]control.Request{}
	server := control.NewServer(socket, func(_ context.Context, q control.Request) (any, error) {
		*asked = append(*asked, q)
		switch {
		case q.Cmd == control.CmdStatus:
			return &stats.Status{Sessions: []stats.Session{{Peer: "home", State: stats.SessionUp}}}, nil
		case q.Cmd == control.CmdPeers:
			return []enrol.Router{
				{Name: "cabin", Address: "10.99.0.3", Main: true, DownMbit: 50, MaxLinks: 2}, {Name: "home", Enabled: true, Address: "10.99.0.2", Created: "2027-01-15T08:00:00Z", MaxLinks: 8},
			}, nil
		case q.Action == control.ActionIssue:
			return enrol.Issued{ID: "01", Text: "mpp1:abc", Expires: 1_800_000_000, Uses: 2, Endpoints: []string{"a:1", "b:2"}}, nil
		case q.Action == control.ActionList:
			return []enrol.Issued{{ID: "01", Expires: 1_800_000_000, Uses: 1}}, nil
		}
		return nil, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-server.Ready()
	return socket, asked
}

func TestPair(t *testing.T) {
	socket, asked := fakeServer(t)
	code, out, errs := try(t.Context(), "", "pair", "home", "--uses", "2", "--expires=7d", "--endpoint", "x:1", "--endpoint=y:2", "--socket", socket)
	if code != exitWell || out != "mpp1:abc\n" || !strings.Contains(errs, "Good for 2 routers, until 2027-01-15 08:00 UTC. It says that this server is at a:1 and b:2.") {
		t.Errorf("status %d, %q, %q", code, out, errs)
	}
	var order enrol.Order
	if err := json.Unmarshal([]byte((*asked)[0].Text), &order); err != nil || order.Name != "home" || order.Uses != 2 || order.Life != 7*86400 || strings.Join(order.Endpoints, " ") != "x:1 y:2" {
		t.Errorf("order %+v, %v", order, err)
	}
	if code, out, _ := try(t.Context(), "", "pair", "--list", "--socket", socket); code != exitWell || out != "01  good for 1 router until 2027-01-15 08:00 UTC\n" {
		t.Errorf("status %d, %q", code, out)
	}
	if code, out, errs := try(t.Context(), "", "pair", "--revoke", "01", "--socket", socket); code != exitWell || out+errs != "" || (*asked)[2].Name != "01" {
		t.Errorf("status %d, %q, %+v", code, out+errs, *asked)
	}
	for want, args := range map[string][]string{
		"--uses is a number": {"pair", "--uses", "x"}, "--expires is a time": {"pair", "--expires", "soon"}, "--uses needs a value": {"pair", "--uses"},
		"status does not know --uses": {"status", "--uses", "1"}, "usage: mpproxy pair": {"pair", "a", "b"}, "like 30m, 24h or 7d": {"pair", "--expires", "0d"},
	} {
		if code, _, errs := try(t.Context(), "", append(args, "--socket", socket)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: status %d, %q", args, code, errs)
		}
	}
}

func TestPeers(t *testing.T) {
	socket, asked := fakeServer(t)
	const want = "ROUTER  STATE      ADDRESS    LIMIT DOWN/UP  LINKS  PAIRED\n" +
		"cabin   revoked    10.99.0.3  50/- Mbit/s    2      by hand\n" +
		"home    connected  10.99.0.2  none           8      2027-01-15\n"
	if code, out, errs := try(t.Context(), "", "peers", "--socket", socket); code != exitWell || out != want || errs != "" {
		t.Errorf("status %d\n%s%s", code, out, errs)
	}
	*asked = nil
	for _, args := range [][]string{{"rename", "a", "b"}, {"limit", "a", "50", "10"}, {"limit", "a", "0", "0", "3"}, {"revoke", "a"}, {"allow", "a"}} {
		if code, out, errs := try(t.Context(), "", append(append([]string{"peers"}, args...), "--socket", socket)...); code != exitWell || out+errs != "" {
			t.Errorf("%v: status %d, %q", args, code, out+errs)
		}
	}
	got := *asked
	if len(got) != 5 || got[0].Text != "b" || got[1].Text != "10 50" || got[2].Text != "0 0 3" || got[3].Action != control.ActionRevoke || got[4].Name != "a" {
		t.Errorf("asked %+v", got)
	}
	for _, args := range [][]string{{"frob", "a"}, {"rename", "a"}, {"limit", "a", "5"}, {"limit", "a", "5", "5", "5", "5"}, {"revoke", "a", "b"}} {
		if code, _, errs := try(t.Context(), "", append([]string{"peers"}, args...)...); code != exitUsage || !strings.Contains(errs, "usage: mpproxy peers") {
			t.Errorf("%v: status %d, %q", args, code, errs)
		}
	}
}
