package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// killAuditDir is the environment variable that makes TestAuditVictim work.
const killAuditDir = "SEALPOST_TEST_KILL_AUDIT_DIR"

// TestAuditVictim is the process that TestKillBetweenChangeAndEntry kills. It
// changes a domain and an override as fast as it can. Without the variable it has nothing to do.
func TestAuditVictim(t *testing.T) {
	dir := os.Getenv(killAuditDir)
	if dir == "" {
		return
	}
	s := openTest(t, Options{Dir: dir})
	ctx := context.Background()
	_ = s.CreateDomain(ctx, &store.Domain{Name: "one.example", State: store.DomainActive}) // it may be there
	go func() {
		for {
			_, err := s.UpdateDomain(ctx, "one.example", func(d *store.Domain) error { d.Delivery.Lifetime += time.Second; return nil })
			if err != nil {
				return
			}
			o := mail.Override{Target: "to.example", DANE: mail.Ignore, Author: "victim", Reason: "test", Expires: time.Now().Add(time.Hour)}
			if err := s.CreateOverride(ctx, &o, true); err != nil {
				return
			}
			fmt.Printf("\nacknowledged change %d\n", o.ID)
		}
	}()
	<-s.Failed()
}

// Whenever the process dies, the audit log tells the way to exactly what is stored: each entry begins
// where the one before it ended, and the last ends at the present.
func TestKillBetweenChangeAndEntry(t *testing.T) {
	dir := testDir(t)
	for cycle := range 6 {
		killAuditVictim(t, dir, 3+7*cycle)
	}
	s := openTest(t, Options{Dir: dir})
	d, err := s.Domain(t.Context(), "one.example")
	if err != nil {
		t.Fatal(err)
	}
	at, entries := d.Delivery.Lifetime.String(), 0
	for before := int64(0); ; { // backwards in time, from what is stored
		page, err := s.AuditLog(t.Context(), store.AuditQuery{Before: before, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if entries++; e.Kind != store.AuditDomain {
				continue
			}
			if e.After["lifetime"] != at {
				t.Fatalf("entry %d leads to a lifetime of %s, and then it was %s", e.ID, e.After["lifetime"], at)
			}
			at = e.Before["lifetime"]
		}
		before = page[len(page)-1].ID
	}
	if at != "" {
		t.Errorf("the first entry is not the creation, it begins at a lifetime of %s", at)
	}
	if want := 2*6 + 1; entries < want {
		t.Errorf("%d entries, want at least %d", entries, want)
	}
	overrides, err := s.ListOverrides(t.Context())
	if err != nil || len(overrides) != 1 {
		t.Fatalf("overrides %v, %v", overrides, err)
	}
	last, err := s.AuditLog(t.Context(), store.AuditQuery{Kind: store.AuditOverride, Limit: 1})
	if err != nil || len(last) != 1 || last[0].Object != fmt.Sprint(overrides[0].ID) {
		t.Errorf("the last entry is about %v, stored is override %d: %v", last, overrides[0].ID, err)
	}
}

// The log cannot be rewritten, not even by a mistake of ours.
func TestAuditLogIsAppendOnly(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	if err := s.CreateDomain(t.Context(), &store.Domain{Name: "one.example", State: store.DomainActive}); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`UPDATE audit SET actor = 'nobody'`, `DELETE FROM audit`} {
		if _, err := s.config.db.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "only appended to") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func killAuditVictim(t *testing.T, dir string, after int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestAuditVictim$")
	cmd.Env = append(os.Environ(), killAuditDir+"="+dir)
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
		if !strings.HasPrefix(lines.Text(), "acknowledged change") {
			continue
		}
		if n++; n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the victim ended by itself")
	}
}
