package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCounts(t *testing.T) {
	const skips = "# comment\n\np TestKnown* needs hardware\n"
	tests := []struct {
		name, in, want string
		ok             bool
	}{
		{"pass", `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p"}`, "1 0 0\n", true},
		{"fail", `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}`, "0 1 0\n", false},
		{"listed skip", `{"Action":"skip","Package":"p","Test":"TestKnown/x"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestB"}`, "1 0 1\n", true},
		{"unlisted skip", `{"Action":"skip","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestB"}`, "1 1 1\n", false},
		{"skip in another package", `{"Action":"skip","Package":"q","Test":"TestKnown"}`, "0 1 1\n", false},
		{"build failure", `{"Action":"fail","Package":"p"}`, "0 1 0\n", false},
		{"nothing at all", `no event`, "0 0 0\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			list, count := filepath.Join(dir, "skips"), filepath.Join(dir, "count")
			if err := os.WriteFile(list, []byte(skips), 0o644); err != nil {
				t.Fatal(err)
			}
			ok, err := run(strings.NewReader(tt.in), &strings.Builder{}, list, count)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(count)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want || ok != tt.ok {
				t.Errorf("got %q, %v, want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestOutputOfFailedTestIsShown(t *testing.T) {
	var out strings.Builder
	tally := newTally(&out, nil)
	in := `{"Action":"output","Package":"p","Test":"TestA","Output":"what went wrong\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p","Test":"TestA"}
`
	if err := tally.read(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "what went wrong") || strings.Contains(s, "chatter") {
		t.Errorf("output:\n%s", s)
	}
}

func TestSkipWithoutReasonIsRefused(t *testing.T) {
	if _, err := parseSkips("p TestA\n"); err == nil {
		t.Error("a skip without a reason was taken")
	}
}
