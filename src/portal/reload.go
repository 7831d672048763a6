package portal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
)

// reloader is a role that can take another configuration while it runs. What it is given differs from what it has only in
// options that can change. It touches only what differs and says what that was, one phrase each.
type reloader interface {
	reload(ctx context.Context, next *config.Config) (changes []string, err error)
}

// reloading is the state of a portal's configuration: what is in force, and what people should know of the file.
type reloading struct {
	mu      sync.Mutex // held for a whole reload
	role    reloader
	note    sync.Mutex // of what follows
	current *config.Config
	problem string
	restart []string
}

// configuration is what is in force. Safe for concurrent use.
func (p *running) configuration() *config.Config {
	p.config.note.Lock()
	defer p.config.note.Unlock()
	return p.config.current
}

// configTrouble is what is wrong with the file, and which options wait for a restart. Safe for concurrent use.
func (p *running) configTrouble() (problem string, restart []string) {
	p.config.note.Lock()
	defer p.config.note.Unlock()
	return p.config.problem, p.config.restart
}

// reload reads the file again and applies the differences. A file with errors changes nothing.
func (p *running) reload(ctx context.Context) (*control.Reloaded, error) {
	p.config.mu.Lock()
	defer p.config.mu.Unlock()
	next, warnings, err := config.Load(p.ConfigFile)
	if err == nil {
		next, _, err = next.WithKey()
	}
	if err != nil {
		p.setTrouble(err.Error(), nil)
		p.log.Error("the configuration is wrong; the one before stays in force", "err", err)
		return nil, fmt.Errorf("the configuration is wrong; the one before stays in force:\n%w", err)
	}
	for _, w := range warnings {
		p.log.Warn(w.String())
	}
	p.noteFile()
	old := p.configuration()
	next, restart := merge(old, p.mode.careful(next))
	changes, err := p.config.role.reload(ctx, next)
	if old := p.configuration().Portal.LogLevel; old != next.Portal.LogLevel {
		p.level.Set(slogLevel(next.Portal.LogLevel))
		changes = append(changes, "log level "+string(next.Portal.LogLevel))
	}
	problem := ""
	if err != nil {
		problem = err.Error()
		err = fmt.Errorf("apply the configuration: %w", err)
	}
	p.setTrouble(problem, restart)
	p.config.note.Lock()
	p.config.current = next
	p.config.note.Unlock()
	p.forgetPasswords(old, next)
	for _, c := range changes {
		p.log.Info("reloaded: " + c)
	}
	for _, r := range restart {
		p.log.Warn("changes with the next restart only: " + r)
	}
	return &control.Reloaded{Changes: changes, Restart: restart}, err
}

func (p *running) setTrouble(problem string, restart []string) {
	p.config.note.Lock()
	defer p.config.note.Unlock()
	p.config.problem = problem
	if problem == "" || restart != nil {
		p.config.restart = restart
	}
}

// follow reloads at every signal, and when the peers' directory changed.
func (p *running) follow(ctx context.Context, hangup <-chan os.Signal, changed <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
		case <-changed:
		}
		_, _ = p.reload(ctx) // it has been logged, and stands in the status
	}
}

// withReload answers the command that every role has. Whoever asks may not wait for the end, but what was begun is done: with half
// of it the portal would not be as its configuration says, and no later reload would see that.
func (p *running) withReload(handler control.Handler) control.Handler {
	return func(ctx context.Context, q control.Request) (any, error) {
		if q.Cmd != control.CmdReload {
			return handler(ctx, q)
		}
		if p.config.role == nil {
			return nil, errors.New("not ready yet")
		}
		var done *control.Reloaded
		var err error
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			done, err = p.reload(p.group.ctx)
		}()
		select {
		case <-ended:
			return done, err
		case <-ctx.Done():
			return nil, errors.New("the configuration is still being applied; the log and the status tell how that ends")
		}
	}
}

// rechoose gives tunnels another scheduler and congestion control, in the loop; changes says which, one phrase each.
func rechoose(now mono.Time, from, to config.Portal, tunnels ...*engine.Tunnel) (changes []string) {
	s, c := choices(to)
	for _, t := range tunnels {
		t.SetChoices(now, s, c)
	}
	if from.Scheduler != to.Scheduler {
		changes = append(changes, "scheduler "+string(to.Scheduler))
	}
	if from.Congestion != to.Congestion {
		changes = append(changes, "congestion control "+string(to.Congestion))
	}
	return changes
}

// setting is an option by name, with its value.
type setting struct {
	name  string
	value any
}

// fixed are the options that need a restart, as they stand in a configuration.
func fixed(c *config.Config) []setting {
	p := c.Portal
	list := []setting{
		{"enabled", p.Enabled}, {"role", p.Role}, {"private_key", p.PrivateKey}, {"device", p.Device}, {"mtu", p.MTU}, {"control", p.Control},
		{"secrets_dir", p.SecretsDir}, {"profile", p.Profile}, {"cipher", p.Cipher}, {"protect", p.Protect},
		{"memory_limit", p.MemoryLimitBytes}, {"metrics_listen", p.MetricsListen}, {"mark", p.Mark}, {"table", p.Table}, {"rule_priority", p.RulePriority},
	}
	if p.Role == config.RoleRemote {
		r := p.Remote
		return append(list, []setting{
			{"listen", r.Listen}, {"listen_tls", r.ListenTLS}, {"ip_protocol", r.IPProtocol}, {"raw_ip", r.RawIP}, {"address", r.Address},
			{"address6", r.Address6}, {"mode", r.Mode}, {"max_peers", r.MaxPeers}, {"peers_dir", r.PeersDir}, {"tls_name", r.TLSName}, {"prefix6", r.Prefix6},
		}...)
	}
	l := p.Local
	list = append(list, []setting{
		{"public_to", l.PublicTo}, {"failback", l.Failback},
	}...)
	if in := c.EnabledRemotes(); len(in) > 0 {
		list = append(list, setting{"public_key or preshared_key of the remote in use", [3]any{in[0].Name, in[0].PublicKey, in[0].PresharedKey}})
	}
	return list
}

// merge is next with every option that needs a restart as it was; restart names those that differ.
func merge(old, next *config.Config) (merged *config.Config, restart []string) {
	was, is := fixed(old), fixed(next)
	for i := range was {
		if i >= len(is) || was[i].name != is[i].name || !reflect.DeepEqual(was[i].value, is[i].value) {
			restart = append(restart, "option "+was[i].name)
		}
	}
	out := *next
	out.Portal = old.Portal
	out.Portal.LogLevel, out.Portal.DNSServers = next.Portal.LogLevel, next.Portal.DNSServers
	out.Portal.Scheduler, out.Portal.Congestion = next.Portal.Scheduler, next.Portal.Congestion
	here, wanted := &out.Portal.Local, next.Portal.Local
	here.Duplicate = wanted.Duplicate
	here.LAN, here.KillSwitch, here.DNS, here.IPv6, here.RouterTraffic = wanted.LAN, wanted.KillSwitch, wanted.DNS, wanted.IPv6, wanted.RouterTraffic
	to, from := &out.Portal.Remote, next.Portal.Remote
	to.Interface, to.Isolate, to.AllowPrivate, to.BlockPort, to.Reserve = from.Interface, from.Isolate, from.AllowPrivate, from.BlockPort, from.Reserve
	to.RateBitsPerSecond, to.Endpoints = from.RateBitsPerSecond, from.Endpoints
	if old.Portal.Role != next.Portal.Role { // nothing of the other role's makes sense here
		return old, restart
	}
	return &out, restart
}
