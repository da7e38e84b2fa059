package proportion

import "testing"

// A failed is a test that only remembers that it failed.
type failed struct {
	testing.TB
	errors int
}

func (f *failed) Helper()               {}
func (f *failed) Errorf(string, ...any) { f.errors++ }

func TestLinear(t *testing.T) {
	sum := 0
	count := func(n int) {
		for i := range n {
			sum += i
		}
	}
	linear, quadratic := &failed{TB: t}, &failed{TB: t}
	Linear(linear, "linear", 80_000, func(n int) func() { return func() { count(n) } })
	Linear(quadratic, "quadratic", 4_000, func(n int) func() { return func() { count(n * n) } })
	if linear.errors != 0 || quadratic.errors != 1 {
		t.Errorf("linear work failed %d times, quadratic %d", linear.errors, quadratic.errors)
	}
}
