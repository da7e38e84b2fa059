package outhttp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/outhttp"
)

// SEC-66: what is no URL to call, however it is written.
func TestParseURL(t *testing.T) {
	for url, want := range map[string]bool{
		"https://a.example/hook?x=1": true, "http://a.example": true, "http://a.example:80/": true, "https://a.example:443/": true, "http://a.example:1024/": true,
		"http://a.example:65535/": true, "https://bücher.example/": true, "http://my_app:3000/": true, "http://[2606:4700::1111]/": true, "http://8.8.8.8:8080/": true,
		"http://a.example./": true, "HTTPS://a.example/": true, "http://1.example/": true, "http://localhost:8080/": true, "http://10.0.0.1/": true, // judged later
		"": false, "a.example": false, "//a.example/": false, "ftp://a.example/": false, "file:///etc/passwd": false, "gopher://a.example/": false, "javascript:alert(1)": false, "http:a.example": false,
		"http://": false, "http:///x": false, "http://:80/": false, "http://bob@a.example/": false, "http://bob:pw@a.example/": false, "http://@a.example/": false,
		"http://a.example:25/": false, "http://a.example:22/": false, "http://a.example:0/": false, "http://a.example:1023/": false, "http://a.example:65536/": false, "http://a.example:/": false, "http://a.example:x/": false,
		"http://127.1/": false, "http://0x7f.1/": false, "http://0x7f000001/": false, "http://2130706433/": false, "http://0/": false, "http://017700000001/": false, "http://127.0.0.0x1/": false,
		"http://1.2.3.4.5/": false, "http://127.0.0.01/": false, "http://127.0.0.1./": false, "http://a.example/#x": false, "http://a.example\\@127.0.0.1/": false, "http://a.example /": false, "http://a.example/\r\nHost: b": false,
		"http://[::1%25lo]/": false, "http://[fe80::1%25eth0]/": false, "http://[::1": false, "http://１２７.０.０.１/": false, "http://127。0。0。1/": false, "http://a..example/": false, "http://.a.example/": false,
		"http://a%2eexample/": false, "http://" + strings.Repeat("a.", 130) + "example/": false, "http://a.example/" + strings.Repeat("x", 2048): false, "http://" + strings.Repeat("a", 64) + ".example/": false,
		"http://a.example/\xff": false, "\x00http://a.example/": false,
	} {
		if _, err := outhttp.ParseURL(url); (err == nil) != want {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://a.example/hook", "http://127.0.0.1:8080/", "http://[::ffff:7f00:1]/", "http://0x7f.1/", "http://bücher.example:99999/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := outhttp.ParseURL(s)
		if err != nil {
			return
		}
		if u.User != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || len(s) > outhttp.MaxURL {
			t.Errorf("%q was taken", s)
		}
		if _, err := http.NewRequest("POST", u.String(), nil); err != nil {
			t.Errorf("%q was taken, and makes no request: %v", s, err)
		}
		if again, err := outhttp.ParseURL(u.String()); err != nil || again.Host != u.Host {
			t.Errorf("%q becomes %q: %v", s, u, err)
		}
	})
}

// guarded dials only what the policy allows.
func guarded(p netguard.Policy) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{ControlContext: p.ControlContext}
		return d.DialContext(ctx, network, address)
	}
}

func client(lookup func(context.Context, string) ([]netip.Addr, error), p netguard.Policy, roots *x509.CertPool) *outhttp.Client {
	d := outhttp.Dialer{Lookup: lookup, Dial: guarded(p)}
	return outhttp.NewClient(outhttp.Config{DialContext: d.DialContext, Roots: roots, UserAgent: "test"})
}

func none(context.Context, string) ([]netip.Addr, error) { return nil, nil }

// SEC-41, SEC-66: the address table. Nothing listens on most of them, so what matters is that
// the refusal is ours, made before a packet goes out.
func TestAddresses(t *testing.T) {
	c := client(func(_ context.Context, name string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr(strings.ReplaceAll(strings.TrimSuffix(name, ".example"), "-", "."))}, nil
	}, netguard.Policy{}, nil)
	for _, host := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "169.254.1.1", "169.254.169.254", "169.254.170.2",
		"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"[::]", "[::1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]",
		"[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:a00:1::f5ff:fffe]", "[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "[100::1]",
		"[2606:4700::5efe:7f00:1]", "localhost", "x.localhost", "127-0-0-1.example", "10-1-1-1.example", "169-254-169-254.example",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := c.Post(ctx, "http://"+host+":9999/", "application/json", nil)
		cancel()
		var refusal *netguard.Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// A name that changes its answer between the look and the call is caught by the socket.
func TestDNSFlip(t *testing.T) {
	var looked atomic.Int64
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		if looked.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	d := outhttp.Dialer{Lookup: lookup}
	if err := d.Check(t.Context(), "http://flip.example/", netguard.Policy{}.Check); err != nil {
		t.Fatal(err)
	}
	_, err := client(lookup, netguard.Policy{}, nil).Post(t.Context(), "http://flip.example/", "application/json", nil)
	var refusal *netguard.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("error %v", err)
	}
}

func TestCheck(t *testing.T) {
	lookup := func(_ context.Context, name string) ([]netip.Addr, error) {
		switch name {
		case "gone.example":
			return nil, nil
		case "broken.example":
			return nil, errors.New("timeout")
		case "both.example":
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("8.8.8.8")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}
	d := outhttp.Dialer{Lookup: lookup}
	for url, want := range map[string]string{
		"http://gone.example/": "host not found", "http://broken.example/": "", "http://both.example/": "", "https://inside.example/": "its address may not be called: it is not a public one",
		"ftp://both.example/": "invalid URL scheme", "http://127.0.0.1/": "its address may not be called: it is not a public one",
	} {
		got := ""
		if err := d.Check(t.Context(), url, netguard.Policy{}.Check); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
	p := netguard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if err := d.Check(t.Context(), "https://inside.example/", p.Check); err != nil {
		t.Errorf("an allowed network: %v", err)
	}
}

// open allows loopback.
func open() netguard.Policy {
	return netguard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// What is sent, and what a server's answer becomes.
func TestAnswers(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:3128") // nobody asks it
	redirected := false
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || string(body) != "{}" || r.Header.Get("Content-Type") != "application/json" || r.UserAgent() != "test" || r.Header.Get("Authorization")+r.Header.Get("Cookie") != "" {
			t.Errorf("request %s %q %v", r.Method, body, r.Header)
		}
		switch r.URL.Path {
		case "/ok":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			fmt.Fprint(w, "taken\r\n\x1b[31mred\x00 \xff\u202e ok")
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/elsewhere":
			redirected = true
		case "/big":
			for range 4096 {
				if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
					return // it was cut off
				}
			}
			t.Error("256 MiB of an answer were read")
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "bomb")
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 100<<10))
		}
	})
	c := client(none, open(), nil)
	post := func(path string) (outhttp.Answer, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return c.Post(ctx, s.URL+path, "application/json", []byte("{}"))
	}
	for path, want := range map[string]outhttp.Answer{
		"/ok": {Status: 200, Text: "taken   [31mred  \uFFFD  ok"}, "/redirect": {Status: 307}, "/big": {Status: 200, Text: strings.Repeat("x", 1024)}, "/gzip": {Status: 200, Text: "bomb"}, "/none": {Status: 200},
	} {
		if got, err := post(path); got != want || err != nil {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	if redirected {
		t.Error("a redirect was followed")
	}
	for path, want := range map[string]string{"/reset": "the connection was closed without an answer: EOF", "/header": "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 16384 bytes; aborted"} {
		if _, err := post(path); err == nil || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Certificates are verified, also against a private authority, and names are.
func TestCertificates(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.StartTLS()
	defer s.Close()
	port := s.Listener.Addr().(*net.TCPAddr).Port
	here := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	for _, c := range []struct {
		host  string
		roots *x509.CertPool
		want  bool
	}{{"example.com", roots, true}, {"example.com", nil, false}, {"other.test", roots, false}} {
		_, err := client(here, open(), c.roots).Post(t.Context(), fmt.Sprintf("https://%s:%d/", c.host, port), "application/json", nil)
		var bad *tls.CertificateVerificationError
		if (err == nil) != c.want || err != nil && !errors.As(err, &bad) {
			t.Errorf("%s: %v", c.host, err)
		}
	}
}

// A server's octets, whatever they are, become a bounded answer or a bounded error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"))
	f.Add([]byte("220 mail.example ESMTP\r\n"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		calls := 0
		c := outhttp.NewClient(outhttp.Config{DialContext: func(context.Context, string, string) (net.Conn, error) {
			if calls++; calls > 2 { // net/http may try a second time on a connection that ends at once
				t.Fatal("a third connection")
			}
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			go func() { _, _ = theirs.Write(octets); theirs.Close() }()
			return ours, nil
		}})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		a, err := c.Post(ctx, "http://a.example/", "application/json", []byte("{}"))
		if err != nil {
			if len(err.Error()) > outhttp.MaxText+100 || strings.ContainsAny(err.Error(), "\x00\x1b\r\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		if len(a.Text) > outhttp.MaxText || strings.ContainsAny(a.Text, "\x00\x1b\r\n") {
			t.Errorf("answer %q", a.Text)
		}
	})
}
