package realmta

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/daemon"
)

// StartPostfix runs a Postfix and returns when it greets. The test must run as
// root: Postfix refuses everybody else.
func StartPostfix(t testing.TB, o Options) *Server {
	t.Helper()
	return start(t, postfix{}, o)
}

type postfix struct{}

func (postfix) name() string { return "postfix" }

func (postfix) prepare(dir string, o Options) (daemon.Command, []string, error) {
	if os.Getuid() != 0 {
		return daemon.Command{}, nil, errors.New("only root can start Postfix: run the tests as root, for example in a container")
	}
	postconf, err := daemon.Find("postconf")
	if err != nil {
		return daemon.Command{}, nil, errors.New("no Postfix on this machine: install the Debian package postfix, or run make test, which tries to")
	}
	folder, err := exec.Command(postconf, "-d", "-h", "daemon_directory").Output()
	if err != nil {
		return daemon.Command{}, nil, fmt.Errorf("ask postconf for daemon_directory: %w", err)
	}
	master := filepath.Join(strings.TrimSpace(string(folder)), "master")
	owner, err := lookupUser("postfix")
	if err != nil {
		return daemon.Command{}, nil, err
	}
	mailbox, err := lookupUser("nobody") // Postfix does not deliver as itself
	if err != nil {
		return daemon.Command{}, nil, err
	}

	config := filepath.Join(dir, "config")
	log := filepath.Join(dir, "maillog")
	files := tree{
		{path: config, mode: 0o755},
		{path: filepath.Join(config, "main.cf"), mode: 0o644, text: postfixMain(dir, log, mailbox, o)},
		{path: filepath.Join(config, "master.cf"), mode: 0o644, text: postfixMaster(o)},
		{path: filepath.Join(config, "tls.pem"), mode: 0o600, text: string(o.Key) + "\n" + string(o.Certificate)},
		{path: filepath.Join(config, "relay-ca.pem"), mode: 0o644, text: relayCA(o) + "\n"},
		{path: filepath.Join(dir, "data"), mode: 0o700, owner: &owner},
		{path: filepath.Join(dir, "mail"), mode: 0o700, owner: &mailbox},
		{path: filepath.Join(dir, "queue"), mode: 0o755},
		{path: filepath.Join(dir, "queue", "pid"), mode: 0o755},
	}
	for _, name := range []string{
		"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
		"maildrop", "private", "public", "saved", "trace",
	} {
		files = append(files, file{path: filepath.Join(dir, "queue", name), mode: 0o700, owner: &owner})
	}
	if err := files.write(); err != nil {
		return daemon.Command{}, nil, err
	}
	if err := settle(filepath.Join(config, "main.cf"), filepath.Join(config, "master.cf")); err != nil {
		return daemon.Command{}, nil, err
	}
	// -d: stay in the foreground, and keep running when there is nothing to do.
	return daemon.Command{Args: []string{master, "-c", config, "-d"}, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}, []string{log}, nil
}

// postfixMain is main.cf: final destination for the domains, and nothing else.
//
// It must not draw a warning, such as for a parameter set twice: every process repeats it at its
// start, postlogd too, into its own full socket, and then all of them wait for each other (Postfix 3.7).
func postfixMain(dir, log string, mailbox account, o Options) string {
	level := "none"
	switch {
	case len(o.Certificate) > 0 && o.RequireTLS:
		level = "encrypt"
	case len(o.Certificate) > 0:
		level = "may"
	}
	lines := []string{
		"compatibility_level = 3.6",
		"myhostname = " + o.Hostname,
		"smtpd_banner = $myhostname ESMTP $mail_name",
		"queue_directory = " + filepath.Join(dir, "queue"),
		"data_directory = " + filepath.Join(dir, "data"),
		"maillog_file = " + log,
		"maillog_file_prefixes = " + dir,
		// Where it listens is in master.cf. Here Postfix takes nothing but addresses that an
		// interface has by name, of all loopback ones the first.
		"inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4",

		"mydestination =",
		"alias_maps =",
		"alias_database =",
		"virtual_mailbox_domains = " + strings.Join(o.Domains, ", "),
		"virtual_mailbox_maps = static:mail/",
		"virtual_mailbox_base = " + dir,
		"virtual_mailbox_limit = 0",
		"mailbox_size_limit = 0",
		fmt.Sprintf("virtual_uid_maps = static:%d", mailbox.uid),
		fmt.Sprintf("virtual_gid_maps = static:%d", mailbox.gid),
		"smtpd_recipient_restrictions =",

		"smtpd_peername_lookup = no",
		"disable_dns_lookups = yes",
		"message_size_limit = 52428800",
		"smtpd_client_connection_count_limit = 0",

		"smtpd_tls_security_level = " + level,
		"smtpd_tls_received_header = yes",
		"smtpd_tls_loglevel = 1",
	}
	if level != "none" {
		lines = append(lines, "smtpd_tls_chain_files = "+filepath.Join(dir, "config", "tls.pem"))
	}
	if o.NoChunking || o.NoDSN {
		keywords := ""
		if o.NoChunking {
			keywords = "chunking"
		}
		if o.NoDSN {
			keywords += " dsn"
		}
		lines = append(lines, "smtpd_discard_ehlo_keywords = "+keywords)
	}
	if o.Relay == nil {
		lines = append(lines,
			"mynetworks =",
			"smtpd_relay_restrictions = reject_unauth_destination",
			"default_transport = error:this server relays nothing")
	} else {
		lines = append(lines, postfixRelay(dir, *o.Relay)...)
	}
	return strings.Join(lines, "\n") + "\n"
}

// postfixRelay is the part of main.cf that makes it a client of one submission server.
func postfixRelay(dir string, r Relay) []string {
	address, port, _ := net.SplitHostPort(r.Addr)
	wrapper := "no"
	if r.Implicit {
		wrapper = "yes"
	}
	return []string{
		"mynetworks = 127.0.0.0/8",
		"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
		"default_transport = smtp",
		"relayhost = [" + address + "]:" + port,
		"smtp_tls_security_level = verify",
		"smtp_tls_verify_cert_match = " + r.Name,
		"smtp_tls_CAfile = " + filepath.Join(dir, "config", "relay-ca.pem"),
		"smtp_tls_wrappermode = " + wrapper,
		"smtp_tls_loglevel = 1",
		"smtp_sasl_auth_enable = yes",
		"smtp_sasl_password_maps = static:" + r.Login + ":" + r.Password,
		"smtp_sasl_security_options = noanonymous",
		"smtp_sasl_tls_security_options = noanonymous",
	}
}

func relayCA(o Options) string {
	if o.Relay == nil {
		return ""
	}
	return string(o.Relay.CA)
}

// postfixMaster is master.cf: the services that receiving and storing needs, none
// of them in a chroot.
func postfixMaster(o Options) string {
	return o.Listen + ` inet n - n - - smtpd
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
trace      unix - - n - 0 bounce
proxymap   unix - - n - - proxymap
showq      unix n - n - - showq
error      unix - - n - - error
retry      unix - - n - - error
virtual    unix - n n - - virtual
smtp       unix - - n - - smtp
anvil      unix - - n - 1 anvil
postlog    unix-dgram n - n - 1 postlogd
`
}

// account is a user of this machine.
type account struct{ uid, gid int }

func lookupUser(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, fmt.Errorf("look up the user %s, which make test creates: %w", name, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("user id of %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("group id of %s: %w", name, err)
	}
	return account{uid, gid}, nil
}
