package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
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
	// process allows beside the busy ones. manyBusy are those that carry something, to readers that rest again and again.
	manyIdle  = 10000
	manyBusy  = 500
	busyTime  = 8 * time.Second
	busyRest  = 30 * time.Millisecond
	busyChunk = 64 << 10
	// crowds is over how many processes the clients are spread.
	crowds = 4
	// filesElse are the open files that a daemon has beside its connections, and keeps free, for pipes above all; filesEach
	// those of a connection.
	filesElse = 900
	filesEach = 2
	// restTime is what is waited for what is idle to be parked, and for buffers to go back.
	restTime = 6 * time.Second
	// routerLimit is what the streams of a router may take, in MiB.
	routerLimit = 32
)

// proxyMemory measures what the daemons take for many connections, idle and busy, made directly and over one link.
func (b *bench) proxyMemory() error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	idle := min(manyIdle, (int(min(files.Max, 1<<20))-filesElse)/filesEach-manyBusy)
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
	before, end, err := b.idleCrowd(d, name, idle)
	if err != nil {
		return err
	}
	defer end()
	return b.busyCrowd(d, name, idle, before)
}

// roles are both ends, each looked at alone.
var roles = []string{"router", "server"}

// idleCrowd makes the idle connections and looks at the daemons while they last; end ends them.
func (b *bench) idleCrowd(d *direct, name string, number int) (before map[string]float64, end func(), err error) {
	time.Sleep(2 * time.Second)
	before = d.memoryOf(roles)
	made := 0
	var ends []func() error
	end = func() {
		for _, one := range ends {
			_ = one()
		}
	}
	for range crowds {
		one, stop, err := d.crowdOf(fmt.Sprintf("idle %s %d %s", targetAddress, number/crowds, proxyAddress))
		if err != nil {
			end()
			return nil, nil, err
		}
		made, ends = made+one, append(ends, stop)
	}
	time.Sleep(restTime)
	b.tellIdle(d, name, number/crowds*crowds, made, before)
	return before, end, nil
}

const memorySection = "Memory of proxied connections"

// tellIdle says what idle connections take, at each end.
func (b *bench) tellIdle(d *direct, name string, number, made int, before map[string]float64) {
	now, pools := d.memoryOf(roles), 0
	what := fmt.Sprintf("%s, %d idle", name, made)
	for _, role := range roles {
		pools += b.poolOf(d, role)[0]
		grown := now[role] - before[role]
		each := grown / float64(max(made, 1))
		b.say("%s: %s %.2f KiB each, %.1f MiB together", what, role, each, grown/kibi)
		r := &row{section: memorySection, what: fmt.Sprintf("%s, %s, for each", what, role), unit: "KiB", values: []float64{each}}
		if role == "router" {
			r.judge, r.bound = atMost, float64(routerLimit)*kibi/manyIdle
		}
		b.add(r)
	}
	b.add(&row{section: memorySection, what: what + ", of those asked for", unit: "ratio", judge: atLeast, bound: 1, values: []float64{float64(made) / float64(number)}})
	b.add(&row{section: memorySection, what: name + ", idle, pools together", unit: "MiB", judge: atMost, bound: 0.1, values: []float64{float64(pools) / mebi}})
}

const (
	kibi = 1 << 10
	mebi = 1 << 20
)

// peaks is the most that was seen of each daemon.
type peaks struct {
	pool, limit map[string]int
	memory      map[string]float64 // beyond that of before
}

// watch looks at the daemons again and again until over is closed.
func (b *bench) watch(d *direct, before map[string]float64, over <-chan struct{}) *peaks {
	p := &peaks{map[string]int{}, map[string]int{}, map[string]float64{}}
	for {
		memory := d.memoryOf(roles)
		for _, role := range roles {
			now := b.poolOf(d, role)
			p.pool[role], p.limit[role] = max(p.pool[role], now[0]), max(p.limit[role], now[1])
			p.memory[role] = max(p.memory[role], memory[role]-before[role])
		}
		select {
		case <-over:
			return p
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// busyCrowd has many connections carry as much as their readers take, beside those that are idle, and watches the pools.
func (b *bench) busyCrowd(d *direct, name string, idle int, before map[string]float64) error {
	over, watched := make(chan struct{}), make(chan *peaks)
	go func() { watched <- b.watch(d, before, over) }()
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
	seen := <-watched
	total := 0.0
	for i := range crowds {
		if errs[i] != nil {
			return errs[i]
		}
		total += bytes[i]
	}
	time.Sleep(3 * time.Second)
	what := fmt.Sprintf("%s, %d idle and %d busy", name, idle, manyBusy)
	b.add(&row{section: memorySection, what: what + ", together", unit: "Mbit/s", judge: atLeast, bound: 1, values: []float64{total * 8 / busyTime.Seconds() / 1e6}})
	for _, role := range roles {
		left := b.poolOf(d, role)
		b.say("%s: %s's pool held %.1f of %.1f MiB at most, %.1f afterwards; all its memory %.1f MiB more than before at most", what, role,
			float64(seen.pool[role])/mebi, float64(seen.limit[role])/mebi, float64(left[0])/mebi, seen.memory[role]/kibi)
		r := &row{section: memorySection, what: fmt.Sprintf("%s, %s, all memory at most", what, role), unit: "MiB", values: []float64{seen.memory[role] / kibi}}
		if role == "router" {
			r.judge, r.bound = atMost, routerLimit
		}
		b.add(r)
		if seen.limit[role] == 0 || seen.pool[role] == 0 {
			continue // nothing goes by the pool
		}
		b.add(&row{section: memorySection, what: fmt.Sprintf("%s, %s's pool at most", what, role), unit: "MiB", judge: atMost,
			bound: float64(seen.limit[role])/mebi + 1, values: []float64{float64(seen.pool[role]) / mebi}})
		b.add(&row{section: memorySection, what: fmt.Sprintf("%s, %s's pool afterwards", name, role), unit: "MiB", judge: atMost, bound: 0.5, values: []float64{float64(left[0]) / mebi}})
	}
	return nil
}

// memoryOf is the memory of the daemons of roles in KiB, pages shared between processes divided.
func (d *direct) memoryOf(roles []string) map[string]float64 {
	out := make(map[string]float64)
	for _, role := range roles {
		for _, cmd := range d.started {
			if slices.Contains(cmd.Args, d.namespace(role)) {
				out[role] += memoryOfProcess(cmd.Process.Pid)
			}
		}
	}
	return out
}

// poolOf is what a daemon's streams hold, and may hold, in bytes; nothing if it does not say.
func (b *bench) poolOf(d *direct, role string) (pool [2]int) {
	p := b.proxyOf(d, role)
	return [2]int{p.MemoryBytes, p.MemoryLimitBytes}
}

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
