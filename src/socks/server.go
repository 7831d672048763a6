package socks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mpproxy/src/park"
)

// Connector reaches destinations for clients.
type Connector interface {
	// Connect connects; bound is the address at the near end, if it is known. An error that is or wraps a Code tells
	// the client that code; others are translated.
	Connect(ctx context.Context, client Client, to Address) (s Stream, bound Address, err error)
}

// Client is who asks.
type Client struct {
	User string // empty without authentication
	From netip.AddrPort
}

// Binder is a Connector that serves BIND in its own way; others bind on this machine.
type Binder interface {
	// Bind listens for one connection from the peer. tell is called once with the address to listen at.
	Bind(ctx context.Context, client Client, from Address, tell func(Address) error) (s Stream, peer Address, err error)
}

// Options make a Server.
type Options struct {
	// Allow has the networks of clients; nobody else gets an answer. Empty: nobody. See SetAllow.
	Allow []netip.Prefix
	// Users are the users with their passwords; nil: no authentication.
	Users map[string]string
	// Connector reaches destinations.
	Connector Connector
	// Guard says who may be reached by connections that are led here and from whom BIND may be asked.
	Guard Guard
	// GuardUDP says who may be reached by UDP; nil: whom Guard allows.
	GuardUDP Guard
	// Names says, beside GuardUDP, what a name may lead to; nil: whatever that allows.
	Names NameGuard
	// Bind and UDP allow these commands.
	Bind, UDP bool
	// MaxConnections bounds clients; 0 means DefaultMaxConnections. See SetMax.
	MaxConnections int
	// Idle ends connections on which nothing moves; 0 means DefaultIdle.
	Idle time.Duration
	// Patience is what a client has for methods, password and request together; 0 means ten seconds.
	Patience time.Duration
	// ListenUDP opens the outer socket of an association; nil means a plain one.
	ListenUDP func() (*net.UDPConn, error)
	// Way numbers the way that sockets of ListenUDP take now: when it changes, associations open others, and look names up
	// again. nil: it never changes.
	Way func() uint64
	// Resolve finds a name's addresses for associations; nil means the system's resolver.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	// Kernel, if not nil, relays between two TCP connections; it leaves to splicing what it cannot take.
	Kernel Kernel
	// Lot is where connections wait that carry nothing; nil: a goroutine waits with each.
	Lot *park.Lot
}

// Kernel is another way than splicing to relay inside the kernel.
type Kernel interface {
	// Relay does what the function Relay does. After an error nothing has happened.
	Relay(a, b *net.TCPConn, idle time.Duration) (up, down uint64, err error)
}

// Counts are a server's sums.
type Counts struct {
	Accepted, Strangers, TooMany, BadRequests, WrongUsers uint64
	Connects, Binds, Associations, Failed                 uint64
	Intercepted                                           uint64 // connections that were led here
	// DroppedDatagrams are those of associations that were malformed, not the client's, not of somebody who was asked, or
	// could not be sent.
	DroppedDatagrams   uint64
	UpBytes, DownBytes uint64
	Active             int64
}

// Server serves clients. Make it with NewServer.
type Server struct {
	Options
	users  map[string][sha256.Size]byte
	allow  []netip.Prefix
	most   atomic.Int64 // clients
	counts struct {
		accepted, strangers, tooMany, badRequests, wrongUsers atomic.Uint64
		connects, binds, associations, failed, up, down       atomic.Uint64
		intercepted, dropped                                  atomic.Uint64
		active                                                atomic.Int64
	}
	mu     sync.Mutex
	open   map[io.Closer]*Connection
	asking map[netip.Addr]int // how many have not asked for anything yet, by address
	asked  int                // those of all addresses
	wg     sync.WaitGroup
}

// Connection is a client that is being served.
type Connection struct {
	From  netip.AddrPort
	User  string    // empty: none was asked for
	To    Address   // what was asked for; zero before that
	Since time.Time // when it came
	// Out leads to the destination, or to who came to a Bind; nil before it stands, and for other commands.
	Out    Stream
	in     io.Closer // the client's connection
	asking bool
}

// NewServer returns a server; Serve starts it.
func NewServer(o Options) *Server {
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Patience == 0 {
		o.Patience = handshakeTime
	}
	if o.ListenUDP == nil {
		o.ListenUDP = func() (*net.UDPConn, error) { return net.ListenUDP("udp", nil) }
	}
	if o.Resolve == nil {
		o.Resolve = Resolve
	}
	if o.GuardUDP == nil {
		o.GuardUDP = o.Guard
	}
	if o.Way == nil {
		o.Way = func() uint64 { return 0 }
	}
	s := &Server{Options: o, open: make(map[io.Closer]*Connection), asking: make(map[netip.Addr]int)}
	s.SetMax(o.MaxConnections)
	s.SetUsers(o.Users)
	s.SetAllow(o.Allow)
	return s
}

// SetMax changes how many clients there may be from now on; those that there are stay. 0 means DefaultMaxConnections.
func (s *Server) SetMax(most int) { s.most.Store(int64(cmp.Or(most, DefaultMaxConnections))) }

// SetAllow changes the networks of clients from now on; those that there are stay.
func (s *Server) SetAllow(nets []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allow = slices.Clone(nets)
}

// SetUsers changes who may use the server from now on, and their passwords; nil: no authentication. Connections of users
// who are no longer known end.
func (s *Server) SetUsers(users map[string]string) {
	var sums map[string][sha256.Size]byte
	if users != nil {
		sums = make(map[string][sha256.Size]byte, len(users))
		for name, password := range users {
			sums[name] = sha256.Sum256([]byte(password))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		if _, known := sums[c.User]; c.User != "" && sums != nil && !known {
			c.end()
		}
	}
	s.users = sums
	s.rouse()
}

// known are the users.
func (s *Server) known() map[string][sha256.Size]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users
}

// Connections returns the clients of this moment, at most a given number.
func (s *Server) Connections(most int) (list []Connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		if len(list) == most {
			break
		}
		list = append(list, *c)
	}
	return list
}

// end closes what a client has, so that nobody waits for either side; with the server's lock held.
func (c *Connection) end() {
	_ = c.in.Close()
	if c.Out != nil {
		abort(c.Out)
	}
}

// rouse wakes those whose connections were closed while they were parked.
func (s *Server) rouse() {
	if s.Lot != nil {
		s.Lot.Look()
	}
}

// note changes what is told of a client. One that came while all were being closed is closed, too.
func (s *Server) note(ctx context.Context, conn net.Conn, change func(*Connection)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.open[conn]
	if c == nil {
		return
	}
	s.hasAsked(c)
	if change(c); ctx.Err() != nil {
		c.end()
	}
}

// exchange has a client's connections be known by what they are in from now on.
func (s *Server) exchange(conn *net.TCPConn, in *park.Conn, out Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.open[conn]; c != nil {
		delete(s.open, conn)
		c.in, c.Out = in, out
		s.open[in] = c
	}
}

// asks counts a client that has not asked yet; false if there are too many of them. With the lock held.
func (s *Server) asks(c *Connection) bool {
	at := block(c.From)
	if s.asking[at] >= maxAsking || s.asked >= max(maxAsking, int(s.most.Load()/2)) {
		return false
	}
	s.asking[at]++
	s.asked++
	c.asking = true
	return true
}

// hasAsked is the end of asks; with the lock held.
func (s *Server) hasAsked(c *Connection) {
	if !c.asking {
		return
	}
	c.asking = false
	s.asked--
	if at := block(c.From); s.asking[at] > 1 {
		s.asking[at]--
	} else {
		delete(s.asking, at)
	}
}

// block is what one client has of addresses: of IPv6 as many as it likes.
func block(from netip.AddrPort) netip.Addr {
	a := from.Addr().Unmap()
	if a.Is4() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64) // it fails for lengths that no address has
	return p.Addr()
}

// Counts returns the sums so far.
func (s *Server) Counts() Counts {
	c := &s.counts
	return Counts{
		Accepted: c.accepted.Load(), Strangers: c.strangers.Load(), TooMany: c.tooMany.Load(), BadRequests: c.badRequests.Load(),
		WrongUsers: c.wrongUsers.Load(), Connects: c.connects.Load(), Binds: c.binds.Load(), Associations: c.associations.Load(),
		Failed: c.failed.Load(), Intercepted: c.intercepted.Load(), DroppedDatagrams: c.dropped.Load(), UpBytes: c.up.Load(), DownBytes: c.down.Load(), Active: c.active.Load(),
	}
}

// Serve accepts clients until ctx ends, and returns when all are gone. The listener is closed.
func (s *Server) Serve(ctx context.Context, l *net.TCPListener) error {
	return s.accept(ctx, l, s.serve)
}

// handler serves a client; what is left to be done for it then, if anything, is rest, which does not wait for its end, but calls
// done: most connections do nothing for most of their time, and need no goroutine for that.
type handler func(ctx context.Context, conn *net.TCPConn, client Client) (rest func(done func()))

// accept gives every client to handle, in a goroutine of its own.
func (s *Server) accept(ctx context.Context, l *net.TCPListener, handle handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.closeAll()
	})
	defer stop()
	for {
		conn, err := l.AcceptTCP()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed): // no more clients, but those that there are
			s.wg.Wait()
			return nil
		case errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EINVAL):
			return err
		case err != nil: // no descriptors or memory, a client that left at once, or an error of the network (accept(2)): all passes
			pause(ctx, acceptPause)
			continue
		}
		s.admit(ctx, conn, handle)
	}
}

// admit starts a client's goroutine, if it may come in.
func (s *Server) admit(ctx context.Context, conn *net.TCPConn, handle handler) {
	from, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !s.allowed(from.AddrPort().Addr().Unmap()) {
		s.counts.strangers.Add(1)
		_ = conn.Close()
		return
	}
	if s.counts.active.Add(1) > s.most.Load() {
		s.counts.active.Add(-1)
		s.counts.tooMany.Add(1)
		_ = conn.Close()
		return
	}
	c := &Connection{From: from.AddrPort(), Since: time.Now(), in: conn}
	s.mu.Lock()
	fits := s.asks(c)
	if fits {
		s.open[conn] = c
	}
	s.mu.Unlock()
	if !fits {
		s.counts.active.Add(-1)
		s.counts.tooMany.Add(1)
		_ = conn.Close()
		return
	}
	if ctx.Err() != nil { // who came while all were being closed has no one else to close it
		_ = conn.Close()
	}
	s.counts.accepted.Add(1)
	s.wg.Add(1)
	go func() {
		if rest := handle(ctx, conn, Client{From: from.AddrPort()}); rest != nil {
			rest(func() { s.leave(c) })
		} else {
			s.leave(c)
		}
	}()
}

// leave is a client's end.
func (s *Server) leave(c *Connection) {
	s.mu.Lock()
	_ = c.in.Close()
	s.hasAsked(c)
	delete(s.open, c.in)
	s.mu.Unlock()
	s.counts.active.Add(-1)
	s.wg.Done()
}

// closeAll ends what all clients have: one whose destination takes nothing, or says nothing, would else stay.
func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.end()
	}
	s.rouse()
}

func (s *Server) allowed(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

// serve is one client from greeting to end, but for what is relayed.
func (s *Server) serve(ctx context.Context, conn *net.TCPConn, client Client) (rest func(done func())) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = conn.SetDeadline(time.Now().Add(s.Patience))
	q, err := s.negotiate(ctx, conn, &client)
	if err != nil {
		s.counts.badRequests.Add(1)
		if code := Code(0); errors.As(err, &code) {
			_, _ = conn.Write(AppendReply(nil, code, Address{}))
		}
		return nil
	}
	_ = conn.SetDeadline(time.Time{})
	s.note(ctx, conn, func(c *Connection) { c.User, c.To = client.User, q.To })
	switch {
	case q.Command == Connect:
		s.counts.connects.Add(1)
		rest, err = s.connect(ctx, conn, client, q.To, func(bound Address) []byte { return AppendReply(nil, Succeeded, bound) })
	case q.Command == Bind && s.Options.Bind:
		s.counts.binds.Add(1)
		rest, err = s.bind(ctx, conn, client, q.To)
	case q.Command == Associate && s.UDP:
		s.counts.associations.Add(1)
		err = s.associate(ctx, conn, client, q.To)
	case q.Command == Bind || q.Command == Associate:
		err = NotAllowed
	default:
		err = NoCommand
	}
	if err != nil {
		s.counts.failed.Add(1)
		_ = conn.SetWriteDeadline(time.Now().Add(handshakeTime))
		_, _ = conn.Write(AppendReply(nil, CodeOf(err), Address{}))
	}
	return rest
}

// negotiate reads greeting, password and request.
func (s *Server) negotiate(ctx context.Context, conn net.Conn, client *Client) (Request, error) {
	method := byte(methodNone)
	if s.known() != nil {
		method = methodPassword
	}
	ok, err := readMethods(conn, method)
	if err != nil {
		return Request{}, err
	}
	if !ok {
		_, _ = conn.Write([]byte{version5, methodRefused})
		return Request{}, ErrAuth
	}
	if _, err := conn.Write([]byte{version5, method}); err != nil {
		return Request{}, err
	}
	if method == methodPassword {
		user, password, err := readPassword(conn)
		if err != nil {
			return Request{}, err
		}
		if !s.knows(user, password) {
			s.counts.wrongUsers.Add(1)
			pause(ctx, refusedPause)
			_, _ = conn.Write([]byte{version1, 1})
			return Request{}, ErrAuth
		}
		client.User = user
		if _, err := conn.Write([]byte{version1, 0}); err != nil {
			return Request{}, err
		}
	}
	return ReadRequest(conn)
}

// knows compares in a time that tells nothing.
func (s *Server) knows(user, password string) bool {
	want, ok := s.known()[user]
	got := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && ok
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// connect reaches the destination and answers; rest relays until the end.
func (s *Server) connect(ctx context.Context, conn *net.TCPConn, client Client, to Address, answer func(bound Address) []byte) (rest func(done func()), err error) {
	dial, cancel := context.WithTimeout(ctx, dialTime)
	out, bound, err := s.Connector.Connect(dial, client, to)
	cancel()
	if err != nil {
		return nil, err
	}
	return s.relay(ctx, conn, to, out, answer(bound)), nil
}
