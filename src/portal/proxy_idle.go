package portal

import "mpproxy/src/park"

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
		p.undo = append(p.undo, lot.Close)
	}
	return p.parking
}
