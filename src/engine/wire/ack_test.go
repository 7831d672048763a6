package wire

import "testing"

// manyRanges has as many and as costly ranges as an AckFrame can hold.
func manyRanges() AckFrame {
	ack := AckFrame{Path: 1<<32 - 1, DelayMicros: 1<<32 - 1, CE: 1<<64 - 1, Received: 1<<64 - 1}
	last := uint64(MaxNumber)
	for ack.AddRange(last-5000, last) {
		last -= 15000
	}
	return ack
}

func TestAckIsCutToItsBound(t *testing.T) {
	ack := manyRanges()
	if ack.Count != MaxAckRanges {
		t.Fatalf("%d ranges", ack.Count)
	}
	b := ack.Append([]byte("before"))[6:]
	if len(b) > MaxAckBytes || len(b) < MaxAckBytes-4 {
		t.Errorf("%d bytes", len(b))
	}
	var f Frame
	if rest, err := Next(b, &f); err != nil || len(rest) != 0 {
		t.Fatalf("rest %x, %v", rest, err)
	}
	if f.Ack.Count < 40 || f.Ack.Count >= MaxAckRanges {
		t.Errorf("%d ranges left", f.Ack.Count)
	}
	for i := range f.Ack.Count {
		if f.Ack.Ranges[i] != ack.Ranges[i] {
			t.Errorf("range %d: %v, want %v", i, f.Ack.Ranges[i], ack.Ranges[i])
		}
	}
}

func TestAckSmallRangesAllFit(t *testing.T) {
	ack := AckFrame{Path: 1}
	for n := uint64(1000); ack.AddRange(n, n); n -= 2 {
	}
	var f Frame
	if _, err := Next(ack.Append(nil), &f); err != nil || f.Ack.Count != MaxAckRanges {
		t.Errorf("%d ranges, %v", f.Ack.Count, err)
	}
}

func TestAddRange(t *testing.T) {
	var ack AckFrame
	if len(ack.Append(nil)) != 0 {
		t.Error("an empty acknowledgement has bytes")
	}
	steps := []struct {
		first, last uint64
		ok          bool
	}{
		{11, 10, false}, {10, MaxNumber + 1, false}, {10, 20, true}, {9, 9, false}, {5, 9, false}, {15, 16, false},
		{21, 30, false}, {8, 8, true}, {0, 6, true}, {0, 0, false},
	}
	for _, step := range steps {
		if ack.AddRange(step.first, step.last) != step.ok {
			t.Errorf("AddRange(%d, %d) = %v", step.first, step.last, !step.ok)
		}
	}
	if ack.Count != 3 || ack.Largest() != 20 {
		t.Errorf("%d ranges, largest %d", ack.Count, ack.Largest())
	}
	ack.Reset()
	if !ack.AddRange(100, 100) || ack.Count != 1 {
		t.Error("not usable after Reset")
	}
}

func TestAckLongerThanItsBound(t *testing.T) {
	b := []byte{byte(TypeAck), 1, 0xFF, 0xFF, 0x7F, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0}
	for range 126 {
		b = append(b, 0x80, 0x80, 0) // zero in three bytes
	}
	if _, err := Next(b, new(Frame)); err != ErrTooLong {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}
