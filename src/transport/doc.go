// Package transport moves batches of datagrams between the daemon and the network, over sockets bound to a link.
//
// A datagram comes in:
//
//  1. UDP.ReadBatch asks the kernel for up to readSlots messages in one system call (recvmmsg). With UDP_GRO each
//     message may hold many datagrams of one peer; they are cut apart in place.
//  2. The control messages beside each give the address it was sent to, its ECN codepoint, and when the kernel got it.
//  3. Each becomes one Datagram whose bytes stay in the ReadBatch until its next use.
//
// Datagrams go out:
//
//  1. UDP.WriteBatch takes datagrams to one peer, in order.
//  2. Runs of equal size (the last may be shorter) become one message with UDP_SEGMENT, others one message each.
//  3. All messages leave in one system call (sendmmsg). What the kernel refuses is said by a typed error.
//
// Nothing here knows what a datagram means. No packet costs an allocation.
package transport
