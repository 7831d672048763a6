package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// programVariable tells a process started by the lab which traffic program it is.
const programVariable = "MPPLAB_PROGRAM"

// RunProgram runs a traffic program and ends the process if that is what this process was started for; else it
// returns at once. Call it first in main or TestMain.
func RunProgram() {
	words := strings.Fields(os.Getenv(programVariable))
	if len(words) == 0 {
		return
	}
	programs := map[string]func(args []string) error{"serve": serveMain, "bulk": bulkMain, "call": callMain}
	err := errors.New("no such program")
	if program, ok := programs[words[0]]; ok {
		err = program(words[1:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", words[0], err)
		os.Exit(1)
	}
	os.Exit(0)
}

// printer writes whole lines to standard output from several goroutines.
type printer struct{ mu sync.Mutex }

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Printf(format+"\n", args...)
}

// process is a command inside a namespace whose output lines go to a function.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error // set before ended is closed
	errors tailBuffer
}

// stopGrace is how long a process may take to end after SIGTERM before it is killed.
const stopGrace = 5 * time.Second

// start runs a command inside a namespace; line, if not nil, gets each line of its standard output.
func start(namespace string, environment []string, line func(string), name string, args ...string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", namespace, name}, args...)...)
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stderr = &p.errors
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // not for the terminal's ^C
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if line != nil {
				line(lines.Text())
			}
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// startProgram runs a traffic program of this binary inside a namespace.
func startProgram(namespace string, line func(string), words ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	return start(namespace, []string{programVariable + "=" + strings.Join(words, " ")}, line, self)
}

// stop ends the process, gently first, and waits for it.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopGrace):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("stop %s: did not end within %v and was killed", p.cmd.Args[4], stopGrace)
	}
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu   sync.Mutex
	text []byte
}

// tailBytes is enough for the last words of a program.
const tailBytes = 32 << 10

// Write implements io.Writer and never fails.
func (b *tailBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, text...)
	if over := len(b.text) - tailBytes; over > 0 {
		b.text = append(b.text[:0], b.text[over:]...)
	}
	return len(text), nil
}

// String returns what is kept.
func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
