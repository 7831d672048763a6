package portal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/src/engine"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/session"
	"mpproxy/src/engine/wire"
	"mpproxy/src/stats"
	"mpproxy/src/transport"
)

// socket is a UDP socket with its reader and its sender.
type socket struct {
	udp    *transport.UDP
	link   int // number of the link, or of the listening address
	table  *session.Table
	pool   *packet.Pool
	clock  transport.Clock
	drops  *stats.AtomicDrops
	rx     chan<- *rxBatch
	spent  *sync.Pool // of rxBatch
	work   chan *engine.Batch
	free   chan *engine.Batch
	wake   func()
	tooBig func(link int, size int)
	full   atomic.Bool
	next   *engine.Batch // what the loop fills now
	done   chan struct{}
	once   sync.Once
}

// rxBatch is what one read brought: opened datagrams, and handshake messages as they came.
type rxBatch struct {
	opened    []opened
	handshake []transport.Datagram
	arena     []byte
	link      int
}

// opened is a datagram of a session.
type opened struct {
	engine.Received
	owner uint64
}

// maxHandshakes bounds the handshake messages of one read.
const maxHandshakes = 16

func newSocket(udp *transport.UDP, link int, s *shared) *socket {
	k := &socket{
		udp: udp, link: link, table: s.table, pool: s.pool, clock: s.clock, drops: &s.drops, rx: s.rx, spent: &s.spent,
		work: make(chan *engine.Batch, sendQueue), free: make(chan *engine.Batch, sendQueue+2), wake: s.wake, tooBig: s.tooBig,
		done: make(chan struct{}),
	}
	for range sendQueue + 1 {
		k.free <- &engine.Batch{}
	}
	k.next = <-k.free
	return k
}

// busy reports that the sender cannot take another batch now.
func (k *socket) busy() bool {
	b := len(k.work) >= sendQueue-1
	k.full.Store(b)
	return b
}

// flush hands what the loop collected to the sender.
func (k *socket) flush() {
	if len(k.next.Datagrams) == 0 && len(k.next.Raws) == 0 {
		return
	}
	select {
	case k.work <- k.next:
		k.next = <-k.free
	default:
		k.drops.Add(stats.SenderBusy, uint64(len(k.next.Datagrams)+len(k.next.Raws)))
		k.next.Reset()
	}
}

// receive reads, opens and hands on until the socket is closed.
func (k *socket) receive(ctx context.Context) error {
	var batch transport.ReadBatch
	var opener session.Opener
	for {
		if _, err := k.udp.ReadBatch(&batch); err != nil {
			if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
				return nil
			}
			// An error of the peer's system or of the link is not the socket's end.
			k.drops.Add(stats.SocketError, 1)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(busyRetry):
			}
			continue
		}
		out := k.spent.Get().(*rxBatch)
		out.link = k.link
		for i := range batch.Datagrams {
			k.open(&batch.Datagrams[i], &opener, out)
		}
		select {
		case k.rx <- out:
		case <-ctx.Done():
			out.release()
			return nil
		}
	}
}

// open puts one datagram into the batch.
func (k *socket) open(d *transport.Datagram, o *session.Opener, out *rxBatch) {
	if wire.Kind(d.Data) != wire.KindData {
		if len(out.handshake) >= maxHandshakes || wire.Kind(d.Data) == wire.KindUnknown {
			reason := stats.HandshakeLimit
			if wire.Kind(d.Data) == wire.KindUnknown {
				reason = stats.UnknownType
			}
			k.drops.Add(reason, 1)
			return
		}
		from := len(out.arena)
		out.arena = append(out.arena, d.Data...)
		h := *d
		h.Data = out.arena[from:len(out.arena):len(out.arena)]
		out.handshake = append(out.handshake, h)
		return
	}
	b := k.pool.Get()
	if b == nil {
		k.drops.Add(stats.PoolExhausted, 1)
		return
	}
	if len(d.Data) > packet.MaxBytes {
		k.drops.Add(stats.TooLarge, 1)
		b.Release()
		return
	}
	entry, number, plain, err := session.Open(k.table, d.Data, b.Room()[:0], o)
	if err != nil {
		k.drops.Add(openReason(err), 1)
		b.Release()
		return
	}
	b.SetLen(len(plain))
	out.opened = append(out.opened, opened{engine.Received{
		Buf: b, Number: number, Path: entry.Path, Wire: len(d.Data) + engine.Overhead(d.Addr), CE: d.ECN == 3,
		At: d.At, Link: k.link, From: d.Addr, Local: d.Local,
	}, entry.Owner})
}

// openReason names the drop for an error of session.Open.
func openReason(err error) stats.Reason {
	switch {
	case errors.Is(err, session.ErrTruncated):
		return stats.Truncated
	case errors.Is(err, session.ErrUnknownID):
		return stats.UnknownConnection
	case errors.Is(err, session.ErrOldEpoch):
		return stats.OldEpoch
	}
	return stats.NotAuthentic
}

func (b *rxBatch) release() {
	for i := range b.opened {
		b.opened[i].Buf.Release()
	}
	b.reset()
}

func (b *rxBatch) reset() {
	clear(b.opened)
	b.opened, b.handshake, b.arena = b.opened[:0], b.handshake[:0], b.arena[:0]
}

// send seals and sends until ctx ends.
func (k *socket) send(ctx context.Context) error {
	s := sealing{socket: k}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.done:
			return nil
		case b := <-k.work:
			s.batch(ctx, b)
			b.Reset()
			k.free <- b
			if k.full.Load() && len(k.work) < sendQueue/2 {
				k.full.Store(false)
				k.wake()
			}
		}
	}
}

// sealing is the sender's scratch.
type sealing struct {
	*socket
	sealer session.Sealer
	arena  []byte
	segs   [][]byte
}

// batch seals a batch into one arena and sends runs to the same address together.
func (s *sealing) batch(ctx context.Context, b *engine.Batch) {
	for i := range b.Raws {
		s.segs = append(s.segs[:0], b.Raws[i].Data)
		s.write(ctx, &engine.Datagram{To: b.Raws[i].To, Local: b.Raws[i].Local})
	}
	need := 0
	for i := range b.Datagrams {
		need += b.Size(i)
	}
	if cap(s.arena) < need {
		s.arena = make([]byte, 0, need+need/2)
	}
	arena := s.arena[:0]
	s.segs = s.segs[:0]
	for i := range b.Datagrams {
		d := &b.Datagrams[i]
		if d.Sending.Keys(d.Epoch) == nil {
			s.drops.Add(stats.OldEpoch, 1)
			continue
		}
		from := len(arena)
		arena = b.Seal(&s.sealer, arena, i)
		s.segs = append(s.segs, arena[from:len(arena):len(arena)])
		if i+1 == len(b.Datagrams) || b.Datagrams[i+1].To != d.To || b.Datagrams[i+1].Local != d.Local {
			s.write(ctx, d)
			s.segs = s.segs[:0]
		}
	}
}

// write sends segs to where d goes. What the link does not take now is tried again for a moment.
func (s *sealing) write(ctx context.Context, d *engine.Datagram) {
	segs := s.segs
	for tries := 0; len(segs) > 0 && tries < busyTries; {
		sent, err := s.udp.WriteBatch(d.To, d.Local, 0, segs)
		segs = segs[sent:]
		if err == nil {
			return
		}
		var big *transport.TooBigError // escapes: not on the usual way
		switch {
		case errors.As(err, &big):
			s.tooBig(s.link, big.Size)
			segs = segs[1:]
		case errors.Is(err, transport.ErrBusy):
			tries++
			select {
			case <-ctx.Done():
				return
			case <-time.After(busyRetry):
			}
		case errors.Is(err, transport.ErrRefused):
			tries++ // the error of an earlier datagram
		default:
			s.drops.Add(stats.SocketError, uint64(len(segs)))
			return
		}
	}
	if len(segs) > 0 {
		s.drops.Add(stats.SenderBusy, uint64(len(segs)))
	}
}

// close closes the socket and ends its tasks. Idempotent.
func (k *socket) close() error {
	k.once.Do(func() { close(k.done) })
	return k.udp.Close()
}

// tasks are the socket's two goroutines; closing it ends them.
func (k *socket) tasks() []task {
	return []task{
		funcTask{fmt.Sprintf("reader %d", k.link), k.receive},
		funcTask{fmt.Sprintf("sender %d", k.link), k.send},
	}
}
