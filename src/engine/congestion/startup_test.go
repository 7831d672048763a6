package congestion

import (
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// startupRound feeds a round of start-up in which as much arrived as bytes says, at rate and sent at sendRate.
func startupRound(b *BBR, now *mono.Time, bytes, rate, sendRate int64, queue, deviation time.Duration, limited bool) {
	*now = now.Add(40 * time.Millisecond)
	b.OnAck(Sample{
		Now: *now, Acked: bytes, Rate: rate, SendRate: sendRate, AppLimited: limited, Round: true, Span: 40 * time.Millisecond,
		RTT: 60 * time.Millisecond, MinRTT: 20 * time.Millisecond, Flight: 60 * time.Millisecond,
		Queue: queue, RoundQueue: queue, Deviation: deviation,
	})
}

// The mean over a round of hundreds of packets shows a queue of two deviations, that over a few does not.
func TestStartupSeesAQueueThroughJitter(t *testing.T) {
	for bytes, ends := range map[int64]bool{200 * MTU: true, 14 * MTU: false} {
		now := mono.Time(time.Second)
		b := NewBBR(now, 20*time.Millisecond, 1)
		startupRound(b, &now, bytes, 5e6, 10e6, 20*time.Millisecond, 10*time.Millisecond, true)
		for range 2 { // without growth, and more was sent than came
			startupRound(b, &now, bytes, 5e6, 10e6, 20*time.Millisecond, 10*time.Millisecond, true)
		}
		if got := !b.Searching(); got != ends {
			t.Errorf("rounds of %d packets: start-up ended %v, want %v", bytes/MTU, got, ends)
		}
	}
}

// A sender that had not always something to send has filled the path all the same if less came than was sent, again and again,
// and the rest was lost. Where nothing is lost and no queue stands it is the jitter that made less come.
func TestStartupEndsWithoutGrowth(t *testing.T) {
	for _, c := range []struct {
		sendRate, lost int64
		ends           bool
	}{{10e6, 9 * MTU, true}, {5e6, 9 * MTU, false}, {10e6, 0, false}} {
		now := mono.Time(time.Second)
		b := NewBBR(now, 20*time.Millisecond, 1)
		for range startupRounds + 1 {
			b.roundLost = c.lost
			startupRound(b, &now, 100*MTU, 5e6, c.sendRate, 0, time.Millisecond, true)
		}
		if got := !b.Searching(); got != c.ends {
			t.Errorf("sent at %d, %d bytes lost: start-up ended %v, want %v", c.sendRate, c.lost, got, c.ends)
		}
	}
}

// Rounds without growth tell nothing if all that there was to send was carried in between.
func TestStartupOutlivesPauses(t *testing.T) {
	now := mono.Time(time.Second)
	b := NewBBR(now, 20*time.Millisecond, 1)
	for range 4 * startupRounds {
		b.roundLost = MTU
		startupRound(b, &now, 100*MTU, 5e6, 10e6, 0, time.Millisecond, true)
		startupRound(b, &now, 100*MTU, 5e6, 5e6, 0, time.Millisecond, true)
	}
	if !b.Searching() {
		t.Error("start-up ended")
	}
}

// A queue that grows under a flow with little to send shows what the link carries; under a few packets it is a longer path.
func TestSaturatedWithLittleToSend(t *testing.T) {
	for bytes, falls := range map[int64]bool{20 * MTU: true, 3 * MTU: false} {
		now := mono.Time(time.Second)
		b := NewBBR(now, 20*time.Millisecond, 1)
		b.bandwidth.set(20e6)
		b.enter(now, cruise)
		for range saturatedRounds {
			startupRound(b, &now, bytes, 5e6, 8e6, 40*time.Millisecond, time.Millisecond, true)
		}
		if got := b.Bandwidth() == 5e6; got != falls {
			t.Errorf("rounds of %d packets: the estimate is %d", bytes/MTU, b.Bandwidth())
		}
	}
}

// A long queue that grows ends start-up after one round, a short one after two.
func TestStartupEndsBeforeTheBufferOverflows(t *testing.T) {
	for queue, rounds := range map[time.Duration]int{60 * time.Millisecond: 1, 40 * time.Millisecond: 2} {
		now := mono.Time(time.Second)
		b := NewBBR(now, 20*time.Millisecond, 1)
		took := 0
		for b.Searching() && took < 5 {
			startupRound(b, &now, 100*MTU, int64(5e6*(took+1)), int64(10e6*(took+1)), queue, time.Millisecond, false)
			took++
		}
		if took != rounds {
			t.Errorf("a queue of %v: start-up took %d rounds, want %d", queue, took, rounds)
		}
	}
}
