// Package socks is a SOCKS5 server and client by RFC 1928 and RFC 1929.
//
//	client --method, user, request--> Server --Connector--> destination: TCP, or a multipath stream
//	       <--------- reply --------
//	       <========= relay: in the kernel (splice) where both sides are TCP =========>
//
// Server serves CONNECT, BIND and UDP ASSOCIATE to clients whose addresses it was told to allow. Who may be reached,
// and how, is the Connector's and the Guard's to say. Dial connects through a chain of other people's SOCKS5 servers.
//
// Every wait has an end: a client that is slow with its request is dropped, and nothing is kept for it before.
package socks
