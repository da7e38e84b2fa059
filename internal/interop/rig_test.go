package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/realmta"
	"github.com/sealpost/sealpost/internal/smtptest"
)

const (
	sendingDomain = "sender.test"
	hostname      = "mail.sender.test"
	apiKey        = "key-of-the-interop-tests"

	// patience is how long anything may take; all of it usually takes a fraction of a second.
	patience = 30 * time.Second
	glance   = 20 * time.Millisecond
)

// A receiver is one MX host to be: a domain of its own, and what its server offers.
type receiver struct {
	mta        string // postfix or exim
	label      string // says what is particular, for names
	cert       certKind
	requireTLS bool
	noChunking bool
	noDSN      bool // of a Postfix
}

type certKind string

const (
	validCert  certKind = "valid"
	selfSigned certKind = "self-signed"
	noTLS      certKind = "no-tls"
)

func (v receiver) name() string   { return v.mta + "-" + v.label }
func (v receiver) domain() string { return v.name() + ".test" }
func (v receiver) mx() string     { return "mx." + v.domain() }

// A rig is a running Sealpost with one active sending domain, and the zones in which its
// receivers are found. The receivers are started by the tests that use them.
type rig struct {
	pki     *smtptest.PKI
	cfg     config.Config
	options app.Options
	at      app.Addresses
	zones   *resolver // nil where others look after the names
	log     *journal
	// addresses has where each receiver's zone says that it listens.
	addresses map[string]string
	stop      func()
}

// newRig starts Sealpost with names for its receivers. It stops with the test, or before
// by stop.
func newRig(t *testing.T, receivers ...receiver) *rig {
	t.Helper()
	network, port := freeNetwork(t)
	r := &rig{pki: smtptest.NewPKI(t), addresses: make(map[string]string)}
	zone := "mail.sender A 127.0.0.1\n"
	for i, v := range receivers {
		address := fmt.Sprintf("%s.%d", network, i+2)
		zone += fmt.Sprintf("%s MX 10 mx.%s\nmx.%s A %s\n", v.name(), v.name(), v.name(), address)
		r.addresses[v.name()] = net.JoinHostPort(address, port)
	}
	r.zones = startResolver(t, zone)
	r.configure(t, r.zones.address, port)
	r.run(t)
	r.setUp(t)
	return r
}

// newRigOn starts Sealpost with names that others look after: resolver is where they are
// looked up, and port that of all MX hosts. Its sending domain has no records there.
func newRigOn(t *testing.T, pki *smtptest.PKI, resolver, port string, o app.Options) *rig {
	t.Helper()
	r := &rig{pki: pki, options: o}
	r.configure(t, resolver, port)
	r.cfg.Accept.AllowUnverifiedDomains = true
	r.run(t)
	r.createKey(t)
	var created struct{}
	r.mustCall(t, &created, "POST", "/v4/domains", part{name: "name", value: sendingDomain})
	return r
}

// configure makes a configuration and the folder and files that it names.
func (r *rig) configure(t *testing.T, resolver, port string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "interop-") // short: a socket's path goes into it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	cfg := config.Default()
	cfg.Server.Hostname, cfg.Server.DataDir = hostname, filepath.Join(folder, "data")
	cfg.HTTP.Listen, cfg.HTTP.AdminListen = "127.0.0.1:0", ""
	cfg.Submission.Listen, cfg.Submission.ListenTLS, cfg.Submission.TLS = config.Listeners{"127.0.0.1:0"}, config.Listeners{"127.0.0.1:0"}, config.TLSFiles
	cfg.Submission.CertFile, cfg.Submission.KeyFile = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	fmt.Sscan(port, &cfg.Delivery.Port)
	cfg.Delivery.Resolver, cfg.Delivery.AllowPrivateMX = resolver, true
	cfg.Delivery.CAFile = r.caFile(t)
	certificate, key := r.certificate(t, smtptest.Valid, hostname)
	write(t, cfg.Submission.CertFile, certificate)
	write(t, cfg.Submission.KeyFile, key)
	if err := os.Mkdir(cfg.Server.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.cfg, r.log = cfg, &journal{}
}

// run serves until stop, and looks through the log then: nothing that goes wrong here is
// our fault, so no line may be an error. After stop it may run again, with the same data.
func (r *rig) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan app.Addresses, 1), make(chan error, 1)
	o := r.options
	o.Version, o.Log, o.Ready = "interop", r.log, func(a app.Addresses) { ready <- a }
	go func() { ended <- app.Run(ctx, r.cfg, o) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("sealpost ended: %v", err)
		}
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, "level=ERROR") {
				t.Errorf("sealpost logs an error: %s", line)
			}
		}
		if t.Failed() {
			t.Logf("log of sealpost:\n%s", r.log)
		}
	})
	t.Cleanup(r.stop)
	select {
	case r.at = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("start sealpost: %v", err)
	case <-time.After(patience):
		t.Fatal("sealpost does not get ready")
	}
}

// setUp does what an operator does: a key, a domain, its records in DNS, verification.
func (r *rig) setUp(t *testing.T) {
	t.Helper()
	r.createKey(t)
	var created struct {
		Records []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"sending_dns_records"`
	}
	r.mustCall(t, &created, "POST", "/v4/domains", part{name: "name", value: sendingDomain})
	for _, record := range created.Records {
		r.zones.publish(t, record.Name, record.Value)
	}
	var verified struct {
		Domain struct {
			State string `json:"state"`
		} `json:"domain"`
	}
	r.mustCall(t, &verified, "PUT", "/v4/domains/"+sendingDomain+"/verify")
	if verified.Domain.State != "active" {
		t.Fatalf("after verification the domain is %q, want active", verified.Domain.State)
	}
}

// createKey makes the key that the tests use, over the operator's socket.
func (r *rig) createKey(t *testing.T) {
	t.Helper()
	socket := app.SocketPath(r.cfg.Server.DataDir)
	operator := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	response, err := operator.PostForm("http://operator/v1/sealpost/keys", url.Values{"value": {apiKey}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("create the key: %s", response.Status)
	}
}

// startAll starts the receivers that the rig was made for, by name. They stop with the test.
func (r *rig) startAll(t *testing.T, receivers []receiver) map[string]*realmta.Server {
	t.Helper()
	servers := make(map[string]*realmta.Server)
	for _, v := range receivers {
		servers[v.name()] = r.start(t, v)
	}
	t.Cleanup(func() { // all at once: Postfix takes its time
		var stopping sync.WaitGroup
		for _, s := range servers {
			stopping.Go(s.Stop)
		}
		stopping.Wait()
	})
	return servers
}

// start starts a receiver where its zone says that it is.
func (r *rig) start(t *testing.T, v receiver) *realmta.Server {
	t.Helper()
	o := realmta.Options{
		Hostname: v.mx(), Domains: []string{v.domain()}, Listen: r.addresses[v.name()],
		RequireTLS: v.requireTLS, NoChunking: v.noChunking, NoDSN: v.noDSN,
	}
	switch v.cert {
	case validCert:
		o.Certificate, o.Key = r.certificate(t, smtptest.Valid, v.mx())
	case selfSigned:
		o.Certificate, o.Key = r.certificate(t, smtptest.SelfSigned, v.mx())
	}
	if v.mta == "exim" {
		return realmta.StartExim(t, o)
	}
	return realmta.StartPostfix(t, o)
}

// certificate returns a new one with its key as PEM.
func (r *rig) certificate(t *testing.T, kind smtptest.CertKind, name string) (chain, key []byte) {
	t.Helper()
	return encode(t, r.pki.Cert(t, kind, name))
}

// encode returns a certificate with its chain, and its key, as PEM.
func encode(t *testing.T, made tls.Certificate) (chain, key []byte) {
	t.Helper()
	for _, der := range made.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// caFile writes the root that the receivers' and our own certificates lead to.
func (r *rig) caFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	write(t, name, r.pki.RootPEM)
	return name
}

// clientTLS is what a client of the submission door uses.
func (r *rig) clientTLS() *tls.Config { return &tls.Config{RootCAs: r.pki.Roots, ServerName: hostname} }

// A part is a field of a form, or a file if it has a file name.
type part struct{ name, filename, value string }

// mustCall calls the API and decodes the answer, which must be 200.
func (r *rig) mustCall(t *testing.T, into any, method, path string, parts ...part) {
	t.Helper()
	status, body := r.call(t, method, path, parts...)
	if status != http.StatusOK {
		t.Fatalf("%s %s: got %d %s", method, path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, body)
	}
}

// call calls the API with a multipart form.
func (r *rig) call(t *testing.T, method, path string, parts ...part) (status int, body []byte) {
	t.Helper()
	form, contentType := multipartForm(t, parts)
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.at.API.String()+path, form)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) > 0 {
		request.Header.Set("Content-Type", contentType)
	}
	request.SetBasicAuth("api", apiKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// send submits a message in parts and returns its id.
func (r *rig) send(t *testing.T, parts ...part) string {
	t.Helper()
	var answer struct {
		ID string `json:"id"`
	}
	r.mustCall(t, &answer, "POST", "/v3/"+sendingDomain+"/messages", parts...)
	return strings.Trim(answer.ID, "<>")
}

// until calls f until it returns true, and fails the test when that takes too long.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for limit := time.After(patience); !f(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within %s", what, patience)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		}
	}
}

// freeNetwork returns the first three numbers of a loopback network that is
// most likely nobody else's, and a port for all its addresses. Every receiver has
// to listen on the same port, as in the world.
func freeNetwork(t *testing.T) (network, port string) {
	t.Helper()
	network = fmt.Sprintf("127.%d.%d", 16+rand.IntN(200), rand.IntN(250))
	l, err := net.Listen("tcp", network+".1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return network, port
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// A resolver is the only DNS server there is: zones that the tests write.
type resolver struct {
	address string
	server  *dnstest.Server
	mu      sync.Mutex
	zone    string
}

func startResolver(t *testing.T, zone string) *resolver {
	t.Helper()
	z := &resolver{server: dnstest.Start(t, dnstest.Zone{Origin: "test", Records: zone}), zone: zone}
	at, err := z.server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	z.address = at.String()
	return z
}

// publish adds a TXT record.
func (z *resolver) publish(t *testing.T, name, value string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.zone += name + ". TXT"
	for len(value) > 0 { // strings of a TXT record have at most 255 octets
		n := min(len(value), 255)
		z.zone += fmt.Sprintf(" %q", value[:n])
		value = value[n:]
	}
	z.zone += "\n"
	if err := z.server.SetZone(dnstest.Zone{Origin: "test", Records: z.zone}); err != nil {
		t.Fatal(err)
	}
}

// replace changes a text in the zone's records.
func (z *resolver) replace(t *testing.T, before, after string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	if !strings.Contains(z.zone, before) {
		t.Fatalf("there is no %q in the zone", before)
	}
	z.zone = strings.ReplaceAll(z.zone, before, after)
	if err := z.server.SetZone(dnstest.Zone{Origin: "test", Records: z.zone}); err != nil {
		t.Fatal(err)
	}
}

// LookupTXT asks the server over the network, by Go's own resolver.
func (z *resolver) LookupTXT(name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, z.address)
	}}
	return r.LookupTXT(ctx, strings.TrimSuffix(name, ".")+".")
}
