package path

import (
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
)

// Congestion names the congestion control that the path should have: its own, or the tunnel's.
func (p *Path) Congestion() congestion.Kind {
	return p.Config.Use.Congestion.Or(p.TunnelCongestion).Or(congestion.UseBBR)
}

// ChooseCongestion changes the congestion control to the one the path should have, if that is another; tunnel is the choice
// for paths that have none of their own. What was known of the capacity goes over to the new one.
func (p *Path) ChooseCongestion(now mono.Time, tunnel congestion.Kind) {
	p.TunnelCongestion = tunnel
	if p.Congestion() == p.chosen {
		return
	}
	p.newController(now, p.Sent.RTT.Latest(), p.CC.Bandwidth())
}

// newestSent is when the last sent of the packets was sent; 0 if there are none.
func newestSent(packets []recovery.Packet) mono.Time {
	var newest mono.Time
	for i := range packets {
		newest = mono.Max(newest, packets[i].Sent)
	}
	return newest
}
