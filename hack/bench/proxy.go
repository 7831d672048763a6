package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	relayShare   = 0.8 // of forwarding with NAT
	relayTime    = 4 * time.Second
	connectTime  = 3 * time.Second
	idleNumber   = 1000
	proxyAddress = "192.168.77.1:1080"
	proxyCables  = 4
)

// relayer is what carries connections from the client to the target.
type relayer struct {
	name  string
	needs []string // programs that may be missing
	start func(d *direct, program string) error
	built string // added to the program's name: another build of it
	plain bool   // the client connects by itself
	judge bool   // its throughput is held against forwarding's
}

// relayers are measured one after the other, in every run.
func relayers() []relayer {
	return []relayer{
		{name: "forwarding with NAT", start: (*direct).startNAT, plain: true},
		{name: "direct (splice)", judge: true, start: func(d *direct, program string) error { return d.startOurs(program, 0) }},
		{name: "direct (sockmap)", built: "-sockmap", start: func(d *direct, program string) error { return d.startOurs(program, 0) }},
		{name: "MPP over 1 link", start: func(d *direct, program string) error { return d.startOurs(program, 1) }},
		{name: "MPP over 2 links", start: func(d *direct, program string) error { return d.startOurs(program, 2) }},
		{name: "MPP over 4 links", start: func(d *direct, program string) error { return d.startOurs(program, 4) }},
		{name: "microsocks", needs: []string{"microsocks"}, start: (*direct).startMicrosocks},
		{name: "dante", needs: []string{"danted"}, start: (*direct).startDante},
		{name: "shadowsocks over MPTCP", needs: []string{"ss-local", "ss-server", "mptcpize"}, start: (*direct).startShadowsocks},
	}
}

// relayed is one run of a relayer.
type relayed struct {
	down, up       float64 // bit/s
	machine, own   float64 // CPU seconds per GB, of both directions together
	connects       float64 // per second
	memory         float64 // KiB of the daemons for each idle connection
	failed, missed int     // connections
}

// proxies compares relays between two unshaped networks: the client asks the router's proxy for the target.
func (b *bench) proxies() error {
	d, err := newDirect()
	if err != nil {
		return err
	}
	if err := d.lay(proxyCables); err != nil {
		return joinClose(err, d)
	}
	results := map[string][]relayed{}
	for run := range b.runs {
		for _, c := range relayers() {
			if missing := c.missing(b.program); missing != "" {
				b.say("%s: not run, there is no %s here", c.name, missing)
				continue
			}
			r, err := d.relayRun(c, b.program+c.built)
			if err != nil {
				return joinClose(fmt.Errorf("%s: %w\n%s", c.name, err, d.logs()), d)
			}
			results[c.name] = append(results[c.name], r)
			b.say("run %d: %-22s %6.0f down %6.0f up Mbit/s, %.2f s/GB (daemons %.2f), %6.0f connections/s (%d failed), %.1f KiB each idle", run+1, c.name,
				r.down/1e6, r.up/1e6, r.machine, r.own, r.connects, r.failed, r.memory)
		}
	}
	for _, c := range relayers() {
		b.relayRows(c, results[c.name], results[relayers()[0].name])
	}
	return d.close()
}

// relayRows writes a relayer's results beside forwarding's.
func (b *bench) relayRows(c relayer, own, forwarding []relayed) {
	section := "Proxy between two unshaped networks; control: forwarding with NAT"
	if len(own) == 0 {
		b.add(&row{section: section, what: c.name, unit: "", note: "not run: there is no " + c.missing(b.program)})
		return
	}
	take := func(from []relayed, f func(relayed) float64) (out []float64) {
		for _, r := range from {
			out = append(out, f(r))
		}
		return out
	}
	var ratio []float64
	for i, r := range own {
		of := forwarding[i].down
		if r.up > 0 {
			of += forwarding[i].up
		}
		ratio = append(ratio, (r.down+r.up)/of)
	}
	share := &row{section: section, what: c.name + ", rate to forwarding's", unit: "ratio", values: ratio}
	if c.judge {
		share.judge, share.bound = atLeast, relayShare
	}
	for _, one := range []struct {
		what, unit string
		f          func(relayed) float64
	}{
		{"down", "Mbit/s", func(r relayed) float64 { return r.down / 1e6 }},
		{"up", "Mbit/s", func(r relayed) float64 { return r.up / 1e6 }},
		{"CPU of the machine", "s/GB", func(r relayed) float64 { return r.machine }},
		{"CPU of the daemons", "s/GB", func(r relayed) float64 { return r.own }},
		{"connections", "1/s", func(r relayed) float64 { return r.connects }},
		{"memory for an idle connection", "KiB", func(r relayed) float64 { return r.memory }},
	} {
		if c.plain && (one.unit == "KiB" || one.what == "CPU of the daemons") {
			continue
		}
		r := &row{section: section, what: c.name + ", " + one.what, unit: one.unit, values: take(own, one.f), control: take(forwarding, one.f)}
		if one.what == "up" && median(r.values) == 0 {
			r.values, r.note = nil, "not measured: no answer came once the client had ended its stream"
		}
		b.add(r)
	}
	b.add(share)
}

// missing names a program that is not there, else it is empty.
func (c relayer) missing(program string) string {
	for _, p := range append(c.needs, program+c.built) {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// relayRun measures one relayer.
func (d *direct) relayRun(c relayer, program string) (r relayed, err error) {
	defer func() { err = errors.Join(err, d.stopAll(), d.unrelay()) }()
	if err := c.start(d, program); err != nil {
		return r, err
	}
	stop, err := d.serve()
	if err != nil {
		return r, err
	}
	defer stop()
	words := func(verb string, number any) string {
		if c.plain {
			return fmt.Sprintf("%s %s %v", verb, targetAddress, number)
		}
		return fmt.Sprintf("%s %s %v %s", verb, targetAddress, number, proxyAddress)
	}
	if err := d.waitRelayed(words("connects", 0.1)); err != nil {
		return r, err
	}
	machine, own := machineCPU(false), d.daemonsCPU()
	total := 0.0
	for verb, into := range map[string]*float64{"receive": &r.down, "send": &r.up} {
		var bytes, seconds float64
		err := d.ask(words(verb, relayTime.Seconds()), &bytes, &seconds)
		if err != nil && len(c.needs) > 0 && verb == "send" {
			continue // closing both ways when the client has sent all, it leaves nobody to say what arrived
		}
		if err != nil {
			return r, err
		}
		*into, total = bytes*8/seconds, total+bytes/1e9
	}
	r.machine, r.own = (machineCPU(false)-machine)/total, (d.daemonsCPU()-own)/total
	if err := d.ask(words("connects", connectTime.Seconds()), &r.connects, &r.failed); err != nil {
		return r, err
	}
	if c.plain {
		return r, nil
	}
	r.memory, r.missed, err = d.idleMemory(words("idle", idleNumber))
	return r, err
}

// waitRelayed waits until connections come about.
func (d *direct) waitRelayed(words string) error {
	for deadline := time.Now().Add(2 * startLimit); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var rate float64
		var failed int
		if err := d.ask(words, &rate, &failed); err != nil {
			return err
		}
		if rate > 0 && failed == 0 {
			return nil
		}
	}
	return errors.New("it carries no connection")
}

// idleMemory is what the daemons' memory grows by for each of many connections that are open and carry nothing, in KiB;
// missed is how many of them did not come about.
func (d *direct) idleMemory(words string) (each float64, missed int, err error) {
	time.Sleep(time.Second) // what the connections before left behind
	before := d.daemonsMemory()
	cmd, err := d.client(words)
	if err != nil {
		return 0, 0, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() { _ = in.Close(); err = errors.Join(err, cmd.Wait()) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	made, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || made == 0 {
		return 0, 0, fmt.Errorf("no idle connection could be made: %w", err)
	}
	time.Sleep(2 * time.Second) // buffers go back
	return (d.daemonsMemory() - before) / float64(made), idleNumber - made, nil
}

// daemons are the processes that were started, and theirs.
func (d *direct) daemons() (all []int) {
	for _, cmd := range d.started {
		all = append(all, cmd.Process.Pid)
	}
	parents, _ := processTimes()
	for i := 0; i < len(all); i++ {
		for pid, parent := range parents {
			if parent == all[i] {
				all = append(all, pid)
			}
		}
	}
	return all
}

func (d *direct) daemonsCPU() (total float64) {
	for _, pid := range d.daemons() {
		total += cpuOf(pid)
	}
	return total
}

// daemonsMemory is the daemons' share of memory in KiB, pages shared between processes counted once.
func (d *direct) daemonsMemory() (total float64) {
	for _, pid := range d.daemons() {
		total += memoryOfProcess(pid)
	}
	return total
}

// memoryOfProcess is a process's share of memory in KiB.
func memoryOfProcess(pid int) (total float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			total += n
		}
	}
	return total
}
