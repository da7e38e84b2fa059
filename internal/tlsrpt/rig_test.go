package tlsrpt

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tlsresult"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

// A rig is a room with a real store and the real front door, in a bubble. DNS is a map, and
// the web is one server at the other end of pipes.
type rig struct {
	*testing.T
	dir   string
	store *sqlite.Store
	disk  *disk // the store, as the room sees it
	door  *accept.Room
	room  *Room
	zone  *zone
	web   *web
	log   *journal

	stop func() // ends Run
}

// at runs f in a bubble whose clock shows the given time.
func at(t *testing.T, when string, f func(rg *rig)) {
	t.Helper()
	pki := smtptest.NewPKI(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		now, err := time.Parse(time.RFC3339, when)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(now))
		dir, err := os.MkdirTemp("", "tlsrpt")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		rg := &rig{T: t, dir: dir, zone: &zone{texts: map[string][]string{}}, log: &journal{}}
		rg.web = newWeb(t, pki)
		defer rg.web.close()
		rg.open()
		defer func() { rg.shut() }()
		rg.sender(key)
		f(rg)
	})
}

// open starts a process on the data folder.
func (rg *rig) open() {
	rg.Helper()
	log := slog.New(slog.NewTextHandler(rg.log, nil))
	var err error
	if rg.store, err = sqlite.Open(context.Background(), sqlite.Options{Dir: rg.dir, MinFree: -1, Logger: log}); err != nil {
		rg.Fatal(err)
	}
	rg.disk = &disk{reports: rg.store}
	rg.door = accept.New(accept.Config{Hostname: "mail.sender.test", SpoolDir: rg.dir}, rg.store, rg.store, nil, log)
	rg.room, err = Open(context.Background(), Config{From: address("tls@sender.test"), Organization: "Sender & Söhne"}, Deps{
		Store: rg.disk, Resolver: rg.zone, Dial: rg.web.dial, Roots: rg.web.pki.Roots, Log: log,
	})
	if err != nil {
		rg.Fatal(err)
	}
}

// run starts the room.
func (rg *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); rg.room.Run(ctx, rg.door) }()
	rg.stop = func() { cancel(); <-done }
	synctest.Wait()
}

// shut ends the process in order. Twice is once.
func (rg *rig) shut() {
	rg.Helper()
	rg.halt()
	if rg.store == nil {
		return
	}
	if err := errors.Join(rg.room.Close(context.Background()), rg.store.Close()); err != nil {
		rg.Error(err)
	}
	rg.store = nil
}

func (rg *rig) halt() {
	if rg.stop != nil {
		rg.stop()
		rg.stop = nil
	}
}

// crash ends the process without a last word from the room.
func (rg *rig) crash() {
	rg.Helper()
	rg.halt()
	if err := rg.store.Close(); err != nil {
		rg.Error(err)
	}
	rg.store = nil
}

// sender registers the sending domain with a DKIM key.
func (rg *rig) sender(key *rsa.PrivateKey) {
	rg.Helper()
	private, err1 := x509.MarshalPKCS8PrivateKey(key)
	public, err2 := x509.MarshalPKIXPublicKey(&key.PublicKey)
	d := store.Domain{Name: "sender.test", State: store.DomainActive, DKIM: []store.DKIMKey{{
		Selector: "s1", PrivatePEM: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		Public: "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public), Active: true,
	}}}
	// Its owner wants neither signatures nor mail without TLS; reports have both.
	d.Settings.DKIMDisable = true
	d.TLS.RequireTLS = mail.True
	if err := errors.Join(err1, err2, rg.store.CreateDomain(context.Background(), &d)); err != nil {
		rg.Fatal(err)
	}
}

// until sleeps until a moment.
func (rg *rig) until(when string) {
	rg.Helper()
	then, err := time.Parse(time.RFC3339, when)
	if err != nil {
		rg.Fatal(err)
	}
	time.Sleep(time.Until(then))
	synctest.Wait()
}

// reports lists what the room says about its reports.
func (rg *rig) reports(q store.TLSReportQuery) []store.TLSReport {
	rg.Helper()
	list, err := rg.room.Reports(context.Background(), q)
	if err != nil {
		rg.Fatal(err)
	}
	return list
}

// only returns the one report there is.
func (rg *rig) only() store.TLSReport {
	rg.Helper()
	list := rg.reports(store.TLSReportQuery{})
	if len(list) != 1 {
		rg.Fatalf("%d reports: %+v", len(list), list)
	}
	return list[0]
}

// succeed observes n successful sessions with a domain.
func (rg *rig) succeed(domain string, n int) {
	for range n {
		rg.room.Observe(success(domain))
	}
}

func success(domain string) tlsresult.Observation {
	return tlsresult.Observation{
		At: time.Now(), Policy: tlsresult.Policy{Type: tlsresult.NoPolicy, Domain: domain},
		MXHost: "mx." + domain, ReceivingIP: "192.0.2.1", SendingIP: "192.0.2.2",
	}
}

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// A zone answers for TXT records.
type zone struct {
	mu    sync.Mutex
	texts map[string][]string
	fail  error
	asked int
}

func (z *zone) set(domain string, texts ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.texts[report.RecordName(domain)] = texts
}

func (z *zone) setFail(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.fail = err
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	return z.texts[name], z.fail
}

// A web is an HTTPS server that can be reached by any name. What it answers is the first
// of its script, then 201.
type web struct {
	pki    *smtptest.PKI
	server *http.Server
	conns  chan net.Conn
	closed chan struct{}
	done   chan struct{}

	mu     sync.Mutex
	script []http.HandlerFunc
	posts  []post
}

// A post is a request that the web has seen.
type post struct {
	at     time.Time
	url    string
	header http.Header
	body   []byte
}

func newWeb(t *testing.T, pki *smtptest.PKI) *web {
	cert := pki.Cert(t, smtptest.Valid, "receiver.test")
	w := &web{pki: pki, conns: make(chan net.Conn), closed: make(chan struct{}), done: make(chan struct{})}
	w.server = &http.Server{Handler: w, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() {
		defer close(w.done)
		_ = w.server.Serve(tls.NewListener(w, &tls.Config{Certificates: []tls.Certificate{cert}}))
	}()
	return w
}

func (w *web) close() {
	_ = w.server.Close()
	<-w.done
}

func (w *web) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case w.conns <- far:
		return near, nil
	case <-w.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *web) Close() error   { close(w.closed); return nil }
func (w *web) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (w *web) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.posts = append(w.posts, post{time.Now(), "https://" + r.Host + r.URL.String(), r.Header, body})
	handle := func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(http.StatusCreated) }
	if len(w.script) > 0 {
		handle, w.script = w.script[0], w.script[1:]
	}
	w.mu.Unlock()
	handle(answer, r)
}

// answers sets what the web answers next.
func (w *web) answers(script ...http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.script = script
}

func (w *web) seen() []post {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]post(nil), w.posts...)
}

// status answers with a status and a few words.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, "in my words: %d\x1b[31m\n", code)
	}
}

// document reads a report that arrived.
func (rg *rig) document(data []byte) report.Document {
	rg.Helper()
	found, err := report.Open(bytes.NewReader(data))
	if err != nil || len(found) != 1 {
		rg.Fatalf("%d reports, %v", len(found), err)
	}
	d, notes, err := report.Decode(found[0])
	if err != nil || len(notes) != 0 {
		rg.Fatalf("%v, %v", notes, err)
	}
	return d
}

// A journal collects the log.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
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

// quiet fails if something was worth a warning.
func (rg *rig) quiet() {
	rg.Helper()
	if log := rg.log.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		rg.Errorf("the log:\n%s", log)
	}
}
