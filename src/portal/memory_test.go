package portal

import (
	"fmt"
	"os"
	"testing"
)

// TestMemoryIsDivided: the parts never exceed the whole, and a small router still gets enough to work.
func TestMemoryIsDivided(t *testing.T) {
	for _, c := range []struct {
		name           string
		limit, machine int64
		most           int64
		leastBufs      int
	}{
		{"large machine", 0, 8 << 30, 64 * mebibyte, 16 << 10},
		{"router with 128 MB", 0, 128 * mebibyte, 32 * mebibyte, 4 << 10},
		{"router with 64 MB", 0, 64 * mebibyte, leastMemory, 1 << 10},
		{"asked for too little", 8 * mebibyte, 8 << 30, leastMemory, 1 << 10},
		{"asked for more", 512 * mebibyte, 8 << 30, 512 * mebibyte, 128 << 10},
	} {
		m := divideMemory(c.limit, c.machine)
		if used := int64(m.bufs)*bufMemory + programMemory; used > c.most {
			t.Errorf("%s: %d MiB used, at most %d", c.name, used/mebibyte, c.most/mebibyte)
		}
		if m.bufs < c.leastBufs {
			t.Errorf("%s: %d buffers, want %d", c.name, m.bufs, c.leastBufs)
		}
		// All three stores full of full packets must leave buffers for what is under way.
		if held := int64(3*m.store/1420) * bufMemory; held > int64(m.bufs)*bufMemory*9/10 {
			t.Errorf("%s: the stores hold %d MiB of %d", c.name, held/mebibyte, int64(m.bufs)*bufMemory/mebibyte)
		}
		if m.goLimit >= c.most {
			t.Errorf("%s: the runtime may take %d MiB of %d", c.name, m.goLimit/mebibyte, c.most/mebibyte)
		}
	}
}

func TestMachineMemory(t *testing.T) {
	if n := machineMemory(); n < 16*mebibyte {
		t.Errorf("this machine has %d bytes", n)
	}
}

// TestMemoryOfThisMachine is what the kernel says elsewhere, in bytes whatever its unit is.
func TestMemoryOfThisMachine(t *testing.T) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	var kibibytes int64
	if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kibibytes); err != nil {
		t.Fatal(err)
	}
	if got := machineMemory(); got/1024 != kibibytes {
		t.Errorf("%d KiB, the kernel has %d", got/1024, kibibytes)
	}
}
