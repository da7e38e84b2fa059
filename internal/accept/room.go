package accept

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/handlebars"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/spool"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	defaultLifetime = 8 * time.Hour
	defaultHorizon  = 3 * 24 * time.Hour
)

// A Room accepts messages. It is safe for concurrent use.
type Room struct {
	cfg       Config
	intake    store.Intake
	domains   Domains
	scheduler Scheduler
	log       *slog.Logger
	signers   *signers
	rejects   *rejects
	workers   chan struct{} // lent to submissions that make many letters
	// unreachable holds the ids of domains of which was said that their mail cannot be tracked.
	unreachable sync.Map
}

// New returns a room. A nil scheduler is allowed: rows then wait in the store.
func New(cfg Config, intake store.Intake, domains Domains, scheduler Scheduler, log *slog.Logger) *Room {
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Horizon <= 0 {
		cfg.Horizon = defaultHorizon
	}
	return &Room{
		cfg: cfg, intake: intake, domains: domains, scheduler: scheduler, log: log,
		signers: newSigners(), rejects: newRejects(),
		// Signing is the most work of all, and deliveries need a processor too.
		workers: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// Accept takes a submission. When it returns nil the message is on disk. A
// refusal is an *Error; an error of Submission.Raw is returned wrapped; there are no others.
func (r *Room) Accept(ctx context.Context, s Submission) (Receipt, error) {
	source := &sourceReader{r: s.Raw}
	if s.Raw != nil {
		s.Raw = source
	}
	j := &job{room: r, s: s, now: time.Now().UTC()}
	receipt, err := j.run(ctx)
	if err == nil {
		return receipt, nil
	}
	if j.arena != nil {
		j.arena.Abandon()
	}
	if source.err != nil {
		return Receipt{}, fmt.Errorf("read submission: %w", source.err)
	}
	refusal := r.explain(ctx, j, err)
	r.reject(ctx, j, refusal)
	return Receipt{}, refusal
}

// explain turns whatever went wrong into an *Error.
func (r *Room) explain(ctx context.Context, j *job, err error) *Error {
	var option *sendopt.Error
	var field *compose.FieldError
	var refusal *compose.Refusal
	e, ok := asError(err)
	switch {
	case ok:
		return e
	case errors.As(err, &option):
		return invalid("%s", option.Problem)
	case errors.As(err, &field):
		return invalid("%s", sendopt.Printable(field.Problem))
	case errors.As(err, &refusal):
		return &Error{Status: 400, Code: 554, Enhanced: refusal.Enhanced, Message: refusal.Problem, reject: "content"}
	case errors.Is(err, spool.ErrTooLarge), errors.Is(err, handlebars.ErrTooLarge):
		return &Error{Status: 413, Code: 552, Enhanced: "5.3.4", Message: fmt.Sprintf("message size exceeds %d MiB limit", MaxSize>>20)}
	case errors.Is(err, store.ErrFull):
		r.log.ErrorContext(ctx, "message refused", "cause", err)
		return &Error{Status: 507, Code: 452, Enhanced: "4.3.1", Message: "Insufficient storage", RetryAfter: time.Minute, Err: err}
	case errors.Is(err, store.ErrClosed), ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return &Error{Status: 503, Code: 421, Enhanced: "4.3.2", Message: "Service is not available, try again later", RetryAfter: 10 * time.Second, Err: err}
	}
	// The sender gets a number to ask about, the operator the cause.
	incident := r.intake.NewID()
	r.log.ErrorContext(ctx, "message not accepted", "incident", incident.String(), "domain", j.domain.Name, "cause", err)
	return &Error{Status: 500, Code: 451, Enhanced: "4.3.0", Message: "Internal Server Error, incident " + incident.String(), Err: err}
}

// SendingDomain returns the name of the registered domain that owns the address:
// its domain or the nearest one above. An *Error if there is none, or if it may not send.
func (r *Room) SendingDomain(ctx context.Context, a mail.Address) (string, error) {
	d, err := r.owner(ctx, a.Domain)
	if err == nil && d.Name == "" {
		err = domainNotFound(a.Domain)
	}
	if err == nil {
		_, err = r.sendingDomain(ctx, d.Name)
	}
	if err != nil {
		return "", r.explain(ctx, &job{}, err)
	}
	return d.Name, nil
}

// CheckReversePath tells whether the sender may use the address as its
// reverse-path, before any content is sent: an *Error if not. The null reverse-path is
// allowed, since autoreplies must use it (RFC 3834); nothing is ever returned to it (SEC-62).
func (r *Room) CheckReversePath(ctx context.Context, s Sender, a mail.Address) error {
	if a.IsZero() {
		return nil
	}
	if err := r.mayAppear(ctx, s, a.Domain, true); err != nil {
		return r.explain(ctx, &job{}, err)
	}
	return nil
}

// mayAppear checks a claim to a domain against the registered domains.
func (r *Room) mayAppear(ctx context.Context, s Sender, as string, reversePath bool) error {
	owner, err := r.owner(ctx, as)
	if err != nil {
		return err
	}
	c := claim{Door: s.Door, Sending: s.Domain, AccountWide: s.AccountWide, ReversePath: reversePath, As: as, Owner: owner.Name}
	if c.Owner != "" && c.Owner != c.Sending && c.AccountWide {
		sending, err := r.domains.Domain(ctx, s.Domain)
		if err != nil {
			return fmt.Errorf("look up domain %s: %w", s.Domain, err)
		}
		c.Sibling = sending.AccountID == owner.AccountID
	}
	if maySendAs(c) {
		return nil
	}
	code := 554 // SEC-57: in the content
	if reversePath {
		code = 550
	}
	return &Error{Status: 403, Code: code, Enhanced: "5.7.1", reject: "not allowed",
		Message: fmt.Sprintf("Domain %s is not allowed to send as %s", s.Domain, as)}
}

// owner returns the registered domain that is name or the nearest above it; the zero one if
// there is none.
func (r *Room) owner(ctx context.Context, name string) (store.Domain, error) {
	for _, p := range parents(name) {
		switch d, err := r.domains.Domain(ctx, p); {
		case err == nil:
			return d, nil
		case !errors.Is(err, store.ErrNotFound):
			return store.Domain{}, fmt.Errorf("look up domain %s: %w", p, err)
		}
	}
	return store.Domain{}, nil
}

// sendingDomain returns a domain that may send now.
func (r *Room) sendingDomain(ctx context.Context, name string) (store.Domain, error) {
	d, err := r.domains.Domain(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return d, domainNotFound(name)
	}
	if err != nil {
		return d, fmt.Errorf("look up domain %s: %w", name, err)
	}
	return d, maySend(d, r.cfg.AllowUnverified)
}

// maySend decides whether a domain's state lets it send.
func maySend(d store.Domain, allowUnverified bool) error {
	why := ""
	switch {
	case d.AccountDisabled:
		why = "The account is disabled."
	case d.State == store.DomainActive, d.State == store.DomainUnverified && allowUnverified:
		return nil
	case d.State == store.DomainUnverified:
		why = "The domain is unverified and requires DNS configuration. Log in to your control panel to view required DNS records."
	case d.Settings.DisabledWhy != "":
		why = d.Settings.DisabledWhy
	default:
		why = "The domain is disabled."
	}
	return &Error{Status: 403, Code: 550, Enhanced: "5.7.1", Message: fmt.Sprintf("Domain %s is not allowed to send: %s", d.Name, why)}
}

func domainNotFound(name string) *Error {
	return &Error{Status: 404, Code: 550, Enhanced: "5.7.1", Message: "Domain not found: " + sendopt.Printable(name)}
}

// A sourceReader remembers how the submitted content ended, so that its own
// errors are told apart from ours.
type sourceReader struct {
	r   io.Reader
	err error // not io.EOF
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
