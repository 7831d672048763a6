// Command bench measures what the yardsticks ask for, each beside a control in the same run, and writes tables and plots:
// the engine alone, one unshaped path, memory and size, and the lab's emulated links.
//
// The lab's figures are the real program's over emulated links in real time: a busy machine shows in the controls.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mpproxy/hack/lab"
)

// bench is one run of the command.
type bench struct {
	report
	progress
	program   string
	build     string // which program that is: what an earlier run measured of another one does not count
	wireguard string
	quic      string
	profile   string // only these profiles
	criterion string // only criteria whose words contain this
	runs      int
	duration  time.Duration // that a flow is measured for
	settle    time.Duration // before that
	ours      bool          // no other program, one cipher: for comparing builds
	chosen    []string      // sections; none: all
	keep      bool          // measure only what is not in the folder
	redo      bool          // and what was measured on a busy machine
	store     *store
	flows     results         // of profiles, controls and rivals; nil until they are read
	has       map[string]bool // flows by key
	drawn     map[string]int  // flows of a cell that are drawn
}

// section is a part of the measurements.
type section struct {
	name, about string
	run         func(*bench) error
	fixed, each time.Duration // what it takes: once, and for every run; nothing for those that keep their own account
}

// flowSections keep their records flow by flow.
func (s section) flowSection() bool { return s.fixed+s.each == 0 }

// sections are in the order of their importance: a run that is short of time ends somewhere in it.
var sections = []section{
	{"size", "the binary", (*bench).size, time.Second, 0},
	{"y1", "one TCP flow over clean links", (*bench).clean, 60 * time.Second, 82 * time.Second},
	{"y8", "one TCP flow over lossy links", (*bench).lossy, 30 * time.Second, 41 * time.Second},
	{"y3", "a link goes silent, or loses its carrier", (*bench).failover, 0, 17 * time.Second},
	{"y5", "a call beside four flows that load links with deep buffers", (*bench).calls, 0, 26 * time.Second},
	{"y6", "one unshaped path, beside wireguard-go", (*bench).unshaped, 5 * time.Second, 30 * time.Second},
	{"memory", "resident memory, idle and under load", (*bench).memory, 45 * time.Second, 0},
	{"criteria", "what the design asked for first, each with a control", (*bench).measureCriteria, 300 * time.Second, 0},
	{"profiles", "Y2: the sixteen profiles, both ways, with cubic, bbr and QUIC inside", (*bench).profiles, 0, 0},
	{"controls", "the same flows over plain links: one of the summed rate, and each alone", (*bench).controls, 0, 0},
	{"rivals", "the same flows over OpenVPN over MPTCP", (*bench).rivals, 0, 0},
	{"fairness", "one flow beside one of the kernel on the same link", (*bench).fairness, 0, 440 * time.Second},
	{"modes", "goodput and delay of latency, balanced and throughput", (*bench).modes, 0, 270 * time.Second},
	{"y5both", "asymmetric links with deep buffers, saturated both ways", (*bench).bothWays, 0, 65 * time.Second},
	{"holds", "how long packets wait for order, by the daemons' traces", (*bench).lanes, 250 * time.Second, 0},
	{"choices", "every scheduler with every congestion control", (*bench).choices, 0, 800 * time.Second},
	{"engine", "the engine alone: packets per second, allocations, nanoseconds per stage", (*bench).engine, 0, 20 * time.Second},
	{"proxy", "relays between two unshaped networks: forwarding, ours, and others'", (*bench).proxies, 0, 300 * time.Second},
	{"proxyshare", "the proxy's direct connections beside forwarding with NAT, in turn", (*bench).proxyShare, 5 * time.Second, 45 * time.Second},
	{"proxymemory", "memory of many proxied connections, idle and busy", (*bench).proxyMemory, 80 * time.Second, 0},
	{"mppold", "old limits of proxies over several connections, beside one that has them", (*bench).oldLimits, 0, 120 * time.Second},
	{"mpp", "the multipath proxy over the 16 profiles (PROFILE=name,name chooses)", (*bench).mppProfiles, 0, 960 * time.Second},
}

func main() {
	lab.RunProgram()
	runTCP()
	b := &bench{progress: progress{began: time.Now()}, has: map[string]bool{}, drawn: map[string]int{}}
	flag.StringVar(&b.program, "program", "build/mpproxy", "the program")
	flag.StringVar(&b.build, "build", "", "a name for that build of it")
	flag.StringVar(&b.wireguard, "wireguard", "build/wireguard-go", "wireguard-go, to compare with")
	flag.StringVar(&b.quic, "quic", "build/bench/quic", "the QUIC flow")
	flag.StringVar(&b.profile, "profile", "", "only these profiles, with commas between (rtt_120, or jit_5_reorder)")
	flag.StringVar(&b.criterion, "criterion", "", "only criteria whose words contain this")
	flag.IntVar(&b.runs, "runs", 1, "repetitions of every live measurement")
	flag.DurationVar(&b.duration, "duration", 5*time.Second, "how long a flow is measured (profiles and what is built on them)")
	flag.DurationVar(&b.settle, "settle", 3*time.Second, "how long a flow may settle before")
	flag.DurationVar(&b.limit, "limit", 0, "begin nothing that would end later than this; 0: no limit")
	flag.BoolVar(&b.ours, "ours", false, "leave other programs, single links and the other cipher out")
	flag.BoolVar(&b.keep, "keep", false, "measure only what is not in the folder; else what is chosen is measured anew. What is not chosen stays in the tables")
	flag.BoolVar(&b.redo, "redo", false, "with -keep: measure again what was measured on a busy machine")
	older := flag.Bool("older", false, "what is not chosen and was not measured with this build counts as an earlier one gave it, marked")
	flag.StringVar(&b.out, "out", "build/bench", "where the tables go")
	only := flag.String("only", "", "sections to run, with commas between: "+sectionNames())
	into := flag.String("into", "", "put the newest tables into this README, between its marks")
	host := flag.String("reach", "", "only see whether a host answers through the tunnel (used by the program itself)")
	flag.Parse()
	if *host != "" {
		os.Exit(reach(*host))
	}
	b.chosen = chosen(*only)
	err := b.check(flag.Args())
	if err == nil {
		if b.store, err = openStore(b.out); err == nil {
			b.store.older = *older
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	go leaveNothing()
	err = b.play()
	b.print(os.Stdout)
	fmt.Printf("\n%d measured, %d missed their target, %d not measured, in %.0f s; tables and plots in %s\n",
		len(b.rows), b.count(missed), len(b.leftOut)+b.count(unvalued), time.Since(b.began).Seconds(), b.out)
	if *into != "" { // also if a section failed: it is named there
		err = errors.Join(err, insert(*into, filepath.Join(b.out, readmeFile)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// leaveNothing removes what was built for the measurements when the bench is told to stop. What was measured is in the folder.
func leaveNothing() {
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	<-stopped
	if _, err := lab.RemoveOwn(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(1)
}

func sectionNames() string {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	return strings.Join(names, ",")
}

// check looks at the command line.
func (b *bench) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unknown argument %q", strings.Join(rest, " "))
	}
	if b.runs < 1 || b.runs > 100 {
		return fmt.Errorf("runs %d: it must be 1 to 100", b.runs)
	}
	for _, name := range b.chosen {
		if !slices.Contains(strings.Split(sectionNames(), ","), name) {
			return fmt.Errorf("there is no section %q; sections are: %s", name, sectionNames())
		}
	}
	if b.duration < time.Second || b.duration > 10*time.Minute || b.settle < 0 || b.settle > time.Minute {
		return fmt.Errorf("duration %v, settle %v: a flow is measured for 1 s to 10 m, after 0 to 60 s", b.duration, b.settle)
	}
	_, err := cellsOf(chosen(b.profile))
	return err
}

func chosen(only string) []string {
	return strings.FieldsFunc(strings.ToLower(only), func(r rune) bool { return r == ',' || r == ' ' })
}

// wants reports that a section is to be measured.
func (b *bench) wants(section string) bool {
	return len(b.chosen) == 0 || slices.Contains(b.chosen, section)
}

// play runs the chosen sections; what went wrong in one does not keep the others from running.
func (b *bench) play() error {
	if stale, err := lab.RemoveStale(); err != nil {
		return err
	} else if len(stale) > 0 {
		b.say("removed what an earlier run left behind: %s", strings.Join(stale, " "))
	}
	var todo []section
	for _, s := range sections {
		kept := !s.flowSection() && (b.keep || !b.wants(s.name)) && b.restored(s)
		if b.wants(s.name) && !kept {
			todo = append(todo, s)
		}
	}
	b.batchesOf("profiles") // reads what is known of all flows
	if cells, err := cellsOf(chosen(b.profile)); err == nil && len(b.flows) > 0 {
		if err := b.fileCells(cells); err != nil {
			return err
		}
	}
	var errs []error
	for i, s := range todo {
		b.later = 0
		for _, next := range todo[i+1:] {
			b.later += b.costs(next)
		}
		b.expect(b.costs(s))
		if b.timeOver(b.costs(s)) {
			b.leave("section %s: the time was over; KEEP=%s goes on there", s.name, b.out)
			continue
		}
		b.say("== %s: %s", s.name, s.about)
		if err := b.runSection(s); err != nil {
			b.leave("section %s did not run to its end: %v", s.name, err)
			errs = append(errs, fmt.Errorf("section %s did not run to its end", s.name))
		}
		if err := b.write(b.head()); err != nil { // after each: a long run may be interrupted
			return err
		}
	}
	return errors.Join(append(errs, b.write(b.head()))...)
}

// runSection runs a section and keeps a record of it.
func (b *bench) runSection(s section) error {
	rows, tables, left := len(b.rows), len(b.tables), len(b.leftOut)
	m := startMeter()
	if err := s.run(b); err != nil || s.flowSection() {
		return err
	}
	return b.store.put(b.sectionKey(s), b.build, m.since(), saveSection(b.rows[rows:], b.tables[tables:], b.leftOut[left:]))
}

// restored takes a section from the folder, if an earlier run has measured it with this program and in this way.
func (b *bench) restored(s section) bool {
	var saved savedSection
	r, ok := b.store.get(b.sectionKey(s), b.build, &saved)
	if !ok || b.wants(s.name) && (b.redo && saved.busy() || r.Burden.Older) {
		return false
	}
	if b.wants(s.name) {
		b.say("== %s: as measured %s", s.name, r.At.Format("2006-01-02 15:04"))
	}
	if r.Burden.Older {
		saved.age(r.At)
	}
	rows := len(b.rows)
	saved.restore(&b.report)
	for _, one := range b.rows[rows:] {
		one.older = r.Burden.Older
	}
	return true
}

func (b *bench) sectionKey(s section) string {
	return fmt.Sprintf("section %s, profile %q, criterion %q, %d runs, %v after %v, ours %v", s.name, b.profile, b.criterion, b.runs, b.duration, b.settle, b.ours)
}

// costs estimates how long a section takes. Those that follow DURATION do so about in proportion.
func (b *bench) costs(s section) time.Duration {
	if !s.flowSection() {
		return s.fixed + time.Duration(b.runs)*s.each
	}
	total := time.Duration(0)
	for _, one := range b.batchesOf(s.name) {
		total += one.costs(b)
	}
	return total
}
