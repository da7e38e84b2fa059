package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// errDamaged is what operations on a day get whose file turned out to be
// damaged. It is not ErrNotFound: the message exists, we cannot read it.
var errDamaged = errors.New("the day file is damaged")

// A day is the file of the messages accepted on one day. It is opened when
// somebody uses it and closed after it was idle for a while.
type day struct {
	s    *Store
	name string // 2006-01-02
	path string
	// version is the schema's.
	version int
	// first is the smallest id of the day, end the first of the next.
	first, end mail.ID

	// newest is at least the id of the file's newest event.
	newest atomic.Int64
	// filled counts commits that added rows to the queue; drained is the value filled
	// had when the queue was last seen empty. Equal: the queue is empty.
	filled, drained atomic.Int64
	// tagged is set when a message in it has a tag.
	tagged atomic.Bool
	// common holds the numbers of tags that are known to have tagProbe events: there are at most as many
	// as the file has events for.
	common sync.Map
	// bare is set when no content is left and none can come.
	bare atomic.Bool

	mu      sync.Mutex
	damaged error
	gone    bool // its file was removed or set aside
	users   int
	used    time.Time // when the last user left
	read    *sql.DB   // nil while closed
	reads   reads
	w       *writer // nil until something is written
}

func newDay(s *Store, name string) (*day, error) {
	start, err := time.Parse(time.DateOnly, name)
	if err != nil {
		return nil, fmt.Errorf("day %q: %w", name, err)
	}
	d := &day{
		s:    s,
		name: name,

		version: dayVersion,

		path:  filepath.Join(s.dir, name+daySuffix),
		first: mail.FirstID(start),
		end:   mail.FirstID(start.AddDate(0, 0, 1)),
	}
	d.newest.Store(int64(d.first))
	return d, nil
}

// hasQueue reports whether the day may have queue rows.
func (d *day) hasQueue() bool { return d.filled.Load() != d.drained.Load() }

// createDayFile makes an empty day file under another name and moves it into place
// when all of it is on disk: whatever has the name of a day file is whole (REL-02).
func createDayFile(ctx context.Context, path string) error {
	if err := removeDatabase(path + newSuffix); err != nil {
		return fmt.Errorf("create day file: %w", err)
	}
	// A log left behind by a file of that name would be replayed into the new one.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("create day file: %w", err)
		}
	}
	if err := createPrivate(path + newSuffix); err != nil {
		return fmt.Errorf("create day file: %w", err)
	}
	db, err := openPool(path+newSuffix, mode{write: true, conns: 1, cacheKB: 200})
	if err != nil {
		return fmt.Errorf("create day file: %w", err)
	}
	_, err = db.ExecContext(ctx, `PRAGMA journal_mode = WAL; BEGIN;`+daySchema+`COMMIT;`)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create day file: %w", err)
	}
	if err := syncFile(path + newSuffix); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return fmt.Errorf("create day file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// A census is what must be known of a day file before it is used.
type census struct {
	newest mail.ID // event, row or message
	event  mail.ID
	queued bool

	version int
}

// inspect reads a day file's census and checks that it is one we can read.
func inspect(ctx context.Context, db *sql.DB) (census, error) {
	var c census
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return c, fmt.Errorf("read schema version: %w", err)
	}
	switch {
	case version > dayVersion:
		return c, fmt.Errorf("its schema has version %d, this program knows %d: %w", version, dayVersion, store.ErrNewer)
	case version < 1:
		return c, fmt.Errorf("it has no schema: %w", errDamaged)
	}
	c.version = version
	var message, row int64
	var event int64
	err := db.QueryRowContext(ctx, `SELECT
		coalesce((SELECT max(id) FROM message), 0),
		coalesce((SELECT max(id) FROM event), 0),
		coalesce((SELECT max(id) FROM queue), 0),
		EXISTS (SELECT 1 FROM queue)`).Scan(&message, &event, &row, &c.queued)
	if err != nil {
		return c, fmt.Errorf("read newest ids: %w", err)
	}
	c.event = mail.ID(event)
	c.newest = mail.ID(max(message, event, row))
	return c, nil
}

// enter makes the day's file usable until the matching leave.
func (d *day) enter() error {
	err := d.openOnce()
	if err != nil && !errors.Is(err, errDamaged) {
		return d.s.judge(d, err)
	}
	return err
}

func (d *day) openOnce() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.open(); err != nil {
		return err
	}
	d.users++
	return nil
}

// open is called with d.mu held.
func (d *day) open() error {
	switch {
	case d.damaged != nil:
		return d.damaged
	case d.gone:
		return store.ErrNotFound
	case d.read != nil:
		return nil
	}
	db, err := openPool(d.path, mode{conns: 4, cacheKB: 2000})
	if err != nil {
		return fmt.Errorf("open day %s: %w", d.name, err)
	}
	if err := d.reads.prepare(db, d.version); err != nil {
		db.Close()
		return fmt.Errorf("open day %s: %w", d.name, err)
	}
	d.read = db
	return nil
}

func (d *day) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users--
	d.used = time.Now()
	if d.users == 0 && d.damaged != nil && !d.gone {
		d.s.background.Go(func() { d.s.remove(d) })
	}
}

// writer returns the day's committer, starting it if need be. The caller has
// entered the day.
func (d *day) writer() (*writer, error) {
	w, err := d.startOnce()
	if err != nil {
		return nil, d.s.judge(d, fmt.Errorf("open day %s for writing: %w", d.name, err))
	}
	return w, nil
}

func (d *day) startOnce() (w *writer, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.damaged == nil && d.w == nil {
		d.w, err = startWriter(d)
	}
	return d.w, errors.Join(d.damaged, err)
}

// idle reports whether nobody has used the day for a while. mu is held.
func (d *day) idle(now time.Time, after time.Duration) bool {
	return d.read != nil && d.users == 0 && !d.hasQueue() && now.Sub(d.used) >= after
}

// shut closes the file. mu is held and there are no users.
//
// After a failure the file is left as it is, open: closing it would move the log
// into the file, on a disk that does not do what it says, and remove the log. The
// process is about to end, and the next start replays it.
func (d *day) shut() error {
	var errs []error
	failed := d.s.Err() != nil
	if d.w != nil {
		d.w.stop()
		if !failed {
			if d.damaged == nil {
				// Before the log goes, see census.
				errs = append(errs, d.s.config.list(context.Background(), d.name, false))
			}
			errs = append(errs, d.w.close())
		}
		d.w = nil
	}
	if d.read != nil && !failed {
		errs = append(errs, d.read.Close())
	}
	d.read = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close day %s: %w", d.name, err)
	}
	return nil
}
