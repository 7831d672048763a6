package main

import (
	"os"
	"slices"
	"strings"

	"mpproxy/src/config"
)

// configFiles are where the configuration is if --config does not say: on a router, on a server.
func configFiles() []string { return []string{"/etc/config/mpproxy", "/etc/mpproxy/mpproxy"} }

// parse fills c from a command line and returns the command. Options may stand anywhere.
func parse(args []string, c *call) (command, error) {
	c.flags = map[string]bool{}
	var words, flags []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case !strings.HasPrefix(arg, "-") || name == "":
			words = append(words, arg)
		case name == "help" || name == "h":
			return command{run: help}, nil
		case name == "config" || name == "socket":
			if !hasValue && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			if value == "" {
				return command{}, usagef("--%s needs a path", name)
			}
			if name == "config" {
				c.config = value
			} else {
				c.socket = value
			}
		case hasValue:
			return command{}, usagef("unknown option %s", arg)
		default:
			flags = append(flags, name)
		}
	}
	if len(words) == 0 {
		words = []string{"status"}
	}
	return choose(words, flags, c)
}

// choose finds the command that words name and holds its arguments and flags against what it takes.
func choose(words, flags []string, c *call) (command, error) {
	if words[0] == "help" {
		return command{run: help}, nil
	}
	all := commands()
	i := slices.IndexFunc(all, func(cmd command) bool { return cmd.name == words[0] })
	if i < 0 {
		return command{}, usagef("unknown command '%s'", words[0])
	}
	cmd := all[i]
	for _, name := range flags {
		if !slices.Contains(cmd.flags, name) {
			return command{}, usagef("%s does not know --%s", cmd.name, name)
		}
		c.flags[name] = true
	}
	c.args = words[1:]
	if n := len(c.args); n < cmd.least || n > cmd.most {
		return command{}, usagef("usage: mpproxy %s", strings.TrimSpace(cmd.name+" "+cmd.args))
	}
	return cmd, nil
}

// configFile returns the configuration to use: --config, or the first of the usual ones that exists, or the first.
func (c *call) configFile() string {
	if c.config != "" {
		return c.config
	}
	usual := configFiles()
	for _, path := range usual {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return usual[0]
}

// socketPath returns the control socket: --socket, or what the configuration says. Only a configuration asked for by
// name must be readable.
func (c *call) socketPath() (string, error) {
	if c.socket != "" {
		return c.socket, nil
	}
	socket, err := config.Socket(c.configFile())
	if err != nil && c.config == "" {
		return config.DefaultSocket, nil
	}
	return socket, err
}
