//go:build sockmap && linux && (amd64 || arm64)

package portal

import (
	"cmp"

	"mpproxy/src/sockmap"
	"mpproxy/src/socks"
)

// kernelRelay relays direct connections with a sockmap, where the kernel has it.
func (p *running) kernelRelay(pairs int) socks.Kernel {
	m, err := sockmap.New(cmp.Or(pairs, socks.DefaultMaxConnections))
	if err != nil {
		p.log.Info("direct connections are spliced: no sockmap here", "why", err)
		return nil
	}
	p.atEnd(m.Close)
	p.log.Info("direct connections are relayed by a sockmap")
	return m
}
