package suppression

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

const (
	// MaxFile is the size of a file that is imported, in octets.
	MaxFile = 25 << 20
	// MaxRunning is how many imports of a domain may wait or run at a time.
	MaxRunning = 10

	together    = 200 // records between two transactions: some 15 ms for the writer
	maxProblems = 10
	partSuffix  = ".part"
	fileSuffix  = ".csv"
)

// ErrBusy is what a domain with MaxRunning imports under way gets.
var ErrBusy = errors.New("too many imports are under way")

// Open returns a room that keeps files of imports in the folder, creating it. It removes what belongs to no
// import.
func Open(ctx context.Context, dir string, s Store, log *slog.Logger) (*Room, error) {
	r := &Room{store: s, dir: dir, log: log, wake: make(chan struct{}, 1)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of imports: %w", err)
	}
	running, err := s.UnfinishedImports(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of imports: %w", err)
	}
	for _, e := range entries {
		if slices.ContainsFunc(running, func(im store.Import) bool { return fileName(im.ID) == e.Name() }) {
			continue
		}
		if ext := filepath.Ext(e.Name()); ext != partSuffix && ext != fileSuffix {
			continue // not ours
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("empty the folder of imports: %w", err)
		}
	}
	return r, nil
}

func fileName(id int64) string { return strconv.FormatInt(id, 10) + fileSuffix }

func (r *Room) path(id int64) string { return filepath.Join(r.dir, fileName(id)) }

// A File is an upload. Open may be called more than once.
type File struct {
	Name string
	Size int64
	Open func() (io.ReadCloser, error)
}

// Take stores a file of entries for a list and returns once it is safe on disk; it is read in the
// background. ErrHeader if its first line does not name its columns, ErrBusy if too many of the domain
// wait already.
func (r *Room) Take(ctx context.Context, domainID int64, list store.SuppressionList, f File) (err error) {
	content, err := f.Open()
	if err != nil {
		return err
	}
	_, err = readHeader(newCSV(content), list)
	if err := errors.Join(err, content.Close()); err != nil {
		return err
	}
	imports, err := r.store.ListImports(ctx, domainID)
	if err != nil {
		return err
	}
	running := 0
	for _, im := range imports {
		if im.State == store.ImportRunning {
			running++
		}
	}
	if running >= MaxRunning {
		return ErrBusy
	}
	part, err := r.keep(f)
	if err != nil {
		return fmt.Errorf("store the file of an import: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part) // or the next start does it
		}
	}()
	im := store.Import{DomainID: domainID, List: list, File: shown(f.Name), Size: f.Size}
	// From here it is ours: the client's going away must not leave half of it.
	ctx = context.WithoutCancel(ctx)
	if err := r.store.CreateImport(ctx, &im); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(part, r.path(im.ID)), syncDir(r.dir)); err != nil {
		im.Problems = []string{"the file could not be stored"}
		return errors.Join(fmt.Errorf("store the file of an import: %w", err), r.end(ctx, &im, store.ImportFailed))
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

// keep writes an upload to a file of its own and returns its path.
func (r *Room) keep(f File) (_ string, err error) {
	in, err := f.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.CreateTemp(r.dir, "*"+partSuffix)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		_ = os.Remove(out.Name()) // or the next start does it
		return "", err
	}
	return out.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readAll reads every file that waits.
func (r *Room) readAll(ctx context.Context) error {
	running, err := r.store.UnfinishedImports(ctx)
	if err != nil {
		return err
	}
	for i := range running {
		if err := r.read(ctx, &running[i]); err != nil {
			return err
		}
	}
	return nil
}

// read reads a file from where it stopped. An error is trouble of ours, and the file is read on later.
func (r *Room) read(ctx context.Context, im *store.Import) error {
	file, err := os.Open(r.path(im.ID))
	if errors.Is(err, fs.ErrNotExist) {
		note(im, "the file is not there any more")
		return r.end(ctx, im, store.ImportFailed)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	state, err := r.readRecords(ctx, im, newCSV(file))
	if errors.Is(err, store.ErrNotFound) { // its domain was deleted
		return os.Remove(r.path(im.ID))
	}
	if err != nil {
		return err
	}
	return r.end(ctx, im, state)
}

// readRecords stores the entries of a file, some at a time.
func (r *Room) readRecords(ctx context.Context, im *store.Import, c *csvReader) (store.ImportState, error) {
	h, err := readHeader(c, im.List)
	if err != nil {
		note(im, err.Error())
		return store.ImportFailed, nil
	}
	skip := im.Records
	var entries []store.Suppression
	for stored := im.Records; ; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		cells, err := c.read()
		var bad badRecord
		switch {
		case err == io.EOF:
			return store.ImportDone, r.store.AdvanceImport(ctx, im, entries)
		case err != nil && !errors.As(err, &bad):
			note(im, "the file could not be read to its end")
			r.log.ErrorContext(ctx, "the file of an import could not be read", "import", im.ID, "error", err)
			return store.ImportFailed, r.store.AdvanceImport(ctx, im, entries)
		case skip > 0:
			skip--
			continue
		}
		im.Records++
		var s store.Suppression
		if err == nil {
			s, err = Parse(im.List, h.fields(cells), im.Created)
		}
		if err != nil {
			im.Bad++
			note(im, fmt.Sprintf("line %d: %s", c.line, err))
		} else {
			entries = append(entries, s)
		}
		if im.Records-stored == together {
			if err := r.store.AdvanceImport(ctx, im, entries); err != nil {
				return "", err
			}
			stored, entries = im.Records, entries[:0]
		}
	}
}

func note(im *store.Import, problem string) {
	if len(im.Problems) < maxProblems {
		im.Problems = append(im.Problems, problem)
	}
}

// end says that an import is over, in the store and in the log, and removes its file.
func (r *Room) end(ctx context.Context, im *store.Import, state store.ImportState) error {
	im.State, im.Finished = state, time.Now().UTC().Truncate(time.Microsecond)
	if err := r.store.AdvanceImport(ctx, im, nil); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.log.InfoContext(ctx, "import of suppressions ended", "import", im.ID, "domain-id", im.DomainID, "list", im.List.String(),
		"state", string(im.State), "records", im.Records, "bad", im.Bad, "problems", strings.Join(im.Problems, "; "))
	if err := os.Remove(r.path(im.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
