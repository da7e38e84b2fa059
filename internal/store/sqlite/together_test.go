package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// newBatch returns messages whose contents share their octets, of a base that is inline or a
// file.
func newBatch(s *Store, n int, big bool) []*store.NewMessage {
	base := strings.Repeat("the same for all\r\n", 4000)
	if big {
		base = strings.Repeat(base, 10)
	}
	common := newMessage(1, base, someDay).Content
	first := s.NewIDs(n)
	all := make([]*store.NewMessage, n)
	for i := range all {
		head := fmt.Sprintf("X-Copy: %d\r\n", i)
		all[i] = newMessage(first+mail.ID(i), head+base, someDay)
		if i%10 != 9 { // some share nothing
			all[i].Content.Base = common
			all[i].Content.Runs = []store.Run{{At: int64(len(head)), From: 0, Size: int64(len(base))}}
		}
	}
	return all
}

// killBatchDir is the environment variable that makes TestBatchVictim work.
const killBatchDir = "SEALPOST_TEST_KILL_BATCH_DIR"

const killedBatch = 60

// TestBatchVictim is the process that TestKillBatch kills: it accepts batches beside single
// messages. Without the variable it has nothing to do.
func TestBatchVictim(t *testing.T) {
	dir := os.Getenv(killBatchDir)
	if dir == "" {
		return
	}
	s := openTest(t, Options{Dir: dir})
	go func() {
		for s.Accept(context.Background(), newMessage(s.NewID(), "x", someDay)) == nil {
			continue
		}
	}()
	for i := 0; ; i++ {
		all := newBatch(s, killedBatch, i%4 == 3)
		fmt.Printf("\nbegun %v\n", all[0].ID)
		if err := s.AcceptAll(context.Background(), all); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\nacknowledged %v\n", all[0].ID)
	}
}

// REL-01: kill -9 at any moment leaves a batch whole or leaves none of it, and nothing of a batch
// that nobody will ever ask for stays on the disk.
func TestKillBatch(t *testing.T) {
	dir := testDir(t)
	begun, acknowledged := map[mail.ID]bool{}, map[mail.ID]bool{}
	for cycle := range 12 {
		runBatchVictim(t, dir, 1+cycle%5, begun, acknowledged)
		s := openTest(t, Options{Dir: dir})
		if d := s.Damages(); len(d) > 0 {
			t.Errorf("damages %+v", d)
		}
		for first := range begun {
			checkWhole(t, s, first, acknowledged[first])
		}
		for _, d := range s.allDays() {
			checkOrphans(t, s, d)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("no batch was acknowledged")
	}
}

// checkOrphans looks after what the victim left, as the start does, and checks that nothing remains.
func checkOrphans(t *testing.T, s *Store, d *day) {
	t.Helper()
	var orphans int
	err := s.withDay(t.Context(), d, func(d *day) error {
		return errors.Join(s.sweepRows(t.Context(), d), s.sweep(t.Context(), d), d.read.QueryRow(`SELECT
			(SELECT count(*) FROM body WHERE id NOT IN (SELECT id FROM message)) +
			(SELECT count(*) FROM base WHERE refs <> (SELECT count(*) FROM body WHERE body.base = base.id))`).Scan(&orphans))
	})
	if err != nil || orphans != 0 {
		t.Errorf("%d rows belong to nothing, %v", orphans, err)
	}
}

func checkWhole(t *testing.T, s *Store, first mail.ID, acknowledged bool) {
	t.Helper()
	there := 0
	for i := range killedBatch {
		m, err := s.Message(t.Context(), testDomain, first+mail.ID(i))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		there++
		if octets, err := readContent(s, &store.NewMessage{ID: m.ID, DomainID: testDomain}); err != nil || !strings.HasPrefix(octets, fmt.Sprintf("X-Copy: %d\r\n", i)) {
			t.Errorf("copy %d: %.20q, %v", i, octets, err)
		}
	}
	if there != killedBatch && (there != 0 || acknowledged) {
		t.Errorf("%d of %d messages are there, acknowledged %v", there, killedBatch, acknowledged)
	}
}

// runBatchVictim starts a victim and kills it after some line that it said.
func runBatchVictim(t *testing.T, dir string, after int, begun, acknowledged map[mail.ID]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBatchVictim$")
	cmd.Env = append(os.Environ(), killBatchDir+"="+dir)
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
		if len(words) != 2 {
			continue
		}
		id, err := mail.ParseID(words[1])
		if err != nil {
			continue // the last line may be cut
		}
		switch words[0] {
		case "begun":
			begun[id] = true
		case "acknowledged":
			acknowledged[id] = true
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

// REL-12: where the room ends within a batch, nothing of it stays.
func TestFullDiskBatch(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir, MinFree: -1})
	m := accept(t, s, "x", false)
	w := s.days[m.ID.Day()].w
	var pages int
	if err := w.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 120<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, more := range []int{1, 40, 200, 600} {
		if _, err := w.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+more)); err != nil {
			t.Fatal(err)
		}
		all := newBatch(s, 60, more == 200)
		for _, m := range all[40:] {
			m.Content = newMessage(1, string(noise), someDay).Content
		}
		wantError(t, s.AcceptAll(t.Context(), all), store.ErrFull)
		var left int
		if err := w.conn.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM body) + (SELECT count(*) FROM base) + (SELECT count(*) FROM message)`).Scan(&left); err != nil || left != 2 {
			t.Errorf("%d more pages: %d rows, %v", more, left, err)
		}
		if files, err := s.bigFiles(); err != nil || len(files) != 0 {
			t.Errorf("%d more pages: files %v, %v", more, files, err)
		}
	}
	if _, err := w.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	all := newBatch(s, 60, false)
	if err := s.AcceptAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// REL-03 for what is shared: a base that is damaged, cut or gone gives no wrong octet to any
// of those that have it, nor does a damaged delta; and those that have it not are whole.
func TestDamagedBaseIsAnError(t *testing.T) {
	for name, big := range map[string]bool{"inline": false, "file": true} {
		t.Run(name, func(t *testing.T) {
			dir := testDir(t)
			s := openTest(t, Options{Dir: dir})
			all := newBatch(s, 10, big)
			if err := s.AcceptAll(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			s.Close()
			day, file := filepath.Join(dir, all[0].ID.Day()+daySuffix), s.bigPath(all[0].ID)
			damage := map[string]func(){
				"base missing":   func() { alter(t, day, "DELETE FROM base") },
				"base too short": func() { alter(t, day, "UPDATE base SET size = size - 1") },
				"cut delta":      func() { alter(t, day, "UPDATE body SET data = substr(data, 1, length(data) - 1) WHERE codec = 3") },
				"wrong length":   func() { alter(t, day, "UPDATE body SET size = size + 1 WHERE codec = 3") },
				"wrong sum":      func() { alter(t, day, "UPDATE body SET sum = zeroblob(32) WHERE codec = 3") },
			}
			if big {
				damage["flipped octet"] = func() { overwrite(t, file, inlineMax, "X") }
				damage["cut"] = func() { os.Truncate(file, inlineMax) }
				damage["file missing"] = func() { os.Remove(file) }
			} else {
				damage["flipped octet"] = func() {
					alter(t, day, "UPDATE base SET data = CAST(substr(data, 1, 9) || x'41' || substr(data, 11) AS BLOB)")
				}
			}
			for how, do := range damage {
				t.Run(how, func(t *testing.T) {
					kept := copyDir(t, dir)
					do()
					s := openTest(t, Options{Dir: dir})
					for i, m := range all {
						got, err := readContent(s, m)
						if alone := m.Content.Base == nil; alone != (err == nil) || !alone && (got != "" || errors.Is(err, store.ErrNotFound)) {
							t.Errorf("%d: got %d octets, error %v", i, len(got), err)
						}
					}
					s.Close()
					if err := errors.Join(os.RemoveAll(dir), os.Rename(kept, dir)); err != nil {
						t.Fatal(err)
					}
				})
			}
		})
	}
}

func BenchmarkAcceptAll(b *testing.B) {
	s := openTest(b, Options{Dir: testDir(b)})
	for b.Loop() {
		if err := s.AcceptAll(context.Background(), newBatch(s, 1000, false)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/copy")
}

func FuzzParseDelta(f *testing.F) {
	f.Add([]byte("\x0c\x2c\x01\x03\x00\x05abc"), int64(8), int64(5))
	f.Fuzz(func(t *testing.T, data []byte, size, base int64) {
		if base < 0 || base > 1<<20 || size < 0 || size > 1<<20 {
			return
		}
		d, err := parseDelta(data, size, base)
		if err != nil {
			return
		}
		n := int64(len(d.own))
		end := int64(0)
		for _, r := range d.runs {
			if r.At < end || r.From < 0 || r.From+r.Size > base {
				t.Fatalf("run %+v of a base of %d", r, base)
			}
			end = r.At + r.Size
			n += r.Size
		}
		if n != size || end > size {
			t.Errorf("%d octets in parts, %d in all", n, size)
		}
	})
}
