package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Damage tells of a day whose mail cannot be read.
type Damage struct {
	Day string // 2006-01-02
	Err error
	// Moved is the name under which the file was set aside; empty if there is no
	// file, or if it still lies in its place.
	Moved string
}

// openDays finds the day files, inspects each and returns the largest id in them.
// Files that are damaged are set aside (REL-44).
func (s *Store) openDays(ctx context.Context, names []string) (newest mail.ID, err error) {
	listed, err := s.config.days(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the list of days: %w", err)
	}
	for name := range listed {
		if !slices.Contains(names, name) {
			s.report(Damage{Day: name, Err: fmt.Errorf("%s%s is missing: its messages and events are lost", name, daySuffix)})
		}
	}
	for _, name := range names {
		d, err := newDay(s, name)
		if err != nil {
			return 0, err
		}
		dirty, known := listed[name]
		c, err := s.census(ctx, d, dirty)
		switch {
		case errors.Is(err, store.ErrNewer):
			return 0, fmt.Errorf("open %s: %w", d.path, err)
		case errors.Is(err, errDamaged), classify(err) == corruptError:
			// Its ids are not known, but none is from the future.
			newest = max(newest, min(d.end, mail.FirstID(time.Now().Add(time.Second))))
			if err := s.setAside(ctx, d, err); err != nil {
				return 0, err
			}
			continue
		case err != nil:
			return 0, fmt.Errorf("open %s: %w", d.path, err)
		}
		if !known { // we stopped between making and listing it, or it was copied here
			if err := s.config.list(ctx, name, false); err != nil {
				return 0, err
			}
		}
		d.version = c.version
		newest = max(newest, c.newest)
		d.newest.Store(int64(max(c.event, d.first)))
		if c.queued {
			d.filled.Store(1)
		}
		s.days[name] = d
		if dirty {
			s.unclean = append(s.unclean, d)
		}
	}
	return newest, nil
}

// census opens a day file for a moment. Opening replays its log.
func (s *Store) census(ctx context.Context, d *day, dirty bool) (census, error) {
	if dirty && !exists(d.path+"-wal") {
		return census{}, fmt.Errorf("it was not closed, and its log %s-wal is missing: %w", filepath.Base(d.path), errDamaged)
	}
	db, err := openPool(d.path, mode{conns: 1, cacheKB: 200})
	if err != nil {
		return census{}, err
	}
	defer db.Close()
	c, err := inspect(ctx, db)
	if err == nil && dirty {
		// Closing moves the log into the file and removes it. The list says so before
		// it happens, so that stopping in between is not taken for a loss.
		err = s.config.list(ctx, d.name, false)
	}
	return c, err
}

// setAside renames a damaged day file, with its log, so that nothing uses or
// overwrites it, and reports it.
func (s *Store) setAside(ctx context.Context, d *day, cause error) error {
	moved := fmt.Sprintf("%s.damaged-%s", filepath.Base(d.path), time.Now().UTC().Format("20060102T150405.000"))
	if !exists(d.path) {
		moved = "" // nothing is left to look at
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if moved == "" {
			break
		}
		err := os.Rename(d.path+suffix, filepath.Join(s.dir, moved+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set damaged day file aside: %w", err)
		}
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	if err := s.config.unlist(ctx, d.name); err != nil {
		return err
	}
	s.report(Damage{Day: d.name, Err: cause, Moved: moved})
	return nil
}

// report remembers a damage and says it aloud. A file that is set aside after its
// damage was reported completes the report.
func (s *Store) report(d Damage) {
	s.log.Error("mail of a day cannot be read", "day", d.Day, "error", d.Err, "set-aside-as", d.Moved)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, known := range s.damages {
		if known.Day == d.Day && known.Moved == "" && d.Moved != "" {
			s.damages[i].Moved = d.Moved
			return
		}
	}
	s.damages = append(s.damages, d)
}

// dayNames returns the days that have a file, oldest first.
func dayNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read data folder: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), daySuffix)
		if _, err := time.Parse(time.DateOnly, name); ok && err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// enterDay returns the day of an id, entered. With create, a day that has no file
// yet gets one; else it is not found.
func (s *Store) enterDay(ctx context.Context, id mail.ID, create bool) (*day, error) {
	if id <= 0 {
		return nil, store.ErrNotFound
	}
	name := id.Day()
	s.mu.Lock()
	d := s.days[name]
	s.mu.Unlock()
	if d == nil {
		if !create {
			return nil, store.ErrNotFound
		}
		var err error
		if d, err = s.createDay(ctx, name); err != nil {
			return nil, err
		}
	}
	return d, d.enter()
}

func (s *Store) createDay(ctx context.Context, name string) (*day, error) {
	s.creating.Lock()
	defer s.creating.Unlock()
	s.mu.Lock()
	d := s.days[name]
	s.mu.Unlock()
	if d != nil {
		return d, nil
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	d, err := newDay(s, name)
	if err != nil {
		return nil, err
	}
	// Many wait for the new day, so one caller's context does not decide over it.
	ctx = context.WithoutCancel(ctx)
	if err := createDayFile(ctx, d.path); err != nil {
		return nil, s.judge(nil, err)
	}
	if err := s.config.list(ctx, name, false); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.days[name] = d
	return d, nil
}

// allDays returns the days, oldest first.
func (s *Store) allDays() []*day {
	s.mu.Lock()
	defer s.mu.Unlock()
	days := make([]*day, 0, len(s.days))
	for _, d := range s.days {
		days = append(days, d)
	}
	slices.SortFunc(days, func(a, b *day) int { return cmp.Compare(a.first, b.first) })
	return days
}

// eachQueue calls f for every day that may have queue rows, oldest first. A day
// that turns out to be damaged is reported and passed over, so that the others'
// mail goes on.
func (s *Store) eachQueue(ctx context.Context, f func(d *day) error) error {
	for _, d := range s.allDays() {
		if !d.hasQueue() {
			continue
		}
		if err := s.withDay(ctx, d, f); err != nil {
			return err
		}
	}
	return nil
}

// withDay calls f with d entered. Damage to the day is reported, not returned.
func (s *Store) withDay(ctx context.Context, d *day, f func(d *day) error) error {
	err := d.enter()
	if err == nil {
		if err = f(d); err != nil && ctx.Err() == nil {
			err = s.judge(d, err)
		}
		d.leave()
	}
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, store.ErrNotFound) && d.removed():
		return nil
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// removed reports whether the day's file was pruned or set aside meanwhile.
func (d *day) removed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}
