// Package session protects datagrams: keys and their renewal, nonces, connection ids, the replay window, and the
// table by which an I/O goroutine finds who a datagram is for.
//
// A datagram, on its way in:
//
//  1. Opener.Open reads the header and looks the connection id up in the Table: one Entry per session and path.
//  2. The packet number is expanded against the greatest one of that path.
//  3. The Receiving of the entry names the keys that the epoch bits allow: current, previous, next, pending.
//  4. The first key that opens it decides; a next or pending key takes the place of the current one by that.
//  5. The engine asks the path's Replay whether the number is new. It alone sees plaintext.
//
// Two ways lead to the next epoch. After RotateAfter packets the sender derives the next key by HKDF
// (Sending.Rotate), and the receiver always has it ready. After a new handshake both sides offer its key to their
// Receiving (AddPending) and install it for sending: the initiator at once, the responder once its Receiving has
// seen it used (Root), so a handshake that nobody completes changes nothing.
//
// The nonce is the path id, 32 bits, and the packet number, 64 bits, so one key serves all paths of a direction as
// long as a path id is never used twice under it. Keys derive from secrets by HKDF-SHA256 (RFC 5869).
//
// The package is pure: no clock, no randomness, no goroutine, no log, no I/O. Keys are immutable; Sending, Receiving
// and Table may be used by several goroutines as their comments say; Sealer, Opener and Replay belong to one each.
package session
