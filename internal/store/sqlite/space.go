package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/internal/store"
)

// reserveSize is the room kept for outcomes when the disk is full: those of some
// thousand deliveries.
const reserveSize = 64 << 20

// A space watches the free room on the disk (REL-12). New mail is refused while
// there is little left; a preallocated file is given up when even an outcome
// finds no room.
type space struct {
	dir     string
	minFree int64 // octets; 0: the larger of 1 GiB and 5 %; negative: no limit
	// usage tells the octets that are free and those there are.
	usage func(dir string) (free, total uint64, err error)

	mu       sync.Mutex
	reserved bool
}

func diskUsage(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for free disk space: %w", err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// check returns ErrFull if n more octets would leave too little room.
func (s *space) check(n int64) error {
	if s.minFree < 0 {
		return nil
	}
	free, total, err := s.usage(s.dir)
	if err != nil {
		return err
	}
	least := uint64(s.minFree)
	if least == 0 {
		least = max(1<<30, total/20)
	}
	if free < least+uint64(max(n, 0)) {
		return fmt.Errorf("%d MiB are free, new mail needs %d MiB: %w", free>>20, (least+uint64(max(n, 0)))>>20, store.ErrFull)
	}
	return nil
}

// reserve makes the reserve if it is not there and there is room enough for it
// beside the mail. Without room there is none; that is no error.
func (s *space) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved || s.minFree < 0 || s.check(2*reserveSize) != nil {
		return nil
	}
	path := filepath.Join(s.dir, reserveName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make the reserve: %w", err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, reserveSize); err != nil {
		os.Remove(path)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil
		}
		return fmt.Errorf("make the reserve: %w", err)
	}
	s.reserved = true
	return nil
}

// release gives the reserve up, if there is one.
func (s *space) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.reserved {
		return
	}
	os.Remove(filepath.Join(s.dir, reserveName)) // if it cannot go, the next attempt to write says what is wrong
	s.reserved = false
}

// noRoom reports whether err says that the disk, its inodes or a quota are used up
// (REL-17).
func noRoom(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// broken reports whether err says that the disk does not work.
func broken(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission)
}
