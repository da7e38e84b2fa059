// Package throttle says how much may go to one place at the same time, and how
// soon.
//
// Receivers do not announce how many connections they like. A sender finds out as
// TCP finds the width of a path: it allows more while attempts end well, much less
// when nobody answers, and after a failure it asks with a single probe before it
// comes back with everything that has piled up (REL-32). A [Limiter] keeps that
// knowledge for one key: today the next hop, later a group of MX addresses.
//
// The package is pure: it reads no clock, starts no timer and locks nothing. What
// to do when a limiter says "not now" is left to the scheduler that asks.
package throttle

import (
	"math"
	"time"
)

// Defaults of [Limits].
const (
	DefaultInitial    = 5
	DefaultMax        = 20
	DefaultBackoff    = 5 * time.Second
	DefaultMaxBackoff = 2 * time.Minute
)

// DownAfter is the number of failures in a row after which [Limiter.Down] reports
// true. One failed connection may be chance.
const DownAfter = 2

// Limits are the bounds within which a limiter moves. The zero value of a field
// is its default.
type Limits struct {
	Initial int // attempts at once towards a place nothing is known about; at least 1
	Max     int // attempts at once that are never exceeded; at least Initial
	// Rate is the number of attempts that may start per second, averaged; 0 means
	// no bound. Burst of them may start at once; 0 means Max.
	Rate  float64
	Burst int
	// Backoff is the pause after a first failure. It doubles with each further one up to
	// MaxBackoff.
	Backoff    time.Duration
	MaxBackoff time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.Max <= 0 {
		l.Max = DefaultMax
	}
	if l.Initial <= 0 {
		l.Initial = DefaultInitial
	}
	l.Initial = min(l.Initial, l.Max)
	if l.Burst <= 0 {
		l.Burst = l.Max
	}
	if l.Backoff <= 0 {
		l.Backoff = DefaultBackoff
	}
	if l.MaxBackoff <= 0 {
		l.MaxBackoff = DefaultMaxBackoff
	}
	l.MaxBackoff = max(l.MaxBackoff, l.Backoff)
	return l
}

// A Limiter holds what was learned about one key. Make it with [New]. It is not
// safe for concurrent use; the times that a caller passes should not go back.
type Limiter struct {
	limits    Limits
	window    float64 // attempts allowed at once, 1 to limits.Max
	threshold float64 // below it the window grows by one per success, above it by one per window
	inFlight  int
	failures  int       // in a row
	failedAt  time.Time // start of the current pause
	until     time.Time // end of the current pause
	tokens    float64
	filled    time.Time // when tokens was last brought up to date
}

// New returns a limiter that knows nothing yet.
func New(l Limits) Limiter {
	l = l.withDefaults()
	return Limiter{limits: l, window: float64(l.Initial), threshold: float64(l.Max), tokens: float64(l.Burst)}
}

// Free returns how many attempts may start now.
func (l *Limiter) Free(now time.Time) int {
	if now.Before(l.until) {
		return 0
	}
	free := l.Window() - l.inFlight
	if l.limits.Rate > 0 {
		l.fill(now)
		free = min(free, int(l.tokens))
	}
	return max(free, 0)
}

// Next returns when Free may rise above zero by the passing of time alone. It is
// zero if only the end of an attempt can do that, and now if Free is above zero
// already.
func (l *Limiter) Next(now time.Time) time.Time {
	if l.Window() <= l.inFlight {
		return time.Time{}
	}
	at := now
	if l.limits.Rate > 0 {
		l.fill(now)
		if l.tokens < 1 {
			at = now.Add(time.Duration(math.Ceil((1 - l.tokens) / l.limits.Rate * float64(time.Second))))
		}
	}
	if at.Before(l.until) {
		return l.until
	}
	return at
}

// Start notes that an attempt begins. The caller asked Free before.
func (l *Limiter) Start(now time.Time) {
	l.inFlight++
	if l.limits.Rate > 0 {
		l.fill(now)
		l.tokens--
	}
}

// Succeeded notes the end of an attempt that was answered: the place is there and
// talks to us, whatever it said about the message.
func (l *Limiter) Succeeded() {
	l.end()
	l.failures, l.until = 0, time.Time{}
	if l.window < l.threshold {
		l.window++
	} else {
		l.window += 1 / l.window
	}
	l.window = min(l.window, float64(l.limits.Max))
}

// Failed notes the end, now, of an attempt that began at started and found nobody
// who answers. Everything pauses; then one probe goes first. Attempts that began
// before the pause belong to the same outage and do not prolong it. Jitter, in
// [0,1), spreads the pause of many limiters that fail together: it
// adds up to half of the pause.
func (l *Limiter) Failed(started, now time.Time, jitter float64) {
	l.end()
	if l.failures > 0 && !started.After(l.failedAt) {
		return
	}
	pause := l.limits.MaxBackoff
	if l.failures < 30 {
		pause = min(pause, l.limits.Backoff<<l.failures)
	}
	pause += time.Duration(float64(pause) / 2 * min(max(jitter, 0), 1))
	l.failures++
	l.failedAt, l.until = now, now.Add(pause)
	l.threshold = max(l.window/2, 1)
	l.window = 1
}

// Ended notes the end of an attempt that says nothing about the place.
func (l *Limiter) Ended() { l.end() }

// Pause keeps everything back until the given time, without saying anything about
// the place. It does not shorten a pause.
func (l *Limiter) Pause(until time.Time) {
	if until.After(l.until) {
		l.until = until
	}
}

// Forgive ends a pause at once, as when a person asks to try again. The next
// attempt is still a single probe.
func (l *Limiter) Forgive() { l.until = time.Time{} }

// Window returns how many attempts are allowed at once, 1 to the maximum.
func (l *Limiter) Window() int { return int(l.window) }

// InFlight returns how many attempts have started and not ended.
func (l *Limiter) InFlight() int { return l.inFlight }

// Until returns the end of the current or last pause; zero if there was none
// since the last success.
func (l *Limiter) Until() time.Time { return l.until }

// Failing reports whether the last telling attempt found nobody who answers.
func (l *Limiter) Failing() bool { return l.failures > 0 }

// Down reports whether [DownAfter] probes in a row found nobody who answers.
func (l *Limiter) Down() bool { return l.failures >= DownAfter }

func (l *Limiter) end() { l.inFlight = max(l.inFlight-1, 0) }

// fill adds the tokens that have grown since the last look. A clock that went
// back adds none.
func (l *Limiter) fill(now time.Time) {
	if !l.filled.IsZero() && now.After(l.filled) {
		l.tokens = min(l.tokens+now.Sub(l.filled).Seconds()*l.limits.Rate, float64(l.limits.Burst))
	}
	l.filled = now
}
