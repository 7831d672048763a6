package portal

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// task is one long-lived goroutine.
type task interface {
	// Run works until ctx ends and then returns nil; an error ends the portal.
	Run(ctx context.Context) error
	String() string
}

// funcTask makes a task of a function.
type funcTask struct {
	name string
	run  func(ctx context.Context) error
}

// Run calls the function.
func (f funcTask) Run(ctx context.Context) error { return f.run(ctx) }

// String is the name that was given.
func (f funcTask) String() string { return f.name }

// group runs tasks under one context: the first error ends all.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newGroup(ctx context.Context) *group {
	ctx, cancel := context.WithCancelCause(ctx)
	return &group{ctx: ctx, cancel: cancel}
}

// start runs t in its own goroutine.
func (g *group) start(t task) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		if err := t.Run(g.ctx); err != nil && g.ctx.Err() == nil {
			g.cancel(fmt.Errorf("%s: %w", t, err))
		}
	}()
}

// wait returns once all tasks have ended: nil if the context given to newGroup did, else the first error.
func (g *group) wait() error {
	g.wg.Wait()
	if err := context.Cause(g.ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
