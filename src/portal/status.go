package portal

import (
	"cmp"
	"fmt"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/stats"
)

// rates turns counters into speeds, over the time between two looks of at least rateWindow.
type rates struct {
	at    mono.Time
	bytes map[uint32][2]uint64
	speed map[uint32][2]uint64
}

const rateWindow = 500 * time.Millisecond

// look notes the counters if the last look was long enough ago.
func (r *rates) look(now mono.Time, paths []*path.Path) {
	span := now.Sub(r.at)
	if r.at != 0 && span < rateWindow {
		return
	}
	bytes, speed := make(map[uint32][2]uint64), make(map[uint32][2]uint64)
	for _, p := range paths {
		in, _ := p.Rx.Totals()
		now := [2]uint64{uint64(p.Sent.Total()), in}
		bytes[p.ID] = now
		if before, ok := r.bytes[p.ID]; ok {
			speed[p.ID] = [2]uint64{perSecond(before[0], now[0], span), perSecond(before[1], now[1], span)}
		}
	}
	r.at, r.bytes, r.speed = now, bytes, speed
}

// perSecond is the speed between two counts, in bits. A new session counts anew: of that it is not known.
func perSecond(before, after uint64, d time.Duration) uint64 {
	if after < before {
		return 0
	}
	return uint64(float64(after-before) * 8 / d.Seconds())
}

// sessionStatus describes a tunnel; up says whether this side's sending is the direction "up".
func sessionStatus(now mono.Time, t *engine.Tunnel, r *rates, up bool, linkName func(*path.Path) (name, local string)) stats.Session {
	c := t.Counts()
	drops := t.Drops()
	queued := t.QueueCounts()
	drops.Add(stats.CoDel, queued.DroppedDelay)
	drops.Add(stats.QueueFull, queued.DroppedFull+queued.DroppedTable)
	drops.Add(stats.NoPath, queued.DroppedNoWay)
	drops.Add(stats.NotIP, queued.DroppedNotIP)
	scheduler, _ := t.Choices()
	s := stats.Session{
		Scheduler: scheduler.String(), MTUBytes: t.MTU(), Lanes: t.Lanes(), Flows: t.Flows(), QueueBytes: t.Backlog(), RepairedPackets: c.Repaired, CopiedPackets: c.Copies, Gain: t.Gain(now), Drops: drops.Map(),
		UpPackets: c.PacketsOut, UpBytes: c.BytesOut, DownPackets: c.PacketsIn, DownBytes: c.BytesIn,
	}
	if !up {
		s.UpPackets, s.UpBytes, s.DownPackets, s.DownBytes = s.DownPackets, s.DownBytes, s.UpPackets, s.UpBytes
	}
	if evened := t.Evened(); evened.Packets > 0 {
		s.EvenedPackets, s.EvenedSeconds = evened.Packets, stats.Seconds(evened.Time)
	}
	r.look(now, t.Paths())
	for _, p := range t.Paths() {
		s.Paths = append(s.Paths, pathStatus(now, p, r, up, linkName))
	}
	return s
}

func pathStatus(now mono.Time, p *path.Path, r *rates, up bool, linkName func(*path.Path) (name, local string)) stats.Path {
	name, local := linkName(p)
	inflight, _ := p.Sent.Inflight()
	in, datagrams := p.Rx.Totals()
	speed := r.speed[p.ID]
	out := uint64(p.Sent.Total())
	if !up {
		speed[0], speed[1] = speed[1], speed[0]
		in, out = out, in
	}
	return stats.Path{
		ID: p.ID, Link: name, Transport: "udp", State: pathState(p), Local: local, Remote: p.Peer.Remote.String(),
		Congestion: p.Congestion().String(), CongestionPhase: p.CC.State(),
		RateBitsPerSecond: uint64(p.CC.Bandwidth()) * 8, UpBitsPerSecond: speed[0], DownBitsPerSecond: speed[1],
		UpBytes: out, DownBytes: in, SRTTMs: stats.Milliseconds(p.Sent.RTT.Smoothed()), MinRTTMs: stats.Milliseconds(p.Sent.RTT.Min()),
		QueueDelayMs: stats.Milliseconds(p.Queue(now)), LossRatio: float64(p.Loss()) / 65536,
		RepairedPackets: p.Lost(), WindowBytes: int(p.CC.Window()), InFlightBytes: int(inflight), MTUBytes: p.MTU.Size() + p.Overhead,
		SentDatagrams: p.Sent.Next(), ReceivedDatagrams: datagrams,
	}
}

func pathState(p *path.Path) stats.PathState {
	switch {
	case p.State() == path.Suspect:
		return stats.PathSuspect
	case p.State() == path.Down:
		return stats.PathDown
	case !p.Usable():
		return stats.PathValidating
	}
	return stats.PathUp
}

// status is the router's.
func (r *local) status(now mono.Time) stats.Status {
	s := sessionStatus(now, r.Tunnel, &r.rates, true, func(p *path.Path) (string, string) {
		if p.Link < len(r.links) {
			return r.links[p.Link].Name, r.told[p.Link].Source.String()
		}
		return "", ""
	})
	s.Peer = r.remote.Name
	_, since, keys, ok := r.Session()
	s.State, s.StateSeconds = stats.SessionConnecting, stats.Seconds(now.Sub(r.lost))
	if ok && r.stands {
		s.State, s.StateSeconds, s.KeyAgeSeconds = stats.SessionUp, stats.Seconds(now.Sub(since)), stats.Seconds(now.Sub(keys))
	}
	s.Trouble = cmp.Or(r.sys.whyRefused(), r.Trouble(), r.Notice(now))
	for _, p := range r.Paths() {
		if p.Usable() {
			s.RemoteEndpoint = p.Peer.Remote.String()
			if a := p.Peer.Remote.Addr().Unmap(); a.Is4() && r.stands { // a server that translates does so to where it is reached
				s.PublicAddress = a.String()
			}
		}
	}
	var links []stats.Link
	usable := false
	for i, l := range r.links {
		if l.Name == "" {
			continue // was removed
		}
		state := r.sys.linkState(i)
		switch {
		case r.paused[i]:
			state = stats.LinkPaused
		case r.capped[i] == capStop && state == stats.LinkUp:
			state = stats.LinkCap
		case r.walls.walled[i].Load() && state == stats.LinkUp:
			state = stats.LinkWalled
		}
		usable = usable || state == stats.LinkUp
		links = append(links, stats.Link{Name: l.Name, Interface: l.Interface, State: state, Metric: l.Metric, Cap: r.sys.caps.status(l)})
	}
	if !usable {
		s.State = stats.SessionDown
	}
	for _, l := range r.run.configuration().Links {
		if !l.Enabled {
			links = append(links, stats.Link{Name: l.Name, Interface: l.Interface, State: stats.LinkDisabled, Metric: l.Metric, Cap: r.sys.caps.status(l)})
		}
	}
	s.LimitUpBitsPerSecond, s.LimitDownBitsPerSecond, s.MaxLinks = r.limits.up, r.limits.down, r.limits.links
	for _, o := range r.owned {
		s.InnerAddresses = append(s.InnerAddresses, o.Addr().String())
	}
	for _, a := range r.offers {
		s.NameServers = append(s.NameServers, a.String())
	}
	out := r.run.status([]stats.Session{s}, links, stats.Drops{})
	out.ConfigLost = r.run.earlier.look(s.State == stats.SessionUp)
	return out
}

// status is the server's.
func (r *remote) status(now mono.Time) stats.Status {
	var sessions []stats.Session
	for _, peer := range r.Peers() {
		s := sessionStatus(now, peer.Tunnel, r.rates[peer], false, func(p *path.Path) (string, string) {
			return fmt.Sprintf("path %d", p.ID), p.Peer.Local.String()
		})
		s.Peer, s.State = peer.Name, stats.SessionDown
		if peer.Conflict(now) {
			s.Trouble = node.TextConflict
		}
		if _, since, keys, ok := peer.Session(); ok {
			s.StateSeconds, s.KeyAgeSeconds = stats.Seconds(now.Sub(since)), stats.Seconds(now.Sub(keys))
			if down, _ := peer.AllDown(); !down {
				s.State = stats.SessionUp
			}
		}
		for _, p := range peer.Paths() {
			if p.Usable() {
				s.RemoteEndpoint = p.Peer.Remote.String()
			}
		}
		l := peer.Tunnel.Limits()
		s.LimitUpBitsPerSecond, s.LimitDownBitsPerSecond, s.MaxLinks = uint64(l.In)*8, uint64(l.Out)*8, l.Links
		for _, o := range peer.Owned {
			s.InnerAddresses = append(s.InnerAddresses, o.String())
		}
		sessions = append(sessions, s)
	}
	out := r.run.status(sessions, nil, r.Drops())
	out.Advice = append(out.Advice, r.system.toldAdvice()...)
	return out
}
