package submission

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
)

// bdat is one chunk as a client sends it.
func bdat(content string, last bool) string {
	if last {
		return fmt.Sprintf("BDAT %d LAST\r\n%s", len(content), content)
	}
	return fmt.Sprintf("BDAT %d\r\n%s", len(content), content)
}

const header = "From: a@example.com\r\n\r\n"

// RFC 3030 section 4.2: the shapes in which a message may come.
func TestChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(true)
		if offer := c.do("EHLO client.test", "250"); !strings.Contains(offer, "250-CHUNKING\r\n") || strings.Contains(offer, "BINARYMIME") {
			t.Errorf("offered: %q", offer)
		}
		envelope := func() {
			c.do("MAIL FROM:<a@example.com>", "250")
			c.do("RCPT TO:<b@x.test>", "250")
		}
		var want []string
		envelope()
		c.send(bdat(header+"one\r\n", true))
		c.want("250 2.0.0 OK: queued as ")
		want = append(want, header+"one\r\n")

		envelope() // with dots, which BDAT leaves alone, CRLF cut in two, and nothing last
		c.send(bdat(header+"two\r", false))
		c.want("250 2.0.0 27 octets received")
		c.do("NOOP", "250")
		c.send(bdat("\n.\r\n..\r\n.", false))
		c.want("250 2.0.0 36 octets received")
		c.send("bdat 0 last\r\n")
		c.want("250 2.0.0 OK: queued as ")
		want = append(want, header+"two\r\n.\r\n..\r\n.")

		// All in one segment, a second message and QUIT behind it (RFC 2920).
		second := header + "four\r\nMAIL FROM:<evil@example.com>\r\n"
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n" + bdat(header, false) + bdat("three\r\n", true) +
			"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n" + bdat(second, true) + "QUIT\r\n")
		for _, code := range []string{"250 2.1.0", "250 2.1.5", "250 2.0.0 23 ", "250 2.0.0 OK", "250 2.1.0", "250 2.1.5", "250 2.0.0 OK", "221"} {
			c.want(code)
		}
		c.end()
		want = append(want, header+"three\r\n", second)
		got := r.door.accepted()
		if len(got) != len(want) {
			t.Fatalf("%d messages, want %d", len(got), len(want))
		}
		for i, w := range want {
			if got[i].content != w || len(got[i].Recipients) != 1 || got[i].ReversePath.String() != "a@example.com" {
				t.Errorf("message %d: %q to %v", i, got[i].content, got[i].Recipients)
			}
		}
	})
}

// SEC-04: what a message given up or refused leaves behind is nothing.
func TestChunksLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var c *client
		begin := func() {
			if c != nil {
				c.quit()
			}
			c = r.ready(true)
			c.do("MAIL FROM:<a@example.com>", "250")
			c.do("RCPT TO:<b@x.test>", "250")
			c.send(bdat(header, false))
			c.want("250")
		}
		begin()
		c.do("MAIL FROM:<a@example.com>", "503") // in the middle of a message
		c.do("RCPT TO:<c@x.test>", "503")
		c.do("DATA", "503")
		c.do("AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "503")
		c.do("VRFY x", "252")
		c.send(bdat("x\r\n", true))
		c.want("250 2.0.0 OK: queued")
		for _, stop := range []string{"RSET", "EHLO client.test", "HELO client.test"} {
			begin()
			c.do(stop, "250")
			c.do("DATA", "503")
			c.send(bdat("MAIL FROM:<a@example.com>\r\n", true)) // content, not a command
			c.want("503")
			c.do("RCPT TO:<c@x.test>", "503")
		}
		if got := len(r.door.accepted()); got != 1 {
			t.Errorf("%d messages", got)
		}
		// Refused before its end: the answer belongs to the chunk, what is pipelined behind it is discarded.
		c.quit()
		c = r.ready(true)
		r.door.err, r.door.early = &accept.Error{Code: 552, Enhanced: "5.3.4", Message: "too large"}, true
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n" + bdat(header, false) + bdat("MAIL FROM:<a@example.com>\r\n", false) + bdat("x", true) + "NOOP\r\n")
		for _, code := range []string{"250", "250", "552 5.3.4", "503", "503", "250 2.0.0 OK"} {
			c.want(code)
		}
		r.door.early = false // and at its end
		begin()
		c.send(bdat("x", true))
		c.want("552 5.3.4")
		c.do("RCPT TO:<c@x.test>", "503")
		c.quit()
		if got := len(r.door.accepted()); got != 1 {
			t.Errorf("%d messages", got)
		}
	})
}

// SEC-07: without a login a chunk is content for nobody, and no command.
func TestChunksNeedAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.dial(stranger, false)
		c.want("220")
		c.do("EHLO client.test", "250")
		c.send(bdat("QUIT\r\n", true))
		c.want("530")
		c.send(bdat("QUIT\r\n", false))
		c.want("530")
		c.quit()
		c = r.ready(false)
		c.do("MAIL FROM:<a@example.com>", "250")
		c.send(bdat("QUIT\r\n", true))
		c.want("503")
		c.quit()
		if len(r.door.accepted()) != 0 {
			t.Error("accepted")
		}
	})
}

// SEC-01 for BDAT: wherever a chunk is cut, a bare CR, a bare LF or a NUL ends message and session.
func TestChunksAreClean(t *testing.T) {
	for _, octets := range []string{"\r", "\n", "\x00", "\r\r\n", "\n\r\n", "\r\n\n", "x\ry", "x\ny", "x\x00y", "\r\n.\n", "\n.\r\n", "\r.\r"} {
		for cut := range len(octets) + 1 {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				c := r.ready(false)
				c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n" + bdat(header+octets[:cut], false) + bdat(octets[cut:]+"end\r\n", true) + second)
				said := c.end()
				if !strings.Contains(said, "554 5.6.0") || !strings.HasSuffix(said, replyLineEnd.String()) {
					t.Errorf("%q cut at %d: said %q", octets, cut, said)
				}
				if got := len(r.door.accepted()); got != 0 {
					t.Errorf("%q cut at %d: %d messages", octets, cut, got)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // a CR that ends the message
		r := newRig(t)
		c := r.ready(false)
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n" + bdat(header+"x\r", true) + second)
		if said := c.end(); !strings.HasSuffix(said, replyLineEnd.String()) || len(r.door.accepted()) != 0 {
			t.Errorf("said %q", said)
		}
	})
}

// SEC-10: sizes that no message has, and chunks that are not worth a command.
func TestChunkSizes(t *testing.T) {
	for args, want := range map[string]string{
		"": "501", "LAST": "501", "x": "501", "-1 LAST": "501", "+5": "501", "5 FIRST": "501", "5 LAST LAST": "501", "0x10": "501", "1e3": "501",
		"123456789012345678901": "501", "99999999999999999999 LAST": "501", "9223372036854775807": "552", "52428801 LAST": "552",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			c := r.ready(false)
			c.do("MAIL FROM:<a@example.com>", "250")
			c.do("RCPT TO:<b@x.test>", "250")
			c.send("BDAT " + args + "\r\n" + header + second)
			if said := c.end(); !strings.HasPrefix(said, want) || strings.Count(said, "\n") != 1 || len(r.door.accepted()) != 0 {
				t.Errorf("BDAT %s: said %q", args, said)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false)
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n" + strings.Repeat(bdat("x", false), 500))
		if said := c.end(); !strings.HasSuffix(said, replyTooMany.String()) || strings.Count(said, "\n") > 120 {
			t.Errorf("tiny chunks: %d replies", strings.Count(said, "\n"))
		}
	})
	synctest.Test(t, func(t *testing.T) { // honest ones, for a message of a thousand
		r := newRig(t)
		c := r.ready(false)
		c.do("MAIL FROM:<a@example.com>", "250")
		c.do("RCPT TO:<b@x.test>", "250")
		c.send(bdat(header, false))
		c.want("250")
		for range 1000 {
			c.send(bdat(strings.Repeat("x", 1200)+"\r\n", false))
			c.want("250")
		}
		c.do("BDAT 0 LAST", "250 2.0.0 OK: queued")
		c.quit()
	})
}

// SEC-09 for BDAT: neither a drip in a chunk nor a drip of chunks holds a session.
func TestSlowChunks(t *testing.T) {
	for name, c := range map[string]struct {
		slow   func(c *client)
		within time.Duration
	}{
		"silence in a chunk": {func(c *client) { c.send("BDAT 100\r\nx") }, 2 * dataWindow},
		"silence between chunks": {func(c *client) {
			c.send(bdat(header, false))
		}, commandTimeout},
		"an octet a minute, each in a chunk": {func(c *client) {
			for range 200 {
				if _, err := io.WriteString(c.conn, "BDAT 1\r\n"); err != nil {
					return
				}
				time.Sleep(50 * time.Second)
				if _, err := io.WriteString(c.conn, "x"); err != nil {
					return
				}
			}
		}, 3 * dataWindow},
		"a chunk in four minutes": {func(c *client) {
			for range 200 {
				if _, err := io.WriteString(c.conn, bdat("x", false)); err != nil {
					return
				}
				time.Sleep(4 * time.Minute)
			}
		}, idleBudget + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				cl := r.ready(false)
				start := time.Now()
				cl.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n")
				over := make(chan struct{})
				go func() {
					c.slow(cl)
					close(over)
				}()
				said := ""
				for line := range cl.lines {
					said = line
				}
				if took := time.Since(start); took > c.within+lingerTime+time.Second {
					t.Errorf("held for %v, want at most %v", took, c.within)
				}
				if !strings.HasPrefix(said, "421 4.4.2") {
					t.Errorf("last words %q", said)
				}
				cl.conn.Close()
				<-over
				if len(r.door.accepted()) != 0 {
					t.Error("accepted")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // an honest one, longer than the idle budget
		r := newRig(t)
		c := r.ready(false)
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n")
		c.want("250")
		c.want("250")
		c.send(bdat(header, false))
		c.want("250")
		line := strings.Repeat("x", 98) + "\r\n"
		for range 25 {
			c.send("BDAT 60000\r\n")
			for range 30 {
				c.send(strings.Repeat(line, 20))
				time.Sleep(time.Second)
			}
			c.want("250")
		}
		c.do("BDAT 0 LAST", "250 2.0.0 OK: queued")
		c.quit()
	})
}

// SEC-05 for BDAT (Exim CVE-2026-45185): close_notify in the middle of a chunk, then octets in the clear.
func TestChunksEndWithTLS(t *testing.T) {
	for _, part := range []string{"BDAT 100\r\nFrom: a@exa", "BDAT 5\r\nFrom:", "BDAT 100 LA"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			ours, theirs := net.Pipe()
			r.server.start(t.Context(), pipeEnd{theirs, &net.TCPAddr{IP: net.ParseIP(friendly)}}, true)
			conn := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			c := newClient(t, conn)
			c.want("220")
			c.do("EHLO client.test", "250")
			c.do("MAIL FROM:<a@example.com>", "250")
			c.do("RCPT TO:<b@x.test>", "250")
			c.send(part)
			if strings.HasPrefix(part, "BDAT 5") {
				c.want("250")
			}
			conn.CloseWrite()
			go io.WriteString(ours, strings.Repeat("x", 200)+"\r\nBDAT 0 LAST\r\nMAIL FROM:<a@example.com>\r\n")
			if said := c.end(); said != "" {
				t.Errorf("%q: said %q", part, said)
			}
			if got := len(r.door.accepted()); got != 0 {
				t.Errorf("%q: %d messages", part, got)
			}
		})
	}
}

// REL-07 for BDAT: a message of which some chunks are in may be finished while the server drains.
func TestShutdownBetweenChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false)
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n" + bdat(header, false))
		c.want("250")
		c.want("250")
		c.want("250")
		done := make(chan error)
		go func() { done <- r.server.Shutdown(t.Context()) }()
		time.Sleep(10 * time.Second)
		c.send(bdat("x\r\n", true))
		c.want("250 2.0.0 OK: queued")
		c.want("421 4.3.2")
		c.end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// SEC-10: a chunk without a line end and a message of many chunks cost no memory.
func TestEndlessChunks(t *testing.T) {
	r, _ := realRoom(t, false)
	for name, size := range map[string]int{"one chunk": 50 << 20, "many chunks": 64 << 10} {
		c := r.ready(false)
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\n")
		c.want("250")
		c.want("250")
		octets := []byte(strings.Repeat(strings.Repeat("x", 62)+"\r\n", 1<<10))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.send(bdat(header, false))
		c.want("250")
		refused := ""
		for sent := 0; sent < 50<<20 && refused == ""; sent += size {
			c.send(fmt.Sprintf("BDAT %d\r\n", size))
			for part := 0; part < size; part += len(octets) {
				if _, err := c.conn.Write(octets); err != nil {
					break
				}
			}
			if got := c.reply(); !strings.HasPrefix(got, "250") {
				refused = got
			}
		}
		runtime.ReadMemStats(&after)
		if !strings.HasPrefix(refused, "552 5.3.4") {
			t.Errorf("%s: %q", name, refused)
		}
		if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 5<<20 {
			t.Errorf("%s: allocated %d KiB", name, grown>>10)
		}
		c.quit2()
	}
}

func FuzzChunk(f *testing.F) {
	for _, s := range []string{"0", "10 LAST", "10  last", "-1", "99999999999999999999", "5 LAST x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseChunk(s)
		if !ok {
			return
		}
		line := fmt.Sprint(c.size)
		if c.last {
			line += " LAST"
		}
		if again, ok := parseChunk(line); c.size < 0 || !ok || again != c {
			t.Errorf("%q: %+v reads back as %+v", s, c, again)
		}
	})
}

// FuzzLineEnds compares the watch over a stream cut anywhere with a look at the whole.
func FuzzLineEnds(f *testing.F) {
	f.Add([]byte("a\r\nb\r"), uint8(2))
	f.Add([]byte("\r\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, every uint8) {
		var l lineEnds
		got := true
		for rest := in; len(rest) > 0 && got; {
			n := min(int(every)+1, len(rest))
			got = l.clean(rest[:n])
			rest = rest[n:]
		}
		whole := strings.ReplaceAll(string(in), "\r\n", "")
		want := !strings.ContainsAny(strings.TrimSuffix(whole, "\r"), "\r\n\x00") && (!strings.HasSuffix(whole, "\r") || strings.HasSuffix(string(in), "\r"))
		if got != want {
			t.Errorf("%q by %d: clean %v, want %v", in, every, got, want)
		}
	})
}
