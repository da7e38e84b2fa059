package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/confdb"
)

const (
	// maxBatch is how many operations share one transaction and one sync.
	maxBatch = 512
	// checkpointPages is the length of the log, in pages of 4 KiB, at which it is
	// moved into the file: 32 MiB.
	checkpointPages = 8192
)

// An op is one operation waiting to be committed.
type op struct {
	// apply does the operation inside the batch's transaction. It may be called again
	// after a rollback, and must leave nothing behind in memory but what it notes in b.
	apply func(b *batch) error
	// committed, if not nil, is called once when the batch is on disk.
	committed func()
	// outcome operations may use the reserve when the disk is full.
	outcome bool

	state atomic.Int32
	done  chan error
	err   error // of apply, in this try
}

// States of an op: the caller may take it back until the committer begins it.
const (
	waiting int32 = iota
	begun
	withdrawn
)

// A writer is the committer of one day file: it owns the file's only writing
// connection and groups what waits into transactions, one sync for all.
type writer struct {
	day  *day
	s    *Store
	db   *sql.DB
	conn *sql.Conn
	st   statements

	ops   chan *op
	quit  chan struct{}
	ended chan struct{}

	tags map[tagName]int64 // numbers that are known; only the committer's

	pages      int           // written since the last checkpoint
	checkpoint chan struct{} // asks the checkpointer to work
	tail       chan struct{} // asks the committer to move what little is left
	pointer    chan struct{} // closed when the checkpointer has ended
}

func startWriter(d *day) (*writer, error) {
	ctx := context.Background()
	db, err := openPool(d.path, mode{write: true, conns: 2, cacheKB: 16000}) // the second for checkpoints
	if err != nil {
		return nil, err
	}
	w := &writer{
		day: d, s: d.s, db: db, tags: map[tagName]int64{},
		ops:        make(chan *op, 2*maxBatch),
		quit:       make(chan struct{}),
		ended:      make(chan struct{}),
		checkpoint: make(chan struct{}, 1),
		tail:       make(chan struct{}, 1),
		pointer:    make(chan struct{}),
	}
	if w.conn, err = db.Conn(ctx); err == nil {
		err = w.st.prepare(ctx, w.conn, d.version)
	}
	if err == nil {
		err = w.findTags(ctx)
	}
	// Preparing made the log. Its entry is synced, and only then is the day listed as
	// open, so that a log that is gone at the next start is known to be missing.
	if err == nil {
		err = syncDir(d.s.dir)
	}
	if err == nil {
		err = d.s.config.list(ctx, d.name, true)
	}
	if err != nil {
		if w.conn != nil {
			w.conn.Close()
		}
		db.Close()
		return nil, err
	}
	go w.run()
	go w.checkpoints()
	return w, nil
}

// stop ends the committer. Nobody submits any more.
func (w *writer) stop() {
	close(w.quit)
	<-w.ended
	<-w.pointer
}

// close closes the connections of a writer that was stopped.
func (w *writer) close() error {
	return errors.Join(w.st.close(), w.conn.Close(), w.db.Close())
}

// do submits an operation and waits until it is on disk or refused. If ctx ends
// before the operation has begun, nothing is done.
func (w *writer) do(ctx context.Context, o *op) error {
	w.submit(ctx, o)
	return o.wait(ctx)
}

func (w *writer) submit(ctx context.Context, o *op) {
	o.done = make(chan error, 1)
	if err := ctx.Err(); err != nil {
		o.done <- err
		return
	}
	select {
	case w.ops <- o:
	case <-ctx.Done():
		o.done <- ctx.Err()
	}
}

func (o *op) wait(ctx context.Context) error {
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.state.CompareAndSwap(waiting, withdrawn) {
			return ctx.Err()
		}
		return <-o.done
	}
}

// run commits what waits until the writer is stopped.
func (w *writer) run() {
	defer close(w.ended)
	ops := make([]*op, 0, maxBatch)
	for {
		select {
		case o := <-w.ops:
			ops = append(ops[:0], o)
		case <-w.tail:
			w.moveLog(w.conn)
			continue
		case <-w.quit:
			return
		}
	fill:
		for len(ops) < maxBatch {
			select {
			case o := <-w.ops:
				ops = append(ops, o)
			default:
				break fill
			}
		}
		live := ops[:0]
		for _, o := range ops {
			if o.state.CompareAndSwap(waiting, begun) {
				live = append(live, o)
			}
		}
		if len(live) > 0 {
			w.commit(live)
		}
		clear(ops[:cap(ops)])
	}
}

// commit brings the operations to disk and answers each.
func (w *writer) commit(ops []*op) {
	apart, released := false, false
	for len(ops) > 0 {
		if err := w.s.Err(); err != nil {
			answer(ops, err)
			return
		}
		b := &batch{w: w, now: time.Now().UTC().Truncate(time.Microsecond)}
		err := w.transaction(b, ops, apart)
		switch class := classify(err); {
		case err == nil:
			w.s.commits.Add(1)
			b.finish(ops)
			w.measure()
			return
		case class == fullError:
			// Outcomes that happened are recorded from the reserve; new mail waits
			// outside (REL-12).
			full := fmt.Errorf("%w: %w", store.ErrFull, err)
			if ops = refuseAccepts(ops, full); len(ops) == 0 || released {
				answer(ops, full)
				return
			}
			w.s.space.release()
			released = true
		case class == brokenError, class == corruptError:
			answer(ops, w.s.judge(w.day, fmt.Errorf("write day %s: %w", w.day.name, err)))
			return
		case !apart:
			apart = true // find out whose fault it is
		default:
			answer(ops, fmt.Errorf("write day %s: %w", w.day.name, err))
			return
		}
	}
}

// transaction applies the operations and commits. An error means that nothing was
// done and the batch's notes were undone. With apart, an operation that fails is
// undone alone and keeps its error; without, it fails the transaction, which
// saves two statements per operation in the usual case.
func (w *writer) transaction(b *batch, ops []*op, apart bool) (err error) {
	ctx := context.Background()
	if _, err := w.st.begin.ExecContext(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.undo(0)
			w.forgetTags()
			b.unregister()
			w.st.rollback.ExecContext(ctx) // says "no transaction" where SQLite has rolled back itself
		}
	}()
	for _, o := range ops {
		o.err = nil
		mark := len(b.notes)
		if apart {
			if _, err := w.st.savepoint.ExecContext(ctx); err != nil {
				return err
			}
		}
		if err := o.apply(b); err != nil {
			if !apart || classify(err) != otherError {
				return err
			}
			o.err = err
			b.undo(mark)
			w.forgetTags()
			if _, err := w.st.rollbackTo.ExecContext(ctx); err != nil {
				return err
			}
		}
		if apart {
			if _, err := w.st.releasePoint.ExecContext(ctx); err != nil {
				return err
			}
		}
	}
	_, err = w.st.commit.ExecContext(ctx)
	return err
}

func answer(ops []*op, err error) {
	for _, o := range ops {
		o.done <- err
	}
}

// refuseAccepts answers the operations that are not outcomes and returns the rest.
func refuseAccepts(ops []*op, err error) []*op {
	var rest []*op
	for _, o := range ops {
		if o.outcome {
			rest = append(rest, o)
		} else {
			o.done <- err
		}
	}
	return rest
}

// measure wakes the checkpointer when the log has grown long.
func (w *writer) measure() {
	_ = w.conn.Raw(func(c any) error { // Status fails only for counters it does not know
		n, _, err := c.(driver.DBStatus).Status(driver.DBStatusCacheWrite, true)
		w.pages += n
		return err
	})
	if w.pages < w.s.logPages {
		return
	}
	select {
	case w.checkpoint <- struct{}{}:
		w.pages = 0
	default:
	}
}

// checkpoints moves the log into the file beside the committer: neither waits for
// the other. What was committed meanwhile is left for the committer to move between
// two batches: only a log that is moved completely starts again from its beginning.
func (w *writer) checkpoints() {
	defer close(w.pointer)
	for {
		select {
		case <-w.checkpoint:
		case <-w.ended:
			return
		}
		if !w.moveLog(w.db) {
			return
		}
		select {
		case w.tail <- struct{}{}:
		default:
		}
	}
}

// moveLog moves what no reader holds back and reports whether the file is well.
func (w *writer) moveLog(on confdb.Queryer) bool {
	var busy, length, moved int
	err := on.QueryRowContext(context.Background(), `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &length, &moved)
	switch classify(err) {
	case brokenError, corruptError:
		w.s.judge(w.day, fmt.Errorf("checkpoint day %s: %w", w.day.name, err))
		return false
	}
	if err != nil {
		w.s.log.Warn("the log of a day file was not moved", "day", w.day.name, "error", err)
	} else if length > 8*w.s.logPages {
		w.s.log.Warn("a long read keeps the log of a day file from shrinking", "day", w.day.name, "log-pages", length, "moved", moved)
	}
	return true
}
