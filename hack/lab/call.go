package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"mpproxy/src/engine/mono"
)

// A call is 50 packets a second of 200 bytes both ways, as a voice codec at 64 kbit/s sends them. Both ends print
// "s NUMBER SEQUENCE" for each packet they send, with the time it was sent, and "r …" for each that arrives; the clock is the
// same at both ends, so a delay is exact.
const (
	callPort     = 5002
	callEvery    = 20 * time.Millisecond
	callBytes    = 200
	callHeader   = 28 // number, sequence (4), time sent, time of the call's end
	callEchoTail = time.Second
)

// callPacket is one packet of a call.
type callPacket struct {
	number   uint64
	sequence uint32
	sent     mono.Time
	end      mono.Time
}

func (p callPacket) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, p.number)
	b = binary.BigEndian.AppendUint32(b, p.sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(p.sent))
	b = binary.BigEndian.AppendUint64(b, uint64(p.end))
	return append(b, make([]byte, callBytes-callHeader)...)
}

func parseCallPacket(b []byte) (callPacket, bool) {
	if len(b) != callBytes {
		return callPacket{}, false
	}
	return callPacket{
		number:   binary.BigEndian.Uint64(b),
		sequence: binary.BigEndian.Uint32(b[8:]),
		sent:     mono.Time(binary.BigEndian.Uint64(b[12:])),
		end:      mono.Time(binary.BigEndian.Uint64(b[20:])),
	}, true
}

// speak sends the packets of one side until the call's end.
func speak(number uint64, end mono.Time, out *printer, write func([]byte)) {
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for sequence := uint32(0); ; sequence++ {
		p := callPacket{number: number, sequence: sequence, sent: Now(), end: end}
		if p.sent.After(end) {
			return
		}
		write(p.append(nil))
		out.printf("s %d %d %d", number, sequence, p.sent)
		<-tick.C
	}
}

func heard(p callPacket, out *printer) {
	out.printf("r %d %d %d %d", p.number, p.sequence, p.sent, Now())
}

// callMain is the client's side: call NUMBER SECONDS.
func callMain(args []string) error {
	number, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp4", net.JoinHostPort(ServerAddress, strconv.Itoa(callPort)))
	if err != nil {
		return err
	}
	defer conn.Close()
	end := Now().Add(time.Duration(seconds * float64(time.Second)))
	out := new(printer)
	var listening sync.WaitGroup
	listening.Go(func() {
		buffer := make([]byte, frameBytes)
		for {
			n, err := conn.Read(buffer)
			if isTimeout(err) || Now().After(end.Add(callEchoTail)) {
				return
			}
			if p, ok := parseCallPacket(buffer[:n]); err == nil && ok {
				heard(p, out)
			}
		}
	})
	// A write that fails (no route just now) is a packet lost, which the statistics show.
	speak(number, end, out, func(b []byte) { _, _ = conn.Write(b) })
	if err := conn.SetReadDeadline(time.Now().Add(callEchoTail)); err != nil {
		return fmt.Errorf("end call: %w", err)
	}
	listening.Wait()
	return nil
}

// answerCalls is the server's side: whoever calls is spoken to, at the address of the call's latest packet.
func answerCalls(conn *net.UDPConn, out *printer) {
	var mu sync.Mutex
	callers := map[uint64]*net.UDPAddr{} // under mu
	buffer := make([]byte, frameBytes)
	for {
		n, from, err := conn.ReadFromUDP(buffer)
		if err != nil {
			continue // ICMP errors arrive here
		}
		p, ok := parseCallPacket(buffer[:n])
		if !ok {
			continue
		}
		heard(p, out)
		mu.Lock()
		_, known := callers[p.number]
		callers[p.number] = from
		mu.Unlock()
		if known {
			continue
		}
		go speak(p.number, p.end, out, func(b []byte) {
			mu.Lock()
			to := callers[p.number]
			mu.Unlock()
			_, _ = conn.WriteToUDP(b, to) // a failure is a packet lost
		})
	}
}
