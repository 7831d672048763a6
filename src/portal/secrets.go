package portal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mpproxy/src/config"
	"mpproxy/src/control"
)

// isPassword reports whether a secret of this name may be set from here: passwords, and no keys.
func isPassword(name string) bool {
	kind, of, _ := strings.Cut(name, ".")
	return (kind == "user" || kind == "relay") && of != "" && len(of) <= maxSecretName && (of == "main" || sectionName(of) == of)
}

const maxSecretName = 64

// setSecret writes a password, or removes it if the text is empty. Nobody can ask for it later. A running portal follows.
func (d *Desk) setSecret(ctx context.Context, name, text string) error {
	if !isPassword(name) {
		return errors.New("there is no password of this name; names are user.NAME and relay.NAME")
	}
	dir, err := config.SecretsDir(d.ConfigFile)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if text == "" {
		if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	} else if err = config.CheckPassword(text); err == nil {
		err = config.WriteSecret(path, text+"\n")
	}
	if err != nil {
		return fmt.Errorf("keep the password: %w", err)
	}
	if d.Running && d.next != nil {
		_, _ = d.next(ctx, control.Request{Cmd: control.CmdReload}) // what is wrong in the file is told elsewhere
	}
	return nil
}

// knownSecrets names the passwords that are set.
func (d *Desk) knownSecrets() ([]string, error) {
	dir, err := config.SecretsDir(d.ConfigFile)
	if err != nil {
		return nil, err
	}
	names := []string{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list passwords: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); isPassword(name) {
			names = append(names, name)
		}
	}
	return names, nil
}
