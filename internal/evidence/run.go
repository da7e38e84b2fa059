package evidence

import (
	"context"
	"errors"
	"time"
)

// Stats tell how the log does.
type Stats struct {
	// Lag is the age of the oldest event that may not have its record yet. A second or
	// two is normal.
	Lag time.Duration
	// Failing: the last try to go on failed, and is repeated.
	Failing bool
	// Contradiction: what is on disk is not what was signed, and nothing goes on before
	// a person has looked.
	Contradiction bool
}

// Stats returns how the log does now. It never waits.
func (l *Log) Stats() Stats {
	l.state.Lock()
	defer l.state.Unlock()
	s := l.state.Stats
	if l.state.cursor != 0 {
		s.Lag = max(time.Since(l.state.cursor.Time()), 0)
	}
	return s
}

// Consumed returns a moment such that every event before it has its signed record.
// Events that are older may be forgotten, younger ones not.
func (l *Log) Consumed() time.Time {
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.signed.Time()
}

// publish notes where the log stands. mu is held.
func (l *Log) publish(err error) {
	l.state.Lock()
	defer l.state.Unlock()
	l.state.cursor, l.state.signed = l.cursor, l.signed
	cancelled := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	l.state.Failing = err != nil && !cancelled
	l.state.Contradiction = errors.Is(err, ErrContradiction)
}

// Run follows the event log until ctx ends. Errors are logged and tried again; they
// do not end it, because mail must go on. Call Drain afterwards.
func (l *Log) Run(ctx context.Context) {
	wait, said := pollEvery, ""
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		more, err := l.advance(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if text := err.Error(); text != said { // once, not every minute
				l.log.Error("no evidence is recorded; deliveries go on, and their events wait", "error", err)
				said = text
			}
			wait = min(2*wait, retryMost)
		case more:
			wait = 0
		default:
			if said != "" {
				l.log.Info("evidence is recorded again")
				said = ""
			}
			wait = pollEvery
		}
		timer.Reset(wait)
		wait = max(wait, pollEvery)
	}
}

// advance takes one step, and signs what has waited for its time.
func (l *Log) advance(ctx context.Context) (more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if more, err = l.step(ctx); err != nil {
		return false, err
	}
	if !l.waits.IsZero() && time.Since(l.waits) >= signEvery {
		err = l.signWaiting()
	}
	return more, err
}

// catchUp takes steps to the end of the event log, or until ctx ends, and signs.
func (l *Log) catchUp(ctx context.Context) error {
	for {
		more, err := l.advance(ctx)
		if ctx.Err() != nil {
			break // what there is will do
		}
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.signWaiting()
}

// Close gives the files back. What is not signed is derived once more by the next call.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

// Drain takes the last steps of a stop: it records and signs what happened, as far
// as there is time. The log can be read afterwards, and goes on where it was.
func (l *Log) Drain(ctx context.Context) error {
	err := l.catchUp(ctx)
	l.Close()
	if err != nil {
		return err
	}
	return ctx.Err()
}
