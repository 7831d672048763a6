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
	c.flags, c.values = map[string]bool{}, map[string][]string{}
	takes := takesValue()
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
		case takes[name]:
			if !hasValue && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			if value == "" || !hasValue && strings.HasPrefix(value, "--") {
				return command{}, usagef("--%s needs a value", name)
			}
			c.values[name] = append(c.values[name], value)
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
	for name := range c.values {
		if !slices.Contains(cmd.takes, name) {
			return command{}, usagef("%s does not know --%s", cmd.name, name)
		}
	}
	c.args = words[1:]
	if n := len(c.args); n < cmd.least || n > cmd.most {
		return command{}, usagef("usage: mpproxy %s", strings.TrimSpace(cmd.name+" "+cmd.args))
	}
	return cmd, nil
}

// takesValue names the options that take a value, of all commands.
func takesValue() map[string]bool {
	all := map[string]bool{}
	for _, cmd := range commands() {
		for _, name := range cmd.takes {
			all[name] = true
		}
	}
	return all
}

// last returns the value that was given last for an option, "" if none.
func (c *call) last(name string) string {
	if v := c.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
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
