package portal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/socks"
	"mpproxy/src/stats"
	"mpproxy/src/streams"
)

// relayPatience is how long a relay's test may take.
const relayPatience = 15 * time.Second

// testRelay asks a relay, by its name, for a connection to the server, and looks whether what comes through is whole.
func (l *localProxy) testRelay(ctx context.Context, name string, told func(Step)) error {
	ctx, cancel := context.WithTimeout(ctx, relayPatience)
	defer cancel()
	relays := l.portal.run.configuration().Relays
	if i := slices.IndexFunc(relays, func(r config.Relay) bool { return r.Name == name }); i < 0 || !relays[i].Enabled {
		return fmt.Errorf("the service does not know the relay '%s' yet, or it is switched off: save and apply it first", name)
	}
	links := l.links(ctx)
	if len(links) == 0 {
		return errors.New("no connection works over which the relay could be reached")
	}
	way, ok := l.way(config.Via{Relays: []string{name}, Weight: 1}, links)
	if !ok {
		return errors.New("the connection that this relay is for does not work now")
	}
	told(Step{ID: "relay", State: StepWorking, Text: "asking the relay for the server"})
	begin := time.Now()
	conn, err := way.Dial(ctx)
	took := time.Since(begin)
	if err != nil {
		return relayTrouble(err)
	}
	_ = conn.Close()
	s, err := l.client.Open([]streams.Way{way})
	if err != nil {
		return errors.New("the relay reaches the server, but there is no session with the server to try more")
	}
	defer s.Abort()
	if err := wholeThrough(ctx, s); err != nil {
		return err
	}
	told(Step{ID: "relay", State: StepWell, Ms: stats.Milliseconds(took), Text: fmt.Sprintf("it reaches the server (%.0f ms to connect)", stats.Milliseconds(took))})
	return nil
}

// wholeThrough asks the server something that it answers without the Internet.
func wholeThrough(ctx context.Context, s *streams.Stream) error {
	if err := s.Connected(ctx); err == nil {
		to := socks.Address{Name: speedName, Port: speedUpPort}
		if _, err := s.Write((socks.Request{Command: socks.Connect, To: to}).Append(nil)); err == nil {
			if _, err := answer(ctx, s); err == nil {
				return nil
			}
		}
	}
	return errors.New("the relay connects, but what comes through it is not what was sent, or leads to another server")
}

// relayTrouble says in words why a relay did not do.
func relayTrouble(err error) error {
	var hop *socks.HopError
	var code socks.Code
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the relay does not answer")
	case errors.Is(err, socks.ErrAuth):
		return errors.New("the relay refuses this user or password")
	case errors.As(err, &code):
		return fmt.Errorf("the relay answers, but does not connect to the server: %w", code)
	case errors.As(err, &hop):
		return errors.New("what answers there is no SOCKS5 relay, or it broke off")
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("the relay cannot be reached: %w", op.Err)
	}
	return fmt.Errorf("the relay cannot be reached: %w", err)
}
