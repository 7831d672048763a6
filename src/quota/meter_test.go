package quota

import "testing"

func TestMeter(t *testing.T) {
	var m Meter
	for _, c := range []struct {
		name     string
		now      Meter
		down, up uint64
	}{
		{"the first look at a device", Meter{"a", "wan", 3, 900, 800}, 0, 0},
		{"what came", Meter{"a", "wan", 3, 1000, 850}, 100, 50},
		{"nothing", Meter{"a", "wan", 3, 1000, 850}, 0, 0},
		{"made anew", Meter{"a", "wan", 9, 40, 30}, 40, 30},
		{"made anew, and used for more than the one before", Meter{"a", "wan", 10, 5000, 60}, 5000, 60},
		{"another device", Meter{"a", "lte", 4, 5000, 5000}, 0, 0},
		{"the system was started anew", Meter{"b", "lte", 4, 6000, 10}, 6000, 10},
		{"somebody set the counters back", Meter{"b", "lte", 4, 7, 11}, 7, 1},
		{"towards their end", Meter{"b", "lte", 4, 4_294_967_286, 11}, 4_294_967_279, 0},
		{"a counter of 32 bits began anew", Meter{"b", "lte", 4, 90, 11}, 100, 0},
		{"half of that", Meter{"b", "lte", 4, 2_147_483_640, 11}, 2_147_483_550, 0},
		{"set back from there", Meter{"b", "lte", 4, 90, 11}, 90, 0},
		{"more than 32 bits", Meter{"b", "lte", 4, 5_000_000_090, 11}, 5_000_000_000, 0},
		{"set back from there, too", Meter{"b", "lte", 4, 90, 11}, 90, 0},
	} {
		if down, up := m.Read(c.now); down != c.down || up != c.up {
			t.Errorf("%s: %d, %d; not %d, %d", c.name, down, up, c.down, c.up)
		}
		if m != c.now {
			t.Errorf("%s: %+v is kept, not %+v", c.name, m, c.now)
		}
	}
}
