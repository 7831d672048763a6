package engine

import (
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
)

// joint finds out whether paths share a bottleneck. Two that do take each other's packets for a queue that does not shrink however
// little they send, hence for the path's own delay, and keep it standing: in a deep buffer for hundreds of milliseconds.
//
// So when several paths have taken a queue for their own delay at about the same time, all of them let go together. If the delays
// fall, what stood there was ours: from then on no queue is believed to be anything else, and they let go together again every few
// seconds, so that the delay without a queue stays known. RFC 8382 compares how the delays of paths vary instead, for tens of
// seconds, and says nothing of a queue that just stands.
//
// The zero value is ready.
type joint struct {
	suspects []suspect // of the trial that goes on
	ends     mono.Time
	next     mono.Time // no trial before
	pause    time.Duration
}

// suspect is a path in a trial, and its delay when that began.
type suspect struct {
	path  *path.Path
	delay time.Duration
}

// refresh begins and ends trials.
func (j *joint) refresh(now mono.Time, paths []*path.Path) {
	switch {
	case len(j.suspects) > 0 && now >= j.ends:
		j.judge(now)
		return
	case len(j.suspects) > 0 || now < j.next:
		return
	}
	asked := false
	for _, p := range paths {
		rebased := p.Rebased() != 0 && now.Sub(p.Rebased()) < jointMemory
		if !p.Usable() || p.Competing() || !rebased && !p.Shared(now) {
			continue
		}
		asked = asked || rebased || p.Sent.Delay.Above() > noticeable(p)
		j.suspects = append(j.suspects, suspect{p, p.Sent.Delay.Floor() + p.Sent.Delay.Above()})
	}
	if !asked || len(j.suspects) < 2 {
		j.suspects = j.suspects[:0]
		return
	}
	var longest time.Duration
	for _, s := range j.suspects {
		longest = max(longest, s.path.Sent.RTT.Smoothed())
		s.path.LetGo(now)
	}
	j.ends = now.Add(jointRounds * longest)
}

// noticeable is a delay that is neither jitter nor what the congestion control keeps standing anyway.
func noticeable(p *path.Path) time.Duration {
	return max(jointLeast, jointNoise*p.Sent.Delay.Deviation())
}

// judge ends a trial: those whose delay fell share something, if they are not alone in it.
func (j *joint) judge(now mono.Time) {
	var fell []*path.Path
	for _, s := range j.suspects {
		standing := s.path.Sent.RTT.Smoothed() - s.path.Sent.RTT.Min()
		if s.delay-s.path.Lowest() > max(noticeable(s.path), standing*jointShare/100) {
			fell = append(fell, s.path)
		}
		s.path.Share(now)
	}
	if len(fell) > 1 {
		j.pause = jointAgain
		for _, p := range fell {
			p.Share(now.Add(jointBelief))
		}
	} else {
		j.pause = min(max(2*j.pause, jointPause), jointPauseMost)
	}
	j.suspects, j.next = j.suspects[:0], now.Add(j.pause)
}
