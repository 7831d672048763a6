package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/stats"
)

const (
	// manyIdle is the number of idle connections that the design asks for; as many are made as the limit of open files of one
	// process allows. manyBusy are those that carry something, to readers that rest again and again.
	manyIdle  = 10000
	manyBusy  = 500
	busyTime  = 8 * time.Second
	busyRest  = 30 * time.Millisecond
	busyChunk = 64 << 10
	// crowds is over how many processes the clients are spread.
	crowds = 4
	// settleLimit is how long the idle connections may take to end.
	settleLimit = time.Minute
	// filesElse are the open files that a daemon has beside its connections, and keeps free.
	filesElse = 300
)

// proxyMemory measures what the daemons take for many connections, idle and busy, made directly and over one link.
func (b *bench) proxyMemory() error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	idle := min(manyIdle, (int(min(files.Max, 1<<20))-filesElse)/2)
	for _, links := range []int{0, 1} {
		if err := b.crowd(links, idle); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) crowd(links, idle int) (err error) {
	d, err := newDirect()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, d.logs())
		}
		err = joinClose(err, d)
	}()
	if err := d.lay(1); err != nil {
		return err
	}
	if err := d.startOurs(b.program, links); err != nil {
		return err
	}
	stop, err := d.serve()
	if err != nil {
		return err
	}
	defer stop()
	if err := d.waitRelayed("connects " + targetAddress + " 0.1 " + proxyAddress); err != nil {
		return err
	}
	name := "direct"
	if links > 0 {
		name = "MPP over 1 link"
	}
	if err := b.idleCrowd(d, name, idle); err != nil {
		return err
	}
	return b.busyCrowd(d, name)
}

// idleCrowd makes the idle connections and looks at the daemons while they last.
func (b *bench) idleCrowd(d *direct, name string, number int) error {
	time.Sleep(2 * time.Second)
	before, made := d.daemonsMemory(), 0
	var ends []func() error
	defer func() {
		for _, end := range ends {
			_ = end()
		}
	}()
	for range crowds {
		one, end, err := d.crowdOf(fmt.Sprintf("idle %s %d %s", targetAddress, number/crowds, proxyAddress))
		if err != nil {
			return err
		}
		made, ends = made+one, append(ends, end)
	}
	time.Sleep(6 * time.Second) // what is settled, and buffers that go back
	each := (d.daemonsMemory() - before) / float64(max(made, 1))
	router, server := b.poolOf(d, "router"), b.poolOf(d, "server")
	section := "Memory of proxied connections"
	b.say("%s: %d idle connections, %.1f KiB each; pools %d and %d bytes", name, made, each, router[0], server[0])
	b.add(&row{section: section, what: fmt.Sprintf("%s, %d idle, both daemons, for each", name, made), unit: "KiB", values: []float64{each}})
	b.add(&row{section: section, what: fmt.Sprintf("%s, %d idle, of those asked for", name, made), unit: "ratio", judge: atLeast, bound: 1, values: []float64{float64(made) / float64(number/crowds*crowds)}})
	b.add(&row{section: section, what: name + ", idle, pools together", unit: "MiB", judge: atMost, bound: 0.1, values: []float64{float64(router[0]+server[0]) / mebi}})
	return nil
}

const mebi = 1 << 20

// busyCrowd has many connections carry as much as their readers take, and watches the pools.
func (b *bench) busyCrowd(d *direct, name string) error {
	// What has just ended still counts for some seconds.
	for end := time.Now().Add(settleLimit); b.clientsOf(d, "router")+b.clientsOf(d, "server") > manyBusy && time.Now().Before(end); {
		time.Sleep(200 * time.Millisecond)
	}
	highest := map[string]int{}
	limits := map[string]int{}
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			for _, role := range []string{"router", "server"} {
				now := b.poolOf(d, role)
				highest[role], limits[role] = max(highest[role], now[0]), max(limits[role], now[1])
			}
			select {
			case <-over:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	var all sync.WaitGroup
	var bytes [crowds]float64
	var errs [crowds]error
	for i := range crowds {
		all.Go(func() {
			errs[i] = d.ask(fmt.Sprintf("busy %s %d %s", targetAddress, manyBusy/crowds, proxyAddress), &bytes[i])
		})
	}
	all.Wait()
	close(over)
	<-watched
	total := 0.0
	for i := range crowds {
		if errs[i] != nil {
			return errs[i]
		}
		total += bytes[i]
	}
	time.Sleep(3 * time.Second)
	section := "Memory of proxied connections"
	b.add(&row{section: section, what: fmt.Sprintf("%s, %d busy, together", name, manyBusy), unit: "Mbit/s", judge: atLeast, bound: 1, values: []float64{total * 8 / busyTime.Seconds() / 1e6}})
	for _, role := range []string{"router", "server"} {
		left := b.poolOf(d, role)
		b.say("%s, %d busy: %s's pool held %.1f of %.1f MiB at most, %.1f afterwards", name, manyBusy, role, float64(highest[role])/mebi, float64(limits[role])/mebi, float64(left[0])/mebi)
		if limits[role] == 0 || highest[role] == 0 {
			continue // nothing goes by the pool
		}
		b.add(&row{section: section, what: fmt.Sprintf("%s, %d busy, %s's pool at most", name, manyBusy, role), unit: "MiB", judge: atMost,
			bound: float64(limits[role])/mebi + 1, values: []float64{float64(highest[role]) / mebi}})
		b.add(&row{section: section, what: fmt.Sprintf("%s, %s's pool afterwards", name, role), unit: "MiB", judge: atMost, bound: 0.5, values: []float64{float64(left[0]) / mebi}})
	}
	return nil
}

// poolOf is what a daemon's streams hold, and may hold, in bytes; nothing if it does not say.
func (b *bench) poolOf(d *direct, role string) (pool [2]int) {
	p := b.proxyOf(d, role)
	return [2]int{p.MemoryBytes, p.MemoryLimitBytes}
}

// clientsOf is how many connections a daemon has.
func (b *bench) clientsOf(d *direct, role string) int { return b.proxyOf(d, role).Clients }

func (b *bench) proxyOf(d *direct, role string) stats.Proxy {
	out, err := exec.Command(b.program, "--socket", d.path(role+".sock"), "status", "--json").Output()
	var s stats.Status
	if err != nil || json.Unmarshal(out, &s) != nil || s.Proxy == nil {
		return stats.Proxy{}
	}
	return *s.Proxy
}

// crowdOf starts a client that makes connections and keeps them; made is how many it made, and end ends it.
func (d *direct) crowdOf(words string) (made int, end func() error, err error) {
	cmd, err := d.client(words)
	if err != nil {
		return 0, nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	end = func() error { _ = in.Close(); return cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		made, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		_ = end()
		return 0, nil, fmt.Errorf("make connections: %w", err)
	}
	return made, end, nil
}

// busyTCP has so many connections receive at the same time, resting after each piece, and prints how many bytes came.
func busyTCP(words []string) error {
	number, err := strconv.Atoi(words[2])
	if err != nil {
		return err
	}
	var total atomic.Int64
	var all sync.WaitGroup
	stop := time.Now().Add(busyTime)
	for range number {
		all.Go(func() {
			var conn net.Conn
			var err error
			for conn == nil && time.Now().Before(stop) {
				if conn, err = dialTarget(words); err != nil {
					conn = nil
				}
			}
			if conn == nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Write([]byte("r"))
			_ = conn.SetReadDeadline(stop)
			b := make([]byte, busyChunk)
			for {
				n, err := io.ReadFull(conn, b)
				if total.Add(int64(n)); err != nil {
					return
				}
				time.Sleep(busyRest)
			}
		})
	}
	all.Wait()
	fmt.Println(total.Load())
	return nil
}
