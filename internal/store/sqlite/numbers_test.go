package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/store"
)

// REL-44 for numbers.db: one that is damaged is set aside, and the store opens with an
// empty one, so that its follower begins with the oldest event.
func TestDamagedNumbersAreSetAside(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	if err := s.AddCounts(t.Context(), &store.Counts{UpTo: 7}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, numbersName)
	if err := os.WriteFile(path, []byte("this is no database, however long one looks at it"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Dir: dir, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if at, err := s.Counted(t.Context()); at != 0 || err != nil {
		t.Errorf("counted up to %v, %v", at, err)
	}
	if d := s.Damages(); len(d) != 1 {
		t.Errorf("damages %+v", d)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}

// Numbers of a newer version are refused, as all data is.
func TestNewerNumbersAreRefused(t *testing.T) {
	dir := testDir(t)
	if err := openTest(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, numbersName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir, MinFree: -1}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("error is %v", err)
	}
}
