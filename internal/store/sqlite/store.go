// Package sqlite is the engine that keeps everything in one folder, with SQLite
// inside the process and nothing to install.
//
// The folder holds config.db and one file per day, named after it: 2026-11-23.db
// has the messages accepted that day with their contents, queue rows and
// events, also those events that come days later. So each transaction touches one file and
// is atomic with one sync, and forgetting a month means unlinking files.
// Contents above 128 KiB are files in the folder big.
//
// Each day that is written to has one committer: a goroutine with the only writing
// connection, which takes what waits (up to 512 operations), commits it together
// and then answers everyone. Nothing is answered before its commit was synced (WAL,
// synchronous=FULL). Leases are kept in memory, since nobody else has the folder; after a
// crash every row is due again.
//
// What the disk does to us is taken at its word. A failed write or sync is
// final: nothing is written any more, [Store.Failed] is closed and the process should
// end; what is on disk then, the next start finds out. A full disk refuses new mail
// in time and keeps a reserve for outcomes. A day file that is damaged, missing, or has
// lost its log is set aside and reported by [Store.Damages]; the rest works.
//
// What it does not do: encrypt keys at rest, survive a folder on a network file
// system, or make a backup.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/confdb"
)

// Options say where and how a store keeps its data.
type Options struct {
	// Dir is the data folder, on a local disk. It is created with mode 0700; an
	// existing one must not be accessible to others.
	Dir string
	// Node is the node number in ids, 0 to mail.MaxNode.
	Node int
	// Logger is told what nobody asked for: damage, trouble in the background.
	// Nil discards it.
	Logger *slog.Logger
	// MinFree is how many octets must stay free on the disk for new mail to be
	// accepted. 0 means 5 % of it or 1 GiB, whichever is more; a negative value
	// switches the check and the reserve off.
	MinFree int64
	// IdleAfter is how long the file of an old day stays open unused; 0 means five
	// minutes.
	IdleAfter time.Duration

	// usage replaces the question to the operating system in tests.
	usage func(dir string) (free, total uint64, err error)
}

var _ store.Store = (*Store)(nil)

// configuration keeps the embedded field to ourselves.
type configuration = confdb.DB

// A Store is the engine; see the package comment. Its methods are those of
// store.Store and a few about its health.
type Store struct {
	*configuration // domains, keys and credentials
	*counters      // of events

	dir       string
	log       *slog.Logger
	idleAfter time.Duration
	logPages  int // see checkpointPages
	lock      *os.File
	config    *config
	numbers   *numbers
	space     *space
	ids       *mail.IDs
	leases    *leases
	tides     *tides
	commits   atomic.Int64 // of day files

	creating sync.Mutex // held while a day file is made

	mu      sync.Mutex
	days    map[string]*day
	damages []Damage
	unclean []*day // left open by the process before us
	failure error
	failed  chan struct{} // closed with the first failure
	closing bool
	calls   sync.WaitGroup // of public methods under way

	born       mail.ID // every id given by this process is at least this
	stop       context.CancelFunc
	background sync.WaitGroup
	closed     func() error
}

// Open opens the store in o.Dir, creating it if it is empty. ErrLocked if another
// process has it, ErrNewer if a newer version of the program wrote it.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("open store: no data folder is given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		dir:       dir,
		log:       o.Logger,
		idleAfter: o.IdleAfter,
		logPages:  checkpointPages,
		space:     &space{dir: dir, minFree: o.MinFree, usage: o.usage},
		leases:    newLeases(),
		tides:     &tides{firsts: map[mail.ID]struct{}{}},
		days:      map[string]*day{},
		failed:    make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.idleAfter == 0 {
		s.idleAfter = 5 * time.Minute
	}
	if s.space.usage == nil {
		s.space.usage = diskUsage
	}
	s.closed = sync.OnceValue(s.close)
	if err := s.open(ctx, o.Node); err != nil {
		s.release()
		return nil, fmt.Errorf("open store: %w", err)
	}
	alive, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.background.Go(func() { s.keepHouse(alive) })
	return s, nil
}

func (s *Store) open(ctx context.Context, node int) error {
	// Process-wide, and as durable as fsync: only time stamps are left out. Where it
	// does not exist, fsync stays.
	_, _ = driver.Fdatasync(true)

	if err := makeFolder(s.dir); err != nil {
		return err
	}
	var err error
	if s.lock, err = lockFolder(s.dir); err != nil {
		return err
	}
	if err := checkFiles(s.dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, reserveName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace the reserve: %w", err)
	}
	if err := s.removeUnfinished(); err != nil {
		return err
	}
	names, err := dayNames(s.dir)
	if err != nil {
		return err
	}
	if s.config, err = openConfig(ctx, s.dir, len(names) > 0, s.fail); err != nil {
		return err
	}
	if s.configuration, err = confdb.Open(ctx, s.config.readers, s.configWrite); err != nil {
		return err
	}
	if err := s.openNumbers(ctx); err != nil {
		return err
	}
	newest, err := s.openDays(ctx, names)
	if err != nil {
		return err
	}
	passed, err := s.configuration.LastCursor(ctx)
	if err != nil {
		return err
	}
	counted, err := s.counters.Counted(ctx)
	if err != nil {
		return err
	}
	if s.ids, err = mail.NewIDs(node, max(newest, passed, counted)); err != nil {
		return err
	}
	s.born = s.ids.Next()
	return s.space.reserve()
}

// configWrite refuses changes after a failure or Close.
func (s *Store) configWrite(ctx context.Context, f func(q confdb.Queryer) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.Err(); err != nil {
		return err
	}
	return s.config.write(ctx, f)
}

// Close waits for calls under way, brings everything into its file and gives the
// data folder free. It may be called more than once.
func (s *Store) Close() error { return s.closed() }

func (s *Store) close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.calls.Wait()
	s.stop()
	s.background.Wait()
	return s.release()
}

// release closes what was opened.
func (s *Store) release() error {
	var errs []error
	for _, d := range s.allDays() {
		d.mu.Lock()
		errs = append(errs, d.shut())
		d.mu.Unlock()
	}
	if s.config != nil && s.Err() == nil { // else left as it is, see day.shut
		errs = append(errs, s.config.close())
	}
	if s.numbers != nil && s.Err() == nil {
		errs = append(errs, s.numbers.close())
	}
	s.space.release()
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// enter begins a call, unless the store was closed; leave ends it.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return store.ErrClosed
	}
	s.calls.Add(1)
	return nil
}

func (s *Store) leave() { s.calls.Done() }

// Failed returns a channel that is closed when the disk failed and the store went
// read-only. The process should then end with Err.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err returns why the store went read-only, wrapped in ErrClosed, or nil.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Damages returns what was found damaged since the store was opened.
func (s *Store) Damages() []Damage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.damages)
}

// fail makes the store read-only for good (REL-04) and returns the error that
// says so.
func (s *Store) fail(cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.failure = fmt.Errorf("%w: nothing is written any more after: %w", store.ErrClosed, cause)
		s.log.Error("the disk failed, nothing is written any more", "error", cause)
		close(s.failed)
	}
	return s.failure
}

// judge says what an error on a day's file means for callers, and does what must
// follow. d is nil when the file has no day yet.
func (s *Store) judge(d *day, err error) error {
	switch classify(err) {
	case fullError:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case brokenError:
		return s.fail(err)
	case corruptError:
		if d == nil {
			return s.fail(err)
		}
		return d.condemn(err)
	}
	if d != nil && isSQLite(err) && !exists(d.path) {
		return d.condemn(fmt.Errorf("its file is gone: %w", err))
	}
	return s.judgeFile(err)
}

// judgeFile does the same for errors of the operating system.
func (s *Store) judgeFile(err error) error {
	switch {
	case err == nil:
		return nil
	case noRoom(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case broken(err):
		return s.fail(err)
	}
	return err
}

// condemn takes a day out of use whose file turned out to be damaged. When its
// last user has left, the file is set aside, and mail of that day begins a new one.
func (d *day) condemn(cause error) error {
	d.mu.Lock()
	if d.damaged != nil {
		d.mu.Unlock()
		return d.damaged
	}
	d.damaged = fmt.Errorf("day %s: %w: %w", d.name, errDamaged, cause)
	unused := d.users == 0
	d.mu.Unlock()
	if unused {
		defer d.s.background.Go(func() { d.s.remove(d) })
	}
	d.s.report(Damage{Day: d.name, Err: d.damaged})
	return d.damaged
}

// remove sets a condemned day's file aside, unless somebody still uses it.
func (s *Store) remove(d *day) {
	s.creating.Lock()
	defer s.creating.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing || d.users > 0 || d.gone {
		return
	}
	if err := d.shut(); err != nil {
		s.log.Error("a damaged day file does not close", "error", err)
	}
	d.gone = true
	if err := s.setAside(context.Background(), d, d.damaged); err != nil {
		s.log.Error("a damaged day file stays where it is", "error", err)
		return // and so does the day: nothing may be made in its place
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.days, d.name)
}

// keepHouse closes files that are not used, brings the reserve back, and first
// looks after what an unclean stop left behind.
func (s *Store) keepHouse(ctx context.Context) {
	s.recover(ctx)
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.closeIdle(now)
			if err := s.space.reserve(); err != nil {
				s.log.Warn("no room is reserved for outcomes", "error", err)
			}
		}
	}
}

func (s *Store) closeIdle(now time.Time) {
	for _, d := range s.allDays() {
		d.mu.Lock()
		var err error
		if d.idle(now, s.idleAfter) {
			err = d.shut()
		}
		d.mu.Unlock()
		if err != nil {
			s.log.Error("an idle day file does not close", "error", err)
		}
	}
}
