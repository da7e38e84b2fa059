package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/lab"
)

// startLab runs the lab's server until the test ends, and returns its folder and
// what it printed.
func startLab(t *testing.T) (dir, welcome string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "lab")
	output, printed := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := app.RunLab(ctx, app.LabOptions{Dir: dir, Listen: "127.0.0.1:0", Version: "test", Stdout: printed, Log: io.Discard})
		printed.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the lab ended with %v", err)
		}
	})
	var text bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(text.String(), "lab events") {
		n, err := output.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("the lab did not start: %v", err)
		}
	}
	return dir, text.String()
}

// run runs a command and returns its exit code and what it printed.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env := System("test")
	var out, errs bytes.Buffer
	env.Stdin, env.Stdout, env.Stderr, env.Environ = strings.NewReader(""), &out, &errs, nil
	code = Main(t.Context(), env, args)
	return code, out.String(), errs.String()
}

// The first two minutes of a newcomer: the lab starts, prints a line to paste, and the
// truth table has nothing to hide.
func TestLab(t *testing.T) {
	t.Parallel()
	dir, welcome := startLab(t)
	if !strings.Contains(welcome, "curl -s --user api:lab-") || !strings.Contains(welcome, "o:require-tls=yes") {
		t.Errorf("no line to paste in\n%s", welcome)
	}
	code, stdout, stderr := run(t, "lab", "--dir", dir, "-o", "json")
	if code != ExitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var lines []lab.Line
	if err := json.Unmarshal([]byte(stdout), &lines); err != nil {
		t.Fatal(err)
	}
	// What the contract's table says of each receiver, for (f,f) (f,t) (t,f) (t,t):
	// V verified, U unverified, P plaintext, N not delivered.
	want := map[string]string{
		"valid": "VVVV", "self-signed": "PUNU", "wrong-name": "PUNU", "expired": "PUNU", "unknown-ca": "PUNU",
		"no-starttls": "PPNN", "starttls-refused": "PPNN", "handshake-broken": "PPNN", "stalled": "PPNN", "tls-only": "UUNU",
	}
	got := map[string]string{}
	for _, l := range lines {
		letter := "N"
		switch {
		case l.Delivered && l.Verified:
			letter = "V"
		case l.Delivered && l.TLS:
			letter = "U"
		case l.Delivered:
			letter = "P"
		}
		got[l.Receiver] += letter
		if !l.True {
			t.Errorf("log and receiver disagree: %+v", l)
		}
		if l.Delivered != (l.Seen != nil) || l.Seen != nil && l.Seen.TLS != l.TLS {
			t.Errorf("%s: logged %s, seen %+v", l.Receiver, letter, l.Seen)
		}
	}
	for receiver, letters := range want {
		if got[receiver] != letters {
			t.Errorf("%s: %s, want %s", receiver, got[receiver], letters)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d receivers, want %d", len(got), len(want))
	}
}

// A lab uses no folder but its own and no address but loopback, and a real server no
// lab's folder.
func TestLabKeepsToItself(t *testing.T) {
	t.Parallel()
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "config.db"), []byte("mail"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"lab", "up", "--dir", foreign, "--listen", "127.0.0.1:0"},
		{"lab", "up", "--dir", t.TempDir(), "--listen", "0.0.0.0:0"},
		{"lab", "up", "--dir", t.TempDir(), "--listen", "192.0.2.1:80"},
	} {
		if code, _, stderr := run(t, args...); code != ExitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
	mine := t.TempDir()
	if err := os.WriteFile(filepath.Join(mine, "LAB"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("sealpost.toml", []byte("[server]\nhostname = \"mx.example.com\"\n[http]\nlisten = \"127.0.0.1:0\"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Server.DataDir = mine
	err = app.Run(t.Context(), cfg, app.Options{Log: io.Discard})
	if coded, ok := err.(interface{ ExitCode() int }); !ok || coded.ExitCode() != ExitUsage || !strings.Contains(err.Error(), "lab") {
		t.Errorf("a real server on a lab's folder: %v", err)
	}
}

// The lab's addresses mean nothing to a server without the lab.
func TestLabAddressesAreLoopback(t *testing.T) {
	l, err := lab.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	var passedOn []string
	dial := l.Dial(func(_ context.Context, _, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		passedOn = append(passedOn, address)
		return nil, net.ErrClosed
	})
	conn, err := dial(t.Context(), "tcp", "127.0.84.1:25")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if host, _, _ := net.SplitHostPort(conn.RemoteAddr().String()); host != "127.0.0.1" {
		t.Errorf("a receiver listens on %s", host)
	}
	if _, err := dial(t.Context(), "tcp", "192.0.2.1:25"); err == nil || len(passedOn) != 1 {
		t.Errorf("%v, passed on %v", err, passedOn)
	}
}
