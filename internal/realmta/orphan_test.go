package realmta

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/daemon"
)

// A test process that is killed runs no cleanup, and still leaves nothing behind: the
// test starts itself again, lets that process start a server, and kills it.
func TestServerEndsWhenTheTestProcessIsKilled(t *testing.T) {
	const variable = "REALMTA_CHILD_LISTEN"
	for _, f := range []flavour{postfix{}, exim{}} {
		t.Run(f.name(), func(t *testing.T) {
			if listen := os.Getenv(variable); listen != "" {
				start(t, f, Options{Listen: listen})
				select {} // until killed
			}
			listen, err := freePort()
			if err != nil {
				t.Fatal(err)
			}
			// Its server lives below our folder, because nobody else removes it.
			parent := t.TempDir()
			for _, folder := range []string{parent, parent + "/.."} {
				if err := os.Chmod(folder, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
			child.Env = append(os.Environ(), variable+"="+listen, "TMPDIR="+parent)
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			s := &Server{Addr: listen, process: &daemon.Process{}}
			if err := s.awaitGreeting("mx.example.test"); err != nil {
				t.Error(err)
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait() // it was killed

			tick := time.NewTicker(pollInterval)
			defer tick.Stop()
			for deadline := time.After(daemon.StopTimeout); ; {
				conn, err := net.Dial("tcp", listen)
				if err != nil {
					return
				}
				conn.Close()
				select {
				case <-tick.C:
				case <-deadline:
					t.Fatalf("%s still listens on %s", f.name(), listen)
				}
			}
		})
	}
}
