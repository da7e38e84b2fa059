package realmta

import (
	"os"
	"syscall"
	"time"
)

// file is a file, or a folder when text is empty.
type file struct {
	path  string
	mode  os.FileMode
	owner *account // nil: the user of the test
	text  string
}

// tree is written in its order, so folders come before what is in them.
type tree []file

func (t tree) write() error {
	for _, f := range t {
		var err error
		if f.text == "" {
			err = os.Mkdir(f.path, f.mode)
		} else {
			err = f.create()
		}
		if err != nil {
			return err
		}
		// The umask of the test must not decide what the MTA may read.
		if err := os.Chmod(f.path, f.mode); err != nil {
			return err
		}
		if f.owner == nil {
			continue
		}
		if err := os.Chown(f.path, f.owner.uid, f.owner.gid); err != nil {
			return err
		}
	}
	return nil
}

// settle makes configuration files of Postfix look old. It reads none that may still be written: it
// waits until the last change is more than a second ago.
func settle(paths ...string) error {
	old := time.Now().Add(-time.Minute)
	for _, path := range paths {
		if err := os.Chtimes(path, old, old); err != nil {
			return err
		}
	}
	return nil
}

// create writes the file. While it is open for writing no process may be forked: the
// child would hold it open for a moment, and Linux runs no program that somebody writes to.
func (f file) create() error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(f.path, []byte(f.text), f.mode)
}
