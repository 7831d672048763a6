package socks

import (
	"context"
	"net/netip"
	"time"
)

// answer is where datagrams to a destination go. Without an address its look-up failed, and is not repeated before again.
type answer struct {
	at    netip.AddrPort
	again time.Time
}

// target says where a datagram goes. With neither an address nor wait it is to be dropped; with wait it is kept until its name, which
// is looked up aside, has an address: others do not stand behind it.
func (a *association) target(ctx context.Context, to Address, payload []byte) (at netip.AddrPort, wait bool) {
	if at, wait, ok := a.noted(ctx, to, payload); ok {
		return at, wait
	}
	all, err := resolve(ctx, nil, a.s.GuardUDP, a.s.Names, to)
	if err != nil {
		return at, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.learn(to.String(), all[0])
	return all[0], false
}

// noted is what target says of names, and of destinations that were found before; ok is false for others.
func (a *association) noted(ctx context.Context, to Address, payload []byte) (at netip.AddrPort, wait, ok bool) {
	key := to.String()
	a.mu.Lock()
	defer a.mu.Unlock()
	_, asked := a.asked[key]
	known := a.names[key]
	switch {
	case asked:
		return at, a.keep(key, payload), true
	case known.at.IsValid():
		a.learn(key, known.at)
		return known.at, false, true
	case to.Name == "":
		return at, false, false
	case time.Now().Before(known.again):
		return at, false, true
	}
	return at, a.ask(ctx, to, payload), true
}

// learn remembers where a destination is, and to expect answers from there. The lock is held.
func (a *association) learn(key string, at netip.AddrPort) {
	a.room()
	a.names[key] = answer{at: at}
	a.peers[at] = struct{}{}
}

// room forgets all destinations when there are too many. The lock is held.
func (a *association) room() {
	if len(a.names) >= udpPeers || len(a.peers) >= udpPeers {
		clear(a.names)
		clear(a.peers)
	}
}

// keep puts a datagram behind those that wait for the same name; false if there is no room. The lock is held.
func (a *association) keep(key string, payload []byte) bool {
	if a.kept+keptCost+len(payload) > keptBytes {
		return false
	}
	a.kept += keptCost + len(payload)
	a.asked[key] = append(a.asked[key], append([]byte(nil), payload...))
	return true
}

// ask has a name looked up, and keeps the datagram that was to go there. The lock is held.
func (a *association) ask(ctx context.Context, to Address, payload []byte) bool {
	if a.over || len(a.asked) >= maxLookUps {
		return false
	}
	if a.asked == nil {
		a.asked = make(map[string][][]byte)
	}
	key := to.String()
	if !a.keep(key, payload) {
		return false
	}
	a.wg.Go(func() { a.lookUp(ctx, to, key) })
	return true
}

// lookUp finds a name's address and sends what waits for it, in order.
func (a *association) lookUp(ctx context.Context, to Address, key string) {
	look, cancel := context.WithTimeout(ctx, hopTime)
	all, err := resolve(look, a.s.Resolve, a.s.GuardUDP, a.s.Names, to)
	cancel()
	for more := true; more; {
		a.mu.Lock()
		waiting := a.asked[key]
		for _, payload := range waiting {
			a.kept -= keptCost + len(payload)
		}
		a.asked[key] = nil
		if more = err == nil && len(waiting) > 0; !more {
			delete(a.asked, key)
		}
		if err != nil {
			a.room()
			a.names[key] = answer{again: time.Now().Add(failedAgain)}
			a.s.counts.dropped.Add(uint64(len(waiting)))
		} else {
			a.learn(key, all[0])
		}
		a.mu.Unlock()
		for _, payload := range waiting {
			if err == nil {
				a.count(a.send(payload, all[0]))
			}
		}
	}
}

// send sends a datagram that has waited, the way that is right by now.
func (a *association) send(payload []byte, at netip.AddrPort) (sent int, ok bool) {
	outer, err := a.socket()
	if err != nil {
		return 0, false // there is no way for them now
	}
	sent, err = outer.WriteToUDPAddrPort(payload, at)
	return sent, err == nil
}

// count counts a datagram that was sent, or not.
func (a *association) count(sent int, ok bool) {
	if ok {
		a.s.counts.up.Add(uint64(sent))
	} else {
		a.s.counts.dropped.Add(1)
	}
}
