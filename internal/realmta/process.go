package realmta

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a server may take to end after SIGTERM.
const stopTimeout = 10 * time.Second

// command is what to run, and as whom.
type command struct {
	args []string
	env  []string
	// credential is nil for the user of the test.
	credential *syscall.Credential
}

// process is one server process with everything it started, which shares its
// process group.
type process struct {
	cmd   *exec.Cmd
	guard *exec.Cmd
	// leash is held open by us alone; it closes when we die.
	leash io.Closer

	ended chan struct{} // closed when cmd has ended
	err   error         // how; to be read after ended is closed
	once  sync.Once
}

// startProcess runs c with its output in a file. Beside it runs a guard, a shell that
// waits for our end of a pipe to close and then ends the process group: a test that panics
// or is killed runs no cleanup, and must leave no mail server behind.
func startProcess(c command, output string) (*process, error) {
	out, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Env = c.env
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.credential}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.args[0], err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
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
		p.stop()
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	return p, nil
}

// stop ends the process and its group, politely first. It may be called again.
func (p *process) stop() {
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
		case <-time.After(stopTimeout):
		}
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-p.ended
	})
}
