// Package lane puts packets in order again that one flow sent over several paths, and gives lanes to flows.
//
// A lane is an order domain of its own with a 24-bit sequence that goes on counting when the lane is given to
// another flow. A Receiver holds what came early and decides how long waiting can still help. For a missing
// sequence m, behind which packets are held, three rules say when to go on without it:
//
//   - It is pending while it may just be under way: some path that carries the lane is up, has brought no original
//     above m yet, and brought its last one within Relative + 4 Deviation + slack. A path that never carried the
//     lane counts only during that time after the lane came to life: its first packets may be on their way.
//   - It is lost once every such path has passed it (by more than the path's Reorder). Then the Receiver waits for
//     one repair, and once more for a second one, each 1.25 x repair wait + 4 x deviation of the fastest path + 3 ms.
//   - It is released when the sender gives it up, after that wait, or at the latest min(600 ms, recent delay of the
//     lane + a round trip + 150 ms) after the first packet had to wait for it, because the inner sender times out after that.
//
// What comes after its release is delivered at once; what comes twice is dropped. Repairs may travel on any path
// and say nothing about how far that path has come.
//
// The rest of a Receiver's promises: each packet given to Push is returned once by one of the calls, or released
// and counted; memory held is bounded; a lane that does not hold anything costs about 1.3 KiB.
//
// This is a pure room: no clock, no randomness, no goroutine, no log, no I/O. Receiver and Allocator are not safe
// for concurrent use. In steady state nothing is allocated per packet.
package lane
