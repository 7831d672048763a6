package portal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mpproxy/src/config"
	"mpproxy/src/pairing"
)

// serverName is what the server is called here.
func serverName(cfg *config.Config, token pairing.Token, o JoinOptions) string {
	for _, r := range cfg.Remotes { // the same server again
		if r.PublicKey == config.Key(token.Server) {
			return r.Name
		}
	}
	if o.Name != "" {
		return sectionName(o.Name)
	}
	host, _, _ := strings.Cut(token.Endpoints[0], ".")
	if _, err := strconv.Atoi(strings.Trim(host, "[")); err == nil || strings.ContainsAny(host, "[:") || len(host) > 20 {
		return "server"
	}
	return sectionName(host)
}

// writeJoined writes server and links into the configuration and switches it on, all at once.
func writeJoined(ctx context.Context, cfg *config.Config, token pairing.Token, o JoinOptions) error {
	changes := []config.Change{{Kind: "remote", Name: serverName(cfg, token, o), Options: []config.Setting{
		config.Set("enabled", "1"), config.Set("public_key", config.Key(token.Server).String()), {Name: "endpoint", Values: offered(token.Endpoints), List: true},
	}}}
	used := map[string]bool{"main": true, changes[0].Name: true}
	for _, r := range cfg.Remotes {
		used[r.Name] = true
		if r.Enabled && r.Name != changes[0].Name && r.PublicKey.IsZero() {
			changes = append(changes, config.Change{Kind: "remote", Name: r.Name, Options: []config.Setting{config.Set("enabled", "0")}})
		}
	}
	for _, l := range cfg.Links { // those that were not chosen
		used[l.Name] = true
		if !slices.ContainsFunc(o.Links, func(j JoinLink) bool { return j.Interface == l.Interface }) && l.Enabled {
			changes = append(changes, config.Change{Kind: "link", Name: l.Name, Options: []config.Setting{config.Set("enabled", "0")}})
		}
	}
	for _, j := range o.Links {
		changes = append(changes, linkChange(cfg, j, used))
	}
	changes = append(changes, config.Change{Kind: "portal", Name: "main", Options: []config.Setting{config.Set("enabled", "1")}})
	return writeConfig(ctx, cfg.File, changes)
}

// offered leaves out the endpoints that this version cannot use, if any is left then.
func offered(endpoints []string) (list []string) {
	ipv4Only := slices.ContainsFunc(config.Limits(), func(l config.Limit) bool { return l.Section == "remote" && l.Option == "endpoint" })
	for _, e := range endpoints {
		if !ipv4Only || !strings.HasPrefix(e, "[") {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return endpoints
	}
	return list
}

func linkChange(cfg *config.Config, j JoinLink, used map[string]bool) config.Change {
	name := sectionName(j.Name)
	if i := slices.IndexFunc(cfg.Links, func(l config.Link) bool { return l.Interface == j.Interface }); i >= 0 {
		name = cfg.Links[i].Name
	} else {
		for base, n := name, 2; used[name]; n++ {
			name = fmt.Sprintf("%s_%d", base, n)
		}
	}
	used[name] = true
	flag := func(option string, on bool) config.Setting {
		if on {
			return config.Set(option, "1")
		}
		return config.Setting{Name: option}
	}
	return config.Change{Kind: "link", Name: name, Options: []config.Setting{
		{Name: "enabled"}, config.Set("interface", j.Interface), config.Set("metric", strconv.Itoa(j.Metric)),
		flag("overflow", j.Overflow), flag("metered", j.Metered),
	}}
}

// beforeJoin is where the configuration is kept as it was, for UndoJoin.
const beforeJoin = "before-join"

// writeConfig makes changes to the configuration: by OpenWrt's uci where it is, which locks the file; else in place. What the
// daemon would refuse is not written.
func writeConfig(ctx context.Context, path string, changes []config.Change) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	text, err := config.Edit(path, string(raw), changes...)
	if err != nil {
		return err
	}
	if err := CheckText(path, text); err != nil {
		return err
	}
	secrets, err := config.SecretsDir(path)
	if err == nil {
		err = config.WriteSecret(filepath.Join(filepath.Dir(secrets), beforeJoin), string(raw))
	}
	if err != nil {
		return fmt.Errorf("keep the settings as they were: %w", err)
	}
	if program, err := exec.LookPath("uci"); err == nil && filepath.Dir(path) == "/etc/config" {
		return uciBatch(ctx, program, path, text, changes)
	}
	return config.ReplaceFile(path, text, configMode)
}

// uciBatch lets uci make the changes, and holds the result against the text that was wanted. Its own list of staged changes keeps what others staged apart.
func uciBatch(ctx context.Context, program, path, wanted string, changes []config.Change) error {
	staged, err := os.MkdirTemp("", "mpproxy-uci")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(staged)
	name := filepath.Base(path)
	cmd := exec.CommandContext(ctx, program, "-c", filepath.Dir(path), "-t", staged, "-q", "batch")
	cmd.Stdin = strings.NewReader(uciCommands(name, changes))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	ran := cmd.Run() // fails also where there was no option to delete
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if same, err := config.Same(path, string(text), wanted); err != nil || !same {
		return fmt.Errorf("write %s: uci did something else than it was asked for: %w", path, errors.Join(err, ran, errors.New(strings.TrimSpace(errs.String()))))
	}
	return nil
}

// uciCommands writes changes as uci's batch mode reads them.
func uciCommands(file string, changes []config.Change) string {
	var b strings.Builder
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	for _, c := range changes {
		section := file + "." + c.Name
		fmt.Fprintf(&b, "set %s=%s\n", section, c.Kind)
		for _, o := range c.Options {
			if len(o.Values) == 0 || o.List {
				fmt.Fprintf(&b, "delete %s.%s\n", section, o.Name)
			}
			for _, v := range o.Values {
				word := "set"
				if o.List {
					word = "add_list"
				}
				fmt.Fprintf(&b, "%s %s.%s=%s\n", word, section, o.Name, quote(v))
			}
		}
	}
	fmt.Fprintf(&b, "commit %s\n", file)
	return b.String()
}

// UndoJoin puts the configuration back as it was before the last Join.
func UndoJoin(path string) error {
	secrets, err := config.SecretsDir(path)
	if err != nil {
		return err
	}
	kept := filepath.Join(filepath.Dir(secrets), beforeJoin)
	raw, err := os.ReadFile(kept)
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("there is nothing to undo: no earlier settings are kept")
	}
	if err != nil {
		return fmt.Errorf("read earlier settings: %w", err)
	}
	if err := config.ReplaceFile(path, string(raw), configMode); err != nil {
		return err
	}
	return os.Remove(kept)
}

// CheckText judges the text of a configuration that is not written yet, as the daemon would judge the file at path.
func CheckText(path, text string) error {
	dir, err := os.MkdirTemp("", "mpproxy-check")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write a copy: %w", err)
	}
	_, _, err = config.Load(copied)
	var all config.Errors
	if errors.As(err, &all) {
		for _, one := range all {
			if one.File == copied {
				one.File = path
			}
		}
		return all
	}
	return err
}
