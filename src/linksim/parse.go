package linksim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	maxRate  = 1e12        // bit/s; above it a packet takes less than the nanosecond that time is counted in
	maxDelay = time.Minute // for every duration in a link's words
	maxLinks = 64
)

// Syntax says in words how ParseLinks wants a link; for usage texts.
const Syntax = "RATE/ROUNDTRIP[/LOSS%][/jJITTER][/qQUEUE][/reorder], for example 50M/20ms/0.5%/j5ms/q200ms; several with commas between"

// ParseLinks reads links such as "50M/10ms,12M/40ms/0.5%/j5ms/q200ms": for each the rate (bit/s with k, M or G), the
// round trip, and as wanted the loss in percent, the jitter's standard deviation, the queue as time, and "reorder".
// Each result stands for one direction, and is meant for both: its Delay is half the round trip, all else holds per
// direction. An error says which link and which word is wrong, and what is allowed.
func ParseLinks(text string) ([]Params, error) {
	var links []Params
	for i, words := range strings.Split(text, ",") {
		if i == maxLinks {
			return nil, fmt.Errorf("read links: more than %d", maxLinks)
		}
		p, err := parseLink(strings.TrimSpace(words))
		if err != nil {
			return nil, fmt.Errorf("read link %d %q: %w; write %s", i+1, words, err, Syntax)
		}
		links = append(links, p)
	}
	return links, nil
}

func parseLink(text string) (Params, error) {
	var p Params
	words := strings.Split(text, "/")
	if len(words) < 2 {
		return p, errors.New("a link needs a rate and a round trip")
	}
	var err error
	if p.Rate, err = parseRate(words[0]); err != nil {
		return p, err
	}
	roundTrip, err := parseTime("round trip", words[1])
	if err != nil {
		return p, err
	}
	p.Delay = roundTrip / 2
	seen := map[string]bool{}
	for _, word := range words[2:] {
		kind, err := p.parseOption(word)
		if err != nil {
			return p, err
		}
		if seen[kind] {
			return p, fmt.Errorf("%s is given twice", kind)
		}
		seen[kind] = true
	}
	return p, nil
}

// parseOption reads one word after the round trip and returns what it sets.
func (p *Params) parseOption(word string) (kind string, err error) {
	switch {
	case word == "reorder":
		p.Reorder = true
		return word, nil
	case strings.HasSuffix(word, "%"):
		percent, err := strconv.ParseFloat(strings.TrimSuffix(word, "%"), 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return "", fmt.Errorf("loss %q is not 0%% to 100%%", word)
		}
		p.Loss = percent / 100
		return "loss", nil
	case strings.HasPrefix(word, "j"):
		p.Jitter, err = parseTime("jitter", word[1:])
		return "jitter", err
	case strings.HasPrefix(word, "q"):
		if p.Queue, err = parseTime("queue", word[1:]); err == nil && p.Queue == 0 {
			err = errors.New("a queue of 0 would drop everything")
		}
		return "queue", err
	}
	return "", fmt.Errorf("word %q is unknown", word)
}

func parseRate(word string) (int64, error) {
	digits, unit := word, 1.0
	if n := len(word) - 1; n > 0 {
		switch word[n] {
		case 'k', 'K':
			digits, unit = word[:n], 1e3
		case 'M', 'm':
			digits, unit = word[:n], 1e6
		case 'G', 'g':
			digits, unit = word[:n], 1e9
		}
	}
	value, err := strconv.ParseFloat(digits, 64)
	rate := math.Round(value * unit)
	if err != nil || !(rate >= 1 && rate <= maxRate) {
		return 0, fmt.Errorf("rate %q is not a number above 0 with k, M or G (bit/s, at most 1000G)", word)
	}
	return int64(rate), nil
}

func parseTime(what, word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 || d > maxDelay {
		return 0, fmt.Errorf("%s %q is not a time such as 20ms, at most %v", what, word, maxDelay)
	}
	return d, nil
}

// String writes the words that ParseLinks reads. What they cannot say is left out.
func (p Params) String() string {
	var b strings.Builder
	b.WriteString(formatRate(p.Rate) + "/" + (2 * p.Delay).String())
	if p.Loss > 0 {
		b.WriteString("/" + strconv.FormatFloat(p.Loss*100, 'g', 12, 64) + "%")
	}
	if p.Jitter > 0 {
		b.WriteString("/j" + p.Jitter.String())
	}
	if p.Queue > 0 {
		b.WriteString("/q" + p.Queue.String())
	}
	if p.Reorder {
		b.WriteString("/reorder")
	}
	return b.String()
}

func formatRate(rate int64) string {
	switch {
	case rate == 0:
		return "unlimited"
	case rate >= 1e9:
		return strconv.FormatFloat(float64(rate)/1e9, 'f', -1, 64) + "G"
	case rate >= 1e6:
		return strconv.FormatFloat(float64(rate)/1e6, 'f', -1, 64) + "M"
	}
	return strconv.FormatFloat(float64(rate)/1e3, 'f', -1, 64) + "k"
}
