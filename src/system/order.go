package system

import "github.com/vishvananda/netlink"

// Others is what else routes by policy on this system.
type Others struct {
	// MwanMask is the mask in which mwan3 marks packets; 0: it is not used. Its hooks leave alone what has all bits set.
	MwanMask uint32
	// Tailscale is the priority of tailscale's last rule, PBR that of pbr's last one; 0: none.
	Tailscale, PBR int
}

// Where others put their rules; see the lists of each program's manual or source.
const (
	tailscaleTable                = 52
	mwanFirst, mwanLast, mwanMask = 2001, 2060, 0x3f00
	pbrFirst, pbrLast, pbrMask    = 29000, 31000, 0x00ff0000
	ruleGap                       = 10 // between two rules of ours that follow each other
	lastPriority                  = 32766
)

// othersIn recognizes others by their rules.
func othersIn(rules []netlink.Rule) (o Others) {
	for _, r := range rules {
		if r.Protocol == Protocol {
			continue
		}
		var mask uint32
		if r.Mask != nil {
			mask = *r.Mask
		}
		switch {
		case r.Table == tailscaleTable:
			o.Tailscale = max(o.Tailscale, r.Priority)
		case r.Priority >= mwanFirst && r.Priority <= mwanLast && mask != 0 && r.Mark&^mask == 0:
			o.MwanMask = mask
		case r.Priority >= pbrFirst && r.Priority <= pbrLast && mask == pbrMask:
			o.PBR = max(o.PBR, r.Priority)
		}
	}
	return o
}

// among returns the numbers that suit what else runs.
//
//   - Alone, and beside mwan3: links at 900 and the LAN at 2500. That is behind mwan3's marks (2001..2060), so what the
//     user gave a policy there goes its way, and "use_policy default" is ours.
//   - Behind tailscale's rules (5210..5270): the tailnet stays reachable from the LAN.
//   - Behind pbr's (below 31000): its policies go first.
func (p Params) among(o Others) Params {
	p.ForeignMark = o.MwanMask
	if p.FixedOrder {
		return p
	}
	for _, last := range []int{o.Tailscale, o.PBR} {
		if last >= p.LANPriority && last+2*ruleGap < lastPriority {
			p.LANPriority = last + ruleGap
			p.TunPriority = last + 2*ruleGap
		}
	}
	return p
}

// StartingAt puts all rules at and behind one priority, whatever else runs.
func (p Params) StartingAt(priority int) Params {
	p.FixedOrder = true
	p.LinkPriority = priority
	p.LANPriority = priority + MaxLinks + 2*ruleGap
	p.TunPriority = p.LANPriority + ruleGap
	return p
}

// MaxPriority is the largest priority that StartingAt takes: all our rules stand before the main table's.
const MaxPriority = lastPriority - 1 - MaxLinks - 3*ruleGap

// Priorities of ours between the links' rules and the LAN's.
func (p Params) dnsPriority() int   { return p.LinkPriority + MaxLinks }
func (p Params) innerPriority() int { return p.LinkPriority + MaxLinks + 1 }

// latePriority is behind table main and table default: only what else would have no route comes there.
const latePriority = 32770
