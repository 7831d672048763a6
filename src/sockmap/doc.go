// Package sockmap relays between two TCP connections inside the kernel: an eBPF program at each socket gives what has
// come to the other one at once (sk_skb stream verdict, BPF_SOCKHASH), without a program being asked.
//
//	A --> verdict of A --redirect--> B          while B keeps up
//	               \--pass--> reader of A --> B    while B is more than its share behind, and at the ends
//
// The kernel itself stops nobody: a redirected byte counts as read, and a fast sender would fill the memory in front of a
// slow receiver. So the program counts: what was redirected and has not left is bounded (behindBytes), and what is
// above that is passed to the reader, behind the ordinary window of TCP. Redirected and passed bytes never overtake each
// other: the program redirects only while nothing passed is still on its way, and the reader writes only when all that
// was redirected is in B's queue. The end of a stream is handed on when every byte that came is accounted for.
//
// On the kernels that were measured (6.18) splicing is quicker in every respect, so the program is built with this
// only if asked to (tag sockmap); cilium/ebpf is more than a megabyte.
package sockmap
