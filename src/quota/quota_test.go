package quota

import (
	"encoding/json"
	"testing"
	"time"
)

const gb = 1_000_000_000

func plan() Plan { return Plan{Bytes: 50 * gb, Down: true, Up: true, Day: 1, WarnPercent: 80} }

// at is a clock that somebody set.
func at(text string) Clock {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return Clock{Now: t, Sure: true}
}

// guess is a clock that nobody set since the start.
func guess(text string) Clock { return Clock{Now: at(text).Now} }

func TestWhatCounts(t *testing.T) {
	for _, c := range []struct {
		name     string
		down, up bool
		want     uint64
	}{{"both", true, true, 12 * gb}, {"down", true, false, 9 * gb}, {"up", false, true, 5 * gb}} {
		var s State
		p := plan()
		p.Down, p.Up = c.down, c.up
		s.Correct("a", 2*gb)
		s.Add(3*gb, 2*gb)
		s.Add(4*gb, 1*gb)
		if got := s.Used(p); got != c.want {
			t.Errorf("%s: %d, not %d", c.name, got, c.want)
		}
	}
}

func TestLevels(t *testing.T) {
	p := plan()
	for _, c := range []struct {
		used    uint64
		level   Level
		percent int
	}{{0, Below, 0}, {40*gb - 1, Below, 79}, {40 * gb, Warn, 80}, {50*gb - 1, Warn, 99}, {50 * gb, Reached, 100}, {500 * gb, Reached, 100}} {
		s := State{Down: c.used}
		if got := s.Level(p); got != c.level || s.Percent(p) != c.percent {
			t.Errorf("%d used: level %d, %d %%; not %d, %d %%", c.used, got, s.Percent(p), c.level, c.percent)
		}
	}
	p.WarnPercent = 100
	if s := (State{Down: 50*gb - 1}); s.Level(p) != Below {
		t.Errorf("a warning before 100 %%: %d", s.Level(p))
	}
}

func TestPeriodEnds(t *testing.T) {
	var s State
	p := plan()
	if s.Turn(p, at("2026-05-03 10:00")) || s.Since != "2026-05-01" {
		t.Fatalf("the first look: %+v", s)
	}
	s.Add(50*gb, 0)
	if s.Turn(p, at("2026-05-31 23:59")) || s.Level(p) != Reached {
		t.Fatalf("before the end: %+v", s)
	}
	if !s.Turn(p, at("2026-06-01 00:00")) || s.Used(p) != 0 || s.Level(p) != Below {
		t.Fatalf("at the end: %+v", s)
	}
	if s.Turn(p, at("2026-06-01 00:01")) {
		t.Fatal("it ended twice")
	}
}

// A router without a battery boots in 1970, or where it was shut down, until the network tells the time.
func TestUnsetClock(t *testing.T) {
	var s State
	p := plan()
	if s.Turn(p, guess("1970-01-01 00:02")); s.Known(guess("1970-01-01 00:02")) {
		t.Fatal("1970 is believed")
	}
	s.Add(3*gb, 0)
	s.Turn(p, at("2026-05-31 10:00"))
	if s.Used(p) != 3*gb || !s.Known(at("2026-05-31 10:00")) {
		t.Fatalf("what was counted before the time was known is lost: %+v", s)
	}
	for _, back := range []Clock{guess("1970-01-01 00:00"), guess("2026-04-30 10:00"), guess("2026-05-30 10:00"), {Now: time.Unix(5, 0), Sure: true}} {
		if s.Turn(p, back) || s.Used(p) != 3*gb || s.Since != "2026-05-01" || s.Known(back) {
			t.Fatalf("after %s: %+v", back.Now, s)
		}
	}
	if !s.Turn(p, guess("2026-06-02 10:00")) { // an RTC's time, say: it is later than all before
		t.Fatal("a later time is not believed")
	}
}

// A clock that ran ahead and is put right ends nothing.
func TestClockAhead(t *testing.T) {
	var s State
	p := plan()
	s.Turn(p, at("2026-05-10 10:00"))
	s.Correct("x", gb)
	s.Add(20*gb, 2*gb)
	if !s.Turn(p, guess("2031-01-01 00:00")) {
		t.Fatal("not ended")
	}
	s.Add(gb, 0)
	s.Turn(p, guess("2031-01-01 00:05"))
	raw, _ := json.Marshal(s) // also across a restart
	s = State{}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	if s.Turn(p, guess("2026-05-10 11:00")) || s.Used(p) != gb {
		t.Fatalf("a clock that nobody set goes back: %+v", s)
	}
	if s.Turn(p, at("2026-05-10 11:00")) || s.Used(p) != 24*gb || s.Since != "2026-05-01" || s.Before != nil {
		t.Fatalf("put right: %+v", s)
	}
	s.Turn(p, at("2026-04-10 11:00")) // of that month nothing is known
	if s.Used(p) != 24*gb || s.Since != "2026-04-01" {
		t.Fatalf("put back: %+v", s)
	}
}

func TestOtherPlan(t *testing.T) {
	var s State
	p := plan()
	s.Turn(p, at("2026-05-20 10:00"))
	s.Add(20*gb, 0)
	p.Day = 15
	if s.Turn(p, at("2026-05-20 10:01")) || s.Used(p) != 20*gb || s.Since != "2026-05-15" {
		t.Fatalf("another day: %+v", s)
	}
	p.Period, p.Day = Week, 1
	if s.Turn(p, at("2026-05-20 10:02")) || s.Used(p) != 20*gb || s.Since != "2026-05-18" {
		t.Fatalf("another period: %+v", s)
	}
	if !s.Turn(p, at("2026-05-25 00:00")) || s.Used(p) != 0 {
		t.Fatalf("the next week: %+v", s)
	}
	p.Day = 2
	if s.Turn(p, at("2026-05-25 00:01")); s.Before != nil {
		t.Fatalf("the last week of another plan is remembered: %+v", s)
	}
}

func TestCorrectionIsTakenOnce(t *testing.T) {
	var s State
	p := plan()
	if s.Correct("", 0) {
		t.Fatal("no word was taken")
	}
	s.Add(5*gb, 0)
	if !s.Correct("12@1", 12*gb) || s.Used(p) != 12*gb {
		t.Fatalf("the owner's word: %+v", s)
	}
	s.Add(gb, 0)
	if s.Correct("12@1", 12*gb) || s.Used(p) != 13*gb {
		t.Fatalf("taken twice: %+v", s)
	}
	if s.Correct("", 0) || s.Used(p) != 13*gb { // taken out of the file
		t.Fatalf("without: %+v", s)
	}
	if !s.Correct("0@2", 0) || s.Used(p) != 0 {
		t.Fatalf("set to nothing: %+v", s)
	}
}

// Whatever the clocks do, no byte is counted twice, and none is lost but with a period that ended.
func FuzzTurn(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 255, 9, 8, 7}, uint8(0), uint8(31))
	f.Add([]byte{1, 1, 1, 1, 1, 1}, uint8(1), uint8(7))
	f.Add([]byte{7, 200, 7, 3, 7, 255}, uint8(2), uint8(1))
	f.Fuzz(func(t *testing.T, steps []byte, period, day uint8) {
		p := Plan{Bytes: 1000, Down: true, Up: true, Period: Period(period % 3), Day: int(day%7) + 1, WarnPercent: 80}
		var s State
		now, total := at("2026-05-10 10:00").Now, uint64(0)
		for _, b := range steps {
			now = now.Add(time.Duration(int8(b)) * 7 * time.Hour)
			before := s.Used(p)
			ended := s.Turn(p, Clock{Now: now, Sure: b&1 == 0})
			if ended && s.Used(p) != 0 {
				t.Fatalf("%d used of a new period", s.Used(p))
			}
			if !ended && s.Used(p) < before {
				t.Fatalf("%d used, then %d", before, s.Used(p))
			}
			s.Add(1, 2)
			total += 3
			if s.Used(p) > total {
				t.Fatalf("%d used of %d", s.Used(p), total)
			}
		}
	})
}
