//go:build !sockmap || !linux || !(amd64 || arm64)

package portal

import "mpproxy/src/socks"

// kernelRelay is nil: direct connections are spliced.
func (p *running) kernelRelay(int) socks.Kernel { return nil }
