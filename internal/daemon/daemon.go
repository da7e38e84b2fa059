// Package daemon runs programs that others wrote for the length of a test: mail servers for
// realmta, name servers for realdns.
//
// Such a program must not outlive its test, also when the test panics or is
// killed and runs no cleanup. The package knows how to end it with all its children, and where
// scripts/install-test-parts.sh puts what it does not install as a Debian package.
// What the program is, and when it is ready, is left to those who start it.
package daemon

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// StopTimeout is how long a program may take to end after SIGTERM; then it is killed.
const StopTimeout = 10 * time.Second

// A Command is what to run, and as whom.
type Command struct {
	Args []string // the program, which is not searched for, and its arguments
	Env  []string // its whole environment
	// Credential is nil for the user of the test.
	Credential *syscall.Credential
}

// A Process is one program with everything it started, which shares its
// process group. Its methods may be used by several goroutines.
type Process struct {
	cmd   *exec.Cmd
	guard *exec.Cmd
	// leash is held open by us alone; it closes when we die.
	leash io.Closer

	ended chan struct{} // closed when cmd has ended
	err   error         // how; to be read after ended is closed
	once  sync.Once
}

// Start runs c with its output in a file, in the root folder. It returns at once; whether
// the program is ready is for the caller to find out.
//
// Beside it runs a guard, a shell that waits for our end of a pipe to close and then ends
// the process group: a test that panics or is killed runs no cleanup, and must leave no server
// behind.
func Start(c Command, output string) (*Process, error) {
	out, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = c.Env
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()

	p.guard = exec.Command("/bin/sh", "-c", `read -r _; kill -s TERM -- "-$0"`, fmt.Sprint(cmd.Process.Pid))
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.leash, err = p.guard.StdinPipe()
	if err == nil {
		err = p.guard.Start()
	}
	if err != nil {
		p.guard = nil
		p.Stop()
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	return p, nil
}

// Ended is closed when the program has ended, by itself or by Stop.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err says how the program ended: nil with status 0, and also while it runs.
func (p *Process) Err() error {
	select {
	case <-p.ended:
		return p.err
	default:
		return nil
	}
}

// Stop ends the process and its group, politely first. It may be called again.
func (p *Process) Stop() {
	p.once.Do(func() {
		if p.guard != nil {
			// Errors mean that the guard is gone already, which is what we want.
			_ = p.guard.Process.Kill()
			_ = p.guard.Wait()
			_ = p.leash.Close()
		}
		group := -p.cmd.Process.Pid
		// The processes may have ended by themselves: nothing to do about errors.
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(StopTimeout):
		}
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-p.ended
	})
}

// Find looks for a program: first where the script unpacks what would be a service
// as a package, below the folder of that name, then on the path, then where only root's path leads.
// The unpacked one comes first because a machine may confine its own to its own configuration
// (Debian's AppArmor profile of unbound does).
func Find(name string) (string, error) {
	if cache, err := os.UserCacheDir(); err == nil {
		path := filepath.Join(cache, "sealpost-test", name, "usr", "sbin", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}
