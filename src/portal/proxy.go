package portal

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/config"
	"mpproxy/src/mpp"
	"mpproxy/src/socks"
	"mpproxy/src/stats"
)

const (
	// mppLabel names the export of the session's keys that multipath streams are keyed with.
	mppLabel = "mpproxy mpp"
	// streamPool is the memory of all streams on a router, streamPoolServer on a server; streamShare is the most of the
	// machine's memory that it may be.
	streamPool       = 32 * mebibyte
	streamPoolServer = 256 * mebibyte
	streamShare      = 8
	// proxyLook is how often the proxy looks whether the LAN's addresses have changed.
	proxyLook = 2 * time.Second
	// proxyPort is where programs expect SOCKS.
	proxyPort = 1080
)

// streamMemory is the memory of streams, beside that of packets: most at most.
func streamMemory(most int64) int64 { return min(most, machineMemory()/streamShare) }

// newStreamPool makes the memory of streams.
func (p *running) newStreamPool(most int64) *mpp.Pool {
	p.allowStreams(most)
	return mpp.NewPool(int(streamMemory(most)))
}

// allowStreams lets this program have the memory of streams.
func (p *running) allowStreams(most int64) {
	most = streamMemory(most)
	debug.SetMemoryLimit(p.memory.goLimit + most + most/4)
}

// proxyServer is one socks section, running.
type proxyServer struct {
	run       *running
	section   config.SOCKS
	connector socks.Connector
	guard     socks.Guard
	guardUDP  socks.Guard // nil: the same
	names     socks.NameGuard
	devices   func() []string // of the LAN
	listenUDP func() (*net.UDPConn, error)
	way       func() uint64 // of datagrams
	resolve   func(ctx context.Context, name string) ([]netip.Addr, error)
	links     func() []string // devices that lead to the Internet
	cancel    context.CancelFunc
	done      chan struct{}
	mu        sync.Mutex        // guards what follows
	users     map[string]string // nil: no authentication
	server    *socks.Server
	open      map[netip.AddrPort]*net.TCPListener
	retired   bool
	rules     []config.Rule
	said      string
	few       int            // as said in the log; 0: as many as configured
	lead      *transparent   // nil: not transparent; Run's
	fresh     chan struct{}  // what it depends on may have changed
	serving   sync.WaitGroup // of listeners, until their last client has gone
}

// String names the task in logs.
func (s *proxyServer) String() string { return "proxy " + s.section.Name }

// Run listens at the LAN's addresses, also at those that come later. After retire it goes on until the last client has gone.
func (s *proxyServer) Run(ctx context.Context) error {
	defer s.serving.Wait()
	tick := time.NewTicker(proxyLook)
	defer tick.Stop()
	for {
		places := s.places()
		for _, at := range places {
			s.listen(ctx, at)
		}
		if s.isRetired() {
			s.lead.close()
			return nil
		}
		s.lead.look(ctx)
		select {
		case <-tick.C:
		case <-s.fresh:
		case <-ctx.Done():
			s.lead.close()
			return nil
		}
	}
}

// listen opens a place unless it is open.
func (s *proxyServer) listen(ctx context.Context, at netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[at] != nil || s.retired {
		return
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		s.complain(fmt.Sprintf("cannot listen at %s: %v", at, err))
		return
	}
	s.run.log.Info("proxy for programs", "name", s.section.Name, "at", at)
	s.open[at] = l
	server := s.server
	s.serving.Go(func() {
		if err := server.Serve(ctx, l); err != nil {
			s.run.log.Warn("proxy", "at", at, "err", err)
		}
		s.mu.Lock()
		delete(s.open, at)
		s.mu.Unlock()
	})
}

// retire takes no more clients, from now on; those that there are stay.
func (s *proxyServer) retire() {
	s.mu.Lock()
	s.retired = true
	for _, l := range s.open {
		_ = l.Close()
	}
	s.mu.Unlock()
	s.poke()
}

func (s *proxyServer) isRetired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retired
}

// poke has it look at once.
func (s *proxyServer) poke() {
	select {
	case s.fresh <- struct{}{}:
	default:
	}
}

func (s *proxyServer) complain(text string) {
	if text != s.said {
		s.said = text
		s.run.log.Warn("proxy "+s.section.Name, "err", text)
	}
}

// serverNow is the server, nil before the LAN's networks are known.
func (s *proxyServer) serverNow() *socks.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// places are where to listen; it makes the server once it is known who may use it, and tells it of the LAN's other networks later.
func (s *proxyServer) places() []netip.AddrPort {
	addrs, nets := addressesOf(s.devices())
	if len(s.section.Allow) > 0 {
		nets = s.section.Allow
	}
	at := s.section.Listen
	if len(at) == 0 {
		for _, a := range addrs {
			at = append(at, netip.AddrPortFrom(a, proxyPort))
		}
	}
	if !s.section.AllowWAN {
		outside, _ := addressesOf(s.links())
		at = slices.DeleteFunc(slices.Clone(at), func(a netip.AddrPort) bool {
			if slices.Contains(outside, a.Addr()) {
				s.complain(fmt.Sprintf("%s is an address towards the Internet: not listening there without allow_wan '1'", a))
				return true
			}
			return false
		})
	} else if len(s.section.Allow) == 0 && s.section.AuthUser {
		nets = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	if len(nets) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		o := s.options(nets)
		o.Users = s.users
		s.server = socks.NewServer(o)
	} else {
		s.server.SetAllow(nets)
		s.server.SetMax(s.most()) // the configuration, or the system's limit, may be another one
	}
	return at
}

const (
	// filesElse are the open files that are left for all but proxied connections.
	filesElse = 256
	// filesLeast are those that a connection may have in any case: two sockets. One over several links has one for each instead
	// of the second.
	filesLeast = 2
	// pipesShare is the most of the files that pipes between connections may be.
	pipesShare = 8
)

// most is how many clients there may be: fewer than configured where the system allows fewer open files, which the rest of
// the program needs, too. With the lock held.
func (s *proxyServer) most() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return s.section.MaxConnections
	}
	cfg := s.run.configuration()
	most := mostClients(s.section.MaxConnections, limit.Cur, filesEach(cfg)*sections(cfg))
	few := 0
	if most < s.section.MaxConnections {
		few = most
	}
	if few != s.few && few > 0 {
		s.run.log.Warn("fewer proxied connections than max_connections allows: the limit of open files is too low", "connections", most, "open_files", limit.Cur)
	}
	s.few = few
	return most
}

// filesEach is how many files a connection may have: its client's and those of the subflows of the route that has most.
func filesEach(cfg *config.Config) int {
	each := filesLeast
	for _, r := range cfg.Routes {
		subflows := 0
		for _, v := range r.Via {
			subflows += min(v.Weight, maxSubflowsVia)
		}
		if len(r.Via) == 0 {
			subflows = len(cfg.EnabledLinks())
		}
		each = max(each, 1+subflows)
	}
	return each
}

// sections is how many proxies share the files, at least 1.
func sections(cfg *config.Config) (n int) {
	for _, s := range cfg.SOCKS {
		if s.Enabled {
			n++
		}
	}
	return max(n, 1)
}

// mostClients is how many clients of so many files each fit beside the rest.
func mostClients(wanted int, files uint64, each int) int {
	all := int(min(files, 1<<30))
	left := max(all-filesElse-min(2*socks.MaxPipes, all/pipesShare), filesElse)
	return min(wanted, max(left/each, 1)) // 0 would be no limit
}

func (s *proxyServer) options(nets []netip.Prefix) socks.Options {
	return socks.Options{
		Allow: nets, Connector: s.connector, Guard: s.guard, GuardUDP: s.guardUDP, Bind: s.section.Bind, UDP: s.section.UDP,
		MaxConnections: s.most(), Idle: s.section.IdleTimeout, ListenUDP: s.listenUDP, Names: s.names, Way: s.way, Resolve: s.resolve,
		Kernel: s.run.kernelRelay(s.section.MaxConnections), Lot: s.run.idle(),
	}
}

// addTo adds the server's sums to a status. Safe for concurrent use.
func (s *proxyServer) addTo(out *stats.Proxy) {
	server := s.serverNow()
	if server == nil {
		return
	}
	n := server.Counts()
	out.Clients += int(n.Active)
	out.Accepted += n.Accepted
	out.RefusedStrangers += n.Strangers
	out.RefusedTooMany += n.TooMany
	out.RefusedUsers += n.WrongUsers
	out.BadRequests += n.BadRequests
	out.Connects += n.Connects
	out.Binds += n.Binds
	out.Associations += n.Associations
	out.Failed += n.Failed
	out.Intercepted += n.Intercepted
	out.DroppedDatagrams += n.DroppedDatagrams
	out.UpBytes += n.UpBytes
	out.DownBytes += n.DownBytes
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.open {
		if !s.retired {
			out.Listen = append(out.Listen, at.String())
		}
	}
}

// addressesOf returns the addresses of devices that exist, and their networks; those of a link alone are left out.
func addressesOf(devices []string) (addrs []netip.Addr, nets []netip.Prefix) {
	for _, name := range devices {
		device, err := net.InterfaceByName(name)
		if err != nil {
			continue
		}
		list, _ := device.Addrs()
		for _, a := range list {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || p.Addr().IsLinkLocalUnicast() {
				continue
			}
			addrs, nets = append(addrs, p.Addr().Unmap()), append(nets, p.Masked())
		}
	}
	return addrs, nets
}
