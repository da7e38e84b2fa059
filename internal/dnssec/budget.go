package dnssec

import (
	"context"
	"sync/atomic"
)

type budgetKey struct{}

// WithBudget returns a context under which at most n questions are asked; what the
// memory of a [Stub] answers costs nothing, nor does what an [Overlay] answers.
// Further ones fail with OverBudget. It bounds the work that one delivery attempt
// can be made to do (SEC-46).
func WithBudget(ctx context.Context, n int) context.Context {
	left := new(atomic.Int64)
	left.Store(int64(n))
	return context.WithValue(ctx, budgetKey{}, left)
}

// spend takes one question out of the context's budget, if it has one, and reports
// whether there was one left.
func spend(ctx context.Context) bool {
	left, ok := ctx.Value(budgetKey{}).(*atomic.Int64)
	return !ok || left.Add(-1) >= 0
}
