package portal

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/trace"
)

const (
	// traceBytes of lines are kept for those who ask: seconds of a busy tunnel.
	traceBytes = 512 << 10
	// traceAnswer bounds the lines of one answer.
	traceAnswer = 256 << 10
	// traceLife is for how long a trace goes on after the last question.
	traceLife = 3 * time.Second
)

// Traced is what was told since the last question.
type Traced struct {
	// Lines are JSON objects as package engine/trace describes them.
	Lines []json.RawMessage `json:"lines"`
	// Next is to be asked for next time, Missed how many lines were told but are gone.
	Next   uint64 `json:"next"`
	Missed uint64 `json:"missed,omitempty"`
}

// named is a tunnel and what its lines are to call it.
type named struct {
	*engine.Tunnel
	name string
}

// traces is a trace that goes on while somebody asks. It belongs to the loop; the zero value is off.
type traces struct {
	ring  *trace.Ring // nil: off
	told  []*engine.Tunnel
	until mono.Time
}

// more keeps the trace on and returns what was told from line from on; a negative number stands for what is told from now on.
func (t *traces) more(now mono.Time, from int64, tunnels []named) (text []byte, next, missed uint64) {
	if t.ring == nil {
		t.ring = trace.NewRing(traceBytes)
		from = 0 // numbers of a trace before mean nothing
	}
	t.until = now.Add(traceLife)
	for _, one := range tunnels {
		if !t.tells(one.Tunnel) {
			one.Trace(now, one.name, t.ring)
			t.told = append(t.told, one.Tunnel)
		}
	}
	if from < 0 {
		from = int64(t.ring.Lines())
	}
	return t.ring.Since(nil, uint64(from), traceAnswer)
}

func (t *traces) tells(one *engine.Tunnel) bool {
	for _, told := range t.told {
		if told == one {
			return true
		}
	}
	return false
}

// expire ends a trace that nobody asks for any more.
func (t *traces) expire(now mono.Time) {
	if t.ring == nil || now < t.until {
		return
	}
	for _, one := range t.told {
		one.Trace(now, "", nil)
	}
	*t = traces{}
}

// withTrace answers questions for a trace, and hands all others on; tunnels is called in the loop.
func (p *running) withTrace(next control.Handler, tunnels func() []named) control.Handler {
	return func(ctx context.Context, q control.Request) (any, error) {
		if q.Cmd != control.CmdTrace {
			return next(ctx, q)
		}
		from := int64(-1)
		if q.Text != "" {
			n, err := strconv.ParseInt(q.Text, 10, 64)
			if err != nil || n < 0 {
				return nil, errors.New("a trace is asked for from a line number on")
			}
			from = n
		}
		var text []byte
		answer := Traced{Lines: []json.RawMessage{}}
		if !p.shared.do(ctx, func(now mono.Time) { text, answer.Next, answer.Missed = p.shared.traces.more(now, from, tunnels()) }) {
			return nil, ctx.Err()
		}
		for begin, i := 0, 0; i < len(text); i++ {
			if text[i] == '\n' {
				answer.Lines = append(answer.Lines, text[begin:i])
				begin = i + 1
			}
		}
		return answer, nil
	}
}
