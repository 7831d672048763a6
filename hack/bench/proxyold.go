package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

const (
	oldPort   = "5202"
	oldChunk  = 16 << 10
	oldLength = 10 * time.Second
	oldStart  = 3 * time.Second
	oldFail   = 6 * time.Second // when the link dies
	oldAfter  = 2 * time.Second // what finding that out may take
)

// oldLimits shows what proxies over several connections used to suffer from, with one that hands out chunks in turn as the
// control: the slowest link sets the speed, and one dead link kills the tunnel.
func (b *bench) oldLimits() error {
	section := "Old limits of proxies over several connections, down; control rows: one that hands out chunks in turn"
	for _, one := range []struct {
		name, links string
		dies        bool
		bound       float64
	}{
		{"a slow link beside a fast one", "50M/20ms,2M/200ms", false, 0.98},
		{"a link dies", "20M/10ms,20M/25ms", true, 0.9},
	} {
		what := one.name + " (" + one.links + "): rate to the "
		if one.dies {
			what += "other link's afterwards"
		} else {
			what += "fast one's alone"
		}
		ours := &row{section: section, what: "MPP, " + what, unit: "ratio", judge: atLeast, bound: one.bound}
		theirs := &row{section: section, what: "in turn, " + what, unit: "ratio", note: "control"}
		b.add(ours, theirs)
		links, err := linksim.ParseLinks(one.links)
		if err != nil {
			return err
		}
		for run := range b.runs {
			x, y, err := b.oldLimit(links, run, one.dies)
			if err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			ours.values, theirs.values = append(ours.values, x), append(theirs.values, y)
			b.say("run %d: %s: MPP %.2f, in turn %.2f", run+1, one.name, x, y)
		}
	}
	return nil
}

// oldLimit measures both in one lab: their rate to that of the first link alone, or of the second where the first dies.
func (b *bench) oldLimit(links []linksim.Params, run int, dies bool) (ours, theirs float64, err error) {
	l, err := lab.New(lab.Options{Links: links, Program: b.program, Seed: uint64(run + 1), RouterOptions: mppRouter})
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	measured, from := l.Links[0], oldStart
	if dies {
		measured, from = l.Links[1], oldFail+oldAfter
	}
	alone, err := aloneOver(l, measured, lab.Down, oldStart)
	if err != nil {
		return 0, 0, err
	}
	if err := startStripe(l); err != nil {
		return 0, 0, err
	}
	fail := func() func() bool {
		if !dies {
			return func() bool { return false }
		}
		return time.AfterFunc(oldFail, func() { l.Links[0].Cut(lab.Up, lab.Down) }).Stop
	}
	stop := fail()
	rate, err := stripeRate(l, from)
	stop()
	l.Links[0].Restore()
	if err != nil {
		return 0, 0, err
	}
	if err := startProxy(l); err != nil {
		return 0, 0, err
	}
	flow, err := l.StartFlow(lab.Flow{Direction: lab.Down, Length: oldLength, Proxy: lab.RouterAddress + ":1080"})
	if err != nil {
		return 0, 0, err
	}
	stop = fail()
	err = flow.Wait()
	stop()
	return flow.Rate(flow.Started.Add(from), flow.Started.Add(oldLength)) / alone, rate / alone, err
}

// startStripe starts the control's server.
func startStripe(l *lab.Lab) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return l.Serve("env", tcpVariable+"=stripes", self)
}

// stripeRate is what the control gets over both links, in bit/s, some time after its begin.
func stripeRate(l *lab.Lab, from time.Duration) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	words := fmt.Sprintf("%s=stripe %s %v %v", tcpVariable, lab.ServerAddress, oldLength.Seconds(), from.Seconds())
	for _, link := range l.Links {
		words += " " + link.Device
	}
	text, err := l.Exec("router", "env", words, self)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(text), 64)
}

// serveStripes serves one client after the other, each with two connections: chunks in turn.
func serveStripes() error {
	l, err := net.Listen("tcp4", ":"+oldPort)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		var conns [2]net.Conn
		for range conns {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			var number [1]byte
			if _, err := io.ReadFull(c, number[:]); err != nil {
				return err
			}
			conns[number[0]%2] = c
		}
		go func() {
			chunk := make([]byte, oldChunk)
			for i := 0; ; i++ {
				if _, err := conns[i%2].Write(chunk); err != nil {
					return
				}
			}
		}()
	}
}

// clientStripes reads chunks in turn and prints the rate in bit/s: words are stripe ADDRESS SECONDS FROM DEVICE DEVICE.
func clientStripes(words []string) error {
	if len(words) != 6 {
		return errors.New("stripe: ADDRESS SECONDS FROM DEVICE DEVICE")
	}
	seconds, err := strconv.ParseFloat(words[2], 64)
	if err != nil {
		return err
	}
	from, err := strconv.ParseFloat(words[3], 64)
	if err != nil {
		return err
	}
	begin := time.Now()
	end := begin.Add(time.Duration(seconds * float64(time.Second)))
	var conns [2]net.Conn
	for i := range conns {
		dialer := net.Dialer{Timeout: 5 * time.Second, Control: bindTo(words[4+i])}
		if conns[i], err = dialer.Dial("tcp4", net.JoinHostPort(words[1], oldPort)); err != nil {
			return err
		}
		_ = conns[i].SetDeadline(end)
		if _, err := conns[i].Write([]byte{byte(i)}); err != nil {
			return err
		}
	}
	chunk, counted := make([]byte, oldChunk), 0
	for i := 0; ; i++ {
		n, err := io.ReadFull(conns[i%2], chunk)
		if time.Since(begin).Seconds() >= from {
			counted += n
		}
		if err != nil {
			break // the time is over
		}
	}
	fmt.Println(float64(counted) * 8 / (seconds - from))
	return nil
}

// bindTo has a connection leave by a device.
func bindTo(device string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) })
		return errors.Join(failed, err)
	}
}
