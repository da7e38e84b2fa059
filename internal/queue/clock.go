package queue

import (
	"sync"
	"time"
)

const (
	clockTolerance = 5 * time.Minute  // a wall clock that moves less is being adjusted
	clockAdopt     = 15 * time.Minute // a jump that stays this long is the new truth
	clockDoubt     = 24 * time.Hour   // after a jump was adopted nothing expires for this long
)

// A clock tells the time for schedules. It runs with the monotonic clock and
// follows the wall clock's small adjustments at once, its jumps only after they
// have lasted: a clock that leaps a year and comes back must neither make every
// retry due nor expire anything (REL-27).
type clock struct {
	wall  func() time.Time
	start time.Time // with the monotonic reading

	mu      sync.Mutex
	state   clockState
	adopted time.Duration // jumps followed and not yet asked for
}

// clockState is the pure part; all durations count from the start of the process.
type clockState struct {
	base       time.Time     // wall clock at the start
	offset     time.Duration // followed so far
	jump       time.Duration // a jump not yet followed
	jumpSince  time.Duration
	jumped     bool
	doubtUntil time.Duration
}

func newClock(wall func() time.Time) *clock {
	return &clock{wall: wall, start: time.Now(), state: clockState{base: wall().Round(0).UTC()}}
}

// now returns the queue's time, UTC, and whether the wall clock is in doubt.
func (c *clock) now() (now time.Time, doubted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, doubted, adopted := c.state.observe(c.wall().Round(0).UTC(), time.Since(c.start))
	c.adopted += adopted
	return now, doubted
}

// takeAdopted returns how far the time went by following jumps since it was last
// asked.
func (c *clock) takeAdopted() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.adopted
	c.adopted = 0
	return d
}

// observe takes a reading of both clocks. Adopted is how far the time went with
// this reading by following a jump.
func (s *clockState) observe(wall time.Time, elapsed time.Duration) (now time.Time, doubted bool, adopted time.Duration) {
	ours := s.base.Add(elapsed + s.offset)
	switch drift := wall.Sub(ours); {
	case drift.Abs() <= clockTolerance:
		s.offset += drift
		s.jumped = false
	case !s.jumped || (drift-s.jump).Abs() > clockTolerance:
		s.jumped, s.jump, s.jumpSince = true, drift, elapsed
	case elapsed-s.jumpSince >= clockAdopt:
		s.offset += drift
		s.jumped, adopted = false, drift
		s.doubtUntil = elapsed + clockDoubt
	}
	return s.base.Add(elapsed + s.offset), s.jumped || elapsed < s.doubtUntil, adopted
}
