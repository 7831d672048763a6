package portal

import "mpproxy/src/engine/wire"

// told is what the server allows this router, in bits per second and connections; 0 is no limit.
type told struct {
	up, down uint64
	links    int
}

func limitsOf(c wire.SessionConfig) told {
	return told{up: uint64(c.UpKbit) * 1000, down: uint64(c.DownKbit) * 1000, links: int(c.MaxLinks)}
}
