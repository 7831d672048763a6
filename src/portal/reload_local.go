package portal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mpproxy/src/config"
	"mpproxy/src/control"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

var _ reloader = (*local)(nil)

// setPaused stops or resumes the use of a link.
func (r *local) setPaused(ctx context.Context, name, action string) (err error) {
	if action != control.ActionPause && action != control.ActionResume {
		return fmt.Errorf("link %s: '%s' is not pause or resume", name, action)
	}
	ran := r.run.shared.do(ctx, func(now mono.Time) {
		i := slices.IndexFunc(r.links, func(l config.Link) bool { return l.Name == name })
		if i < 0 || name == "" {
			err = errUnknownLink(name, r.links)
			return
		}
		r.paused[i] = action == control.ActionPause
		r.reuse(now, i)
	})
	if !ran {
		return ctx.Err()
	}
	return err
}

// reload adds, changes and removes links, follows other endpoints of the server, and other LAN devices. A link that is the
// same is not touched: its number, socket, path and packet numbers go on.
func (r *local) reload(ctx context.Context, next *config.Config) (changes []string, err error) {
	done := make(chan struct{})
	r.sys.post(func() {
		defer close(done)
		changes, err = r.sys.reload(ctx, next)
	})
	select {
	case <-done:
		return changes, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reload is local.reload in the system task.
func (s *localSystem) reload(ctx context.Context, next *config.Config) (changes []string, err error) {
	places := s.sourcePlaces(next.RulesFor(config.TargetTunnel))
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		changes = rechoose(now, s.portal.run.configuration().Portal, next.Portal, s.portal.Tunnel)
		changes = append(changes, s.portal.recopy(now, next)...)
		s.portal.place(places)
	})
	wanted := next.EnabledLinks()
	for i, l := range s.portal.links {
		if l.Name != "" && !slices.ContainsFunc(wanted, func(w config.Link) bool { return w.Name == l.Name }) {
			err = errors.Join(err, s.dropLink(ctx, i))
			changes = append(changes, fmt.Sprintf("link %s is no longer used", l.Name))
		}
	}
	for _, w := range wanted {
		i := slices.IndexFunc(s.portal.links, func(l config.Link) bool { return l.Name == w.Name })
		if i >= 0 && linksEqual(s.portal.links[i], w) {
			continue
		}
		change, one := s.changeLink(ctx, i, w)
		changes, err = append(changes, change), errors.Join(err, one)
	}
	if remotes := next.EnabledRemotes(); len(remotes) > 0 && s.setRemote(remotes[0]) {
		changes = append(changes, "endpoints of server "+remotes[0].Name)
	}
	changes = append(changes, s.portal.proxy.follow(next)...)
	other, one := s.rewant(next.Portal)
	changes, err = append(changes, other...), errors.Join(err, one)
	s.look(ctx)
	return changes, err
}

// linksEqual compares all options of a link.
func linksEqual(a, b config.Link) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// dropLink stops using a link; its number may be given to another one.
func (s *localSystem) dropLink(ctx context.Context, i int) error {
	s.closeSocket(ctx, i)
	s.links[i] = watchedLink{}
	s.capped[i] = capFree
	s.states[i].Store(stats.LinkDisabled)
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		s.portal.removeLink(now, i)
	})
	return s.router.DropLink(i)
}

// removeLink forgets a link, in the loop.
func (r *local) removeLink(now mono.Time, i int) {
	r.SetLink(now, i, node.Link{})
	r.open.hold(r.links[i].Name, true)
	r.links[i], r.told[i], r.paused[i], r.capped[i] = config.Link{}, node.Link{}, false, capFree
	r.retell(now)
}

// replaceLink gives a link other options, in the loop.
func (r *local) replaceLink(now mono.Time, i int, w config.Link) {
	if r.links[i].Interface != w.Interface {
		r.open.move(w.Name, "") // until its device is found
	}
	r.links[i] = w
	r.retell(now)
}

// changeLink gives a link other options, or a number if it is new (i < 0). Only another device or transport opens it anew.
func (s *localSystem) changeLink(ctx context.Context, i int, w config.Link) (change string, err error) {
	if i < 0 {
		return s.addLink(ctx, w)
	}
	old := s.portal.links[i]
	if old.Interface != w.Interface || old.Transport != w.Transport {
		s.closeSocket(ctx, i)
		s.links[i] = watchedLink{}
		err = s.router.DropLink(i)
	}
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		s.portal.replaceLink(now, i, w)
	})
	return "link " + w.Name, err
}

func (s *localSystem) addLink(ctx context.Context, w config.Link) (change string, err error) {
	i := len(s.portal.links)
	if i >= system.MaxLinks { // what the engine remembers of another link is better than no link
		i = slices.IndexFunc(s.portal.links, func(l config.Link) bool { return l.Name == "" })
	}
	if i < 0 {
		return fmt.Sprintf("link %s is not used", w.Name), fmt.Errorf("link %s: there are %d links already", w.Name, system.MaxLinks)
	}
	s.portal.run.shared.do(ctx, func(now mono.Time) {
		if i == len(s.portal.links) {
			s.portal.links = append(s.portal.links, config.Link{})
		}
		s.portal.links[i] = w
		s.portal.open.hold(w.Name, s.portal.held(i))
		s.portal.retell(now)
	})
	return fmt.Sprintf("link %s is used", w.Name), nil
}

// setRemote follows other endpoints of the same server.
func (s *localSystem) setRemote(to config.Remote) bool {
	if slices.Equal(to.Endpoints, s.names.remote.Endpoints) && to.Family == s.names.remote.Family {
		return false
	}
	s.names = newResolver(to)
	return true
}

// refuse does without addresses that cannot be used, and lets the status say so.
func (s *localSystem) refuse(err error) {
	s.log.Error("the server's addresses are not used", "err", err)
	s.refused.Store(&err)
	s.set = false
	if err := s.router.DropTunnel(); err != nil {
		s.log.Warn("let the LAN go direct", "err", err)
	}
}

// whyRefused says why the server's addresses are not used. Safe for concurrent use.
func (s *localSystem) whyRefused() string {
	if err := s.refused.Load(); err != nil {
		return (*err).Error()
	}
	return ""
}
