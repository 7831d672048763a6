package portal

import (
	"context"
	"errors"
	"io"
	"math"
	"net/netip"
	"os"
	"sync"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/wire"
	"mpproxy/src/socks"
	"mpproxy/src/stats"
	"mpproxy/src/streams"
)

const (
	// speedName is asked of the server for a stream that ends there; the port says which way it carries something.
	speedName     = "speed.mpproxy.internal"
	speedDownPort = 1
	speedUpPort   = 2
	// speedDownBytes and speedUpBytes are the most that a test carries: it may cost money.
	speedDownBytes = 30_000_000
	speedUpBytes   = 10_000_000
	// speedTime is the longest that one way takes; its first speedWarm is not counted if there is more.
	speedTime = 5 * time.Second
	speedWarm = time.Second
	// speedTold is how often it says how far it is.
	speedTold = 250 * time.Millisecond
	speedPart = 64 << 10
)

// speedEnd is the server's end of a speed test: bytes without meaning, or nothing but their number.
type speedEnd struct {
	down bool
	left int64
	ends time.Time
	once sync.Once
	done chan struct{}
}

func newSpeedEnd(port uint16) *speedEnd {
	return &speedEnd{down: port == speedDownPort, left: speedDownBytes, ends: time.Now().Add(2 * speedTime), done: make(chan struct{})}
}

// Read gives bytes until there were enough; the other way it ends once all has come.
func (e *speedEnd) Read(p []byte) (int, error) {
	if !e.down {
		<-e.done
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	if n == 0 || time.Now().After(e.ends) {
		return 0, io.EOF
	}
	e.left -= n
	return int(n), nil
}

// Write takes anything.
func (e *speedEnd) Write(p []byte) (int, error) {
	if time.Now().After(e.ends) {
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

// CloseWrite is told when all has come.
func (e *speedEnd) CloseWrite() error {
	e.once.Do(func() { close(e.done) })
	return nil
}

// Close ends it.
func (e *speedEnd) Close() error { return e.CloseWrite() }

// SetReadDeadline does nothing: reading takes no time, or ends with the other side.
func (e *speedEnd) SetReadDeadline(time.Time) error { return nil }

// testSpeed measures how fast the tunnel is now, each way, and what each link has of it.
func (r *local) testSpeed(ctx context.Context, _ string, told func(Step)) error {
	way, err := r.tunnelWay(ctx)
	if err != nil {
		return err
	}
	used := int64(0)
	for _, t := range []struct {
		id   string
		port uint16
	}{{"down", speedDownPort}, {"up", speedUpPort}} {
		told(Step{ID: t.id, State: StepWorking})
		before := r.carried(ctx)
		bits, bytes, err := r.oneWay(ctx, way, t.port, func(bits float64) { told(Step{ID: t.id, State: StepWorking, BitsPerSecond: bits}) })
		used += bytes
		if err != nil {
			return err
		}
		told(Step{ID: t.id, State: StepWell, BitsPerSecond: bits})
		for name, share := range shares(before, r.carried(ctx), t.port == speedDownPort) {
			told(Step{ID: t.id, Link: name, State: StepWell, BitsPerSecond: math.Round(bits * share)})
		}
	}
	told(Step{ID: "used", State: StepWell, Bytes: used})
	return nil
}

// tunnelWay leads through the tunnel to the server itself.
func (r *local) tunnelWay(ctx context.Context) (streams.Way, error) {
	var to netip.AddrPort
	r.run.shared.do(ctx, func(mono.Time) {
		blob, _ := r.PeerConfig()
		c, err := wire.ParseSessionConfig(blob)
		for _, l := range r.told {
			if blob != nil && err == nil && r.stands && l.Endpoint.IsValid() {
				to = netip.AddrPortFrom(c.Peer4, l.Endpoint.Port())
			}
		}
	})
	if !to.IsValid() {
		return streams.Way{}, errors.New("there is no connection with the server")
	}
	link := knownLink{device: r.run.configuration().Portal.Device}
	return streams.Way{Name: "tunnel", Dial: link.dial(to.String())}, nil
}

// oneWay moves bytes until the time or the amount is over. bits are per second.
func (r *local) oneWay(ctx context.Context, way streams.Way, port uint16, told func(bits float64)) (bits float64, moved int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*speedTime)
	defer cancel()
	s, err := r.proxy.client.Open([]streams.Way{way})
	if err != nil {
		return 0, 0, err
	}
	defer s.Abort()
	defer context.AfterFunc(ctx, s.Abort)()
	connected, cancelConnected := context.WithTimeout(ctx, firstSubflow)
	defer cancelConnected()
	if s.Connected(connected) == nil {
		to := socks.Address{Name: speedName, Port: port}
		if _, err = s.Write((socks.Request{Command: socks.Connect, To: to}).Append(nil)); err == nil {
			_, err = answer(ctx, s)
		}
	} else {
		err = errors.New("no answer")
	}
	if err != nil {
		return 0, 0, errors.New("the server takes no speed tests: it is of another version, or does without its proxy for this router")
	}
	m := meter{begin: time.Now(), told: told}
	buf := make([]byte, speedPart)
	if port == speedUpPort {
		for m.moved < speedUpBytes && time.Since(m.begin) < speedTime && err == nil {
			var n int
			n, err = s.Write(buf)
			m.moved += int64(n) // is on its way only; what counts is when all has come
		}
		if err == nil {
			_ = s.CloseWrite()
			_, err = s.Read(buf[:1])
		}
		if err != io.EOF {
			return 0, m.moved, errors.New("the connection broke off in the middle")
		}
		return float64(m.moved) * 8 / time.Since(m.begin).Seconds(), m.moved, nil
	}
	for err == nil && time.Since(m.begin) < speedTime {
		var n int
		n, err = s.Read(buf)
		m.add(n)
	}
	if err != nil && err != io.EOF {
		return 0, m.moved, errors.New("the connection broke off in the middle")
	}
	return m.rate(), m.moved, nil
}

// meter is the speed of what arrives.
type meter struct {
	begin, said time.Time
	warm        time.Time // when counting began; zero: not yet
	moved, cold int64     // cold: what came before
	told        func(bits float64)
}

func (m *meter) add(n int) {
	now := time.Now()
	if m.moved += int64(n); m.warm.IsZero() && now.Sub(m.begin) >= speedWarm {
		m.warm, m.cold = now, m.moved
	}
	if now.Sub(m.said) >= speedTold {
		m.said = now
		m.told(math.Round(m.rate()))
	}
}

// rate is in bits per second.
func (m *meter) rate() float64 {
	if d := time.Since(m.warm); !m.warm.IsZero() && d >= speedWarm/2 {
		return float64(m.moved-m.cold) * 8 / d.Seconds()
	}
	return float64(m.moved) * 8 / max(time.Since(m.begin).Seconds(), 1e-3)
}

// carried is what each link has carried so far, up and down.
func (r *local) carried(ctx context.Context) map[string][2]uint64 {
	sums := make(map[string][2]uint64)
	var s stats.Status
	r.run.shared.do(ctx, func(now mono.Time) { s = r.status(now) })
	for i := range s.Sessions {
		for _, p := range s.Sessions[i].Paths {
			sums[p.Link] = [2]uint64{sums[p.Link][0] + p.UpBytes, sums[p.Link][1] + p.DownBytes}
		}
	}
	return sums
}

// shares are the links' parts of what was carried between two looks.
func shares(before, after map[string][2]uint64, down bool) map[string]float64 {
	i, sum := 0, uint64(0)
	if down {
		i = 1
	}
	for name, n := range after {
		sum += n[i] - min(before[name][i], n[i])
	}
	out := make(map[string]float64)
	for name, n := range after {
		if sum > 0 {
			out[name] = float64(n[i]-min(before[name][i], n[i])) / float64(sum)
		}
	}
	return out
}
