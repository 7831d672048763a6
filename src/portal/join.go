package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mpproxy/src/config"
	"mpproxy/src/engine/wire"
	"mpproxy/src/pairing"
	"mpproxy/src/system"
)

// JoinOptions say how a router is to be paired.
type JoinOptions struct {
	// ConfigFile is the router's UCI file; it is made if it is not there.
	ConfigFile string `json:"-"`
	// Token is what the server printed, as it was pasted.
	Token string `json:"token"`
	// Name is what the server is called here; empty: by its host name, or "server".
	Name string `json:"name,omitempty"`
	// Links are the connections to use; none: those the configuration has switched on, else all that lead to the Internet.
	Links []JoinLink `json:"links,omitempty"`
	// Running says that a portal is running here, which has the links' routes in its hands.
	Running bool `json:"-"`
	// Log gets what is of no use to people; nil: nobody.
	Log *slog.Logger `json:"-"`
	// step is called between any two things that a power cut may separate. For tests.
	step func(name string) error
}

// JoinLink is a connection that was chosen.
type JoinLink struct {
	Name      string `json:"name"`
	Interface string `json:"interface"`
	Metric    int    `json:"metric,omitempty"`
	Overflow  bool   `json:"overflow,omitempty"`
	Metered   bool   `json:"metered,omitempty"`
}

// Step is one thing of a longer undertaking, as people are told. A Step with the same ID and Link replaces the one before.
type Step struct {
	ID    string `json:"id"`
	Link  string `json:"link,omitempty"`
	State string `json:"state"` // StepWorking, StepWell, StepFailed or StepNote
	Text  string `json:"text"`
	// Ms is the round trip of a link that answered.
	Ms float64 `json:"ms,omitempty"`
	// BitsPerSecond and Bytes are what a speed test measured and used.
	BitsPerSecond float64 `json:"bits_per_second,omitempty"`
	Bytes         int64   `json:"bytes,omitempty"`
	// Addresses are those that the server gave.
	Addresses []string `json:"addresses,omitempty"`
}

// The states of a Step.
const (
	StepWorking = "working"
	StepWell    = "ok"
	StepFailed  = "failed"
	StepNote    = "note" // not as good as it could be, and no reason to stop
)

// Join pairs this router: the key is on the flash before the first packet, the configuration is written after the server has
// said yes, all at once. Repeating it with the same token, after a power cut too, does no harm. told hears of every step.
func Join(ctx context.Context, o JoinOptions, told func(Step)) error {
	if o.step == nil {
		o.step = func(string) error { return nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	token, err := pairing.Parse(o.Token)
	if err != nil {
		told(Step{ID: "token", State: StepFailed, Text: err.Error()})
		return err
	}
	told(Step{ID: "token", State: StepWell, Text: "token of the server " + token.Endpoints[0]})
	cfg, err := readyConfig(o.ConfigFile)
	if err == nil {
		cfg, _, err = cfg.WithKey()
	}
	if err == nil {
		err = o.step("key made")
	}
	if err == nil && len(o.Links) == 0 {
		o.Links, err = findLinks(ctx, cfg)
	}
	if err != nil {
		told(Step{ID: "keys", State: StepFailed, Text: err.Error()})
		return err
	}
	told(Step{ID: "keys", State: StepWell, Text: "keys made"})
	told(Step{ID: "server", State: StepWorking, Text: "asking the server"})
	inner, err := greet(ctx, o.Log, cfg, token, o, func(i int, g greeted) { told(linkStep(o.Links[i], g)) })
	if err != nil {
		told(Step{ID: "server", State: StepFailed, Text: err.Error()})
		return err
	}
	told(Step{ID: "server", State: StepWell, Text: "the server knows this router now"})
	told(Step{ID: "addresses", State: StepWell, Text: "addresses received: " + strings.Join(innerAddresses(inner), ", "), Addresses: innerAddresses(inner)})
	if err := o.step("paired"); err != nil {
		return err
	}
	if err := writeJoined(ctx, cfg, token, o); err != nil {
		told(Step{ID: "written", State: StepFailed, Text: err.Error()})
		return err
	}
	told(Step{ID: "written", State: StepWell, Text: "settings saved"})
	return o.step("written")
}

// linkStep tells how a link did.
func linkStep(l JoinLink, g greeted) Step {
	s := Step{ID: "link", Link: l.Name}
	if g.why != "" {
		s.State, s.Text = StepNote, fmt.Sprintf("over %s: %s", l.Name, g.why)
		return s
	}
	s.State, s.Ms = StepWell, float64(g.answered.Microseconds())/1000
	s.Text = fmt.Sprintf("server answers over %s (%.0f ms)", l.Name, s.Ms)
	return s
}

func innerAddresses(c *wire.SessionConfig) (list []string) {
	for _, a := range []netip.Prefix{c.Address4, c.Address6} {
		if a.IsValid() {
			list = append(list, a.Addr().String())
		}
	}
	return list
}

// newConfig is what a router's file begins with if there is none.
const newConfig = "config portal 'main'\n\toption enabled '0'\n\toption role 'local'\n\tlist lan 'lan'\n"

// readyConfig reads the configuration, and makes one if there is none.
func readyConfig(path string) (*config.Config, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
		if err := config.ReplaceFile(path, newConfig, configMode); err != nil {
			return nil, err
		}
	}
	cfg, _, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if cfg.Portal.Role != config.RoleLocal {
		return nil, fmt.Errorf("%s is that of a server; a router joins, a server does not", path)
	}
	return cfg, nil
}

// configMode is that of UCI files.
const configMode = 0o644

// findLinks chooses connections when nobody else did.
func findLinks(ctx context.Context, cfg *config.Config) (links []JoinLink, err error) {
	for _, l := range cfg.EnabledLinks() {
		if _, err := system.Look(deviceOf(ctx, cfg.File, l.Interface)); err == nil {
			links = append(links, JoinLink{Name: l.Name, Interface: l.Interface, Metric: l.Metric, Overflow: l.Overflow, Metered: l.Metered})
		}
	}
	if len(links) > 0 {
		return links, nil
	}
	devices, err := system.Uplinks()
	if err != nil {
		return nil, err
	}
	names := interfacesByDevice(ctx)
	for _, d := range devices {
		if d.Device == cfg.Portal.Device || d.Tunnel {
			continue
		}
		name := d.Device
		if n, ok := names[name]; ok {
			name = n
		}
		links = append(links, JoinLink{Name: sectionName(name), Interface: name})
	}
	if len(links) == 0 {
		return nil, errors.New("this router has no connection with a gateway")
	}
	return links, nil
}

// sectionName makes a name of a section of any text.
func sectionName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' {
			return r
		}
		return '_'
	}, text)
	if name == "" || name == "main" {
		return "link"
	}
	return name
}

// deviceOf is the device of a netifd interface: as netifd says, or as it is configured; else the name is that of a device.
func deviceOf(ctx context.Context, configFile, name string) string {
	out, err := exec.CommandContext(ctx, "ubus", "call", "network.interface."+name, "status").Output()
	var status struct {
		Device string `json:"l3_device"`
	}
	if err == nil && json.Unmarshal(out, &status) == nil && status.Device != "" {
		return status.Device
	}
	if device, ok := config.ReadNetwork(configFile).Device(name); ok {
		return device
	}
	return name
}

// interfacesByDevice names the netifd interface of each device; those of IPv4 first.
func interfacesByDevice(ctx context.Context) map[string]string {
	names := map[string]string{}
	out, err := exec.CommandContext(ctx, "ubus", "call", "network.interface", "dump").Output()
	var dump struct {
		Interface []struct {
			Name   string `json:"interface"`
			Device string `json:"l3_device"`
		} `json:"interface"`
	}
	if err != nil || json.Unmarshal(out, &dump) != nil {
		return names
	}
	for _, i := range dump.Interface {
		if old, ok := names[i.Device]; !ok || len(i.Name) < len(old) {
			names[i.Device] = i.Name
		}
	}
	return names
}

// resolveDevice reads a device's state, by the router if there is one.
func resolveDevice(r *system.Router, device string) (system.LinkState, error) {
	if r != nil {
		return r.Resolve(device)
	}
	return system.Look(device)
}
