package tlsrpt

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// A stop in the middle of the day loses no session; a crash loses what was counted since the
// last minute, and no more.
func TestCountsSurviveAStopAndMostOfACrash(t *testing.T) {
	at(t, "2026-11-23T09:00:00Z", func(rg *rig) {
		sessions := func() int64 {
			counts, err := rg.store.TLSCounts(context.Background(), "2026-11-23", "receiver.test")
			if err != nil {
				t.Fatal(err)
			}
			if len(counts) == 0 {
				return 0
			}
			return counts[0].Successes
		}
		rg.run()
		rg.succeed("receiver.test", 3)
		if n := sessions(); n != 0 {
			t.Errorf("%d written at once", n)
		}
		rg.shut()
		rg.open()
		rg.run()
		if n := sessions(); n != 3 {
			t.Errorf("%d of 3 after a stop", n)
		}
		rg.succeed("receiver.test", 10)
		time.Sleep(61 * time.Second)
		rg.succeed("receiver.test", 100)
		rg.crash()
		rg.open()
		if n := sessions(); n != 13 {
			t.Errorf("%d of 13 after a crash", n)
		}
	})
}

// A restart between two destinations, with the day's report half sent, neither repeats nor
// forgets; one during an attempt repeats that attempt with the same id.
func TestRestartWhileReporting(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/1,https://receiver.test/2")
		due := rg.reported()
		reached := make(chan struct{})
		rg.web.answers(status(200), func(_ http.ResponseWriter, r *http.Request) {
			close(reached)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
		<-reached
		rg.crash()
		rg.open()
		r := rg.only()
		if r.State != store.TLSReportWaiting || !r.Destinations[0].Done || r.Destinations[1].Done || r.Attempts != 0 || !r.Due.Equal(due) {
			t.Errorf("after the crash %+v", r)
		}
		rg.web.answers(status(503))
		rg.run() // at once: it is due
		rg.shut()
		rg.open()
		rg.run()
		rg.until(due.Add(30 * time.Minute).Format(time.RFC3339))
		var urls []string
		for _, p := range rg.web.seen() {
			urls = append(urls, strings.TrimPrefix(p.url, "https://receiver.test"))
			if d := rg.document(p.body); d.ID != r.ID {
				t.Errorf("id %s became %s", r.ID, d.ID)
			}
		}
		if !slices.Equal(urls, []string{"/1", "/2", "/2", "/2"}) {
			t.Errorf("posts to %v", urls)
		}
		if r := rg.only(); r.State != store.TLSReportSent || r.Attempts != 2 {
			t.Errorf("%+v", r)
		}
	})
}

// A server that did not run at midnight, nor for two days, reports what it counted.
func TestReportAfterALongStop(t *testing.T) {
	at(t, "2026-11-23T09:00:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
		rg.run()
		rg.succeed("receiver.test", 1)
		rg.shut()
		rg.until("2026-11-26T09:00:00Z")
		rg.open()
		rg.run()
		rg.until("2026-11-26T09:12:00Z")
		if r := rg.only(); r.State != store.TLSReportSent || r.Day != "2026-11-23" {
			t.Errorf("%+v", r)
		}
	})
}

// Yesterday's last sessions, stopped before they were closed and started after.
func TestRestartAroundMidnight(t *testing.T) {
	at(t, "2026-11-23T23:58:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
		rg.run()
		old := success("receiver.test")
		rg.room.Observe(old)
		rg.until("2026-11-24T00:04:00Z")
		rg.shut()
		rg.open()
		rg.run()
		rg.room.Observe(old)
		rg.succeed("receiver.test", 1)
		rg.shut()
		rg.until("2026-11-24T00:30:00Z")
		rg.open()
		rg.run()
		rg.until("2026-11-24T05:00:00Z")
		posts := rg.web.seen()
		if len(posts) != 1 || rg.document(posts[0].body).Policies[0].Summary.Successes != 2 {
			t.Errorf("%d posts", len(posts))
		}
		synctest.Wait()
	})
}

// A store during whose every write more mail goes out. It fails when one flush writes
// more often than it can have reason to.
type busy struct {
	*sqlite.Store
	room   *Room
	writes int
}

func (b *busy) AddTLSCounts(ctx context.Context, counts []store.TLSCount) error {
	if b.writes++; b.writes > 20 {
		return errors.New("one flush has no end")
	}
	b.room.Observe(success("receiver.test"))
	return b.Store.AddTLSCounts(ctx, counts)
}

// Mail does not pause for the counts to be written: a day must end all the same.
func TestADayEndsUnderSteadyMail(t *testing.T) {
	at(t, "2026-11-24T23:59:59Z", func(rg *rig) {
		b := &busy{Store: rg.store, room: rg.room}
		rg.room.deps.Store = b
		rg.succeed("receiver.test", 1)
		rg.until("2026-11-25T00:09:59Z")
		rg.succeed("receiver.test", 1)
		rg.until("2026-11-25T00:11:00Z")
		rg.room.keep(context.Background())
		if r := rg.only(); r.Day != "2026-11-24" || r.State != store.TLSReportWaiting {
			t.Errorf("%+v", r)
		}
		if n := len(rg.room.count.days); n != 1 {
			t.Errorf("%d days are held in memory, want today's alone", n)
		}
		b.writes = 0
		if _, err := rg.room.Preview(context.Background(), "receiver.test", "2026-11-25"); err != nil {
			t.Errorf("preview: %v", err)
		}
		rg.room.deps.Store = rg.store
		rg.quiet()
	})
}
