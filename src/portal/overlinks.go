package portal

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"weak"

	"mpproxy/src/park"
)

// overLinks knows the proxy's connections over each link, so that they end when the link is not to be used any more: a
// transfer over several links goes on over the others. Its zero value is ready; safe for concurrent use.
type overLinks struct {
	mu    sync.Mutex
	held  map[string]bool
	at    map[string]string                    // the device of each link that was found
	conns map[string][]weak.Pointer[park.Conn] // who has one closes it; this only knows of those that still are
	purge map[string]int                       // the number from which on the closed ones are looked for
}

// purgeFrom is the least number of connections of a link at which it is looked whether they still are.
const purgeFrom = 64

// dial connects over a link that is not held, and has this device.
func (o *overLinks) dial(ctx context.Context, link, device string, d *net.Dialer, to string) (net.Conn, error) {
	if o == nil {
		return d.DialContext(ctx, "tcp", to)
	}
	if !o.allows(link, device) {
		return nil, fmt.Errorf("connect over %s: it is paused, its data cap is used up, or %s is not its device any more", link, device)
	}
	conn, err := d.DialContext(ctx, "tcp", to)
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, err
	}
	held := park.NewConn(tcp)
	if !o.add(link, device, held) {
		_ = held.Close()
		return nil, fmt.Errorf("connect over %s: it is not used any more", link)
	}
	return held, nil
}

func (o *overLinks) allows(link, device string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.allowed(link, device)
}

// allowed is allows with the lock held.
func (o *overLinks) allowed(link, device string) bool {
	at, found := o.at[link]
	return !o.held[link] && (!found || at == device)
}

// add notes a connection; false: the link was held meanwhile, or has another device.
func (o *overLinks) add(link, device string, conn *park.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.allowed(link, device) {
		return false
	}
	if o.conns == nil {
		o.conns, o.purge = make(map[string][]weak.Pointer[park.Conn]), make(map[string]int)
	}
	o.conns[link] = append(o.conns[link], weak.Make(conn))
	if len(o.conns[link]) > max(purgeFrom, o.purge[link]) {
		o.conns[link] = slices.DeleteFunc(o.conns[link], func(p weak.Pointer[park.Conn]) bool { return p.Value() == nil })
		o.purge[link] = 2 * len(o.conns[link])
	}
	return true
}

// hold ends a link's connections and lets none begin, or lets them begin again.
func (o *overLinks) hold(link string, held bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !held {
		delete(o.held, link)
		return
	}
	if o.held == nil {
		o.held = make(map[string]bool)
	}
	o.held[link] = true
	o.end(link)
}

// move ends a link's connections if it has another device now; "" is none.
func (o *overLinks) move(link, device string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, found := o.at[link]; found && at != device {
		o.end(link)
	}
	if o.at == nil {
		o.at = make(map[string]string)
	}
	o.at[link] = device
}

// end ends a link's connections; with the lock held.
func (o *overLinks) end(link string) {
	for _, p := range o.conns[link] {
		if conn := p.Value(); conn != nil {
			_ = conn.Close()
		}
	}
	delete(o.conns, link)
	delete(o.purge, link)
}
