// Package system is all of the daemon that touches the kernel's configuration: TUN device, addresses, routes, policy
// rules, firewall, sysctls, and the watch over links.
//
//   - What is wanted is computed first, as plain values (plan.go: Addr, Route, Rule, Sysctl, Table…), without touching
//     anything. Each value prints as the command line that would make it.
//   - A Journal makes it so, logs that line, and keeps the undo. Applying a group again touches only what differs.
//   - On a router a packet's way is decided in this order: marks of our sockets lead to their link's table (planLink); name
//     queries with the DNS mark, and what leaves the tunnel past a reverse path filter, have marks of their own (planDNS,
//     planMarks); the LAN looks in table main without its default route, and then into the tunnel (planTunnel). Params.among
//     puts these rules where other programs' rules let them work.
//   - Tables with an owner (look-ups, the guard's copy) go with the process, however it ends, and nobody else can flush them;
//     the guard itself stays (planGuard). Watch tells when a table of ours was damaged.
//   - Every object is tagged as ours (protocol number 158, nft table name and comments, a state file for sysctls), so Cleanup finds what
//     a killed daemon left.
//
// All netlink work happens in the network namespace of the calling thread. Linux only.
package system
