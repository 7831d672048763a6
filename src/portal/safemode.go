package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"mpproxy/src/config"
)

// safeMode is what a run does about crashes of those before it.
type safeMode struct {
	crashes *crashes // nil: they cannot be remembered
	why     string   // in words; empty: nothing is wrong
	ran     bool     // the portal came to run
	log     *slog.Logger
}

// enterRun notes that a run begins, and waits where too many before it crashed.
func enterRun(ctx context.Context, socket string, log *slog.Logger) (*safeMode, error) {
	m := &safeMode{log: log}
	list, err := openCrashes(socket+".crashes", sinceBoot())
	if errors.Is(err, errOtherRuns) {
		return nil, err
	}
	if err != nil {
		log.Warn("crashes will not be remembered", "err", err)
		return m, nil
	}
	m.crashes = list
	if !list.safe() {
		return m, nil
	}
	m.why = fmt.Sprintf("safe mode: it crashed %d times within %d minutes, so it does without offloads and uses UDP only; "+
		"it leaves this mode when it is restarted", len(list.times), crashWindow/time.Minute)
	log.Error(m.why, "waiting", list.wait().String())
	select {
	case <-time.After(list.wait()):
	case <-ctx.Done():
	}
	return m, nil
}

// safe reports that this run does without what is not needed.
func (m *safeMode) safe() bool { return m.why != "" }

// leave notes how the run ended.
func (m *safeMode) leave(err error) {
	if m.crashes == nil {
		return
	}
	how := endedWell
	if err != nil && m.ran {
		how = failed
	} else if err != nil {
		how = refused
	}
	if err := m.crashes.end(how); err != nil {
		m.log.Warn("note the end of this run", "err", err)
	}
}

// careful is the configuration as this run takes it: in safe mode all connections use UDP.
func (m *safeMode) careful(cfg *config.Config) *config.Config {
	if !m.safe() {
		return cfg
	}
	out := *cfg
	out.Links = slices.Clone(cfg.Links)
	for i := range out.Links {
		out.Links[i].Transport = config.TransportUDP
	}
	return &out
}
