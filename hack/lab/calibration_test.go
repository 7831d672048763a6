package lab

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// ethernetBytes is what the kernel's shaper counts above the IP packet, and linksim does not.
const ethernetBytes = 14

// onTime is how late the emulation may deliver: what a machine that stalls for longer measures is its own stalling.
const onTime = 10 * time.Millisecond

// calibrated returns a measurement in which the emulation was on time, or the sixth.
func calibrated[R any](t *testing.T, measure func() (result R, late time.Duration)) R {
	t.Helper()
	for range 5 {
		r, late := measure()
		if late <= onTime {
			return r
		}
		t.Logf("the emulation was late by %v: measured again", late)
	}
	r, _ := measure()
	return r
}

// TestCalibrateAgainstKernelShaper compares a linksim link in real time with the kernel's token bucket (TBF) of the
// same rate and queue: the same TCP rate, the same delay for a call behind the full queue, the same way into loss.
func TestCalibrateAgainstKernelShaper(t *testing.T) {
	const rate, queue = 20_000_000, 100 * time.Millisecond
	type result struct {
		rate       float64
		call       CallStats
		retransmit uint64
	}
	measure := func(links string, shape bool) (result, time.Duration) {
		l := newLab(t, links)
		defer l.Close()
		if shape {
			bits := rate / 1500 * (1500 + ethernetBytes)
			limit := bits / 8 * int(queue/time.Millisecond) / 1000
			if _, err := run("", "tc", "-n", l.Namespace("nat1"), "qdisc", "add", "dev", "lan0", "root", "tbf",
				"rate", fmt.Sprint(bits), "burst", "1600", "limit", fmt.Sprint(limit)); err != nil {
				t.Fatal(err)
			}
		}
		load, err := l.StartBulk(Down, 7*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		call, err := l.StartCall(7 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := load.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := call.Wait(); err != nil {
			t.Fatal(err)
		}
		from, to := load.Started.Add(2*time.Second), load.Started.Add(7*time.Second)
		again, err := l.Retransmits("server")
		if err != nil {
			t.Fatal(err)
		}
		return result{load.Rate(from, to), call.Stats(Down, from, to.Add(-200*time.Millisecond)), again}, l.Links[0].Lateness()
	}
	ours := calibrated(t, func() (result, time.Duration) { return measure("20M/10ms/q100ms", false) })
	kernel := calibrated(t, func() (result, time.Duration) { return measure("10G/10ms", true) })
	t.Logf("linksim: %.2f Mbit/s, %v, max %v, %d sent again", ours.rate/1e6, ours.call, ours.call.Max, ours.retransmit)
	t.Logf("kernel:  %.2f Mbit/s, %v, max %v, %d sent again", kernel.rate/1e6, kernel.call, kernel.call.Max, kernel.retransmit)
	if r := ours.rate / kernel.rate; r < 0.98 || r > 1.02 {
		t.Errorf("rate is %.3f of the kernel's", r)
	}
	if d := ours.call.P95 - kernel.call.P95; d.Abs() > 8*time.Millisecond {
		t.Errorf("the full queue is %v longer than the kernel's", d)
	}
	if d := ours.call.P50 - kernel.call.P50; d.Abs() > 15*time.Millisecond {
		t.Errorf("the median delay under load is %v longer than the kernel's", d)
	}
}

// stream sends n packets in steps of a millisecond from client to server and returns each one's delay; 0 = lost.
func stream(t *testing.T, l *Lab, n int) []time.Duration {
	t.Helper()
	const port = 5003
	var receiver *net.UDPConn
	var sender net.Conn
	err := inside(l.Namespace("server"), func() (err error) {
		receiver, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	if err := receiver.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	err = inside(l.Namespace("client"), func() (err error) {
		sender, err = net.Dial("udp4", net.JoinHostPort(ServerAddress, fmt.Sprint(port)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		packet := make([]byte, 100)
		for i := range n {
			binary.BigEndian.PutUint64(packet, uint64(i))
			binary.BigEndian.PutUint64(packet[8:], uint64(Now()))
			if _, err := sender.Write(packet); err != nil {
				return
			}
			<-tick.C
		}
	}()
	delays := make([]time.Duration, n)
	packet := make([]byte, frameBytes)
	for {
		if err := receiver.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := receiver.Read(packet); err != nil {
			return delays
		}
		delays[binary.BigEndian.Uint64(packet)] = Now().Sub(mono.Time(binary.BigEndian.Uint64(packet[8:])))
	}
}

// spread is the middle of delays, and their deviation by quantiles: a normal has 68 % within one, and a moment in which this
// machine stalls does not count. Both in milliseconds.
func spread(delays []time.Duration) (median, deviation float64, arrived int) {
	var list []time.Duration
	for _, d := range delays {
		if d > 0 {
			list = append(list, d)
		}
	}
	slices.Sort(list)
	quantile := func(q float64) float64 { return list[int(q*float64(len(list)))].Seconds() * 1e3 }
	return quantile(0.5), (quantile(0.8413) - quantile(0.1587)) / 2, len(list)
}

// TestCalibrateLossAndJitter holds what really arrives to what the link was asked for and to its own counters. A link that
// neither loses nor jitters shows what this machine adds just now.
func TestCalibrateLossAndJitter(t *testing.T) {
	const n, loss = 5000, 0.02
	type result struct {
		plain, delays []time.Duration
		random        uint64
	}
	got := calibrated(t, func() (result, time.Duration) {
		measure := func(link string, n int) ([]time.Duration, uint64, time.Duration) {
			l := newLab(t, link)
			defer l.Close()
			return stream(t, l, n), l.Links[0].Stats(Up).Random, l.Links[0].Lateness()
		}
		plain, _, late := measure("100M/40ms", n/2)
		delays, random, later := measure("100M/40ms/2%/j5ms/reorder", n)
		return result{plain, delays, random}, max(late, later)
	})
	added, blur, _ := spread(got.plain)
	added -= 20
	median, deviation, arrived := spread(got.delays)
	lost := n - arrived
	t.Logf("%d of %d lost, delay %.2f ms, deviation %.2f ms; this machine adds %.2f ms, deviation %.2f ms", lost, n, median, deviation, added, blur)
	if sigma := math.Sqrt(n * loss * (1 - loss)); math.Abs(float64(lost)-n*loss) > 4*sigma {
		t.Errorf("%d lost, want %.0f +- %.0f", lost, n*loss, 4*sigma)
	}
	if uint64(lost) != got.random {
		t.Errorf("%d lost, the link counted %d", lost, got.random)
	}
	if added < -0.2 || added > 5 {
		t.Errorf("a plain link's median delay is %.2f ms more than it should be", added)
	}
	if median -= added; median < 19.2 || median > 20.8 {
		t.Errorf("median delay %.2f ms without that, want 20", median)
	}
	if deviation = math.Sqrt(max(deviation*deviation-blur*blur, 0)); deviation < 4.6 || deviation > 5.4 {
		t.Errorf("deviation %.2f ms without that, want 5", deviation)
	}
}
