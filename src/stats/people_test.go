package stats

import (
	"strings"
	"testing"
)

// one returns a router's status with one session in the given state and one path.
func one(state SessionState, path Path) *Status {
	return &Status{Version: "1", Role: "local", Sessions: []Session{{Peer: "vps", State: state, StateSeconds: 3, RemoteEndpoint: "192.0.2.1:6779", Paths: []Path{path}}}}
}

func TestPeopleSaysHowTheSessionIs(t *testing.T) {
	for state, want := range map[SessionState][2]string{
		SessionUp:         {"Connected through vps (192.0.2.1:6779) for 3 s, 1 of 1 connections in use\n", "Router vps (192.0.2.1:6779) connected for 3 s, 1 of 1 connections in use\n"},
		SessionConnecting: {"Connecting with vps (192.0.2.1:6779) for 3 s\n", "Router vps (192.0.2.1:6779) connecting for 3 s\n"},
		SessionDown:       {"No answer from vps (192.0.2.1:6779) for 3 s\n", "Router vps (192.0.2.1:6779) away for 3 s\n"},
		"odd":             {"vps (192.0.2.1:6779): state odd for 3 s\n", "vps (192.0.2.1:6779): state odd for 3 s\n"},
	} {
		for i, role := range []string{"local", "remote"} {
			s := one(state, Path{ID: 1, State: PathUp})
			s.Role = role
			if got := s.People(); !strings.Contains(got, want[i]) {
				t.Errorf("%s, %s: %q", state, role, got)
			}
		}
	}
}

func TestPeopleSaysHowAPathIs(t *testing.T) {
	for _, c := range []struct {
		path Path
		want []string
	}{
		{Path{ID: 7, State: PathUp}, []string{"path 7", "in use", "-", "0 %"}},
		{Path{ID: 7, Remote: "192.0.2.1:1", State: PathSuspect, SRTTMs: 40.4}, []string{"192.0.2.1:1", "slow to answer", "40 ms"}},
		{Path{ID: 7, Link: "lte", State: PathDown, SRTTMs: 40, QueueDelayMs: 800, LossRatio: 0.25}, []string{"lte", "down: no answer", "40 ms (+800)", "25.0 %"}},
		{Path{ID: 7, Link: "lte", State: PathValidating, DownBitsPerSecond: 1500}, []string{"being checked", "1.5 kbit/s"}},
		{Path{ID: 7, Link: "lte", State: PathUnusable, UpBytes: 1}, []string{"not usable", "1 B"}},
	} {
		text := one(SessionUp, c.path).People()
		lines := strings.Split(strings.TrimSpace(text), "\n")
		last := lines[len(lines)-1]
		for _, want := range c.want {
			if !strings.Contains(last, want) {
				t.Errorf("%+v prints as %q, without %q", c.path, last, want)
			}
		}
	}
}

func TestPeopleNamesLinksWithoutAPath(t *testing.T) {
	s := one(SessionUp, Path{Link: "dsl", State: PathUp})
	s.Links = []Link{{Name: "dsl", State: LinkUp}, {Name: "a", State: LinkNoDevice}, {Name: "b", State: LinkNoCarrier}, {Name: "c", State: LinkNoAddress},
		{Name: "d", State: LinkPaused}, {Name: "e", State: LinkDisabled}, {Name: "f", State: LinkUp}}
	text := s.People()
	for _, want := range []string{"\na  down: no such interface\n", "\nb  down: cable or modem\n", "\nc  down: no address\n", "\nd  paused; go on with: mpproxy link d resume\n",
		"\ne  switched off in the configuration\n", "\nf  ready\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if strings.Contains(text, "dsl  ready") {
		t.Error("a link whose path is shown is named again")
	}
	s.Links[0].State = LinkNoCarrier
	if !strings.Contains(s.People(), "\ndsl  down: cable or modem\n") {
		t.Error("a link that lost its carrier is not named while its path is still shown")
	}
}

func TestPeopleShowsTheCommonestDrops(t *testing.T) {
	s := one(SessionUp, Path{})
	if strings.Contains(s.People(), "Dropped") {
		t.Error("drops where there are none")
	}
	s.Drops = map[string]uint64{"codel": 1, "queue_full": 9, "too_old": 2}
	s.Sessions[0].Drops = map[string]uint64{"codel": 4, "replayed": 2, "no_path": 1}
	if want := "\nDropped packets: queue full 9, codel 5, replayed 2, too old 2, …\n"; !strings.HasSuffix(s.People(), want) {
		t.Errorf("%q", s.People())
	}
}

func TestColumnsStandUnderEachOther(t *testing.T) {
	var out strings.Builder
	align(&out, [][]string{{"NAME", "N"}, {"Küche", "1"}, {"x", "22222"}, {"y", ""}}, 1)
	if want := "NAME       N\nKüche      1\nx      22222\ny\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	if got := escapeLabel("a\"b\\c\nd\xff"); got != `a\"b\\c\nd�` {
		t.Errorf("%q", got)
	}
}

func TestPrometheusKeepsWholeNumbers(t *testing.T) {
	s := one(SessionUp, Path{ID: 1, Link: "dsl", Transport: "udp", UpBytes: 123_456_789_012, State: PathUp})
	for _, want := range []string{
		`mpproxy_path_bytes_total{peer="vps",link="dsl",path="1",direction="up"} 123456789012` + "\n",
		`mpproxy_path_up{peer="vps",link="dsl",path="1",transport="udp"} 1` + "\n",
		`mpproxy_session_up{peer="vps"} 1` + "\n",
	} {
		if !strings.Contains(s.Prometheus(), want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestEachMetricStandsTogether: Prometheus refuses a metric whose samples are apart.
func TestEachMetricStandsTogether(t *testing.T) {
	ended, last := map[string]bool{}, ""
	for line := range strings.Lines(router().Prometheus()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, _, _ := strings.Cut(strings.Fields(line)[0], "{")
		if name != last && ended[name] {
			t.Errorf("%s comes back after %s", name, last)
		}
		ended[last], last = true, name
	}
}

func TestPeopleSaysLimits(t *testing.T) {
	for _, c := range []struct {
		up, down uint64
		links    int
		want     string
	}{
		{0, 0, 0, ""},
		{0, 0, 8, ""}, // more than there are
		{4e6, 8e6, 8, "limited by the server to 8.0 Mbit/s down and 4.0 Mbit/s up"},
		{0, 8e6, 0, "limited by the server to 8.0 Mbit/s down and unlimited up"},
		{0, 0, 1, "connections allowed at once: 1"},
	} {
		s := one(SessionUp, Path{ID: 1, State: PathUp})
		s.Sessions[0].LimitUpBitsPerSecond, s.Sessions[0].LimitDownBitsPerSecond, s.Sessions[0].MaxLinks = c.up, c.down, c.links
		text := s.People()
		if !strings.Contains(text, c.want) || c.want == "" && (strings.Contains(text, "limited") || strings.Contains(text, "allowed")) {
			t.Errorf("%+v: %s", c, text)
		}
	}
}

func TestPeopleSaysWhatACapCameTo(t *testing.T) {
	for _, c := range []struct {
		cap  Cap
		want string
	}{
		{Cap{State: CapBelow, UsedBytes: 12_400_000_000, LimitBytes: 50_000_000_000, EndsAt: 1, EndsSeconds: 9 * 86400}, "12.4 of 50 GB used, begins anew in 9 d 0 h"},
		{Cap{State: CapWarn, UsedBytes: 900_000, LimitBytes: 1_000_000}, "0.9 of 1 MB used"},
		{Cap{State: CapReached, UsedBytes: 50, LimitBytes: 50, Action: "stop", EndsAt: 1, EndsSeconds: 60}, "50 of 50 B used, begins anew in 1 min 0 s; not used until then"},
		{Cap{State: CapReached, UsedBytes: 1_500_000_000_000, LimitBytes: 999_000_000_000, Action: "slow", RateBitsPerSecond: 256e3}, "1500 of 999 GB used; slowed down to 256 kbit/s until then"},
		{Cap{State: CapReached, UsedBytes: 1_500_000_000_000, LimitBytes: 1_000_000_000_000, Action: "warn"}, "1.5 of 1 TB used"},
	} {
		s := one(SessionUp, Path{Link: "lte", State: PathUp})
		s.Links = []Link{{Name: "lte", State: LinkUp, Cap: &c.cap}}
		if want := "\n\nData cap of lte: " + c.want + "\n"; !strings.HasSuffix(s.People(), want) {
			t.Errorf("%q, not %q", s.People(), want)
		}
	}
	s := one(SessionUp, Path{})
	s.Links = []Link{{Name: "a", State: LinkCap}, {Name: "b", State: LinkWalled}}
	for _, want := range []string{"\na  data cap reached\n", "\nb  login page"} {
		if !strings.Contains(s.People(), want) {
			t.Errorf("no %q in %q", want, s.People())
		}
	}
}

func TestPeopleSaysThatSettingsCutItOff(t *testing.T) {
	s := one(SessionDown, Path{})
	if strings.Contains(s.People(), "since the settings were changed") {
		t.Error("it is said without need")
	}
	if s.ConfigLost = true; !strings.Contains(s.People(), "There is no connection with the server since the settings were changed") {
		t.Error(s.People())
	}
}
