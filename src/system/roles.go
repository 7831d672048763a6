package system

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Router is the system's side of the local role: links that stand alone, the LAN's way into the tunnel, and the guard of
// the kill switch. Not safe for concurrent use.
type Router struct {
	base    Params // as asked for
	params  Params // with the order of rules that suits what else runs
	kernel  *kernel
	journal *Journal
	log     *slog.Logger
	links   map[int]LinkState
	tunnel  *Tunnel
	circle  bool // the router's own traffic is left out, and that was said

	multipath *Multipath
}

// OpenRouter removes what a killed daemon left, but for the guard, and changes nothing else yet. Every change is logged as
// the command line that would make it.
func OpenRouter(p Params, log *slog.Logger) (*Router, error) {
	k, j, err := openRole(p, log)
	if err != nil {
		return nil, err
	}
	r := &Router{base: p, params: p, kernel: k, journal: j, log: log, links: map[int]LinkState{}}
	_, err = r.Adapt(0)
	return r, err
}

func openRole(p Params, log *slog.Logger, keep ...string) (*kernel, *Journal, error) {
	k, err := openKernel(p)
	if err != nil {
		return nil, nil, err
	}
	if err := k.cleanup(p, log, keep...); err != nil {
		log.Warn("could not remove all that an earlier run left", "error", err)
	}
	return k, newJournal(log, k.make), nil
}

// Adapt looks what else routes by policy here, and moves our rules where they suit it. mwanMask is mwan3's mask if it is
// known to be installed, else 0. It reports whether SocketMark changed: sockets must be opened again then.
func (r *Router) Adapt(mwanMask uint32) (changed bool, err error) {
	var all Others
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := r.kernel.listRules(family)
		if err != nil && (family == unix.AF_INET || !noIPv6(err)) {
			return false, fmt.Errorf("look what else routes here: %w", err)
		}
		o := othersIn(rules)
		all = Others{max(all.MwanMask, o.MwanMask), max(all.Tailscale, o.Tailscale), max(all.PBR, o.PBR)}
	}
	if mwanMask != 0 {
		all.MwanMask = mwanMask
	}
	if all.MwanMask&r.base.MarkMask != 0 {
		r.log.Warn("mwan3's mask takes bits of ours: choose another mark", "mwan3", fmt.Sprintf("%#x", all.MwanMask), "ours", fmt.Sprintf("%#x", r.base.MarkMask))
		all.MwanMask = 0
	}
	next := r.base.among(all)
	if next == r.params {
		return false, nil
	}
	changed = next.ForeignMark != r.params.ForeignMark
	r.log.Info("others route by policy here too", "mwan3", fmt.Sprintf("%#x", all.MwanMask), "tailscale", all.Tailscale, "pbr", all.PBR, "lan_priority", next.LANPriority)
	r.params = next
	return changed, r.applyAll()
}

// SocketMark is what the sockets of link i carry.
func (r *Router) SocketMark(i int) uint32 { return r.params.LinkMark(i) | r.params.ForeignMark }

// Resolve reads addresses, gateways and carrier of a link's device.
func (r *Router) Resolve(device string) (LinkState, error) { return r.kernel.resolve(device) }

// SetLink makes packets with the mark LinkMark(i) leave by the link. To be called again whenever its state changed: it
// touches what differs, and puts back what somebody removed.
func (r *Router) SetLink(i int, s LinkState) error {
	if i < 0 || i >= MaxLinks {
		return fmt.Errorf("set up link %s: number %d is not within 0..%d", s.Device, i, MaxLinks-1)
	}
	r.links[i] = s
	return errors.Join(r.applyLink(i), r.applyCommon())
}

// DropLink takes back all of SetLink.
func (r *Router) DropLink(i int) error {
	delete(r.links, i)
	return errors.Join(r.journal.Apply(linkGroup(i), nil), r.applyCommon())
}

func linkGroup(i int) string { return fmt.Sprintf("link %d", i) }

// Groups of the journal beside the links'.
const (
	tunnelGroup = "tunnel"
	commonGroup = "links together"
	ownGroup    = "own traffic"
	dnsGroup    = "dns"
	guardGroup  = "guard"
)

func (r *Router) applyLink(i int) error {
	return r.journal.Apply(linkGroup(i), r.params.planLink(i, r.links[i]))
}

// applyCommon makes what depends on all links and on the tunnel.
func (r *Router) applyCommon() error {
	var t Tunnel
	if r.tunnel != nil {
		t = *r.tunnel
	}
	marks := r.params.planMarks(r.links, t.LAN, t.Device, t.filtered)
	var own []Object
	if circle := t.Own && slices.ContainsFunc(slices.Collect(maps.Values(r.links)), func(l LinkState) bool { return l.Tunnel }); t.Own && !circle {
		own = r.params.planOwn(r.links, t)
	} else if circle != r.circle {
		r.circle = circle
		if circle {
			r.log.Warn("router_traffic is left out: a link is a tunnel itself, and its packets would go in circles")
		}
	}
	return errors.Join(r.journal.Apply(commonGroup, marks), r.journal.Apply(ownGroup, own), r.applyMultipath())
}

func (r *Router) applyTunnel() error {
	t := *r.tunnel
	var dns []Object
	if t.DNS != nil {
		dns = r.params.planDNS(t)
	}
	return errors.Join(r.journal.Apply(tunnelGroup, r.params.planTunnel(t)), r.applyCommon(), r.journal.Apply(dnsGroup, dns))
}

func (r *Router) applyAll() error {
	var errs []error
	for _, i := range slices.Sorted(maps.Keys(r.links)) {
		errs = append(errs, r.applyLink(i))
	}
	if r.tunnel != nil {
		errs = append(errs, r.applyTunnel())
	} else {
		errs = append(errs, r.applyCommon())
	}
	return errors.Join(errs...)
}

// SetTunnel gives the TUN its addresses and leads the LAN into it. To be called again when anything of it changes.
func (r *Router) SetTunnel(t Tunnel) error {
	t.filtered, t.noIPv6 = r.kernel.filtered(t.Device), !r.kernel.hasIPv6()
	r.tunnel = &t
	return r.applyTunnel()
}

// DropTunnel takes back all of SetTunnel: the LAN and its look-ups go direct, unless there is a guard.
func (r *Router) DropTunnel() error {
	r.tunnel = nil
	return errors.Join(r.journal.Apply(dnsGroup, nil), r.journal.Apply(tunnelGroup, nil), r.applyCommon())
}

// SetGuard puts the guard of the kill switch up, or changes it; nil takes it away. It outlives the router, and is kept up
// by Repair until then.
func (r *Router) SetGuard(g *Guard) error {
	if g == nil {
		return errors.Join(r.journal.Apply(guardGroup, nil), r.kernel.removeTable(r.params.GuardTable))
	}
	plain, held := r.params.planGuard(*g)
	return r.journal.Apply(guardGroup, []Object{plain, held})
}

// Repair puts back what somebody else removed, as a restart of the network does.
func (r *Router) Repair() error { return r.journal.Repair() }

// Close takes everything back but the guard. The TUN may be closed before or after.
func (r *Router) Close() error {
	defer r.kernel.close()
	return r.journal.Undo()
}
