package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/countdb"
)

const numbersName = "numbers.db"

//go:embed numbers/*.sql
var numbersMigrations embed.FS

// counters keeps the embedded field to ourselves.
type counters = countdb.DB

// A numbers is numbers.db: the counters of events. It is a file of its own, so that what
// counts and what is configured do not wait for each other, and so that its loss is no harm: what it holds
// is counted again.
type numbers struct {
	write, read *sql.DB
}

// openNumbers opens numbers.db. One that is damaged is set aside; counting then
// begins with the oldest event that is kept.
func (s *Store) openNumbers(ctx context.Context) error {
	path := filepath.Join(s.dir, numbersName)
	err := s.tryNumbers(ctx, path)
	if classify(err) != corruptError {
		return err
	}
	// The log goes first: beside a new file it would be taken for its own, if we stopped in between.
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+suffix, path+suffix+".damaged"); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("set %s aside: %w", numbersName, err)
		}
	}
	s.report(Damage{Err: fmt.Errorf("%s was set aside, and events are counted anew: %w", numbersName, err)})
	return s.tryNumbers(ctx, path)
}

func (s *Store) tryNumbers(ctx context.Context, path string) error {
	if !exists(path) {
		if err := createPrivate(path); err != nil {
			return fmt.Errorf("create %s: %w", numbersName, err)
		}
		if err := syncDir(s.dir); err != nil {
			return err
		}
	}
	n := &numbers{}
	var err error
	if n.write, err = openPool(path, mode{write: true, conns: 1, cacheKB: 16000, checkpoint: 4096}); err == nil {
		err = n.prepare(ctx)
	}
	if err == nil {
		n.read, err = openPool(path, mode{conns: 4, cacheKB: 4000})
	}
	if err != nil {
		_ = n.close() // the first error tells more
		return fmt.Errorf("open %s: %w", numbersName, err)
	}
	s.numbers = n
	s.counters = countdb.New(n.read, s.numbersWrite)
	return nil
}

func (n *numbers) prepare(ctx context.Context) error {
	if _, err := n.write.ExecContext(ctx, `PRAGMA journal_mode = WAL`); err != nil {
		return err
	}
	files, err := fs.Sub(numbersMigrations, "numbers")
	if err != nil {
		return err
	}
	return migrate(ctx, n.write, files)
}

// migrate brings a file's tables to the newest version, and refuses a newer one.
func migrate(ctx context.Context, db *sql.DB, files fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > newest {
		return fmt.Errorf("its schema has version %d, this program knows %d: %w", have, newest, store.ErrNewer)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// numbersWrite is the countdb.Transactor.
func (s *Store) numbersWrite(ctx context.Context, f func(q countdb.Queryer) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.Err(); err != nil {
		return err
	}
	tx, err := s.numbers.write.BeginTx(ctx, nil)
	if err != nil {
		return s.judgeNumbers(err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return s.judgeNumbers(err)
	}
	return s.judgeNumbers(tx.Commit())
}

// judgeNumbers says what an error of a writing statement means. A damaged file stops
// counting and nothing else; the next start sets it aside.
func (s *Store) judgeNumbers(err error) error {
	switch classify(err) {
	case fullError:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case brokenError:
		return s.fail(fmt.Errorf("write %s: %w", numbersName, err))
	case corruptError:
		return fmt.Errorf("%s: %w: restart to have it set aside", numbersName, err)
	}
	return err
}

func (n *numbers) close() error {
	var first error
	for _, db := range []*sql.DB{n.read, n.write} { // the last to close moves the log into the file
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
