package streams

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/src/mpp"
	"mpproxy/src/park"
)

// ServerOptions make a Server.
type ServerOptions struct {
	Clock Clock
	Pool  *mpp.Pool
	// Handle serves a new stream of a peer, in a goroutine of its own.
	Handle func(ctx context.Context, peer string, s *Stream)
	// Lot is where subflows wait that carry nothing; nil: a goroutine waits with each.
	Lot *park.Lot
	// Answer, if set, answers those who make a secret without a session.
	Answer Answer
	// Patience is how long a stream lives without any subflow; 0 means a minute.
	Patience time.Duration
	// MaxStreams bounds the streams of one peer; 0 means no bound.
	MaxStreams int
}

// ServerCounts are a server's sums.
type ServerCounts struct {
	Subflows, Streams, Refused uint64
	Shaken                     uint64 // secrets made without a session
	// Strangers are connections without a good hello, those that had to make room for others included; Replayed those with
	// one that was used before.
	Strangers, Replayed uint64
	Active              int
}

// Server takes subflows and makes streams of them. Make it with NewServer. Safe for concurrent use.
type Server struct {
	ServerOptions
	strangers porch
	mu        sync.Mutex
	fresh     chan struct{} // closed when secrets change
	secrets   map[uint64]*keyed
	peers     map[string]*peer
	removals  uint64 // how often a peer was removed
	shakes    rateLimit
	counts    struct{ subflows, streams, refused, strangers, replayed, shaken atomic.Uint64 }
}

// keyed is a secret that a peer may use.
type keyed struct {
	peer    string
	secret  mpp.Secret
	tickets *mpp.Tickets
	of      *peer
	asked   uint64 // removals when a handshake for it began
}

// peer is one router.
type peer struct {
	home      home
	waiting   int      // subflows without a stream
	secrets   []uint64 // oldest first
	streams   map[uint64]*Stream
	instances map[uint32]*mpp.Tickets
	order     []uint32
}

// NewServer returns a server without peers.
func NewServer(o ServerOptions) *Server {
	if o.Patience == 0 {
		o.Patience = orphanTime
	}
	return &Server{ServerOptions: o, fresh: make(chan struct{}),
		secrets: make(map[uint64]*keyed), peers: make(map[string]*peer)}
}

// AddSecret lets a peer open subflows with a secret; its oldest ones end with that.
func (s *Server) AddSecret(name string, secret mpp.Secret) {
	s.addSecret(&keyed{peer: name, secret: secret, tickets: mpp.NewTickets()}, false)
}

// addSecret returns what is kept: another one if it was there already. One that was made by a handshake is not kept, and
// nil returned, if any peer was removed since: it may have been this one.
func (s *Server) addSecret(k *keyed, made bool) *keyed {
	name, secret := k.peer, k.secret
	s.mu.Lock()
	defer s.mu.Unlock()
	if made && k.asked != s.removals {
		return nil
	}
	if old := s.secrets[secret.ID()]; old != nil {
		return old
	}
	p := s.peers[name]
	if p == nil {
		p = s.newPeer()
		s.peers[name] = p
	}
	k.of = p
	s.secrets[secret.ID()] = k
	p.secrets = append(p.secrets, secret.ID())
	if len(p.secrets) > keptSecrets {
		delete(s.secrets, p.secrets[0])
		p.secrets = p.secrets[1:]
	}
	close(s.fresh)
	s.fresh = make(chan struct{})
	return k
}

func (s *Server) newPeer() *peer {
	p := &peer{streams: make(map[uint64]*Stream), instances: make(map[uint32]*mpp.Tickets)}
	p.home = home{clock: s.Clock, pool: s.Pool, lot: s.Lot, patience: s.Patience, start: time.Now(), forget: func(mid uint64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(p.streams, mid)
	}}
	return p
}

// RemovePeer ends all that a peer has.
func (s *Server) RemovePeer(name string) {
	s.mu.Lock()
	s.removals++
	p := s.peers[name]
	delete(s.peers, name)
	var all []*Stream
	if p != nil {
		for _, id := range p.secrets {
			delete(s.secrets, id)
		}
		for _, stream := range p.streams {
			all = append(all, stream)
		}
	}
	s.mu.Unlock()
	for _, stream := range all {
		stream.Abort()
	}
}

// Counts returns the sums so far.
func (s *Server) Counts() ServerCounts {
	c := &s.counts
	out := ServerCounts{Shaken: c.shaken.Load(), Subflows: c.subflows.Load(), Streams: c.streams.Load(), Refused: c.refused.Load(), Strangers: c.strangers.Load(), Replayed: c.replayed.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		out.Active += len(p.streams)
	}
	return out
}

// Streams describes the streams that live, at most so many.
func (s *Server) Streams(most int) (out []Info) {
	s.mu.Lock()
	var all []*Stream
	for _, p := range s.peers {
		for _, stream := range p.streams {
			if len(all) < most {
				all = append(all, stream)
			}
		}
	}
	s.mu.Unlock()
	for _, stream := range all {
		out = append(out, stream.Info())
	}
	return out
}

// welcome reads hello and first record, and finds or makes the stream.
func (s *Server) welcome(ctx context.Context, conn net.Conn) (*subflow, *Stream, error) {
	_ = conn.SetDeadline(time.Now().Add(helloTime))
	in := &intake{conn: conn}
	in.hold()
	defer in.let()
	owner, made, ticket, err := s.owner(ctx, conn, in)
	if err != nil {
		s.counts.strangers.Add(1)
		return nil, nil, err
	}
	if !owner.tickets.Fresh(ticket) {
		s.counts.replayed.Add(1)
		return nil, nil, mpp.ErrHello
	}
	seal, open, err := owner.secret.Server(ticket)
	if err != nil {
		return nil, nil, err
	}
	in.open = open
	first, err := in.record()
	if err != nil {
		s.counts.strangers.Add(1)
		return nil, nil, err
	}
	if made {
		if owner = s.addSecret(owner, true); owner != nil {
			s.counts.shaken.Add(1)
		}
	}
	if owner == nil || !owner.tickets.Use(ticket) {
		s.counts.replayed.Add(1)
		return nil, nil, mpp.ErrHello
	}
	var f mpp.Frame
	if _, err = mpp.ParseFrame(first, &f); err == nil && f.Type == mpp.FramePing && f.MID == 0 {
		first, err = s.await(in, owner, &f)
	}
	if err != nil || f.Type != mpp.FrameAttach {
		return nil, nil, mpp.ErrFrame
	}
	stream, code := s.stream(ctx, owner, f.MID)
	if stream == nil {
		s.counts.refused.Add(1)
		refuse(conn, seal, f.MID, code)
		return nil, nil, mpp.ErrHello
	}
	_ = conn.SetDeadline(time.Time{})
	k := newSubflow(conn, f.Subflow, "", seal, open)
	k.rest = append([]byte(nil), in.b[in.used:in.n]...)
	k.first = append([]byte(nil), first...)
	return k, stream, nil
}

// owner reads the hello, after a handshake if there is one, and finds the secret that it names; made says that it is of
// this handshake, and to be kept once it is proved.
func (s *Server) owner(ctx context.Context, conn net.Conn, in *intake) (owner *keyed, made bool, ticket uint64, err error) {
	if err := in.have(1); err != nil {
		return nil, false, 0, err
	}
	if in.b[0] == shakeMagic && s.Answer != nil {
		if owner, err = s.answer(conn, in); err != nil {
			return nil, false, 0, err
		}
		made = true
	}
	if err := in.have(mpp.HelloBytes); err != nil {
		return nil, false, 0, err
	}
	id, ticket, err := mpp.ParseHello(in.b[in.used:in.n])
	in.used += mpp.HelloBytes
	if err == nil && owner == nil {
		owner = s.find(ctx, id)
	}
	if err != nil || owner == nil || made && owner.secret.ID() != id {
		return nil, false, 0, mpp.ErrHello
	}
	return owner, made, ticket, nil
}

// await keeps a subflow that waits for a stream.
func (s *Server) await(in *intake, owner *keyed, f *mpp.Frame) ([]byte, error) {
	// What waits is known, so it does not count among strangers.
	s.strangers.leave(in.conn)
	if !s.wait(owner, 1) {
		s.counts.refused.Add(1)
		return nil, mpp.ErrHello
	}
	err := in.idle()
	s.wait(owner, -1)
	if err != nil {
		return nil, err
	}
	_ = in.conn.SetDeadline(time.Now().Add(helloTime))
	first, err := in.record()
	if err == nil {
		_, err = mpp.ParseFrame(first, f)
	}
	return first, err
}

// wait counts a peer's subflows that wait; false if there are too many.
func (s *Server) wait(owner *keyed, more int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner.of.waiting+more > maxWaiting {
		return false
	}
	owner.of.waiting += more
	return true
}

// intake reads the first records of a subflow.
type intake struct {
	conn    net.Conn
	open    *mpp.Opener
	buf     *[]byte // of records, or nil
	b       []byte
	used, n int
}

// hold takes a buffer, and let gives it back.
func (in *intake) hold() {
	in.buf = records.Get().(*[]byte)
	in.b = *in.buf
}

func (in *intake) let() {
	if in.buf != nil {
		records.Put(in.buf)
		in.buf, in.b = nil, nil
	}
}

// idle waits until there is more than what was used, and holds no large buffer meanwhile.
func (in *intake) idle() error {
	if in.n > in.used {
		return nil // the first of what follows came along
	}
	_ = in.conn.SetDeadline(time.Now().Add(warmServer))
	in.let()
	small := make([]byte, 512)
	n, err := readAtLeast(in.conn, small, 0, 1)
	if err != nil {
		return err
	}
	in.hold()
	in.n, in.used = copy(in.b, small[:n]), 0
	return nil
}

// record reads one record.
func (in *intake) record() ([]byte, error) {
	for {
		plain, took, needs, err := in.open.Open(in.b[in.used:in.n])
		if err != nil {
			return nil, err
		}
		if took > 0 {
			in.used += took
			return plain, nil
		}
		if in.used+needs > len(in.b) {
			return nil, mpp.ErrLength
		}
		if in.n, err = readAtLeast(in.conn, in.b, in.n, in.used+needs); err != nil {
			return nil, err
		}
	}
}

// readAtLeast reads until b holds want bytes; have are there.
func readAtLeast(conn net.Conn, b []byte, have, want int) (int, error) {
	for have < want {
		n, err := conn.Read(b[have:])
		if have += n; have >= want {
			break
		}
		if err != nil {
			return have, err
		}
	}
	return have, nil
}

// find finds a secret, and waits a moment for one that is just being made.
func (s *Server) find(ctx context.Context, id uint64) *keyed {
	late := time.After(secretTime)
	for {
		s.mu.Lock()
		k, fresh := s.secrets[id], s.fresh
		s.mu.Unlock()
		if k != nil {
			return k
		}
		select {
		case <-fresh:
		case <-late:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// stream finds the stream of a MID, or makes it: once.
func (s *Server) stream(ctx context.Context, owner *keyed, mid uint64) (*Stream, mpp.Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, p := owner.peer, owner.of
	if s.peers[name] != p { // removed meanwhile, even if one of this name is there again
		return nil, mpp.CodeRefused
	}
	if old := p.streams[mid]; old != nil {
		return old, 0
	}
	if s.MaxStreams > 0 && len(p.streams) >= s.MaxStreams {
		return nil, mpp.CodeRefused
	}
	instance := uint32(mid >> 32)
	used := p.instances[instance]
	if used == nil {
		used = mpp.NewTickets()
		p.instances[instance] = used
		if p.order = append(p.order, instance); len(p.order) > keptInstances {
			delete(p.instances, p.order[0])
			p.order = p.order[1:]
		}
	}
	if !used.Use(mid & 0xffffffff) {
		return nil, mpp.CodeGone
	}
	stream := newStream(&p.home, mid)
	if stream == nil {
		return nil, mpp.CodeNoMemory
	}
	p.streams[mid] = stream
	s.counts.streams.Add(1)
	go s.Handle(ctx, name, stream)
	return stream, 0
}

// refuse tells an authenticated peer why not, and waits until it has heard: closing with unread bytes would take the
// answer back.
func refuse(conn net.Conn, seal *mpp.Sealer, mid uint64, code mpp.Code) {
	b := make([]byte, mpp.RecordSpace, 256)
	_, err := conn.Write(seal.Seal(mpp.AppendFrame(b, &mpp.Frame{Type: mpp.FrameReset, MID: mid, Code: code})))
	if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		_ = conn.SetDeadline(time.Now().Add(refuseTime))
		_, _ = io.CopyN(io.Discard, conn, maxTail)
	}
}
