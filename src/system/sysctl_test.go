package system

import (
	"os"
	"path/filepath"
	"testing"
)

// fakeSysctls is a tree of files in place of /proc/sys.
func fakeSysctls(t *testing.T, values map[string]string) sysctls {
	root := t.TempDir()
	for key, value := range values {
		path := filepath.Join(root, "sys", key)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return sysctls{root: filepath.Join(root, "sys"), file: filepath.Join(root, "run", "state.json")}
}

func checkSysctl(t *testing.T, s sysctls, want string, key ...string) {
	t.Helper()
	if got, err := s.read(key); got != want || err != nil {
		t.Errorf("%v is %q (%v), want %q", key, got, err, want)
	}
}

func TestSysctlSetAndUndo(t *testing.T) {
	s := fakeSysctls(t, map[string]string{"a/x": "0", "a/y": "7"})
	x, y := []string{"a", "x"}, []string{"a", "y"}
	undo, made, err := s.set(Sysctl{Key: x, Value: "1"})
	if !made || err != nil {
		t.Fatal(made, err)
	}
	checkSysctl(t, s, "1", x...)
	if again, made, err := s.set(Sysctl{Key: x, Value: "1"}); again != nil || made || err != nil {
		t.Error("set twice", made, err)
	}
	if _, made, _ := s.set(Sysctl{Key: y, Value: "8", If: []Condition{{x, "5"}}}); made {
		t.Error("set without its condition")
	}
	if _, _, err := s.set(Sysctl{Key: []string{"no"}, Value: "1"}); err == nil {
		t.Error("set what is not there")
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	checkSysctl(t, s, "0", x...)
	if _, err := os.Stat(s.file); !os.IsNotExist(err) {
		t.Errorf("the state file is left: %v", err)
	}
}

func TestSysctlLeavesForeignChanges(t *testing.T) {
	s := fakeSysctls(t, map[string]string{"a/x": "0"})
	x := []string{"a", "x"}
	undo, _, err := s.set(Sysctl{Key: x, Value: "1"})
	if err == nil {
		err = s.write(x, "2")
	}
	if err == nil {
		err = undo()
	}
	if err != nil {
		t.Fatal(err)
	}
	checkSysctl(t, s, "2", x...)
}

func TestSysctlRecoversAfterACrash(t *testing.T) {
	s := fakeSysctls(t, map[string]string{
		"c/all/forwarding": "0", "c/eth0/forwarding": "1", "c/eth1/forwarding": "0", "c/default/forwarding": "0", "a/x": "5",
	})
	all := []string{"c", "all", "forwarding"}
	for _, o := range []Sysctl{{Key: all, Value: "1"}, {Key: []string{"a", "x"}, Value: "6"}} {
		if _, made, err := s.set(o); !made || err != nil {
			t.Fatal(made, err)
		}
	}
	// What the kernel does with conf/all/forwarding, and then its opposite when it is written back.
	for _, d := range []string{"eth0", "eth1", "default"} {
		if err := s.write([]string{"c", d, "forwarding"}, "1"); err != nil {
			t.Fatal(err)
		}
	}
	// A second daemon that changes the same does not take ours for the value from before.
	if err := s.write(all, "0"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.set(Sysctl{Key: all, Value: "1"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.recover(); err != nil {
			t.Fatal(err)
		}
	}
	checkSysctl(t, s, "0", all...)
	checkSysctl(t, s, "1", "c", "eth0", "forwarding")
	checkSysctl(t, s, "0", "c", "eth1", "forwarding")
	checkSysctl(t, s, "0", "c", "default", "forwarding")
	checkSysctl(t, s, "5", "a", "x")
}

func TestSysctlBadStateFile(t *testing.T) {
	s := fakeSysctls(t, map[string]string{"a/x": "0"})
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file, []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.recover(); err == nil {
		t.Error("no error")
	}
	if _, made, err := s.set(Sysctl{Key: []string{"a", "x"}, Value: "1"}); !made || err != nil {
		t.Error("the bad file is still in the way", err)
	}
}
