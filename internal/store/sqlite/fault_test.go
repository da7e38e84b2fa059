package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/internal/store"
)

// redirect makes every open descriptor of path write to target instead, and
// returns what undoes it. The kernel then answers as a failing disk would.
func redirect(t *testing.T, path, target string) (undo func()) {
	t.Helper()
	to, err := unix.Open(target, unix.O_RDWR, 0)
	if err != nil {
		to, err = unix.Open(target, unix.O_RDONLY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(to)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	// All are found before any is duplicated: the copies have the same name.
	var fds []int
	for _, e := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && link == path {
			fd, err := strconv.Atoi(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
		}
	}
	var undos []func()
	for _, fd := range fds {
		saved, err := unix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(to, fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		undos = append(undos, func() {
			unix.Dup3(saved, fd, unix.O_CLOEXEC)
			unix.Close(saved)
		})
	}
	if len(undos) == 0 {
		t.Fatalf("nobody has %s open", path)
	}
	return func() {
		for _, undo := range undos {
			undo()
		}
	}
}

// REL-04: /dev/null takes every write and refuses to sync.
func TestFailedSyncIsFinal(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	before := accept(t, s, "before", true)
	undo := redirect(t, filepath.Join(dir, before.ID.Day()+daySuffix+"-wal"), "/dev/null")

	m := newMessage(s.NewID(), "during", someDay)
	err := s.Accept(t.Context(), m)
	wantError(t, err, store.ErrClosed)
	select {
	case <-s.Failed():
	default:
		t.Error("nobody was told of the failure")
	}
	wantError(t, s.Err(), store.ErrClosed)
	undo()

	// The next sync would succeed. It is not believed.
	wantError(t, s.Accept(t.Context(), newMessage(s.NewID(), "after", someDay)), store.ErrClosed)
	_, err = s.Settle(t.Context(), outcome(before))
	wantError(t, err, store.ErrClosed)
	_, err = s.Lease(t.Context(), store.LeaseRequest{NextHop: "one.example", Now: someDay, Limit: 10})
	wantError(t, err, store.ErrClosed)
	wantError(t, s.CreateDomain(t.Context(), &store.Domain{Name: "one.example"}), store.ErrClosed)
	if got, err := readContent(s, before); err != nil || got != "before" {
		t.Errorf("reading after the failure: %q, %v", got, err)
	}
	s.Close()

	s = openTest(t, Options{Dir: dir})
	if got, err := readContent(s, before); err != nil || got != "before" {
		t.Errorf("what was acknowledged: %q, %v", got, err)
	}
	accept(t, s, "works again", false)
}

// REL-12
func TestFullDisk(t *testing.T) {
	dir := testDir(t)
	var free atomic.Uint64
	free.Store(10 << 30)
	s := openTest(t, Options{Dir: dir, MinFree: 1 << 30, usage: func(string) (uint64, uint64, error) { return free.Load(), 100 << 30, nil }})
	reserve := filepath.Join(dir, reserveName)
	if info, err := os.Stat(reserve); err != nil || info.Size() != reserveSize {
		t.Fatalf("reserve: %v", err)
	}
	m := accept(t, s, "x", true)
	n := accept(t, s, "x", true)

	free.Store(1<<30 - 1)
	wantError(t, s.Accept(t.Context(), newMessage(s.NewID(), "little room", someDay)), store.ErrFull)
	settle(t, s, m)
	free.Store(1<<30 + 100<<10)
	accept(t, s, "small", false)
	wantError(t, s.Accept(t.Context(), newMessage(s.NewID(), strings.Repeat("x", 200<<10), someDay)), store.ErrFull)
	if !exists(reserve) {
		t.Error("the reserve was given up while there was room")
	}

	// SQLite itself finds no room for another page.
	w := s.days[m.ID.Day()].w
	grow := func(pages int) {
		var got int
		if err := w.conn.QueryRowContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
	large := outcome(n)
	large.Rows[0].Event.Data.Reason = strings.Repeat("x", 60<<10)
	grow(1) // no less than there are
	noise := make([]byte, 50<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	wantError(t, s.Accept(t.Context(), newMessage(s.NewID(), string(noise), someDay)), store.ErrFull)
	if !exists(reserve) {
		t.Error("the reserve was given up for new mail")
	}
	_, err := s.Settle(t.Context(), large)
	wantError(t, err, store.ErrFull)
	if exists(reserve) {
		t.Error("an outcome was refused while there was a reserve")
	}
	grow(1 << 30)
	if err := s.Err(); err != nil {
		t.Errorf("a full disk is not a broken one: %v", err)
	}
	if lost, err := s.Settle(t.Context(), large); err != nil || len(lost) > 0 { // the lease was kept
		t.Errorf("settle: lost %v, %v", lost, err)
	}
	accept(t, s, "room again", false)
	free.Store(10 << 30)
	if err := s.space.reserve(); err != nil || !exists(reserve) {
		t.Errorf("the reserve did not come back: %v", err)
	}
}

// REL-13: a write that fails is as final as a sync.
func TestFailedWriteIsFinal(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	m := accept(t, s, "before", true)
	log := filepath.Join(dir, m.ID.Day()+daySuffix+"-wal")
	undo := redirect(t, log, "/proc/self/exe") // opened for reading only
	_, err := s.Settle(t.Context(), outcome(m))
	wantError(t, err, store.ErrClosed)
	undo()
	s.Close()
	s = openTest(t, Options{Dir: dir})
	if n := countRows(t, s); n != 1 {
		t.Errorf("%d rows, want the one whose outcome was not recorded", n)
	}
}

func TestDefaultFreeSpace(t *testing.T) {
	for _, c := range []struct {
		free, total uint64
		ok          bool
	}{
		{1<<30 - 1, 4 << 30, false}, {1 << 30, 4 << 30, true},
		{5<<30 - 1, 100 << 30, false}, {5 << 30, 100 << 30, true},
	} {
		s := &space{usage: func(string) (uint64, uint64, error) { return c.free, c.total, nil }}
		if err := s.check(0); (err == nil) != c.ok || (err != nil && !errors.Is(err, store.ErrFull)) {
			t.Errorf("%d of %d free: %v", c.free, c.total, err)
		}
	}
}

// REL-03: nothing wrong is ever given, whichever octet is hit.
func TestDamagedContentIsAnError(t *testing.T) {
	for name, size := range map[string]int{"inline": 4000, "file": inlineMax + 4000} {
		t.Run(name, func(t *testing.T) {
			dir := testDir(t)
			s := openTest(t, Options{Dir: dir})
			m := accept(t, s, strings.Repeat("some text\r\n", size/11+1)[:size], false)
			day := filepath.Join(dir, m.ID.Day()+daySuffix)
			damage := map[string]func(){
				"flipped octet": func() {
					alter(t, day, "UPDATE body SET data = CAST(substr(data, 1, 20) || x'00' || substr(data, 22) AS BLOB) WHERE codec < 2")
				},
				"cut":          func() { alter(t, day, "UPDATE body SET data = substr(data, 1, length(data) - 1) WHERE codec < 2") },
				"wrong length": func() { alter(t, day, "UPDATE body SET size = size + 1 WHERE codec < 2") },
				"wrong sum":    func() { alter(t, day, "UPDATE body SET sum = zeroblob(32)") },
			}
			if name == "file" {
				big := s.bigPath(m.ID)
				damage["flipped octet"] = func() { overwrite(t, big, inlineMax, "X") }
				damage["cut"] = func() { os.Truncate(big, int64(size)-1) }
				damage["wrong length"] = func() { os.Truncate(big, int64(size)+1) }
				damage["missing"] = func() { os.Remove(big) }
			}
			s.Close()
			for how, do := range damage {
				t.Run(how, func(t *testing.T) {
					kept := copyDir(t, dir)
					do()
					s := openTest(t, Options{Dir: dir})
					if got, err := readContent(s, m); err == nil || errors.Is(err, store.ErrNotFound) || got != "" {
						t.Errorf("got %d octets, error %v", len(got), err)
					}
					s.Close()
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(kept, dir); err != nil {
						t.Fatal(err)
					}
				})
			}
		})
	}
}

func overwrite(t *testing.T, path string, at int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), at); err != nil {
		t.Fatal(err)
	}
}

// REL-44: whatever happens to a day file, the others' mail goes on, and the loss
// is said aloud.
func TestDamagedDays(t *testing.T) {
	for name, c := range map[string]struct {
		unclean bool
		damage  func(t *testing.T, path string)
		moved   bool
	}{
		"garbage":       {false, func(t *testing.T, p string) { overwrite(t, p, 0, strings.Repeat("garbage!", 8192)) }, true},
		"empty":         {false, func(t *testing.T, p string) { os.Truncate(p, 0) }, true},
		"half":          {false, func(t *testing.T, p string) { os.Truncate(p, 4096*5) }, true},
		"missing":       {false, func(t *testing.T, p string) { os.Remove(p) }, false},
		"log missing":   {true, func(t *testing.T, p string) { os.Remove(p + "-wal") }, true},
		"table damaged": {false, func(t *testing.T, p string) { overwrite(t, p, 4096, strings.Repeat("\xff", 4096*8)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testDir(t)
			s := openTest(t, Options{Dir: dir})
			yesterday := newMessage(mailID("2026-11-22"), "yesterday", someDay)
			today := newMessage(mailID("2026-11-23"), "today", someDay)
			for _, m := range []*store.NewMessage{yesterday, today} {
				if err := s.Accept(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			if c.unclean {
				dir = copyDir(t, dir)
			}
			s.Close()
			path := filepath.Join(dir, "2026-11-22.db")
			c.damage(t, path)

			var log strings.Builder
			s = openTest(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			r, err := s.Lease(t.Context(), store.LeaseRequest{NextHop: "one.example", Now: someDay, Limit: 10})
			if err != nil || len(r.Rows) != 1 || r.Rows[0].Message != today.ID {
				t.Errorf("leased %+v, %v", r.Rows, err)
			}
			if n := countEvents(t, s); n != 1 {
				t.Errorf("%d events, want today's", n)
			}
			if _, err := readContent(s, yesterday); err == nil {
				t.Error("yesterday's content was read")
			}
			s.Close()
			d := s.Damages()
			if len(d) != 1 || d[0].Day != "2026-11-22" || (d[0].Moved != "") != c.moved || !strings.Contains(log.String(), "2026-11-22") {
				t.Fatalf("damages %+v, log %q", d, log.String())
			}
			if c.moved && !exists(filepath.Join(dir, d[0].Moved)) {
				t.Errorf("%s is not there", d[0].Moved)
			}

			// Said again at each start while it is a loss without a file; and the day can
			// be used.
			s = openTest(t, Options{Dir: dir})
			if again := len(s.Damages()) > 0; again == c.moved {
				t.Errorf("damage reported again: %v", again)
			}
			again := newMessage(yesterday.ID+1, "again", someDay)
			if err := s.Accept(t.Context(), again); err != nil {
				t.Error(err)
			}
		})
	}
}

// REL-44: found while running.
func TestDayDamagedUnderWay(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	m := accept(t, s, "x", false)
	s.Close()
	path := filepath.Join(dir, m.ID.Day()+daySuffix)
	s = openTest(t, Options{Dir: dir})
	overwrite(t, path, 4096, strings.Repeat("\xff", 4096*8))
	if n := countEvents(t, s); n != 0 {
		t.Errorf("%d events", n)
	}
	if d := s.Damages(); len(d) != 1 {
		t.Fatalf("damages %+v", d)
	}
	// The damaged file goes when nobody uses it, and new mail gets a new one.
	for s.Damages()[0].Moved == "" && s.Err() == nil {
		s.mu.Lock()
		//lint:ignore SA2001 waits for the owner
		s.mu.Unlock()
	}
	n := accept(t, s, "new", false)
	if got, err := readContent(s, n); err != nil || got != "new" {
		t.Errorf("new content %q, %v", got, err)
	}
}

// Domain ids would be given again, and with them other people's mail.
func TestConfigMissingBesideMail(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	accept(t, s, "x", false)
	s.Close()
	os.Remove(filepath.Join(dir, configName))
	if _, err := Open(t.Context(), Options{Dir: dir, MinFree: -1}); err == nil || !strings.Contains(err.Error(), configName) {
		t.Errorf("opened: %v", err)
	}
}

// REL-05: what a crash between steps leaves is swept, and nothing else is.
func TestLeftoversAreSwept(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	m := accept(t, s, strings.Repeat("x", inlineMax+1), false)
	orphan := s.NewID()
	dir = copyDir(t, dir)
	big := filepath.Join(dir, bigName)
	for _, path := range []string{filepath.Join(big, orphan.String()), filepath.Join(big, "x.new"), filepath.Join(dir, "2026-01-01.db.new")} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = openTest(t, Options{Dir: dir})
	s.recover(context.Background()) // again, to know when it is done
	entries, err := os.ReadDir(big)
	if err != nil || len(entries) != 1 || entries[0].Name() != m.ID.String() {
		t.Errorf("left in %s: %v, %v", bigName, entries, err)
	}
	if _, err := readContent(s, m); err != nil {
		t.Error(err)
	}
	if len(s.Damages()) > 0 {
		t.Errorf("damages %+v", s.Damages())
	}
}
