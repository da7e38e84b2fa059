package door

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
)

// handler wraps the router: a slot, an id, the client's address, the outcome in
// the log, and the one place where errors become answers.
func (d *Door) handler(trusted bool) http.Handler {
	table := newRouter(d.routes, func(w http.ResponseWriter, hr *http.Request, rt Route) {
		r := &Request{Request: hr, ID: w.(*answer).id, Client: d.clientAddr(hr), Base: d.baseURL(hr), door: d}
		if err := d.serve(w, r, rt, trusted); err != nil {
			d.fail(w.(*answer), hr, err)
		}
	})
	return http.HandlerFunc(func(hw http.ResponseWriter, r *http.Request) {
		w := &answer{ResponseWriter: hw, id: newRequestID()}
		started := time.Now()
		header := w.Header()
		header.Set("X-Request-Id", w.id)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		defer d.finish(w, r, started)
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
		default:
			d.fail(w, r, &Problem{Status: http.StatusServiceUnavailable, Message: "The server is busy. Please try again.", RetryAfter: time.Second})
			return
		}
		table.ServeHTTP(w, r)
	})
}

// finish logs the request, and turns a panic into an answer without a word
// about its cause.
func (d *Door) finish(w *answer, r *http.Request, started time.Time) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler {
			panic(p)
		}
		d.deps.Log.ErrorContext(r.Context(), "panic in request", "request", w.id, "panic", p, "stack", string(debug.Stack()))
		if w.status != 0 {
			panic(http.ErrAbortHandler) // half an answer is out: let the client see that it broke off
		}
		w.internalError()
	}
	d.deps.Log.LogAttrs(r.Context(), slog.LevelDebug, "request served",
		slog.String("request", w.id), slog.String("method", r.Method), slog.String("path", shownPath(r)),
		slog.Int("status", w.status), slog.Duration("took", time.Since(started)))
}

// An answer remembers whether and how it began.
type answer struct {
	http.ResponseWriter
	id     string
	status int // 0 until the header is written
}

// WriteHeader notes the status.
func (w *answer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the status 200 if none was written.
func (w *answer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController the connection.
func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func newRequestID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// clientAddr returns the address of the client: the peer's, or, if the peer is a
// trusted proxy, the last one in X-Forwarded-For that is not (SEC-64).
func (d *Door) clientAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if !d.trustedProxy(addr) {
		return addr
	}
	for _, hop := range forwardedFor(r.Header) {
		next, err := netip.ParseAddr(hop)
		if err != nil {
			break
		}
		if addr = next.Unmap(); !d.trustedProxy(addr) {
			break
		}
	}
	return addr
}

func (d *Door) trustedProxy(addr netip.Addr) bool {
	for _, p := range d.cfg.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// baseURL returns the address that links in answers start with.
func (d *Door) baseURL(r *http.Request) string {
	if d.cfg.PublicURL != "" {
		return d.cfg.PublicURL
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// longSegment is how long a segment of an unknown path may be to be shown, in octets. Links of
// mail are longer.
const longSegment = 32

// shownPath returns the path as the log has it. {link} in a pattern is a link of somebody's mail: who
// has it can act in his name (SEC-75). Of a path that is none of ours, long segments are left out, for they may
// be such a link that was called in a wrong way.
func shownPath(r *http.Request) string {
	_, pattern, known := strings.Cut(r.Pattern, " ")
	switch {
	case strings.HasSuffix(pattern, "/{link}"):
		return pattern
	case known:
		return r.URL.Path
	}
	segments := strings.Split(r.URL.Path, "/")
	for i, s := range segments {
		if len(s) > longSegment {
			segments[i] = "…"
		}
	}
	return strings.Join(segments, "/")
}
