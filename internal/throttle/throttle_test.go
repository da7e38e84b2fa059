package throttle

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestGrowsOnSuccess(t *testing.T) {
	l := New(Limits{Initial: 2, Max: 6})
	for i, want := range []int{3, 4, 5, 6, 6, 6} {
		l.Start(start)
		l.Succeeded()
		if got := l.Free(start); got != want {
			t.Errorf("after %d successes: %d free, want %d", i+1, got, want)
		}
	}
}

// REL-32: after an outage one probe goes first, then twice as many each round.
func TestOneProbeAfterFailure(t *testing.T) {
	l := New(Limits{Initial: 8, Max: 16})
	for range 8 {
		l.Start(start)
	}
	for range 8 {
		l.Failed(start, start.Add(time.Second), 0)
	}
	now := start.Add(time.Second)
	if got, want := l.Until(), now.Add(DefaultBackoff); !got.Equal(want) {
		t.Errorf("failures of one outage: paused until %v, want %v", got, want)
	}
	if l.Free(now) != 0 || l.Down() || !l.Failing() {
		t.Errorf("during the pause: %d free, down %v, failing %v", l.Free(now), l.Down(), l.Failing())
	}
	now = l.Next(now)
	if got := l.Free(now); got != 1 {
		t.Errorf("after the pause: %d free, want one probe", got)
	}
	l.Start(now)
	l.Failed(now, now.Add(time.Second), 0.999)
	now = now.Add(time.Second)
	if got := l.Until().Sub(now); !l.Down() || got < 14*time.Second || got >= 15*time.Second {
		t.Errorf("second failure: down %v, pause %v, want twice the first and up to half more", l.Down(), got)
	}
	now = l.Until()
	l.Start(now)
	l.Succeeded()
	if l.Failing() || l.Free(now) < 1 || l.Free(now) > 2 {
		t.Errorf("after a probe got through: failing %v, %d free", l.Failing(), l.Free(now))
	}
}

func TestPauseIsBounded(t *testing.T) {
	l := New(Limits{})
	now := start
	for range 100 {
		l.Start(now)
		began := now
		now = now.Add(time.Second)
		l.Failed(began, now, 0)
		if pause := l.Until().Sub(now); pause < DefaultBackoff || pause > DefaultMaxBackoff {
			t.Fatalf("pause %v", pause)
		}
		now = l.Until()
	}
}

func TestRate(t *testing.T) {
	l := New(Limits{Max: 100, Initial: 100, Rate: 2, Burst: 3})
	now, started := start, 0
	for now.Before(start.Add(10 * time.Second)) {
		for l.Free(now) > 0 {
			l.Start(now)
			l.Ended()
			started++
		}
		next := l.Next(now)
		if !next.After(now) {
			t.Fatalf("nothing free, yet next is %v", next.Sub(now))
		}
		now = next
	}
	if started < 22 || started > 23 {
		t.Errorf("started %d in 10 s at 2/s with a burst of 3", started)
	}
}

// Whatever happens, the window stays within its bounds, Free never promises more
// than it, and Next leads out of every state.
func TestLimiterBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Initial: rapid.IntRange(0, 30).Draw(t, "initial"), Max: rapid.IntRange(0, 30).Draw(t, "max")}
		if rapid.Bool().Draw(t, "rated") {
			limits.Rate = rapid.Float64Range(0.01, 50).Draw(t, "rate")
		}
		l := New(limits)
		ceiling := limits.withDefaults().Max
		now := start
		var flying []time.Time
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "pass")))
			if free := l.Free(now); free > 0 && rapid.Bool().Draw(t, "start") {
				l.Start(now)
				flying = append(flying, now)
			} else if len(flying) > 0 {
				began := flying[0]
				flying = flying[1:]
				switch rapid.IntRange(0, 2).Draw(t, "end") {
				case 0:
					l.Succeeded()
				case 1:
					l.Failed(began, now, rapid.Float64Range(0, 1).Draw(t, "jitter"))
				case 2:
					l.Ended()
				}
			}
			if w := l.Window(); w < 1 || w > ceiling || l.InFlight() != len(flying) || l.Free(now)+0 > w {
				t.Fatalf("window %d of %d, in flight %d, free %d", w, ceiling, l.InFlight(), l.Free(now))
			}
			next := l.Next(now)
			if next.IsZero() {
				if l.InFlight() == 0 {
					t.Fatal("nothing in flight and no time to wait for")
				}
			} else if l.Free(next.Add(time.Microsecond)) == 0 && l.InFlight() < l.Window() {
				t.Fatalf("nothing free at the announced time, window %d in flight %d", l.Window(), l.InFlight())
			}
		}
	})
}
