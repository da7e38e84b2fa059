package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/config"
)

// childEnv names the configuration file with which the test binary is to serve, instead
// of running tests.
const childEnv = "SEALPOST_E2E_SERVE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(serve(path))
	}
	os.Exit(m.Run())
}

// serve is the child's whole life: a server, ended by SIGTERM or without asking. It
// says where it listens on one line of standard output.
func serve(path string) int {
	cfg, err := config.Load(path, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { // who has lost its parent must not live on
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		stop()
	}()
	err = app.Run(ctx, cfg, app.Options{Version: "test", HandshakeTimeout: handshakeTime, Ready: func(at app.Addresses) {
		fmt.Println("ready", at.API, at.Submission, at.SubmissionTLS)
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A child is a server in a process of its own.
type child struct {
	*client
	cmd *exec.Cmd
	log *journal
}

// spawn starts a child on the world's data folder and waits until it is ready.
func (w *world) spawn(t testing.TB, delivery ...string) *child {
	t.Helper()
	w.writeFile(t, "sealpost.toml", w.settings(strings.Join(delivery, "\n")))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self), log: &journal{}}
	c.cmd.Env = append(os.Environ(), childEnv+"="+w.dir+"/sealpost.toml")
	c.cmd.Stderr = c.log
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	words := strings.Fields(line)
	if len(words) != 4 {
		c.kill(t)
		t.Fatalf("the server did not start: %q %v\n%s", line, err, c.log)
	}
	c.client = newClient(t, w, words[1], words[2], words[3])
	return c
}

// kill ends the child without warning.
func (c *child) kill(t testing.TB) {
	t.Helper()
	_ = c.cmd.Process.Signal(syscall.SIGKILL)
	var exit *exec.ExitError
	if err := c.cmd.Wait(); !errors.As(err, &exit) || exit.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the server did not die of the kill: %v\n%s", err, c.log)
	}
	if log := c.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the server logged an error:\n%s", log)
	}
}

// A board tells senders where the server is at the moment.
type board struct {
	mu      sync.Mutex
	current *client
	changed chan struct{}
	over    bool
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// set announces a server; nil means that there is none.
func (b *board) set(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = c
	close(b.changed)
	b.changed = make(chan struct{})
}

// end sends the senders home.
func (b *board) end() {
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
	b.set(nil)
}

// get waits for a server other than the one that failed its caller, and returns nil
// at the end.
func (b *board) get(failed *client) *client {
	for {
		b.mu.Lock()
		c, changed, over := b.current, b.changed, b.over
		b.mu.Unlock()
		if over {
			return nil
		}
		if c != nil && c != failed {
			return c
		}
		select {
		case <-changed:
		case <-time.After(patience):
			return nil
		}
	}
}
