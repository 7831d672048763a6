package enginetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/path"
	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// The ways in which a link goes and comes back.
const (
	killSilent  = iota // nothing gets through any more, and nobody says so
	killCarrier        // the system says that the link is gone
	killUp             // nothing gets through towards the server
	killDown           // nothing gets through towards the router
	killHalf           // half of all is lost
	killNAT            // the NAT forgets the mapping and makes another
	killAddress        // the link gets another address
	killKinds
)

var killNames = [killKinds]string{"silent", "carrier", "one way up", "one way down", "half lost", "NAT rebinding", "address"}

// bursts sends what a stream of even pace has to send together, so that it queues and its flow is spread.
type bursts struct {
	*traffic.PacedSource
	every time.Duration
	next  mono.Time
}

func (b *bursts) NextTimeout() mono.Time { return mono.Max(b.next, b.PacedSource.NextTimeout()) }

func (b *bursts) Poll(now mono.Time, buf []byte) int {
	if now < b.next {
		return 0
	}
	n := b.PacedSource.Poll(now, buf)
	if n == 0 {
		b.next = now.Add(b.every)
	}
	return n
}

// killing is a World whose links go and come back by chance.
type killing struct {
	*World
	t        *testing.T
	rng      *rand.Rand
	bare     []linksim.Params
	nat      []netip.AddrPort
	told     []node.Link
	deadTill []mono.Time
	kills    []string
	calls    [2]*traffic.PacedSource
	heard    [2]*traffic.PacedSink
	spread   *bursts
	arrived  *traffic.PacedSink
	bulk     []*traffic.Receiver
	senders  []*traffic.Sender
	ports    uint16
	pause    time.Duration // at least, between two kills
	got      [2]int64
	moved    [2]mono.Time
	still    [2]time.Duration
}

// spreadRate is that of the spread flow in packets per second, which any of the links can carry beside the TCP connections.
const spreadRate = 125

// spared is for how long a link must have worked for it to count as healthy when the others go.
const spared = 3 * time.Second

func newKilling(t *testing.T, seed uint64) *killing {
	k := &killing{t: t, rng: rand.New(rand.NewPCG(seed, 5)), ports: 50000}
	k.bare = []linksim.Params{params(8, 20*time.Millisecond, 0), params(6, 40*time.Millisecond, 0), params(10, 60*time.Millisecond, 0)}
	c := Config{Seed: seed}
	for i, p := range k.bare {
		c.Links = append(c.Links, Same(p))
		k.nat = append(k.nat, netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), uint16(40000+i)))
		k.deadTill = append(k.deadTill, 0)
		l := node.Link{Up: true, Endpoint: serverOuter}
		if i == 2 { // the spare
			l.Metric, l.Standby = 10, true
		}
		k.told = append(k.told, l)
	}
	c.Link = func(i int, l *node.Link) { *l = k.told[i] }
	k.World = New(c)
	k.NAT = func(link int) netip.AddrPort { return k.nat[link] }
	k.calls[0], k.heard[0] = call(k.World, false)
	k.calls[1], k.heard[1] = call(k.World, true)
	a, b := netip.AddrPortFrom(ServerAddr, 4100), netip.AddrPortFrom(ClientAddr, 4101)
	k.spread = &bursts{PacedSource: traffic.NewPacedSource(traffic.PacedConfig{Local: a, Remote: b, Rate: spreadRate, Size: 1400, Start: k.Now.Add(500 * time.Millisecond)}), every: 40 * time.Millisecond}
	k.arrived = traffic.NewPacedSink(b, a)
	k.Server.Apps, k.Router.Apps = append(k.Server.Apps, k.spread), append(k.Router.Apps, k.arrived)
	for _, down := range []bool{true, false} {
		s, r := k.World.Bulk(down, 300*time.Millisecond)
		k.senders, k.bulk = append(k.senders, s), append(k.bulk, r)
	}
	return k
}

// kill takes a link away in one of the ways, for some time.
func (k *killing) kill(link, kind int, span time.Duration) {
	up, down := k.Links[link].Up, k.Links[link].Down
	end := func() {}
	switch kind {
	case killSilent:
		k.Links[link].Cut(k.Now)
		end = func() { k.Links[link].Restore(k.Now) }
	case killCarrier:
		k.Links[link].Cut(k.Now)
		gone := k.told[link]
		gone.Up = false
		k.Local.SetLink(k.Now, link, gone)
		end = func() {
			k.Links[link].Restore(k.Now)
			k.Local.SetLink(k.Now, link, k.told[link])
		}
	case killUp:
		up.Cut(k.Now)
		end = func() { up.Restore(k.Now) }
	case killDown:
		down.Cut(k.Now)
		end = func() { down.Restore(k.Now) }
	case killHalf:
		half := k.bare[link]
		half.Loss = 0.5
		up.Set(k.Now, half)
		down.Set(k.Now, half)
		end = func() {
			up.Set(k.Now, k.bare[link])
			down.Set(k.Now, k.bare[link])
		}
	case killNAT:
		k.ports++
		k.nat[link] = netip.AddrPortFrom(k.nat[link].Addr(), k.ports)
		span = 0
	case killAddress:
		k.ports++
		k.nat[link] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(k.ports >> 8), byte(k.ports)}), k.ports)
		k.told[link].Source = k.nat[link].Addr()
		k.Local.SetLink(k.Now, link, k.told[link])
		span = 0
	}
	k.deadTill[link] = k.Now.Add(span)
	k.kills = append(k.kills, fmt.Sprintf("%.2f link %d %s %v", float64(k.Now-start)/1e9, link, killNames[kind], span.Round(time.Millisecond)))
	k.After(span, end)
}

// victim picks a link that may go: another one must have worked for a while.
func (k *killing) victim() (link int, ok bool) {
	link = k.rng.IntN(len(k.deadTill))
	if k.Now < k.deadTill[link] {
		return 0, false
	}
	for i, till := range k.deadTill {
		if i != link && k.Now >= till.Add(spared) {
			return link, true
		}
	}
	return 0, false
}

// watch lets time pass and notes for how long each TCP connection stood still at most.
func (k *killing) watch(d time.Duration) {
	for end := k.Now.Add(d); k.Now < end; {
		k.Run(min(100*time.Millisecond, end.Sub(k.Now)))
		for i, r := range k.bulk {
			if got := r.Delivered(); got != k.got[i] {
				k.got[i], k.moved[i] = got, k.Now
			}
			k.still[i] = max(k.still[i], k.Now.Sub(k.moved[i]))
		}
	}
}

// random lets so many links go and come back, and then all be well for a while.
func (k *killing) random(kills int) {
	for len(k.kills) < kills {
		k.watch(k.pause + time.Duration(200+k.rng.IntN(2500))*time.Millisecond)
		if link, ok := k.victim(); ok {
			k.kill(link, k.rng.IntN(killKinds), time.Duration(100+k.rng.IntN(4000))*time.Millisecond)
		}
	}
	k.watch(12 * time.Second)
}

// spareBytes is what the spare link has carried.
func (k *killing) spareBytes() uint64 {
	return k.Links[2].Up.Stats().DeliveredBytes + k.Links[2].Down.Stats().DeliveredBytes
}

// Over a hundred times a link goes and comes back, by chance and in every way there is, under load. No packet of a flow that is
// spread is lost, no connection breaks or stands still for long, and in the end the spare link rests again.
func TestRandomKills(t *testing.T) {
	first, last := uint64(1), uint64(5)
	fmt.Sscanf(os.Getenv("SEEDS"), "%d-%d", &first, &last)
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testRandomKills(t, seed, 21) })
	}
}

// With copies, a call loses nothing whatever link dies, neither way: no packet fails to come in time for the listener. Without, the
// same run costs it some.
func TestRandomKillsOfCopiedCalls(t *testing.T) {
	const inTime = 125 * time.Millisecond
	var lost [2]uint64
	for copied := range 2 {
		for seed := uint64(11); seed <= 12; seed++ {
			k := newKilling(t, seed)
			for i := range k.told { // all alike: copies go over no link of a higher metric
				k.told[i].Use = path.Use{Copies: path.Copies(copied)}
				k.Local.SetLink(k.Now, i, k.told[i])
			}
			k.pause = time.Second
			k.watch(3 * time.Second)
			k.random(15)
			for i := range k.calls {
				k.calls[i].Stop(k.Now)
			}
			k.Run(time.Second)
			for i, sink := range k.heard {
				late, worst := uint64(0), time.Duration(0)
				for _, s := range sink.Samples {
					if worst = max(worst, s.Delay); s.Delay > inTime {
						late++
					}
				}
				lost[copied] += sink.Lost(k.calls[i].Sent) + late
				t.Logf("copies %v, seed %d: lost %d, late %d of %d, worst %v; copies %d and %d", copied == 1, seed, sink.Lost(k.calls[i].Sent), late, k.calls[i].Sent,
					worst, k.Router.Counts().Copies, k.Server.Counts().Copies)
				if sink.Duplicates > 0 {
					t.Errorf("%d packets came twice", sink.Duplicates)
				}
			}
			if os.Getenv("TRACE") != "" {
				for _, s := range k.kills {
					t.Log(s)
				}
				for _, sink := range k.heard {
					for _, s := range sink.Samples {
						if s.Delay > 100*time.Millisecond {
							t.Log(s.Number, float64(s.At-start)/1e9, s.Delay)
						}
					}
				}
			}
		}
	}
	if lost[1] > 0 {
		t.Errorf("%d packets of copied calls lost or late", lost[1])
	}
	if lost[0] < 20 {
		t.Errorf("without copies only %d lost or late: the test proves nothing", lost[0])
	}
}

func testRandomKills(t *testing.T, seed uint64, kills int) {
	k := newKilling(t, seed)
	if name := os.Getenv("TRACE"); name != "" {
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		k.Tell(fileTracer{file})
	}
	k.watch(3 * time.Second)
	k.moved = [2]mono.Time{k.Now, k.Now}
	k.still = [2]time.Duration{}
	k.random(kills)
	spare, carried := k.spareBytes(), k.bulk[0].Delivered()
	k.watch(2 * time.Second)
	spare, carried = k.spareBytes()-spare, k.bulk[0].Delivered()-carried
	k.spread.next = mono.Never
	k.Run(time.Second)
	lost := k.arrived.Lost(k.spread.Sent)
	t.Logf("%.0f s: the spread flow lost %d of %d; the calls lost %d and %d of %d; TCP stood still for %v, %v",
		float64(k.Now-start)/1e9, lost, k.spread.Sent, k.heard[0].Lost(k.calls[0].Sent), k.heard[1].Lost(k.calls[1].Sent), k.calls[0].Sent, k.still[0], k.still[1])
	if k.arrived.Duplicates+k.heard[0].Duplicates+k.heard[1].Duplicates > 0 {
		t.Error("packets came twice")
	}
	for i, still := range k.still {
		if still > 2*time.Second {
			t.Errorf("TCP connection %d stood still for %v", i, still)
		}
	}
	if sum := Ceiling(14e6, 0, innerMTU) - spreadRate*1400*8; float64(carried)*8/2 < 0.8*sum {
		t.Errorf("after all is well: %.1f of %.1f Mbit/s", float64(carried)*4/1e6, sum/1e6)
	}
	if spare > 10_000 {
		t.Errorf("the spare link carries %d bytes though all others work", spare)
	}
	if lost > 0 {
		t.Errorf("%d packets of the spread flow lost, sent at%s", lost, k.missing())
	}
	if t.Failed() {
		for _, s := range k.kills {
			t.Log(s)
		}
	}
}

// missing tells when the packets were sent that did not arrive.
func (k *killing) missing() string {
	seen := map[uint64]bool{}
	for _, s := range k.arrived.Samples {
		seen[s.Number] = true
	}
	out := ""
	for i := range k.spread.Sent {
		if !seen[i] {
			out += fmt.Sprintf(" %.3f", 0.5+float64(i)/spreadRate)
		}
	}
	return out
}

// fileTracer writes a trace.
type fileTracer struct{ *os.File }

func (f fileTracer) Line(line []byte) { f.Write(append(line, '\n')) }
