package lab

import (
	"fmt"
	"os"
	"testing"
	"time"

	"mpproxy/src/linksim"
)

func TestMain(m *testing.M) {
	RunProgram()
	if _, err := RemoveStale(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(m.Run())
}

func mustParse(t *testing.T, links string) []linksim.Params {
	t.Helper()
	params, err := linksim.ParseLinks(links)
	if err != nil {
		t.Fatal(err)
	}
	return params
}

// newLab builds a lab with links in the words of linksim.ParseLinks.
func newLab(t *testing.T, links string) *Lab {
	t.Helper()
	return newLabWith(t, Options{Links: mustParse(t, links)})
}

func newLabWith(t *testing.T, options Options) *Lab {
	t.Helper()
	options.Seed, options.Program = 1, os.Getenv("MPPROXY_PROGRAM")
	l, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// wait lets real time pass while traffic runs: what is measured here is the real world.
func wait(d time.Duration) { <-time.After(d) }

// bulk runs a transfer and returns its rate in bit/s after a second of start-up.
func bulk(t *testing.T, l *Lab, d Direction, length time.Duration) float64 {
	t.Helper()
	b, err := l.StartBulk(d, length)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(); err != nil {
		t.Fatal(err)
	}
	return b.Rate(b.Started.Add(time.Second), b.Started.Add(length))
}
