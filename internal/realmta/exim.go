package realmta

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/internal/daemon"
)

// EximVariable names the environment variable with the path of an Exim binary that is
// not on the usual path; make test sets it.
const EximVariable = "SEALPOST_TEST_EXIM"

// StartExim runs an Exim and returns when it greets.
func StartExim(t testing.TB, o Options) *Server {
	t.Helper()
	return start(t, exim{}, o)
}

type exim struct{}

func (exim) name() string { return "exim" }

func (exim) prepare(dir string, o Options) (daemon.Command, []string, error) {
	if o.Relay != nil {
		return daemon.Command{}, nil, errors.New("only Postfix can be made a client")
	}
	installed, err := findExim()
	if err != nil {
		return daemon.Command{}, nil, err
	}
	var as *account // the user of the test
	if os.Getuid() == 0 {
		// Debian compiles the name in. As root Exim would keep changing users; as its
		// own user from the start it needs no privileges at all.
		owner, err := lookupUser("Debian-exim")
		if err != nil {
			return daemon.Command{}, nil, err
		}
		as = &owner
	}
	// A copy, because the original may be in a folder only root can enter, and without
	// the set-user-id bit.
	program, err := os.ReadFile(installed)
	if err != nil {
		return daemon.Command{}, nil, err
	}
	binary := filepath.Join(dir, "exim")
	config := filepath.Join(dir, "exim.conf")
	files := tree{
		{path: binary, mode: 0o755, text: string(program)},
		{path: config, mode: 0o644, text: eximConfig(dir, binary, as, o)},
		{path: filepath.Join(dir, "spool"), mode: 0o700, owner: as},
		{path: filepath.Join(dir, "log"), mode: 0o700, owner: as},
		{path: filepath.Join(dir, "mail"), mode: 0o700, owner: as},
	}
	if len(o.Certificate) > 0 {
		files = append(files,
			file{path: filepath.Join(dir, "tls.crt"), mode: 0o600, owner: as, text: string(o.Certificate)},
			file{path: filepath.Join(dir, "tls.key"), mode: 0o600, owner: as, text: string(o.Key)})
	}
	if err := files.write(); err != nil {
		return daemon.Command{}, nil, err
	}
	// -bdf: a daemon in the foreground.
	c := daemon.Command{Args: []string{binary, "-C", config, "-bdf"}, Env: []string{"PATH=/usr/bin:/bin"}}
	if as != nil {
		c.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
	return c, []string{filepath.Join(dir, "log", "mainlog"), filepath.Join(dir, "log", "paniclog")}, nil
}

func findExim() (string, error) {
	if path := os.Getenv(EximVariable); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s: %w", EximVariable, err)
		}
		return path, nil
	}
	if cache, err := os.UserCacheDir(); err == nil { // where the script unpacks it
		path := filepath.Join(cache, "sealpost-test", "exim", "usr", "sbin", "exim4")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	for _, name := range []string{"exim4", "exim"} {
		if path, err := daemon.Find(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Exim on this machine: install the Debian package exim4-daemon-light, " +
		"or run make test, which unpacks it beside another MTA and sets " + EximVariable)
}

// eximConfig is a whole configuration: final destination for the domains, and
// nothing else.
func eximConfig(dir, binary string, as *account, o Options) string {
	address, port, _ := net.SplitHostPort(o.Listen)
	uid, gid := os.Getuid(), os.Getgid()
	if as != nil {
		uid, gid = as.uid, as.gid
	}
	tls := "tls_advertise_hosts =\n"
	if len(o.Certificate) > 0 {
		tls = "tls_advertise_hosts = *\n" +
			"tls_certificate = " + filepath.Join(dir, "tls.crt") + "\n" +
			"tls_privatekey = " + filepath.Join(dir, "tls.key") + "\n"
	}
	if o.NoChunking {
		tls += "chunking_advertise_hosts =\n"
	}
	mailACL := "accept"
	if o.RequireTLS {
		mailACL = "deny\n    !encrypted = *\n    message = Must issue a STARTTLS command first\n  accept"
	}
	return fmt.Sprintf(`primary_hostname = %s
smtp_banner = $primary_hostname ESMTP Exim $version_number
exim_path = %s
exim_user = %d
exim_group = %d
deliver_drop_privilege = true
spool_directory = %s/spool
log_file_path = %s/log/%%slog
pid_file_path = %s/spool/exim.pid
daemon_startup_retries = 0
local_interfaces = <; %s
daemon_smtp_ports = %s
domainlist local_domains = %s
host_lookup =
keep_environment =
check_spool_space = 0
message_size_limit = 50M
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
smtputf8_advertise_hosts = *
%sacl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt

begin acl
acl_mail:
  %s
acl_rcpt:
  accept
    domains = +local_domains
  deny
    message = relay not permitted

begin routers
final:
  driver = accept
  domains = +local_domains
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  maildir_format
  directory = %s/mail
  envelope_to_add
  return_path_add
`, o.Hostname, binary, uid, gid, dir, dir, dir, address, port, strings.Join(o.Domains, " : "), tls, mailACL, dir)
}
