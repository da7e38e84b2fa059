package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// minVersion is the first SQLite without the race between a checkpoint and a
// writer that restarts the log, which can corrupt the database (SEC-79).
const minVersion = "3.51.3"

// A mode is what a connection pool is for.
type mode struct {
	write   bool
	conns   int
	cacheKB int
	// checkpoint is the log's length in pages after which a commit moves it into the
	// database; 0 leaves that to a checkpointer.
	checkpoint int
}

// openPool opens a database file. It does not touch the disk before the first use.
func openPool(path string, m mode) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	q := url.Values{"_pragma": {
		"busy_timeout(10000)",
		"synchronous(FULL)",
		"wal_autocheckpoint(" + strconv.Itoa(m.checkpoint) + ")",
		"temp_store(MEMORY)",
		"foreign_keys(ON)",
		"journal_size_limit(67108864)",
		"cache_size(-" + strconv.Itoa(m.cacheKB) + ")",
	}}
	if m.write {
		q.Set("_txlock", "immediate")
	} else {
		q.Add("_pragma", "query_only(ON)")
	}
	u := url.URL{Path: abs}
	db, err := sql.Open("sqlite", "file:"+u.EscapedPath()+"?mode=rw&"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(m.conns)
	db.SetMaxIdleConns(m.conns)
	return db, nil
}

// checkVersion refuses an SQLite that is too old to be trusted.
func checkVersion(ctx context.Context, db *sql.DB) error {
	var v string
	if err := db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&v); err != nil {
		return fmt.Errorf("ask for the SQLite version: %w", err)
	}
	if !versionAtLeast(v, minVersion) {
		return fmt.Errorf("this program contains SQLite %s; %s or newer is needed", v, minVersion)
	}
	return nil
}

func versionAtLeast(v, least string) bool {
	have, want := strings.Split(v, "."), strings.Split(least, ".")
	for i := range want {
		w, _ := strconv.Atoi(want[i])
		h := -1
		if i < len(have) {
			h, _ = strconv.Atoi(have[i])
		}
		if h != w {
			return h > w
		}
	}
	return true
}

// A class says what an SQLite error means for us.
type class uint8

const (
	otherError class = iota
	// fullError: no room; the transaction is undone and the file is well.
	fullError
	// brokenError: the disk refused to write, sync or read. What a failed sync left
	// behind is unknown (REL-04).
	brokenError
	// corruptError: the file is not what we wrote.
	corruptError
)

func classify(err error) class {
	var e *driver.Error
	if !errors.As(err, &e) {
		return otherError
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_FULL:
		return fullError
	case lib.SQLITE_IOERR:
		// A damaged file that lost its end reads short.
		if e.Code() == lib.SQLITE_IOERR_SHORT_READ {
			return corruptError
		}
		return brokenError
	case lib.SQLITE_READONLY:
		return brokenError
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return corruptError
	}
	return otherError
}

// isSQLite reports whether err comes from SQLite.
func isSQLite(err error) bool {
	var e *driver.Error
	return errors.As(err, &e)
}

// isConflict reports whether err says that a primary key exists.
func isConflict(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY
}
