package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// killDir is the environment variable that makes TestVictim work.
const killDir = "SEALPOST_TEST_KILL_DIR"

// TestVictim is the process that TestKill kills. It accepts and settles as fast
// as it can and says on standard output what was acknowledged to it. Without the
// variable it has nothing to do.
func TestVictim(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		return
	}
	s := openTest(t, Options{Dir: dir})
	var mu sync.Mutex
	say := func(what string, id mail.ID) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("\nacknowledged %s %v\n", what, id)
	}
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				octets := contentOf(i)
				m := newMessage(s.NewID(), octets, someDay)
				m.Leased = w%2 == 0
				if s.Accept(context.Background(), m) != nil {
					return
				}
				say("accept", m.ID)
				if !m.Leased {
					continue
				}
				if _, err := s.Settle(context.Background(), outcome(m)); err != nil {
					return
				}
				say("settle", m.ID)
			}
		}()
	}
	<-s.Failed()
}

// contentOf is inline mostly, and a file sometimes.
func contentOf(i int) string {
	if i%10 == 9 {
		return strings.Repeat("y", inlineMax+1)
	}
	return "x"
}

// REL-01: kill -9 at any moment loses nothing that was acknowledged.
func TestKill(t *testing.T) {
	const cycles = 24
	dir := testDir(t)
	accepted, settled := map[mail.ID]bool{}, map[mail.ID]bool{}
	for cycle := range cycles {
		runVictim(t, dir, 5+37*cycle%200, accepted, settled)
	}
	if len(accepted) < cycles || len(settled) < cycles {
		t.Fatalf("only %d accepts and %d settlements were acknowledged", len(accepted), len(settled))
	}
	s := openTest(t, Options{Dir: dir})
	if d := s.Damages(); len(d) > 0 {
		t.Errorf("damages %+v", d)
	}
	queued := allQueued(t, s)
	for id := range accepted {
		m, err := s.Message(t.Context(), testDomain, id)
		if err != nil {
			t.Errorf("acknowledged message %v: %v", id, err)
			continue
		}
		p, err := s.Events(t.Context(), store.EventQuery{DomainID: testDomain, Message: id, Limit: 10, Ascending: true})
		if err != nil {
			t.Fatal(err)
		}
		// One outcome, recorded with the end of the row, or none with the row still there.
		finished := len(p.Items) == 2 && p.Items[1].Type == event.Delivered && !queued[id] && m.Pending == 0
		waiting := len(p.Items) == 1 && queued[id] && m.Pending == 1
		if finished == waiting || (settled[id] && !finished) || p.Items[0].Type != event.Accepted {
			t.Errorf("message %v: %d events, queued %v, %d pending, settled %v", id, len(p.Items), queued[id], m.Pending, settled[id])
		}
		if _, err := readContent(s, &store.NewMessage{ID: id, DomainID: testDomain}); err != nil {
			t.Error(err)
		}
	}
	// Everything that waits can be leased and settled.
	for len(queued) > 0 {
		r, err := s.Lease(t.Context(), store.LeaseRequest{NextHop: "one.example", Now: someDay, Limit: 1000})
		if err != nil || len(r.Rows) == 0 {
			t.Fatalf("%d rows are queued, none can be leased: %v", len(queued), err)
		}
		for _, row := range r.Rows {
			delete(queued, row.Message)
		}
	}
}

// runVictim starts a victim, kills it after some acknowledgements, and notes all
// that it said.
func runVictim(t *testing.T, dir string, after int, accepted, settled map[mail.ID]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[0] != "acknowledged" {
			if strings.Contains(lines.Text(), "FAIL") || strings.Contains(lines.Text(), "error") {
				t.Error(lines.Text())
			}
			continue
		}
		id, err := mail.ParseID(words[2])
		if err != nil {
			continue // the last line may be cut
		}
		if words[1] == "accept" {
			accepted[id] = true
		} else {
			settled[id] = true
		}
		if n++; n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the victim ended by itself: %v", err)
	}
}

func allQueued(t *testing.T, s *Store) map[mail.ID]bool {
	t.Helper()
	queued := map[mail.ID]bool{}
	for q := (store.RowQuery{Limit: 1000}); ; {
		rows, err := s.Rows(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return queued
		}
		for _, r := range rows {
			if queued[r.Message] {
				t.Errorf("message %v is queued twice", r.Message)
			}
			queued[r.Message] = true
		}
		q.After = rows[len(rows)-1].ID
	}
}
