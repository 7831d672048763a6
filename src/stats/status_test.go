package stats

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// router is a status as a router in the middle of a download gives it.
func router() *Status {
	return &Status{
		Version: "1.0", Role: "local", UptimeSeconds: 11045, ConfigFile: "/etc/config/mpproxy",
		Sessions: []Session{{
			Peer: "vps", State: SessionUp, StateSeconds: 11040, RemoteEndpoint: "203.0.113.7:6779",
			InnerAddresses: []string{"10.99.0.2", "fd00:99::2"}, MTUBytes: 1420, KeyAgeSeconds: 61.5,
			Paths: []Path{
				{ID: 1, Link: "dsl", Transport: "udp", State: PathUp, Local: "192.0.2.10:40001", Remote: "203.0.113.7:6779",
					RateBitsPerSecond: 19_400_000, UpBitsPerSecond: 412_000, DownBitsPerSecond: 18_900_000, UpBytes: 33_100_000, DownBytes: 1_204_000_000,
					Congestion: "bbr", CongestionPhase: "cruise", SRTTMs: 31.25, MinRTTMs: 27, QueueDelayMs: 4.2, LossRatio: 0.001, RepairedPackets: 12, WindowBytes: 131072, InFlightBytes: 64000,
					MTUBytes: 1500, SentDatagrams: 401_000, ReceivedDatagrams: 902_000},
				{ID: 5, Link: "lte", Transport: "udp", State: PathSuspect, Local: "100.64.3.4:40002", Remote: "203.0.113.7:6779",
					RateBitsPerSecond: 9_000_000, UpBitsPerSecond: 0, DownBitsPerSecond: 999_960, UpBytes: 812, DownBytes: 512_300,
					Congestion: "cubic", CongestionPhase: "avoidance", SRTTMs: 62, MinRTTMs: 45, LossRatio: 0.0001, WindowBytes: 40000, MTUBytes: 1428, SentDatagrams: 9, ReceivedDatagrams: 400, ReceiveOverflowPackets: 3},
			},
			Lanes: 1, Flows: 3, QueueBytes: 6000, UpPackets: 400_000, UpBytes: 30_000_000, DownPackets: 900_000, DownBytes: 1_100_000_000,
			RepairedPackets: 12, EvenedPackets: 2000, EvenedSeconds: 16.5, Gain: 1.83, Scheduler: "weighted", Drops: map[string]uint64{"codel": 17, "queue_full": 2},
		}},
		Links: []Link{
			{Name: "dsl", Interface: "wan", State: LinkUp},
			{Name: "lte", Interface: "wwan0", State: LinkUp, Metric: 10,
				Cap: &Cap{State: CapBelow, UsedBytes: 12_400_000_000, LimitBytes: 50_000_000_000, Action: "stop", Since: "2026-05-01", EndsAt: 1780272000, EndsSeconds: 788400}},
			{Name: "cable", Interface: "eth3", State: LinkNoAddress},
			{Name: "spare", Interface: "eth4", State: LinkPaused},
		},
		Drops: map[string]uint64{"not_authentic": 5, "codel": 1},
	}
}

// server is a status of a server with one router connected and one not.
func server() *Status {
	return &Status{
		Version: "1.0", Role: "remote", UptimeSeconds: 59, ConfigFile: "/etc/mpproxy/mpproxy",
		Sessions: []Session{
			{Peer: "home", State: SessionUp, StateSeconds: 50, RemoteEndpoint: "198.51.100.3:50123", InnerAddresses: []string{"10.99.0.2"}, MTUBytes: 1420,
				Paths: []Path{{ID: 2, State: PathValidating, Transport: "udp", Remote: "198.51.100.3:50123"}}},
			{Peer: `of"fice`, State: SessionDown, StateSeconds: 90061},
		},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

func TestGoldenPrints(t *testing.T) {
	for name, status := range map[string]*Status{"router": router(), "server": server(), "empty": {Version: "1.0", Role: "local"}} {
		golden(t, name+".txt", []byte(status.People()))
		golden(t, name+".prom", []byte(status.Prometheus()))
		text, err := status.JSON()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", text)
	}
}

func TestJSONReadsBack(t *testing.T) {
	text, err := router().JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back Status
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(&back, router()) {
		t.Errorf("read back as %+v, %v", back, err)
	}
	if strings.Contains(string(text), "null") {
		t.Error("a null in the JSON")
	}
}

// TestFieldsNameTheirUnits: a number in the JSON is a count of something the name says, or has a unit at its end.
func TestFieldsNameTheirUnits(t *testing.T) {
	unit := regexp.MustCompile(`(_seconds|_ms|_bytes|_per_second|_packets|_datagrams|_ratio)$`)
	counts := map[string]bool{"id": true, "lanes": true, "max_links": true, "flows": true, "gain": true, "metric": true}
	for _, kind := range []reflect.Type{reflect.TypeFor[Status](), reflect.TypeFor[Session](), reflect.TypeFor[Path](), reflect.TypeFor[Link]()} {
		for i := range kind.NumField() {
			f := kind.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				t.Errorf("%s.%s has no name in JSON", kind.Name(), f.Name)
			}
			switch f.Type.Kind() {
			case reflect.Int, reflect.Uint32, reflect.Uint64, reflect.Float64:
				if !unit.MatchString(name) && !counts[name] {
					t.Errorf("%s.%s is called %s, without a unit", kind.Name(), f.Name, name)
				}
			}
		}
	}
}

func TestPrometheusIsWellFormed(t *testing.T) {
	sample := regexp.MustCompile(`^mpproxy_[a-z_]+(\{([a-z]+="([^"\\]|\\.)*",?)+\})? [0-9.e+-]+$`)
	seen, types := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(router().Prometheus() + server().Prometheus()) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			types[strings.Fields(name)[0]] = true
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, _, _ := strings.Cut(strings.Fields(line)[0], "{")
		if !sample.MatchString(line) || !types[name] {
			t.Errorf("malformed or untyped: %s", line)
		}
		key, _, _ := strings.Cut(line, "} ")
		if seen[key] && strings.Contains(key, "{") {
			t.Errorf("twice: %s", line)
		}
		seen[key] = true
	}
}

func TestWords(t *testing.T) {
	for seconds, want := range map[float64]string{-1: "0 s", 0: "0 s", 59.9: "59 s", 61: "1 min 1 s", 3600: "1 h 0 min", 90061: "1 d 1 h"} {
		if got := duration(seconds); got != want {
			t.Errorf("%v seconds are %q, want %q", seconds, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 1: "1 bit/s", 999: "999 bit/s", 1000: "1.0 kbit/s", 99_949: "99.9 kbit/s", 99_950: "100 kbit/s", 999_499: "999 kbit/s",
		999_500: "1.0 Mbit/s", 18_900_000: "18.9 Mbit/s", 1e18: "1000000 Tbit/s"} {
		if got := bits(n); got != want {
			t.Errorf("%d bit/s are %q, want %q", n, got, want)
		}
	}
	for ratio, want := range map[float64]string{-1: "0 %", 0: "0 %", 0.0001: "<0.1 %", 0.001: "0.1 %", 0.5: "50.0 %"} {
		if got := percent(ratio); got != want {
			t.Errorf("%v is %q, want %q", ratio, got, want)
		}
	}
	for _, s := range []PathState{PathUp, PathSuspect, PathDown, PathValidating, PathUnusable} {
		if s.words() == string(s) && s != PathDown {
			t.Errorf("state %s has no words", s)
		}
	}
	if got := PathState("new").words() + LinkState("newer").words(); got != "newnewer" {
		t.Errorf("unknown states print as %q", got)
	}
}

func TestUnitsOfDurations(t *testing.T) {
	if got := Milliseconds(31_250_400 * time.Nanosecond); got != 31.25 {
		t.Errorf("%v ms", got)
	}
	if got := Seconds(61_500_400 * time.Microsecond); got != 61.5 {
		t.Errorf("%v s", got)
	}
}
