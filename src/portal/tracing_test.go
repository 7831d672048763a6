package portal

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
)

// A trace begins with the first question, tells each asker what is new for him, and ends when nobody asks.
func TestTraces(t *testing.T) {
	now := mono.Time(time.Hour)
	one := engine.New(now, engine.Params{Initiator: true, Pool: packet.NewPool(10)})
	tunnels := []named{{one, "vps"}}
	var tr traces
	tr.expire(now)

	text, next, missed := tr.more(now, -1, tunnels)
	if !strings.Contains(string(text), `"event":"trace","version":1,"side":"router"`) || next != 1 || missed != 0 {
		t.Fatalf("%s %d %d", text, next, missed)
	}
	if !json.Valid(text) {
		t.Error("not JSON")
	}
	one.OpenPath(now, engine.PathSpec{ID: 5}, netip.MustParseAddrPort("192.0.2.1:1"))
	late, lateNext, _ := tr.more(now, -1, tunnels)
	if len(late) != 0 || lateNext != 2 {
		t.Errorf("who comes later begins with %q %d", late, lateNext)
	}
	text, next, _ = tr.more(now, int64(next), tunnels)
	if !strings.Contains(string(text), `"tunnel":"vps","event":"open","path":5`) || next != 2 {
		t.Errorf("%s %d", text, next)
	}

	another := engine.New(now, engine.Params{Pool: packet.NewPool(10)})
	text, next, _ = tr.more(now, int64(next), append(tunnels, named{another, "home"}))
	if !strings.Contains(string(text), `"tunnel":"home"`) {
		t.Errorf("a new router is not traced: %s", text)
	}

	tr.expire(now.Add(traceLife - time.Millisecond))
	if tr.ring == nil {
		t.Fatal("ended too soon")
	}
	tr.expire(now.Add(traceLife))
	ring := tr.ring
	one.OpenPath(now, engine.PathSpec{ID: 6}, netip.MustParseAddrPort("192.0.2.1:1"))
	if ring != nil || len(tr.told) != 0 {
		t.Error("goes on though nobody asks")
	}
	// Who asks on for numbers of a trace before gets this one from its beginning.
	if text, next, _ = tr.more(now, int64(next), tunnels); next == 0 || len(text) == 0 {
		t.Errorf("%s %d", text, next)
	}
}
