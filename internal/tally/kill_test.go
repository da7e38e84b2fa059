package tally_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tally"
)

// killDir is the environment variable that makes TestVictim work.
const killDir = "SEALPOST_TEST_KILL_DIR"

// TestVictim is the process that TestKill kills: it writes events, and counts them meanwhile.
// Without the variable it has nothing to do.
func TestVictim(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		return
	}
	s := openStore(t, dir)
	for w := range 4 {
		go func() {
			for i := w; ; i++ {
				if writeSome(s, i) != nil {
					return
				}
			}
		}()
	}
	r := newRoom(s)
	for last := mail.ID(0); ; {
		if _, err := r.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		at, err := s.Counted(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if at != last {
			last = at
			fmt.Printf("\ncounted\n")
		}
	}
}

// writeSome writes a message with its fate, and opens and clicks that come later.
func writeSome(s *sqlite.Store, i int) error {
	tags := []string{fmt.Sprint("t", i%3), "all"}
	rcpt := fmt.Sprintf("r@d%d.example", i%7)
	m := newMessage(s, int64(1+i%2), tags, rcpt, event.Accepted, []event.Type{event.Delivered, event.FailedTemporary, event.FailedPermanent}[i%3])
	if err := s.Accept(context.Background(), m); err != nil {
		return err
	}
	for k := range i % 4 {
		r := newEvent(m.DomainID, m.ID, rcpt, []event.Type{event.Opened, event.Clicked}[k%2])
		if err := s.Record(context.Background(), &r); err != nil {
			return err
		}
	}
	return nil
}

// Killed at any moment, with kill -9, in the middle of writing and counting: in the end
// each event was counted once, in every series, and each first opening as one.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for cycle := range 16 {
		kill(t, dir, 1+7*cycle%20)
	}
	s := openStore(t, dir)
	before := truth(t, s)
	if upTo, err := s.Counted(t.Context()); err != nil || upTo == 0 {
		t.Fatalf("nothing was counted before the last kill: %v", err)
	}
	countAll(t, newRoom(s))
	if events := compare(t, s, before); events < 1000 {
		t.Fatalf("only %d events were written", events)
	}
}

// kill starts a victim and kills it after it said some times that it counted.
func kill(t *testing.T, dir string, after int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; n < after && lines.Scan(); {
		if lines.Text() == "counted" {
			n++
		}
		if strings.HasPrefix(lines.Text(), "--- FAIL") {
			t.Error("the victim failed")
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
}

// A fact is a series with one of its counters.
type fact struct {
	key     store.SeriesKey
	counter store.Counter
}

// truth counts what is in the log the slow way, event by event.
func truth(t *testing.T, j store.Journal) map[fact]int64 {
	t.Helper()
	want := map[fact]int64{}
	seen := map[string]bool{}
	for after := mail.ID(0); ; {
		page, err := j.Journal(t.Context(), store.JournalQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Items {
			e := &page.Items[i]
			kinds := tally.Kinds(nil, &e.Record)
			if first := fmt.Sprint(e.Message, e.Recipient, e.Type); e.Type >= event.Opened && !seen[first] {
				seen[first] = true
				kinds = append(kinds, map[event.Type]store.Counter{event.Opened: store.UniqueOpened, event.Clicked: store.UniqueClicked}[e.Type])
			}
			for _, k := range kinds {
				want[fact{store.SeriesKey{DomainID: e.DomainID, View: store.ViewAll}, k}]++
				want[fact{store.SeriesKey{DomainID: e.DomainID, View: store.ViewRecipientDomain, Name: e.Recipient[2:]}, k}]++
				for _, tag := range e.Meta.Tags {
					want[fact{store.SeriesKey{DomainID: e.DomainID, View: store.ViewTag, Name: tag}, k}]++
				}
			}
		}
		if after = page.Cursor; !page.More {
			return want
		}
	}
}

// compare checks the counters against the truth and returns how many events there are.
func compare(t *testing.T, s store.Numbers, want map[fact]int64) (events int64) {
	t.Helper()
	got := map[fact]int64{}
	for _, v := range []store.View{store.ViewAll, store.ViewRecipientDomain, store.ViewTag} {
		err := s.Sums(t.Context(), store.SumQuery{Domains: []int64{1, 2}, View: v, To: 1 << 40}, func(sum store.Sum) error {
			got[fact{sum.Key, sum.Counter}] = sum.N
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for f, n := range want {
		if got[f] != n {
			t.Errorf("%+v is %d, want %d", f, got[f], n)
		}
		if f.key.View == store.ViewAll {
			events += n
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d counters, want %d", len(got), len(want))
	}
	return events
}
