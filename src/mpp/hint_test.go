package mpp

import (
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// attached are both ends of a connection with a subflow that attached with a round trip of so much, 0: without.
func attached(t *testing.T, rtt time.Duration) (client, server *Conn, now mono.Time) {
	t.Helper()
	now = mono.Time(time.Second)
	client = NewConn(now, Params{MID: 1, Opener: true, Pool: NewPool(1 << 20)})
	server = NewConn(now, Params{MID: 1, Pool: NewPool(1 << 20)})
	client.Add(now, 1)
	client.Hint(now, 1, rtt)
	server.Add(now, 1)
	if err := server.Receive(now, 1, client.Poll(now, 1, nil)); err != nil {
		t.Fatal(err)
	}
	return client, server, now
}

// frames are the types in a record.
func frames(t *testing.T, record []byte) (out []FrameType) {
	t.Helper()
	for len(record) > 0 {
		var f Frame
		rest, err := ParseFrame(record, &f)
		if err != nil {
			t.Fatal(err)
		}
		out, record = append(out, f.Type), rest
	}
	return out
}

const told = 70 * time.Millisecond

// TestAttachTellsRTT: who opens a subflow tells the round trip of setting it up, so that the other side has to ask with no
// packet of its own; without, it asks, as it does with an opener that knows no such option.
func TestAttachTellsRTT(t *testing.T) {
	_, server, now := attached(t, told)
	if server.Wants(now, 1) {
		t.Error("it asks though it was told")
	}
	if at := server.NextTimeout(); at != now.Add(told) {
		t.Errorf("it looks again at %v, though a pong would come %v after %v", at, told, now)
	}
	if server.OnTimeout(now.Add(told)); server.find(1).srtt != told {
		t.Errorf("a round trip of %v", server.find(1).srtt)
	}
	_, server, now = attached(t, 0)
	if got := frames(t, server.Poll(now, 1, nil)); !slices.Contains(got, FramePing) {
		t.Errorf("it sends %v, though it was told nothing", got)
	}
}

// TestPingWithData: where a round trip is known, a ping goes with data that is there at once, and with no other.
func TestPingWithData(t *testing.T) {
	for name, late := range map[string]time.Duration{"at once": 0, "later": 2 * ackDelay} {
		_, c, now := attached(t, told)
		if now = now.Add(late); c.Wants(now, 1) {
			t.Error("it asks by itself")
		}
		first := 2
		if late > 0 {
			first = 1
		}
		for _, want := range []int{first, 1} {
			_, _ = c.Write(now, make([]byte, 100))
			if got := frames(t, c.Poll(now, 1, nil)); len(got) != want || got[0] != FrameData || want == 2 && got[1] != FramePing {
				t.Errorf("%s it sends %v", name, got)
			}
		}
	}
}

// TestAsksForLife: an opener asks a subflow of which it has heard nothing after a while, and not one that it has heard of.
func TestAsksForLife(t *testing.T) {
	client, server, now := attached(t, told)
	later := now.Add(lifeAfter)
	if client.NextTimeout() != later || !client.Wants(later, 1) {
		t.Error("it does not ask")
	}
	_, _ = server.Write(now, make([]byte, 100))
	if err := client.Receive(now, 1, server.Poll(now, 1, nil)); err != nil {
		t.Fatal(err)
	}
	client.Poll(now.Add(2*ackDelay), 1, nil) // the pong and the acknowledgement
	if client.Wants(later, 1) {
		t.Error("it asks though it has heard something")
	}
}
