package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/control"
)

// The jobs. What they take is in Request.Text.
const (
	JobJoin  = "join"  // JoinOptions: pair, start the service, look whether all works
	JobCheck = "check" // a configuration's text that is not saved yet: its Steps are the errors and warnings
	JobUndo  = "undo"  // nothing: the settings as they were before the last join
	JobSpeed = "speed" // nothing: how fast the tunnel is now; uses up to 40 MB. A running router only
	JobRelay = "relay" // a relay's name: whether the server can be reached through it. A running router only
	// JobRestore takes nothing: the settings with which there was a session, where there is none with those that replaced them.
	// A running router only.
	JobRestore = "restore"
)

// jobFunc does a job. text is what it takes.
type jobFunc func(ctx context.Context, text string, told func(Step)) error

const (
	// jobLife is for how long a job that has ended is remembered.
	jobLife = 10 * time.Minute
	// maxJobs bounds those that are remembered.
	maxJobs = 16
)

// Job is how far something is that takes longer than a page may wait.
type Job struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Steps []Step `json:"steps"`
	Done  bool   `json:"done"`
	// Error says why it failed, when Done.
	Error string `json:"error,omitempty"`

	ended time.Time
}

// Desk answers what pages ask beside what the portal itself knows; also while no portal runs. The zero value with its exported
// fields set is ready. Safe for concurrent use.
type Desk struct {
	// ConfigFile is the UCI file.
	ConfigFile string
	// Running says that this is a portal's own desk.
	Running bool
	Log     *slog.Logger

	recent *recent
	jobsOf map[string]jobFunc // what the role can do beside
	next   control.Handler    // what else is asked; nil: nobody
	mu     sync.Mutex
	jobs   []*Job
	lastID int
}

// Handle answers one request.
func (d *Desk) Handle(ctx context.Context, q control.Request) (any, error) {
	switch {
	case q.Cmd == control.CmdJob && q.Action == control.ActionStart:
		return d.start(q)
	case q.Cmd == control.CmdJob && q.Action == control.ActionPoll:
		return d.poll(q.Name)
	case q.Cmd == control.CmdJob:
		return nil, fmt.Errorf("a job can be told start and poll, not '%s'", q.Action)
	case q.Cmd == control.CmdLimits:
		return config.Limits(), nil
	case q.Cmd == control.CmdSecret && q.Action == control.ActionSet:
		return nil, d.setSecret(ctx, q.Name, q.Text)
	case q.Cmd == control.CmdSecret && q.Action == control.ActionList:
		return d.knownSecrets()
	case q.Cmd == control.CmdRing && d.recent != nil:
		return d.recent.ring(), nil
	case q.Cmd == control.CmdEvents && d.recent != nil:
		return d.recent.list(), nil
	case d.next != nil:
		return d.next(ctx, q)
	}
	return nil, fmt.Errorf("'%s' needs a running portal", q.Cmd)
}

// start begins a job.
func (d *Desk) start(q control.Request) (any, error) {
	var run func(ctx context.Context, told func(Step)) error
	switch q.Name {
	case JobJoin:
		o := JoinOptions{}
		if err := json.Unmarshal([]byte(q.Text), &o); err != nil {
			return nil, errors.New("what the job takes is not understood")
		}
		o.ConfigFile, o.Running, o.Log = d.ConfigFile, d.Running, d.Log
		run = func(ctx context.Context, told func(Step)) error { return JoinAndStart(ctx, o, told) }
	case JobCheck:
		run = func(_ context.Context, told func(Step)) error { return checkJob(d.ConfigFile, q.Text, told) }
	case JobUndo:
		run = func(ctx context.Context, _ func(Step)) error {
			if err := UndoJoin(d.ConfigFile); err != nil {
				return err
			}
			return startService(ctx)
		}
	case JobSpeed, JobRelay, JobRestore:
		job := d.jobsOf[q.Name]
		if job == nil {
			return nil, errors.New("this needs the service to run")
		}
		run = func(ctx context.Context, told func(Step)) error { return job(ctx, q.Text, told) }
	default:
		return nil, fmt.Errorf("there is no job '%s'", q.Name)
	}
	return d.begin(q.Name, run)
}

func (d *Desk) begin(kind string, run func(ctx context.Context, told func(Step)) error) (Job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.jobs = slices.DeleteFunc(d.jobs, func(j *Job) bool { return j.Done && now.Sub(j.ended) > jobLife })
	for _, j := range d.jobs {
		if j.Kind == kind && !j.Done && kind != JobCheck {
			return j.copy(), nil // pressed twice
		}
	}
	if len(d.jobs) >= maxJobs {
		if i := slices.IndexFunc(d.jobs, func(j *Job) bool { return j.Done }); i >= 0 {
			d.jobs = slices.Delete(d.jobs, i, i+1)
		} else {
			return Job{}, errors.New("too much is being done at once: try again in a moment")
		}
	}
	d.lastID++
	j := &Job{ID: d.idPrefix() + strconv.Itoa(d.lastID), Kind: kind, Steps: []Step{}}
	d.jobs = append(d.jobs, j)
	go func() {
		err := run(context.Background(), func(s Step) { d.told(j, s) })
		d.mu.Lock()
		j.Done, j.ended = true, time.Now()
		if err != nil {
			j.Error = err.Error()
		}
		d.mu.Unlock()
	}()
	return j.copy(), nil
}

// copy is the job as it is now, which goes on; with the desk's lock held.
func (j *Job) copy() Job {
	out := *j
	out.Steps = slices.Clone(j.Steps)
	return out
}

// AssistPrefix begins the ids of jobs that no portal does: a portal that starts meanwhile does not know them.
const AssistPrefix = "assist-"

func (d *Desk) idPrefix() string {
	if d.Running {
		return ""
	}
	return AssistPrefix
}

// told notes a step; it replaces the one of the same name.
func (d *Desk) told(j *Job, s Step) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(j.Steps, func(o Step) bool { return o.ID == s.ID && o.Link == s.Link }); i >= 0 && s.ID != stepProblem {
		j.Steps[i] = s
		return
	}
	j.Steps = append(j.Steps, s)
}

func (d *Desk) poll(id string) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.jobs {
		if j.ID == id {
			return j.copy(), nil
		}
	}
	return nil, fmt.Errorf("there is no job '%s'; it ended long ago, or the service was restarted", id)
}

// Busy reports that a job is under way.
func (d *Desk) Busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.jobs, func(j *Job) bool { return !j.Done })
}

// stepProblem names the steps of a check: one for each error.
const stepProblem = "problem"

// checkJob judges a text as the daemon would.
func checkJob(path, text string, told func(Step)) error {
	err := CheckText(path, text)
	var all config.Errors
	if !errors.As(err, &all) {
		return err
	}
	for _, one := range all {
		told(Step{ID: stepProblem, Link: one.Section, State: StepFailed, Text: one.Error()})
	}
	return nil
}
