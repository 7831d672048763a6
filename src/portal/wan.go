package portal

import (
	"context"
	"slices"
	"sync"
	"time"

	"mpproxy/src/system"
)

const (
	// wanAgain is how long after an event netifd is asked: it tells of the beginning of a change, too.
	wanAgain = 200 * time.Millisecond
	// wanEvery is how often netifd is asked in any case.
	wanEvery = 30 * time.Second
	// wanRetry is how often listening begins again after ubus went away.
	wanRetry = 2 * time.Second
)

// wans knows which device each of netifd's interfaces has now. On a system without ubus it knows none.
type wans struct {
	ubus  system.Ubus
	poked chan struct{}
	// fresh has something after what is known changed.
	fresh chan struct{}
	mu    sync.Mutex
	list  []system.Interface
}

// newWANs looks for ubus and asks once; there is false on systems without.
func newWANs() (w *wans, there bool) {
	w = &wans{poked: make(chan struct{}, 1), fresh: make(chan struct{}, 1)}
	if w.ubus, there = system.FindUbus(); there {
		w.ask(context.Background())
	}
	return w, there
}

// String implements task.
func (w *wans) String() string { return "netifd watch" }

// Run implements task.
func (w *wans) Run(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.listen(ctx)
	}()
	defer func() { <-ended }() // the program goes with us
	tick := time.NewTicker(wanEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-w.poked:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wanAgain):
			}
		}
		w.ask(ctx)
	}
}

// listen pokes at each event, also across a restart of ubus.
func (w *wans) listen(ctx context.Context) {
	for ctx.Err() == nil {
		_ = w.ubus.Listen(ctx, w.poke)
		select {
		case <-ctx.Done():
		case <-time.After(wanRetry):
			w.poke()
		}
	}
}

// poke lets netifd be asked soon. Safe for concurrent use.
func (w *wans) poke() {
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

// ask replaces what is known, unless netifd does not answer.
func (w *wans) ask(ctx context.Context) {
	list, err := w.ubus.Interfaces(ctx)
	if err != nil {
		return
	}
	w.mu.Lock()
	same := slices.EqualFunc(w.list, list, func(a, b system.Interface) bool {
		return a.Name == b.Name && a.Up == b.Up && a.Device == b.Device && a.Gateway4 == b.Gateway4 && a.Gateway6 == b.Gateway6 && slices.Equal(a.DNS, b.DNS)
	})
	w.list = list
	w.mu.Unlock()
	if same {
		return
	}
	select {
	case w.fresh <- struct{}{}:
	default:
	}
}

// find adds to a link's place what netifd says now: of the interface of that name, and of all others on the same device
// (wan and wan6, wwan_4 and wwan_6). Safe for concurrent use.
func (w *wans) find(name string, at place) place {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.list, func(i system.Interface) bool { return i.Name == name })
	if i < 0 || w.list[i].Device == "" {
		return at
	}
	at.device, at.servers = w.list[i].Device, nil
	for _, one := range slices.Concat(w.list[i:i+1], w.list) { // the named one's word comes first
		if one.Device != at.device {
			continue
		}
		if !at.gateway4.IsValid() {
			at.gateway4 = one.Gateway4
		}
		if !at.gateway6.IsValid() {
			at.gateway6 = one.Gateway6
		}
		for _, a := range one.DNS {
			if !slices.Contains(at.servers, a) {
				at.servers = append(at.servers, a)
			}
		}
	}
	return at
}

// devices replaces names of netifd's interfaces by their devices; other names stay.
func (w *wans) devices(names []string) (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		if i := slices.IndexFunc(w.list, func(i system.Interface) bool { return i.Name == name && i.Device != "" }); i >= 0 {
			name = w.list[i].Device
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}
