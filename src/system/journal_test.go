package system

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// thing is an object for tests: it stands at a place and has a value.
type thing struct{ place, value string }

func (o thing) Command() string { return "put " + o.value + " at " + o.place }
func (o thing) key() string     { return o.place }

// world is where things stand; it records what is done to it.
type world struct {
	there map[string]string
	log   []string
	fail  string
}

func (w *world) make(o Object, _ bool) (func() error, bool, error) {
	x := o.(thing)
	old, had := w.there[x.place]
	if x.value == w.fail {
		return nil, false, errors.New("no")
	}
	undo := func() error {
		if x.place == "vanishing" {
			return fmt.Errorf("remove: %w", unix.ENODEV)
		}
		w.log = append(w.log, "undo "+x.place)
		delete(w.there, x.place)
		if had {
			w.there[x.place] = old
		}
		return nil
	}
	if old == x.value {
		return nil, false, nil
	}
	w.log = append(w.log, o.Command())
	w.there[x.place] = x.value
	return undo, true, nil
}

func (w *world) took() string {
	defer func() { w.log = nil }()
	return strings.Join(w.log, ", ")
}

func testJournal(there map[string]string) (*Journal, *world) {
	w := &world{there: there}
	return newJournal(slog.New(slog.NewTextHandler(io.Discard, nil)), w.make), w
}

func TestJournalAppliesDifferences(t *testing.T) {
	j, w := testJournal(map[string]string{"a": "before"})
	steps := []struct {
		group string
		want  []Object
		log   string
	}{
		{"x", []Object{thing{"a", "1"}, thing{"b", "1"}}, "put 1 at a, put 1 at b"},
		{"x", []Object{thing{"a", "1"}, thing{"b", "1"}}, ""},
		{"y", []Object{thing{"c", "1"}}, "put 1 at c"},
		{"x", []Object{thing{"a", "2"}, thing{"d", "1"}}, "undo b, put 2 at a, put 1 at d"},
		{"y", nil, "undo c"},
	}
	for i, s := range steps {
		if err := j.Apply(s.group, s.want); err != nil {
			t.Fatal(err)
		}
		if got := w.took(); got != s.log {
			t.Errorf("step %d: %q, want %q", i, got, s.log)
		}
	}
	for range 2 {
		if err := j.Undo(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.took(); got != "undo d, undo a" || len(w.there) != 1 || w.there["a"] != "before" {
		t.Errorf("undo: %q, left %v", got, w.there)
	}
}

func TestJournalRepairs(t *testing.T) {
	j, w := testJournal(map[string]string{"foreign": "1"})
	if err := j.Apply("x", []Object{thing{"a", "1"}, thing{"b", "1"}, thing{"foreign", "1"}}); err != nil {
		t.Fatal(err)
	}
	w.took()
	delete(w.there, "b")
	if err := j.Repair(); err != nil || w.took() != "put 1 at b" {
		t.Error("not repaired", err)
	}
	if err := j.Repair(); err != nil || w.took() != "" {
		t.Error("repaired what was whole", err)
	}
	if err := j.Undo(); err != nil || !slices.Equal(w.log, []string{"undo b", "undo a"}) || w.there["foreign"] != "1" {
		t.Errorf("%v %v %v", err, w.log, w.there)
	}
}

func TestJournalErrors(t *testing.T) {
	j, w := testJournal(map[string]string{})
	w.fail = "bad"
	err := j.Apply("x", []Object{thing{"a", "1"}, thing{"b", "bad"}, thing{"c", "1"}})
	if err == nil || !strings.Contains(err.Error(), "put bad at b: no") {
		t.Errorf("%v", err)
	}
	if err := j.Apply("y", []Object{thing{"vanishing", "1"}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Undo(); err != nil || w.there["a"] != "" {
		t.Errorf("undo after an error: %v, %v", err, w.there)
	}
}
