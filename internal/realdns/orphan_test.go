package realdns

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealpost/sealpost/internal/daemon"
)

// A test process that is killed runs no cleanup, and still leaves no name server behind: the test
// starts itself again, lets that process start a world, and kills it.
func TestWorldEndsWhenTheTestProcessIsKilled(t *testing.T) {
	const variable = "REALDNS_CHILD"
	if os.Getenv(variable) != "" {
		fmt.Println("world at", Start(t, World{}).Addr())
		select {} // until killed
	}
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), variable+"=1", "TMPDIR="+t.TempDir()) // nobody else removes its folder
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
		addr, _ = strings.CutPrefix(lines.Text(), "world at ")
	}
	_ = child.Process.Kill()
	_ = child.Wait() // it was killed
	if addr == "" {
		t.Fatal("the other process started no world")
	}

	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	client := &dns.Client{Net: "tcp", Timeout: askTimeout}
	for deadline := time.After(daemon.StopTimeout); ; {
		if _, _, err := client.Exchange(new(dns.Msg).SetQuestion(".", dns.TypeNS), addr); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the resolver still answers at %s", addr)
		}
	}
}
