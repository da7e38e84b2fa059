package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		dir := filepath.Join(t.TempDir(), "data")
		var s *sqlite.Store
		open := func() store.Store {
			var err error
			s, err = sqlite.Open(t.Context(), sqlite.Options{Dir: dir, MinFree: -1})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		finish := func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if err := s.Err(); err != nil {
				t.Errorf("the store failed: %v", err)
			}
			for _, d := range s.Damages() {
				t.Errorf("damage: %+v", d)
			}
		}
		t.Cleanup(func() { finish() })
		return open(), func() store.Store { finish(); return open() }
	})
}
