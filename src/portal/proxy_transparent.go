package portal

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"mpproxy/src/config"
	"mpproxy/src/socks"
	"mpproxy/src/system"
)

// transparent leads TCP connections of the LAN into a proxy: it listens on each LAN device, and nowhere else, and has the
// system redirect what the rules choose. It belongs to the server's goroutine.
type transparent struct {
	server *proxyServer
	lead   func(*system.Redirect) // tells the system
	open   map[leadPlace]*net.TCPListener
	told   *system.Redirect
}

// leadPlace is where connections of one family come in. A device that was made anew has another index.
type leadPlace struct {
	device string
	index  int
	ipv6   bool
}

// close takes no more connections; those that there are stay.
func (t *transparent) close() {
	if t == nil {
		return
	}
	t.tell(nil)
	for at, l := range t.open {
		_ = l.Close()
		delete(t.open, at)
	}
}

// look listens where it should, and tells the system.
func (t *transparent) look(ctx context.Context) {
	if t == nil || t.server.serverNow() == nil {
		return // it is not known yet who may use the proxy
	}
	byTPROXY := t.server.section.ByTPROXY
	wanted := leadPlaces(t.server.devices(), byTPROXY)
	for at, l := range t.open {
		if !slices.Contains(wanted, at) {
			_ = l.Close()
			delete(t.open, at)
		}
	}
	to := &system.Redirect{TPROXY: byTPROXY, Rules: redirectRules(t.server.rulesNow())}
	for _, at := range wanted {
		l := t.open[at]
		if l == nil {
			var err error
			if l, err = at.listen(ctx, byTPROXY); err != nil {
				t.server.complain(fmt.Sprintf("cannot take connections of %s: %v", at.device, err))
				continue
			}
			t.open[at] = l
			t.serve(ctx, at, l)
		}
		to.Places = append(to.Places, system.RedirectPlace{Device: at.device, IPv6: at.ipv6, Port: uint16(l.Addr().(*net.TCPAddr).Port)})
	}
	t.tell(to)
}

func (t *transparent) serve(ctx context.Context, at leadPlace, l *net.TCPListener) {
	s, original := t.server, socks.Redirected
	if s.section.ByTPROXY {
		original = socks.Untouched(uint16(l.Addr().(*net.TCPAddr).Port))
	}
	s.run.log.Info("taking connections of the LAN", "proxy", s.section.Name, "device", at.device, "ipv6", at.ipv6)
	s.serving.Go(func() {
		if err := s.serverNow().ServeIntercepted(ctx, l, original); err != nil {
			s.run.log.Warn("transparent proxy", "device", at.device, "err", err)
		}
	})
}

// tell tells the system what changed.
func (t *transparent) tell(to *system.Redirect) {
	if !reflect.DeepEqual(to, t.told) {
		t.told = to
		t.lead(to)
	}
}

// leadPlaces are the LAN's devices with the families they have. Redirection needs an address of the router's that the
// LAN can reach; TPROXY does not.
func leadPlaces(devices []string, byTPROXY bool) (list []leadPlace) {
	for _, name := range devices {
		device, err := net.InterfaceByName(name)
		if err != nil {
			continue
		}
		addrs, _ := addressesOf([]string{name})
		for _, v6 := range []bool{false, true} {
			has := slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Is6() == v6 })
			if has || byTPROXY && len(addrs) > 0 {
				list = append(list, leadPlace{name, device.Index, v6})
			}
		}
	}
	return list
}

// listen takes connections that come in by the device only.
func (at leadPlace) listen(ctx context.Context, byTPROXY bool) (*net.TCPListener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) {
			if err = unix.BindToDevice(int(fd), at.device); err != nil || !byTPROXY {
				return
			}
			level, name := unix.SOL_IP, unix.IP_TRANSPARENT
			if at.ipv6 {
				level, name = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
			}
			err = unix.SetsockoptInt(int(fd), level, name, 1)
		})
		if failed != nil {
			return failed
		}
		return err
	}}
	network, address := "tcp4", "0.0.0.0:0"
	if at.ipv6 {
		network, address = "tcp6", "[::]:0"
	}
	l, err := c.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// setRules changes what is led into the proxy, and reports whether that differs.
func (s *proxyServer) setRules(rules []config.Rule) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reflect.DeepEqual(s.rules, rules) {
		return false
	}
	s.rules = rules
	s.poke()
	return s.lead != nil
}

func (s *proxyServer) rulesNow() []config.Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rules
}

// redirectRules are the rules with target proxy, as the system wants them.
func redirectRules(rules []config.Rule) (list []system.RedirectRule) {
	for _, r := range rules {
		if !r.Enabled {
			continue
		}
		one := system.RedirectRule{Sources: r.SourceNets, MACs: r.SourceMACs, Destinations: r.Dest}
		for _, p := range r.Ports {
			one.Ports = append(one.Ports, [2]uint16{p.First, p.Last})
		}
		list = append(list, one)
	}
	return list
}
