package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"mpproxy/src/linksim"
)

// Addresses in the lab.
const (
	ClientAddress = "10.1.0.2"
	RouterAddress = "10.1.0.1" // on the LAN
	RemoteAddress = "203.0.113.2"
	ServerAddress = "198.51.100.2"
)

const (
	settleLimit = 5 * time.Second
	settleEvery = 10 * time.Millisecond
)

// Options says what to build.
type Options struct {
	Links   []linksim.Params // one per link, the same in both directions
	Up      []linksim.Params // one per link, the way up; empty: as Links
	Program string           // path of mpproxy; only needed for StartPortals
	Seed    uint64           // of the links' random losses and jitter
	Collide bool             // give all of the router's links the same private address
	// RouterOptions and RemoteOptions are further lines of the portal sections, as in "option kill_switch '1'".
	RouterOptions, RemoteOptions []string
	// PeerOptions are further lines of the server's peer section.
	PeerOptions []string
	// Transport of all links; "" = udp.
	Transport string
	// LinkOptions are further lines of a link's section, by its name (link1, …).
	LinkOptions map[string][]string
}

// Lab is a running lab. Close it.
type Lab struct {
	Links   []*Link
	options Options
	dir     string // configuration, secrets, sockets, logs
	closers []func() error
	server  *process
	bulks   registry
	Router  *Daemon // set by StartPortals
	Remote  *Daemon // set by StartPortals
}

// Namespace returns the full name of one of the lab's namespaces: client, router, nat1…, net, remote, server.
func (l *Lab) Namespace(role string) string {
	return namePrefix + strconv.Itoa(os.Getpid()) + "-" + role
}

// New builds the namespaces and links and starts the server. Only one lab per process at a time.
func New(options Options) (*Lab, error) {
	if len(options.Links) == 0 {
		return nil, errors.New("build lab: no links")
	}
	if n := len(options.Up); n > 0 && n != len(options.Links) {
		return nil, fmt.Errorf("build lab: %d links up, %d down", n, len(options.Links))
	}
	l := &Lab{options: options}
	if err := l.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w", err), l.Close())
	}
	return l, nil
}

// Close stops everything and removes every trace. It may be called twice.
func (l *Lab) Close() error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	l.closers = nil
	return errors.Join(errs...)
}

func (l *Lab) onClose(f func() error) { l.closers = append(l.closers, f) }

func (l *Lab) build() error {
	var err error
	// Named as the namespaces are, so that RemoveStale knows it.
	if l.dir, err = os.MkdirTemp("", l.Namespace("")); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	l.onClose(func() error { return os.RemoveAll(l.dir) })
	for _, role := range l.roles() {
		name := l.Namespace(role)
		if _, err := run("", "ip", "netns", "add", name); err != nil {
			return err
		}
		l.onClose(func() error { return removeNamespace(name) })
	}
	rng := rand.New(rand.NewPCG(l.options.Seed, 0x6c6162))
	for i, p := range l.options.Links {
		name, device := fmt.Sprintf("link%d", i+1), fmt.Sprintf("wan%d", i+1)
		both := [2]linksim.Params{Up: p, Down: p}
		if len(l.options.Up) > 0 {
			both[Up] = l.options.Up[i]
		}
		link, err := newLink(name, device, l.Namespace(fmt.Sprintf("nat%d", i+1)), l.Namespace("net"), both, rng)
		if err != nil {
			return err
		}
		l.onClose(func() error { link.close(); return nil })
		l.Links = append(l.Links, link)
	}
	if err := l.connect(); err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		return err
	}
	return l.startServer()
}

// settle waits until the kernel has brought up the cables, so that a snapshot taken now stays true.
func (l *Lab) settle() error {
	deadline := time.Now().Add(settleLimit)
	for _, role := range l.roles() {
		for {
			out, err := run("", "ip", "-n", l.Namespace(role), "address")
			if err != nil {
				return err
			}
			if !strings.Contains(out, "tentative") && !strings.Contains(out, "state DOWN") {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("devices of %s do not come up:\n%s", role, out)
			}
			time.Sleep(settleEvery)
		}
	}
	return nil
}

func (l *Lab) roles() []string {
	roles := []string{"client", "router", "net", "remote", "server"}
	for i := range l.options.Links {
		roles = append(roles, fmt.Sprintf("nat%d", i+1))
	}
	return roles
}

// connect lays the cables and gives addresses, routes and NAT.
func (l *Lab) connect() error {
	var cables strings.Builder
	cable := func(a, deviceA, b, deviceB string) {
		fmt.Fprintf(&cables, "link add %s netns %s type veth peer name %s netns %s\n", deviceA, l.Namespace(a), deviceB, l.Namespace(b))
	}
	cable("client", "eth0", "router", "lan0")
	cable("remote", "eth0", "net", "remote")
	cable("server", "eth0", "net", "server")
	for i, link := range l.Links {
		cable("router", link.Device, fmt.Sprintf("nat%d", i+1), "lan0")
	}
	if _, err := run(cables.String(), "ip", "-batch", "-"); err != nil {
		return err
	}
	for role, plan := range l.plans() {
		if err := plan.apply(l.Namespace(role)); err != nil {
			return err
		}
	}
	return nil
}
