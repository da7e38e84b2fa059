package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/confdb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// configReaders is how many questions to config.db are answered at a time.
const configReaders = 4

// A config is config.db: the tables of confdb, and the list of day files.
type config struct {
	db *sql.DB
	// readers answer while a change is written. What is committed before they are asked, they see.
	readers *sql.DB
	// fail is told about errors after which nothing may be written any more.
	fail func(error) error
}

// openConfig opens config.db, creating it only in a folder that has no day files:
// a new one beside old days would give their domain ids to new domains.
func openConfig(ctx context.Context, dir string, haveDays bool, fail func(error) error) (*config, error) {
	path := filepath.Join(dir, configName)
	created := false
	if !exists(path) {
		if haveDays {
			return nil, fmt.Errorf("%s is missing while mail is stored beside it: restore it from a backup, or move the *.db files away to start empty", path)
		}
		if err := createPrivate(path); err != nil {
			return nil, fmt.Errorf("create %s: %w", configName, err)
		}
		created = true
	}
	db, err := openPool(path, mode{write: true, conns: 1, cacheKB: 8000, checkpoint: 1000})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", configName, err)
	}
	readers, err := openPool(path, mode{conns: configReaders, cacheKB: 2000})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", configName, err)
	}
	c := &config{db: db, readers: readers, fail: fail}
	if err := c.prepare(ctx); err != nil {
		c.close()
		return nil, fmt.Errorf("open %s: %w", configName, err)
	}
	if created {
		if err := syncDir(dir); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// close closes the file.
func (c *config) close() error { return errors.Join(c.readers.Close(), c.db.Close()) }

func (c *config) prepare(ctx context.Context) error {
	if err := checkVersion(ctx, c.db); err != nil {
		return err
	}
	// The file is small, and everything hangs on it (REL-44).
	var verdict string
	if err := c.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("it is damaged (%s): restore it from a backup", verdict)
	}
	if _, err := c.db.ExecContext(ctx, `PRAGMA journal_mode = WAL`); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return migrate(ctx, c.db, files)
}

// write is the confdb.Transactor.
func (c *config) write(ctx context.Context, f func(q confdb.Queryer) error) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return c.judge(err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return c.judge(err)
	}
	return c.judge(tx.Commit())
}

// judge says what an error of a writing statement means.
func (c *config) judge(err error) error {
	switch classify(err) {
	case fullError:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case brokenError, corruptError:
		return c.fail(fmt.Errorf("write %s: %w", configName, err))
	}
	return err
}

// days returns the listed day files and whether each was left open.
func (c *config) days(ctx context.Context) (map[string]bool, error) {
	rows, err := c.db.QueryContext(ctx, `SELECT name, dirty FROM day`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	days := map[string]bool{}
	for rows.Next() {
		var name string
		var dirty bool
		if err := rows.Scan(&name, &dirty); err != nil {
			return nil, err
		}
		days[name] = dirty
	}
	return days, rows.Err()
}

// list adds a day file or changes whether it is open.
func (c *config) list(ctx context.Context, day string, dirty bool) error {
	_, err := c.db.ExecContext(ctx, `INSERT INTO day (name, dirty) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET dirty = excluded.dirty`, day, dirty)
	return c.judge(err)
}

// unlist forgets a day file.
func (c *config) unlist(ctx context.Context, day string) error {
	_, err := c.db.ExecContext(ctx, `DELETE FROM day WHERE name = $1`, day)
	return c.judge(err)
}
