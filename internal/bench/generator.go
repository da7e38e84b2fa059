package bench

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Load is a number of messages over a number of connections.
type Load struct {
	Messages    int
	Connections int
	Sender      string
	Recipient   func(i int) string // of message i
	Header      string             // additional fields, with their line ends; by SMTP
	Fields      [][2]string        // additional parameters; by HTTP
	Size        int                // octets of the body
}

// A Timing is how long the acknowledgements took.
type Timing struct {
	Total    time.Duration
	P50, P99 time.Duration
}

// body returns incompressible text of about n octets in lines of 76.
func body(n int) string {
	random := rand.NewChaCha8([32]byte{1})
	raw := make([]byte, n*3/4)
	_, _ = random.Read(raw) // never fails
	text := base64.StdEncoding.EncodeToString(raw)
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
	return b.String()
}

// run has Connections workers take turns at Messages, and times each.
func (l Load) run(connect func() (send func(i int) error, done func(), err error)) (Timing, error) {
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	start := time.Now()
	for range l.Connections {
		wg.Go(func() {
			var took []time.Duration
			send, done, err := connect()
			if err == nil {
				defer done()
			}
			for err == nil {
				i := int(next.Add(1)) - 1
				if i >= l.Messages {
					break
				}
				began := time.Now()
				err = send(i)
				took = append(took, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if failed == nil {
				failed = err
			}
		})
	}
	wg.Wait()
	t := timing(all)
	t.Total = time.Since(start)
	return t, failed
}

// timing returns the quantiles of how long things took.
func timing(all []time.Duration) Timing {
	slices.Sort(all)
	if n := len(all); n > 0 {
		return Timing{P50: all[n/2], P99: all[n*99/100]}
	}
	return Timing{}
}

// SMTP hands the load over by plain SMTP, one message after the other on each
// connection, waiting for every reply.
func (l Load) SMTP(address string) (Timing, error) {
	text := body(l.Size)
	var opened atomic.Int64
	return l.run(func() (func(int) error, func(), error) {
		// A server bears only so many connections from one address.
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+opened.Add(1)/20))}}
		conn, err := from.Dial("tcp", address)
		if err != nil {
			return nil, nil, err
		}
		c := &smtpSession{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriterSize(conn, 32<<10)}
		if err := c.expect("", "220"); err != nil {
			return nil, nil, err
		}
		if err := c.expect("EHLO generator.test\r\n", "250"); err != nil {
			return nil, nil, err
		}
		send := func(i int) error {
			to := l.Recipient(i)
			for _, step := range [][2]string{
				{"MAIL FROM:<" + l.Sender + ">\r\n", "250"}, {"RCPT TO:<" + to + ">\r\n", "250"}, {"DATA\r\n", "354"},
			} {
				if err := c.expect(step[0], step[1]); err != nil {
					return err
				}
			}
			return c.expect(fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: message %d\r\nDate: %s\r\nMIME-Version: 1.0\r\n%s\r\n%s.\r\n",
				l.Sender, to, i, time.Now().Format(time.RFC1123Z), l.Header, text), "250")
		}
		return send, func() { _ = c.expect("QUIT\r\n", "221"); _ = conn.Close() }, nil
	})
}

type smtpSession struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

// expect sends a command and reads a reply, which must have the code.
func (s *smtpSession) expect(command, code string) error {
	_, _ = s.w.WriteString(command)
	if err := s.w.Flush(); err != nil {
		return err
	}
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("%.20q was answered %q", command, line)
		}
		if len(line) > 3 && line[3] != '-' {
			return nil
		}
	}
}

// HTTP hands the load over by POST of a form, as SDKs do.
func (l Load) HTTP(url, key string) (Timing, error) {
	text := body(l.Size)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.Connections}, Timeout: time.Minute}
	return l.run(func() (func(int) error, func(), error) {
		return func(i int) error {
			var form bytes.Buffer
			m := multipart.NewWriter(&form)
			for _, f := range append([][2]string{{"from", l.Sender}, {"to", l.Recipient(i)}, {"subject", fmt.Sprint("message ", i)}, {"text", text}, {"o:dkim", "no"}}, l.Fields...) {
				if err := m.WriteField(f[0], f[1]); err != nil {
					return err
				}
			}
			if err := m.Close(); err != nil {
				return err
			}
			req, err := http.NewRequest("POST", url, &form)
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", m.FormDataContentType())
			req.SetBasicAuth("api", key)
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, answer)
			}
			return err
		}, func() {}, nil
	})
}
