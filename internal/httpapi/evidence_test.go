package httpapi

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// proven verifies an answer with the server's key and returns the events that it proves.
func proven(t *testing.T, rg *rig, key string, query url.Values) (events []mail.ID, domains []string) {
	t.Helper()
	w := rg.call(key, "GET", "/v1/sealpost/evidence", query)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	rep, err := proof.Verify(t.Context(), w.Body, proof.Options{Keys: rg.api.deps.Evidence.Keys(), Each: func(r proof.Record, _ proof.Checkpoint) {
		events, domains = append(events, r.Event), append(domains, r.Domain)
	}})
	if err != nil || !rep.OK() {
		t.Fatal(rep.Problems, err)
	}
	return events, domains
}

// SEC-59: a domain's key proves what happened to that domain's mail, and nothing else.
func TestEvidenceOfTheOwnDomainOnly(t *testing.T) {
	rg := newRig(t)
	own := rg.store.deliver(rg.message(t, "example.com", "x"))
	other := rg.store.deliver(rg.message(t, "example.org", "x"))
	for key, want := range map[string][]mail.ID{"admin": {own, other}, "own-admin": {own}, "other-admin": {other}} {
		if got, _ := proven(t, rg, key, nil); !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", key, got, want)
		}
	}
	for _, q := range []url.Values{{"domain": {"example.org"}}, {"event": {other.String()}}} {
		if got, _ := proven(t, rg, "own-admin", q); len(got) != 0 {
			t.Errorf("%v: another domain's events %v", q, got)
		}
	}
	if got, _ := proven(t, rg, "admin", url.Values{"domain": {"EXAMPLE.org"}}); !slices.Equal(got, []mail.ID{other}) {
		t.Errorf("by name %v", got)
	}
}

// A domain that was deleted and made anew by somebody else does not inherit evidence.
func TestEvidenceBelongsToTheDomainAndNotToItsName(t *testing.T) {
	rg := newRig(t)
	rg.store.deliver(rg.message(t, "example.com", "x"))
	old := rg.store.domains["example.com"]
	renewed := old
	renewed.ID = 99
	rg.store.domains["example.com"] = renewed
	for i, k := range rg.store.keys {
		if k.DomainID == old.ID {
			rg.store.keys[i].DomainID = renewed.ID
		}
	}
	if got, _ := proven(t, rg, "own-admin", nil); len(got) != 0 {
		t.Errorf("events of the domain's former owner: %v", got)
	}
	if _, domains := proven(t, rg, "admin", nil); !slices.Equal(domains, []string{"example.com"}) {
		t.Errorf("the operator sees %v", domains)
	}
}

// By message, by Message-ID with or without brackets, by recipient in any letter case.
func TestEvidenceFilters(t *testing.T) {
	rg := newRig(t)
	id := rg.message(t, "example.com", "x")
	e := rg.store.deliver(id)
	for name, q := range map[string]url.Values{
		"message": {"message": {id.String()}}, "event": {"event": {e.String()}}, "recipient": {"recipient": {"ANN@example.net"}},
		"day": {"day": {e.Day()}}, "range": {"from": {e.Day()}, "to": {e.Day()}},
	} {
		if got, _ := proven(t, rg, "admin", q); len(got) != 1 || got[0] != e {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got, _ := proven(t, rg, "admin", url.Values{"message-id": {"<nobody@example.com>"}}); len(got) != 0 {
		t.Errorf("an unknown Message-ID: %v", got)
	}
}

// Exports are work for the disk: only so many at a time.
func TestExportsAreBounded(t *testing.T) {
	rg := newRig(t)
	for range maxExports {
		rg.api.exports <- struct{}{}
	}
	w := rg.call("admin", "GET", "/v1/sealpost/evidence", nil)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d", w.Code)
	}
	<-rg.api.exports
	if w := rg.call("admin", "GET", "/v1/sealpost/evidence", nil); w.Code != http.StatusOK || len(rg.api.exports) != maxExports-1 {
		t.Errorf("status %d, %d under way", w.Code, len(rg.api.exports))
	}
}

// A slowEvidence takes its time for an export: as many pieces of 64 KiB, and a wait before each.
type slowEvidence struct {
	rigEvidence
	pieces int
	wait   time.Duration
	ended  chan error
}

func (e slowEvidence) Export(_ context.Context, w io.Writer, _ proof.Filter) (err error) {
	defer func() { e.ended <- err }()
	for range e.pieces {
		time.Sleep(e.wait)
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return err
		}
	}
	return nil
}

// An export takes as long as the search for its records does, far beyond the limits of
// other answers; a client that does not read it ends it.
func TestLongExports(t *testing.T) {
	for name, c := range map[string]struct {
		e     slowEvidence
		reads bool
	}{
		"slow to find": {slowEvidence{pieces: 4, wait: 10 * time.Minute}, true},
		"nobody reads": {slowEvidence{pieces: 4}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c.e.ended = make(chan error, 1) // of the bubble, or its time would stand still
				rg := newRig(t, func(cfg *Config, d *Deps) { cfg.SpoolDir, d.Evidence = dir, c.e })
				near, far := net.Pipe()
				l := &oneConn{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
				l.conns <- far
				server := door.NewServer(rg.trusted, slog.New(slog.DiscardHandler))
				var served sync.WaitGroup
				served.Go(func() { _ = server.Serve(l) })
				if _, err := io.WriteString(near, "GET /v1/sealpost/evidence HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if c.reads {
					r, err := http.ReadResponse(bufio.NewReader(near), nil)
					if err != nil {
						t.Fatal(err)
					}
					if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(c.e.pieces)<<16 {
						t.Errorf("%d octets, %v", n, err)
					}
				}
				if err := <-c.e.ended; (err == nil) != c.reads {
					t.Errorf("the export ended with %v", err)
				}
				near.Close()
				server.Close()
				served.Wait()
			})
		})
	}
}

// oneConn is a listener that gives out what it is given.
type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error { close(l.closed); return nil }

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// Without an evidence log the calls say so.
func TestNoEvidence(t *testing.T) {
	rg := newRig(t, func(_ *Config, d *Deps) { d.Evidence = nil })
	for _, c := range [][2]string{{"GET", ""}, {"GET", "/key"}, {"POST", "/key"}} {
		w := rg.call("admin", c[0], "/v1/sealpost/evidence"+c[1], nil)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "keeps no evidence") {
			t.Errorf("%v: status %d %s", c, w.Code, w.Body)
		}
	}
}

// A new key for evidence is in the audit log, with both verifier keys and the reason.
func TestRotationIsNoted(t *testing.T) {
	rg := newRig(t)
	r := rg.call("admin", "POST", "/v1/sealpost/evidence/key", url.Values{"reason": {"yearly"}})
	if r.Code != 200 {
		t.Fatalf("%d %s", r.Code, r.Body)
	}
	list, err := rg.store.AuditLog(t.Context(), store.AuditQuery{Kind: store.AuditEvidence})
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	e := list[0]
	if e.Reason != "yearly" || e.Action != store.AuditReplace || e.Before["verifier"] == "" || e.Before["verifier"] == e.After["verifier"] || !strings.Contains(r.Body.String(), e.After["verifier"]) {
		t.Errorf("%+v", e)
	}
}
