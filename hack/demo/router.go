package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
	"mpproxy/src/stats"
)

// Addresses of this show beside the lab's.
const (
	modemAddress = "192.168.1.2/24" // of the router, on every link
	wanIPv6      = "2001:db8:1::2/64"
	nameServerID = 453 // OpenWrt's uid of dnsmasq
	knockEvery   = 10 * time.Millisecond
	// rulesGo is how long after the start of "network restart" netifd flushes all rules (measured on OpenWrt).
	rulesGo = 1160 * time.Millisecond
	// randomKills of the real program, on top of those of the tests.
	randomKills = 20
	maxStartUp  = 400 * time.Millisecond
)

// outside4 and outside6 are where the client knocks; the modem's own name server is a place that must not be asked.
var (
	outside4 = netip.MustParseAddrPort("192.0.2.99:443")
	outsideN = netip.MustParseAddrPort("192.0.2.53:53")
	outside6 = netip.MustParseAddrPort("[2001:db8:9::9]:443")
)

// routerShow shows how mpproxy lives on a router.
type routerShow struct {
	*show
	sniffers []*lab.Sniffer
	knocker  *lab.Knocker
	before   [2]string // snapshots of router and remote
}

// routerLinks are three modems of one kind: the same address and gateway on each, one metric apart so that the lab can set
// them up at all.
func routerLinks() ([]linksim.Params, error) { return linksim.ParseLinks("20M/10ms,20M/15ms,20M/25ms") }

// routerOptions are what the lab is built with.
func routerOptions(program string) (lab.Options, error) {
	links, err := routerLinks()
	return lab.Options{Links: links, Program: program, Seed: 1, Collide: true,
		RouterOptions: []string{"option kill_switch '1'"}, RemoteOptions: []string{"list dns_server '" + lab.ServerAddress + "'"}}, err
}

// play runs every scene in turn.
func (s *routerShow) play() error {
	s.began = time.Now()
	s.screen.say("A router with three modems of one kind (same address, same gateway); kill_switch '1'. A client knocks outside every %v,", knockEvery)
	s.screen.say("over IPv4 and IPv6; a sniffer sits on each link and counts every packet that is not for the server.")
	for _, scene := range []func() error{s.prepare, s.control, s.boot, s.look, s.lookUps, s.flush, s.restart, s.reload, s.kill, s.stop, s.kills} {
		if err := scene(); err != nil {
			return err
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// prepare gives router and client IPv6, the modems one hardware address, and puts up the sniffers.
func (s *routerShow) prepare() error {
	if err := s.lab.Configure(); err != nil {
		return err
	}
	if err := s.lab.AddUser("router", "dnsmasq", nameServerID); err != nil {
		s.screen.say("  (look-ups cannot be shown here: %v)", err)
	}
	if err := s.lab.Answer("server", lab.ServerAddress+":53", "answer"); err != nil {
		return err
	}
	if err := s.lab.Set("router", "net.ipv6.conf.all.forwarding=1"); err != nil {
		return err
	}
	// Link-local addresses come when a cable is noticed, so their order would differ from time to time.
	for _, device := range append([]string{"lan0"}, s.devices()...) {
		if err := s.lab.Set("router", "net.ipv6.conf."+device+".addr_gen_mode=1"); err != nil {
			return err
		}
	}
	err := errors.Join(
		s.lab.IP("client", false, "-6 addr add 2001:db8:77::2/64 dev eth0 nodad", "-6 route add default via 2001:db8:77::1"),
		s.lab.IP("router", false, append(s.lanDown(), s.wansDown()...)...))
	for i := range s.lab.Links {
		err = errors.Join(err, s.lab.IP(fmt.Sprintf("nat%d", i+1), false, "link set lan0 address 0c:5b:8f:27:9a:64"))
	}
	if err == nil {
		err = s.lab.IP("router", false, append(s.lanUp(), s.wansUp()...)...)
	}
	if err != nil {
		return err
	}
	for _, link := range s.lab.Links {
		sniffer, err := s.lab.Sniff("router", link.Device, allowed)
		if err != nil {
			return err
		}
		s.sniffers = append(s.sniffers, sniffer)
	}
	return s.snapshots()
}

// allowed says what may leave by a link: datagrams to the server, and what the router itself says to its neighbours.
func allowed(p []byte) bool {
	to, protocol := lab.Destination(p)
	switch protocol {
	case unix.IPPROTO_UDP:
		return to.Addr() == netip.MustParseAddr(lab.RemoteAddress) && to.Port() == 6779
	case unix.IPPROTO_ICMP: // what the server sends to a portal that is gone is answered
		return to.Addr() == netip.MustParseAddr(lab.RemoteAddress)
	case unix.IPPROTO_ICMPV6, unix.IPPROTO_IGMP:
		return to.Addr().IsMulticast() || to.Addr().IsLinkLocalUnicast()
	}
	return p[0]>>4 == 6 && to.Addr().IsMulticast() // reports of multicast groups come behind a hop-by-hop header
}

func (s *routerShow) devices() (list []string) {
	for _, link := range s.lab.Links {
		list = append(list, link.Device)
	}
	return list
}

func (s *routerShow) lanUp() []string {
	return []string{"link set lan0 up", "addr replace " + lab.RouterAddress + "/24 dev lan0", "-6 addr replace 2001:db8:77::1/64 dev lan0 nodad"}
}

func (s *routerShow) lanDown() []string {
	return []string{"link set lan0 down", "addr flush dev lan0 scope global"}
}

// wansUp are the commands that give the links what the provider gives them.
func (s *routerShow) wansUp() []string {
	var list []string
	for i, link := range s.lab.Links {
		list = append(list, "link set "+link.Device+" up", "addr replace "+modemAddress+" dev "+link.Device,
			fmt.Sprintf("route replace default via %s dev %s metric %d", s.lab.Gateway(link), link.Device, 10*(i+1)))
	}
	first := s.lab.Links[0].Device
	return append(list, "-6 addr replace "+wanIPv6+" dev "+first+" nodad", "-6 neigh replace fe80::1 lladdr 0c:5b:8f:27:9a:64 nud permanent dev "+first,
		"-6 route replace default via fe80::1 dev "+first)
}

// wansDown are the commands that take it away.
func (s *routerShow) wansDown() []string {
	var list []string
	for _, link := range s.lab.Links {
		list = append(list, "link set "+link.Device+" down", "addr flush dev "+link.Device+" scope global")
	}
	return list
}

func (s *routerShow) snapshots() (err error) {
	for i, role := range []string{"router", "remote"} {
		if s.before[i], err = s.lab.Snapshot(role); err != nil {
			return err
		}
	}
	return nil
}

// leaks adds the verdict on everything that left since the last one.
func (s *routerShow) leaks(what string) {
	var seen, leaked uint64
	var first string
	for _, sniffer := range s.sniffers {
		a, b, text := sniffer.Count()
		seen, leaked = seen+a, leaked+b
		if first == "" {
			first = text
		}
	}
	value := fmt.Sprintf("%d of %d packets", leaked, seen)
	if leaked > 0 {
		value += " (" + first + ")"
	}
	s.add(line{what: what + ": leaks on all links", value: value, wanted: "0", ok: leaked == 0})
}

// forget starts a new count.
func (s *routerShow) forget() {
	for _, sniffer := range s.sniffers {
		sniffer.Count()
	}
}

func (s *routerShow) knock() {
	s.knocker = s.lab.Knock("client", knockEvery, outside4, outsideN, outside6)
}

// control shows that the sniffers see a leak when there is one.
func (s *routerShow) control() error {
	s.screen.say("\n1. The control: no guard, no portal")
	s.knock()
	s.wait(500 * time.Millisecond)
	sent, err := s.knocker.Stop()
	if err != nil {
		return err
	}
	var leaked uint64
	for _, sniffer := range s.sniffers {
		_, n, _ := sniffer.Count()
		leaked += n
	}
	s.add(line{what: "control, nothing of ours: leaks on all links", value: fmt.Sprintf("%d of %d knocks", leaked, sent), wanted: ">= 0.9 of them", ok: sent > 0 && leaked*10 >= sent*9})
	return nil
}

// boot plays the order of a router's start: guard (18), network (20), and last the portal (90).
func (s *routerShow) boot() error {
	s.screen.say("\n2. Boot: the guard before the links, the portal last; the client knocks all the time from here on")
	if err := s.lab.IP("router", false, s.wansDown()...); err != nil {
		return err
	}
	s.forget()
	s.knock()
	if out, err := s.lab.Mpproxy("router", "guard", "up"); err != nil {
		return fmt.Errorf("guard up: %w: %s", err, out)
	}
	if err := s.lab.IP("router", false, s.wansUp()...); err != nil {
		return err
	}
	s.wait(time.Second)
	began := time.Now()
	if err := errors.Join(s.lab.StartRemote(), s.lab.StartRouter()); err != nil {
		return err
	}
	if err := s.lab.WaitSession(); err != nil {
		return err
	}
	s.screen.say("   session up %.1f s after the start of the portals", time.Since(began).Seconds())
	s.wait(time.Second)
	s.leaks("boot")
	return nil
}

// look asks whether all links carry, and the LAN goes through the tunnel.
func (s *routerShow) look() error {
	s.screen.say("\n3. All three modems at once, for a client that downloads")
	before := s.carried(lab.Down)
	b, err := s.lab.StartBulk(lab.Down, 3*time.Second)
	if err != nil {
		return err
	}
	if err := b.Wait(); err != nil {
		return err
	}
	for i, after := range s.carried(lab.Down) {
		carried := float64(after-before[i]) / 1e6
		s.add(line{what: "carried by modem " + fmt.Sprint(i+1) + ", by its own counter", value: fmt.Sprintf("%.1f MB", carried), wanted: ">= 1.0 MB", ok: carried >= 1})
	}
	s.leaks("download")
	return nil
}

// lookUps asks the provider's name server, as dnsmasq would: the server's own answers.
func (s *routerShow) lookUps() error {
	s.screen.say("\n4. The router's name server asks the modem's")
	answer, err := s.lab.AskName("router", nameServerID, s.lab.Gateway(s.lab.Links[0])+":53", 2*time.Second)
	if err != nil {
		return err
	}
	s.add(line{what: "look-up by dnsmasq's user", value: fmt.Sprintf("%q from the tunnel's end", answer), wanted: `"answer"`, ok: answer == "answer"})
	s.leaks("look-ups")
	return nil
}

// flush does what "firewall stop" does.
func (s *routerShow) flush() error {
	s.screen.say("\n5. Somebody flushes all tables of the firewall, five times")
	for range 5 {
		if _, err := s.lab.Exec("router", "nft", "flush", "ruleset"); err != nil {
			return err
		}
		s.wait(100 * time.Millisecond)
	}
	back, took := s.until(time.Second, func() bool {
		out, err := s.lab.Mpproxy("router", "guard", "status")
		return err == nil && strings.HasPrefix(out, "up, and held")
	})
	s.add(line{what: "firewall flushed: the guard is back", value: took, wanted: "within 1 s", ok: back})
	s.leaks("firewall flushed")
	nat := `table ip lab { chain post { type nat hook postrouting priority 100; oifname "wan*" masquerade; }; }` + "\n"
	_, err := s.lab.Feed("router", nat, "nft", "-f", "-")
	return err
}

// restart wipes what OpenWrt's "network restart" wipes, in its order and time.
func (s *routerShow) restart() error {
	s.screen.say("\n6. network restart: addresses and routes go, %.1f s later all rules of both families in one burst", rulesGo.Seconds())
	state := func() string {
		var all strings.Builder
		for _, args := range []string{"-4 rule", "-6 rule", "-4 route show table 7000", "-6 route show table 7000", "-4 route show table 7001", "-4 route show table 7003", "-o addr show dev mpp0 scope global"} {
			out, err := s.lab.Exec("router", "ip", strings.Fields(args)...)
			all.WriteString(out)
			if err != nil {
				all.WriteString(err.Error())
			}
		}
		return all.String()
	}
	whole := state()
	began := time.Now()
	down := slices.Concat([]string{"link set mpp0 down", "addr flush dev mpp0"}, s.lanDown(), s.wansDown())
	up := append(s.lanUp(), s.wansUp()...)
	if err := errors.Join(s.lab.IP("router", true, down...), s.lab.IP("router", true, up...)); err != nil {
		return err
	}
	s.wait(time.Until(began.Add(rulesGo)))
	burst := time.Now()
	err := errors.Join(
		s.lab.IP("router", true, "-4 rule flush", "-4 rule add pref 32766 lookup main", "-4 rule add pref 32767 lookup default"),
		s.lab.IP("router", true, "-6 rule flush", "-6 rule add pref 32766 lookup main"))
	if err != nil {
		return err
	}
	ok, _ := s.until(4*time.Second, func() bool { return state() == whole })
	took := time.Since(burst)
	s.add(line{what: "network restart: all routes and rules are back", value: fmt.Sprintf("%.2f s after the burst", took.Seconds()), wanted: "within 1 s", ok: ok && took <= time.Second})
	if err := s.lab.WaitSession(); err != nil {
		return err
	}
	s.leaks("network restart")
	return nil
}

// session reads which session the router has, as its keys' age tells it from a new one.
func (s *routerShow) session() (stats.Session, error) {
	text, err := s.lab.Router.Status()
	var status stats.Status
	if err == nil {
		err = json.Unmarshal([]byte(text), &status)
	}
	if err != nil || len(status.Sessions) == 0 {
		return stats.Session{}, errors.Join(err, errors.New("no session in the status"))
	}
	return status.Sessions[0], nil
}

func (s *routerShow) reload() error {
	s.screen.say("\n7. Reload")
	old, err := s.session()
	if err != nil {
		return err
	}
	if _, err := s.lab.Mpproxy("router", "reload"); err != nil {
		return err
	}
	s.wait(300 * time.Millisecond)
	now, err := s.session()
	if err != nil {
		return err
	}
	same := slices.EqualFunc(old.Paths, now.Paths, func(a, b stats.Path) bool { return a.ID == b.ID && b.SentDatagrams >= a.SentDatagrams })
	s.add(line{what: "reload: the same paths, numbers go on", value: fmt.Sprint(same), wanted: "true", ok: same && len(now.Paths) > 0})
	s.leaks("reload")
	return nil
}

// kill ends the program without warning, and starts it again.
func (s *routerShow) kill() error {
	s.screen.say("\n8. SIGKILL; two seconds later the portal starts again")
	s.lab.Router.Kill()
	s.wait(2 * time.Second)
	out, err := s.lab.Mpproxy("router", "guard", "status")
	if err != nil {
		return err
	}
	s.add(line{what: "killed: the guard", value: strings.TrimSpace(out), wanted: "up", ok: strings.HasPrefix(out, "up;")})
	s.leaks("killed")
	began := time.Now()
	if err := s.lab.StartRouter(); err != nil {
		return err
	}
	if err := s.lab.WaitSession(); err != nil {
		return err
	}
	s.add(line{what: "started again: session", value: fmt.Sprintf("after %.1f s", time.Since(began).Seconds()), wanted: "within 5 s", ok: time.Since(began) <= 5*time.Second})
	s.leaks("start after a kill")
	return nil
}

// stop ends both portals and compares everything with before.
func (s *routerShow) stop() error {
	s.screen.say("\n9. Stop; then the guard is taken away")
	if err := s.lab.StopPortals(); err != nil {
		return err
	}
	s.wait(500 * time.Millisecond)
	s.leaks("stopped")
	if _, err := s.knocker.Stop(); err != nil {
		return err
	}
	if out, err := s.lab.Mpproxy("router", "guard", "down"); err != nil {
		return fmt.Errorf("guard down: %w: %s", err, out)
	}
	return s.compare("stopped")
}

// compare holds snapshots against those of the beginning.
func (s *routerShow) compare(what string) error {
	for i, role := range []string{"router", "remote"} {
		after, err := s.lab.Snapshot(role)
		if err != nil {
			return err
		}
		difference := lab.Difference(s.before[i], after)
		s.add(line{what: what + ": " + role + " is as before, byte by byte", value: fmt.Sprintf("%d lines differ", strings.Count(difference, "\n")), wanted: "0", ok: difference == ""})
		if difference != "" {
			s.screen.say("%s", difference)
		}
	}
	return nil
}

// kills kills the router's portal at random moments of its start, and cleans up after it.
func (s *routerShow) kills() error {
	s.screen.say("\n10. SIGKILL at %d random moments of the start; mpproxy cleanup after each", randomKills)
	if err := s.lab.StartRemote(); err != nil {
		return err
	}
	differ := 0
	for range randomKills {
		if err := s.lab.StartRouter(); err != nil {
			return err
		}
		s.wait(rand.N(maxStartUp))
		s.lab.Router.Kill()
		for _, args := range [][]string{{"cleanup"}, {"guard", "down"}} {
			if out, err := s.lab.Mpproxy("router", args...); err != nil {
				return fmt.Errorf("%v: %w: %s", args, err, out)
			}
		}
		after, err := s.lab.Snapshot("router")
		if err != nil {
			return err
		}
		if d := lab.Difference(s.before[0], after); d != "" {
			differ++
			s.screen.say("%s", d)
		}
	}
	s.add(line{what: fmt.Sprintf("killed %d times: router is as before", randomKills), value: fmt.Sprintf("%d times not", differ), wanted: "0", ok: differ == 0})
	if err := s.lab.Remote.Stop(); err != nil {
		return err
	}
	return s.compare("in the end")
}

// until waits until something is so, and says how long it took.
func (s *routerShow) until(limit time.Duration, so func() bool) (ok bool, took string) {
	began := time.Now()
	for time.Since(began) < limit {
		if so() {
			return true, fmt.Sprintf("after %.2f s", time.Since(began).Seconds())
		}
		s.wait(20 * time.Millisecond)
	}
	return so(), fmt.Sprintf("not within %v", limit)
}

// wait passes time unless the show is over.
func (s *routerShow) wait(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}
