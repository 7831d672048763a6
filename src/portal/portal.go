package portal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/cpu"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine"
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/session"
	"mpproxy/src/park"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

// Options are what Run needs to know beside the configuration.
type Options struct {
	// ConfigFile is the path of the UCI file.
	ConfigFile string
	// Socket is the control socket's path; empty: what the configuration says.
	Socket string
	// Version is shown in status.
	Version string
}

// Run runs the portal that the configuration describes until ctx ends, and leaves the system as it was.
func Run(ctx context.Context, o Options) (err error) {
	cfg, warnings, err := config.Load(o.ConfigFile)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // from here on it does not end us
	defer signal.Stop(hangup)
	level := new(slog.LevelVar)
	level.Set(slogLevel(cfg.Portal.LogLevel))
	log := newLog(level)
	for _, w := range warnings {
		log.Warn(w.String())
	}
	if !cfg.Portal.Enabled {
		return fmt.Errorf("%s: the portal is switched off: set option enabled '1' in section portal 'main'", o.ConfigFile)
	}
	cfg, made, err := cfg.WithKey()
	if err != nil {
		return err
	}
	public, err := cfg.Portal.PrivateKey.Public()
	if err != nil {
		return fmt.Errorf("read private key: %w", err)
	}
	if made {
		log.Info("made a private key; the other side needs its public key", "public_key", public.String())
	}
	if o.Socket == "" {
		o.Socket = cfg.Portal.Control
	}
	mode, err := enterRun(ctx, o.Socket, log)
	if err != nil {
		return err
	}
	defer func() { mode.leave(err) }()
	cfg = mode.careful(cfg)
	g := newGroup(ctx)
	defer g.cancel(nil)
	p := &running{Options: o, cfg: cfg, mode: mode, log: log, level: level, started: time.Now(), group: g}
	p.config.current = cfg
	p.noteFile()
	p.memory = divideMemory(cfg.Portal.MemoryLimitBytes, machineMemory())
	debug.SetMemoryLimit(p.memory.goLimit)
	if cfg.Portal.Role == config.RoleRemote {
		err = p.startRemote()
	} else {
		err = p.startLocal()
	}
	if err != nil {
		g.cancel(err)
		return errors.Join(g.wait(), p.close())
	}
	if cfg.Portal.Role == config.RoleLocal { // a server has a user of its own, and files that may be another's
		if err := system.DropPrivileges(); err != nil {
			log.Warn("keep rights that are not needed", "err", err)
		}
	}
	p.start(hangup)
	mode.ran = true
	log.Info("running", "role", cfg.Portal.Role, "public_key", public.String())
	<-g.ctx.Done()
	closed := p.close()
	return errors.Join(g.wait(), closed)
}

// running is a portal that has been started.
type running struct {
	Options
	cfg     *config.Config // as it was at the start; see configuration
	config  reloading
	earlier earlier
	mode    *safeMode
	log     *slog.Logger
	level   *slog.LevelVar
	started time.Time
	memory  memory
	group   *group
	shared  *shared
	jobs    map[string]jobFunc // what the role can do beside; set before control starts
	undo    []func() error     // what to do at the end, last first
	mu      sync.Mutex
	parking *park.Lot // see idle
	crowded bool      // there is none
}

// start begins to follow changes of the configuration.
func (p *running) start(hangup <-chan os.Signal) {
	changed := make(chan struct{}, 1)
	if p.cfg.Portal.Role == config.RoleRemote {
		p.group.start(&dirWatch{path: p.cfg.Portal.Remote.PeersDir, changed: changed})
	}
	p.group.start(funcTask{"reload", func(ctx context.Context) error { return p.follow(ctx, hangup, changed) }})
	p.group.start(funcTask{"memory of idle connections", func(ctx context.Context) error { return keepTidy(ctx, p.parked) }})
}

// atEnd notes what is to be taken back.
func (p *running) atEnd(f func() error) {
	p.mu.Lock()
	p.undo = append(p.undo, f)
	p.mu.Unlock()
}

func (p *running) close() error {
	p.mu.Lock()
	undo := p.undo
	p.undo = nil
	p.mu.Unlock()
	var errs []error
	for i := len(undo) - 1; i >= 0; i-- {
		errs = append(errs, undo[i]())
	}
	return errors.Join(errs...)
}

// startControl answers status and commands at the control socket, and does the role's jobs.
func (p *running) startControl(handler control.Handler, tunnels func() []named) {
	handler = p.withTrace(p.withReload(handler), tunnels)
	forgetMenus()
	lately := newRecent(handler)
	if p.mode.safe() {
		lately.remember(Event{At: time.Now().Unix(), Kind: "safe_mode", Text: p.mode.why})
	}
	p.group.start(funcTask{"recent", lately.run})
	desk := &Desk{ConfigFile: p.ConfigFile, Running: true, Log: p.log, recent: lately, jobsOf: p.jobs, next: handler}
	p.group.start(control.NewServer(p.Socket, desk.Handle))
}

// openDevice makes the TUN device and its reader.
func (p *running) openDevice(mtu int) error {
	open := system.OpenTUN
	if p.mode.safe() {
		open = system.OpenPlainTUN
	}
	device, err := open(p.cfg.Portal.Device, mtu)
	if err != nil {
		return fmt.Errorf("open %s: %w", p.cfg.Portal.Device, err)
	}
	p.shared.device = device
	p.atEnd(device.Close)
	return nil
}

// startLoop starts the engine's goroutine and the TUN reader.
func (p *running) startLoop(r role) {
	p.group.start(&loop{shared: p.shared, role: r})
	p.group.start(funcTask{"tun reader", p.shared.readTUN})
	p.group.start(funcTask{"tun writer", p.shared.writeTUN})
}

// addSocket starts a socket's reader and sender and puts it at its place; in the loop or before it runs.
func (p *running) addSocket(k *socket) {
	for len(p.shared.sockets) <= k.link {
		p.shared.sockets = append(p.shared.sockets, nil)
	}
	p.shared.sockets[k.link] = k
	for _, t := range k.tasks() {
		p.group.start(t)
	}
}

// tunnelParams are the engine's parameters by the configuration.
func (p *running) tunnelParams(mtu int) engine.Params {
	t := engine.Params{
		QueueBytes: p.memory.store, RepairBytes: p.memory.store, LaneBytes: p.memory.store,
		MTU: mtu, Pool: p.shared.pool, Seed: randomNumber(), Random: randomNumber,
		Profile: profileOf(p.cfg.Portal.Profile),
	}
	t.Scheduler, t.Congestion = choices(p.cfg.Portal)
	return t
}

// choices are the scheduler and the congestion control that the configuration asks for.
func choices(p config.Portal) (sched.Kind, congestion.Kind) {
	s, _ := sched.ParseKind(string(p.Scheduler))
	c, _ := congestion.ParseKind(string(p.Congestion))
	return s, c
}

// systemParams are the names of what is ours on the system.
func (p *running) systemParams() system.Params { return SystemParams(p.cfg.Portal) }

// SystemParams are the names of what is ours on the system, as configured.
func SystemParams(portal config.Portal) system.Params {
	s := system.DefaultParams()
	if portal.Table > 0 {
		s.Table, s.LinkTable = portal.Table, portal.Table+1
	}
	if portal.Mark.Value != 0 {
		s.MarkStep, s.MarkMask = portal.Mark.Value, portal.Mark.Mask
	}
	if portal.RulePriority > 0 {
		s = s.StartingAt(min(portal.RulePriority, system.MaxPriority))
	}
	return s
}

// suites are the ciphers in order of preference: AES where the processor has it.
func suites(c config.Cipher) []session.Suite {
	switch {
	case c == config.CipherAES:
		return []session.Suite{session.AES256GCM}
	case c == config.CipherChaCha:
		return []session.Suite{session.ChaCha20Poly1305}
	case cpu.X86.HasAES || cpu.ARM64.HasAES || cpu.ARM.HasAES || cpu.S390X.HasAES:
		return []session.Suite{session.AES256GCM, session.ChaCha20Poly1305}
	}
	return []session.Suite{session.ChaCha20Poly1305, session.AES256GCM}
}

func protection(p config.Protect) session.Protection {
	if p == config.ProtectAuthenticate {
		return session.Authenticate
	}
	return session.Encrypt
}

// innerMTU is the size of inner packets that the configuration asks for.
func innerMTU(c *config.Config) int {
	if c.Portal.MTU > 0 {
		return c.Portal.MTU
	}
	return engine.DefaultMTU
}

// randomNumber is unpredictable.
func randomNumber() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// slogLevel is the library's word for a level.
func slogLevel(level config.LogLevel) slog.Level {
	return map[config.LogLevel]slog.Level{
		config.LogError: slog.LevelError, config.LogWarn: slog.LevelWarn, config.LogInfo: slog.LevelInfo, config.LogDebug: slog.LevelDebug,
	}[level]
}

// newLog writes lines for people, and for the system log, to standard error.
func newLog(level *slog.LevelVar) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// changes tells what happens to the system's network, until ctx ends.
func (p *running) watch() (*system.Watch, error) {
	w, err := system.OpenWatch()
	if err != nil {
		return nil, fmt.Errorf("watch the network: %w", err)
	}
	p.group.start(w)
	return w, nil
}

// status fills what all roles have in common.
func (p *running) status(sessions []stats.Session, links []stats.Link, drops stats.Drops) stats.Status {
	io := p.shared.drops.Snapshot()
	drops.Merge(&io)
	problem, restart := p.configTrouble()
	var advice []string
	if p.mode.safe() {
		advice = append(advice, p.mode.why)
	}
	return stats.Status{
		SafeMode: p.mode.safe(), Advice: advice,
		Version: p.Version, Role: string(p.cfg.Portal.Role), UptimeSeconds: stats.Seconds(time.Since(p.started)),
		ConfigFile: p.ConfigFile, Sessions: sessions, Links: links, Drops: drops.Map(),
		ConfigProblem: problem, ConfigRestart: restart,
	}
}

// errUnknownLink is for people.
func errUnknownLink(name string, links []config.Link) error {
	var names []string
	for _, l := range links {
		if l.Name != "" { // was removed
			names = append(names, l.Name)
		}
	}
	return fmt.Errorf("there is no link '%s'; links are: %s", name, strings.Join(names, ", "))
}

// logNotices tells the system log what the other side said.
func logNotices(log *slog.Logger, notices []string) {
	for _, n := range notices {
		log.Warn("the other side says: " + n)
	}
}
