package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/config"
)

// lookTime bounds each look at the network.
const lookTime = 5 * time.Second

// What a finding can be.
const (
	fine    = "ok"
	warning = "warning"
	failure = "failed"
)

type doctorCmd struct {
	Reach string `placeholder:"MXHOST" help:"Also connect to this mail host at the delivery port, to see whether mail can leave at all."`
}

// A finding is what one look found.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warning, failed
	Detail string `json:"detail"`
}

// Run looks at everything, and fails if something would keep the server from working.
func (c doctorCmd) Run(ctx context.Context, s *session) error {
	cfg, path, err := s.loadConfig()
	if err != nil {
		return s.prescribe([]finding{{"configuration", failure, err.Error()}}, ExitUsage)
	}
	d := &doctor{cfg: cfg}
	d.found("configuration", fine, path)
	d.files()
	d.folder()
	d.server(ctx)
	d.listeners()
	d.roots()
	d.resolver(ctx)
	if c.Reach != "" {
		d.reach(ctx, c.Reach)
	}
	return s.prescribe(d.findings, ExitFailed)
}

// prescribe prints findings and returns an error with the code if one is a failure.
func (s *session) prescribe(findings []finding, code int) error {
	bad := 0
	t := &table{head: []string{"CHECK", "STATUS", "DETAIL"}}
	for _, f := range findings {
		if f.Status == failure {
			bad++
		}
		for i, line := range strings.Split(f.Detail, "\n") {
			if i == 0 {
				t.add(f.Check, f.Status, line)
				continue
			}
			t.add(" ", " ", strings.TrimSpace(line))
		}
	}
	var err error
	if s.json() {
		err = s.writeValue(struct {
			OK     bool      `json:"ok"`
			Checks []finding `json:"checks"`
		}{bad == 0, findings})
	} else {
		err = t.write(s.env.Stdout)
	}
	if err == nil && bad > 0 {
		err = &ExitError{code, fmt.Errorf("%d of %d checks failed", bad, len(findings))}
	}
	return err
}

// A doctor collects findings about one configuration.
type doctor struct {
	cfg      config.Config
	running  bool // a server has the data folder
	findings []finding
}

func (d *doctor) found(check, status, detail string) {
	d.findings = append(d.findings, finding{check, status, detail})
}

func (d *doctor) files() {
	if err := d.cfg.CheckFiles(); err != nil {
		d.found("files", failure, err.Error())
		return
	}
	d.found("files", fine, "certificates, keys and authorities that the configuration names can be used")
}

// folder looks at the data folder (SEC-77).
func (d *doctor) folder() {
	dir := d.cfg.Server.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.found("data folder", warning, dir+" does not exist yet; sealpost init or serve makes it")
		return
	case err != nil:
		d.found("data folder", failure, err.Error())
		return
	case !info.IsDir():
		return // said by files
	case info.Mode().Perm()&0o077 != 0:
		d.found("data folder", failure, fmt.Sprintf("%s has mode %04o and can be read by others; run: chmod 700 %s", dir, info.Mode().Perm(), dir))
		return
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		d.found("data folder", failure, err.Error()+"; run this as the user that the server runs as")
		return
	}
	err = errors.Join(probe.Sync(), probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		d.found("data folder", failure, err.Error())
		return
	}
	d.found("data folder", fine, dir)
}

// server asks the server, if one runs.
func (d *doctor) server(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	client, err := apiclient.Socket(ctx, filepath.Join(d.cfg.Server.DataDir, apiclient.SocketName))
	if err != nil && socketProblem(err) == nil {
		d.found("server", fine, "not running")
		return
	}
	d.running = true
	if err != nil {
		d.found("server", warning, socketProblem(err).Error())
		return
	}
	defer client.Close()
	if _, err := client.Health(ctx); err != nil {
		d.found("server", failure, err.Error())
		return
	}
	d.found("server", fine, "running")
}

func (d *doctor) listeners() {
	type listener struct{ name, address string }
	all := []listener{{"http.listen", d.cfg.HTTP.Listen}, {"http.admin_listen", d.cfg.HTTP.AdminListen}}
	for _, address := range d.cfg.Submission.Listen {
		all = append(all, listener{"submission.listen", address})
	}
	for _, address := range d.cfg.Submission.ListenTLS {
		all = append(all, listener{"submission.listen_tls", address})
	}
	if d.cfg.UsesACME() {
		all = append(all, listener{"acme.listen", d.cfg.ACME.Listen})
	}
	for _, l := range all {
		if l.address == "" {
			continue
		}
		listener, err := net.Listen("tcp", l.address)
		switch {
		case err == nil:
			_ = listener.Close() // it only had to open
			if d.running && !strings.HasSuffix(l.address, ":0") {
				d.found(l.name, warning, l.address+" is free although a server runs; was the configuration changed since it started?")
				continue
			}
			d.found(l.name, fine, l.address+" is free")
		case errors.Is(err, syscall.EADDRINUSE) && d.running:
			d.found(l.name, fine, l.address+" is in use, by the running server as it seems")
		case errors.Is(err, fs.ErrPermission):
			d.found(l.name, failure, err.Error()+"; ports below 1024 need the capability CAP_NET_BIND_SERVICE")
		default:
			d.found(l.name, failure, err.Error()+"; choose another address, or stop what uses it")
		}
	}
}

// roots looks whether the system trusts any authority: without one no certificate of
// an MX host verifies.
func (d *doctor) roots() {
	pool, err := x509.SystemCertPool()
	switch {
	case err == nil && !pool.Equal(x509.NewCertPool()):
		d.found("trusted roots", fine, "the system has some")
	case d.cfg.Delivery.CAFile != "":
		d.found("trusted roots", warning, "the system has none; only those of delivery.ca_file are trusted")
	default:
		d.found("trusted roots", failure, "the system has none, so that no certificate verifies; install the package ca-certificates")
	}
}

// resolver asks for something that every resolver knows, then for this host's name.
func (d *doctor) resolver(ctx context.Context) {
	r, name := net.DefaultResolver, "the system's resolver"
	if address := d.cfg.Delivery.Resolver; address != "" {
		name = address
		r = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	_, err := r.LookupNS(ctx, ".")
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ok && dns.IsNotFound:
		d.found("resolver", warning, name+" answers, but does not know the root; it may not know the rest of the Internet either")
		d.validation(ctx)
		return
	case err != nil:
		d.found("resolver", failure, fmt.Sprintf("%s does not answer: %v; set delivery.resolver", name, reason(err)))
		return
	}
	d.found("resolver", fine, name+" answers")
	d.validation(ctx)
	host := d.cfg.Server.Hostname
	addrs, err := r.LookupHost(ctx, host)
	if err != nil {
		d.found("host name", warning, fmt.Sprintf("%s has no address in DNS (%v); receivers expect one", host, reason(err)))
		return
	}
	d.found("host name", fine, host+" has "+strings.Join(addrs, ", "))
}

// validation looks whether the resolver validates DNSSEC and is believed: without it, DANE
// never engages and nothing else shows it.
func (d *doctor) validation(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	check, err := app.CheckResolver(ctx, d.cfg)
	switch {
	case err != nil:
		d.found("DNSSEC", failure, err.Error())
	case check.Validates:
		d.found("DNSSEC", fine, check.Detail)
	default:
		d.found("DNSSEC", warning, check.Detail)
	}
}

// reason is what went wrong in a lookup. The whole error would name a server that was
// not asked where delivery.resolver is set.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	return err.Error()
}

// reach connects to a mail host: many networks let no mail out.
func (d *doctor) reach(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	address := net.JoinHostPort(host, strconv.Itoa(d.cfg.Delivery.Port))
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		d.found("way out", failure, fmt.Sprintf("%v; many networks close port 25, ask the provider", err))
		return
	}
	_ = conn.Close() // it only had to open
	d.found("way out", fine, address+" can be reached")
}
