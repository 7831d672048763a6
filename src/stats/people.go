package stats

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// People returns the status for people: a few sentences and one line for each link or path.
func (s *Status) People() string {
	var out strings.Builder
	role := "router"
	if s.Role == "remote" {
		role = "server"
	}
	fmt.Fprintf(&out, "mpproxy %s on the %s, running for %s\n", s.Version, role, duration(s.UptimeSeconds))
	s.trouble(&out)
	if len(s.Sessions) == 0 {
		if s.Role == "remote" {
			out.WriteString("No router is known yet.\n")
		} else {
			out.WriteString("Not connected: no server is in use.\n")
		}
	}
	for i := range s.Sessions {
		out.WriteByte('\n')
		s.Sessions[i].people(&out, s)
	}
	s.otherLinks(&out)
	s.caps(&out)
	s.Proxy.people(&out)
	drops(&out, s)
	return out.String()
}

// trouble writes what people should do something about.
func (s *Status) trouble(out *strings.Builder) {
	if s.ConfigProblem != "" {
		fmt.Fprintf(out, "The configuration is wrong, an older one is in force:\n%s\n", s.ConfigProblem)
	}
	if s.ConfigLost {
		out.WriteString("There is no connection with the server since the settings were changed; before, there was one.\n")
	}
	if len(s.ConfigRestart) > 0 {
		fmt.Fprintf(out, "Changed, but needs a restart: %s\n", strings.Join(s.ConfigRestart, ", "))
	}
	for _, line := range s.Advice {
		fmt.Fprintf(out, "%s\n", upperFirst(line))
	}
}

// people writes one session: a sentence, what holds for all of it, and a table of its paths.
func (s *Session) people(out *strings.Builder, status *Status) {
	words := map[SessionState]string{SessionUp: "Connected through %s for %s", SessionConnecting: "Connecting with %s for %s", SessionDown: "No answer from %s for %s"}
	if status.Role == "remote" {
		words = map[SessionState]string{SessionUp: "Router %s connected for %s", SessionConnecting: "Router %s connecting for %s", SessionDown: "Router %s away for %s"}
	}
	fmt.Fprintf(out, cmp.Or(words[s.State], "%s: state "+string(s.State)+" for %s"), s.Peer+paren(s.RemoteEndpoint), duration(s.StateSeconds))
	if s.State == SessionUp {
		fmt.Fprintf(out, ", %d of %d connections in use", s.InUse(), len(s.Paths))
	}
	out.WriteByte('\n')
	if s.Trouble != "" {
		fmt.Fprintf(out, "%s\n", upperFirst(s.Trouble))
	}
	if s.State == SessionUp {
		facts := []string{"address " + strings.Join(s.InnerAddresses, ", "), fmt.Sprintf("packets up to %d bytes", s.MTUBytes)}
		if len(s.InnerAddresses) == 0 {
			facts = facts[1:]
		}
		facts = append(facts, s.limits()...)
		if s.Gain > 0 {
			facts = append(facts, fmt.Sprintf("gain x%.2f over the best connection alone", s.Gain))
		}
		if s.CopiedPackets > 0 {
			facts = append(facts, fmt.Sprintf("%d packets sent twice", s.CopiedPackets))
		}
		fmt.Fprintf(out, "%s\n", upperFirst(strings.Join(append(facts, s.choices()...), ", ")))
	}
	if len(s.Paths) > 0 {
		out.WriteByte('\n')
		s.table(out)
	}
}

// limits names what the server allows.
func (s *Session) limits() (facts []string) {
	if up, down := s.LimitUpBitsPerSecond, s.LimitDownBitsPerSecond; up > 0 || down > 0 {
		say := func(n uint64) string {
			if n == 0 {
				return "unlimited"
			}
			return bits(n)
		}
		facts = append(facts, fmt.Sprintf("limited by the server to %s down and %s up", say(down), say(up)))
	}
	if s.MaxLinks > 0 && s.MaxLinks <= len(s.Paths) {
		facts = append(facts, fmt.Sprintf("connections allowed at once: %d", s.MaxLinks))
	}
	return facts
}

// choices names scheduler and congestion control where they are not the usual ones.
func (s *Session) choices() (facts []string) {
	if s.Scheduler != "" && s.Scheduler != usualScheduler {
		facts = append(facts, "scheduler "+s.Scheduler)
	}
	var paths []string
	for i := range s.Paths {
		if p := &s.Paths[i]; p.Congestion != "" && p.Congestion != usualCongestion {
			paths = append(paths, p.Congestion+" on "+p.name())
		}
	}
	if len(paths) > 0 {
		facts = append(facts, "congestion control "+strings.Join(paths, ", "))
	}
	return facts
}

// usualScheduler and usualCongestion need no mention.
const (
	usualScheduler  = "earliest"
	usualCongestion = "bbr"
)

// InUse returns how many paths are up.
func (s *Session) InUse() int {
	n := 0
	for i := range s.Paths {
		if s.Paths[i].State == PathUp {
			n++
		}
	}
	return n
}

// table writes the paths, and their sum if there are several.
func (s *Session) table(out *strings.Builder) {
	rows := [][]string{{"CONNECTION", "STATE", "DOWN", "UP", "DELAY", "LOSS", "REPAIRED", "TOTAL DOWN", "TOTAL UP"}}
	var sum Path
	for i := range s.Paths {
		p := &s.Paths[i]
		rows = append(rows, []string{p.name(), p.State.words(), bits(p.DownBitsPerSecond), bits(p.UpBitsPerSecond), p.delay(), percent(p.LossRatio),
			fmt.Sprint(p.RepairedPackets), amount(p.DownBytes), amount(p.UpBytes)})
		sum.DownBitsPerSecond += p.DownBitsPerSecond
		sum.UpBitsPerSecond += p.UpBitsPerSecond
		sum.DownBytes += p.DownBytes
		sum.UpBytes += p.UpBytes
		sum.RepairedPackets += p.RepairedPackets
	}
	if len(s.Paths) > 1 {
		rows = append(rows, []string{"all", "", bits(sum.DownBitsPerSecond), bits(sum.UpBitsPerSecond), "", "", fmt.Sprint(sum.RepairedPackets),
			amount(sum.DownBytes), amount(sum.UpBytes)})
	}
	align(out, rows, 2)
}

func (p *Path) name() string {
	switch {
	case p.Link != "":
		return p.Link
	case p.Remote != "":
		return p.Remote
	}
	return fmt.Sprintf("path %d", p.ID)
}

// delay is the round trip, and what queues add to it.
func (p *Path) delay() string {
	if p.SRTTMs == 0 {
		return "-"
	}
	if p.QueueDelayMs < 1 {
		return fmt.Sprintf("%.0f ms", p.SRTTMs)
	}
	return fmt.Sprintf("%.0f ms (+%.0f)", p.SRTTMs, p.QueueDelayMs)
}

func (s PathState) words() string {
	switch s {
	case PathUp:
		return "in use"
	case PathSuspect:
		return "slow to answer"
	case PathDown:
		return "down: no answer"
	case PathValidating:
		return "being checked"
	case PathUnusable:
		return "not usable"
	}
	return string(s)
}

func (s LinkState) words() string {
	switch s {
	case LinkUp:
		return "ready"
	case LinkNoDevice:
		return "down: no such interface"
	case LinkNoCarrier:
		return "down: cable or modem"
	case LinkNoAddress:
		return "down: no address"
	case LinkPaused:
		return "paused; go on with: mpproxy link NAME resume"
	case LinkDisabled:
		return "switched off in the configuration"
	case LinkCap:
		return "data cap reached"
	case LinkWalled:
		return "login page: its network wants somebody to log in first; connect a device to it directly and open any web page"
	}
	return string(s)
}

// otherLinks writes the links that no path stands for.
func (s *Status) otherLinks(out *strings.Builder) {
	var rows [][]string
	for _, l := range s.Links {
		carried := slices.ContainsFunc(s.Sessions, func(session Session) bool {
			return slices.ContainsFunc(session.Paths, func(p Path) bool { return p.Link == l.Name })
		})
		if !carried || l.State != LinkUp {
			rows = append(rows, []string{l.Name, strings.ReplaceAll(l.State.words(), "NAME", l.Name)})
		}
	}
	if len(rows) > 0 {
		out.WriteByte('\n')
		align(out, rows, len(rows[0]))
	}
}

// caps writes one line for each data cap.
func (s *Status) caps(out *strings.Builder) {
	before := "\n"
	for _, l := range s.Links {
		if l.Cap != nil {
			fmt.Fprintf(out, "%sData cap of %s: %s\n", before, l.Name, l.Cap.words())
			before = ""
		}
	}
}

// Share says how much of the cap is used: "12.4 of 50 GB".
func (c *Cap) Share() string { return shareOf(c.UsedBytes, c.LimitBytes) }

// words says how much of a cap is used and what follows.
func (c *Cap) words() string {
	text := c.Share() + " used"
	if c.EndsAt > 0 {
		text += ", begins anew in " + duration(c.EndsSeconds)
	}
	if c.State != CapReached {
		return text
	}
	switch c.Action {
	case "stop":
		return text + "; not used until then"
	case "slow":
		return text + "; slowed down to " + bits(c.RateBitsPerSecond) + " until then"
	}
	return text
}

// drops writes one line with the commonest reasons, if anything was dropped.
func drops(out *strings.Builder, s *Status) {
	all := map[string]uint64{}
	for name, n := range s.Drops {
		all[name] += n
	}
	for i := range s.Sessions {
		for name, n := range s.Sessions[i].Drops {
			all[name] += n
		}
	}
	if len(all) == 0 {
		return
	}
	names := sortedKeys(all)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(all[b], all[a]) })
	const shown = 4
	parts := make([]string, 0, shown)
	for _, name := range names[:min(shown, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %d", strings.ReplaceAll(name, "_", " "), all[name]))
	}
	if len(names) > shown {
		parts = append(parts, "…")
	}
	fmt.Fprintf(out, "\nDropped packets: %s\n", strings.Join(parts, ", "))
}
