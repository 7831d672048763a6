package system

import (
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"
)

// Server is the system's side of the remote role: peers' packets go out to the Internet and answers come back. A firewall
// of the host that drops forwarded packets is not dealt with. Not safe for concurrent use.
type Server struct {
	params  Params
	kernel  *kernel
	journal *Journal
}

// OpenServer removes what a killed daemon left and changes nothing else yet. Every change is logged as the command line
// that would make it.
func OpenServer(p Params, log *slog.Logger) (*Server, error) {
	k, j, err := openRole(p, log)
	if err != nil {
		return nil, err
	}
	return &Server{params: p, kernel: k, journal: j}, nil
}

// SetService gives the TUN its addresses, lets packets be forwarded between it and the uplinks, and translates source
// addresses if asked to. Uplinks that are not named are found by the default route; Neighbours are found if nil.
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
	return s.journal.Apply("service", s.params.planService(v))
}

// Repair puts back what somebody else removed.
func (s *Server) Repair() error { return s.journal.Repair() }

// Close takes everything back. The TUN may be closed before or after.
func (s *Server) Close() error {
	defer s.kernel.close()
	return s.journal.Undo()
}
