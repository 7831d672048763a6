package socks

import (
	"io"
	"testing"
	"time"
)

// TestNoMorePipes: while all pipes are in use bytes are copied, and once there are some again they are spliced.
func TestNoMorePipes(t *testing.T) {
	_, at := start(t, nil)
	pipesOut.Add(MaxPipes)
	taken := true
	free := func() {
		if taken {
			pipesOut.Add(-MaxPipes)
		}
		taken = false
	}
	defer free()
	if _, err := takePipe(); err == nil {
		t.Fatal("one more was made")
	}
	c, err := through(t, at, "", "", FromAddrPort(echo(t, "127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	const half = 1 << 20
	done := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, c)
		done <- n
	}()
	before := copied(t)
	for range 16 {
		if _, err := c.Write(make([]byte, half/16)); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Millisecond) // it is on its way before there are pipes again
	}
	free()
	if _, err := c.Write(make([]byte, half)); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if n := <-done; n != 2*half {
		t.Errorf("%d bytes came back", n)
	}
	// The echo and this test read every byte once each way.
	if through := copied(t) - before - 4*half; through < half/10 || through > 2*half {
		t.Errorf("%d bytes were copied", through)
	}
}
