package dsn

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/store"
)

// Fates that a follower could not deal with for longer than their retention are still
// there when it can, if what is pruned waits for Consumed.
func TestConsumedHoldsTheEventsThatAreStillNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		r := newRig(t)
		door := &moodyDoor{Acceptor: r.room}
		f := r.follower(func(roles *Roles) { roles.Door = door })
		if c := f.Consumed(); !c.IsZero() {
			t.Errorf("before it has begun: %v", c)
		}
		r.catchUp(f)
		if c := f.Consumed(); time.Since(c) > time.Minute || c.After(time.Now()) {
			t.Errorf("at the end of the log: %v", c)
		}
		r.accept(submission("ann@one.test"))
		r.settle("one.test", 550, "no such user")
		failed := time.Now()
		door.mood(&accept.Error{Status: 503, Code: 421, Message: "later"})
		time.Sleep(40 * 24 * time.Hour)
		if _, err := f.step(t.Context()); err == nil || f.Consumed().After(failed) {
			t.Fatalf("%v; consumed %v", err, f.Consumed())
		}
		r.must(r.store.Prune(t.Context(), store.Retention{Content: time.Now(), Events: f.Consumed()}))
		r.restart()
		f = r.follower()
		if c := f.Consumed(); !c.IsZero() {
			t.Errorf("after a restart: %v", c)
		}
		r.must(r.store.Prune(t.Context(), store.Retention{Content: time.Now(), Events: f.Consumed()}))
		r.catchUp(f)
		if n := r.pending(); n != 1 {
			t.Errorf("%d notices, want 1", n)
		}
		if f.Consumed().Before(failed) {
			t.Error("what was dealt with is held for ever")
		}
	})
}
