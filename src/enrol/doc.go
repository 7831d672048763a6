// Package enrol keeps on disk what pairing must not forget: a server's tokens and routers, and a router's servers.
//
// On the server one file in peers_dir is one router, and writing it is the moment at which a router is paired; the token's
// own file, written after it, only remembers who used it. Whatever the power does in between, the same router gets the
// same answer when it asks again:
//
//	judged --> proven --> peer file written (paired) --> token file written --> the router hears its addresses
//
// Every file is written whole, synced, and renamed into place.
package enrol

const (
	// dirMode and fileMode: what is in here names keys and hashes of secrets.
	dirMode  = 0o700
	fileMode = 0o600
	// tokensDir is beside peers_dir, one file for each token.
	tokensDir = "tokens"
	// maxTokenFile bounds a token's file: 256 uses have some 30 KB.
	maxTokenFile = 256 << 10
	// defaultName is what routers are called for whom nobody chose a name.
	defaultName = "router"
)
