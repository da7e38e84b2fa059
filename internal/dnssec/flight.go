package dnssec

import (
	"context"
	"fmt"
	"sync"
)

// flights lets everybody who has the same question at the same time wait for one
// answer (REL-32). Its zero value is ready.
type flights struct {
	mu      sync.Mutex
	current map[question]*flight
}

// A flight is one question on its way. It belongs to all who wait for it, so no
// single one's context may end it; the last one to leave does.
type flight struct {
	waiting int // guarded by flights.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when answer is set
	answer  Answer
}

// do returns work's answer to q, or a Failed one when ctx ends first.
func (g *flights) do(ctx context.Context, q question, work func(context.Context, question) Answer) Answer {
	f := g.board(q, work)
	select {
	case <-f.done:
		return f.answer
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		g.forget(q, f) // who comes now must not board a flight that was given up
	}
	return failed(q, ended(ctx))
}

// board joins the flight for q, or starts it.
func (g *flights) board(q question, work func(context.Context, question) Answer) *flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f, ok := g.current[q]; ok {
		f.waiting++
		return f
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{waiting: 1, cancel: cancel, done: make(chan struct{})}
	if g.current == nil {
		g.current = make(map[question]*flight)
	}
	g.current[q] = f
	go func() {
		defer cancel()
		f.answer = guarded(ctx, q, work)
		g.mu.Lock()
		g.forget(q, f)
		g.mu.Unlock()
		close(f.done)
	}()
	return f
}

// forget takes f off the board unless another flight has its place already.
func (g *flights) forget(q question, f *flight) {
	if g.current[q] == f {
		delete(g.current, q)
	}
}

// guarded turns a panic into a failure: nobody above this goroutine could, and
// the DNS library reads bytes that anybody may have written.
func guarded(ctx context.Context, q question, work func(context.Context, question) Answer) (a Answer) {
	defer func() {
		if p := recover(); p != nil {
			a = failed(q, &Failure{Reason: Malformed, Err: fmt.Errorf("panic: %v", p)})
		}
	}()
	return work(ctx, q)
}
