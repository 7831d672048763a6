package portal

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/system"
)

// checkEvery is how often a packet is sent through the server for a check, beside when its firewall seems to have changed.
const checkEvery = 5 * time.Minute

// remoteSystem keeps addresses, forwarding and firewall of the server as they should be.
type remoteSystem struct {
	portal   *remote
	server   *system.Server
	changes  *system.Watch
	firewall *system.FirewallWatch
	work     chan func(ctx context.Context)
	ended    chan struct{} // nil until the task is started; closed when it ended
	service  system.Service
	advice   atomic.Pointer[[]string]
}

func newRemoteSystem(r *remote, server *system.Server) *remoteSystem {
	return &remoteSystem{portal: r, server: server, work: make(chan func(ctx context.Context))}
}

// String implements task.
func (s *remoteSystem) String() string { return "system" }

// Run implements task: it repairs what others changed, and checks now and then whether packets get through.
func (s *remoteSystem) Run(ctx context.Context) error {
	defer close(s.ended)
	s.check(ctx)
	again := time.NewTicker(checkEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			s.check(ctx)
		case f := <-s.work:
			f(ctx)
		case e := <-s.changes.Changes():
			if e.Kind == system.Changed {
				s.repair(ctx)
			}
		case <-s.firewall.Changes():
			s.repair(ctx)
		}
	}
}

// close takes everything back, after the task has ended: only one may touch the system.
func (s *remoteSystem) close() error {
	if s.ended != nil {
		<-s.ended
	}
	return s.server.Close()
}

// set makes the system as the configuration says. Only in the task, or before it runs.
func (s *remoteSystem) set(c *config.Config) error {
	service := serviceOf(c)
	if err := s.server.SetService(service); err != nil {
		return err
	}
	s.service = service
	return nil
}

// reload is set, in the task, if it makes a difference.
func (s *remoteSystem) reload(ctx context.Context, c *config.Config) (changed bool, err error) {
	done := make(chan struct{})
	f := func(ctx context.Context) {
		defer close(done)
		if changed = !reflect.DeepEqual(serviceOf(c), s.service); changed {
			err = s.set(c)
			s.check(ctx)
		}
	}
	select {
	case s.work <- f:
		<-done
		return changed, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (s *remoteSystem) repair(ctx context.Context) {
	if err := s.server.Repair(); err != nil {
		s.portal.run.log.Warn("repair routing and firewall", "err", err)
	}
	if s.server.Moved() {
		s.check(ctx)
	}
}

// check sends a packet through this machine and tells people when it does not get out again.
func (s *remoteSystem) check(ctx context.Context) {
	ok4, ok6, err := s.server.CheckThrough(func(p []byte) error { return s.inject(ctx, p) })
	if err != nil {
		s.portal.run.log.Debug("could not check the way through this server", "err", err)
	}
	var advice []string
	if err == nil && !(ok4 && ok6) {
		if advice = s.server.Advice(); len(advice) == 0 {
			family := "IPv4"
			if ok4 {
				family = "IPv6"
			}
			advice = []string{"a firewall of this server drops what the routers send (" + family + "), in rules that mpproxy does not know"}
		}
	}
	if old := s.advice.Swap(&advice); old == nil && len(advice) > 0 || old != nil && !slices.Equal(*old, advice) {
		for _, line := range advice {
			s.portal.run.log.Warn(line)
		}
		if len(advice) == 0 {
			s.portal.run.log.Info("packets get through this server's firewall again")
		}
	}
}

// toldAdvice is what people should do about the firewall. Safe for concurrent use.
func (s *remoteSystem) toldAdvice() []string {
	if a := s.advice.Load(); a != nil {
		return *a
	}
	return nil
}

// inject gives a packet to the TUN as if a router had sent it.
func (s *remoteSystem) inject(ctx context.Context, p []byte) error {
	shared := s.portal.run.shared
	b := shared.pool.Get()
	if b == nil {
		return errors.New("no buffer")
	}
	b.Set(p)
	batch := shared.given.Get().(*tunBatch)
	batch.bufs = append(batch.bufs[:0], b)
	select {
	case shared.toTUN <- batch:
		return nil
	case <-ctx.Done():
		b.Release()
		return ctx.Err()
	}
}

// serviceOf translates a configuration for the system.
func serviceOf(c *config.Config) system.Service {
	portal := c.Portal
	s := system.Service{
		Device: portal.Device, MTU: innerMTU(c), NAT: portal.Remote.Mode == config.ModeNAT, Isolate: portal.Remote.Isolate,
		AllowPrivate: portal.Remote.AllowPrivate,
		Addresses:    append([]netip.Prefix{portal.Remote.Address}, portal.Remote.Address6...), Uplink4: portal.Remote.Interface,
	}
	if len(portal.Remote.Address6) > 0 {
		s.Uplink6 = portal.Remote.Interface
	}
	for _, b := range portal.Remote.BlockPort {
		s.Blocked = append(s.Blocked, system.Ports{Proto: b.Protocol, First: b.First, Last: b.Last})
	}
	for _, at := range portal.Remote.Listen {
		s.Listen = append(s.Listen, system.Ports{Proto: "udp", First: at.Port(), Last: at.Port()}, system.Ports{Proto: "tcp", First: at.Port(), Last: at.Port()})
	}
	peers := c.EnabledPeers()
	for _, p := range peers {
		one := system.ServicePeer{Owned: ownedBy(c, p), AllowPrivate: p.AllowPrivate}
		for _, other := range peers {
			if slices.Contains(p.Reach, other.Name) {
				one.Reach = append(one.Reach, ownedBy(c, other)...)
			}
		}
		s.Peers = append(s.Peers, one)
	}
	return s
}
