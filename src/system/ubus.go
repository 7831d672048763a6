package system

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"time"
)

// OpenWrt's netifd knows networks by names (wan, wwan_4) and says through ubus which device each has now. We ask it with the
// program ubus, which every OpenWrt has: its words and JSON are what scripts everywhere rely on, while the socket's
// binary messages have no other description than libubus itself. The cost is a process of a few milliseconds per question.
const (
	ubusPatience = 3 * time.Second
	ubusMaxBytes = 1 << 20 // ubus's own limit of a message
	ubusObject   = "network.interface"
)

// Interface is what netifd says of one of its interfaces.
type Interface struct {
	Name   string
	Up     bool
	Device string // the device its addresses are on; empty: it has none now
	// Gateway4 and Gateway6 are of its default route, also where netifd keeps that out of the main table (defaultroute 0).
	Gateway4, Gateway6 netip.Addr
	DNS                []netip.Addr
}

// Ubus asks netifd.
type Ubus struct{ program string }

// FindUbus finds the program; ok is false on systems without.
func FindUbus() (u Ubus, ok bool) {
	path, err := lookPath("ubus")
	return Ubus{path}, err == nil
}

// Interfaces lists netifd's interfaces as they are now.
func (u Ubus) Interfaces(ctx context.Context) ([]Interface, error) {
	ctx, cancel := context.WithTimeout(ctx, ubusPatience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, u.program, "-S", "call", ubusObject, "dump")
	cmd.Stdout = &limited{to: &out, left: ubusMaxBytes}
	cmd.WaitDelay = ubusPatience
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ask netifd for its interfaces: %w", err)
	}
	return parseInterfaces(out.Bytes())
}

// Listen calls changed after each event about an interface, until ctx ends or ubus goes away.
func (u Ubus) Listen(ctx context.Context, changed func()) error {
	cmd := exec.CommandContext(ctx, u.program, "-S", "listen", ubusObject)
	cmd.WaitDelay = ubusPatience
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("listen to netifd: %w", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) > 0 {
			changed()
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line that is too long
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("listen to netifd: %w", err)
	}
	return nil
}

// limited takes so many bytes and then fails.
type limited struct {
	to   io.Writer
	left int
}

// Write passes on what is within the limit, and fails beyond it.
func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errors.New("the answer is too long")
	}
	return l.to.Write(p)
}

// dumped is what we read of "ubus call network.interface dump".
type dumped struct {
	Interface []struct {
		Interface string      `json:"interface"`
		Up        bool        `json:"up"`
		L3Device  string      `json:"l3_device"`
		Device    string      `json:"device"`
		Route     []dumpRoute `json:"route"`
		DNS       []string    `json:"dns-server"`
		Inactive  struct {
			Route []dumpRoute `json:"route"`
			DNS   []string    `json:"dns-server"`
		} `json:"inactive"`
	} `json:"interface"`
}

type dumpRoute struct {
	Target  string `json:"target"`
	Mask    int    `json:"mask"`
	NextHop string `json:"nexthop"`
}

// parseInterfaces reads netifd's answer. What it does not understand of an interface is left out.
func parseInterfaces(text []byte) (list []Interface, err error) {
	var d dumped
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read netifd's answer: %w", err)
	}
	for _, i := range d.Interface {
		if i.Interface == "" {
			continue
		}
		one := Interface{Name: i.Interface, Up: i.Up, Device: i.L3Device}
		if one.Device == "" {
			one.Device = i.Device
		}
		for _, r := range slices.Concat(i.Route, i.Inactive.Route) {
			one.gateway(r)
		}
		for _, text := range slices.Concat(i.DNS, i.Inactive.DNS) {
			if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(one.DNS, a) {
				one.DNS = append(one.DNS, a)
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// gateway notes the gateway if r is a default route.
func (i *Interface) gateway(r dumpRoute) {
	target, err := netip.ParseAddr(r.Target)
	hop, err2 := netip.ParseAddr(r.NextHop)
	if err != nil || err2 != nil || r.Mask != 0 || !target.IsUnspecified() || hop.IsUnspecified() {
		return
	}
	switch {
	case hop.Is4() && !i.Gateway4.IsValid():
		i.Gateway4 = hop
	case hop.Is6() && !i.Gateway6.IsValid():
		i.Gateway6 = hop
	}
}
