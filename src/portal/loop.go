package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/session"
	"mpproxy/src/stats"
	"mpproxy/src/system"
	"mpproxy/src/transport"
)

// end is what the loop needs of node.Local or node.Remote.
type end interface {
	NextTimeout() mono.Time
	OnTimeout(now mono.Time)
	Poll(now mono.Time, out *engine.Batch) (more bool)
	Enqueue(now mono.Time, batch []*packet.Buf)
}

// role is what differs between the two ends of the wire.
type role interface {
	end
	// receive takes what a socket read.
	receive(now mono.Time, b *rxBatch)
	// deliver hands what is ready to the TUN device.
	deliver(write func([]*packet.Buf))
	// markBusy tells the paths over a socket whether it can take more.
	markBusy(link int, busy bool)
	// after runs when everything else has been done.
	after(now mono.Time)
}

// shared is what tasks of one portal have in common.
type shared struct {
	table  *session.Table
	pool   *packet.Pool
	clock  transport.Clock
	log    *slog.Logger
	drops  stats.AtomicDrops
	spent  sync.Pool
	rx     chan *rxBatch
	tun    chan *tunBatch
	tunned sync.Pool
	toTUN  chan *tunBatch
	given  sync.Pool // of tunBatch, for toTUN
	calls  chan func(now mono.Time)
	nudge  chan struct{}
	tooBig func(link, size int)
	// Sockets and traces belong to the loop.
	sockets []*socket
	traces  traces
	device  *system.TUN
}

// tunBatch is what one read of the TUN device brought, or what is to be written to it.
type tunBatch struct{ bufs []*packet.Buf }

func newShared(log *slog.Logger, bufs int) *shared {
	s := &shared{
		pool: packet.NewPool(bufs), clock: transport.NewClock(), log: log, rx: make(chan *rxBatch, rxBatches),
		tun: make(chan *tunBatch, tunBatches), calls: make(chan func(mono.Time), 16), nudge: make(chan struct{}, 1),
	}
	s.spent.New = func() any { return &rxBatch{} }
	s.toTUN = make(chan *tunBatch, tunBatches)
	s.tunned.New = func() any { return &tunBatch{} }
	s.given.New = func() any { return &tunBatch{} }
	return s
}

// wake makes the loop look again.
func (s *shared) wake() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// do runs f in the loop; it returns false if ctx ends first.
func (s *shared) do(ctx context.Context, f func(now mono.Time)) bool {
	done := make(chan struct{})
	select {
	case s.calls <- func(now mono.Time) { f(now); close(done) }:
	case <-ctx.Done():
		return false
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// readTUN reads the device until it is closed.
func (s *shared) readTUN(ctx context.Context) error {
	for {
		b := s.tunned.Get().(*tunBatch)
		if cap(b.bufs) < s.device.BatchSize() {
			b.bufs = make([]*packet.Buf, s.device.BatchSize())
		}
		b.bufs = b.bufs[:cap(b.bufs)]
		n, err := s.device.Read(s.pool, b.bufs)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("read %s: %w", s.device.Name(), err)
		}
		b.bufs = b.bufs[:n]
		select {
		case s.tun <- b:
		case <-ctx.Done():
			for _, p := range b.bufs {
				p.Release()
			}
			return nil
		}
	}
}

// writeTUN hands packets to the device until ctx ends. It runs beside the engine because the kernel does the packets' whole
// way to their receiver within the write. What waits is written together, so that packets of one flow can be joined.
func (s *shared) writeTUN(ctx context.Context) error {
	var bufs []*packet.Buf
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-s.toTUN:
			bufs = s.taken(b, bufs[:0])
		}
		for more := true; more && len(bufs) < tunWritePackets; {
			select {
			case b := <-s.toTUN:
				bufs = s.taken(b, bufs)
			default:
				more = false
			}
		}
		if err := s.device.Write(bufs); err != nil {
			s.drops.Add(stats.TunWriteError, 1)
		}
		for i, b := range bufs {
			b.Release()
			bufs[i] = nil
		}
	}
}

// taken appends a batch's packets to bufs and gives the batch back.
func (s *shared) taken(b *tunBatch, bufs []*packet.Buf) []*packet.Buf {
	bufs = append(bufs, b.bufs...)
	clear(b.bufs)
	b.bufs = b.bufs[:0]
	s.given.Put(b)
	return bufs
}

// loop owns the engine.
type loop struct {
	*shared
	role role
	out  engine.Batch
	done <-chan struct{}

	trimAt mono.Time
}

// String names the task in logs.
func (l *loop) String() string { return "engine" }

// Run turns until ctx ends.
func (l *loop) Run(ctx context.Context) error {
	l.done = ctx.Done()
	write := l.write // made once: a method value per round would be an allocation
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := l.clock.Now()
		if now >= l.role.NextTimeout() {
			l.role.OnTimeout(now)
		}
		l.send(now)
		l.role.deliver(write)
		l.role.after(now)
		l.traces.expire(now)
		if now >= l.trimAt {
			l.pool.Trim()
			l.trimAt = now.Add(trimEvery)
		}
		wait := time.Duration(0)
		if next := l.role.NextTimeout(); next == mono.Never {
			wait = time.Hour
		} else {
			wait = max(next.Sub(l.clock.Now()), 0)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case b := <-l.rx:
			l.received(b)
		case b := <-l.tun:
			l.enqueue(b)
		case f := <-l.calls:
			f(l.clock.Now())
		case <-l.nudge:
		case <-timer.C:
		}
		l.drain()
	}
}

// drain takes what else has come, so that one round serves it all. Acknowledgements first.
func (l *loop) drain() {
	for range rxBatches {
		select {
		case b := <-l.rx:
			l.received(b)
			continue
		default:
		}
		break
	}
	for range tunBatches {
		select {
		case b := <-l.tun:
			l.enqueue(b)
			continue
		default:
		}
		break
	}
}

func (l *loop) received(b *rxBatch) {
	l.role.receive(l.clock.Now(), b)
	b.reset()
	l.spent.Put(b)
}

func (l *loop) enqueue(b *tunBatch) {
	l.role.Enqueue(l.clock.Now(), b.bufs)
	clear(b.bufs)
	l.tunned.Put(b)
}

// send polls the engine until it has nothing more, and hands the batches to the senders.
func (l *loop) send(now mono.Time) {
	for more := true; more; {
		for i, k := range l.sockets {
			if k != nil {
				l.role.markBusy(i, k.busy())
			}
		}
		more = l.role.Poll(now, &l.out)
		for i := range l.out.Datagrams {
			if k := l.socket(l.out.Datagrams[i].Link); k != nil {
				l.out.Move(i, k.next)
			}
		}
		for _, r := range l.out.Raws {
			if k := l.socket(r.Link); k != nil {
				k.next.Raws = append(k.next.Raws, r)
			}
		}
		l.out.Reset()
		for _, k := range l.sockets {
			if k != nil {
				k.flush()
			}
		}
	}
}

func (l *loop) socket(link int) *socket {
	if link < 0 || link >= len(l.sockets) {
		return nil
	}
	return l.sockets[link]
}

// write passes packets on to the TUN device's writer, which releases them.
func (l *loop) write(bufs []*packet.Buf) {
	if len(bufs) == 0 {
		return
	}
	b := l.given.Get().(*tunBatch)
	b.bufs = append(b.bufs[:0], bufs...)
	select {
	case l.toTUN <- b:
	case <-l.done:
		for _, p := range b.bufs {
			p.Release()
		}
	}
}
