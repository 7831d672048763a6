package traffic

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
)

const (
	ms     = mono.Time(time.Millisecond)
	second = mono.Time(time.Second)
)

// end is what every model offers.
type end interface {
	OnPacket(now mono.Time, pkt []byte)
	Poll(now mono.Time, buf []byte) int
	NextTimeout() mono.Time
	OnTimeout(now mono.Time)
}

var (
	_ end = (*Sender)(nil)
	_ end = (*Receiver)(nil)
	_ end = (*PacedSource)(nil)
	_ end = (*PacedSink)(nil)
)

// pair is the two ends of one model: a sends up the link, b down.
type pair struct{ a, b end }

// parcel is a packet on a link and the pair it belongs to.
type parcel struct {
	pair int
	data []byte
}

// bench runs pairs straight over one link, which is the control for everything that is measured in a tunnel.
type bench struct {
	link  linksim.Duplex[parcel]
	pairs []pair
	now   mono.Time
	buf   [2048]byte
	tap   func(up bool, pkt []byte) // sees each packet before the link, and may change it
}

func newBench(p linksim.Params, seed uint64, pairs ...pair) *bench {
	return &bench{link: linksim.NewDuplex[parcel](p, p, rand.New(rand.NewPCG(seed, 9))), pairs: pairs}
}

// run goes on until an instant.
func (b *bench) run(until mono.Time) {
	for {
		next := b.link.Next()
		for _, p := range b.pairs {
			next = mono.Min(next, mono.Min(p.a.NextTimeout(), p.b.NextTimeout()))
		}
		if next > until {
			b.now = until
			return
		}
		b.now = mono.Max(b.now, next)
		for v, ok := b.link.Up.Receive(b.now); ok; v, ok = b.link.Up.Receive(b.now) {
			b.pairs[v.pair].b.OnPacket(b.now, v.data)
			b.poll(v.pair)
		}
		for v, ok := b.link.Down.Receive(b.now); ok; v, ok = b.link.Down.Receive(b.now) {
			b.pairs[v.pair].a.OnPacket(b.now, v.data)
			b.poll(v.pair)
		}
		for i, p := range b.pairs {
			if p.a.NextTimeout() <= b.now || p.b.NextTimeout() <= b.now {
				p.a.OnTimeout(b.now)
				p.b.OnTimeout(b.now)
				b.poll(i)
			}
		}
	}
}

// poll sends all that a pair has to send.
func (b *bench) poll(i int) {
	for _, d := range []struct {
		e  end
		l  *linksim.Link[parcel]
		up bool
	}{{b.pairs[i].a, b.link.Up, true}, {b.pairs[i].b, b.link.Down, false}} {
		for n := d.e.Poll(b.now, b.buf[:]); n > 0; n = d.e.Poll(b.now, b.buf[:]) {
			pkt := append([]byte(nil), b.buf[:n]...)
			if b.tap != nil {
				b.tap(d.up, pkt)
			}
			d.l.Send(b.now, n, parcel{i, pkt})
		}
	}
}

func address(host string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), port)
}

// tcp returns the two ends of a connection, number i of its kind.
func tcp(i int, change func(*Config)) (*Sender, *Receiver, pair) {
	cfg := Config{Local: address("10.0.0.1", uint16(40000+i)), Remote: address("192.0.2.1", 80), MTU: 1500}
	if change != nil {
		change(&cfg)
	}
	s, r := NewSender(cfg), NewReceiver(cfg.Remote, cfg.Local, cfg.MTU)
	if cfg.Control == QUIC {
		r.LikeQUIC()
	}
	return s, r, pair{s, r}
}

func link(t testing.TB, words string) linksim.Params {
	p, err := linksim.ParseLinks(words)
	if err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// rate returns what a receiver got in order in [from, to), in bit/s; both are whole steps of its series.
func rate(r *Receiver, from, to mono.Time) float64 {
	var sum int64
	for i := int(from / mono.Time(SeriesStep)); i < int(to/mono.Time(SeriesStep)) && i < len(r.Series); i++ {
		sum += r.Series[i]
	}
	return float64(sum) * 8 / to.Sub(from).Seconds()
}
