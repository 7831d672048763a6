package portal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"mpproxy/src/config"
)

const (
	// proveWithin is how long other settings may take until there is a session with them.
	proveWithin = 30 * time.Second
	// proveAfter is from when on a session is theirs: the one before may seem to stand until its silence is noticed.
	proveAfter = 10 * time.Second
)

// earlier keeps the text of the settings with which there was a session, until those that replaced them have had one too.
// Safe for concurrent use; its zero value knows of no settings.
type earlier struct {
	mu    sync.Mutex
	text  string    // in force
	good  string    // to go back to; empty: there is no need
	since time.Time // when good was replaced
	up    bool      // there was a session at the last look
}

// replaced notes the text that is in force from now on.
func (e *earlier) replaced(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case text == e.text:
		return
	case text == e.good: // somebody went back
		e.good = ""
	case e.good == "" && e.up:
		e.good = e.text
	}
	e.text, e.since = text, time.Now()
}

// look notes whether there is a session now. It reports that there is none with settings that had time for one, and that there
// was one with those before.
func (e *earlier) look(up bool) (lost bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up = up
	age := time.Since(e.since)
	if up && age >= proveAfter {
		e.good = ""
	}
	return e.good != "" && !up && age >= proveWithin
}

// goBack is the text of the settings to go back to; empty: there is no need.
func (e *earlier) goBack() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.good
}

// restore puts the settings back with which there was a session, if they still make sense: a password of theirs may be gone.
func (p *running) restore(ctx context.Context, _ string, _ func(Step)) error {
	good := p.earlier.goBack()
	if good == "" {
		return errors.New("there are no earlier settings to go back to")
	}
	if err := CheckText(p.ConfigFile, good); err != nil {
		return fmt.Errorf("the earlier settings no longer work, so those of now stay: %w", err)
	}
	if err := config.ReplaceFile(p.ConfigFile, good, configMode); err != nil {
		return err
	}
	_, err := p.reload(ctx)
	return err
}

// noteFile takes the configuration's text as that in force. One that cannot be read is nothing to go back to.
func (p *running) noteFile() {
	if text, err := os.ReadFile(p.ConfigFile); err == nil {
		p.earlier.replaced(string(text))
	}
}
