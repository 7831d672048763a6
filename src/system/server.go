package system

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/sys/unix"
)

// Server is the system's side of the remote role: peers' packets go out to the Internet and answers come back, also
// through a firewall of the host. Not safe for concurrent use.
type Server struct {
	params  Params
	kernel  *kernel
	journal *Journal
	log     *slog.Logger
	service Service
	set     bool
	way     wayIn
	advice  []string
	seen    string // of the host's firewall
	moved   bool
	// stale: the nft table that a killed daemon left is still there, if there was one. Without any translation the kernel takes
	// peers' connections for its own, and resets them; so it is replaced at once by the next one.
	stale bool
}

// OpenServer removes what a killed daemon left, but the nft table, which SetService or Close does, and changes nothing else yet. Every change is logged as the command line
// that would make it.
func OpenServer(p Params, log *slog.Logger) (*Server, error) {
	k, j, err := openRole(p, log, p.NFTable)
	if err != nil {
		return nil, err
	}
	return &Server{params: p, kernel: k, journal: j, log: log, stale: true}, nil
}

// SetService gives the TUN its addresses, lets packets be forwarded between it and the uplinks, and translates source
// addresses if asked to. A network that is another device's already is refused. Uplinks that are not named are found by the default route; Neighbours are found if nil. To be
// called again when anything of it changes: only what differs is touched.
func (s *Server) SetService(v Service) (err error) {
	if v.Uplink4 == "" {
		if v.Uplink4, err = s.kernel.uplink(unix.AF_INET); err != nil {
			return err
		}
	}
	if v.Uplink6 == "" {
		if v.Uplink6, err = s.kernel.uplink(unix.AF_INET6); err != nil {
			return err
		}
	}
	if v.Neighbours == nil {
		if v.Neighbours, err = s.kernel.neighbours(v.Device); err != nil {
			return fmt.Errorf("list devices: %w", err)
		}
	}
	if err := s.kernel.overlap(v.Device, v.Addresses); err != nil {
		return err
	}
	s.service, s.set = v, true
	if err := s.journal.Apply("service", s.params.planService(v)); err != nil {
		return err
	}
	return s.setFirewall(true)
}

// setFirewall looks where the host's rules live, and puts ours there. Without force it does so only if that changed.
func (s *Server) setFirewall(force bool) error {
	found, err := s.kernel.hostFirewall(s.params)
	if err != nil {
		s.log.Warn("could not see all of this server's firewall", "err", err)
	}
	if now := fmt.Sprint(found); now != s.seen {
		s.seen, s.moved = now, true
	}
	way := chooseWayIn(found)
	if !force && way.equal(s.way) {
		return nil
	}
	s.kernel.refused = nil
	if err := s.journal.Apply("firewall", s.params.planFirewall(s.service, way)); err != nil {
		if s.kernel.xt.giveUp(err) {
			return s.setFirewall(true)
		}
		return err
	}
	if err := s.dropStale(); err != nil {
		return err
	}
	s.way = way
	s.advice = way.advice(s.service.Device, s.listening())
	if len(s.kernel.refused) > 0 {
		s.advice = append(s.advice, fmt.Sprintf("firewalld takes no orders from this service; as root run once: %s (with --permanent to keep it)",
			strings.Join(s.kernel.refused, "; ")))
	}
	return nil
}

// dropStale removes the table that was left, if ours has not taken its place.
func (s *Server) dropStale() error {
	if !s.stale {
		return nil
	}
	s.stale = false
	if s.journal.has(NFTable{Name: s.params.NFTable}) {
		return nil
	}
	return s.kernel.removeTable(s.params.NFTable)
}

func (s *Server) listening() (ports []string) {
	for _, p := range s.service.Listen {
		for _, proto := range p.protocols() {
			ports = append(ports, Ports{proto, p.First, p.Last}.String())
		}
	}
	return ports
}

// Advice is what the owner of this server's firewall has to add, one sentence each: chains that drop what they do not
// know, and in which we have no hand. See Check for whether it is so.
func (s *Server) Advice() []string { return s.advice }

// Moved reports whether the host's firewall looked different since the last call.
func (s *Server) Moved() bool {
	moved := s.moved
	s.moved = false
	return moved
}

// Repair puts back what somebody else removed, and follows the host's firewall when that moved.
func (s *Server) Repair() error {
	var errs []error
	if s.set {
		errs = append(errs, s.setFirewall(false))
	}
	return errors.Join(append(errs, s.journal.Repair())...)
}

// Close takes everything back. The TUN may be closed before or after.
func (s *Server) Close() error {
	defer s.kernel.close()
	return errors.Join(s.journal.Undo(), s.dropStale())
}
