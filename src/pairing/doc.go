// Package pairing makes a router known to a server by one token, which the server prints and the router is given.
//
//	server: Book.Issue --> Token.Text --(a person)--> router: Parse --> Token.Proof
//	router: handshake with the proof inside --> server: Book.Judge: admit, or a Refusal in words
//	server: first datagram under the new keys --> router's file written --> Book.Use --> the router hears its addresses
//
// A token is text: "mpp1:" and base64url (RFC 4648 section 5, without padding) of
//
//	version u8 | length u8 | server's public key 32 | id 8 | secret 16 | endpoints | CRC-32 u32
//
// length is that of all these bytes, so that a text which was cut off tells by how much. An endpoint is 4 | IPv4 4 | port,
// 6 | IPv6 16 | port, or 1 | n | name n | port; ports are u16. Integers are big endian.
//
// The package is pure: time and randomness are arguments, and what must outlive a power cut is its caller's to write.
package pairing

const (
	// prefix begins every token; the digit is the version of the format.
	prefix  = "mpp1:"
	version = 1
	// MaxTextBytes is how long a token's text may be: three lines of a terminal.
	MaxTextBytes = 200

	// KeyBytes is the length of public keys, IDBytes and SecretBytes of a token's own parts.
	KeyBytes    = 32
	IDBytes     = 8
	SecretBytes = 16
	// ProofBytes is what a router sends of its token: id and secret. It fits the handshake's token field.
	ProofBytes = IDBytes + SecretBytes

	headBytes = 2 + KeyBytes + IDBytes + SecretBytes
	sumBytes  = 4
	// maxNameBytes bounds a server's name in a token; RFC 1035 has 253, which a token has no room for.
	maxNameBytes = 78

	// MaxOpen is how many tokens may be open at once: a forgotten pile of them is a risk, and nobody pairs more in a day.
	MaxOpen = 32
	// MaxUses bounds the routers of one token.
	MaxUses = 256
	// DefaultLife is how long a token is good unless asked otherwise, and MaxLife the longest: 24 hours and a year.
	DefaultLife = 24 * 3600
	MaxLife     = 366 * 24 * 3600
	// memory is how long the book remembers a token that is no longer good, so that a router is told why: 30 days.
	memory = 30 * 24 * 3600
)
