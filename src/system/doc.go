// Package system is all of the daemon that touches the kernel's configuration: TUN device, addresses, routes, policy
// rules, firewall, sysctls, and the watch over links.
//
//   - What is wanted is computed first, as plain values (plan.go: Addr, Route, Rule, Sysctl, Table…), without touching
//     anything. Each value prints as the command line that would make it.
//   - A Journal makes it so, logs that line, and keeps the undo. Applying a group again touches only what differs.
//   - Every object is tagged as ours (protocol number 158, nft table name and comments, a state file for sysctls), so Cleanup finds what
//     a killed daemon left.
//
// All netlink work happens in the network namespace of the calling thread. Linux only.
package system
