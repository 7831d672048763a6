// Package handshake makes two portals agree on a session's secrets: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s in
// datagrams that give nothing away to strangers. The router is the Initiator, the server the Responder.
//
//	router                                                  server
//	Initiate, Datagram  --- initiation, on one or more links --->  Process: reply, Pending
//	Process: Result     <--- response to each copy, the same ----
//	first data datagram ---------------------------------------->  Confirm: now the keys are in force
//
// Integers are big endian. What stands in the first 8 bytes and the place of MAC1 hold for all versions.
//
//	initiation   1 | version | protection | 0 | sender id u32 | noise length u16 | noise message 1 |
//	             zeros to InitiationBytes or more | MAC1 16 | MAC2 16
//	response     2 | version | 0 | 0 | receiver id u32 | noise message 2 | MAC1 16
//	cookie reply 3 | version | 0 | 0 | receiver id u32 | nonce 24 | encrypted cookie 32
//	version      4 | server's version | 0 | 0 | receiver id u32 | MAC 16
//
// The prologue is the protocol's name and the 8 bytes of the initiation's header, so nobody in between can change
// version or protection, or make a copy that counts as another initiation. The payloads of the noise messages are
// entries of type u8 | length u8 | value; unknown types are skipped.
//
// MAC1 is keyed by a hash of the receiver's public key, so who does not know the server's key gets silence. Under
// load the server answers with a cookie, a MAC of the source address (/32 or /64), and works only for initiations
// whose MAC2 is keyed by theirs. No answer is longer than its question. No clock is compared with another: what
// makes an old initiation harmless is that a Pending changes nothing until its first data datagram, that the same
// initiation gets the same answer, and that a router counts its attempts since its start (Instance, Attempt).
//
// The package is pure: randomness and time are arguments; no goroutine, log or I/O. Not safe for concurrent use.
package handshake
