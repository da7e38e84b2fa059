package mtasts

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// answer returns a handler that answers with that.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // not guessed
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// cut answers with raw octets over HTTP/1.1 and breaks the connection without a TLS
// close_notify.
func cut(octets string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, octets)
		_ = conn.(*tls.Conn).NetConn().Close()
	}
}

// A fetchCase is one behaviour of a policy host.
type fetchCase struct {
	name  string
	spoil func(w *world)
	fault tlsresult.Type // "" is a policy
	err   string
	most  time.Duration // how long it may take; 0 is no time at all
}

func serve(f http.HandlerFunc) func(*world) { return func(w *world) { w.host.serve(f) } }

func certificate(k smtptest.CertKind) func(*world) {
	return func(w *world) { w.host.certificate(w.T, k) }
}

// http1 serves f over HTTP/1.1 only.
func http1(f http.HandlerFunc) func(*world) {
	return func(w *world) {
		w.host.serve(f)
		w.host.set(func() { w.host.tls.NextProtos = []string{"http/1.1"} })
	}
}

// stall reads what comes and says nothing.
func stall(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func fetchCases() []fetchCase {
	const (
		fetchError = tlsresult.STSPolicyFetchError
		invalid    = tlsresult.STSPolicyInvalid
		webPKI     = tlsresult.STSWebPKIInvalid
	)
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for range 1000 {
			_, _ = io.WriteString(w, "x: 1\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
				return
			}
		}
	}
	zipped := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, enforced)
		_ = z.Close()
	}
	return []fetchCase{
		{"good over HTTP/2", func(*world) {}, "", "", 0},
		{"good over HTTP/1.1", http1(answer(200, "text/plain", enforced)), "", "", 0},
		{"media type with charset", serve(answer(200, "Text/Plain; charset=utf-8", enforced)), "", "", 0},
		{"media type with a broken parameter", serve(answer(200, "text/plain; charset", enforced)), "", "", 0},

		{"certificate expired", certificate(smtptest.Expired), webPKI, "expired", 0},
		{"certificate not yet valid", certificate(smtptest.NotYetValid), webPKI, "not yet valid", 0},
		{"certificate self-signed", certificate(smtptest.SelfSigned), webPKI, "unknown authority", 0},
		{"certificate for another name", certificate(smtptest.WrongName), webPKI, "wrong-name.invalid", 0},
		{"certificate of an unknown authority", certificate(smtptest.UnknownCA), webPKI, "unknown authority", 0},
		{"certificate without its intermediate", certificate(smtptest.IncompleteChain), webPKI, "unknown authority", 0},
		{"TLS 1.1 only", func(w *world) {
			w.host.set(func() { w.host.tls.MinVersion, w.host.tls.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 })
		}, fetchError, "protocol version", 0},
		{"no TLS", func(w *world) {
			w.host.set(func() {
				w.host.raw = func(c net.Conn) {
					go func() { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n") }()
					stall(c)
				}
			})
		}, fetchError, "does not look like a TLS handshake", 0},
		{"connection closed before TLS", func(w *world) { w.host.set(func() { w.host.raw = func(c net.Conn) { _ = c.Close() } }) }, fetchError, "closed pipe", 0},
		{"handshake stalls", func(w *world) { w.host.set(func() { w.host.raw = stall }) }, fetchError, "TLS handshake timeout", handshakeTime},
		{"connection refused", func(w *world) { w.host.breakWith(errors.New("connection refused")) }, fetchError, "connection refused", 0},

		{"redirect to where the policy is", serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://mta-sts.example.test/.well-known/mta-sts.txt?", http.StatusFound)
		}), fetchError, "status 302, not 200", 0},
		{"moved permanently", serve(answer(301, "text/plain", enforced)), fetchError, "status 301", 0},
		{"not found", serve(answer(404, "text/plain", enforced)), fetchError, "status 404", 0},
		{"server error", serve(answer(500, "text/plain", enforced)), fetchError, "status 500", 0},
		{"unavailable", serve(answer(503, "text/plain", enforced)), fetchError, "status 503", 0},
		{"partial", serve(answer(206, "text/plain", enforced)), fetchError, "status 206", 0},
		{"not modified", serve(answer(304, "", "")), fetchError, "status 304", 0},
		{"HTML", serve(answer(200, "text/html", enforced)), invalid, "media type", 0},
		{"no media type", serve(answer(200, "", enforced)), invalid, "media type", 0},
		{"bad syntax", serve(answer(200, "text/plain", "<html>\n")), invalid, "is no field", 0},
		{"empty", serve(answer(200, "text/plain", "")), invalid, "no version", 0},
		{"compressed", serve(zipped), fetchError, "encoded as", 0},
		{"too large, and says so", http1(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", strconv.Itoa(10<<30))
		}), fetchError, "larger than 65536", 0},
		{"too large, and does not say", serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for range 1 << 20 {
				if _, err := io.WriteString(w, strings.Repeat("x: 1\n", 1000)); err != nil {
					return
				}
			}
		}), fetchError, "larger than 65536", 0},
		{"one octet too large", serve(answer(200, "text/plain", enforced+strings.Repeat("\n", MaxPolicySize-len(enforced)+1))), fetchError, "larger than 65536", 0},
		{"as large as allowed", serve(answer(200, "text/plain", enforced+strings.Repeat("\n", MaxPolicySize-len(enforced)))), "", "", 0},
		{"huge header", serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			answer(200, "text/plain", enforced)(w, nil)
		}), fetchError, "COMPRESSION_ERROR", 0},
		{"truncated by length", http1(cut("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 200\r\n\r\n" + enforced)), fetchError, "ended the connection", 0},
		{"truncated in chunks", http1(cut("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" + enforced)), fetchError, "ended the connection", 0},
		{"truncated until close", http1(cut("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + enforced)), fetchError, "ended the connection", 0},
		{"no HTTP", http1(cut("220 mx.example.test ESMTP\r\n")), fetchError, "malformed HTTP", 0},
		{"no answer", serve(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), fetchError, "timeout", headerTime},
		{"slow body", serve(drip), fetchError, "deadline exceeded", fetchTime},
		{"no such host", func(w *world) { w.publish(`_mta-sts TXT "v=STSv1; id=2"`) }, fetchError, "has no address", 0},
		{"host cannot be looked up", func(w *world) { w.dns.SetFault("mta-sts."+domain, 0, dnstest.Fault{RCode: 2}) }, fetchError, "server failure", 0},
		{"host behind an alias", func(w *world) {
			w.publish(`_mta-sts TXT "v=STSv1; id=2"`, `mta-sts CNAME web`, `web AAAA 2001:db8::1`)
		}, "", "", 0},
	}
}

// Every behaviour of a policy host, first when nothing is known of the domain and then
// beside a cached policy.
func TestFetch(t *testing.T) {
	pki := smtptest.NewPKI(t)
	for _, tt := range fetchCases() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, pki)
				w.publishID("2")
				tt.spoil(w)
				began := time.Now()
				r := w.policy()
				if tt.fault == "" {
					w.expect(r, enforce, "2", false, "")
					return
				}
				w.expect(r, noFetch, "", false, tt.fault)
				checkError(t, r.Err, tt.err)
				if took := time.Since(began); took > tt.most {
					t.Errorf("took %s, at most %s", took, tt.most)
				}
				w.host.take()
				w.expect(w.policy(), noFetch, "", false, tt.fault)
				time.Sleep(fetchInterval / 2)
				w.expect(w.policy(), noFetch, "", false, tt.fault)
				w.requests(0) // remembered for five minutes
			})
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, pki)
				w.expect(w.policy(), enforce, "1", false, "")
				w.publishID("2")
				tt.spoil(w)
				time.Sleep(fetchInterval)
				r := w.policy()
				if tt.fault == "" {
					w.expect(r, enforce, "2", false, "")
					return
				}
				w.expect(r, enforce, "1", true, tt.fault)
				checkError(t, r.Err, tt.err)
				w.host.take()
				w.expect(w.policy(), enforce, "1", true, tt.fault)
				w.requests(0)
			})
		})
	}
}

// The real thing: sockets on loopback, and the guard that decides about them.
func TestFetchOverSockets(t *testing.T) {
	pki := smtptest.NewPKI(t)
	srv := httptest.NewUnstartedServer(answer(200, "text/plain; charset=us-ascii", enforced))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pki.Cert(t, smtptest.Valid, "mta-sts."+domain)}}
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	dns := dnstest.Start(t, dnstest.Zone{Origin: domain, Records: "mta-sts A 127.0.0.1\n_mta-sts TXT \"v=STSv1; id=1\""})
	get := func(port int, private bool) (Policy, error) {
		guard := netguard.Policy{AllowPrivate: private}
		f := fetcher{
			dns: dns.Resolver(t), dial: (&net.Dialer{ControlContext: guard.ControlContext}).DialContext,
			roots: pki.Roots, port: strconv.Itoa(port), turns: newTurns(),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return f.fetch(ctx, domain)
	}
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	if p, err := get(port, true); err != nil || p.Mode != Enforce {
		t.Errorf("policy %+v, %v", p, err)
	}
	_, err := get(port, false)
	var refusal *netguard.Refusal
	if !errors.As(err, &refusal) || faultOf(err) != tlsresult.STSPolicyFetchError {
		t.Errorf("loopback without allow_private_mx: %v", err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	if _, err := get(closed.Addr().(*net.TCPAddr).Port, true); faultOf(err) != tlsresult.STSPolicyFetchError {
		t.Errorf("closed port: %v", err)
	}
}

// Addresses are tried in turn, IPv6 first, and no more than four.
func TestAddresses(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		w.publish(`_mta-sts TXT "v=STSv1; id=1"`, "mta-sts A 192.0.2.1\nmta-sts A 192.0.2.2\nmta-sts A 192.0.2.3\nmta-sts A 192.0.2.4\nmta-sts AAAA 2001:db8::1")
		w.host.breakWith(errors.New("no route"))
		r := w.policy()
		checkError(t, r.Err, "no route")
		dials := w.host.dials
		if len(dials) != maxAddresses || dials[0] != "[2001:db8::1]:443" {
			t.Errorf("dialled %v", dials)
		}
	})
	synctest.Test(t, func(t *testing.T) { // IPv6 cannot be looked up, IPv4 can
		w := newWorld(t, pki)
		w.dns.SetFault("mta-sts."+domain, dnssec.AAAA, dnstest.Fault{RCode: 2})
		w.expect(w.policy(), enforce, "1", false, "")
	})
}

func TestNetworkOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.200": "192.0.2.0/24", "::ffff:192.0.2.200": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := networkOf(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
