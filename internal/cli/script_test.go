package cli

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test program be the program sealpost in scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sealpost": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, System("v0.0.0-test"), os.Args[1:]))
	}})
}

// TestScripts runs the whole program, as people do. Nothing leaves the loopback: the
// resolver is an address where nobody listens.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SEALPOST_DELIVERY_RESOLVER", "127.0.0.1:9")
			env.Setenv("SEALPOST_HTTP_LISTEN", "127.0.0.1:0")
			env.Setenv("SEALPOST_HTTP_ADMIN_LISTEN", "")
			env.Setenv("ESCAPE", "\x1b[31mred")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":    scriptCode,
			"isjson":  scriptJSON,
			"waitfor": scriptWait,
			"setport": scriptPort,
			"sql":     scriptSQL,
		},
	})
}

// scriptSQL runs a statement on a file of a server that does not run: sql FILE STATEMENT.
func scriptSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

// scriptCode runs sealpost and checks its exit code: code 2 sealpost serve.
func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// scriptJSON checks that standard output was one JSON document that has the given
// dotted fields: isjson domain.name.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("isjson cannot be negated")
	}
	var document any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &document); err != nil {
		ts.Fatalf("standard output is not one JSON document: %v", err)
	}
	for _, path := range args {
		at := document
		for name := range strings.SplitSeq(path, ".") {
			object, ok := at.(map[string]any)
			if !ok {
				list, isList := at.([]any)
				i, err := strconv.Atoi(name)
				if !isList || err != nil || i >= len(list) {
					ts.Fatalf("the document has no %s", path)
				}
				at = list[i]
				continue
			}
			if at, ok = object[name]; !ok {
				ts.Fatalf("the document has no %s", path)
			}
		}
	}
}

// scriptWait waits until something answers at a socket.
func scriptWait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor SOCKET")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if conn, err := net.Dial("unix", ts.MkAbs(args[0])); err == nil {
			_ = conn.Close()
			return
		}
		<-tick.C
	}
	ts.Fatalf("nobody answers at %s", args[0])
}

// scriptPort takes a port as long as the script runs, and puts its address in a variable.
func scriptPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: setport VARIABLE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}
