package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

// maxText is the largest text read from standard input in octets.
const maxText = 10 << 20

type sendCmd struct {
	From    string   `required:"" placeholder:"ADDRESS" help:"Sender, with a name or without."`
	To      []string `required:"" sep:"none" placeholder:"ADDRESS" help:"Recipient; repeat for more."`
	Cc      []string `sep:"none" placeholder:"ADDRESS" help:"Recipient of a copy; repeat for more."`
	Bcc     []string `sep:"none" placeholder:"ADDRESS" help:"Recipient that the others do not see; repeat for more."`
	Subject string   `placeholder:"TEXT" help:"Subject."`
	Text    string   `placeholder:"TEXT" help:"Body as plain text; - reads it from standard input."`
	HTML    string   `name:"html" placeholder:"HTML" help:"Body as HTML; - reads it from standard input."`
	Attach  []string `sep:"none" placeholder:"FILE" help:"File to attach; repeat for more."`
	Header  []string `sep:"none" placeholder:"NAME=VALUE" help:"Further header field; repeat for more."`
	Tag     []string `sep:"none" placeholder:"TAG" help:"Tag for statistics and filters; repeat for more."`
	tlsFlags
	REQUIRETLS  bool          `name:"requiretls" help:"Mark it with REQUIRETLS: verified TLS on every hop to the mailbox, or no delivery (RFC 8689). Not the same as --require-tls."`
	TLSRequired string        `name:"tls-required" enum:",no" default:"" placeholder:"no" help:"=no adds TLS-Required: No, which sets the TLS policy of the recipient aside (RFC 8689)."`
	Domain      string        `placeholder:"DOMAIN" help:"Sending domain; that of --from if not given."`
	Wait        bool          `help:"Wait until every recipient's copy is delivered or failed, and fail unless all were delivered."`
	Timeout     time.Duration `default:"15m" placeholder:"15m" help:"How long --wait waits; 0 is without end. The message stays queued."`
}

// Run sends a message.
func (c sendCmd) Run(ctx context.Context, s *session) error {
	m, err := c.message(s)
	if err != nil {
		return err
	}
	domain := c.Domain
	if domain == "" {
		from, err := mail.ParseAddress(c.From)
		if err != nil {
			return usagef("--from %q is not an address: %w", c.From, err)
		}
		domain = from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if c.Wait {
		if err := s.needServer("send --wait"); err != nil {
			return err
		}
	}
	started := time.Now()
	a, err := client.Send(ctx, domain, m)
	if err != nil {
		return err
	}
	if s.offline {
		s.note("no server runs now; the message leaves when one does")
	}
	if !c.Wait {
		return s.show(a.JSON, &table{rows: [][]string{{"message", a.Value.ID}, {"status", a.Value.Message}}})
	}
	begin := "0"
	if !a.Date.IsZero() { // the server's clock, to the second, at the end of the request
		begin = epoch(a.Date.Add(-time.Since(started) - 2*time.Second))
	}
	return c.wait(ctx, s, client, domain, a, begin)
}

// message makes the message of the arguments.
func (c sendCmd) message(s *session) (apiclient.Message, error) {
	m := apiclient.Message{From: c.From, To: c.To, Cc: c.Cc, Bcc: c.Bcc, Subject: c.Subject, Text: c.Text, HTML: c.HTML, Tags: c.Tag, TLS: c.flags(),
		REQUIRETLS: c.REQUIRETLS, TLSOptional: c.TLSRequired == "no"}
	if c.Text == "" && c.HTML == "" {
		return m, usagef("the message has no body; give --text, --html, or --text - to read it from standard input")
	}
	if c.Text == "-" && c.HTML == "-" {
		return m, usagef("only one of --text and --html can be read from standard input")
	}
	for _, body := range []*string{&m.Text, &m.HTML} {
		if *body != "-" {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(s.env.Stdin, maxText+1))
		if err != nil {
			return m, fmt.Errorf("read standard input: %w", err)
		}
		if len(b) == 0 || len(b) > maxText {
			return m, usagef("standard input must have 1 to %d octets of text", maxText)
		}
		*body = string(b)
	}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, "=")
		if !ok || name == "" {
			return m, usagef("--header %q has no name; write NAME=VALUE", h)
		}
		m.Headers = append(m.Headers, [2]string{name, value})
	}
	for _, path := range c.Attach {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("is not a file")
		}
		if err != nil {
			return m, usagef("attach %s: %w", path, err)
		}
		m.Attachments = append(m.Attachments, apiclient.Attachment{Name: filepath.Base(path), Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	return m, nil
}

// wait shows what becomes of a message until every recipient's copy has its end.
func (c sendCmd) wait(ctx context.Context, s *session, client *apiclient.Client, domain string, a apiclient.Answer[apiclient.Queued], begin string) error {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	if !s.json() {
		if err := s.say("message  %s", a.Value.ID); err != nil {
			return err
		}
	}
	w := &waiting{pending: map[string]bool{}}
	show := s.printEvents()
	query := messageQuery(bareID(a.Value.ID), maxPage)
	query.Del("limit")
	query.Set("begin", begin)
	f := &follower{client: client, domain: domain, query: query, notice: s.note, emit: func(events []apiclient.Event) error {
		if !s.json() {
			if err := show(events); err != nil {
				return err
			}
		}
		return w.take(events)
	}}
	err := f.run(ctx)
	if s.json() {
		if err := s.writeValue(struct {
			ID     string            `json:"id"`
			Done   bool              `json:"done"` // every copy has its end
			Events []json.RawMessage `json:"events"`
		}{a.Value.ID, err == nil, w.events()}); err != nil {
			return err
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("still queued after %s: %s; see: sealpost queue explain", c.Timeout, strings.Join(w.open(), ", "))
	}
	if err != nil {
		return fmt.Errorf("the message was accepted, but what became of it is not known: %w", err)
	}
	if len(w.failed) > 0 {
		return fmt.Errorf("not delivered to: %s", strings.Join(w.failed, ", "))
	}
	return nil
}

// waiting is what is known of a message's copies.
type waiting struct {
	all     []apiclient.Event
	pending map[string]bool // by recipient; false once it has its end
	failed  []string
}

// take notes events and returns errDone once every copy has its end. The accepted events
// of all recipients come first, and together.
func (w *waiting) take(events []apiclient.Event) error {
	w.all = append(w.all, events...)
	for _, e := range events {
		_, known := w.pending[e.Recipient]
		if e.Event == "accepted" && !known {
			w.pending[e.Recipient] = true
		}
		if !e.Final() {
			continue
		}
		w.pending[e.Recipient] = false
		if e.Event != "delivered" {
			who := e.Recipient
			if who == "" {
				who = "anybody"
			}
			w.failed = append(w.failed, who)
		}
	}
	if len(w.pending) == 0 || len(w.open()) > 0 {
		return nil
	}
	return errDone
}

// open lists the recipients that wait.
func (w *waiting) open() []string {
	var names []string
	for name, waits := range w.pending {
		if waits {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// events are all events as the server wrote them.
func (w *waiting) events() []json.RawMessage {
	raw := make([]json.RawMessage, len(w.all))
	for i, e := range w.all {
		raw[i] = e.JSON
	}
	return raw
}
