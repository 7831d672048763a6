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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"mpproxy/hack/lab"
)

// bench is one run of the command.
type bench struct {
	report
	program   string
	wireguard string
	quic      string
	profile   string // only these profiles
	criterion string // only criteria whose words contain this
	runs      int
	duration  time.Duration // that a flow is measured for
	settle    time.Duration // before that
	ours      bool          // no other program, one cipher: for comparing builds
	began     time.Time
}

// sections by name, in the order in which they run.
var sections = []struct {
	name, about string
	run         func(*bench) error
}{
	{"engine", "the engine alone: packets per second, allocations, nanoseconds per stage", (*bench).engine},
	{"size", "the binary", (*bench).size},
	{"y6", "one unshaped path, beside wireguard-go", (*bench).unshaped},
	{"memory", "resident memory, idle and under load", (*bench).memory},
	{"y1", "one TCP flow over clean links", (*bench).clean},
	{"y8", "one TCP flow over lossy links", (*bench).lossy},
	{"y3", "a link goes silent, or loses its carrier", (*bench).failover},
	{"proxy", "relays between two unshaped networks: forwarding, ours, and others'", (*bench).proxies},
	{"mppold", "old limits of proxies over several connections, beside one that has them", (*bench).oldLimits},
	{"mpp", "the multipath proxy over the 16 profiles (PROFILE=name,name chooses)", (*bench).mppProfiles},
	{"y5", "a call beside four flows that load links with deep buffers", (*bench).calls},
	{"profiles", "Y2: the sixteen profiles, both ways, with cubic, bbr and QUIC inside, beside OpenVPN over MPTCP", (*bench).profiles},
	{"holds", "how long packets wait for order, by the daemons' traces", (*bench).lanes},
	{"fairness", "one flow beside one of the kernel on the same link", (*bench).fairness},
	{"modes", "goodput and delay of latency, balanced and throughput", (*bench).modes},
	{"y5both", "asymmetric links with deep buffers, saturated both ways", (*bench).bothWays},
	{"choices", "every scheduler with every congestion control", (*bench).choices},
	{"criteria", "what the design asked for first, each with a control", (*bench).measureCriteria},
}

func main() {
	lab.RunProgram()
	runTCP()
	b := &bench{began: time.Now()}
	flag.StringVar(&b.program, "program", "build/mpproxy", "the program")
	flag.StringVar(&b.wireguard, "wireguard", "build/wireguard-go", "wireguard-go, to compare with")
	flag.StringVar(&b.quic, "quic", "build/bench/quic", "the QUIC flow")
	flag.StringVar(&b.profile, "profile", "", "only these profiles, with commas between (rtt_120, or jit_5_reorder)")
	flag.StringVar(&b.criterion, "criterion", "", "only criteria whose words contain this")
	flag.IntVar(&b.runs, "runs", 3, "repetitions of every live measurement")
	flag.DurationVar(&b.duration, "duration", 10*time.Second, "how long a flow is measured (profiles and what is built on them)")
	flag.DurationVar(&b.settle, "settle", 3*time.Second, "how long a flow may settle before")
	flag.BoolVar(&b.ours, "ours", false, "leave other programs, single links and the other cipher out")
	flag.StringVar(&b.out, "out", "build/bench", "where the tables go")
	only := flag.String("only", "", "sections to run, with commas between: "+sectionNames())
	host := flag.String("reach", "", "only see whether a host answers through the tunnel (used by the program itself)")
	flag.Parse()
	if *host != "" {
		os.Exit(reach(*host))
	}
	if err := b.check(*only, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	go leaveNothing()
	err := b.play(*only)
	b.print(os.Stdout)
	fmt.Printf("\n%d measured, %d missed their target, %d not measured, in %.0f s; tables and plots in %s\n",
		len(b.rows), b.missed(), len(b.leftOut), time.Since(b.began).Seconds(), b.out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// leaveNothing removes what was built for the measurements when the bench is told to stop.
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
func (b *bench) check(only string, rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unknown argument %q", strings.Join(rest, " "))
	}
	if b.runs < 1 || b.runs > 100 {
		return fmt.Errorf("runs %d: it must be 1 to 100", b.runs)
	}
	for _, name := range chosen(only) {
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

// head says when and where the run was made.
func (b *bench) head() string {
	return fmt.Sprintf("%s, %d processors, %d runs, %v after %v, %s; medians. Control: the same without the tunnel, or the other program.",
		time.Now().Format("2006-01-02 15:04"), runtime.NumCPU(), b.runs, b.duration, b.settle, runtime.Version())
}

func chosen(only string) []string {
	return strings.FieldsFunc(strings.ToLower(only), func(r rune) bool { return r == ',' || r == ' ' })
}

// play runs the chosen sections; what went wrong in one does not keep the others from running.
func (b *bench) play(only string) error {
	if stale, err := lab.RemoveStale(); err != nil {
		return err
	} else if len(stale) > 0 {
		b.say("removed what an earlier run left behind: %s", strings.Join(stale, " "))
	}
	var errs []error
	for _, s := range sections {
		if names := chosen(only); len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		b.say("== %s: %s", s.name, s.about)
		if err := s.run(b); err != nil {
			b.say("%s: %v", s.name, err)
			errs = append(errs, fmt.Errorf("section %s did not run to its end", s.name))
		}
		if err := b.write(b.head()); err != nil { // after each: a long run may be interrupted
			return err
		}
	}
	return errors.Join(errs...)
}

// say prints a progress line.
func (b *bench) say(format string, args ...any) {
	fmt.Printf("%5.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}
