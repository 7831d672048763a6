package portal

import (
	"errors"
	"fmt"
	"net/netip"
	"os/user"
	"slices"
	"strconv"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/wire"
	"mpproxy/src/system"
)

// derive follows what is wanted for the tunnel.
func (s *localSystem) derive() {
	s.tunnel.Own, s.tunnel.IPv6 = s.want.Local.RouterTraffic, ipv6Policy(s.want.Local.IPv6)
	s.tunnel.LAN = s.places.devices(s.wans.devices(s.want.Local.LAN))
}

// rewant applies other options of the portal, and says which.
func (s *localSystem) rewant(next config.Portal) (changes []string, err error) {
	changes = otherWishes(s.want, next)
	s.want = next
	if len(changes) == 0 {
		return nil, nil
	}
	s.derive()
	err = s.guard()
	if s.set && !s.direct {
		s.setTunnel()
	}
	return changes, err
}

// otherWishes are the options of the system task that differ.
func otherWishes(old, next config.Portal) (changes []string) {
	for _, o := range []struct {
		name string
		same bool
	}{
		{"LAN devices", slices.Equal(old.Local.LAN, next.Local.LAN)}, {"kill_switch", old.Local.KillSwitch == next.Local.KillSwitch},
		{"dns", old.Local.DNS == next.Local.DNS && slices.Equal(old.DNSServers, next.DNSServers)},
		{"ipv6", old.Local.IPv6 == next.Local.IPv6}, {"router_traffic", old.Local.RouterTraffic == next.Local.RouterTraffic},
	} {
		if !o.same {
			changes = append(changes, o.name)
		}
	}
	return changes
}

func ipv6Policy(p config.IPv6) system.IPv6Policy {
	switch p {
	case config.IPv6Reject:
		return system.IPv6Reject
	case config.IPv6Direct:
		return system.IPv6Direct
	}
	return system.IPv6Tunnel
}

// sourcePlaces finds the devices of the names in rules' option src: zones of the firewall, interfaces or devices; nil if there are none.
func (s *localSystem) sourcePlaces(rules []config.Rule) (places map[string][]string) {
	for _, r := range rules {
		if r.Source == "" {
			continue
		}
		if places == nil {
			places = map[string][]string{}
		}
		of, zone := s.places.network.Zone(r.Source)
		if !zone {
			of = []string{r.Source}
		}
		places[r.Source] = s.places.devices(s.wans.devices(of))
	}
	return places
}

// relocate looks whether the LAN is behind other devices now.
func (s *localSystem) relocate() {
	places := s.sourcePlaces(s.portal.run.configuration().RulesFor(config.TargetTunnel))
	s.portal.run.shared.do(s.portal.run.group.ctx, func(mono.Time) { s.portal.place(places) })
	lan := s.places.devices(s.wans.devices(s.want.Local.LAN))
	if slices.Equal(lan, s.tunnel.LAN) {
		return
	}
	s.log.Info("the LAN is behind other devices now", "devices", lan)
	s.tunnel.LAN = lan
	if err := s.guard(); err != nil {
		s.log.Error("change the kill switch's guard", "err", err)
	}
	if s.set && !s.direct {
		s.setTunnel()
	}
}

// guard puts the kill switch's guard up or takes it away, as configured.
func (s *localSystem) guard() error {
	if !s.want.Local.KillSwitch {
		return s.router.SetGuard(nil)
	}
	if s.want.Local.IPv6 == config.IPv6Direct {
		s.log.Warn("kill_switch '1' holds IPv6 too, so that ipv6 'direct' lets nothing out")
	}
	g := holding(config.Switch{Device: s.tunnel.Device, DNS: s.want.Local.DNS}, s.tunnel.LAN)
	if err := s.router.SetGuard(&g); err != nil {
		return fmt.Errorf("put up the kill switch's guard: %w", err)
	}
	return nil
}

// nameServerUser finds the user whose look-ups are the LAN's: dnsmasq's.
func nameServerUser() (uid int, ok bool) {
	u, err := user.Lookup("dnsmasq")
	if err != nil {
		return 0, false
	}
	uid, err = strconv.Atoi(u.Uid)
	return uid, err == nil && uid > 0
}

// session is told by the loop whether there is one.
func (s *localSystem) session(up bool) {
	s.post(func() {
		if !up && s.up.Load() {
			now := time.Now()
			s.lost.Store(&now)
		}
		s.up.Store(up)
		s.since = time.Now()
		if up && s.direct {
			s.direct = false
			s.setTunnel()
		}
	})
}

// configure is told by the loop what the server wants the inside to be.
func (s *localSystem) configure(c wire.SessionConfig, mtu int) {
	s.post(func() {
		s.tunnel.MTU = mtu
		s.tunnel.Addresses = nil
		for _, a := range []netip.Prefix{c.Address4, c.Address6} {
			if a.IsValid() {
				s.tunnel.Addresses = append(s.tunnel.Addresses, a)
			}
		}
		s.offered = c.DNS
		if err := s.router.Overlaps(s.tunnel); err != nil {
			s.refuse(err)
			return
		}
		s.refused.Store(nil)
		s.set = true
		s.setTunnel()
	})
}

// post hands f to the system task without waiting; the queue is longer than what can be outstanding.
func (s *localSystem) post(f func()) {
	select {
	case s.config <- f:
	default:
		go func() { s.config <- f }()
	}
}

func (s *localSystem) setTunnel() {
	var dns error
	s.tunnel.DNS, dns = s.lookUps(nameServerUser)
	if said := s.remarks(dns); said != s.said {
		s.said = said
		if said != "" {
			s.log.Warn(said)
		}
	}
	if err := s.router.SetTunnel(s.tunnel); err != nil {
		s.broken = true
		s.log.Error("set up the tunnel's addresses and routes", "err", err)
	}
}

// lookUps decides what becomes of the router's look-ups; the error says why they stay as they are against the
// configuration. asker finds the user whose they are.
func (s *localSystem) lookUps(asker func() (uid int, ok bool)) (*system.DNS, error) {
	portal := s.want
	if portal.Local.DNS != config.DNSTunnel {
		return nil, nil
	}
	uid, ok := asker()
	if !ok {
		return nil, errors.New("there is no user dnsmasq here")
	}
	servers := portal.DNSServers
	if len(servers) == 0 {
		servers = s.offered
	}
	// Without a resolver there the queries would go to the provider's, which answers nobody but its customers. With the
	// kill switch that is still better than to tell it what the LAN looks up.
	if len(servers) == 0 && !portal.Local.KillSwitch {
		return nil, errors.New("the server names no name server; set option dns_server")
	}
	return &system.DNS{User: uid, Resolvers: servers}, nil
}

// remarks says what the user should know about the session's inside.
func (s *localSystem) remarks(dns error) string {
	text := ""
	if dns != nil {
		text = "look-ups do not go into the tunnel: " + dns.Error()
	}
	six := slices.ContainsFunc(s.tunnel.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() })
	if !six && s.tunnel.IPv6 == system.IPv6Tunnel {
		if text != "" {
			text += "; "
		}
		text += "the server gives no IPv6: the LAN's IPv6 is refused, so that programs take IPv4 at once"
	}
	return text
}
