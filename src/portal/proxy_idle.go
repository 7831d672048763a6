package portal

import (
	"os"
	"runtime/debug"

	"mpproxy/src/park"
)

// proxyGC is how much garbage the runtime lets gather beside what is in use, in percent of that: connections that wait are much
// that stays, and what each of them needed at its begin would take as much again.
const proxyGC = 50

// idle is where proxied connections wait that carry nothing. It is made for the first of them; nil, and a goroutine waits with
// each, where the system does not allow it.
func (p *running) idle() *park.Lot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parking == nil && !p.crowded {
		lot, err := park.New()
		if err != nil {
			p.crowded = true
			p.log.Warn("idle proxied connections take more memory than they need", "err", err)
			return nil
		}
		p.parking = lot
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(proxyGC)
		}
		p.undo = append(p.undo, lot.Close)
	}
	return p.parking
}
