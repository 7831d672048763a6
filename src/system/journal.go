package system

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// Journal makes objects and knows how to take them back. It is not safe for concurrent use.
//
// Objects come in named groups. Applying a group again adds what is new, takes back what is gone from it, replaces what
// changed, puts back what somebody else removed, and leaves the rest alone.
type Journal struct {
	log     *slog.Logger
	make    maker
	entries []entry // in the order they were made
}

// maker makes an object unless it is there already. made tells which; undo takes it back, as nil there is nothing to be
// taken back. same says that exactly this object was made before.
type maker func(o Object, same bool) (undo func() error, made bool, err error)

type entry struct {
	group  string
	object Object
	undo   func() error
}

// newJournal returns an empty journal.
func newJournal(log *slog.Logger, make maker) *Journal { return &Journal{log: log, make: make} }

// Apply makes group consist of want, made in that order. After an error the group is incomplete: apply again or undo.
func (j *Journal) Apply(group string, want []Object) error {
	if err := j.sweep(group, want); err != nil {
		return err
	}
	for _, o := range want {
		if err := j.ensure(group, o); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether what takes the place of an object is made.
func (j *Journal) has(o Object) bool {
	return slices.ContainsFunc(j.entries, func(e entry) bool { return e.object.key() == o.key() })
}

// Repair puts back all objects that somebody else removed or changed.
func (j *Journal) Repair() error {
	var errs []error
	for _, e := range slices.Clone(j.entries) {
		errs = append(errs, j.ensure(e.group, e.object))
	}
	return errors.Join(errs...)
}

// Undo takes everything back, in reverse order, and forgets it. What is gone already is no error.
func (j *Journal) Undo() error {
	var errs []error
	for len(j.entries) > 0 {
		errs = append(errs, j.remove(len(j.entries)-1))
	}
	return errors.Join(errs...)
}

// sweep takes back what is in the group but not wanted.
func (j *Journal) sweep(group string, want []Object) error {
	keep := make(map[string]bool, len(want))
	for _, o := range want {
		keep[o.key()] = true
	}
	var errs []error
	for i := len(j.entries) - 1; i >= 0; i-- {
		if e := j.entries[i]; e.group == group && !keep[e.object.key()] {
			errs = append(errs, j.remove(i))
		}
	}
	return errors.Join(errs...)
}

// ensure makes one object or puts it back.
func (j *Journal) ensure(group string, o Object) error {
	at := slices.IndexFunc(j.entries, func(e entry) bool { return e.group == group && e.object.key() == o.key() })
	same := at >= 0 && j.entries[at].object.Command() == o.Command()
	undo, made, err := j.make(o, same)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Command(), err)
	}
	if made {
		j.log.Info("changed system", "command", o.Command(), "again", same)
	}
	switch {
	case at < 0:
		j.entries = append(j.entries, entry{group, o, undo})
	case j.entries[at].undo == nil: // it was there before us, then somebody took it and we put it back
		j.entries[at] = entry{group, o, undo}
	default: // the first undo leads back to what was before us
		j.entries[at].object = o
	}
	return nil
}

// remove takes back entry i.
func (j *Journal) remove(i int) error {
	e := j.entries[i]
	j.entries = slices.Delete(j.entries, i, i+1)
	if e.undo == nil {
		return nil
	}
	if err := e.undo(); err != nil && !gone(err) {
		return fmt.Errorf("undo %s: %w", e.object.Command(), err)
	}
	j.log.Info("changed system back", "undone", e.object.Command())
	return nil
}
