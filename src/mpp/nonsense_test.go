package mpp

import (
	"errors"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// TestNonsenseEndsTheConnection: what no honest other side says breaks the connection off, and that side is told why.
func TestNonsenseEndsTheConnection(t *testing.T) {
	now := mono.Time(time.Hour)
	for name, f := range map[string]Frame{
		"an acknowledgement of what was not sent": {Type: FrameAck, Offset: 101},
		"a range of what was not sent":            {Type: FrameAck, Ranges: []Span{{90, 101}}},
		"progress beyond what was sent":           {Type: FrameAck, Progress: []Progress{{2, 101}}},
		"data beyond the window":                  {Type: FrameData, Offset: initialWindow, Payload: []byte("x")},
		"an end before what has come":             {Type: FrameData, Offset: 3, Flags: FlagFin},
	} {
		c := NewConn(now, Params{MID: 7, Pool: NewPool(1 << 20)})
		for id := range uint16(3) {
			if !c.Add(now, id+1) {
				t.Fatal("not added")
			}
		}
		first := AppendFrame(nil, &Frame{Type: FrameData, MID: 7, Payload: make([]byte, 10)})
		if err := c.Receive(now, 1, first); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Write(now, make([]byte, 100)); n != 100 || err != nil {
			t.Fatal(n, err)
		}
		if got := c.Poll(now, 1, nil); len(got) < 100 {
			t.Fatalf("%d bytes sent", len(got))
		}
		f.MID = 7
		if err := c.Receive(now, 1, AppendFrame(nil, &f)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
		var reset *ResetError
		if !errors.As(c.Err(), &reset) || reset.Code != CodeProtocol || reset.Remote {
			t.Errorf("%s: the connection ends with %v", name, c.Err())
		}
		var told Frame
		if _, err := ParseFrame(c.Poll(now, 2, nil), &told); err != nil || told.Type != FrameReset || told.Code != CodeProtocol {
			t.Errorf("%s: the other side is told %+v, %v", name, told, err)
		}
		if used := c.p.Pool.Used(); used != 0 {
			t.Errorf("%s: %d bytes are kept", name, used)
		}
	}
}

// TestWindowAfterPressure: a window that shrank while memory was short is what it was at first soon after there is enough.
func TestWindowAfterPressure(t *testing.T) {
	now := mono.Time(time.Hour)
	pool := NewPool(4 << 20)
	c := NewConn(now, Params{MID: 7, Pool: pool})
	c.Add(now, 1)
	at := uint64(0)
	read := func() {
		now = now.Add(100 * time.Millisecond)
		if err := c.Receive(now, 1, AppendFrame(nil, &Frame{Type: FrameData, MID: 7, Offset: at, Payload: make([]byte, 1000)})); err != nil {
			t.Fatal(err)
		}
		at += 1000
		if n, err := c.Read(now, make([]byte, 2000)); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
	}
	read()
	if c.window != initialWindow {
		t.Fatalf("a window of %d", c.window)
	}
	var others []*[pieceBytes]byte
	for pool.fill() < poolPressure+0.1 {
		others = append(others, pool.get(true))
	}
	for range 10 {
		read()
	}
	if c.window != minWindow {
		t.Errorf("a window of %d while memory is short", c.window)
	}
	for _, b := range others {
		pool.put(b)
	}
	read()
	if c.window != initialWindow {
		t.Errorf("a window of %d after that", c.window)
	}
}
