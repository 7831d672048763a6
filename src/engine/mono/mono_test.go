package mono

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestArithmetic(t *testing.T) {
	start := Time(time.Hour)
	later := start.Add(3 * time.Second)
	if later.Sub(start) != 3*time.Second || start.Sub(later) != -3*time.Second {
		t.Errorf("%v, %v", later.Sub(start), start.Sub(later))
	}
	if !start.Before(later) || later.Before(start) || start.Before(start) {
		t.Error("Before")
	}
	if !later.After(start) || start.After(later) || start.After(start) {
		t.Error("After")
	}
	if Min(start, later) != start || Min(later, start) != start || Max(start, later) != later || Max(later, start) != later {
		t.Error("Min, Max")
	}
	if !Time(0).IsZero() || start.IsZero() || Never.IsZero() {
		t.Error("IsZero")
	}
}

// Never stays never, whatever is added: a timer that does not fire cannot be made to by a delay.
func TestNever(t *testing.T) {
	for _, d := range []time.Duration{0, 1, time.Hour, -time.Hour, 1<<63 - 1} {
		if Never.Add(d) != Never {
			t.Errorf("%v after never", d)
		}
	}
	if Min(Never, 5) != 5 || Max(Never, 5) != Never {
		t.Error("never is not the latest")
	}
}

// Micros counts microseconds modulo 2^32, also across the wrap.
func TestMicros(t *testing.T) {
	for range 1000 {
		at := Time(rand.Int64N(1 << 62))
		if got, want := at.Micros(), uint32(int64(at)/1000%(1<<32)); got != want {
			t.Fatalf("%d: %d, want %d", at, got, want)
		}
	}
	wrap := Time(1<<32) * 1000
	if wrap.Micros() != 0 || (wrap-1).Micros() != 1<<32-1 || wrap.Add(5*time.Microsecond).Micros()-(wrap-3000).Micros() != 8 {
		t.Error("wrap")
	}
}
