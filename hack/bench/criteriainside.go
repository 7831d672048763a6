package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mpproxy/hack/lab"
)

// Addresses of IPv6 in the lab, outside of the tunnel and inside.
const (
	server6   = "2001:db8:2::2"
	remote6   = "2001:db8:1::2"
	inner6    = "2001:db8:99::"
	clientNet = "2001:db8:77::"
	least6    = 0.9 // of what IPv4 gets
)

// oneInterface lists the remote's devices and addresses while a flow runs.
func (b *bench) oneInterface() (f finding, err error) {
	var devices, addresses []string
	var rate float64
	links := linksOf(criteriaLinks)
	err = b.withPortals(links, 0, func(l *lab.Lab) error {
		out, err := l.Exec("remote", "ip", "-o", "-4", "address")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			words := strings.Fields(line)
			if len(words) > 3 && words[1] != "lo" {
				devices, addresses = append(devices, words[1]), append(addresses, words[3])
			}
		}
		o, err := b.run(l, b.flowOf(inners[0], lab.Down), 1)
		rate = o.Rate
		return err
	})
	outer := 0
	for _, d := range devices {
		if d != "mpp0" {
			outer++
		}
	}
	return finding{fmt.Sprintf("%s (%s), %.2f of the sum through it", strings.Join(devices, ", "), strings.Join(addresses, ", "), rate/sum(links, tunnelShare)),
		"mpp0 is the tunnel itself", "one outer device, one address", outer == 1 && rate > leastLeft*sum(links, tunnelShare)}, err
}

// address asks the server whom it talks to, through the tunnel and, as control, without.
func (b *bench) address() (f finding, err error) {
	var tunnel, direct string
	err = b.withPortals(linksOf("20M/10ms"), 0, func(l *lab.Lab) error {
		tunnel, err = seenBy(l)
		return err
	})
	if err != nil {
		return f, err
	}
	l, err := lab.New(lab.Options{Links: linksOf("20M/10ms"), Seed: 1})
	if err != nil {
		return f, err
	}
	direct, err = seenBy(l)
	return finding{tunnel, "without a tunnel: " + direct, lab.RemoteAddress, tunnel == lab.RemoteAddress && direct != tunnel}, errors.Join(err, l.Close())
}

// seenBy returns the address that the server's end of a connection of the client sees.
func seenBy(l *lab.Lab) (string, error) {
	load, err := l.StartBulk(lab.Down, 2*time.Second)
	if err != nil {
		return "", err
	}
	time.Sleep(time.Second)
	out, err := l.Exec("server", "ss", "-Htn", "state", "established")
	if err := errors.Join(err, load.Wait()); err != nil {
		return "", err
	}
	words := strings.Fields(out)
	if len(words) < 4 {
		return "", fmt.Errorf("the server has no connection: %q", out)
	}
	peer := words[3]
	peer = strings.TrimPrefix(strings.Trim(peer[:strings.LastIndexByte(peer, ':')], "[]"), "::ffff:")
	return peer, nil
}

// inside runs a flow of each family through the same tunnel.
func (b *bench) inside() (f finding, err error) {
	links := linksOf(criteriaLinks)
	o := lab.Options{Links: links, RemoteOptions: []string{"list address6 '" + inner6 + "1/64'"}, PeerOptions: []string{"option address6 '" + inner6 + "2'"}}
	l, err := lab.New(b.with(o))
	if err != nil {
		return f, err
	}
	var rates [2]float64
	if err = routeIPv6(l); err == nil {
		if err = l.StartPortals(); err == nil {
			err = waitRouted(l)
		}
	}
	if err == nil {
		for i, to := range []string{"", server6} {
			flow := b.flowOf(inners[0], lab.Down)
			flow.To = to
			out, failed := b.run(l, flow, 1)
			rates[i], err = out.Rate, errors.Join(err, failed)
			if out.Trouble != "" { // no way at all is an answer, too
				b.say("  IPv%d: %s", []int{4, 6}[i], out.Trouble)
			}
		}
	}
	if err != nil && l.Router != nil {
		err = fmt.Errorf("%w\nlog of the router:\n%s", err, l.Router.Log())
	}
	return finding{fmt.Sprintf("IPv4 %s, IPv6 %s Mbit/s", mbit(rates[0]), mbit(rates[1])), "the links outside have IPv4 only", fmt.Sprintf("IPv6 >= %.2f of IPv4", least6),
		rates[0] > 0 && rates[1] >= least6*rates[0]}, errors.Join(err, l.Close())
}

// routeIPv6 gives the client's network, the remote and the server IPv6; the links have none.
func routeIPv6(l *lab.Lab) error {
	return errors.Join(
		l.Set("net", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.remote.disable_ipv6=0", "net.ipv6.conf.server.disable_ipv6=0", "net.ipv6.conf.all.forwarding=1"),
		l.Set("router", "net.ipv6.conf.all.forwarding=1"),
		l.IP("net", false, "-6 addr add 2001:db8:1::1/64 dev remote nodad", "-6 addr add 2001:db8:2::1/64 dev server nodad"),
		l.IP("remote", false, "-6 addr add "+remote6+"/64 dev eth0 nodad", "-6 route add default via 2001:db8:1::1"),
		l.IP("server", false, "-6 addr add "+server6+"/64 dev eth0 nodad", "-6 route add default via 2001:db8:2::1"),
		l.IP("router", false, "-6 addr add "+clientNet+"1/64 dev lan0 nodad"),
		l.IP("client", false, "-6 addr add "+clientNet+"2/64 dev eth0 nodad", "-6 route add default via "+clientNet+"1"),
	)
}

// transports compares one flow over the same links by the transport of their paths.
func (b *bench) transports(links, more, less string) (f finding, err error) {
	var rates [2]float64
	for i, name := range []string{more, less} {
		o := lab.Options{Links: linksOf(links), Transport: name}
		if name == "ip" {
			o.RemoteOptions = []string{"option raw_ip '1'"}
		}
		if rates[i], err = b.rateOver(o, len(o.Links), lab.Down); err != nil {
			return f, fmt.Errorf("transport %s: %w", name, err)
		}
	}
	return finding{fmt.Sprintf("%s %s Mbit/s", more, mbit(rates[0])), fmt.Sprintf("%s %s Mbit/s", less, mbit(rates[1])), "more", rates[0] > rates[1]}, nil
}

func (b *bench) udpOverTCP() (finding, error) {
	return b.transports("20M/20ms/1%,20M/40ms/1%", "udp", "tcp")
}
func (b *bench) ipOverUDP() (finding, error) { return b.transports("20M/20ms,20M/20ms", "ip", "udp") }
