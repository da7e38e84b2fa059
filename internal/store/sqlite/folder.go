package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/internal/store"
)

// Names inside the data folder.
const (
	lockName    = "lock"
	configName  = "config.db"
	bigName     = "big"
	reserveName = "reserve"
	daySuffix   = ".db"
	newSuffix   = ".new"
)

// makeFolder creates the data folder and the folder of big contents, and checks
// that nobody but the owner may enter (SEC-77).
func makeFolder(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, bigName)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("create data folder: %w", err)
		}
		if err := tighten(d); err != nil {
			return err
		}
		if err := checkPrivate(d, 0o700); err != nil {
			return err
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// tighten takes everybody else's rights to a folder that is still empty, as one is
// that a package or a container made for us: there is nothing yet that could have been read.
func tighten(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	if len(entries) > 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("protect data folder: %w", err)
	}
	return nil
}

// checkFiles checks that nobody but the owner may read what is in the folder.
func checkFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	for _, e := range entries {
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if err := checkPrivate(filepath.Join(dir, e.Name()), want); err != nil {
			return err
		}
	}
	return nil
}

func checkPrivate(path string, want fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("check data folder: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others on this machine may read keys and mail: set it to %04o (chmod -R go= %s)",
			path, mode, want, path)
	}
	return nil
}

// lockFolder takes the data folder for this process (REL-06). The kernel gives
// the lock back when the process ends, however it ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		pid, _ := io.ReadAll(io.LimitReader(f, 32))
		return nil, fmt.Errorf("%s is used by process %s: %w", dir, strings.TrimSpace(string(pid)), store.ErrLocked)
	}
	if err = f.Truncate(0); err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write lock file: %w", err)
	}
	return f, nil
}

// syncDir makes the entries of a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// syncFile makes the contents of a file durable.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("sync file: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// createPrivate makes an empty file that only the owner may read, so that SQLite
// finds it and gives its write-ahead log the same mode. It must not exist.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// removeDatabase removes a database with its write-ahead log, log first: a
// database without its log is whole as of the last checkpoint, while a log without its
// database would be taken for the log of a new file of that name.
func removeDatabase(path string) error {
	var errs []error
	for _, p := range []string{path + "-wal", path + "-shm", path} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
