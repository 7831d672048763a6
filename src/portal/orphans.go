package portal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mpproxy/src/config"
)

// orphansAfter is how long passwords outlive the section they belong to: longer than a page waits before it takes changes
// back that cut it off.
const orphansAfter = 2 * time.Minute

// passwordsOf names the passwords that sections of a configuration have, or would have.
func passwordsOf(c *config.Config) (names []string) {
	for _, u := range c.Users {
		names = append(names, "user."+u.Name)
	}
	for _, r := range c.Relays {
		names = append(names, "relay."+r.Name)
	}
	return names
}

// forgetPasswords removes the passwords of users and relays that are no longer in the configuration, unless they come back soon,
// and not while there are earlier settings to go back to.
func (p *running) forgetPasswords(old, next *config.Config) {
	kept := passwordsOf(next)
	gone := slices.DeleteFunc(passwordsOf(old), func(name string) bool { return slices.Contains(kept, name) })
	if len(gone) == 0 {
		return
	}
	at := time.Now()
	p.group.start(funcTask{"old passwords", func(ctx context.Context) error {
		for first := true; first || ctx.Err() == nil && p.earlier.goBack() != ""; first = false {
			select {
			case <-ctx.Done(): // better now than never
			case <-time.After(orphansAfter):
			}
		}
		if p.earlier.goBack() != "" { // the settings that had them may come back
			return nil
		}
		now := p.configuration()
		there := passwordsOf(now)
		for _, name := range gone {
			if slices.Contains(there, name) {
				continue
			}
			if err := removeOlder(filepath.Join(now.Portal.SecretsDir, name), at); err != nil {
				p.log.Warn("remove the password of a section that is gone", "err", err)
			}
		}
		return nil
	}})
}

// removeOlder removes a file that was written before at: a newer one is for a section that is about to be saved.
func removeOlder(path string, at time.Time) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().After(at) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	return err
}
