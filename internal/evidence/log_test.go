package evidence

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A record says what its event says, and nothing of the message.
func TestRecordOfEachOutcome(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	m := rg.accept(7, "Ann@one.example", "ben@two.example")
	rg.settle(m, event.FailedTemporary, "451 later")
	for i := range m.Rows {
		l, err := rg.s.Lease(t.Context(), store.LeaseRequest{NextHop: m.Rows[i].NextHop, Now: someDay, Limit: 1})
		if err != nil || len(l.Rows) != 1 {
			t.Fatal(l, err)
		}
		m.Rows[i] = l.Rows[0]
	}
	delivered := rg.settle(m, event.Delivered, "250 OK")
	rg.settle(rg.accept(7, "cid@three.example"), event.FailedPermanent, "550 no")

	_, records := rg.proven(proof.Filter{})
	var got []string
	for i, r := range records {
		got = append(got, string(r.Outcome)+" "+r.Recipient)
		if r.Index != int64(i) || r.DomainID != 7 || r.Domain != "d7.example" || r.SendingIP != "192.0.2.1" ||
			r.Status.TLSDetail.Result != "verified-pkix" || len(r.Status.TLSDetail.Attempts) != 1 || len(r.Salt) != 16 {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	want := []string{"deferred Ann@one.example", "deferred ben@two.example", "delivered Ann@one.example", "delivered ben@two.example", "bounced cid@three.example"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if records[2].Event != delivered[0] || records[2].Message != m.ID || records[2].MessageID != m.Meta.MessageID || records[2].Status.AttemptNo != 2 {
		t.Errorf("the record of a delivery: %+v", records[2])
	}
	if export := string(rg.export(proof.Filter{})); strings.Contains(export, "secret subject") || strings.Contains(export, "hello") {
		t.Error("the evidence holds something of the message")
	}
}

// An event that is too old to be tried any more is told from a bounce.
func TestExpiredIsNotBounced(t *testing.T) {
	t.Parallel()
	r := recordOf(&store.EventItem{Record: event.Record{Type: event.FailedPermanent, Data: event.Data{Reason: "old"}}})
	if r.Outcome != proof.Expired {
		t.Errorf("outcome %s", r.Outcome)
	}
}

// Crash consistency: whatever a crash leaves behind what was signed, the next start
// has every event once. Every length of the tail is tried, of both files, and garbage.
func TestEveryTornTail(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	want := rg.fill(3)
	rg.holds(want) // an export signs
	day := want[0].Day()
	signedLog, signedTree := rg.read(day+".log"), rg.read(day+".tree")

	more := rg.fill(2)
	want = append(want, more...)
	rg.l.mu.Lock()
	if _, err := rg.l.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := rg.l.day.flush(); err != nil { // on disk, and not signed
		t.Fatal(err)
	}
	rg.l.mu.Unlock()
	fullLog, fullTree := rg.read(day+".log"), rg.read(day+".tree")
	if len(fullLog) <= len(signedLog) || len(fullTree) <= len(signedTree) {
		t.Fatal("there is no tail to tear")
	}
	tear := func(name string, log, tree []byte) {
		t.Helper()
		rg.write(day+".log", log)
		rg.write(day+".tree", tree)
		rg.l.mu.Lock()
		defer rg.l.mu.Unlock()
		rg.l.drop()
		rg.l.signed, rg.l.cursor = 0, 0 // what a new process knows
		if _, err := rg.l.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := rg.l.day.flush(); err != nil {
			t.Fatal(err)
		}
		// Derived once more, the files are those of the first time, to the octet.
		if !bytes.Equal(rg.read(day+".log"), fullLog) || !bytes.Equal(rg.read(day+".tree"), fullTree) {
			t.Fatalf("%s: the files are not what they were before the crash", name)
		}
		rg.l.drop()
	}
	for n := len(signedLog); n <= len(fullLog); n++ {
		tear("log", fullLog[:n], fullTree)
	}
	for n := len(signedTree); n <= len(fullTree); n++ {
		tear("tree", fullLog, fullTree[:n])
	}
	tear("zeros, as a file system may leave them", append(slices.Clone(signedLog), make([]byte, 5000)...), signedTree)
	tear("garbage with line ends", append(slices.Clone(signedLog), "{}\nrubbish\n\n"...), append(slices.Clone(signedTree), 1, 2, 3))
	rg.open()
	rg.holds(want)
}

// A day that was begun and never signed is begun again.
func TestCrashBeforeTheFirstCheckpoint(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	want := rg.fill(2)
	rg.l.mu.Lock()
	if _, err := rg.l.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := rg.l.day.sync(); err != nil {
		t.Fatal(err)
	}
	rg.l.mu.Unlock()
	rg.open()
	rg.holds(want)
	rg.open()
	rg.holds(append(want, rg.fill(1)...))
}

// What was signed and is not there any more stops the log, with a reason, and signs
// nothing else. Mail and its events go on, and are not forgotten.
func TestContradictionStopsTheLog(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(rg *rig, day string){
		"records cut":  func(rg *rig, day string) { b := rg.read(day + ".log"); rg.write(day+".log", b[:len(b)-1]) },
		"last record":  func(rg *rig, day string) { b := rg.read(day + ".log"); b[len(b)-5] ^= 1; rg.write(day+".log", b) },
		"tree cut":     func(rg *rig, day string) { b := rg.read(day + ".tree"); rg.write(day+".tree", b[:len(b)-32]) },
		"tree changed": func(rg *rig, day string) { b := rg.read(day + ".tree"); b[len(b)-40] ^= 1; rg.write(day+".tree", b) },
		"records gone": func(rg *rig, day string) { rg.remove(day + ".log") },
		"checkpoint forged": func(rg *rig, day string) {
			b := rg.read(day + ".checkpoint")
			b[30] ^= 1
			rg.write(day+".checkpoint", b)
		},
		"checkpoint of another day": func(rg *rig, day string) {
			b := rg.read(day + ".checkpoint")
			rg.remove(day + ".checkpoint")
			rg.write("2037-01-01.checkpoint", b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			rg := newRig(t)
			day := rg.fill(3)[0].Day()
			rg.proven(proof.Filter{})
			before := rg.l.Consumed()
			damage(rg, day)
			rg.open()
			rg.fill(1)
			if _, err := rg.l.advance(t.Context()); !errors.Is(err, ErrContradiction) {
				t.Fatalf("the log goes on: %v", err)
			}
			if s := rg.l.Stats(); !s.Failing || !s.Contradiction {
				t.Errorf("stats %+v", s)
			}
			if rg.l.Consumed().After(before) {
				t.Error("events without evidence may be forgotten")
			}
		})
	}
}

func (rg *rig) remove(name string) {
	rg.Helper()
	if err := os.Remove(filepath.Join(rg.folder(), name)); err != nil {
		rg.Fatal(err)
	}
}

// A disk that fails for a while: nothing is lost, nothing is there twice.
func TestWriteErrorsAreRetried(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	want := rg.fill(2)
	rg.proven(proof.Filter{})
	want = append(want, rg.fill(2)...)
	rg.l.mu.Lock()
	rg.l.day.records.Close() // the next write fails
	rg.l.mu.Unlock()
	if err := rg.l.catchUp(t.Context()); err == nil {
		t.Fatal("the write did not fail")
	}
	if !rg.l.Stats().Failing {
		t.Error("nobody can see it")
	}
	rg.holds(want)
	if rg.l.Stats().Failing {
		t.Error("it does not know that it goes on")
	}
}

// Days pass: each is sealed once it is over, follows the one before, and a retry on the
// third day is evidence of that day, wherever its event lies.
func TestDaysAreSealedAndChained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(someDay))
		rg := openRig(t, filepath.Join(dir, "data"))
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { rg.l.Run(ctx) })

		late := rg.accept(1, "late@one.example")
		want := rg.fill(3)
		time.Sleep(24 * time.Hour)
		want = append(want, rg.fill(2)...)
		time.Sleep(48 * time.Hour) // a day without mail between
		want = append(want, rg.settle(late, event.Delivered, "at last")...)
		time.Sleep(2 * time.Minute)

		rep, records := rg.proven(proof.Filter{})
		if got := ids(records); !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
		var days []string
		for _, c := range rep.Days {
			state := "open"
			if c.Sealed {
				state = "sealed"
			}
			days = append(days, c.Day+" "+state+" after "+c.Previous)
		}
		if got := strings.Join(days, ", "); got != "2026-11-23 sealed after , 2026-11-24 sealed after 2026-11-23, 2026-11-26 open after 2026-11-24" {
			t.Errorf("days: %s", got)
		}
		if at := rep.Days[0].Time; at.Format(time.DateTime) > "2026-11-24 00:00:05" {
			t.Errorf("the first day was sealed at %v", at)
		}
		if lag := rg.l.Stats().Lag; lag > 5*time.Second {
			t.Errorf("the lag is %v", lag)
		}
		stop()
		done.Wait()

		// Retention: records go, checkpoints stay, and the chain still holds.
		if err := rg.l.Prune(t.Context(), time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		rep, records = rg.proven(proof.Filter{})
		if len(rep.Days) != 3 || len(records) != 1 || !rep.Days[1].Dropped || rep.Days[2].Dropped || !rep.Days[2].Complete {
			t.Errorf("after pruning %d days and %d records", len(rep.Days), len(records))
		}
		if err := rg.l.Prune(t.Context(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		if _, records = rg.proven(proof.Filter{}); len(records) != 1 {
			t.Error("an open day was pruned")
		}
		// Pruned days are not derived once more from events that are still there.
		rg.open()
		time.Sleep(24 * time.Hour)
		if _, records = rg.proven(proof.Filter{}); len(records) != 1 {
			t.Errorf("%d records after a restart", len(records))
		}
	})
}

// A clock that was ahead when a day was sealed, and is set back across a restart, costs
// no record: what happens then has ids above all that was passed.
func TestClockSetBackAcrossARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	var want []mail.ID
	for _, clock := range []struct {
		from time.Time
		run  time.Duration
	}{{someDay, 13 * time.Hour}, {someDay.Add(time.Hour), 10 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(clock.from))
			rg := openRig(t, dir)
			ctx, stop := context.WithCancel(t.Context())
			var done sync.WaitGroup
			done.Go(func() { rg.l.Run(ctx) })
			want = append(want, rg.fill(2)...)
			time.Sleep(clock.run)
			rep, records := rg.proven(proof.Filter{})
			if got := ids(records); !slices.Equal(got, want) {
				t.Errorf("from %v: events %v, want %v", clock.from, got, want)
			}
			if !rep.Days[0].Sealed {
				t.Error("the first day was not sealed")
			}
			stop()
			done.Wait()
		})
	}
}

// Checkpoints are signed while the day goes on, a minute after something was added,
// and not while nothing happens.
func TestSignedEveryMinute(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(someDay))
		rg := openRig(t, filepath.Join(dir, "data"))
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { rg.l.Run(ctx) })
		first := rg.fill(2)[0]
		time.Sleep(30 * time.Second)
		if _, _, err := rg.l.readCheckpoint(first.Day()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a checkpoint after half a minute: %v", err)
		}
		if rg.l.Consumed().After(first.Time()) {
			t.Error("what is not signed may be forgotten")
		}
		time.Sleep(35 * time.Second)
		_, c, err := rg.l.readCheckpoint(first.Day())
		if err != nil || c.Size != 2 || c.Sealed {
			t.Fatalf("checkpoint %+v, %v", c, err)
		}
		time.Sleep(10 * time.Minute)
		if _, again, err := rg.l.readCheckpoint(first.Day()); err != nil || again != c {
			t.Errorf("it was signed again with nothing new: %+v, %v", again, err)
		}
		if age := time.Since(rg.l.Consumed()); age > 5*time.Second {
			t.Errorf("nothing happened, and events of the last %v cannot be forgotten", age)
		}
		rg.fill(1)
		stop()
		done.Wait()
		if err := rg.l.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, c, err := rg.l.readCheckpoint(first.Day()); err != nil || c.Size != 3 {
			t.Errorf("after the drain: %+v, %v", c, err)
		}
	})
}

// Many deliver, some export, days of retention pass: every export holds, and the last has all.
func TestConcurrentExports(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	ctx, stop := context.WithCancel(t.Context())
	var follower, writers, readers sync.WaitGroup
	follower.Go(func() { rg.l.Run(ctx) })
	written := make([][]mail.ID, 4)
	for w := range written {
		writers.Go(func() {
			for range 30 {
				id, err := deliverTo(t.Context(), rg.s, int64(w+1))
				if err != nil {
					t.Error(err)
					return
				}
				written[w] = append(written[w], id)
			}
		})
	}
	for i := range 3 {
		readers.Go(func() {
			for range 5 {
				var b bytes.Buffer
				if err := rg.l.Export(t.Context(), &b, proof.Filter{DomainID: int64(i)}); err != nil { // 0 is everything
					t.Error(err)
				} else if rep, err := proof.Verify(t.Context(), &b, proof.Options{Keys: rg.l.Keys()}); err != nil || !rep.OK() {
					t.Error(rep.Problems, err)
				}
			}
		})
	}
	writers.Wait()
	readers.Wait()
	stop()
	follower.Wait()
	want := slices.Concat(written...)
	slices.Sort(want)
	rg.holds(want)
}

// A stop in the middle of anything leaves the log usable.
func TestCancelledExport(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	want := rg.fill(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rg.l.Export(ctx, &strings.Builder{}, proof.Filter{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if s := rg.l.Stats(); s.Failing {
		t.Error("a caller who left counts as a failure")
	}
	rg.holds(want)
}
