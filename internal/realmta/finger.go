package realmta

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/daemon"
)

// fingerTimeout is how long one probe may take: connecting, greeting and handshake have 30
// seconds each in Postfix.
const fingerTimeout = 100 * time.Second

// A Finger is Postfix's own probe, posttls-finger at level dane: it looks up a destination and
// connects to it as Postfix's delivery agent would, and says what it thinks of the TLSA records and the
// certificate. It is the second opinion on ours. Its methods may be used by several goroutines.
type Finger struct {
	root string   // the folder that it takes for the root of the file system
	args []string // the program and its options
}

// NewFinger prepares a probe whose names are resolved by the resolver at the given address and
// port. The port must be 53, because the program reads it from a resolv.conf, where no other can be named. If
// ca is not empty, it is the PEM of the roots that the probe trusts where DANE does not apply; otherwise
// it trusts none.
//
// The program finds its resolv.conf at a fixed place, so it is run in a root folder of its own, with copies of the
// libraries it needs. That takes root, as Postfix does.
func NewFinger(t testing.TB, resolver string, ca []byte) *Finger {
	t.Helper()
	f, err := newFinger(t.TempDir(), resolver, ca)
	if err != nil {
		t.Fatalf("realmta: posttls-finger: %v", err)
	}
	return f
}

func newFinger(root, resolver string, ca []byte) (*Finger, error) {
	at, err := netip.ParseAddrPort(resolver)
	if err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	if at.Port() != 53 {
		return nil, fmt.Errorf("the resolver is at %s, and a resolv.conf cannot name another port than 53: "+
			"run the tests as root, where nothing else takes port 53 of all addresses", resolver)
	}
	if os.Getuid() != 0 {
		return nil, errors.New("only root can give it a resolv.conf of its own: run the tests as root, for example in a container")
	}
	program, err := daemon.Find("posttls-finger")
	if err != nil {
		return nil, errors.New("no such program on this machine: install the Debian package postfix, or run make test, which tries to")
	}
	needs, err := libraries(program)
	if err != nil {
		return nil, err
	}
	var files tree
	for _, path := range append(needs, program, "/etc/passwd", "/etc/group", "/etc/services") {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: path, mode: 0o755, text: string(content)})
	}
	files = append(files,
		file{path: "/etc/resolv.conf", mode: 0o644, text: fmt.Sprintf("nameserver %s\n", at.Addr())},
		file{path: "/etc/postfix/main.cf", mode: 0o644, text: "compatibility_level = 3.6\nmyhostname = finger.test\n"})

	f := &Finger{root: root, args: []string{program, "-v", "-h", "dns", "-l", "dane", "-L", "routine,certmatch,verbose"}}
	if len(ca) > 0 {
		files = append(files, file{path: "/etc/ca.pem", mode: 0o644, text: string(ca)})
		f.args = append(f.args, "-F", "/etc/ca.pem")
	}
	for i := range files {
		files[i].path = filepath.Join(root, files[i].path)
		if err := os.MkdirAll(filepath.Dir(files[i].path), 0o755); err != nil {
			return nil, err
		}
	}
	if err := files.write(); err != nil {
		return nil, err
	}
	return f, settle(filepath.Join(root, "/etc/postfix/main.cf"))
}

// libraries returns the files that the dynamic linker would load for a program, and the linker.
func libraries(program string) ([]string, error) {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("ask ldd what it needs: %w", err)
	}
	// "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)", "/lib64/ld-linux-x86-64.so.2 (0x…)"
	return regexp.MustCompile(`/\S+`).FindAllString(string(out), -1), nil
}

// Probe probes a destination in Postfix's syntax: "recipient.test:2525" for the first MX host of a
// domain that answers, "[mx.recipient.test]:2525" for one host. The TLSA records are those of the same port.
// It connects to one host only, where Postfix would go on to the next. That a destination cannot be reached or
// resolved is a result, not a failure of the test.
func (f *Finger) Probe(t testing.TB, destination string) FingerResult {
	t.Helper()
	r, err := f.probe(t.Context(), destination)
	if err != nil {
		t.Fatalf("realmta: posttls-finger %s: %v\n%s", destination, err, r.Output)
	}
	return r
}

func (f *Finger) probe(ctx context.Context, destination string) (FingerResult, error) {
	ctx, cancel := context.WithTimeout(ctx, fingerTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.args[0], slices.Concat(f.args[1:], []string{destination})...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: f.root}
	out, err := cmd.CombinedOutput()
	if err != nil { // its status is 0 whatever it finds
		return FingerResult{Output: string(out)}, err
	}
	r := parseFinger(string(out))
	if strings.Contains(r.Output, "DNSSEC validation may be unavailable") {
		return r, errors.New("its resolver does not validate: it has not tried DANE")
	}
	return r, nil
}
