package portal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// crashWindow is how long a crash counts.
	crashWindow = 10 * time.Minute
	// crashLimit is how many crashes within crashWindow start safe mode.
	crashLimit = 3
	// backOff is the wait before a start in safe mode; each further crash doubles it, up to longestBackOff. The service's
	// manager starts a crashed program again after a few seconds, for ever.
	backOff        = 5 * time.Second
	longestBackOff = time.Minute
	// crashesKept bounds the file.
	crashesKept = 16
)

// crashes remembers, in a file that does not outlive the system's run, which runs of the portal ended without being asked
// to. A run holds the file locked, so that a second portal, started by mistake, takes the first for no crash.
type crashes struct {
	file  *os.File
	times []int64 // seconds since the system's start, the oldest first
}

// errOtherRuns says that another portal has the file.
var errOtherRuns = errors.New("another portal runs with the same control socket")

// openCrashes notes that a run begins at now (seconds since the system's start), and that the one before it crashed if it
// did not say that it ended.
func openCrashes(path string, now int64) (*crashes, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open list of crashes: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, errOtherRuns
	}
	c := &crashes{file: file}
	running := c.read(now)
	if running {
		c.times = append(c.times, now)
	}
	c.times = c.times[max(0, len(c.times)-crashesKept):]
	if err := c.write(true); err != nil {
		file.Close()
		return nil, err
	}
	return c, nil
}

// read takes the crashes that still count from the file; what makes no sense in it is passed over. It reports whether a run
// began and did not say that it ended.
func (c *crashes) read(now int64) (running bool) {
	lines := bufio.NewScanner(c.file)
	for lines.Scan() {
		word, text, _ := strings.Cut(lines.Text(), " ")
		at, err := strconv.ParseInt(text, 10, 64)
		switch {
		case word == "running":
			running = true
		case word == "crash" && err == nil && at <= now && at > now-int64(crashWindow/time.Second):
			c.times = append(c.times, at)
		}
	}
	slices.Sort(c.times)
	return running
}

func (c *crashes) write(running bool) error {
	var text []byte
	if running {
		text = append(text, "running\n"...)
	}
	for _, at := range c.times {
		text = fmt.Appendf(text, "crash %d\n", at)
	}
	err := c.file.Truncate(0)
	if err == nil {
		_, err = c.file.WriteAt(text, 0)
	}
	if err != nil {
		return fmt.Errorf("write list of crashes: %w", err)
	}
	return nil
}

// safe reports that the run has to be careful.
func (c *crashes) safe() bool { return len(c.times) >= crashLimit }

// wait is how long to leave the system alone before the start.
func (c *crashes) wait() time.Duration {
	if !c.safe() {
		return 0
	}
	return min(backOff<<min(len(c.times)-crashLimit, 10), longestBackOff)
}

// ending is how a run ended.
type ending int

const (
	endedWell ending = iota // asked to, with nothing wrong: all crashes are forgotten
	refused                 // it did not come to run, and said why
	failed                  // it ran, and then could not go on
)

// end notes how the run ended.
func (c *crashes) end(how ending) error {
	defer c.file.Close()
	if how == endedWell {
		return os.Remove(c.file.Name())
	}
	return c.write(how == failed)
}

// sinceBoot is the time since the system's start, in seconds; it counts while the system sleeps, and nobody sets it.
func sinceBoot() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return int64(t.Sec)
}
