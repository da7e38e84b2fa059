package lab

import (
	"context"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
)

// A Client talks to the running lab server.
type Client interface {
	// Send sends a short message with these flags from [SendingDomain] and returns its
	// Message-ID without angle brackets.
	Send(ctx context.Context, to string, flags mail.TLSFlags) (messageID string, err error)
	// Outcome waits for the message's first delivered or failed event, and cancels what is
	// still queued after it.
	Outcome(ctx context.Context, messageID string) (event.Type, event.Status, error)
	// Observe asks what the receivers saw.
	Observe(ctx context.Context, messageID string) ([]Observation, error)
}

// A Line is one cell of the truth table: a receiver under a pair of flags, what the
// log said and what the receiver saw.
type Line struct {
	Receiver         string       `json:"receiver"`
	RequireTLS       bool         `json:"require-tls"`
	SkipVerification bool         `json:"skip-verification"`
	Delivered        bool         `json:"delivered"`
	TLS              bool         `json:"tls"`
	Verified         bool         `json:"certificate-verified"`
	Result           string       `json:"result"`
	Status           event.Status `json:"delivery-status"`
	Seen             *Found       `json:"seen"` // nil: nothing arrived
	PlaintextMail    bool         `json:"plaintext-mail"`
	True             bool         `json:"true"` // log and receiver agree, and the flags were kept
}

// Table sends all four pairs to every receiver, the receivers at once and the pairs
// one after the other, and returns the lines in the order of the receivers.
func Table(ctx context.Context, c Client) ([]Line, error) {
	all := receivers()
	lines := make([]Line, 4*len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, r := range all {
		wg.Go(func() {
			for pair := range 4 {
				if lines[4*i+pair], errs[i] = cell(ctx, c, r, pair >= 2, pair%2 == 1); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func cell(ctx context.Context, c Client, r *Receiver, require, skip bool) (Line, error) {
	line := Line{Receiver: r.Name, RequireTLS: require, SkipVerification: skip}
	before, err := observe(ctx, c, r, "")
	if err != nil {
		return line, err
	}
	flags := mail.TLSFlags{RequireTLS: mail.TriOf(require), SkipVerification: mail.TriOf(skip)}
	id, err := c.Send(ctx, "anyone@"+r.Domain(), flags)
	if err != nil {
		return line, fmt.Errorf("send to %s: %w", r.Domain(), err)
	}
	what, status, err := c.Outcome(ctx, id)
	if err != nil {
		return line, fmt.Errorf("outcome of the message to %s: %w", r.Domain(), err)
	}
	after, err := observe(ctx, c, r, id)
	if err != nil {
		return line, err
	}
	line.Delivered = what == event.Delivered
	line.TLS = status.TLS != nil && *status.TLS
	line.Verified = status.CertificateVerified != nil && *status.CertificateVerified
	if status.TLSDetail != nil {
		line.Result = status.TLSDetail.Result
	}
	line.Status = status
	line.Seen = after.Found
	line.PlaintextMail = after.PlaintextMail > before.PlaintextMail
	line.True = line.agrees() && line.keepsFlags(r)
	return line, nil
}

func observe(ctx context.Context, c Client, r *Receiver, id string) (Observation, error) {
	all, err := c.Observe(ctx, id)
	if err != nil {
		return Observation{}, fmt.Errorf("ask the receivers what they saw: %w", err)
	}
	for _, o := range all {
		if o.Receiver == r.Name {
			return o, nil
		}
	}
	return Observation{}, fmt.Errorf("the lab has no receiver %s", r.Name)
}

// agrees reports whether the receiver saw what the log says.
func (l Line) agrees() bool {
	if !l.Delivered {
		return l.Seen == nil && !l.TLS && !l.Verified
	}
	return l.Seen != nil && l.Seen.TLS == l.TLS && (l.TLS || !l.Verified)
}

// keepsFlags reports whether the flags' promise was kept.
func (l Line) keepsFlags(r *Receiver) bool {
	switch {
	case l.RequireTLS && (l.PlaintextMail || l.Delivered && !l.TLS):
		return false
	case l.RequireTLS && !l.SkipVerification && l.Delivered && !l.Verified:
		return false
	case l.Verified && r.Name != "valid":
		return false
	}
	return true
}

// WriteTable writes the lines for people.
func WriteTable(w io.Writer, lines []Line) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "RECEIVER\tREQUIRE-TLS\tSKIP-VERIFICATION\tTHE LOG SAYS\tRESULT\tTHE RECEIVER SAW\tTRUE")
	last := ""
	for _, l := range lines {
		name := l.Receiver
		if name == last {
			name = ""
		}
		last = l.Receiver
		fmt.Fprintf(tw, "%s\t%t\t%t\t%s\t%s\t%s\t%s\n", name, l.RequireTLS, l.SkipVerification, l.says(), l.Result, l.saw(), map[bool]string{true: "yes", false: "NO"}[l.True])
	}
	return tw.Flush()
}

func (l Line) says() string {
	switch {
	case !l.Delivered:
		return fmt.Sprintf("not delivered (%d %s)", l.Status.Code, l.Status.EnhancedCode)
	case l.Verified:
		return "delivered, TLS, verified"
	case l.TLS:
		return "delivered, TLS, not verified"
	}
	return "delivered, plaintext"
}

func (l Line) saw() string {
	switch {
	case l.Seen == nil:
		return "no message"
	case l.Seen.TLS:
		return "a message over " + l.Seen.Version
	}
	return "a message in plaintext"
}
