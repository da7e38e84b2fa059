// Package proportion is test support: it tells work that grows with the size of its input from work that grows with
// the square.
package proportion

import (
	"testing"
	"time"
)

const (
	times = 8  // how much larger the large input is
	most  = 24 // how much longer it may take: linear work takes 8 times, quadratic 64 times as long
	looks = 50
)

// Linear fails the test if work on an input of n units does not take about n/m times as long as on one of m. It knows
// nothing of seconds: it compares two durations of the same moment, and looks again where they do not fit, since a
// busy machine can make a short time long. Work that is quadratic fits at no look, work that is linear at the first
// quiet one. n is the large size; what work does before it comes to its input should be little beside it.
func Linear(t testing.TB, name string, n int, prepare func(units int) (work func())) {
	t.Helper()
	small, large := prepare(n/times), prepare(n)
	var least [2]time.Duration
	for range looks {
		for i, work := range []func(){small, large} {
			start := time.Now()
			work()
			if took := max(time.Since(start), 1); least[i] == 0 || took < least[i] {
				least[i] = took
			}
		}
		if least[1] < most*least[0] {
			return
		}
	}
	t.Errorf("%s: %d units take %v, %d take %v", name, n/times, least[0], n, least[1])
}
