package portal

import (
	"errors"
	"net"
	"runtime"
	"testing"
)

func TestConnectionsEndWithTheUseOfTheirLink(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	var o overLinks
	device := "eth0"
	dial := func(link string) (net.Conn, error) {
		return o.dial(t.Context(), link, device, &net.Dialer{}, l.Addr().String())
	}
	ended := func(c net.Conn) bool { _, err := c.Write([]byte{1}); return errors.Is(err, net.ErrClosed) }
	dsl, err1 := dial("dsl")
	lte, err2 := dial("lte")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	o.hold("lte", true)
	if ended(dsl) || !ended(lte) {
		t.Errorf("ended: dsl %v, lte %v", ended(dsl), ended(lte))
	}
	if c, err := dial("lte"); err == nil || c != nil {
		t.Error("a link that is held is used")
	}
	o.hold("lte", false)
	if lte, err = dial("lte"); err != nil || ended(lte) {
		t.Error("it is not used again", err)
	}
	for range 3 * purgeFrom { // those that have ended are forgotten
		if c, err := dial("dsl"); err == nil {
			_ = c.Close()
		}
		if len(o.conns["dsl"])%purgeFrom == 0 {
			runtime.GC()
		}
	}
	if n := len(o.conns["dsl"]); n > 2*purgeFrom {
		t.Errorf("%d connections are remembered", n)
	}
	if ended(dsl) {
		t.Error("a connection ended that nobody ended")
	}
	o.hold("dsl", true)
	if !ended(dsl) {
		t.Error("one that is still used was forgotten")
	}
	if lte, err = dial("lte"); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"eth0", "eth0"} {
		if o.move("lte", to); ended(lte) {
			t.Error("a connection ended though the device is the same")
		}
	}
	if o.move("lte", "eth1"); !ended(lte) {
		t.Error("a connection stays on a device that is not the link's any more")
	}
	if c, err := dial("lte"); err == nil || c != nil {
		t.Error("it is tried again there")
	}
	device = "eth1"
	if c, err := dial("lte"); err != nil || ended(c) {
		t.Error("the new device is not used", err)
	}
	if c, err := (*overLinks)(nil).dial(t.Context(), "x", "eth0", &net.Dialer{}, l.Addr().String()); err != nil || c == nil {
		t.Error("nobody has to know", err)
	}
}
