package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/store"
)

// SEC-79
func TestSQLiteVersion(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	if err := checkVersion(t.Context(), s.config.db); err != nil {
		t.Error(err)
	}
	for v, want := range map[string]bool{"3.51.3": true, "3.51.10": true, "3.52.0": true, "4.0": true, "3.51.2": false, "3.9.99": false, "2.99.99": false, "3.51": false, "": false} {
		if got := versionAtLeast(v, minVersion); got != want {
			t.Errorf("%q is new enough: %v, want %v", v, got, want)
		}
	}
}

// REL-02: without FULL, acknowledged commits are lost with the power.
func TestWriterSettings(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	m := accept(t, s, "x", false)
	d := s.days[m.ID.Day()]
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "wal_autocheckpoint": "0"} {
		var got string
		if err := d.w.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("day file: %s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal"} {
		var got string
		if err := s.config.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("config.db: %s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
}

// REL-06
func TestFolderHasOneOwner(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir, MinFree: -1})
	wantError(t, err, store.ErrLocked)
	if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not name %s", err, want)
	}
	accept(t, s, "still works", false)
	s.Close()
	openTest(t, Options{Dir: dir})
}

// SEC-77
func TestNobodyElseMayRead(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	accept(t, s, strings.Repeat("x", inlineMax+1), false)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, name := range []string{"", bigName, configName, lockName} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, info.Mode().Perm()|0o040); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Dir: dir, MinFree: -1}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q readable for the group: %v", name, err)
		}
		if err := os.Chmod(path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// An empty folder that somebody made for us is made private; one with data is refused.
func TestEmptyFolderIsMadePrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Dir: dir, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// alter runs a statement on a file of a closed store.
func alter(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
}

// REL-42
func TestNewerDataIsRefused(t *testing.T) {
	t.Run("day file", func(t *testing.T) {
		dir := testDir(t)
		s := openTest(t, Options{Dir: dir})
		m := accept(t, s, "x", false)
		s.Close()
		alter(t, filepath.Join(dir, m.ID.Day()+daySuffix), "PRAGMA user_version = 3")
		_, err := Open(t.Context(), Options{Dir: dir, MinFree: -1})
		wantError(t, err, store.ErrNewer)
	})
	t.Run("config.db", func(t *testing.T) {
		dir := testDir(t)
		openTest(t, Options{Dir: dir}).Close()
		alter(t, filepath.Join(dir, configName), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
		_, err := Open(t.Context(), Options{Dir: dir, MinFree: -1})
		wantError(t, err, store.ErrNewer)
	})
}
