package system

import (
	"fmt"
	"log/slog"
)

// Router is the system's side of the local role: links that stand alone, and the LAN's way into the tunnel. IPv6 of the
// LAN for which there is no inner IPv6 address is left as it is. Not safe for concurrent use.
type Router struct {
	params  Params
	kernel  *kernel
	journal *Journal
}

// OpenRouter removes what a killed daemon left and changes nothing else yet. Every change is logged as the command line
// that would make it.
func OpenRouter(p Params, log *slog.Logger) (*Router, error) {
	k, j, err := openRole(p, log)
	if err != nil {
		return nil, err
	}
	return &Router{params: p, kernel: k, journal: j}, nil
}

func openRole(p Params, log *slog.Logger) (*kernel, *Journal, error) {
	k, err := openKernel(p)
	if err != nil {
		return nil, nil, err
	}
	if err := k.cleanup(p, log); err != nil {
		log.Warn("could not remove all that an earlier run left", "error", err)
	}
	return k, newJournal(log, k.make), nil
}

// Resolve reads addresses, gateways and carrier of a link's device.
func (r *Router) Resolve(device string) (LinkState, error) { return r.kernel.resolve(device) }

// SetLink makes packets with the mark LinkMark(i) leave by the link. To be called again whenever its state changed: it
// touches what differs, and puts back what somebody removed.
func (r *Router) SetLink(i int, s LinkState) error {
	if i < 0 || i >= MaxLinks {
		return fmt.Errorf("set up link %s: number %d is not within 0..%d", s.Device, i, MaxLinks-1)
	}
	return r.journal.Apply(linkGroup(i), r.params.planLink(i, s))
}

// DropLink takes back all of SetLink.
func (r *Router) DropLink(i int) error { return r.journal.Apply(linkGroup(i), nil) }

func linkGroup(i int) string { return fmt.Sprintf("link %d", i) }

// SetTunnel gives the TUN its addresses and leads the LAN into it. To be called again when anything of it changes.
func (r *Router) SetTunnel(t Tunnel) error {
	return r.journal.Apply("tunnel", r.params.planTunnel(t))
}

// DropTunnel takes back all of SetTunnel: the LAN goes direct.
func (r *Router) DropTunnel() error { return r.journal.Apply("tunnel", nil) }

// Repair puts back what somebody else removed, as a restart of the network does.
func (r *Router) Repair() error { return r.journal.Repair() }

// Close takes everything back. The TUN may be closed before or after.
func (r *Router) Close() error {
	defer r.kernel.close()
	return r.journal.Undo()
}
