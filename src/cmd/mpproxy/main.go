// Command mpproxy makes several Internet connections behave as one. It is the portal of either role (run) and what one
// asks it with; without a command it shows the status.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mpproxy/src/config"
)

// version is set by the linker: -X main.version=….
var version = "dev"

// Exit statuses.
const (
	exitWell   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// A command is one subcommand.
type command struct {
	name  string
	args  string // as the help shows them
	help  string
	flags []string // the options it knows beside the global ones, without dashes; they take no value
	takes []string // the same, with a value
	least int      // number of arguments
	most  int
	run   func(ctx context.Context, c *call) error
}

// A call is one run of a command: what it was given, and the streams it works with.
type call struct {
	args     []string
	flags    map[string]bool
	values   map[string][]string // of options that take one
	config   string              // --config, or ""
	socket   string              // --socket, or ""
	interval time.Duration       // of watch
	in       io.Reader
	out, err io.Writer
}

// commands is the table of all subcommands, in the order of the help.
func commands() []command {
	return []command{
		{name: "run", help: "start the portal", run: run},
		{name: "status", args: "[--json|--metrics]", help: "what it does now (also without a command)", flags: []string{"json", "metrics"}, run: status},
		{name: "watch", help: "the same, once a second, until ^C", run: watch},
		{name: "trace", args: "[--seconds N]", help: "write down what it does, a line each, until ^C; --output FILE",
			takes: []string{"seconds", "output"}, run: traceLive},
		{name: "check", args: "[FILE]", help: "what is wrong in a configuration", most: 1, run: check},
		{name: "link", args: "NAME pause|resume", help: "stop using a connection until restart; use it again", least: 2, most: 2, run: link},
		{name: "setup", args: "remote", help: "make this machine a server; --check, --remove", flags: []string{"check", "remove", "keep", "yes"},
			takes: []string{"endpoint", "port", "interface", "root"}, least: 1, most: 1, run: setup},
		{name: "pair", args: "[NAME]", help: "on the server: print a token for a router", flags: []string{"list"},
			takes: []string{"uses", "expires", "replace", "endpoint", "revoke"}, most: 1, run: pair},
		{name: "peers", args: "[ACTION NAME …]", help: "on the server: list routers; rename, limit, revoke, allow one", most: 5, run: peers},
		{name: "join", help: "on the router: pair by the token on standard input", flags: []string{"undo", "wait", "no-start"},
			takes: []string{"file", "name", "link"}, run: join},
		{name: "assist", help: "on the router: answer LuCI while no portal runs", run: assist},
		{name: "reload", help: "read the configuration again and apply what differs", run: reload},
		{name: "guard", args: "up|down|status", help: "what the kill switch holds the LAN with, also without a portal", least: 1, most: 1, run: guard},
		{name: "cleanup", help: "remove what a killed portal left", run: cleanup},
		{name: "genkey", help: "print a new private key", run: genkey},
		{name: "pubkey", help: "print the public key of the private key on standard input", run: pubkey},
		{name: "version", help: "print the version", run: printVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], &call{interval: time.Second, in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// execute runs one command line and returns the exit status.
func execute(ctx context.Context, args []string, c *call) int {
	chosen, err := parse(args, c)
	if err == nil {
		err = chosen.run(ctx, c)
	}
	var wrong usageError
	var bad config.Errors
	switch {
	case err == nil:
		return exitWell
	case errors.Is(err, errSaid):
		return exitUsage
	case errors.As(err, &wrong):
		fmt.Fprintf(c.err, "mpproxy: %v; mpproxy --help shows the commands\n", err)
		return exitUsage
	case errors.As(err, &bad):
		fmt.Fprintf(c.err, "mpproxy: wrong configuration:\n%v\n", err)
		return exitUsage
	}
	text := err.Error()
	if !strings.HasPrefix(text, "mpproxy ") { // "mpproxy is not running" names the program itself
		text = "mpproxy: " + text
	}
	fmt.Fprintln(c.err, text)
	return exitFailed
}

// errSaid ends a command that has told itself what is wrong in the configuration.
var errSaid = errors.New("wrong configuration")

// usageError is a wrong command line.
type usageError string

// Error returns the text.
func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// help prints the commands.
func help(_ context.Context, c *call) error {
	fmt.Fprint(c.out, "mpproxy makes several Internet connections one.\n\nmpproxy [--config FILE] [--socket PATH] [COMMAND]\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(c.out, "  %-26s%s\n", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.help)
	}
	fmt.Fprintf(c.out, "\nConfiguration: %s. Exit status: 0 well, 1 failed, 2 wrong usage or configuration.\n", strings.Join(configFiles(), " or "))
	return nil
}

func printVersion(_ context.Context, c *call) error {
	_, err := fmt.Fprintln(c.out, "mpproxy", version)
	return err
}
