package lab

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// snapshotCommands show all that a portal may change in a namespace.
var snapshotCommands = [][]string{
	{"nft", "--stateless", "list", "ruleset"},
	{"ip", "-j", "link"},
	{"ip", "-j", "address"},
	{"ip", "-j", "-4", "rule"},
	{"ip", "-j", "-6", "rule"},
	{"ip", "-j", "-4", "route", "show", "table", "all"},
	{"ip", "-j", "-6", "route", "show", "table", "all"},
}

// volatile are kernel values that change by themselves.
var volatile = []string{"nf_conntrack_count"}

// Snapshot returns the state of a namespace (by role) as text, the same text for the same state: rules of the firewall,
// devices, addresses, rules and routes of both families, kernel settings below net, and a hash of /etc.
func (l *Lab) Snapshot(role string) (string, error) {
	var b strings.Builder
	for _, command := range snapshotCommands {
		out, err := run("", "ip", append([]string{"netns", "exec", l.Namespace(role)}, command...)...)
		if err != nil {
			return "", fmt.Errorf("take snapshot: %w", err)
		}
		fmt.Fprintf(&b, "# %s\n%s\n", strings.Join(command, " "), out)
	}
	if err := inside(l.Namespace(role), func() error { return settings(&b, "/proc/sys/net") }); err != nil {
		return "", fmt.Errorf("take snapshot: %w", err)
	}
	sum, err := hashTree("/etc")
	if err != nil {
		return "", fmt.Errorf("take snapshot: %w", err)
	}
	fmt.Fprintf(&b, "# /etc\n%x\n", sum)
	return b.String(), nil
}

// settings writes every readable value below a directory of /proc/sys.
func settings(b *strings.Builder, root string) error {
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		for _, v := range volatile {
			if entry.Name() == v {
				return nil
			}
		}
		value, err := os.ReadFile(name)
		if err != nil {
			return nil // write-only, or not for this namespace
		}
		fmt.Fprintf(b, "%s=%s\n", name, strings.TrimSpace(string(value)))
		return nil
	})
}

// hashTree hashes names, modes, links and contents below a directory.
func hashTree(root string) ([]byte, error) {
	hash := sha256.New()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if os.IsPermission(err) {
			return nil // not for us to read, nor for a portal without root to change
		} else if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s %v\n", name, entry.Type())
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			fmt.Fprintln(hash, target)
		case entry.Type().IsRegular():
			content, err := os.ReadFile(name)
			if err != nil && !os.IsPermission(err) {
				return err
			}
			hash.Write(content)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("hash %s: %w", root, err)
	}
	return hash.Sum(nil), nil
}

// Difference returns the lines of two snapshots that are not in both, or "".
func Difference(before, after string) string {
	if before == after {
		return ""
	}
	count := map[string]int{}
	for line := range strings.Lines(before) {
		count[line]--
	}
	for line := range strings.Lines(after) {
		count[line]++
	}
	var b strings.Builder
	for _, side := range []struct {
		text, sign string
		want       int
	}{{before, "-", -1}, {after, "+", 1}} {
		for line := range strings.Lines(side.text) {
			if count[line] == side.want {
				b.WriteString(side.sign + strings.TrimSuffix(line, "\n") + "\n")
				count[line] = 0
			}
		}
	}
	return b.String()
}
