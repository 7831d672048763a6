package streams

import (
	"net"
	"slices"
	"sync"
)

// porch holds the connections that have not said who they are, maxStrangers at most. Those who are known say so at once, so
// that who is there for longest makes room: to keep a router out, others must come faster than its hello.
type porch struct {
	mu    sync.Mutex
	conns []net.Conn // oldest first
}

// enter lets one in.
func (p *porch) enter(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) >= maxStrangers {
		_ = p.conns[0].Close() // its reader does the rest
		p.conns = slices.Delete(p.conns, 0, 1)
	}
	p.conns = append(p.conns, conn)
}

// leave takes one out, if it is still there.
func (p *porch) leave(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.conns, conn); i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
	}
}
