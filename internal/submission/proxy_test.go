package submission

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func behindProxy(c *Config) {
	c.Proxies = []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}
	c.MaxPerAddress = 2
}

const proxy = "172.16.0.9"

// v2 is a version 2 header for TCP over IPv4, with something behind the addresses.
const v2 = proxySignature + "\x21\x11\x00\x0f\x0a\x01\x02\x03\xac\x10\x00\x09\x01\x00\x02\x4b\x03\x00\x00"

// SEC-13: who comes by a proxy is who the proxy says, for trust and for the caps; nobody else can say so.
func TestProxies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, behindProxy)
		for _, header := range []string{"PROXY TCP4 10.1.2.3 172.16.0.9 4000 587\r\n", v2} { // trusted
			c := r.dial(proxy, false)
			c.send(header)
			c.want("220")
			c.do("EHLO client.test", "250")
			c.do("MAIL FROM:<a@example.com>", "250")
			c.do("RCPT TO:<b@x.test>", "250")
			c.do("DATA", "354")
			c.do("From: a@example.com\r\n\r\nHi\r\n.", "250")
			c.quit()
		}
		for _, m := range r.door.accepted() {
			if m.Sender.OriginIP != friendly {
				t.Errorf("from %s", m.Sender.OriginIP)
			}
		}
		c := r.dial(proxy, false)
		c.send("PROXY TCP6 2001:db8::1 2001:db8::2 4000 587\r\n")
		c.want("220")
		c.do("EHLO client.test", "250")
		c.do("MAIL FROM:<a@example.com>", "530")
		c.quit()
		for _, header := range []string{"PROXY UNKNOWN whatever\r\n", proxySignature + "\x20\x00\x00\x00"} { // the proxy itself
			c := r.dial(proxy, false)
			c.send(header)
			c.want("220")
			c.do("EHLO client.test", "250")
			c.do("MAIL FROM:<a@example.com>", "530")
			c.quit()
		}
	})
}

func TestProxiesAndCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, behindProxy)
		var open []*client
		for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"} {
			c := r.dial(proxy, false)
			c.send("PROXY TCP4 " + from + " 172.16.0.9 4000 587\r\n")
			c.want("220")
			open = append(open, c)
		}
		c := r.dial(proxy, false)
		c.send("PROXY TCP4 192.0.2.1 172.16.0.9 4000 587\r\n")
		c.want("421 4.7.0")
		c.end()
		for _, c := range open {
			c.quit()
		}
		r.server.running.Wait()
		if n := len(r.server.perHost) + len(r.server.sessions); n != 0 {
			t.Errorf("%d counts are left: %v", n, r.server.perHost)
		}
	})
}

func TestNoProxyHeader(t *testing.T) {
	for name, header := range map[string]string{
		"none": "EHLO client.test\r\n", "half": "PROXY TCP4 10.1.2.3", "too long": "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n",
		"another family": "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "another protocol": "PROXY UDP4 10.1.2.3 10.1.2.4 1 2\r\n", "a name": "PROXY TCP4 localhost 10.1.2.4 1 2\r\n",
		"too few words": "PROXY TCP4 10.1.2.3 10.1.2.4\r\n", "version 2, too short": proxySignature + "\x21\x11\x00\x04\x0a\x01\x02\x03", "version 3": proxySignature + "\x31\x11\x00\x00",
		"version 2, too long": proxySignature + "\x21\x11\xff\xff",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, behindProxy)
			c := r.dial(proxy, false)
			start := time.Now()
			c.send(header)
			if said := c.end(); said != "" || time.Since(start) > proxyTimeout {
				t.Errorf("%s: said %q after %v", name, said, time.Since(start))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // from elsewhere
		r := newRig(t, behindProxy)
		c := r.dial(stranger, false)
		c.want("220")
		c.send("PROXY TCP4 10.1.2.3 172.16.0.9 4000 587\r\nMAIL FROM:<a@example.com>\r\n")
		if said := c.end(); !strings.HasPrefix(said, "500") || strings.Count(said, "\n") != 1 {
			t.Errorf("said %q", said)
		}
	})
}

// With implicit TLS the header comes before the handshake.
func TestProxyBeforeTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, behindProxy)
		ours, theirs := net.Pipe()
		r.server.start(t.Context(), pipeEnd{theirs, &net.TCPAddr{IP: net.ParseIP(proxy)}}, true)
		io.WriteString(ours, v2)
		conn := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		c := newClient(t, conn)
		c.want("220")
		c.do("EHLO client.test", "250")
		c.do("MAIL FROM:<a@example.com>", "250") // from a trusted network
		c.quit()
	})
}

func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{"PROXY TCP4 10.1.2.3 172.16.0.9 4000 587\r\nx", "PROXY UNKNOWN\r\n", v2, proxySignature + "\x20\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		addr, ok, err := readProxyHeader(r)
		read := len(in) - r.Len()
		if read > maxProxyBody+16 || ok && (err != nil || !addr.IsValid() || addr.Zone() != "") {
			t.Errorf("%q: %v, %v, %v after %d octets", in, addr, ok, err, read)
		}
	})
}

// SEC-03: who logged in before the handshake did not; it may have been somebody on the way.
func TestTheHandshakeForgetsTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.AuthWithoutTLS = true })
		c := r.dial(stranger, false)
		c.want("220")
		c.do("EHLO client.test", "250")
		c.do("AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "235")
		c.do("STARTTLS", "220")
		c = c.tls()
		c.do("EHLO client.test", "250")
		c.do("MAIL FROM:<a@example.com>", "530 5.7.0")
		c.do("AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "235")
		c.do("MAIL FROM:<a@example.com>", "250")
		c.quit()
	})
}

// submission.auth_without_tls: passwords in the clear, where the operator wants that, and TLS still.
func TestAuthWithoutTLS(t *testing.T) {
	for _, certificate := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config) {
				if c.AuthWithoutTLS = true; !certificate {
					c.Certificate = nil
				}
			})
			c := r.dial(stranger, false)
			c.want("220")
			offer := c.do("EHLO client.test", "250")
			if !strings.Contains(offer, "AUTH PLAIN LOGIN") || strings.Contains(offer, "STARTTLS") != certificate || strings.Contains(offer, "REQUIRETLS") {
				t.Errorf("offered %q", offer)
			}
			c.do("MAIL FROM:<a@example.com>", "530 5.7.0 Authentication required")
			c.do("AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "235")
			c.do("MAIL FROM:<a@example.com>", "250")
			c.quit()
		})
	}
}
