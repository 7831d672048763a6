package uci

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `
# comment
config defaults
	option input 'REJECT'

config zone
	option name "lan"
	list network 'lan'
	list network guest

config zone 'mine'
	option name 'it'\''s' # more
`

// do runs commands in a new configuration; it returns everything printed, and the file and the staged text at the end.
func do(t *testing.T, program string, commands ...string) (printed, file, staged string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	for _, d := range []string{config, filepath.Join(dir, "staged")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(config, "fw"), []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, line := range commands {
		words, err := split(line)
		if err != nil {
			t.Fatal(err)
		}
		args := append([]string{"-q", "-c", config, "-t", filepath.Join(dir, "staged")}, words...)
		var in bytes.Buffer
		if words[0] == "batch" {
			in.WriteString(strings.ReplaceAll(words[1], ";", "\n"))
			args = args[:len(args)-1]
		}
		status := 0
		if program == "" {
			status = Main(args, &in, &out, &out)
		} else {
			cmd := exec.Command(program, args...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &out
			if err := cmd.Run(); err != nil {
				status = 1
			}
		}
		if status != 0 {
			out.WriteString("no\n")
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return ""
		}
		return string(b)
	}
	info, err := os.Stat(filepath.Join(config, "fw"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	return out.String(), read("config/fw"), read("staged/fw")
}

var cases = [][]string{
	{"get fw.@zone[0].name", "get fw.@zone[1].name", "get fw.mine.name", "get fw.@zone[0].network", "get fw.mine", "get fw.none", "get fw.mine.none", "get other.x"},
	{"show fw"},
	{"show fw.mine"},
	{"set fw.mine.name=x", "get fw.mine.name", "commit fw", "show fw"},
	{"set fw.new=rule", "set fw.new.src=lan", "add_list fw.new.dst=a", "add_list fw.new.dst=b", "commit fw", "get fw.new.dst"},
	{"delete fw.mine", "get fw.mine", "commit fw", "show fw", "delete fw.mine"},
	{"delete fw.mine.name", "commit fw", "get fw.mine.name"},
	{"batch 'set fw.a=rule;set fw.a.b=c;commit fw'", "get fw.a.b"},
	{"set fw.none.a=b", "commit fw"},
	{"commit fw"},
}

func TestCommands(t *testing.T) {
	printed, file, staged := do(t, "", cases[4]...)
	if printed != "a b\n" || staged != "" || !strings.HasSuffix(file, "\nconfig rule 'new'\n\toption src 'lan'\n\tlist dst 'a'\n\tlist dst 'b'\n\n") {
		t.Errorf("%q %q %q", printed, file, staged)
	}
	printed, _, _ = do(t, "", cases[0]...)
	if printed != "lan\nit's\nit's\nlan guest\nzone\nno\nno\nno\n" {
		t.Errorf("%q", printed)
	}
	if _, file, _ := do(t, "", "commit fw"); file != sample {
		t.Error("a commit of nothing writes")
	}
}

// TestAgainstRealUCI compares with OpenWrt's program, where UCI names it.
func TestAgainstRealUCI(t *testing.T) {
	program := os.Getenv("UCI")
	if program == "" {
		t.Skip("no uci here; UCI=program compares with it")
	}
	for _, c := range cases {
		p1, f1, _ := do(t, "", c...)
		p2, f2, _ := do(t, program, c...)
		if p1 != p2 || f1 != f2 {
			t.Errorf("%q:\n%q\n%q\nreal:\n%q\n%q", c, p1, f1, p2, f2)
		}
	}
}
